"""The plot of a trajectory draws what it was given, in the theme's colours, and names as text."""

from types import SimpleNamespace

import numpy as np
import pytest

from audit.records.dynamics import Role
from audit.ui import trajectory_plots
from audit.ui.palette import DARK, LIGHT
from audit.workbench import trajectories
from audit.workbench.trajectories import Band, Trajectory

HOSTILE = "<a>%{y}</a>"
SHOES = SimpleNamespace(class_names=("boot", "sandal", HOSTILE), n_classes=3)


def drawn(margins, others, **fields) -> Trajectory:
    margins = np.array(margins, dtype=np.float64)
    n_epochs = len(margins)
    label = fields.pop("label", 0)
    skip_first = fields.pop("skip_first", 1)
    return Trajectory(
        run_id="run",
        run_name="run",
        part=0,
        n_parts=1,
        role=fields.pop("role", Role.GIVEN),
        label=label,
        margins=margins,
        running=trajectories.running_mean(margins, skip_first=skip_first, end=n_epochs),
        area=None,
        skip_first=skip_first,
        end=n_epochs,
        own_logits=margins + 1,
        other_logits=np.ones(n_epochs),
        others=np.array(others, dtype=np.int32),
        segments=trajectories.run_lengths(np.where(margins > 0, label, others)),
        **fields,
    )


def band(n_epochs):
    return Band(
        percentiles=(10, 50, 90), low=np.full(n_epochs, -1.0), middle=np.zeros(n_epochs),
        high=np.full(n_epochs, 2.0), areas=np.zeros(1), n_rows=1, n_used=1,
    )  # fmt: skip


def trace(figure, name):
    return next(part for part in figure.data if part.name == name)


def test_areas_are_filled_in_two_colours_and_the_mean_starts_after_the_skipped_epoch():
    figure = trajectory_plots.figure(SHOES, drawn([-1.0, 3.0, -1.0], [1, 1, 1]), LIGHT)
    above, below = trace(figure, "Above zero"), trace(figure, "Below zero")
    assert list(above.y) == [0.0, 0.0, 3.0, 0.0, 0.0]
    assert list(below.y) == [-1.0, 0.0, 0.0, 0.0, -1.0]
    assert (above.fill, below.fill) == ("tozeroy", "tozeroy")
    assert above.fillcolor != below.fillcolor
    mean = trace(figure, "Mean so far")
    assert (list(mean.x), list(mean.y)) == ([2, 3], [3.0, 1.0])
    assert list(trace(figure, "Margin").customdata) == ["‘sandal’"] * 3


def test_bands_and_cut_are_drawn_where_there_are_some():
    margins, others = [-1.0, 3.0, -1.0], [1, 1, 1]
    bare = trajectory_plots.figure(SHOES, drawn(margins, others), LIGHT)
    assert not [part.name for part in bare.data if part.name in ("Threshold rows", "Given ‘boot’")]
    full = trajectory_plots.figure(
        SHOES, drawn(margins, others, cut=0.5, class_band=band(3), threshold_band=band(3)), LIGHT
    )
    own, threshold = trace(full, "Given ‘boot’"), trace(full, "Threshold rows")
    assert list(own.y) == list(threshold.y) == [2.0, 2.0, 2.0, -1.0, -1.0, -1.0]
    assert list(trace(full, "Given ‘boot’, median").y) == [0.0, 0.0, 0.0]
    # Told apart by more than their colour.
    assert threshold.fillpattern.shape == "/"
    assert own.fillpattern.shape is None
    assert [line.y0 for line in full.layout.shapes if line.type == "line"] == [0.0, 0.5]
    assert "cut 0.50" in [note.text for note in full.layout.annotations]


def test_what_the_network_said_stands_in_named_lanes():
    figure = trajectory_plots.figure(SHOES, drawn([-1.0, -1.0, 3.0, -1.0], [1, 1, 1, 2]), LIGHT)
    bars = [part for part in figure.data if part.type == "bar"]
    assert [(list(bar.y), list(bar.base), list(bar.x)) for bar in bars] == [
        ([0], [2.5], [1]),
        ([1], [0.5], [2]),
        ([2], [3.5], [1]),
    ]
    assert list(bars[1].customdata) == ["epochs 1 to 2"]
    assert list(figure.layout.yaxis2.ticktext)[:2] == ["‘boot’", "‘sandal’"]


def test_a_label_that_was_never_said_keeps_its_empty_lane():
    figure = trajectory_plots.figure(SHOES, drawn([-1.0, -1.0], [1, 1]), LIGHT)
    assert list(figure.layout.yaxis2.ticktext) == ["‘boot’", "‘sandal’"]
    assert list(figure.layout.yaxis2.range) == [1.5, -0.5]


def test_many_classes_share_the_last_lane():
    many = SimpleNamespace(class_names=tuple(f"class {k}" for k in range(9)), n_classes=9)
    figure = trajectory_plots.figure(many, drawn([-1.0] * 8, range(1, 9)), LIGHT)
    lanes = list(figure.layout.yaxis2.ticktext)
    assert len(lanes) == trajectory_plots.LANES + 2
    assert lanes[-1] == "4 other classes"
    last = [part for part in figure.data if part.type == "bar"][-1]
    assert list(last.base) == [4.5, 5.5, 6.5, 7.5]


def test_names_of_classes_are_text_and_no_tags_or_templates():
    figure = trajectory_plots.figure(
        SHOES, drawn([-1.0, 1.0], [2, 2], class_band=band(2), label=2), LIGHT
    )
    drawn_text = [str(part) for part in figure.layout.yaxis2.ticktext]
    drawn_text += [part.name for part in figure.data if part.name]
    drawn_text += list(trace(figure, "Margin").customdata)
    assert not [text for text in drawn_text if "<a" in text]
    assert "‘&lt;a&gt;%{y}&lt;/a&gt;’" in drawn_text
    templates = [part.hovertemplate for part in figure.data if part.type == "bar"]
    assert not [text for text in templates if "<a" in text or "%{y}" in text]


def test_planted_rows_are_called_by_the_extra_class():
    planted = drawn([-1.0, -1.0], [1, 1], role=Role.THRESHOLD, label=3)
    figure = trajectory_plots.figure(SHOES, planted, LIGHT)
    assert next(iter(figure.layout.yaxis2.ticktext)) == "the extra class"
    assert trace(figure, "Extra class").line.color == LIGHT.given


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_the_plot_wears_the_colours_of_the_theme(colours):
    figure = trajectory_plots.figure(SHOES, drawn([1.0, 1.0], [1, 1]), colours)
    assert figure.layout.font.color == colours.ink
    assert trace(figure, "Best other class").line.color == colours.suggested
    assert trace(figure, "Best other class").line.dash != trace(figure, "Given label").line.dash


def test_a_single_epoch_is_drawn_as_points():
    figure = trajectory_plots.figure(SHOES, drawn([-2.0], [1], skip_first=0), LIGHT)
    assert "markers" in trace(figure, "Margin").mode
    assert trace(figure, "Mean so far").mode == "markers"
