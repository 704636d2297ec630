"""What the Compare page shows, in its address and as widgets: methods, what counts as flagged, which view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import streamlit as st

from audit.detectors import catalog
from audit.errors import InputError
from audit.numerics.data_maps import Region
from audit.records.dataset import Dataset
from audit.ui import address, filters
from audit.ui.texts import plain
from audit.workbench import comparing, data_map
from audit.workbench.comparing import Comparison, Part

KEYS = ("methods", "top", "view", "first", "second", "part", "run", "region", "page")
"""Keys of the address, beside ``dataset``."""

_METHODS, _FLAGS, _TOP, _VIEW = (
    "compare-methods", "compare-flags", "compare-top", "compare-view",
)  # fmt: skip
_OWN, _EACH = "own cuts", "top of each"


Word = TypeVar("Word", bound=StrEnum)


class View(StrEnum):
    """Parts of the page, of which one is shown at a time."""

    FLAGS = "flags"
    CLASSES = "classes"
    MAP = "map"


VIEWS: Mapping[View, str] = {
    View.FLAGS: "Flags and ranks",
    View.CLASSES: "By class",
    View.MAP: "Data map",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an address means.

    Parameters
    ----------
    methods
        At least one method with scores.
    top
        Take so many of each method; ``None`` for own cuts.
    view
        Which part is shown.
    first, second, part
        The pair that is looked at and which of its samples; one method alone is both.
    run
        Id of the run whose data map is shown; ``None`` for the first.
    region
        The region whose samples are listed.
    page
        Of the list of samples.
    """

    methods: tuple[str, ...]
    top: int | None
    view: View
    first: str
    second: str
    part: Part
    run: str | None
    region: Region
    page: int


def asked() -> dict[str, str]:
    """Return what the address asks for, once per run, before the widgets are drawn."""
    return address.read(KEYS, anchor=_METHODS)


def parse(
    asked: Mapping[str, str], dataset: Dataset, methods: Sequence[str]
) -> tuple[Choice, list[str]]:
    """Return what an address means, and a sentence in markdown for each value that means nothing.

    Parameters
    ----------
    asked
        From `asked`.
    dataset, methods
        What there is; at least one method.
    """
    wrong: list[str] = []
    wanted = list(dict.fromkeys(filter(None, asked.get("methods", "").split(","))))
    known = tuple(name for name in wanted if name in methods)
    if unknown := [name for name in wanted if name not in methods]:
        there = plain(", ".join(methods))
        wrong.append(
            f"“{plain(unknown[0][:60])}” {_why_not(unknown[0], dataset)}; there are {there}."
        )
    chosen = known or comparing.offered(methods)
    first, second = _pair(asked, chosen)
    page, wrong_page = filters.parse_page(asked)
    choice = Choice(
        methods=chosen,
        top=_top(asked.get("top"), dataset, wrong),
        view=_word(View, asked.get("view"), "view", wrong) or View.FLAGS,
        first=first,
        second=second,
        part=_word(Part, asked.get("part"), "part", wrong) or Part.FIRST,
        run=asked.get("run"),
        region=_region(asked.get("region"), wrong),
        page=page,
    )
    return choice, wrong + wrong_page


def _why_not(name: str, dataset: Dataset) -> str:
    if name in catalog.names():
        return f"has not scored {plain(dataset.name)} yet"
    return "is no method"


def _pair(asked: Mapping[str, str], chosen: Sequence[str]) -> tuple[str, str]:
    first = next((name for name in chosen if name == asked.get("first")), chosen[0])
    others = [name for name in chosen if name != first] or [first]
    return first, next((name for name in others if name == asked.get("second")), others[0])


def _top(text: str | None, dataset: Dataset, wrong: list[str]) -> int | None:
    if not text:
        return None
    try:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        return comparing.check_top(number, dataset)
    except InputError:
        wrong.append(
            f"“{plain(text[:60])}” is no number of samples from 1 to {dataset.n_samples:,}. "
            "Using the methods' own cuts."
        )
        return None


def _word(kind: type[Word], text: str | None, key: str, wrong: list[str]) -> Word | None:
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        wrong.append(f"“{plain(text[:60])}” is no {key}; there are {', '.join(kind)}.")
        return None


def _region(text: str | None, wrong: list[str]) -> Region:
    try:
        # The first region's code is 0, which counts as false.
        found = data_map.parse_region(text)
    except InputError:
        known = ", ".join(region.name.lower() for region in Region)
        wrong.append(f"“{plain((text or '')[:60])}” is no region; there are {known}.")
        found = None
    return Region.HARD if found is None else found


def draw_methods(methods: Sequence[str], choice: Choice) -> None:
    """Draw the choice of methods."""
    st.session_state[_METHODS] = list(choice.methods)

    def take() -> None:
        chosen = st.session_state[_METHODS]
        by_default = tuple(chosen) in ((), comparing.offered(methods))
        address.write({"methods": None if by_default else ",".join(chosen), "page": None})

    st.multiselect("Methods", methods, key=_METHODS, on_change=take, placeholder="Choose two")


def draw_flags(comparison: Comparison, choice: Choice) -> None:
    """Draw the choice of what counts as flagged."""
    has_cut = any(ranking.scores.flagged is not None for ranking in comparison.rankings)
    if has_cut:
        st.session_state[_FLAGS] = _OWN if choice.top is None else _EACH

        def take() -> None:
            is_each = st.session_state[_FLAGS] == _EACH
            address.write({"top": str(comparison.n_top) if is_each else None, "page": None})

        with st.container(width=150):
            st.selectbox("Flagged by", [_OWN, _EACH], key=_FLAGS, on_change=take)
    if not has_cut or choice.top is not None:
        st.session_state[_TOP] = comparison.n_top

        def move() -> None:
            address.write({"top": str(st.session_state[_TOP]), "page": None})

        with st.container(width=230):
            st.slider("Top n", 1, comparison.dataset.n_samples, key=_TOP, on_change=move)


def draw_views(choice: Choice) -> None:
    """Draw the choice of the part that is shown."""
    st.session_state[_VIEW] = choice.view

    def take() -> None:
        view = st.session_state[_VIEW]
        address.write({"view": None if view is View.FLAGS else str(view), "page": None})

    st.segmented_control(
        "View", list(View), key=_VIEW, required=True, on_change=take,
        format_func=lambda view: VIEWS[View(view)], label_visibility="collapsed",
    )  # fmt: skip


def choose(**changes: str | None) -> None:
    """Write choices, from the first page on; for callbacks."""
    address.write({**changes, "page": None})


def forget() -> None:
    """Forget all that was chosen, because another dataset is meant; for callbacks."""
    address.write(dict.fromkeys(KEYS))
