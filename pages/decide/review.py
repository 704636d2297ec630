"""Review: decide about the suspects of a dataset, key by key."""

import math
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from audit.ui import review_station, session, shell
from audit.ui.texts import plain
from audit.workbench import suspects
from audit.workbench.suspects import State

_ANY = ""
_SHEET = """<style>
.stMainBlockContainer { padding: 3.5rem 2.6rem 0; }
.stMainBlockContainer h1 { padding: 0 0 0.6rem; line-height: 1; }
.stMainBlockContainer > .stVerticalBlock { gap: 0.6rem; }
</style>"""
_STATES: dict[State, str] = {
    State.UNDECIDED: "Undecided",
    State.TODO: "Flagged and undecided",
    State.FLAGGED: "Flagged",
    State.DECIDED: "Decided",
    State.KEPT: "Kept",
    State.RELABELLED: "Relabelled",
    State.EXCLUDED: "Excluded",
    State.UNSURE: "Unsure",
    State.ALL: "All samples",
}
_STATE_NAMES = {str(state): name for state, name in _STATES.items()}


def main() -> None:
    """Draw the page."""
    # The station needs the height that Streamlit leaves free above and below a page.
    st.html(_SHEET)
    title, *slots = st.columns([1.1, 1.3, 1, 1.3, 1.3, 1.3], vertical_alignment="bottom")
    title.title("Review", anchor=False)
    with slots[0]:
        dataset = session.choose_dataset()
    if dataset is None:
        _nothing("There is no dataset in this workspace yet.", "datasets", "Import a dataset")
        return
    methods = suspects.methods(session.shelf(), dataset)
    if not methods:
        _nothing("This dataset has no scores yet, so there are no suspects.", "runs", "Start a run")
        return
    classes = (_ANY, *dataset.class_names)
    asked = {
        "method": _choose(slots[1], "Method", "method", methods),
        "cls": _choose(slots[2], "Given", "cls", classes, names={_ANY: "Any class"}),
        "suggested": _choose(
            slots[3], "Suggested", "suggested", classes, names={_ANY: "Any class"}
        ),
        "state": _choose(slots[4], "Show", "state", tuple(_STATE_NAMES), names=_STATE_NAMES),
        "cut": _cut(),
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    is_open = asked["state"] in (State.UNDECIDED, State.TODO)
    review_station.draw(dataset, query=query, is_open=is_open)


def _choose(
    slot: DeltaGenerator,
    label: str,
    name: str,
    options: Sequence[str],
    *,
    names: Mapping[str, str] | None = None,
) -> str:
    """Draw a choice whose truth is the address; what the address means wrongly is said."""
    key = f"review_{name}"
    asked = st.query_params.get(name, options[0])
    if asked not in options:
        st.warning(f"There is no {plain(f'{name}={asked[:80]}')} here: it is left out.")
        asked = options[0]
    st.session_state[key] = asked
    slot.selectbox(
        label,
        options,
        key=key,
        format_func=lambda option: str((names or {}).get(option, option)),
        on_change=lambda: st.query_params.update({name: st.session_state[key]}),
    )
    return asked


def _cut() -> str:
    asked = st.query_params.get("cut", "")
    try:
        is_number = not asked or math.isfinite(float(asked))
    except ValueError:
        is_number = False
    if not is_number:
        st.warning(f"There is no {plain(f'cut={asked[:80]}')}: it takes a number, and is left out.")
    return asked if is_number else ""


def _nothing(sentence: str, address: str, step: str) -> None:
    st.html(f'<p data-testid="review-empty">{sentence}</p>')
    st.page_link(shell.page_path(address), label=step, icon=":material/arrow_forward:")


main()
