"""Review: decide about the suspects of a dataset, key by key."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from audit.records.dataset import Dataset
from audit.ui import filters, gain_line, review_station, session, shell
from audit.workbench import class_choices, cuts, suspects
from audit.workbench.suspects import State

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
    title, *slots = st.columns([1.1, 1.3, 1, 1.2, 1.2, 1.2, 1.3], vertical_alignment="bottom")
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
    shelf, address = session.shelf(), st.query_params.to_dict()
    chosen, wrong = filters.parse(address, dataset, methods, by_default=State.UNDECIDED)
    ranking = suspects.ranked(shelf, dataset, chosen.method)
    cut, wrong_cut = filters.parse_cut(address, cuts.distribution(shelf, ranking))
    offered = class_choices.choices(shelf, dataset, ranking)
    _choose(slots[1], "Method", "method", methods, chosen.method or methods[0])
    with slots[2]:
        _choose_class("Given", "cls", dataset, chosen.cls, offered.given)
    with slots[3]:
        _choose_class("Suggested", "suggested", dataset, chosen.suggested, offered.suggested)
    _choose(slots[4], "Show", "state", tuple(_STATE_NAMES), str(chosen.state), names=_STATE_NAMES)
    with slots[5]:
        gain_line.draw(shelf, dataset)
    filters.draw_flag_sets(chosen, on_remove=_show_whoever_flags)
    for sentence in (*wrong, *wrong_cut):
        st.warning(sentence)
    asked = filters.as_address(dataset, replace(chosen, cut=cut))
    del asked["dataset"]
    is_open = chosen.state in (State.UNDECIDED, State.TODO)
    review_station.draw(dataset, query=urlencode(asked), is_open=is_open)


def _choose(
    slot: DeltaGenerator,
    label: str,
    name: str,
    options: Sequence[str],
    chosen: str,
    *,
    names: Mapping[str, str] | None = None,
) -> None:
    """Draw a choice whose truth is the address."""
    key = f"review_{name}"
    st.session_state[key] = chosen
    slot.selectbox(
        label,
        options,
        key=key,
        format_func=lambda option: str((names or {}).get(option, option)),
        on_change=lambda: _take(name, st.session_state[key]),
    )


def _choose_class(
    label: str, name: str, dataset: Dataset, chosen: str | None, offered: Sequence[str]
) -> None:
    """Draw the choice of a class; of very many the most frequent are offered, others are typed."""
    key = f"review_{name}"
    has_all = len(offered) == dataset.n_classes
    st.session_state[key] = chosen
    st.selectbox(
        label,
        offered if chosen is None or chosen in offered else [chosen, *offered],
        index=None,
        key=key,
        placeholder="Any class" if has_all else "Any, or type",
        accept_new_options=not has_all,
        on_change=lambda: _take(name, filters.meant_class(dataset, st.session_state[key])),
    )


def _take(name: str, chosen: str | None) -> None:
    kept = _without(name, *(["cut"] if name == "method" else []))  # a cut is of one method
    st.query_params.from_dict(kept if chosen is None else {**kept, name: chosen})


def _show_whoever_flags() -> None:
    st.query_params.from_dict(_without("by", "not_by"))


def _without(*gone: str) -> dict[str, str]:
    return {key: text for key, text in st.query_params.to_dict().items() if key not in gone}


def _nothing(sentence: str, address: str, step: str) -> None:
    st.html(f'<p data-testid="review-empty">{sentence}</p>')
    st.page_link(shell.page_path(address), label=step, icon=":material/arrow_forward:")


main()
