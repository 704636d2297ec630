import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from audit.errors import InputError
from audit.numerics import metrics

# Suspicion falls from left to right; wrong labels at ranks 1, 3, 4.
SUSPICION = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
IS_WRONG = np.array([True, False, True, True, False])


def test_figures_of_the_hand_example():
    # AP: recall rises by a third at precision 1, 2/3 and 3/4.
    assert metrics.average_precision(SUSPICION, IS_WRONG) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # Of the six pairs (wrong, right) the wrong one is ahead in four.
    assert metrics.roc_auc(SUSPICION, IS_WRONG) == pytest.approx(4 / 6)
    assert metrics.precision_at_95_recall(SUSPICION, IS_WRONG) == pytest.approx(3 / 4)


def test_equal_suspicions_are_one_step_in_whatever_order_they_come():
    tied = np.array([0.5, 0.5, 0.5, 0.1])
    for is_wrong in ([True, False, False, False], [False, False, True, False]):
        truth = np.array(is_wrong)
        assert metrics.average_precision(tied, truth) == pytest.approx(1 / 3)
        assert metrics.roc_auc(tied, truth) == pytest.approx(2 / 3)
        assert metrics.precision_at_95_recall(tied, truth) == pytest.approx(1 / 3)


def test_nineteen_of_twenty_wrong_labels_are_95_percent():
    suspicion = np.linspace(1, 0, 40)
    is_wrong = np.zeros(40, dtype=bool)
    is_wrong[:19] = is_wrong[39] = True
    assert metrics.precision_at_95_recall(suspicion, is_wrong) == 1.0


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_plain_counting_and_scikit_learn_agree(samples):
    suspicion = np.array([value / 5 for value, _ in samples])
    is_wrong = np.array([wrong for _, wrong in samples])
    if not is_wrong.any():
        return
    cuts = np.unique(suspicion)[::-1]
    found = [(is_wrong & (suspicion >= cut)).sum() for cut in cuts]
    precision = [f / (suspicion >= cut).sum() for f, cut in zip(found, cuts, strict=True)]
    recall = [f / is_wrong.sum() for f in found]
    steps = np.diff([0.0, *recall])
    assert_allclose(metrics.average_precision(suspicion, is_wrong), np.dot(steps, precision))
    first = next(i for i, r in enumerate(recall) if r >= 0.95)
    assert_allclose(metrics.precision_at_95_recall(suspicion, is_wrong), precision[first])
    if not is_wrong.all():
        wrong, right = suspicion[is_wrong][:, None], suspicion[~is_wrong]
        pairs = (wrong > right).mean() + (wrong == right).mean() / 2
        assert_allclose(metrics.roc_auc(suspicion, is_wrong), pairs)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_flag_quality_agrees_with_scikit_learn(samples):
    flagged = np.array([flag for flag, _ in samples])
    is_wrong = np.array([wrong for _, wrong in samples])
    quality = metrics.flag_quality(flagged, is_wrong)
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        is_wrong, flagged, average="binary", zero_division=0
    )
    assert_allclose([quality.precision, quality.recall, quality.f1], [precision, recall, f1])
    assert quality.flagged_fraction == flagged.mean()


def test_flagging_everything_reaches_the_reference():
    is_wrong = np.arange(100) < 9
    quality = metrics.flag_quality(np.ones(100, dtype=bool), is_wrong)
    assert quality.f1 == pytest.approx(metrics.f1_flag_everything(0.09))
    assert quality.flagged_ratio == pytest.approx(100 / 9)
    # The last column of the published table: 16.5 % at 9 % noise.
    assert round(metrics.f1_flag_everything(0.0901), 3) == 0.165


def test_figures_that_are_not_defined_are_nan_or_zero():
    none, every = np.zeros(5, dtype=bool), np.ones(5, dtype=bool)
    assert np.isnan(metrics.average_precision(SUSPICION, none))
    assert np.isnan(metrics.precision_at_95_recall(SUSPICION, none))
    assert np.isnan(metrics.roc_auc(SUSPICION, none))
    assert np.isnan(metrics.roc_auc(SUSPICION, every))
    assert metrics.average_precision(SUSPICION, every) == 1.0
    quality = metrics.flag_quality(none, none)
    assert (quality.f1, quality.precision, quality.recall) == (0.0, 0.0, 0.0)
    assert np.isnan(quality.flagged_ratio)


def test_unscored_samples_and_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="not scored"):
        metrics.roc_auc(np.array([0.1, np.nan]), np.array([True, False]))
    with pytest.raises(InputError, match="same samples"):
        metrics.average_precision(SUSPICION, IS_WRONG[:3])
    with pytest.raises(InputError, match="at least one"):
        metrics.average_precision(np.empty(0), np.empty(0, dtype=bool))
    with pytest.raises(InputError, match="same samples"):
        metrics.flag_quality(IS_WRONG, IS_WRONG[:2])


def test_the_bootstrap_interval_holds_the_figure_and_is_the_same_for_the_same_seed():
    rng = np.random.default_rng(0)
    is_wrong = rng.random(400) < 0.2
    suspicion = rng.normal(0, 1, 400) + 1.5 * is_wrong

    def interval(n_samples=400, level=0.95):
        return metrics.bootstrap_interval(
            metrics.roc_auc,
            suspicion[:n_samples],
            is_wrong[:n_samples],
            rng=np.random.default_rng(1),
            n_resamples=200,
            level=level,
        )

    low, high = interval()
    assert low < metrics.roc_auc(suspicion, is_wrong) < high
    assert interval() == (low, high)
    few, half = interval(n_samples=100), interval(level=0.5)
    assert few[1] - few[0] > high - low > half[1] - half[0]


def test_the_bootstrap_leaves_out_resamples_without_wrong_labels():
    suspicion, is_wrong = np.array([0.9, 0.1, 0.2]), np.array([True, False, False])
    low, high = metrics.bootstrap_interval(
        metrics.average_precision, suspicion, is_wrong, rng=np.random.default_rng(0), n_resamples=50
    )
    assert (low, high) == (1.0, 1.0)
    nothing = metrics.bootstrap_interval(
        metrics.roc_auc, suspicion, ~is_wrong | True, rng=np.random.default_rng(0), n_resamples=5
    )
    assert np.isnan(nothing).all()
    with pytest.raises(InputError, match="at least one resample"):
        metrics.bootstrap_interval(
            metrics.roc_auc, suspicion, is_wrong, rng=np.random.default_rng(0), n_resamples=0
        )
