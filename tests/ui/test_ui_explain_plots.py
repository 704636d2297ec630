"""The plot of explanations: one time axis, bars in their direction, nothing drawn where it is unreliable."""

from dataclasses import replace

import pytest

from audit.records.explanation import Course, Envelope, Explanation
from audit.ui import explain_plots
from audit.ui.explain_plots import Group
from audit.ui.palette import DARK, LIGHT

HOSTILE = "<a>%{y}</a>"


def course(margins, said=(), **changes):
    n_epochs = len(margins)
    band = Envelope(
        name="clean-looking samples", percentiles=(10.0, 50.0, 90.0), low=(-1.0,) * n_epochs,
        middle=(0.5,) * n_epochs, high=(2.0,) * n_epochs, n_rows=3, n_used=3,
    )  # fmt: skip
    made = Course(
        run_id="r", run_name="run", given="dog", margins=tuple(margins), said=tuple(said), clean=band,
        planted=replace(band, name="threshold rows"),
    )  # fmt: skip
    return replace(made, **changes)


def explanation(method, importance, blocks=None, r_squared=0.9):
    blocks = blocks or tuple((epoch, epoch) for epoch in range(1, len(importance) + 1))
    return Explanation(
        method=method, scores_id="s", run_id="r", sample=0, signals=("margin",),
        n_epochs=blocks[-1][1], blocks=blocks, importance=tuple(importance), intercept=0.0,
        r_squared=r_squared, suspicion=0.9, suspicion_occluded=0.1, baseline_rows=3,
        baseline_label=None, n_masks=2000, seed=0, faithfulness=None,
    )  # fmt: skip


def bars(figure):
    return [part for part in figure.data if part.type == "bar"]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_bars_stand_at_their_epochs_and_their_colour_follows_their_direction(colours):
    blocks = ((1, 2), (3, 4), (5, 5))
    found = explanation("aum", [0.5, -0.25, 0.0], blocks)
    figure = explain_plots.figure(
        [Group(course=course([-1.0] * 5), explanations=(found,))], colours
    )
    (drawn,) = bars(figure)
    assert list(drawn.x) == [1.5, 3.5, 5.0]
    assert list(drawn.y) == [0.5, -0.25, 0.0]
    assert list(drawn.width) == pytest.approx([1.8, 1.8, 0.9])
    assert list(drawn.marker.color)[:2] == [colours.negative, colours.positive]
    assert list(drawn.customdata) == ["epochs 1 to 2", "epochs 3 to 4", "epoch 5"]


def test_all_rows_share_one_time_axis_also_with_runs_of_different_length():
    short = Group(course=course([1.0, 2.0]), explanations=(explanation("margin", [0.1, 0.2]),))
    long = Group(
        course=course([1.0] * 9, run_id="r2", run_name="other"),
        explanations=(explanation("aum", [0.1] * 9), explanation("dynacor", [0.2] * 9)),
    )
    figure = explain_plots.figure([short, long], LIGHT)
    axes = [figure.layout[f"xaxis{number or ''}"] for number in ("", 2, 3, 4, 5)]
    assert all(tuple(axis.range) == (0.5, 9.5) for axis in axes)
    assert {axis.matches for axis in axes} - {None} == {"x5"}
    assert len(bars(figure)) == 3
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0] == "Margin in logits, run run"
    assert titles[2] == "Margin in logits, run other"
    assert [part.name for part in figure.data if part.showlegend] == [
        "Threshold rows", "Clean-looking samples", "This sample",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("r_squared", "words"), [(0.12, "unreliable, R² 0.12"), (None, "whichever epochs")]
)
def test_an_unreliable_explanation_has_words_instead_of_bars(r_squared, words):
    found = explanation("aum", [0.5, 0.5], r_squared=r_squared)
    group = Group(course=course([1.0, 2.0]), explanations=(found,))
    figure = explain_plots.figure([group], LIGHT)
    assert not bars(figure)
    assert any(words in note.text for note in figure.layout.annotations)
    assert [row["aum"] for row in explain_plots.numbers(group)] == ["–", "–"]


def test_names_of_classes_and_runs_are_shown_as_text():
    group = Group(
        course=course([1.0, -1.0], [HOSTILE, None], run_name=HOSTILE),
        explanations=(explanation("aum", [0.1, 0.2]),),
    )
    figure = explain_plots.figure([group, group], LIGHT)
    sample = next(part for part in figure.data if part.name == "This sample")
    assert list(sample.customdata) == ["‘&lt;a&gt;%{y}&lt;/a&gt;’", "the extra class"]
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0].endswith("&lt;a&gt;%{y}&lt;/a&gt;")


def test_the_plot_in_words_tells_story_bands_and_findings():
    group = Group(
        course=course([-1.0, -2.0], ["cat", "cat"]), explanations=(explanation("aum", [0.1, 0.4]),)
    )
    told = explain_plots.in_words([group])
    assert told.startswith("Run run: The network called it ‘cat’ in all 2 epochs and never took up")
    assert "Median margin of threshold rows: 0.50 logits in epoch 1, 0.50 in epoch 2" in told
    assert "aum: A sum over epochs explains 90% of what aum answers" in told
    assert explain_plots.numbers(group) == [
        {"Epochs": "1", "Margin": "-1.00", "aum": "+0.100"},
        {"Epochs": "2", "Margin": "-2.00", "aum": "+0.400"},
    ]
