"""The distribution of a method's quantity: bars, the threshold rows with their band, the cut as a line.

It is drawn by `distribution.js` and not by Plotly: loading that library kept the first thumbnails of the
page waiting for longer than everything else together.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from audit.ui import palette
from audit.workbench.cuts import Distribution

_HERE = Path(__file__).parent

_component = component(
    "labeltrace.distribution",
    html=(_HERE / "distribution.html").read_text(encoding="utf-8"),
    css=(_HERE / "distribution.css").read_text(encoding="utf-8"),
    js=(_HERE / "distribution.js").read_text(encoding="utf-8"),
)


def draw(
    shown: Distribution, cut: float | None, *, key: str, on_cut: Callable[[float], None]
) -> None:
    """Draw a distribution; a click moves the cut.

    Parameters
    ----------
    shown
        What to draw.
    cut
        Where the line is, in the quantity's unit; ``None`` for no line.
    key
        Identity on the page.
    on_cut
        Told where the cut was moved to, within the range of the quantity.
    """

    def moved() -> None:
        value: Any = (st.session_state.get(key) or {}).get("cut")
        # From the browser, not to be trusted.
        if isinstance(value, int | float) and math.isfinite(value):
            on_cut(min(max(float(value), shown.low), shown.high))

    _component(key=key, data=data(shown, cut), on_cut_change=moved)


def data(shown: Distribution, cut: float | None) -> dict[str, Any]:
    """Return what `distribution.js` draws; a few numbers per bar."""
    return {
        "name": shown.name,
        "unit": "" if shown.unit == "none" else shown.unit,
        "low_is_suspect": shown.low_is_suspect,
        "low": shown.low,
        "high": shown.high,
        "step": shown.step,
        "counts": shown.counts.tolist(),
        "threshold": None if shown.threshold is None else shown.threshold.round(1).tolist(),
        "band": shown.band,
        "precision": _percentages(shown),
        "cut": cut,
        "alt": alt(shown, cut),
        "colours": asdict(palette.current()),
    }


def _percentages(shown: Distribution) -> list[int | None] | None:
    if shown.precision is None:
        return None
    return [None if math.isnan(part) else round(100 * part) for part in shown.precision.tolist()]


def alt(shown: Distribution, cut: float | None) -> str:
    """Return the figure in a few sentences, for those who do not see it."""
    side = "Low" if shown.low_is_suspect else "High"
    unit = "" if shown.unit == "none" else f" {shown.unit}"
    said = (
        f"Distribution of {shown.name} over {shown.n_scored:,} samples, from {shown.low:g} to "
        f"{shown.high:g}{unit}. {side} values are suspect."
    )
    if shown.band is not None:
        said += (
            f" From the 10th to the 99th percentile, threshold rows lie between "
            f"{shown.band[0]:.2g} and {shown.band[1]:.2g}."
        )
    if cut is None:
        return said
    said += f" The line stands at {cut:.3g}"
    if shown.precision is None:
        return said + "."
    place = (cut - shown.low) / (shown.high - shown.low) * (len(shown.precision) - 1)
    precision = float(shown.precision[min(max(round(place), 0), len(shown.precision) - 1)])
    return said + (
        "."
        if math.isnan(precision)
        else f", where about {precision:.0%} of the suspects are wrong."
    ).replace("%", " %")
