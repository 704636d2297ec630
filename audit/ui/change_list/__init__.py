"""Samples in a list, each with its thumbnail, what its label becomes, and a choice where people disagree.

`list.js` draws texts with ``textContent`` only. What is chosen comes to Python as the whole state of the
rows that are shown, so that a message that comes twice or late changes nothing twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.components.v2 import component

from audit.records.dataset import Dataset
from audit.ui import figures, palette

PER_PAGE = 50
"""Rows that are drawn at once."""

_SIDE = 64
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One person's decision, which may be chosen.

    Parameters
    ----------
    name
        Who decided.
    says
        What, in a word or two.
    detail
        Where it comes from.
    at
        ISO 8601 in UTC; the browser shows its own time.
    """

    name: str
    says: str
    detail: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sample as the list draws it; all of it is text to be shown as it is.

    Parameters
    ----------
    sample_key, given
        The sample; ``None`` without a label.
    labels
        What its label was and becomes, in words.
    by, at
        Who made the difference and when (ISO 8601 in UTC), if it was made.
    choices
        Decisions among which one may choose.
    unless
        What stands without a choice, in words.
    chosen
        Name of the person whose decision was chosen.
    """

    sample_key: str
    given: str | None
    labels: tuple[str, ...] = ()
    by: str | None = None
    at: str | None = None
    choices: tuple[Choice, ...] = ()
    unless: str = ""
    chosen: str | None = None


_component = component(
    "labeltrace.change_list",
    html='<div class="frame" tabindex="0" role="region"></div>',
    css=(_HERE / "list.css").read_text(encoding="utf-8"),
    js=(_HERE / "list.js").read_text(encoding="utf-8"),
)


def draw(
    dataset: Dataset,
    positions: Mapping[str, int],
    lines: Sequence[Line],
    *,
    title: str,
    key: str,
    on_choose: Callable[[Mapping[str, str | None]], None] | None = None,
) -> str | None:
    """Draw the list and return the key of a sample that somebody wants to open, if any.

    Parameters
    ----------
    dataset, positions
        Whose samples, and their positions by key.
    lines
        In order, at most `PER_PAGE`.
    title
        What the list is, for those who do not see it.
    key
        Identity on its page.
    on_choose
        Told the choice of every row that has one to make, ``None`` for none.
    """

    def chose() -> None:
        state: Any = st.session_state.get(key) or {}
        if on_choose is not None:
            on_choose(choices(state.get("choices"), lines))

    result: Any = _component(
        key=key,
        data=data(dataset, positions, lines, title=title),
        on_choices_change=chose,
        on_open_change=lambda: None,
    )
    opened = result.get("open")
    return opened if isinstance(opened, str) else None


def data(
    dataset: Dataset, positions: Mapping[str, int], lines: Sequence[Line], *, title: str
) -> dict[str, Any]:
    """Return what `list.js` draws; addresses are relative to where the pages are served."""
    colours = palette.current()
    # A patch of other data is refused before, so every key is known; a list without pictures is drawn
    # whatever comes.
    shown = [positions[line.sample_key] for line in lines if line.sample_key in positions]
    places = {position: place for place, position in enumerate(shown)}
    return {
        "title": title,
        "side": _SIDE,
        "columns": figures.COLUMNS,
        "n_tiles": len(shown),
        "sheet": figures.sheet_address(dataset.id, shown, _SIDE, colours),
        "rows": [
            {
                **asdict(line),
                "place": places.get(positions.get(line.sample_key, -1)),
                "address": "sample?"
                + urlencode({"dataset": dataset.name, "sample": line.sample_key}),
            }
            for line in lines
        ],
        "colours": asdict(colours),
    }


def choices(sent: object, lines: Sequence[Line]) -> dict[str, str | None]:
    """Return what a browser chose as far as it can be believed.

    Examples
    --------
    >>> one = Choice(name="ann", says="keep", detail="", at="2026-01-02T03:04:05Z")
    >>> choices(
    ...     {"a.png": "ann", "b.png": "ann"}, [Line(sample_key="a.png", given=None, choices=(one,))]
    ... )
    {'a.png': 'ann'}
    >>> choices({"a.png": "eve"}, [Line(sample_key="a.png", given=None, choices=(one,))])
    {'a.png': None}
    """
    if not isinstance(sent, Mapping):
        return {}
    found: dict[str, str | None] = {}
    for line in lines:
        if line.sample_key in sent and line.choices:
            name = sent[line.sample_key]
            is_known = any(choice.name == name for choice in line.choices)
            found[line.sample_key] = name if is_known else None
    return found
