"""The course of runs: loss, accuracy and stability, with the levels that the rule wants."""

from types import SimpleNamespace

import pytest

from audit.ui import run_plots
from audit.ui.palette import DARK, LIGHT
from audit.workbench import settled

OVERLAP, RANK_CORRELATION = settled.OVERLAP, settled.RANK_CORRELATION


def standing(n_epochs=12, n_planned=20, *, calm_from=9, name="a & b"):
    curves = []
    for epoch in range(n_epochs):
        point = {"epoch": epoch, "loss": 2.0 / (epoch + 1), "accuracy": epoch / 20}
        if epoch:
            value = 0.95 if epoch + 1 >= calm_from else 0.5
            point |= {OVERLAP: value, RANK_CORRELATION: value}
        curves.append(point)
    run = SimpleNamespace(id=name, name=name, config=SimpleNamespace(epochs=n_planned))
    return SimpleNamespace(run=run, curves=curves)


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_stability_is_drawn_beside_loss_and_accuracy_with_the_levels_of_the_rule(colours):
    figure = run_plots.course([standing()], colours)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["Loss", "Accuracy", "Overlap", "Rank correlation"]
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [len(line.y) for line in lines] == [12] * 4
    assert lines[2].y[0] is None, "nothing precedes the first epoch"
    assert lines[2].y[-1] == 0.95
    levels = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert [level.y0 for level in levels] == [
        settled.LEVELS[OVERLAP],
        settled.LEVELS[RANK_CORRELATION],
    ]
    assert {level.line.color for level in levels} == {colours.faint}
    assert figure.layout.yaxis3.range == figure.layout.yaxis4.range == (0, 1.02)


def test_a_diamond_marks_where_a_ranking_had_settled():
    marks = [t for t in run_plots.course([standing()], LIGHT).data if t.mode == "markers"]
    # The ninth epoch is the first calm one, and two in a row are wanted.
    assert [(mark.x, mark.y) for mark in marks] == [((10,), (0.95,))] * 2
    unsettled = run_plots.course([standing(calm_from=12)], LIGHT)
    assert [t for t in unsettled.data if t.mode == "markers"] == []


def test_runs_recorded_before_there_was_stability_are_drawn_without_it():
    old = standing()
    for point in old.curves:
        point.pop(OVERLAP, None)
        point.pop(RANK_CORRELATION, None)
    figure = run_plots.course([old], LIGHT)
    assert set(figure.data[2].y) == {None}
    assert "overlaps" not in run_plots.course_in_words([old])


def test_the_words_say_what_the_lines_show():
    said = run_plots.course_in_words([standing()])
    assert "after 12 of 20 epochs the loss went from 2.000 to 0.167" in said
    assert "overlaps with that after half the epochs by 95%" in said
    assert "had settled after 10 epochs" in said
