"""What to show: method, classes, state, cut and page, as widgets and in the address.

Addresses are typed, mailed and bent by people: a value that means nothing is answered by a sentence and
the default, and stays until somebody chooses anew. The names of the keys are a contract.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from audit.detectors import catalog
from audit.errors import InputError, NotFoundError
from audit.records.dataset import Dataset
from audit.ui import address
from audit.ui.texts import plain
from audit.workbench import class_choices, cuts, flag_sets, provisional, suspects
from audit.workbench.class_choices import Choices
from audit.workbench.cuts import Distribution
from audit.workbench.flag_sets import Flags
from audit.workbench.suspects import Filters, State

KEYS = ("method", "cls", "suggested", "state", "by", "not_by", "cut", "page")
"""Keys of the address, beside ``dataset``."""

_METHOD, _STATE, _SLIDER, _PAGES = "filters-method", "filters-state", "filters-cut", "filters-page"
_WIDTHS = {"method": 130, "cls": 165, "suggested": 165, "state": 135}
_LONGEST_SHOWN, _MOST_NAMED = 60, 3
_OWN_FLAGS = "Showing the method's own flags."


def is_opened() -> bool:
    """Return whether the page has just been opened; before `draw`."""
    return _METHOD not in st.session_state


def asked() -> dict[str, str]:
    """Return what the address asks for, as texts by key; once per run, before the widgets are drawn."""
    return address.read(KEYS, anchor=_METHOD)


def parse(
    asked: Mapping[str, str],
    dataset: Dataset,
    methods: Sequence[str],
    *,
    by_default: State = State.ALL,
) -> tuple[Filters, list[str]]:
    """Return the filters that an address means, without the cut, and what it cannot have.

    Parameters
    ----------
    asked
        From `asked`.
    dataset, methods
        What there is; at least one method.
    by_default
        The state of an address that names none.

    Returns
    -------
    filters
        With the default for every value that means nothing.
    wrong
        A sentence in markdown for each of these.
    """
    wrong: list[str] = []
    name, method = plain(dataset.name), asked.get("method") or methods[0]
    if method not in methods:
        what = "is no method" if method not in catalog.names() else f"has not scored {name} yet"
        if method == provisional.METHOD:
            what = "is of a run in training, and none has an epoch now"
        known = plain(", ".join(methods))
        wrong.append(f"{_shown(method)} {what}; there are {known}. Showing {plain(methods[0])}.")
        method = methods[0]
    classes: dict[str, str | None] = {}
    for key, label in (("cls", "given"), ("suggested", "suggested")):
        classes[key] = asked.get(key) or None
        if classes[key] is not None and classes[key] not in dataset.class_names:
            like = class_choices.classes_like(dataset, asked[key])[:_MOST_NAMED]
            hint = f" Did you mean {', '.join(map(_shown, like))}?" if like else ""
            wrong.append(
                f"{name} has no class {_shown(asked[key])}.{hint} Showing every {label} class."
            )
            classes[key] = None
    try:
        state = suspects.parse_state(asked["state"]) if asked.get("state") else by_default
    except InputError:
        known = ", ".join(State)
        wrong.append(
            f"{_shown(asked['state'])} is no state; there are {known}. Showing {by_default}."
        )
        state = by_default
    filters = Filters(
        method=method,
        cls=classes["cls"],
        suggested=classes["suggested"],
        state=state,
        by=_parse_flags(asked.get("by"), dataset, methods, wrong),
        not_by=_parse_flags(asked.get("not_by"), dataset, methods, wrong),
    )
    return filters, wrong


def _parse_flags(
    text: str | None, dataset: Dataset, methods: Sequence[str], wrong: list[str]
) -> tuple[Flags, ...]:
    try:
        return flag_sets.parse(text, dataset, methods)
    except (InputError, NotFoundError) as error:
        wrong.append(f"{plain(str(error))} These flags restrict nothing.")
        return ()


def refusals(asked: Mapping[str, str], dataset: Dataset, methods: Sequence[str]) -> list[str]:
    """Return what `parse` refuses; nothing where no method has scored the dataset."""
    return parse(asked, dataset, methods)[1] if methods else []


def parse_cut(
    asked: Mapping[str, str], shown: Distribution | None
) -> tuple[float | None, list[str]]:
    """Return the cut that an address means, ``None`` for the method's own flags, and what is wrong.

    Parameters
    ----------
    asked
        From `asked`.
    shown
        Of the quantity that is cut.
    """
    text = asked.get("cut")
    if not text or shown is None:
        return None, []
    try:
        value = float(text)
    except ValueError:
        return None, [f"{_shown(text)} is no cut: it takes a number. {_OWN_FLAGS}"]
    try:
        return cuts.check_cut(value, shown), []
    except InputError as error:
        return None, [f"{plain(str(error))} {_OWN_FLAGS}"]


def parse_page(asked: Mapping[str, str]) -> tuple[int, list[str]]:
    """Return the page that an address means, 1 by default, and what is wrong."""
    text = asked.get("page")
    if not text:
        return 1, []
    if re.fullmatch("[0-9]{1,9}", text, re.ASCII) and int(text) > 0:
        return int(text), []
    return 1, [f"{_shown(text)} is no page: it takes a number from 1. Showing the first page."]


def draw(dataset: Dataset, methods: Sequence[str], chosen: Filters, *, choices: Choices) -> None:
    """Draw the choice of method, classes and state.

    Parameters
    ----------
    dataset, methods, choices
        What there is to choose.
    chosen
        What is chosen.
    """
    with st.container(width=_WIDTHS["method"]):
        st.session_state[_METHOD] = chosen.method
        st.selectbox(
            "Method",
            methods,
            key=_METHOD,
            on_change=partial(_take, "method", _METHOD, methods[0], drops="cut"),
        )
    for key, label in (("cls", "Given class"), ("suggested", "Suggested class")):
        names = choices.given if key == "cls" else choices.suggested
        _draw_class(key, label, dataset, getattr(chosen, key), names)
    with st.container(width=_WIDTHS["state"]):
        st.session_state[_STATE] = str(chosen.state)
        st.selectbox(
            "State",
            [str(state) for state in State],
            key=_STATE,
            on_change=partial(_take, "state", _STATE, str(State.ALL)),
        )


def _draw_class(
    key: str, label: str, dataset: Dataset, chosen: str | None, names: Sequence[str]
) -> None:
    widget = f"filters-{key}"
    has_all = len(names) == dataset.n_classes
    with st.container(width=_WIDTHS[key]):
        st.session_state[widget] = chosen
        st.selectbox(
            label,
            names if chosen is None or chosen in names else [chosen, *names],
            index=None,
            key=widget,
            placeholder="any" if has_all else "any, or type",
            accept_new_options=not has_all,
            on_change=partial(_take_class, key, widget, dataset),
        )


def draw_flag_sets(chosen: Filters, *, on_remove: Callable[[], None] | None = None) -> None:
    """Draw which methods' flags restrict what is shown, to be taken off; nothing where none do.

    Parameters
    ----------
    chosen
        What is chosen.
    on_remove
        Called before the script runs; `show_whoever_flags` if not given.
    """
    said = flag_sets.in_words(chosen.by, chosen.not_by)
    if said:
        st.button(
            plain(f"Only {said}"),
            key="filters-flags",
            on_click=on_remove or show_whoever_flags,
            icon=":material/close:",
            help="Show samples whoever flags them.",
        )


def show_whoever_flags() -> None:
    """Restrict the list by no method's flags any more; for callbacks."""
    address.write({"by": None, "not_by": None, "page": None})


def draw_cut(shown: Distribution, cut: float | None) -> None:
    """Draw the widget that moves the cut.

    Parameters
    ----------
    shown
        Of the quantity that is cut.
    cut
        From `parse_cut`.
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
    )


def draw_pages(page: int, n_pages: int) -> None:
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
    st.pagination(
        n_pages,
        default=start,
        max_visible_pages=5,
        key=key,
        on_change=lambda: turn_to(st.session_state[key]),
    )


def move_cut(shown: Distribution, value: float) -> None:
    """Set the cut; for callbacks."""
    if value != shown.resting_cut:
        # No tails of binary fractions in the address.
        value = round(value, shown.n_decimals + 1)
    is_moved = cuts.check_cut(value, shown) is not None
    address.write({"cut": repr(value) if is_moved else None, "page": None})


def turn_to(page: int) -> None:
    """Show another page; for callbacks."""
    address.write({"page": str(page) if page > 1 else None})


def narrow(given: str | None, suggested: str | None) -> None:
    """Show one given and one suggested class; for callbacks."""
    address.write({"cls": given, "suggested": suggested, "page": None})


def reset_cut() -> None:
    """Set the cut back to the method's own; for callbacks."""
    address.write({"cut": None, "page": None})


def clear() -> None:
    """Restrict nothing any more; the method stays. For callbacks."""
    address.write(dict.fromkeys(KEYS[1:]))


def forget() -> None:
    """Forget all that was chosen, because another dataset is meant; for callbacks."""
    address.write(dict.fromkeys(KEYS))


def as_address(dataset: Dataset, filters: Filters) -> dict[str, str]:
    """Return filters as the keys of an address, for a link to another page."""
    texts = {
        "dataset": dataset.name,
        "method": filters.method,
        "cls": filters.cls,
        "suggested": filters.suggested,
        "state": str(filters.state),
        "by": flag_sets.as_text(filters.by),
        "not_by": flag_sets.as_text(filters.not_by),
        "cut": None if filters.cut is None else repr(filters.cut),
    }
    return {key: text for key, text in texts.items() if text is not None}


def _take(key: str, widget: str, default: str | None, *, drops: str = "page") -> None:
    """Write what a widget holds; another list starts at its beginning."""
    value = st.session_state[widget]
    address.write({drops: None, "page": None, key: None if value == default else value})


def _take_class(key: str, widget: str, dataset: Dataset) -> None:
    """Write a class; of one that was typed, the only one it can mean."""
    address.write({"page": None, key: meant_class(dataset, st.session_state[widget])})


def meant_class(dataset: Dataset, typed: str | None) -> str | None:
    """Return the only class that a typed text can mean, or the text itself."""
    if typed is None or typed in dataset.class_names:
        return typed
    like = class_choices.classes_like(dataset, typed)
    return like[0] if len(like) == 1 else typed


def _shown(text: str) -> str:
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return f"“{plain(short)}”"
