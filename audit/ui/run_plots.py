"""Loss and accuracy of runs over their epochs."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from audit.ui.palette import Palette
from audit.workbench.watching import Standing

_HEIGHT = 230
_DASHES = ("solid", "dash", "dot")


def course(standings: Sequence[Standing], colours: Palette) -> go.Figure:
    """Return loss (nats) and accuracy on the labels trained on, side by side, a line per run.

    Parameters
    ----------
    standings
        How the runs stand; those without a whole epoch draw nothing.
    colours
        Of the theme.
    """
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=("Loss", "Accuracy"), horizontal_spacing=0.09
    )
    hues = (colours.positive, colours.given, colours.threshold, colours.suggested)
    for number, standing in enumerate(standings):
        epochs = [point["epoch"] + 1 for point in standing.curves]
        line = {"color": hues[number % len(hues)], "dash": _DASHES[number % 3], "width": 2}
        for column, quantity in ((1, "loss"), (2, "accuracy")):
            figure.add_trace(
                go.Scatter(
                    x=epochs,
                    y=[point.get(quantity) for point in standing.curves],
                    name=_text(standing.run.name),
                    legendgroup=standing.run.id,
                    showlegend=column == 1,
                    mode="lines" if len(epochs) > 1 else "markers",
                    line=line,
                    hovertemplate="epoch %{x}: %{y"
                    + (":.3f}" if column == 1 else ":.1%}")
                    + "<extra>%{fullData.name}</extra>",
                ),
                row=1,
                col=column,
            )
    longest = max((standing.run.config.epochs for standing in standings), default=1)
    axis = {
        "gridcolor": colours.line,
        "zeroline": False,
        "linecolor": colours.line,
        "tickfont": {"color": colours.faint, "size": 12},
    }
    figure.update_xaxes(range=[1, max(longest, 2)], title=None, nticks=6, **axis)
    figure.update_yaxes(rangemode="tozero", nticks=5, **axis)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], row=1, col=2)
    figure.update_annotations(font={"size": 13, "color": colours.faint})
    figure.update_layout(
        height=_HEIGHT + (24 if len(standings) > 1 else 0),
        margin={"l": 40, "r": 8, "t": 26, "b": 48 if len(standings) > 1 else 24},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colours.ink, "family": '"Source Sans", "Source Sans Pro", sans-serif'},
        showlegend=len(standings) > 1,
        legend={"orientation": "h", "y": -0.16, "x": 0, "font": {"color": colours.ink}},
        uirevision="kept",  # a zoom survives the next epoch
    )
    return figure


def course_in_words(standings: Sequence[Standing]) -> str:
    """Return what `course` shows, for people who do not see it."""
    parts: list[str] = []
    for standing in standings:
        if not standing.curves:
            continue
        first, last = standing.curves[0], standing.curves[-1]
        went = [
            f"the {name} went from {first[name]:{form}} to {last[name]:{form}}"
            for name, form in (("loss", ".3f"), ("accuracy", ".0%"))
            if name in first and name in last
        ]
        parts.append(
            f"{standing.run.name}: after {len(standing.curves)} of {standing.run.config.epochs} "
            f"epochs {' and '.join(went) or 'nothing is known of them'}"
        )
    return "Loss and accuracy by epoch. " + ("; ".join(parts) or "No whole epoch yet") + "."


def _text(name: str) -> str:
    # Plotly reads a little HTML in names.
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
