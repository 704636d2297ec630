"""The detector `planted`: its estimate on planted noise, and the plain cut where there is none to trust."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.detectors import registry
from audit.detectors.planted import _threshold
from audit.errors import UnreliableError
from audit.numerics import metrics, ranking
from audit.records.dynamics import Role
from audit.records.progress import silent


def score(runs):
    return registry.build("planted").score(runs, silent)


@pytest.fixture(scope="module")
def made(planted):
    return planted.make(n_samples=5000, planted_fraction=0.1, noise_rate=0.15)


@pytest.fixture(scope="module")
def scored(made):
    return score(made.runs)


def test_noise_rate_precision_and_cut_are_near_the_truth(made, scored):
    assert scored.details["cut_by"] == "planted labels"
    assert scored.details["noise_rate"] == pytest.approx(made.is_wrong.mean(), rel=0.2)
    order = np.argsort(scored.quantity, kind="stable")
    flagged = np.arange(1, len(order) + 1)
    hits = np.cumsum(made.is_wrong[order])
    stated = scored.precision[order]
    # 500 planted labels of a kind know the rate to a tenth of itself, and so the precision below it.
    assert np.abs(stated - hits / flagged)[200:].max() < 0.1
    best = (2 * hits / (flagged + made.is_wrong.sum())).max()
    assert metrics.flag_quality(scored.flagged, made.is_wrong).f1 > 0.95 * best


def test_samples_are_ranked_by_the_ordinary_run_alone(made, scored):
    base = made.runs[0]
    expected = np.empty(base.n_samples)
    expected[base.sample] = ranking.tanh_epoch(base.signals["margin"])
    assert_array_equal(scored.quantity, expected)
    assert_array_equal(scored.flagged, scored.quantity <= scored.threshold)


def test_precision_never_rises_as_suspicion_falls(scored):
    order = np.argsort(scored.quantity, kind="stable")
    assert (np.diff(scored.precision[order]) <= 0).all()
    assert scored.precision.min() >= 0
    assert scored.precision.max() <= 1


def test_the_result_says_rate_and_band_and_what_the_cut_finds(made, scored):
    rate, worth = scored.messages
    assert rate.startswith("About 1")
    assert "% of the labels are wrong (" in rate
    assert f"Of the {int(scored.flagged.sum()):,} flagged ones about" in worth
    low, high = (scored.details[f"noise_rate_{end}"] for end in ("low", "high"))
    assert low < scored.details["noise_rate"] < high


@pytest.mark.parametrize("probe", [{}, {"corrupted_fraction": 0.2}])
def test_one_run_alone_gets_the_plain_cut_and_says_so(planted, probe):
    run = planted.make(n_samples=400, **probe).runs[0]
    scores = score([run])
    table, rows = run.mean_probabilities, run.rows(Role.GIVEN)
    n_outvoted = (table.values[rows].argmax(axis=1) != run.assigned_label[rows]).sum()
    assert scores.details["cut_by"] == "argmax"
    assert scores.flagged.sum() == n_outvoted
    assert scores.precision is None
    assert "has no planted labels to measure by: the cut is the plain one" in scores.messages[0]
    assert f"({n_outvoted})" in scores.messages[0]


def test_few_planted_labels_are_not_trusted(planted):
    scores = score(planted.make(n_samples=600, planted_fraction=0.05).runs)
    assert scores.details["cut_by"] == "argmax"
    assert scores.messages[0].startswith("Only 30 labels of a kind were planted")


def test_a_class_that_is_taken_for_another_throughout_gets_the_plain_cut(planted):
    """Half of a class under the label of another: learnt with ease, and like no planted label."""
    made = planted.make(n_samples=5000, planted_fraction=0.1, noise_rate=0.0, memorisation=4.0)
    rng = np.random.default_rng(0)
    runs = []
    for run in made.runs:
        natural = run.role == Role.GIVEN
        # Two fifths of the labels lose by a little in every epoch; none is among the most suspect.
        lost = natural & (made.given_labels[run.sample] < 2)
        margins = run.signals["margin"].copy()
        margins[:, natural] = np.abs(margins[:, natural]) + 1
        margins[:, lost] = -0.05 * rng.random((len(margins), lost.sum()))
        values = run.mean_probabilities.values.copy()
        own = run.mean_probabilities.classes == run.assigned_label[:, None]
        values[natural[:, None] & own] = 0.9
        values[natural[:, None] & ~own] = 0.1 / 4
        values[lost[:, None] & own] = 0.2
        values[lost[:, None] & (run.mean_probabilities.classes == 4)] = 0.7
        table = replace(run.mean_probabilities, values=values)
        runs.append(
            replace(run, signals=run.signals | {"margin": margins}, mean_probabilities=table)
        )
    scored = score(runs)
    assert scored.details["cut_by"] == "argmax"
    assert scored.details["noise_rate_high"] < 0.1
    assert "one class seems to be taken for another throughout" in scored.messages[-1]
    assert abs(scored.flagged.mean() - 0.4) < 0.05


def test_a_network_that_learns_nothing_is_not_trusted(made):
    rng = np.random.default_rng(0)
    runs = [
        replace(run, signals={"margin": rng.normal(0, 1, run.signals["margin"].shape)})
        for run in made.runs
    ]
    scores = score(runs)
    assert scores.precision is None
    assert scores.messages[0].startswith("Planted wrong labels were learnt as easily")


def test_trajectories_that_are_all_equal_flag_nothing(made):
    runs = [
        replace(run, signals={"margin": np.ones_like(run.signals["margin"])}) for run in made.runs
    ]
    scores = score(runs)
    assert not scores.flagged.any()
    assert scores.precision is None


@pytest.mark.parametrize("n_classes", [2, 300])
def test_two_classes_and_hundreds_with_hardly_a_sample_each_have_an_answer(planted, n_classes):
    made = planted.make(
        n_samples=600, n_classes=n_classes, planted_fraction=0.1, noise_rate=0.05, n_epochs=5
    )
    scores = score(made.runs)
    assert not np.isnan(scores.quantity).any()
    assert scores.messages
    assert scores.flagged.mean() < 0.9


def test_where_all_labels_are_right_nearly_nothing_is_flagged(planted):
    made = planted.make(n_samples=3000, planted_fraction=0.1, noise_rate=0.0)
    scores = score(made.runs)
    assert scores.flagged.mean() < 0.02


def test_two_runs_with_planted_labels_are_refused(planted, made):
    other = replace(made.runs[1], run_id="other")
    with pytest.raises(UnreliableError, match="takes one run with planted labels"):
        score([*made.runs, other])


def test_a_cut_never_parts_equal_values():
    values = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    assert [int((values <= _threshold(values, n)).sum()) for n in range(7)] == [0, 1, 1, 1, 4, 5, 5]
    assert _threshold(np.zeros(0), 3) == 0.0


def test_a_responder_answers_as_the_ordinary_run_does(made, scored):
    responder = registry.build("planted").responder(made.runs, 7)
    assert responder.run.run_id == made.runs[0].run_id
    own = np.asarray(responder.run.signals["margin"][:, responder.row])[None, :, None]
    assert responder.answer(own)[0] == pytest.approx(scored.suspicion[7], abs=1e-9)
