"""Large numbers, bars and thumbnails as HTML for ``st.html``; every text of a user is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from audit.records.decision import Verdict
from audit.ui.palette import Palette

COLUMNS = 10
"""Thumbnails in a row of a sheet, as `audit.workbench.thumbnails` lays them out."""

VERDICT_WORDS: Mapping[Verdict, str] = {
    Verdict.KEEP: "kept",
    Verdict.RELABEL: "relabelled",
    Verdict.EXCLUDE: "excluded",
    Verdict.UNSURE: "unsure",
}

_SHEET = """<style>
.lf { color: var(--lf-ink); line-height: 1.4; }
.lf p { margin: 0; }
.lf-faint { color: var(--lf-faint); font-size: .9rem; }
.lf dl.lf-numbers { display: flex; flex-wrap: wrap; gap: .9rem 2.6rem; margin: 0; padding: 0; }
.lf-numbers > div { margin: 0; padding: 0; }
.lf-numbers > div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.lf .lf-numbers dd { margin: 0; padding: 0; font-size: 1.75rem; font-weight: 600; line-height: 1.15;
  font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.lf .lf-numbers dt { margin: 0; padding: 0; color: var(--lf-faint); font-size: .87rem; font-weight: 400; }
.lf-track { display: flex; gap: 2px; height: .5rem; border-radius: 999px; overflow: hidden;
  background: var(--lf-line); }
.lf-track > span { display: block; min-width: 3px; }
.lf-legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: .4rem;
  color: var(--lf-faint); font-size: .87rem; font-variant-numeric: tabular-nums; }
.lf-legend i { display: inline-block; width: .6rem; height: .6rem; border-radius: 2px;
  margin-right: .4rem; }
.lf-work { display: grid; grid-template-columns: minmax(0, 1fr) 9rem 6.5rem; gap: .2rem .9rem;
  align-items: center; font-size: .9rem; font-variant-numeric: tabular-nums; }
.lf-work > :nth-child(3n + 1) { overflow-wrap: anywhere; }
.lf-work > :nth-child(3n) { color: var(--lf-faint); text-align: right; }
.lf-trouble { color: var(--lf-bad); font-size: .9rem; overflow-wrap: anywhere; }
.lf-tiles { display: flex; flex-wrap: wrap; gap: 4px; min-height: 1px; }
.lf-tile { display: block; flex: none; border-radius: 4px; background-color: var(--lf-soft);
  image-rendering: auto; }
.lf-classes { display: grid; gap: 1.15rem 2.2rem;
  grid-template-columns: repeat(auto-fill, minmax(25.2rem, 1fr)); }
.lf-class { min-width: 0; }
.lf-class-head { display: flex; justify-content: space-between; gap: 1rem; }
.lf-class-name { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.lf-class-count { color: var(--lf-faint); font-size: .9rem;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.lf-class .lf-track { height: .3rem; margin: .25rem 0 .5rem; }
.lf-problems { display: grid; gap: .6rem; }
.lf-problem { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .9rem;
  align-items: center; overflow-wrap: anywhere; }
.lf dl.lf-facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1.4rem;
  margin: 0; padding: 0; font-size: .9rem; }
.lf .lf-facts dt { color: var(--lf-faint); font-weight: 400; margin: 0; padding: 0; }
.lf .lf-facts dd { margin: 0; padding: 0; overflow-wrap: anywhere; }
@media (max-width: 60rem) { .lf-work { grid-template-columns: minmax(0, 1fr) 6rem 4rem; }
  .lf-classes { grid-template-columns: minmax(0, 1fr); } }
</style>"""


def style() -> None:
    """Draw the style sheet that every other thing here needs; once per page."""
    st.html(_SHEET)


def block(body: str, colours: Palette) -> str:
    """Return HTML of this module with the colours of the theme around it."""
    variables = (
        f"--lf-ink:{colours.ink};--lf-faint:{colours.faint};--lf-line:{colours.line};"
        f"--lf-soft:{ground(colours)};--lf-bad:{colours.exclude};--lf-good:{colours.positive}"
    )
    return f'<div class="lf" style="{variables}">{body}</div>'


def ground(colours: Palette) -> str:
    """Return the colour that surrounds thumbnails, ``#rrggbb``."""
    return "#f3f0e9" if colours.paper > "#8" else "#1f2428"


def numbers(pairs: Sequence[tuple[str, str]]) -> str:
    """Return large numbers with what they count below them.

    Parameters
    ----------
    pairs
        Value, and what it is.
    """
    rows = "".join(f"<div><dt>{escape(w)}</dt><dd>{escape(n)}</dd></div>" for n, w in pairs)
    return f'<dl class="lf-numbers">{rows}</dl>'


def verdict_bar(verdicts: Mapping[Verdict, int], n_left: int, colours: Palette) -> str:
    """Return a bar of what was decided, by verdict, before a rest that is still to be decided."""
    total = max(1, sum(verdicts.values()) + n_left)
    parts, legend = "", ""
    for verdict, count in verdicts.items():
        colour = getattr(colours, str(verdict))
        parts += f'<span style="width:{100 * count / total:.2f}%;background:{colour}"></span>'
        legend += (
            f'<span><i style="background:{colour}"></i>{count:,} {VERDICT_WORDS[verdict]}</span>'
        )
    told = ", ".join(f"{count:,} {VERDICT_WORDS[verdict]}" for verdict, count in verdicts.items())
    label = f"Decided: {told or 'none'}; {n_left:,} suspects left."
    below = f'<div class="lf-legend" aria-hidden="true">{legend}</div>' if legend else ""
    return f'<div class="lf-track" role="img" aria-label="{label}">{parts}</div>{below}'


def bar(fraction: float, colour: str, label: str) -> str:
    """Return a bar that is filled to a fraction in [0, 1]."""
    width = f"{100 * min(max(fraction, 0.0), 1.0):.1f}"
    return (
        f'<div class="lf-track" role="img" aria-label="{escape(label)}">'
        f'<span style="width:{width}%;background:{colour}"></span></div>'
    )


def sheet_address(
    dataset_id: str, positions: Sequence[int], side: int, colours: Palette
) -> str | None:
    """Return where thumbnails of a stored dataset lie on one sheet, ``None`` for no samples."""
    if not positions:
        return None
    at = ",".join(map(str, positions))
    return f"api/datasets/{dataset_id}/sheet?at={at}&side={side}&ground={ground(colours)[1:]}"


def tile(sheet: str | None, number: int, n_tiles: int, side: int) -> str:
    """Return one thumbnail of a sheet.

    Parameters
    ----------
    sheet
        Address of the sheet, made by us; ``None`` leaves the place empty.
    number, n_tiles
        Which of how many.
    side
        In pixels.
    """
    place = ""
    if sheet is not None:
        n_rows = -(-n_tiles // COLUMNS)
        left, top = number % COLUMNS * side, number // COLUMNS * side
        place = (
            f";background-image:url('{escape(sheet)}');background-position:-{left}px -{top}px;"
            f"background-size:{COLUMNS * side}px {n_rows * side}px"
        )
    return f'<span class="lf-tile" style="width:{side}px;height:{side}px{place}"></span>'


def size_in_words(n_bytes: int) -> str:
    """Return bytes as people say them.

    Examples
    --------
    >>> size_in_words(2_300_000_000), size_in_words(1_500_000), size_in_words(900)
    ('2.3 GB', '1.5 MB', '1 kB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{max(1, round(n_bytes / 1e3))} kB"
