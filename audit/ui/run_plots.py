"""Loss, accuracy and the ranking's stability of runs over their epochs."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from audit.ui.palette import Palette
from audit.workbench import settled
from audit.workbench.watching import Standing

_HEIGHT = 230
_DASHES = ("solid", "dash", "dot")
_PANELS = (
    ("loss", "Loss", ":.3f"),
    ("accuracy", "Accuracy", ":.1%"),
    (settled.OVERLAP, "Overlap", ":.1%"),
    (settled.RANK_CORRELATION, "Rank correlation", ":.3f"),
)
"""What an epoch recorded, its title, and how its values are written; all but the loss end at 1."""


def course(standings: Sequence[Standing], colours: Palette) -> go.Figure:
    """Return the course of runs, a line per run in each of four panels.

    Loss (nats) and accuracy on the labels trained on, then the overlap and the rank correlation of the
    ranking with that after half the epochs: with the levels at which it counts as settled, and a diamond
    where it had.

    Parameters
    ----------
    standings
        How the runs stand; those without a whole epoch draw nothing.
    colours
        Of the theme.
    """
    figure = make_subplots(
        rows=1,
        cols=len(_PANELS),
        subplot_titles=[title for _, title, _ in _PANELS],
        horizontal_spacing=0.05,
    )
    hues = (colours.positive, colours.given, colours.threshold, colours.suggested)
    for number, standing in enumerate(standings):
        epochs = [point["epoch"] + 1 for point in standing.curves]
        line = {"color": hues[number % len(hues)], "dash": _DASHES[number % 3], "width": 2}
        n_settled = settled.after(standing.run, standing.curves)
        for column, (quantity, _, form) in enumerate(_PANELS, start=1):
            figure.add_trace(
                go.Scatter(
                    x=epochs,
                    y=[point.get(quantity) for point in standing.curves],
                    name=_text(standing.run.name),
                    legendgroup=standing.run.id,
                    showlegend=column == 1,
                    mode="lines" if len(epochs) > 1 else "markers",
                    line=line,
                    hovertemplate=f"epoch %{{x}}: %{{y{form}}}<extra>%{{fullData.name}}</extra>",
                ),
                row=1,
                col=column,
            )
            if n_settled is not None and quantity in settled.LEVELS:
                figure.add_trace(
                    go.Scatter(
                        x=[n_settled],
                        y=[standing.curves[n_settled - 1].get(quantity)],
                        legendgroup=standing.run.id,
                        showlegend=False,
                        mode="markers",
                        marker={"symbol": "diamond", "size": 9, "color": line["color"]},
                        hovertemplate=f"settled after {n_settled} epochs<extra></extra>",
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
    figure.update_xaxes(range=[1, max(longest, 2)], title=None, nticks=4, **axis)
    figure.update_yaxes(rangemode="tozero", nticks=5, **axis)
    for column, (quantity, _, form) in enumerate(_PANELS[1:], start=2):
        percent = ".0%" if form.endswith("%") else None
        figure.update_yaxes(tickformat=percent, range=[0, 1.02], row=1, col=column)
        if quantity in settled.LEVELS:
            figure.add_hline(
                y=settled.LEVELS[quantity],
                line={"color": colours.faint, "width": 1, "dash": "dash"},
                row=1,  # type: ignore[arg-type]  plotly's stub wants text
                col=column,  # type: ignore[arg-type]
            )
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
            f"epochs {' and '.join(went) or 'nothing is known of them'}{_stability_in_words(standing)}"
        )
    return (
        "Loss, accuracy and stability by epoch. " + ("; ".join(parts) or "No whole epoch yet") + "."
    )


def _stability_in_words(standing: Standing) -> str:
    last = standing.curves[-1]
    if settled.OVERLAP not in last:
        return ""
    said = (
        f"; the ranking overlaps with that after half the epochs by {last[settled.OVERLAP]:.0%}, at a "
        f"rank correlation of {last[settled.RANK_CORRELATION]:.2f}"
    )
    n_settled = settled.after(standing.run, standing.curves)
    return said + ("" if n_settled is None else f", and had settled after {n_settled} epochs")


def _text(name: str) -> str:
    # Plotly reads a little HTML in names.
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
