"""The review station: suspects shown and decided in the browser, decisions received as an outbox.

`station.js` fetches the queue and the images by itself and keeps every decision until it is
acknowledged; what passes through Streamlit is the outbox in one direction and what became of it in the
other (see `audit.ui.outbox`). So nobody waits for a rerun, and a batch that comes twice is stored once.

The station must not stand in a fragment: after a server was away for long, Streamlit asks the new one
for a fragment that it never drew, again and again, and what was decided meanwhile is never received.
"""

from pathlib import Path
from typing import Any, cast

import streamlit as st
from streamlit.components.v2 import component

from audit.records.dataset import Dataset
from audit.ui import outbox, session

_HERE = Path(__file__).resolve().parent
_KEY = "review-station"

_mount = component(
    "labeltrace_review_station",
    css=(_HERE / "station.css").read_text(encoding="utf-8"),
    js=outbox.script(_HERE / "station.js"),
)


def draw(dataset: Dataset, *, query: str, is_open: bool) -> None:
    """Draw the station.

    Parameters
    ----------
    dataset
        Whose samples.
    query
        Which samples, as the queue's route reads it: ``method=margin&state=undecided``.
    is_open
        Whether the list holds undecided samples only, so that it gets shorter by deciding.
    """
    result = _mount(
        key=_KEY,
        data={
            "dataset": {"id": dataset.id, "name": dataset.name},
            "query": query,
            "isOpen": is_open,
            "reviewer": session.reviewer(),
            **outbox.data(),
        },
        on_outbox_change=_receive,
    )
    if outbox.take(result.get("outbox")):
        st.rerun()


def _receive() -> None:
    outbox.take(cast("dict[str, Any]", st.session_state[_KEY]).get("outbox"))
