"""What to show: method, classes, state and cut as widgets that keep their values in the address.

Addresses are typed, mailed and bent by people: a value that means nothing is answered by a sentence and
the default. The names of the widgets are the keys of the address.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence

import streamlit as st

from audit.detectors import catalog
from audit.errors import InputError
from audit.records.dataset import Dataset
from audit.ui import address
from audit.ui.texts import plain
from audit.workbench import ranking_view, suspects
from audit.workbench.ranking_view import Distribution
from audit.workbench.suspects import Filters, State

_NOTES, _SLIDER, _PAGES = "filters-notes", "filters-cut", "filters-page"
_WIDTHS = {"method": 130, "cls": 165, "suggested": 165, "state": 135}
_OWN_FLAGS = "Showing the method's own flags."
_LONGEST_SHOWN = 60
_STATE_HELP = (
    "What is known or decided: **all** usable samples, **undecided** or **decided** ones, **flagged** "
    "ones, **todo** (flagged and undecided), one verdict, or **problem**: samples that cannot be used."
)


def draw(dataset: Dataset, methods: Sequence[str]) -> Filters:
    """Draw the choice of method, classes and state, and return it; the cut comes from `cut`.

    Parameters
    ----------
    dataset, methods
        What there is to choose; at least one method.
    """
    with st.container(width=_WIDTHS["method"]):
        method = st.selectbox(
            "Method",
            methods,
            key="method",
            bind="query-params",
            help="Whose scores order the samples.",
            on_change=forget_notes,
        )
    chosen: dict[str, str | None] = {}
    for key, label in (("cls", "Given class"), ("suggested", "Suggested class")):
        with st.container(width=_WIDTHS[key]):
            chosen[key] = st.selectbox(
                label,
                dataset.class_names,
                index=None,
                key=key,
                placeholder="any",
                bind="query-params",
                on_change=forget_notes,
            )
    with st.container(width=_WIDTHS["state"]):
        state = st.selectbox(
            "State",
            [str(state) for state in State],
            key="state",
            bind="query-params",
            help=_STATE_HELP,
            on_change=forget_notes,
        )
    return Filters(
        method=method, cls=chosen["cls"], suggested=chosen["suggested"], state=State(state)
    )


def cut(shown: Distribution, *, belongs_to: Hashable) -> float | None:
    """Return the cut that the address and the slider hold, ``None`` while nobody moved it.

    Parameters
    ----------
    shown
        Of the quantity that it cuts.
    belongs_to
        Dataset and method: the cut of another one is in another unit.
    """

    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            note(f"{_shown(text)} is no cut: it takes a number. {_OWN_FLAGS}")
            return None
        try:
            return ranking_view.check_cut(value, shown)
        except InputError as error:
            note(f"{plain(str(error))} {_OWN_FLAGS}")
            return None

    return address.held("cut", read, None, belongs_to=belongs_to)


def cut_slider(shown: Distribution, cut: float | None) -> None:
    """Draw the widget that moves the cut.

    Parameters
    ----------
    shown, cut
        As `cut` takes and returns them.
    """
    st.session_state[_SLIDER] = shown.resting_cut if cut is None else cut
    st.slider(
        "Cut",
        min_value=shown.low,
        max_value=shown.high,
        step=shown.step,
        format=f"%.{shown.n_decimals}f",
        key=_SLIDER,
        on_change=lambda: move_cut(shown, st.session_state[_SLIDER]),
        help="Samples on the suspect side of the cut, and on it, count as flagged.",
    )


def move_cut(shown: Distribution, value: float) -> None:
    """Set the cut; for callbacks."""
    # A step more decimals than the widget shows: no tails of binary fractions in the address.
    value = round(value, shown.n_decimals + 1) if value != shown.resting_cut else value
    address.hold("cut", ranking_view.check_cut(value, shown), None)
    forget_notes()


def page(*, belongs_to: Hashable) -> int:
    """Return the page that the address holds; 1 when the list becomes another one."""

    def read(text: str) -> int:
        if re.fullmatch("[0-9]{1,9}", text) and int(text) > 0:
            return int(text)
        note(f"{_shown(text)} is no page: it takes a number from 1. Showing the first page.")
        return 1

    return address.held("page", read, 1, belongs_to=belongs_to)


def turn_to(page: int) -> None:
    """Show another page; also for callbacks."""
    address.hold("page", page, 1)


def page_buttons(page: int, n_pages: int) -> None:
    """Draw the widget that turns pages, if there is more than one."""
    if n_pages == 1:
        return
    # The widget keeps its own page while it is used, and is made anew when the page comes from
    # elsewhere: a value set beside a default would be warned about.
    number, start, known = st.session_state.get(_PAGES, (0, page, n_pages))
    if known != n_pages or st.session_state.get(f"{_PAGES}-{number}", start) != page:
        number, start = number + 1, page
    st.session_state[_PAGES] = number, start, n_pages
    key = f"{_PAGES}-{number}"
    st.pagination(n_pages, default=start, key=key, on_change=lambda: turn_to(st.session_state[key]))


def clear() -> None:
    """Restrict nothing any more; the method stays. For callbacks."""
    st.session_state["cls"] = st.session_state["suggested"] = None
    st.session_state["state"] = str(State.ALL)
    reset_cut()


def reset_cut() -> None:
    """Set the cut back to the method's own; for callbacks."""
    address.hold("cut", None, None)
    forget_notes()


def narrow(given: str | None, suggested: str | None) -> None:
    """Show one given and one suggested class; for callbacks."""
    st.session_state["cls"], st.session_state["suggested"] = given, suggested
    forget_notes()


def as_address(dataset: Dataset, filters: Filters) -> dict[str, str]:
    """Return filters as the keys of an address, for a link to another page."""
    asked = {
        "dataset": dataset.name,
        "method": filters.method,
        "cls": filters.cls,
        "suggested": filters.suggested,
        "state": str(filters.state),
        "cut": None if filters.cut is None else repr(filters.cut),
    }
    return {key: value for key, value in asked.items() if value is not None}


def check_address(dataset: Dataset, methods: Sequence[str]) -> None:
    """Note what the address asks for and cannot be had; before the widgets are drawn.

    Parameters
    ----------
    dataset, methods
        What there is.
    """
    fresh = list(refusals(st.query_params.to_dict(), dataset, methods))
    if fresh:
        st.session_state[_NOTES] = fresh


def notes() -> list[str]:
    """Return what was noted since a filter was last changed: whole sentences as markdown."""
    return st.session_state.get(_NOTES, [])


def note(sentence: str) -> None:
    """Keep a sentence for `notes`."""
    st.session_state[_NOTES] = [*notes(), sentence]


def forget_notes() -> None:
    """Drop what was noted: somebody chose anew."""
    st.session_state.pop(_NOTES, None)


def refusals(asked: Mapping[str, str], dataset: Dataset, methods: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for every key of an address whose value is no choice.

    Parameters
    ----------
    asked
        The address.
    dataset, methods
        What there is.
    """
    name = plain(dataset.name)
    method = asked.get("method")
    if method and method not in methods:
        what = "is no method" if method not in catalog.names() else f"has not scored {name} yet"
        known = plain(", ".join(methods))
        yield f"{_shown(method)} {what}; there are {known}. Showing {plain(methods[0])}."
    for key, label in (("cls", "given"), ("suggested", "suggested")):
        if asked.get(key) and asked[key] not in dataset.class_names:
            yield f"{name} has no class {_shown(asked[key])}. Showing every {label} class."
    try:
        suspects.parse_state(asked.get("state"))
    except InputError:
        yield f"{_shown(asked['state'])} is no state; there are {', '.join(State)}. Showing all."


def _shown(text: str) -> str:
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return f"“{plain(short)}”"
