"""The plot of a data map: variability to the right, confidence upwards, coloured by correctness."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from audit.ui.matrix import mixed
from audit.ui.palette import Palette
from audit.ui.trajectory_plots import as_text
from audit.workbench.data_map import Mapped, Points

HEIGHT = 560

STEPS = 5
"""Steps of correctness that have a colour of their own."""

_FONT = '"Source Sans", "Source Sans 3", sans-serif'
_HIGHEST = 0.5  # the deviation of something that is half the time 0 and half the time 1


def figure(
    mapped: Mapped, points: Points, flagged: NDArray[np.bool_], *, method: str, colours: Palette
) -> go.Figure:
    """Return the plot; positions in the dataset travel as custom data.

    Parameters
    ----------
    mapped, points
        The map, and which of its rows are drawn.
    flagged
        (N,) bool, over the dataset.
    method
        Whose flags they are.
    colours
        Of the theme.
    """
    plot = go.Figure()
    is_flagged = flagged[mapped.positions[points.rows]]
    step = _steps(mapped)[points.rows]
    shades = _shades(colours)
    outline = {"width": 0.7, "color": colours.ink}
    for number, shade in enumerate(shades):
        marker: dict[str, object] = {"size": 5, "opacity": 0.6, "color": shade}
        _scatter(plot, mapped, points.rows[~is_flagged & (step == number)], marker)
    # Above the others, whatever their step.
    for number, shade in enumerate(shades):
        marker = {"size": 7, "symbol": "diamond", "color": shade, "line": outline}
        _scatter(plot, mapped, points.rows[is_flagged & (step == number)], marker)
    _legend(plot, shades, method, colours)
    _borders(plot, mapped, colours)
    _style(plot, mapped, colours)
    return plot


def _steps(mapped: Mapped) -> NDArray[np.int64]:
    """Return the step of correctness of each row, 0 for never right up to `STEPS` - 1."""
    share = mapped.made.correctness / mapped.made.n_epochs
    return np.clip(np.ceil(share * STEPS).astype(np.int64) - 1, 0, STEPS - 1)


def _shades(colours: Palette) -> tuple[str, ...]:
    """Return a colour per step, from the rival's over a grey to the one for agreement."""
    grey = mixed(colours.paper, colours.faint, 0.6)
    half = STEPS // 2
    return (
        *(mixed(colours.suggested, grey, number / half) for number in range(half)),
        grey,
        *(mixed(grey, colours.positive, number / half) for number in range(1, half + 1)),
    )


def _scatter(
    plot: go.Figure,
    mapped: Mapped,
    rows: NDArray[np.int64],
    marker: dict[str, object],
) -> None:
    made = mapped.made
    plot.add_trace(
        go.Scattergl(
            x=made.variability[rows].astype(np.float32),
            y=made.confidence[rows].astype(np.float32),
            showlegend=False,
            mode="markers",
            customdata=mapped.positions[rows],
            text=made.correctness[rows],
            marker=marker,
            hovertemplate=(
                "confidence %{y:.2f}, variability %{x:.2f}<br>"
                f"right in %{{text}} of {made.n_epochs} epochs<extra></extra>"
            ),
            # What is not chosen stays visible as ground.
            unselected={"marker": {"opacity": 0.15}},
            selected={"marker": {"opacity": 1}},
        )
    )


def _legend(plot: go.Figure, shades: Sequence[str], method: str, colours: Palette) -> None:
    """Name every shade and the mark of flags, also where no point has it."""
    for number, shade in enumerate(shades):
        low, high = (round(100 * end / STEPS) for end in (number, number + 1))
        plot.add_scatter(
            x=[None], y=[None], mode="markers", marker={"size": 9, "color": shade},
            name=f"{low} – {high} %" if number else f"right in 0 – {high} % of epochs",
        )  # fmt: skip
    plot.add_scatter(
        x=[None], y=[None], mode="markers", name=f"flagged by {as_text(method)}",
        marker={"size": 9, "symbol": "diamond-open", "color": colours.ink},
    )  # fmt: skip


def _borders(plot: go.Figure, mapped: Mapped, colours: Palette) -> None:
    line = {"color": colours.faint, "width": 1, "dash": "dot"}
    border = mapped.ambiguous_from
    if not np.isfinite(border):
        return
    plot.add_shape(type="line", x0=border, x1=border, y0=0, y1=1, line=line, layer="below")
    plot.add_shape(type="line", x0=0, x1=border, y0=0.5, y1=0.5, line=line, layer="below")
    for text, x, y, side in (
        ("easy", 0.0, 1.0, "left"),
        ("hard", 0.0, 0.0, "left"),
        ("ambiguous", 1.0, 0.5, "right"),
    ):
        plot.add_annotation(
            text=text, x=x, xref="x domain", y=y, yref="y domain", xanchor=side, showarrow=False,
            yanchor="bottom" if y == 0.0 else "top" if y == 1.0 else "middle",
            xshift=6 if side == "left" else -2, font={"color": colours.ink, "size": 13},
            bgcolor=colours.paper, opacity=0.85,
        )  # fmt: skip


def _style(plot: go.Figure, mapped: Mapped, colours: Palette) -> None:
    axis = {
        "gridcolor": colours.line,
        "zeroline": False,
        "linecolor": colours.line,
        "tickfont": {"color": colours.faint, "size": 12},
        "title_font": {"color": colours.faint, "size": 13},
    }
    highest = float(mapped.made.variability.max(initial=0.0))
    plot.update_xaxes(
        title_text="Variability: standard deviation of the label's probability",
        range=[-0.01, max(0.05, min(_HIGHEST, highest)) * 1.04], title_standoff=8, **axis,
    )  # fmt: skip
    plot.update_yaxes(
        title_text="Confidence: mean probability of the label", range=[-0.03, 1.03],
        title_standoff=6, automargin=True, **axis,
    )  # fmt: skip
    plot.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": 34, "b": 84},
        font={"family": _FONT, "size": 13, "color": colours.ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode="lasso",
        hoverlabel={"bgcolor": colours.paper, "bordercolor": colours.line,
                    "font": {"color": colours.ink, "family": _FONT}},
        legend={"orientation": "h", "x": 0, "y": -0.13, "yanchor": "top", "xanchor": "left",
                "itemclick": False, "itemdoubleclick": False,
                "font": {"size": 12, "color": colours.ink}, "itemsizing": "constant"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": colours.faint, "activecolor": colours.ink},
        newselection={"line": {"color": colours.ink, "width": 2}},
        activeselection={"fillcolor": colours.positive, "opacity": 0.08},
    )  # fmt: skip
