"""The outbox of the widgets that decide: what browsers keep, and how it is received and answered.

`outbox.js` keeps every decision in the browser until it is acknowledged, whichever widget made it:
station and gallery share one storage, so what the one could not send, the other does, in any tab. The
file is no module. Widgets have no build step and import nothing, so `script` sets its text before theirs.
"""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import streamlit as st

from audit.records.decision import Decision, Verdict
from audit.store import datasets as dataset_rows
from audit.ui import session
from audit.workbench import receiving
from audit.workbench.receiving import Conflict
from audit.workbench.shelf import Shelf

_ANSWER = "outbox-answer"
_LONGEST_NAME = 200


def script(path: Path) -> str:
    """Return a widget's JavaScript after what it shares with the others that decide."""
    shared = Path(__file__).with_name("outbox.js")
    return "\n".join(file.read_text(encoding="utf-8") for file in (shared, path))


def data() -> dict[str, Any]:
    """Return what `outbox.js` needs: what became of the last message, and what may be sent here.

    A browser may hold decisions about the datasets of another workspace that was served at this address.
    """
    return {
        "answer": st.session_state.get(_ANSWER),
        "datasets": [summary.id for summary in dataset_rows.all(session.shelf().workspace)],
    }


def take(message: object) -> bool:
    """Receive a message of a browser unless it was received before; true if it was new.

    Widgets call this when their value ``outbox`` changes and when they are drawn: a session that begins
    with a message, as after a restart of the server, calls no callback.
    """
    if not isinstance(message, dict):
        return False
    batch = cast("dict[str, object]", message)
    nonce = batch.get("nonce")
    if nonce == (st.session_state.get(_ANSWER) or {}).get("nonce"):
        return False
    st.session_state[_ANSWER] = {
        "nonce": nonce if isinstance(nonce, str) else None,
        **answer(batch.get("entries"), session.shelf(), session.reviewer()),
    }
    return True


def answer(entries: object, shelf: Shelf, reviewer: str) -> dict[str, Any]:
    """Store what a browser sends and return what became of it, as `outbox.js` reads it.

    Parameters
    ----------
    entries
        From the browser. Each counts for the person whose name stood on the page when it was
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
