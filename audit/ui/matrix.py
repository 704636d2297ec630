"""Small tables of methods against methods or figures, shaded by value, as HTML for ``st.html``."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from audit.ui import figures
from audit.ui.palette import Palette

_STRONGEST = 0.42
"""Part of the colour in the darkest cell; text keeps a contrast of 4.5 on it in both themes."""

_SHEET = """<style>
.lm-scroll { overflow-x: auto; }
table.lm { border-collapse: separate; border-spacing: 3px; font-variant-numeric: tabular-nums;
  width: auto; margin: 0; color: var(--lf-ink); }
table.lm caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
table.lm th, table.lm td { border: 0; padding: .35rem .3rem; text-align: center; font-size: .9rem; }
table.lm th { font-weight: 400; color: var(--lf-faint); white-space: nowrap; }
table.lm th[scope=row] { text-align: right; padding: 0 .5rem 0 0; }
table.lm td { border-radius: 5px; min-width: 3.9rem; line-height: 1.25; }
table.lm td b { display: block; font-weight: 600; font-size: 1rem; }
table.lm td.lm-own { background: none; border: 1px solid var(--lf-line); }
table.lm td small { color: inherit; font-size: .76rem; white-space: nowrap; }
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell.

    Parameters
    ----------
    large, small
        What it says; the second line may be empty.
    share
        How strongly it is shaded, in [0, 1]; ``None`` for a cell that is not compared.
    """

    large: str
    small: str = ""
    share: float | None = None


def draw(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Cell]]],
    colours: Palette,
) -> None:
    """Draw a table.

    Parameters
    ----------
    caption
        What somebody hears who does not see it.
    columns
        Heads of the columns.
    rows
        Head and cells of each row.
    colours
        Of the theme.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f"{''.join(_cell(cell, colours) for cell in cells)}</tr>"
        for name, cells in rows
    )
    table = (
        f'<table class="lm"><caption>{escape(caption)}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    st.html(_SHEET + figures.block(f'<div class="lm-scroll">{table}</div>', colours))


def _cell(cell: Cell, colours: Palette) -> str:
    small = f"<small>{escape(cell.small)}</small>" if cell.small else ""
    if cell.share is None:
        return f'<td class="lm-own"><b>{escape(cell.large)}</b>{small}</td>'
    shade = mixed(colours.paper, colours.positive, _STRONGEST * min(max(cell.share, 0.0), 1.0))
    return f'<td style="background:{shade}"><b>{escape(cell.large)}</b>{small}</td>'


def mixed(ground: str, colour: str, share: float) -> str:
    """Return a colour laid over another.

    Parameters
    ----------
    ground, colour
        As ``#rrggbb``.
    share
        Of the second one, in [0, 1].

    Examples
    --------
    >>> mixed("#000000", "#ff8000", 0.5)
    '#804000'
    """
    parts = (
        round((1 - share) * int(ground[at : at + 2], 16) + share * int(colour[at : at + 2], 16))
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)
