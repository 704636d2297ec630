"""A table of recorded decisions in which one can be taken back, decided again, or opened.

`table.js` draws rows with ``textContent`` only, so that names and notes stay text. What is pressed
comes to Python as a list of wishes with tokens of their own; the list is sent whole each time and is
to be obeyed by token, so that a message that comes twice does nothing twice.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from audit.ui import palette

_HERE = Path(__file__).parent
_MOST_WISHES = 32
_TOKEN = re.compile(r"[0-9a-f-]{8,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One decision as the table draws it; all of it is text to be shown as it is.

    Parameters
    ----------
    number
        In the log.
    at
        ISO 8601 in UTC; the browser shows its own time and names this one.
    reviewer, sample_key, given, label, verdict, note
        The decision; labels by name, ``None`` where there is none.
    address
        Where the sample is shown.
    method, rank
        What ordered the samples for the person, if it was recorded.
    version
        Of the labels after the decision.
    state
        ``stands``, ``replaced`` or ``undone``.
    by, by_at, by_verdict
        Who replaced or undid it, when, and what was decided instead.
    """

    number: int
    at: str
    reviewer: str
    sample_key: str
    address: str
    given: str | None
    label: str | None
    verdict: str
    note: str
    method: str | None
    rank: int | None
    version: str
    state: str
    by: str | None = None
    by_at: str | None = None
    by_verdict: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody pressed.

    Parameters
    ----------
    token
        Names the wish; it comes again with every later one.
    act
        ``undo``, ``again``, or ``after``: take back what came after it.
    number
        Of the decision.
    """

    token: str
    act: str
    number: int


_component = component(
    "labeltrace.history_table",
    html='<div class="frame" tabindex="0" role="region" aria-label="Recorded decisions"></div>',
    css=(_HERE / "table.css").read_text(encoding="utf-8"),
    js=(_HERE / "table.js").read_text(encoding="utf-8"),
)


def draw(
    rows: Sequence[Row], *, key: str, on_wishes: Callable[[Sequence[Wish]], None]
) -> str | None:
    """Draw the table and return the key of a sample that somebody wants to open, if any.

    Parameters
    ----------
    rows
        In order.
    key
        Identity of the table on its page.
    on_wishes
        Called before the page runs again with all recent wishes, the new ones among them.
    """

    def pressed() -> None:
        state: Any = st.session_state.get(key) or {}
        on_wishes(wishes(state.get("wishes")))

    result: Any = _component(
        key=key,
        data={"rows": [asdict(row) for row in rows], "colours": asdict(palette.current())},
        on_wishes_change=pressed,
        on_open_change=lambda: None,
    )
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def wishes(sent: object) -> tuple[Wish, ...]:
    """Return what a browser sent as far as it can be believed, in order.

    Examples
    --------
    >>> wishes([{"token": "0123abcd", "act": "undo", "number": 7}, {"act": "drop"}, 3])
    (Wish(token='0123abcd', act='undo', number=7),)
    """
    found: list[Wish] = []
    for one in sent[-_MOST_WISHES:] if isinstance(sent, list) else []:
        if not isinstance(one, dict):
            continue
        token, act, number = one.get("token"), one.get("act"), one.get("number")
        is_token = isinstance(token, str) and _TOKEN.fullmatch(token) is not None
        is_number = isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**53
        if is_token and is_number and act in ("undo", "again", "after"):
            found.append(Wish(token=str(token), act=str(act), number=int(number or 0)))
    return tuple(found)
