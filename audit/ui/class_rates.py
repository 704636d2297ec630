"""Rates of flags by class: a bar for the interval, a mark for the rate, and the figures in words."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from audit.ui import figures
from audit.ui.palette import Palette
from audit.workbench.comparing import ClassRates

MOST = 40
"""Classes in the table; those with the highest rate by the first method."""

_SIDE_BY_SIDE = 3
"""Methods whose figures have room beside their bars; of more they stand below."""

_SHEET = """<style>
.lr-scroll { overflow-x: auto; }
table.lr { border-collapse: collapse; width: 100%; margin: 0; color: var(--lf-ink); font-size: .9rem;
  font-variant-numeric: tabular-nums; }
table.lr caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
table.lr th, table.lr td { border: 0; border-bottom: 1px solid var(--lf-line); padding: .4rem .9rem .4rem 0;
  text-align: left; vertical-align: middle; }
table.lr thead th { color: var(--lf-faint); font-weight: 400; white-space: nowrap; }
table.lr th[scope=row] { font-weight: 600; max-width: 16rem; overflow-wrap: anywhere; }
table.lr td { min-width: 15.5rem; }
table.lr-many td { min-width: 9.6rem; }
.lr-line { display: flex; align-items: center; gap: .8rem; }
.lr-track { position: relative; flex: 1 1 6rem; min-width: 6rem; height: .95rem; border-radius: 3px;
  background: var(--lf-soft); }
.lr-track i { position: absolute; top: 50%; height: .5rem; margin-top: -.25rem; border-radius: 3px;
  opacity: .45; }
.lr-track b { position: absolute; top: 0; width: 3px; height: 100%; margin-left: -1.5px; border-radius: 2px; }
.lr-track u { position: absolute; top: 0; width: 0; height: 100%; border-left: 1px dashed var(--lf-faint); }
.lr-words { flex: 0 0 9.6rem; line-height: 1.25; }
.lr-words small { display: block; color: var(--lf-faint); font-size: .8rem; }
.lr-out { font-weight: 600; }
.lr-many .lr-line { flex-direction: column; align-items: stretch; gap: .3rem; }
.lr-many .lr-track, .lr-many .lr-words { flex: none; }
</style>"""


def draw(
    class_names: Sequence[str], methods: Sequence[str], rates: ClassRates, colours: Palette
) -> None:
    """Draw the rates of the first `MOST` classes.

    Parameters
    ----------
    class_names
        Of the dataset.
    methods
        Names, in the order of the rates.
    rates
        What to draw.
    colours
        Of the theme.
    """
    shown = range(min(len(rates.classes), MOST))
    judged = np.where(rates.is_too_small, np.nan, rates.high)[:, : len(shown)]
    overall = rates.overall[np.isfinite(rates.overall)]
    ends = np.concatenate([judged[np.isfinite(judged)], overall * 1.5, [0.01]])
    scale = min(1.0, float(ends.max()))
    head = "".join(
        f'<th scope="col">{escape(method)}, {_percent(rates.overall[number])} of all</th>'
        for number, method in enumerate(methods)
    )
    body = "".join(
        f'<tr><th scope="row">{escape(class_names[int(rates.classes[at])])}</th>'
        + "".join(_cell(rates, number, at, scale, colours) for number in range(len(methods)))
        + "</tr>"
        for at in shown
    )
    name = "lr" if len(methods) <= _SIDE_BY_SIDE else "lr lr-many"
    table = (
        f'<table class="{name}"><caption>Flagged part of every given class, with its 95 % interval</caption>'
        f'<thead><tr><th scope="col">Given class</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    st.html(_SHEET + figures.block(f'<div class="lr-scroll">{table}</div>', colours))


def _cell(rates: ClassRates, number: int, at: int, scale: float, colours: Palette) -> str:
    n_scored, n_flagged = int(rates.n_scored[number, at]), int(rates.n_flagged[number, at])
    if not n_scored:
        return '<td><span class="lr-words"><small>not scored</small></span></td>'
    rate, low, high = (float(values[number, at]) for values in (rates.rates, rates.low, rates.high))
    is_small = bool(rates.is_too_small[number, at])
    stands_out = bool(rates.stands_out[number, at])
    colour = colours.faint if is_small else colours.suggested if stands_out else colours.given
    left, width, mark, usual = (
        f"{100 * min(part / scale, 1.0):.1f}%"
        for part in (low, min(high, scale) - min(low, scale), rate, rates.overall[number])
    )
    track = (
        f'<span class="lr-track" aria-hidden="true"><u style="left:{usual}"></u>'
        f'<i style="left:{left};width:{width};background:{colour}"></i>'
        f'<b style="left:{mark};background:{colour}"></b></span>'
    )
    counts = f"{n_flagged:,} of {n_scored:,}"
    if is_small:
        words = f"{counts}<small>too small to judge</small>"
    else:
        name = ' class="lr-out"' if stands_out else ""
        below = f"{counts}, above the whole" if stands_out else counts
        words = (
            f"<span{name}>{_percent(rate)}</span>, {_percent(low)} to {_percent(high)}"
            f"<small>{below}</small>"
        )
    return f'<td><span class="lr-line">{track}<span class="lr-words">{words}</span></span></td>'


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f} %" if rate >= 0.095 or rate == 0 else f"{100 * rate:.1f} %"
