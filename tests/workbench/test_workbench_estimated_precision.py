"""What a cut is estimated to be worth, beside the flags and at every place of the movable cut."""

from types import SimpleNamespace

import numpy as np
import pytest

from audit.records.scores import DetectorSpec, Scores
from audit.ui import distribution as drawing
from audit.workbench import cuts
from audit.workbench.suspects import Ranked


@pytest.fixture
def ranking():
    quantity = np.array([-0.8, -0.4, 0.0, 0.4, 0.8, np.nan])
    flagged = quantity <= -0.4
    return Ranked(
        scores_id="made",
        scores=Scores(
            run_ids=("r",),
            spec=DetectorSpec(name="planted", version=1),
            suspicion=np.where(np.isnan(quantity), np.nan, 0.5),
            quantity_name="planted_statistic",
            quantity=quantity,
            suggested_label=np.full(6, -1, np.int32),
            flagged=flagged,
            threshold=-0.4,
            precision=np.array([1.0, 1.0, 2 / 3, 0.5, 0.4, np.nan]),
            details={"noise_rate": 0.6},
        ),
        order=np.arange(6),
        ranks=np.array([1, 2, 3, 4, 5, 0]),
    )


@pytest.fixture
def shown(ranking):
    return cuts.distribution(SimpleNamespace(keep=lambda _, make: make()), ranking)


def test_words_say_how_many_flags_are_wrong_labels_and_how_many_are_missed(ranking, shown):
    # Three of five are estimated wrong: both flagged ones, and one that is not flagged.
    assert cuts.flags_in_words(ranking, shown, None) == (
        "planted's own cut flags 2 samples (40.0 %). About 2 of them are wrong (100 %), and about 1 "
        "wrong labels are not flagged."
    )
    moved = cuts.flags_in_words(ranking, shown, 0.5)
    assert moved == (
        "This cut would flag 4 samples (80.0 %). About 2 of them are wrong (50 %), and about 1 wrong "
        "labels are not flagged."
    )
    assert "wrong" not in cuts.flags_in_words(ranking, shown, -0.81)


def test_every_place_of_the_cut_has_the_precision_of_what_it_flags(ranking, shown):
    assert shown.n_wrong == pytest.approx(3)
    assert len(shown.precision) == len(shown.edges)
    for edge, precision in zip(shown.edges, shown.precision, strict=True):
        kept = ranking.scores.precision[ranking.scores.quantity <= edge]
        assert np.isnan(precision) if not len(kept) else precision == kept.min()


def test_the_figure_gets_whole_percentages_and_says_them_at_the_line(shown):
    data = drawing.data(shown, 0.4)
    assert data["precision"][-1] == 40
    assert len(data["precision"]) == len(data["counts"]) + 1
    assert data["alt"].endswith(
        "The line stands at 0.4, where about 50 % of the suspects are wrong."
    )


def test_a_method_without_an_estimate_says_nothing_of_precision(ranking):
    from dataclasses import replace

    plain = replace(ranking, scores=replace(ranking.scores, precision=None, details={}))
    shown = cuts.distribution(SimpleNamespace(keep=lambda _, make: make()), plain)
    assert shown.precision is None
    assert drawing.data(shown, 0.4)["precision"] is None
    assert cuts.flags_in_words(plain, shown, 0.5) == "This cut would flag 4 samples (80.0 %)."
