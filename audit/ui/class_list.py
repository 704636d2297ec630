"""The classes of a dataset or plan as a list with counts and a few images each."""

from collections.abc import Callable
from html import escape

import streamlit as st

from audit.records.dataset import Dataset
from audit.ui import figures, palette
from audit.ui.palette import Palette
from audit.workbench import contents
from audit.workbench.contents import ClassRow, Contents, Order

PER_PAGE = 12
SIDE = 64
"""Side of a thumbnail in pixels; a multiple of the sides of most tiny images."""

_ORDERS = {
    Order.MOST: "Most samples",
    Order.FEWEST: "Fewest samples",
    Order.NAME: "By name",
}


def draw(
    dataset: Dataset,
    holds: Contents,
    *,
    key: str,
    sheet_of: Callable[[tuple[int, ...]], str | None],
) -> None:
    """Draw the list, a page at a time.

    Parameters
    ----------
    dataset, holds
        What is listed.
    key
        Identity on the page.
    sheet_of
        Returns where thumbnails of some positions lie on one sheet.
    """
    order, search = _ask(key) if holds.n_classes > PER_PAGE else (Order.MOST, "")
    number = int(st.session_state.get(f"{key}_page") or 1)
    rows, n_found = contents.class_rows(
        dataset, holds, order=order, search=search, start=(number - 1) * PER_PAGE, most=PER_PAGE
    )
    if not rows:
        st.caption("No class name contains this.")
        return
    colours = palette.current()
    slot = st.empty()
    # Names and counts first: on a slow disk the images take a second.
    slot.html(_html(rows, None, colours))
    if n_found > PER_PAGE:
        n_pages = -(-n_found // PER_PAGE)
        st.pagination(n_pages, key=f"{key}_page", default=1)
    positions = tuple(position for row in rows for position in row.examples)
    slot.html(_html(rows, sheet_of(positions), colours))


def _ask(key: str) -> tuple[Order, str]:
    def to_first_page() -> None:
        st.session_state[f"{key}_page"] = 1

    left, right = st.columns([2, 1], vertical_alignment="bottom")
    order = left.segmented_control(
        "Order of the classes",
        tuple(_ORDERS),
        format_func=_ORDERS.__getitem__,
        default=Order.MOST,
        required=True,
        key=f"{key}_order",
        on_change=to_first_page,
        label_visibility="collapsed",
    )
    search = right.text_input(
        "Find a class",
        key=f"{key}_search",
        on_change=to_first_page,
        placeholder="Find a class",
        label_visibility="collapsed",
        icon=":material/search:",
        max_chars=200,
    )
    return order or Order.MOST, search or ""


def _html(rows: tuple[ClassRow, ...], sheet: str | None, colours: Palette) -> str:
    n_tiles = sum(len(row.examples) for row in rows)
    parts: list[str] = []
    first = 0
    for row in rows:
        tiles = "".join(
            figures.tile(sheet, first + place, n_tiles, SIDE) for place in range(len(row.examples))
        )
        first += len(row.examples)
        count = "1 sample" if row.n_samples == 1 else f"{row.n_samples:,} samples"
        name = escape(row.name)
        parts.append(
            f'<section class="lf-class"><div class="lf-class-head">'
            f'<span class="lf-class-name" title="{name}">{name}</span>'
            f'<span class="lf-class-count">{count}</span></div>'
            f"{figures.bar(row.fraction, colours.positive, f'{row.name}: {count}')}"
            f'<div class="lf-tiles" role="img" aria-label="Samples of {name}">{tiles}</div></section>'
        )
    return figures.block(f'<div class="lf-classes">{"".join(parts)}</div>', colours)
