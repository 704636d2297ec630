"""Calibration and cuts: by hand, by twins, by properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from audit.errors import InputError
from audit.numerics import calibration

scores_and_truth = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        np.random.default_rng(seed).normal(0, 3, 200),
        np.random.default_rng(seed + 1).random(200) < 0.3,
    )
)


def made(n=4000, rate=0.3, seed=0, slope=0.4, offset=1.0):
    """Scores whose true log odds at `rate` are known: two Gaussians of one width."""
    rng = np.random.default_rng(seed)
    is_wrong = rng.random(n) < rate
    odds = rng.normal(0, 2, n) + np.where(is_wrong, 2.0, -2.0) + np.log(rate / (1 - rate))
    return (odds - offset) / slope, is_wrong


def test_a_logistic_recovers_slope_and_offset_of_known_log_odds():
    scores, is_wrong = made(n=200_000)
    fit = calibration.fit_logistic(scores, is_wrong)
    # 200,000 labels leave a standard error below 0.5 % of the slope.
    assert_allclose([fit.slope, fit.offset], [0.4, 1.0], rtol=0.02)


def test_it_agrees_with_an_unpenalised_logistic_regression():
    scores, is_wrong = made()
    fit = calibration.fit_logistic(scores, is_wrong)
    twin = LogisticRegression(C=1e10, tol=1e-10).fit(scores[:, None], is_wrong)
    # Platt's targets pull by one label in N.
    assert_allclose([fit.slope, fit.offset], [twin.coef_[0, 0], twin.intercept_[0]], rtol=0.01)


def test_the_mean_of_the_probabilities_is_the_noise_rate():
    scores, is_wrong = made()
    fit = calibration.fit_logistic(scores, is_wrong)
    found = calibration.probabilities(fit.log_odds(scores)).mean()
    assert_allclose(found, is_wrong.mean(), atol=1e-3)


def test_shifting_and_scaling_the_scores_changes_no_probability():
    scores, is_wrong = made()
    plain = calibration.fit_logistic(scores, is_wrong).log_odds(scores)
    other = 1e-3 * scores - 500.0
    moved = calibration.fit_logistic(other, is_wrong).log_odds(other)
    assert_allclose(moved, plain, atol=1e-6)


def test_scores_that_separate_the_labels_keep_a_finite_slope():
    fit = calibration.fit_logistic(np.array([-2.0, -1, 1, 2]), np.array([False, False, True, True]))
    assert 0 < fit.slope < 10


@pytest.mark.parametrize(
    ("scores", "is_wrong"),
    [
        ([0.0, 0.0], [True, False]),
        ([0.0, 1.0], [True, True]),
        ([0.0, 1.0], [False, False]),
        ([0.0, np.nan], [True, False]),
        ([0.0, 1.0], [True]),
    ],
)
def test_what_says_nothing_is_refused(scores, is_wrong):
    with pytest.raises(InputError, match="calibration needs"):
        calibration.fit_logistic(np.array(scores), np.array(is_wrong))


@given(scores_and_truth)
def test_no_other_cut_has_a_better_f1(drawn):
    scores, is_wrong = drawn

    def f1(cut):
        flagged = scores >= cut
        return 2 * (flagged & is_wrong).sum() / (flagged.sum() + is_wrong.sum())

    best = f1(calibration.best_f1_cut(scores, is_wrong))
    assert best == max(f1(cut) for cut in scores)


def test_equal_scores_are_flagged_together():
    scores, is_wrong = np.array([1.0, 1, 1, 0]), np.array([True, False, True, False])
    assert calibration.best_f1_cut(scores, is_wrong) == 0.5


@given(scores_and_truth, st.integers(0, 220))
def test_a_cut_for_a_number_flags_that_many_where_no_scores_tie(drawn, wanted):
    scores, _ = drawn
    assert (scores >= calibration.cut_for(scores, wanted)).sum() == min(wanted, len(scores))


def test_neighbouring_floats_are_told_apart():
    scores = np.array([1.0, np.nextafter(1.0, 2.0)])
    assert (scores >= calibration.cut_for(scores, 1)).tolist() == [False, True]


def test_scores_that_tie_with_the_last_one_wanted_are_flagged_too():
    assert (np.ones(5) >= calibration.cut_for(np.ones(5), 2)).all()


def test_probabilities_keep_the_order_and_never_overflow():
    odds = np.array([-800.0, -30.0, 0.0, 30.0, 800.0])
    found = calibration.probabilities(odds)
    assert_array_equal(np.sort(found), found)
    assert (found[0], found[-1]) == (0.0, 1.0)


def test_a_cut_without_wrong_labels_is_refused():
    with pytest.raises(InputError, match="0 wrong ones"):
        calibration.best_f1_cut(np.array([0.0, 1.0]), np.array([False, False]))
