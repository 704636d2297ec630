"""Given → suggested: a heat table for few classes, otherwise the most frequent pairs as a list."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from audit.ui import palette
from audit.workbench.ranking_view import Pairs

MOST_IN_TABLE = 20
"""Classes up to which there is a table."""

_MOST_LISTED = 12
_HERE = Path(__file__).parent

_component = component(
    "labeltrace.confusion",
    html=(_HERE / "confusion.html").read_text(encoding="utf-8"),
    css=(_HERE / "confusion.css").read_text(encoding="utf-8"),
    js=(_HERE / "confusion.js").read_text(encoding="utf-8"),
)


def draw(
    pairs: Pairs,
    class_names: Sequence[str],
    *,
    chosen: tuple[str | None, str | None],
    key: str,
    on_choose: Callable[[str | None, str | None], None],
) -> None:
    """Draw how often each given class goes with each suggested one.

    Parameters
    ----------
    pairs
        What to count.
    class_names
        Of the dataset; only those that occur are sent.
    chosen
        Given and suggested class that the page shows alone.
    key
        Identity on the page.
    on_choose
        Told which given and suggested class were pressed, two times ``None`` for the chosen ones.
    """

    def pressed() -> None:
        cell: Any = (st.session_state.get(key) or {}).get("cell") or {}
        on_choose(_name(class_names, cell.get("given")), _name(class_names, cell.get("suggested")))

    _component(key=key, data=data(pairs, class_names, chosen=chosen), on_cell_change=pressed)


def data(
    pairs: Pairs, class_names: Sequence[str], *, chosen: tuple[str | None, str | None]
) -> dict[str, Any]:
    """Return what `confusion.js` draws: classes by index, most frequent pairs first."""
    is_table = len(class_names) <= MOST_IN_TABLE
    cells = pairs.top if is_table else pairs.top[:_MOST_LISTED]
    occurring = sorted({index for cell in cells for index in (cell.given, cell.suggested)})
    place = {class_names[index]: index for index in occurring}
    given, suggested = (place.get(name) if name is not None else None for name in chosen)
    is_chosen = given is not None and suggested is not None
    return {
        "is_table": is_table and bool(cells),
        "names": {str(index): class_names[index] for index in occurring},
        "order": occurring,
        "cells": [asdict(cell) for cell in cells],
        "n_pairs": len(pairs.top) + pairs.n_others,
        "chosen": {"given": given, "suggested": suggested} if is_chosen else None,
        "colours": asdict(palette.current()),
    }


def _name(class_names: Sequence[str], index: object) -> str | None:
    # From the browser, not to be trusted.
    if not isinstance(index, int) or isinstance(index, bool):
        return None
    return class_names[index] if 0 <= index < len(class_names) else None
