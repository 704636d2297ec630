"""Accuracies of the arms of a comparison, and their course over the epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from audit.records.comparison import Arm
from audit.ui.palette import Palette
from audit.workbench.retraining_report import ArmFigures, Report

_ROW = 46
_HEIGHT = 260


def hues(colours: Palette) -> Mapping[Arm, str]:
    """Return the colour of each arm; its name always stands beside it."""
    return {
        Arm.GIVEN: colours.faint,
        Arm.DROPPED: colours.exclude,
        Arm.RELABELLED: colours.relabel,
        Arm.DOWNWEIGHTED: colours.threshold,
        Arm.AUTOMATIC: colours.unsure,
        Arm.ORACLE: colours.keep,
    }


def accuracies(report: Report, colours: Palette) -> go.Figure:
    """Return a row per arm: its accuracy as a point, its interval as a line; the given labels as a rule."""
    figure = go.Figure()
    done = [one for one in report.arms if one.accuracy is not None]
    for one in done:
        estimate = one.accuracy
        assert estimate is not None
        figure.add_trace(
            go.Scatter(
                x=[estimate.value],
                y=[str(one.arm)],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [estimate.high - estimate.value],
                    "arrayminus": [estimate.value - estimate.low],
                    "color": hues(colours)[one.arm],
                    "thickness": 2,
                    "width": 6,
                },
                mode="markers",
                marker={"size": 11, "color": hues(colours)[one.arm]},
                hovertemplate=(
                    f"{one.arm}: %{{x:.2%}} ({estimate.low:.2%} – {estimate.high:.2%})<extra></extra>"
                ),
                showlegend=False,
            )
        )
    base = next((one.accuracy for one in done if one.arm is Arm.GIVEN), None)
    if base is not None:
        figure.add_vline(x=base.value, line={"color": colours.faint, "width": 1, "dash": "dash"})
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[str(one.arm) for one in reversed(done)],
        tickfont={"size": 14, "color": colours.ink},
        gridcolor="rgba(0,0,0,0)",
    )
    figure.update_xaxes(tickformat=".1%", **_axis(colours))
    return _laid_out(figure, colours, height=60 + _ROW * max(1, len(done)))


def course(arms: Sequence[ArmFigures], colours: Palette) -> go.Figure:
    """Return the accuracy on the test split over the epochs: mean of the seeds, and their span."""
    figure = go.Figure()
    for one in arms:
        if not one.course:
            continue
        epochs = [point[0] for point in one.course]
        colour = hues(colours)[one.arm]
        figure.add_trace(
            go.Scatter(
                x=[*epochs, *reversed(epochs)],
                y=[*(point[3] for point in one.course), *(p[2] for p in reversed(one.course))],
                fill="toself",
                fillcolor=_faded(colour),
                mode="lines",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=str(one.arm),
            )
        )
        figure.add_trace(
            go.Scatter(
                x=epochs,
                y=[point[1] for point in one.course],
                name=str(one.arm),
                legendgroup=str(one.arm),
                mode="lines+markers",
                marker={"size": 5},
                line={"color": colour, "width": 2},
                hovertemplate=f"{one.arm}, epoch %{{x}}: %{{y:.2%}}<extra></extra>",
            )
        )
    figure.update_xaxes(title={"text": "epoch", "font": {"color": colours.faint}}, **_axis(colours))
    figure.update_yaxes(tickformat=".0%", **_axis(colours))
    return _laid_out(figure, colours, height=_HEIGHT, has_legend=True)


def accuracies_in_words(report: Report) -> str:
    """Return what `accuracies` shows, for people who do not see it."""
    told = [
        f"{one.arm} {one.accuracy.value:.1%}, between {one.accuracy.low:.1%} and "
        f"{one.accuracy.high:.1%}"
        for one in report.arms
        if one.accuracy is not None
    ]
    return "Accuracy on the test split by arm. " + ("; ".join(told) or "None is trained yet") + "."


def course_in_words(arms: Sequence[ArmFigures]) -> str:
    """Return what `course` shows, for people who do not see it."""
    told = [
        f"{one.arm} from {one.course[0][1]:.1%} after {one.course[0][0]} to {one.course[-1][1]:.1%} "
        f"after {one.course[-1][0]} epochs"
        for one in arms
        if one.course
    ]
    return "Accuracy on the test split over the epochs. " + "; ".join(told) + "."


def gain(
    points: Sequence[Mapping[str, float]], colours: Palette, *, height: int = 120
) -> go.Figure:
    """Return the estimated gain over the number of decisions, in points of accuracy, with its interval."""
    figure = go.Figure()
    numbers = [0, *(point["n_decisions"] for point in points)]

    def of(name: str) -> list[float]:
        return [0.0, *(100 * point[name] for point in points)]

    figure.add_trace(
        go.Scatter(
            x=[*numbers, *reversed(numbers)],
            y=[*of("high"), *reversed(of("low"))],
            fill="toself",
            fillcolor=_faded(colours.positive),
            mode="lines",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=of("gain"),
            mode="lines+markers",
            marker={"size": 6},
            line={"color": colours.positive, "width": 2},
            hovertemplate="%{x} decisions: %{y:+.2f} points<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_hline(y=0, line={"color": colours.faint, "width": 1, "dash": "dash"})
    figure.update_xaxes(nticks=6, **_axis(colours))
    figure.update_yaxes(ticksuffix="", nticks=4, **_axis(colours))
    return _laid_out(figure, colours, height=height)


def _axis(colours: Palette) -> dict[str, Any]:
    return {
        "gridcolor": colours.line,
        "zeroline": False,
        "linecolor": colours.line,
        "tickfont": {"color": colours.faint, "size": 12},
    }


def _laid_out(
    figure: go.Figure, colours: Palette, *, height: int, has_legend: bool = False
) -> go.Figure:
    figure.update_layout(
        height=height + (24 if has_legend else 0),
        margin={"l": 8, "r": 12, "t": 10, "b": 24},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colours.ink, "family": '"Source Sans", "Source Sans Pro", sans-serif'},
        showlegend=has_legend,
        legend={"orientation": "h", "y": 1.12, "x": 0, "font": {"color": colours.ink}},
        uirevision="kept",
    )
    figure.update_yaxes(automargin=True)
    return figure


def _faded(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},.16)"
