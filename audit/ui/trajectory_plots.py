"""The plot of one sample's trajectory: margin and its mean, what the network said, and the two logits.

The areas above and below zero are those of Pleiss et al. 2020, figure 2; the mean is that of figure 6.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from audit.records.dataset import Dataset
from audit.ui.palette import Palette
from audit.workbench import trajectories
from audit.workbench.trajectories import Band, Segment, Trajectory

LANES = 4
"""Classes that get a lane of their own; further ones share one."""

_FONT = '"Source Sans", "Source Sans 3", sans-serif'
_LONGEST_LANE = 18
_FEW_EPOCHS = 40


def figure(dataset: Dataset, trajectory: Trajectory, colours: Palette) -> go.Figure:
    """Return the plot of a trajectory.

    Parameters
    ----------
    dataset
        For the names of the classes.
    trajectory
        At least one epoch.
    colours
        Of the theme.
    """
    lanes = _lanes(dataset, trajectory)
    has_logits = trajectory.own_logits is not None and trajectory.other_logits is not None
    heights = [270, *([22 * len(lanes) + 8] if lanes else []), *([120] if has_logits else [])]
    plot = make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=34 / (sum(heights) + 34 * (len(heights) - 1)) if len(heights) > 1 else 0,
    )
    _margins(plot, dataset, trajectory, colours)
    row = 1
    if lanes:
        row += 1
        _said(plot, row, trajectory, lanes, colours)
    if has_logits:
        row += 1
        _logits(plot, row, dataset, trajectory, colours)
    _style(
        plot,
        trajectory,
        colours,
        height=sum(heights) + 34 * (len(heights) - 1),
        n_rows=len(heights),
    )
    return plot


def as_text(text: str) -> str:
    """Return a text that Plotly draws as it is; it reads a few tags in names and labels.

    Examples
    --------
    >>> as_text("<b>R&D</b>")
    '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _margins(plot: go.Figure, dataset: Dataset, trajectory: Trajectory, colours: Palette) -> None:
    epochs = np.arange(1, trajectory.n_epochs + 1)
    own, threshold = trajectory.class_band, trajectory.threshold_band
    if threshold is not None:
        _band(
            plot,
            epochs,
            threshold,
            trajectory.planted_rows.capitalize(),
            colours.threshold,
            pattern="/",
        )
    if own is not None:
        given = _short(trajectories.class_name(dataset, trajectory.label))
        _band(plot, epochs, own, f"Given {given}", colours.given, pattern="")
    at, above, below = trajectories.signed_areas(trajectory.margins)
    for values, name, colour in (
        (above, "Above zero", colours.positive),
        (below, "Below zero", colours.negative),
    ):
        plot.add_scatter(
            x=at, y=values, name=name, mode="lines", line={"width": 0}, fill="tozeroy",
            fillcolor=_faint(colour, 0.5), hoverinfo="skip", row=1, col=1, showlegend=False,
        )  # fmt: skip
    others = _names(dataset, trajectory.others, trajectory.n_epochs)
    plot.add_scatter(
        x=epochs, y=trajectory.margins, name="Margin", mode=_mode(trajectory),
        line={"color": colours.ink, "width": 1.2}, marker={"size": 5, "color": colours.ink},
        customdata=others, row=1, col=1,
        hovertemplate="%{y:.2f} logits; best other class: %{customdata}",
    )  # fmt: skip
    counted = trajectory.running[trajectory.skip_first : trajectory.end]
    plot.add_scatter(
        x=epochs[trajectory.skip_first : trajectory.end], y=counted, name="Mean so far",
        mode="lines" if len(counted) > 1 else "markers",
        line={"color": colours.ink, "width": 3.2}, marker={"color": colours.ink, "size": 10},
        hovertemplate="%{y:.2f} logits", row=1, col=1,
    )  # fmt: skip
    _line(plot, 0.0, {"color": colours.faint, "width": 1})
    if trajectory.cut is not None:
        _line(plot, trajectory.cut, {"color": colours.threshold, "width": 2, "dash": "dash"})
        plot.add_annotation(
            text=f"cut {trajectory.cut:.2f}", font={"color": colours.threshold}, showarrow=False,
            x=1, xref="x domain", xanchor="left", xshift=4, y=trajectory.cut, yref="y",
        )  # fmt: skip
    for first, last in ((0, trajectory.skip_first), (trajectory.end, trajectory.n_epochs)):
        if last > first:
            plot.add_shape(
                type="rect", x0=first + 0.5, x1=last + 0.5, xref="x", y0=0, y1=1, yref="y domain",
                fillcolor=colours.paper, opacity=0.6, line={"width": 0}, layer="above",
            )  # fmt: skip
            plot.add_annotation(
                text="not counted", textangle=-90, font={"color": colours.faint, "size": 11},
                x=first + 0.5, xref="x", xanchor="left", y=1, yref="y domain", yanchor="top",
                showarrow=False,
            )  # fmt: skip


def _line(plot: go.Figure, y: float, line: dict[str, object]) -> None:
    plot.add_shape(type="line", x0=0, x1=1, xref="x domain", y0=y, y1=y, yref="y", line=line)


def _band(
    plot: go.Figure,
    epochs: NDArray[np.int64],
    band: Band,
    name: str,
    colour: str,
    *,
    pattern: str,
) -> None:
    fill = {"shape": pattern, "fgcolor": _faint(colour, 0.7), "bgcolor": _faint(colour, 0.1),
            "size": 7, "solidity": 0.12}  # fmt: skip
    named = as_text(name)
    plot.add_scatter(
        x=np.concatenate([epochs, epochs[::-1]]), y=np.concatenate([band.high, band.low[::-1]]),
        name=named, mode="lines", fill="toself",
        line={"width": 0.8, "color": _faint(colour, 0.55)}, legendgroup=named, hoverinfo="skip",
        row=1, col=1, **({"fillpattern": fill} if pattern else {"fillcolor": _faint(colour, 0.16)}),
    )  # fmt: skip
    plot.add_scatter(
        x=epochs, y=band.middle, name=f"{named}, median", mode="lines", legendgroup=named,
        line={"color": colour, "width": 1.4, "dash": "dot"}, showlegend=False,
        customdata=np.stack([band.low, band.high], axis=1), row=1, col=1,
        hovertemplate="%{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})",
    )  # fmt: skip


def _said(
    plot: go.Figure,
    row: int,
    trajectory: Trajectory,
    lanes: Sequence[tuple[str, Sequence[int]]],
    colours: Palette,
) -> None:
    for number, (name, members) in enumerate(lanes):
        parts = [part for part in trajectory.segments if part.said in members]
        is_own = members == [trajectory.label]
        colour = colours.given if is_own else colours.suggested
        plot.add_bar(
            y=[number] * len(parts), x=[part.n_epochs for part in parts],
            base=[part.first - 0.5 for part in parts], orientation="h", showlegend=False,
            marker={
                "color": colour if number < 2 else _faint(colour, 0.55),
                "line": {"color": colours.paper, "width": 1},
            }, width=0.72, customdata=[_spell(part) for part in parts], row=row, col=1,
            hovertemplate=f"{_literal(name)}: %{{customdata}}<extra></extra>",
        )  # fmt: skip
    # Lanes without a bar are shown too: that the given label was never said is what matters.
    plot.update_yaxes(
        range=[len(lanes) - 0.5, -0.5], ticks="", showgrid=False, tickmode="array",
        tickvals=list(range(len(lanes))), ticktext=[name for name, _ in lanes], row=row, col=1,
    )  # fmt: skip
    _title(plot, row, "What the network said", colours)


def _logits(
    plot: go.Figure, row: int, dataset: Dataset, trajectory: Trajectory, colours: Palette
) -> None:
    epochs = np.arange(1, trajectory.n_epochs + 1)
    given = "Extra class" if trajectory.is_planted else "Given label"
    others = _names(dataset, trajectory.others, trajectory.n_epochs)
    for values, name, colour, dash, names in (
        (trajectory.own_logits, given, colours.given, "solid", None),
        (trajectory.other_logits, "Best other class", colours.suggested, "dash", others),
    ):
        plot.add_scatter(
            x=epochs, y=values, name=name, mode=_mode(trajectory), customdata=names,
            line={"color": colour, "width": 2, "dash": dash}, marker={"size": 5, "color": colour},
            hovertemplate="%{y:.2f}" + ("" if names is None else ", %{customdata}"), row=row, col=1,
            showlegend=False,
        )  # fmt: skip
    _title(
        plot,
        row,
        f'Logit of the <span style="color:{colours.given}">{given.lower()} (solid)</span> and of the '
        f'<span style="color:{colours.suggested}">best other class (dashed)</span>',
        colours,
    )


def _title(plot: go.Figure, row: int, text: str, colours: Palette) -> None:
    plot.add_annotation(
        text=text, x=0, xref="x domain", xanchor="left", y=1, yref=f"y{row} domain", yshift=2,
        yanchor="bottom", showarrow=False, font={"size": 12, "color": colours.faint},
    )  # fmt: skip


def _style(
    plot: go.Figure, trajectory: Trajectory, colours: Palette, *, height: int, n_rows: int
) -> None:
    n_epochs = trajectory.n_epochs
    plot.update_xaxes(
        range=[0.5, n_epochs + 0.5], showgrid=False, zeroline=False, linecolor=colours.line,
        ticks="", tickfont={"color": colours.faint}, tickformat="d", nticks=12,
        hoverformat="d", dtick=1 if n_epochs <= 20 else None,
    )  # fmt: skip
    plot.update_yaxes(
        gridcolor=colours.line, zeroline=False, tickfont={"color": colours.faint}, automargin=True,
        title_font={"color": colours.faint, "size": 12}, title_standoff=6,
    )  # fmt: skip
    plot.update_yaxes(title_text="Margin in logits", row=1, col=1)
    plot.update_xaxes(
        title_text="Epoch", title_font={"color": colours.faint, "size": 12}, title_standoff=4,
        ticks="outside", tickcolor=colours.line, row=n_rows, col=1,
    )  # fmt: skip
    plot.update_layout(
        height=height + 90,
        margin={"l": 8, "r": 8 if trajectory.cut is None else 64, "t": 34, "b": 40},
        font={"family": _FONT, "size": 13, "color": colours.ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        barmode="overlay",
        hovermode="x unified",
        hoverlabel={"bgcolor": colours.paper, "bordercolor": colours.line,
                    "font": {"color": colours.ink, "family": _FONT}},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left",
                "font": {"size": 12, "color": colours.ink}, "itemwidth": 30},
    )  # fmt: skip


def _lanes(dataset: Dataset, trajectory: Trajectory) -> list[tuple[str, list[int]]]:
    """Return names and classes of the lanes: the label's own, then others by their epochs."""
    counts: Counter[int] = Counter()
    for part in trajectory.segments:
        counts[part.said] += part.n_epochs
    if not counts:
        return []
    others = sorted((c for c in counts if c != trajectory.label), key=lambda c: (-counts[c], c))
    lanes = [(trajectory.label, "given")] + [(index, "") for index in others[:LANES]]
    named: list[tuple[str, list[int]]] = []
    for index, _ in lanes:
        name = as_text(_short(trajectories.class_name(dataset, index)))
        # Names that are alike where they are cut off still need lanes of their own.
        while any(name == known for known, _ in named):
            name += " "
        named.append((name, [index]))
    rest = others[LANES:]
    if rest:
        named.append((f"{len(rest)} other class{'es' if len(rest) > 1 else ''}", rest))
    return named


def _names(dataset: Dataset, indices: NDArray[np.int32] | None, n_epochs: int) -> list[str]:
    if indices is None:
        return ["not recorded"] * n_epochs
    return [as_text(trajectories.class_name(dataset, int(index))) for index in indices]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LANE else f"{name[: _LONGEST_LANE - 2]}…’"


def _literal(name: str) -> str:
    """Return a name that Plotly's templates take literally."""
    return name.replace("%{", "%&#123;")


def _spell(part: Segment) -> str:
    if part.n_epochs == 1:
        return f"epoch {part.first}"
    return f"epochs {part.first} to {part.last}"


def _mode(trajectory: Trajectory) -> str:
    return "lines+markers" if trajectory.n_epochs <= _FEW_EPOCHS else "lines"


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
