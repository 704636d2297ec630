"""A gallery of samples on one sheet of thumbnails, in which many are selected and decided at once.

`gallery.js` looks, selects and decides in the browser; decisions come to Python as an outbox (see
`audit.ui.outbox`) and are acknowledged with the next data. A click on a tile reruns nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2 import component

from audit.ui import outbox, palette
from audit.workbench.ranking_view import Listing

SIDE = 128
"""Side of a thumbnail in pixels; a multiple of the sides of most tiny images."""

_HERE = Path(__file__).parent
_GROUNDS = {False: "f2efe8", True: "1e2327"}
_MOST_CLASSES_SENT = 200


_component = component(
    "labeltrace.gallery",
    html=(_HERE / "gallery.html").read_text(encoding="utf-8"),
    css=(_HERE / "gallery.css").read_text(encoding="utf-8"),
    js=outbox.script(_HERE / "gallery.js"),
)


def draw(
    view: Listing,
    *,
    reviewer: str,
    key: str,
    on_turn: Callable[[], None],
) -> str | None:
    """Draw a gallery and return the key of a sample that somebody wants to open, if any.

    Parameters
    ----------
    view
        What it shows. When another list or page is shown, nothing is selected any more.
    reviewer
        Recorded with each decision.
    key
        Identity of the gallery on its page.
    on_turn
        Called when the next page is asked for.
    """

    def received() -> None:
        outbox.take((st.session_state.get(key) or {}).get("outbox"))

    result: Any = _component(
        key=key,
        data={**data(view, reviewer), **outbox.data()},
        on_outbox_change=received,
        on_open_change=lambda: None,
        on_turn_change=on_turn,
    )
    if outbox.take(result.get("outbox")):
        st.rerun()
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def sheet_address(dataset_id: str, positions: Sequence[int], *, is_dark: bool) -> str | None:
    """Return where the thumbnails of some samples lie on one sheet, ``None`` for no samples."""
    if not positions:
        return None
    asked = {"at": ",".join(map(str, positions)), "side": SIDE, "ground": _GROUNDS[is_dark]}
    return f"api/datasets/{dataset_id}/sheet?{urlencode(asked, safe=',')}"


def data(view: Listing, reviewer: str) -> dict[str, Any]:
    """Return what `gallery.js` draws; addresses are relative to where the pages are served.

    Parameters
    ----------
    view, reviewer
        As `draw` takes them.
    """
    is_dark = palette.current() is palette.DARK
    dataset, method = view.dataset, view.ranking.method
    positions = [tile.position for tile in view.tiles]
    classes = list(dataset.class_names) if dataset.n_classes <= _MOST_CLASSES_SENT else None
    asked = urlencode({"method": method, "count": 1, "classes": 1})
    return {
        "view": f"{view.ranking.scores_id} {view.name} {view.page}",
        "dataset": dataset.id,
        "method": method,
        "scores_id": view.ranking.scores_id,
        "reviewer": reviewer,
        "classes": classes,
        "classes_address": f"api/datasets/{dataset.id}/queue?{asked}",
        # What moves with every epoch is looked at; decided is on the sample's own page.
        "only_looks": view.ranking.provisional is not None,
        "tiles": [asdict(tile) for tile in view.tiles],
        "sheet": sheet_address(dataset.id, positions, is_dark=is_dark),
        "next_sheet": sheet_address(dataset.id, view.next_positions, is_dark=is_dark),
        "next_page": f"Page {view.page + 1}" if view.page < view.n_pages else None,
        "colours": asdict(palette.current()),
    }
