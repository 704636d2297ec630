"""The distribution of a method's quantity: bars, the threshold rows with their band, the cut as a line."""

import plotly.graph_objects as go

from audit.ui.palette import Palette
from audit.workbench.ranking_view import Distribution

_HEIGHT = 190


def figure(shown: Distribution, cut: float | None, colours: Palette) -> go.Figure:
    """Return the figure; bars on the suspect side of the cut have the suspects' colour.

    Parameters
    ----------
    shown
        What to draw.
    cut
        In the quantity's unit, ``None`` for no line.
    colours
        Of the theme.
    """
    edges = shown.edges
    centres = (edges[:-1] + edges[1:]) / 2
    suspect = centres < edges[0]
    if cut is not None:
        suspect = centres <= cut if shown.low_is_suspect else centres >= cut
    samples = go.Bar(
        x=centres,
        y=shown.counts,
        width=edges[1:] - edges[:-1],
        marker={
            "color": [colours.suggested if is_suspect else colours.given for is_suspect in suspect],
            "line": {"width": 0},
        },
        name="samples",
        hovertemplate="%{y} samples around %{x:.3g}<extra></extra>",
    )
    made = go.Figure([samples])
    if shown.threshold is not None:
        made.add_trace(
            go.Scatter(
                x=centres,
                y=shown.threshold,
                yaxis="y2",
                mode="lines",
                line={"color": colours.threshold, "width": 1.5, "shape": "hvh"},
                fill="tozeroy",
                fillcolor=_faded(colours.threshold),
                name="threshold rows",
                hovertemplate="%{y:.0f} threshold rows around %{x:.3g}<extra></extra>",
            )
        )
    if shown.band is not None:
        made.add_vrect(*shown.band, fillcolor=colours.threshold, opacity=0.14, line_width=0)
    if cut is not None:
        made.add_vline(cut, line={"color": colours.ink, "width": 2})
    hidden = {"visible": False, "fixedrange": True, "rangemode": "tozero"}
    made.update_layout(
        height=_HEIGHT,
        margin={"l": 0, "r": 0, "t": 6, "b": 34},
        bargap=0,
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colours.faint, "size": 12},
        xaxis={
            "range": [shown.low, shown.high],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "linecolor": colours.line,
            "showline": True,
            "title": {"text": f"{shown.name} ({shown.unit})", "standoff": 4},
        },
        yaxis=hidden,
        yaxis2={**hidden, "overlaying": "y", "side": "right"},
        transition={"duration": 0},
    )
    return made


def alt(shown: Distribution, cut: float | None) -> str:
    """Return the figure in one or two sentences, for those who do not see it."""
    side = "Low" if shown.low_is_suspect else "High"
    said = (
        f"Distribution of {shown.name} over {shown.n_scored:,} samples, from {shown.low:g} to "
        f"{shown.high:g} {shown.unit}. {side} values are suspect."
    )
    if shown.band is not None:
        said += f" Threshold rows lie between {shown.band[0]:.2g} and {shown.band[1]:.2g}."
    return said + (f" The cut is at {cut:.3g}." if cut is not None else "")


def _faded(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return f"rgba({red},{green},{blue},0.22)"
