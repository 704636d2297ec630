"""A gallery of samples on one sheet of thumbnails, in which many are selected and decided at once.

`gallery.js` looks, selects and decides in the browser; decisions come to Python as an outbox (see
`audit.workbench.receiving`) and are acknowledged with the next data. A click on a tile reruns nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2 import component

from audit.ui import palette
from audit.workbench.ranking_view import Tile

SIDE = 128
"""Side of a thumbnail in pixels; a multiple of the sides of most tiny images."""

_HERE = Path(__file__).parent
_GROUNDS = {False: "f2efe8", True: "1e2327"}
_MOST_CLASSES_SENT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a gallery shows.

    Parameters
    ----------
    view
        Names the list and the page; when it changes, nothing is selected any more.
    dataset_id, method, scores_id
        Recorded with each decision.
    class_names
        Of the dataset.
    tiles, next_positions
        In order, at most 100 each; the next page's thumbnails are fetched ahead.
    next_page
        What the button after the last tile says, or ``None``.
    """

    view: str
    dataset_id: str
    method: str
    scores_id: str
    class_names: Sequence[str]
    tiles: Sequence[Tile]
    next_positions: Sequence[int]
    next_page: str | None


_component = component(
    "labeltrace.gallery",
    html=(_HERE / "gallery.html").read_text(encoding="utf-8"),
    css=(_HERE / "gallery.css").read_text(encoding="utf-8"),
    js=(_HERE / "gallery.js").read_text(encoding="utf-8"),
)


def draw(
    contents: Contents,
    *,
    key: str,
    on_outbox: Callable[[object], Mapping[str, Any]],
    on_turn: Callable[[], None],
) -> str | None:
    """Draw a gallery and return the key of a sample that somebody wants to open, if any.

    Parameters
    ----------
    contents
        What it shows.
    key
        Identity of the gallery on its page.
    on_outbox
        Takes what the browser sends and returns its acknowledgement as JSON values.
    on_turn
        Called when the next page is asked for.
    """
    kept = f"{key}-received"

    def received() -> None:
        state: Any = st.session_state.get(key) or {}
        st.session_state[kept] = on_outbox(state.get("outbox"))

    result: Any = _component(
        key=key,
        data=_data(contents, st.session_state.get(kept, {})),
        on_outbox_change=received,
        on_open_change=lambda: None,
        on_turn_change=on_turn,
    )
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def sheet_address(dataset_id: str, positions: Sequence[int], *, is_dark: bool) -> str | None:
    """Return where the thumbnails of some samples lie on one sheet, ``None`` for no samples."""
    if not positions:
        return None
    asked = {"at": ",".join(map(str, positions)), "side": SIDE, "ground": _GROUNDS[is_dark]}
    return f"/api/datasets/{dataset_id}/sheet?{urlencode(asked, safe=',')}"


def _data(contents: Contents, received: Mapping[str, Any]) -> dict[str, Any]:
    is_dark = palette.current() is palette.DARK
    positions = [tile.position for tile in contents.tiles]
    classes = contents.class_names if len(contents.class_names) <= _MOST_CLASSES_SENT else None
    asked = urlencode({"method": contents.method, "count": 1, "classes": 1})
    return {
        "view": contents.view,
        "dataset": contents.dataset_id,
        "method": contents.method,
        "scores_id": contents.scores_id,
        "classes": None if classes is None else list(classes),
        "classes_address": f"/api/datasets/{contents.dataset_id}/queue?{asked}",
        "tiles": [asdict(tile) for tile in contents.tiles],
        "sheet": sheet_address(contents.dataset_id, positions, is_dark=is_dark),
        "next_sheet": sheet_address(contents.dataset_id, contents.next_positions, is_dark=is_dark),
        "next_page": contents.next_page,
        "colours": asdict(palette.current()),
        "acks": received.get("acks", {}),
        "refused": received.get("refused", []),
        "problem": received.get("problem"),
    }
