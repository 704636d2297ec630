"""The review station: suspects shown and decided in the browser, decisions received as an outbox.

`station.js` fetches the queue and the images by itself and keeps every decision until it is
acknowledged; what passes through Streamlit is the outbox in one direction and what became of it in the
other. So nobody waits for a rerun, and a batch that comes twice is stored once.

The station must not stand in a fragment: after a server was away for long, Streamlit asks the new one
for a fragment that it never drew, again and again, and what was decided meanwhile is never received.
"""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import streamlit as st
from streamlit.components.v2 import component

from audit.records.dataset import Dataset
from audit.records.decision import Decision, Verdict
from audit.store import datasets as dataset_rows
from audit.ui import session
from audit.workbench import receiving
from audit.workbench.receiving import Conflict
from audit.workbench.shelf import Shelf

_HERE = Path(__file__).resolve().parent
_KEY = "review-station"
_ANSWER = "review-station-answer"
_LONGEST_NAME = 200

_mount = component(
    "labeltrace_review_station",
    css=(_HERE / "station.css").read_text(encoding="utf-8"),
    js=(_HERE / "station.js").read_text(encoding="utf-8"),
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
            "datasets": [summary.id for summary in dataset_rows.all(session.shelf().workspace)],
            "query": query,
            "isOpen": is_open,
            "reviewer": session.reviewer(),
            "answer": st.session_state.get(_ANSWER),
        },
        on_outbox_change=_receive,
    )
    # A session that begins with an outbox, as after a restart of the server, calls no callback.
    if _take(result.get("outbox")):
        st.rerun()


def _receive() -> None:
    _take(cast("dict[str, Any]", st.session_state[_KEY]).get("outbox"))


def _take(outbox: object) -> bool:
    """Receive a batch unless it was received before; true if it was new."""
    if not isinstance(outbox, dict):
        return False
    batch = cast("dict[str, object]", outbox)
    nonce = batch.get("nonce")
    if nonce == (st.session_state.get(_ANSWER) or {}).get("nonce"):
        return False
    st.session_state[_ANSWER] = {
        "nonce": nonce if isinstance(nonce, str) else None,
        **answer(batch.get("entries"), session.shelf(), session.reviewer()),
    }
    return True


def answer(entries: object, shelf: Shelf, reviewer: str) -> dict[str, Any]:
    """Store what a browser sends and return what became of it, as the station reads it.

    Parameters
    ----------
    entries
        From the browser. Each counts for the person whose name stood beside the station when it was
        made, which may be long ago: a reload forgets the name, the outbox does not.
    shelf
        Of the workspace.
    reviewer
        Who decides where an entry does not say.
    """
    together: dict[str, Any] = {"acks": {}, "refused": [], "conflicts": [], "problem": None}
    listed = cast("list[object]", entries) if isinstance(entries, list) else []
    first = 0
    for name, group in itertools.groupby(listed, lambda entry: _reviewer(entry) or reviewer):
        part = list(group)
        received = receiving.receive(shelf, part, reviewer=name, now=datetime.now(UTC))
        said = received.to_json()
        for client, sequences in said["acks"].items():
            together["acks"].setdefault(client, []).extend(sequences)
        together["refused"] += [
            refused | {"index": first + refused["index"]} for refused in said["refused"]
        ]
        together["conflicts"] += [
            {"id": f"{conflict.own.id}-{conflict.other.id}", "sentence": sentence(conflict)}
            for conflict in received.conflicts
        ]
        together["problem"] = said["problem"] or together["problem"]
        first += len(part)
    return together


def _reviewer(entry: object) -> str:
    name = cast("dict[str, object]", entry).get("reviewer") if isinstance(entry, dict) else None
    return name.strip() if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""


def sentence(conflict: Conflict) -> str:
    """Return what to tell a person whose decision met another person's."""
    own, other = conflict.own, conflict.other
    if conflict.agrees:
        return f"{other.reviewer} decided the same about {own.sample_key}: {_told(own)}."
    if conflict.own_stands:
        return (
            f"{own.sample_key}: {other.reviewer} had {_told(other)}; "
            f"your later decision stands: {_told(own)}."
        )
    return (
        f"{own.sample_key}: {other.reviewer} has since {_told(other)}; "
        f"that decision stands, not yours ({_told(own)})."
    )


def _told(decision: Decision) -> str:
    if decision.verdict is Verdict.RELABEL:
        return f"relabelled it to {decision.label}"
    if decision.verdict is Verdict.KEEP:
        return f"kept it as {decision.label}"
    return "excluded it" if decision.verdict is Verdict.EXCLUDE else "marked it unsure"
