"""The plot of explanations: each run's trajectory, below it the importance of epochs for every method.

All rows share one time axis, also where runs have different numbers of epochs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from audit.records.explanation import Course, Envelope, Explanation
from audit.ui.palette import Palette
from audit.ui.trajectory_plots import as_text
from audit.workbench import explanation_words

_FONT = '"Source Sans", "Source Sans 3", sans-serif'
_COURSE, _BARS, _BLANK, _GAP = 240, 130, 56, 46
_FEW_EPOCHS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One run, and what was explained on it.

    Parameters
    ----------
    course
        How the run took up the sample's label.
    explanations
        One per method, at least one.
    """

    course: Course
    explanations: tuple[Explanation, ...]


def figure(groups: Sequence[Group], colours: Palette) -> go.Figure:
    """Return the plot of at least one group, in the colours of the theme."""
    heights: list[int] = []
    for group in groups:
        heights.append(_COURSE)
        heights += [_BARS if found.is_reliable else _BLANK for found in group.explanations]
    total = sum(heights) + _GAP * (len(heights) - 1)
    plot = make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=_GAP / total if len(heights) > 1 else 0,
    )
    row = 0
    courses: list[int] = []
    for group in groups:
        row += 1
        courses.append(row)
        _course(plot, row, group.course, colours, is_first=row == 1)
        title = "Margin in logits"
        if len(groups) > 1:
            title += f", run {as_text(group.course.run_name)}"
        _title(plot, row, title, colours)
        for found in group.explanations:
            row += 1
            _bars(plot, row, found, colours)
    _style(plot, colours, height=total, n_rows=row, n_epochs=max(g.course.n_epochs for g in groups))
    for row in courses:
        plot.update_xaxes(showticklabels=True, row=row, col=1)
    return plot


def in_words(groups: Sequence[Group]) -> str:
    """Return what the plot shows for those who do not see it."""
    said: list[str] = []
    for group in groups:
        course = group.course
        said.append(f"Run {course.run_name}: {explanation_words.story(course)}")
        said += [
            f"Median margin of {band.name}: {band.middle[0]:.2f} logits in epoch 1, "
            f"{band.middle[-1]:.2f} in epoch {course.n_epochs}; this sample: "
            f"{course.margins[0]:.2f} and {course.margins[-1]:.2f}."
            for band in (course.clean, course.planted)
            if band is not None
        ]
        said += [
            f"{found.method}: {explanation_words.finding(found)}" for found in group.explanations
        ]
    return " ".join(said)


def _course(plot: go.Figure, row: int, course: Course, colours: Palette, *, is_first: bool) -> None:
    epochs = list(range(1, course.n_epochs + 1))
    if course.planted is not None:
        _band(plot, row, epochs, course.planted, colours.threshold, pattern="/", shown=is_first)
    if course.clean is not None:
        _band(plot, row, epochs, course.clean, colours.given, pattern="", shown=is_first)
    said = [as_text(explanation_words.quoted(name)) for name in course.said]
    few = course.n_epochs <= _FEW_EPOCHS
    plot.add_scatter(
        x=epochs, y=course.margins, name="This sample", mode="lines+markers" if few else "lines",
        line={"color": colours.ink, "width": 2}, marker={"size": 5, "color": colours.ink},
        customdata=said or ["not recorded"] * len(epochs), row=row, col=1, showlegend=is_first,
        hovertemplate="%{y:.2f} logits; the network said %{customdata}",
    )  # fmt: skip
    _line(plot, row, colours)


def _band(
    plot: go.Figure,
    row: int,
    epochs: list[int],
    band: Envelope,
    colour: str,
    *,
    pattern: str,
    shown: bool,
) -> None:
    name = f"{band.name[0].upper()}{band.name[1:]}"
    fill = {"shape": pattern, "fgcolor": _faint(colour, 0.7), "bgcolor": _faint(colour, 0.1),
            "size": 7, "solidity": 0.12}  # fmt: skip
    plot.add_scatter(
        x=[*epochs, *reversed(epochs)], y=[*band.high, *reversed(band.low)], name=name,
        mode="lines", fill="toself", line={"width": 0.8, "color": _faint(colour, 0.55)},
        legendgroup=name, hoverinfo="skip", row=row, col=1, showlegend=shown,
        **({"fillpattern": fill} if pattern else {"fillcolor": _faint(colour, 0.16)}),
    )  # fmt: skip
    plot.add_scatter(
        x=epochs, y=band.middle, name=f"{name}, median", mode="lines", legendgroup=name,
        line={"color": colour, "width": 1.4, "dash": "dot"}, showlegend=False,
        customdata=[list(pair) for pair in zip(band.low, band.high, strict=True)], row=row, col=1,
        hovertemplate="%{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})",
    )  # fmt: skip


def _bars(plot: go.Figure, row: int, found: Explanation, colours: Palette) -> None:
    name = as_text(found.method)
    if not found.is_reliable:
        why = (
            "the same whichever epochs are occluded"
            if found.r_squared is None
            else f"unreliable, R² {found.r_squared:.2f}"
        )
        _title(plot, row, f"<b>{name}</b>: {why}, so no importance is shown", colours)
        plot.add_scatter(x=[], y=[], row=row, col=1, showlegend=False)
        plot.update_yaxes(visible=False, range=[-1, 1], row=row, col=1)
        return
    middles = [(first + last) / 2 for first, last in found.blocks]
    plot.add_bar(
        x=middles, y=list(found.importance), width=[
            (last - first + 1) * 0.9 for first, last in found.blocks
        ],
        marker={
            "color": [colours.negative if v > 0 else colours.positive for v in found.importance],
            "line": {"width": 0},
        },
        customdata=[explanation_words.span(block) for block in found.blocks], row=row, col=1,
        hovertemplate=f"{name}, %{{customdata}}: %{{y:+.3f}}<extra></extra>", showlegend=False,
    )  # fmt: skip
    _line(plot, row, colours)
    up = f'<span style="color:{colours.negative}">up raises</span>'
    down = f'<span style="color:{colours.positive}">down lowers</span>'
    _title(
        plot, row, f"<b>{name}</b>: {up}, {down} the suspicion (log-odds, R² {found.r_squared:.2f})",
        colours,
    )  # fmt: skip


def _line(plot: go.Figure, row: int, colours: Palette) -> None:
    axis = "" if row == 1 else str(row)
    plot.add_shape(
        type="line", x0=0, x1=1, xref=f"x{axis} domain", y0=0, y1=0, yref=f"y{axis}",
        line={"color": colours.faint, "width": 1},
    )  # fmt: skip


def _title(plot: go.Figure, row: int, text: str, colours: Palette) -> None:
    axis = "" if row == 1 else str(row)
    plot.add_annotation(
        text=text, x=0, xref=f"x{axis} domain", xanchor="left", y=1, yref=f"y{axis} domain", yshift=3,
        yanchor="bottom", showarrow=False, font={"size": 13, "color": colours.ink}, align="left",
    )  # fmt: skip


def _style(plot: go.Figure, colours: Palette, *, height: int, n_rows: int, n_epochs: int) -> None:
    plot.update_xaxes(
        range=[0.5, n_epochs + 0.5], showgrid=False, zeroline=False, linecolor=colours.line,
        ticks="", tickfont={"color": colours.faint}, tickformat="d", nticks=12, hoverformat="d",
        dtick=1 if n_epochs <= 20 else None,
    )  # fmt: skip
    plot.update_yaxes(
        gridcolor=colours.line, zeroline=False, tickfont={"color": colours.faint}, automargin=True,
        nticks=5,
    )  # fmt: skip
    plot.update_xaxes(
        title_text="Epoch", title_font={"color": colours.faint, "size": 12}, title_standoff=4,
        ticks="outside", tickcolor=colours.line, row=n_rows, col=1,
    )  # fmt: skip
    plot.update_layout(
        height=height + 118,
        margin={"l": 8, "r": 8, "t": 62, "b": 40},
        font={"family": _FONT, "size": 13, "color": colours.ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0,
        hovermode="x",
        hoverlabel={"bgcolor": colours.paper, "bordercolor": colours.line,
                    "font": {"color": colours.ink, "family": _FONT}},
        legend={"orientation": "h", "y": 1, "yref": "container", "yanchor": "top", "x": 0,
                "xanchor": "left", "font": {"size": 12, "color": colours.ink}, "itemwidth": 30},
    )  # fmt: skip


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def numbers(group: Group) -> list[dict[str, str]]:
    """Return what the rows of a group show as a table, one line per block of epochs."""
    course = group.course
    rows: list[dict[str, str]] = []
    for place, (first, last) in enumerate(group.explanations[0].blocks):
        margins = [m for m in course.margins[first - 1 : last] if math.isfinite(m)]
        row = {
            "Epochs": str(first) if first == last else f"{first} to {last}",
            "Margin": f"{sum(margins) / len(margins):.2f}" if margins else "–",
        }
        for found in group.explanations:
            row[found.method] = f"{found.importance[place]:+.3f}" if found.is_reliable else "–"
        rows.append(row)
    return rows
