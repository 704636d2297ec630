import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.numerics import ranking

MARGINS = np.array([[8.0, -8.0], [1.0, -1.0], [2.0, 0.0], [3.0, -2.0]], dtype=np.float32)


def test_the_mean_leaves_out_the_first_and_the_last_epochs():
    assert_array_equal(ranking.mean_over_epochs(MARGINS), [3.5, -2.75])
    assert_array_equal(ranking.mean_over_epochs(MARGINS, skip_first=1), [2.0, -1.0])
    assert_array_equal(ranking.mean_over_epochs(MARGINS, skip_first=1, end=3), [1.5, -0.5])
    assert_array_equal(ranking.mean_over_epochs(MARGINS, end=99), [3.5, -2.75])


def test_the_running_mean_ends_at_the_mean():
    running = ranking.running_mean(MARGINS, skip_first=1)
    assert_array_equal(running, [[1.0, -1.0], [1.5, -0.5], [2.0, -1.0]])
    assert_array_equal(running[-1], ranking.mean_over_epochs(MARGINS, skip_first=1))


def test_means_are_accumulated_in_float64_whatever_the_layout():
    rng = np.random.default_rng(0)
    values = (rng.normal(0, 1, (200, 30)) + 1e4).astype(np.float32)
    expected = values.astype(np.float64).mean(axis=0)
    # Two hundred float32 additions of 1e4 would be wrong by about 1e-2.
    assert_allclose(ranking.mean_over_epochs(values), expected, rtol=1e-14)
    assert_array_equal(
        ranking.mean_over_epochs(np.asfortranarray(values)), ranking.mean_over_epochs(values)
    )


@pytest.mark.parametrize(("skip_first", "end"), [(4, None), (2, 2), (9, None), (-1, None), (0, 0)])
def test_a_mean_over_no_epoch_is_refused(skip_first, end):
    with pytest.raises(InputError, match="Of 4 epochs none is left"):
        ranking.mean_over_epochs(MARGINS, skip_first=skip_first, end=end)


def test_the_late_mean_takes_the_larger_half():
    assert_array_equal(ranking.late_mean(MARGINS), [2.5, -1.0])
    assert_array_equal(ranking.late_mean(MARGINS[:3]), [1.5, -0.5])
    assert_array_equal(ranking.late_mean(MARGINS[:1]), [8.0, -8.0])


def test_tanh_epoch_by_hand():
    # (1 tanh 8 + 2 tanh 1 + 3 tanh 2 + 4 tanh 3) / 10, and the mirror image where it is one.
    expected = (np.tanh(8) + 2 * np.tanh(1) + 3 * np.tanh(2) + 4 * np.tanh(3)) / 10
    assert_allclose(ranking.tanh_epoch(MARGINS)[0], expected, rtol=1e-14)
    assert_allclose(ranking.tanh_epoch(-MARGINS), -ranking.tanh_epoch(MARGINS), rtol=1e-14)


def test_log_ratio_is_antisymmetric_finite_at_zero_and_nan_where_unknown():
    given_values = np.array([0.5, 0.0, 0.0, np.nan], dtype=np.float32)
    other = np.array([0.25, 1.0, 0.0, 0.5], dtype=np.float32)
    ratio = ranking.log_ratio(given_values, other)
    assert_allclose(ratio, [np.log(2), np.log(1e-30), 0.0, np.nan], rtol=1e-7)
    assert_array_equal(ranking.log_ratio(other, given_values), -ratio)


@settings(deadline=None, derandomize=True)
@given(arrays.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6)))
def test_suspicion_reverses_the_order_exactly_and_is_the_sigmoid(quantity):
    suspicion = ranking.suspicion(quantity)
    _, falling = np.unique(-suspicion, return_inverse=True)
    _, rising = np.unique(quantity, return_inverse=True)
    assert_array_equal(falling, rising)
    assert suspicion.min() >= 0
    assert suspicion.max() <= 1
    with np.errstate(over="ignore"):
        assert_allclose(suspicion, 1 / (1 + np.exp(quantity)), atol=1e-14)


def test_suspicion_of_many_extreme_quantities_keeps_every_rank():
    quantity = np.concatenate([np.linspace(-2000, -1000, 5000), np.linspace(1000, 2000, 5000)])
    suspicion = ranking.suspicion(quantity)
    assert (np.diff(suspicion.view(np.int64)) < 0).all()
    assert suspicion[0] == 1.0
    assert suspicion[-1] == 0.0


def test_suspicion_keeps_nan_and_ties():
    suspicion = ranking.suspicion(np.array([np.nan, -50.0, -50.0, 3.0, np.nan]))
    assert_array_equal(np.isnan(suspicion), [True, False, False, False, True])
    assert suspicion[1] == suspicion[2] > suspicion[3]
    assert ranking.suspicion(np.empty(0)).shape == (0,)
    assert np.isnan(ranking.suspicion(np.full(2, np.nan))).all()


def test_the_suggestion_is_the_largest_class_other_than_the_given_one():
    classes = np.array([[0, 1, 2], [2, 0, 1], [2, 1, 0]])
    values = np.array([[0.6, 0.1, 0.3], [0.2, 0.7, 0.1], [0.4, 0.2, 0.4]], dtype=np.float32)
    assert_array_equal(ranking.suggested_labels(classes, values, np.array([0, 2, 2])), [2, 0, 0])


def test_equal_values_suggest_the_lowest_class_in_any_order_of_places():
    values = np.array([[0.3, 0.3, 0.4], [0.3, 0.4, 0.3]])
    classes = np.array([[2, 1, 0], [1, 0, 2]])
    assert_array_equal(ranking.suggested_labels(classes, values, np.array([0, 0])), [1, 1])


def test_there_is_no_suggestion_without_another_class_with_some_probability():
    classes = np.array([[1, -1], [0, 1], [-1, -1], [1, 0]])
    values = np.array([[0.9, 0.5], [1.0, 0.0], [0.0, 0.0], [0.7, np.nan]])
    assert_array_equal(ranking.suggested_labels(classes, values, np.array([1, 0, 0, 1])), [-1] * 4)


def test_rows_read_in_blocks_are_as_rows_read_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    classes = np.array([rng.permutation(6)[:4] for _ in range(101)])
    values, given = rng.random((101, 4)).astype(np.float32), rng.integers(0, 6, 101)
    at_once = ranking.given_and_best_other(classes, values, given)
    monkeypatch.setattr(ranking, "_CELLS_AT_ONCE", 40)
    for one, other in zip(
        at_once, ranking.given_and_best_other(classes, values, given), strict=True
    ):
        assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_given_and_best_other_are_nan_where_they_are_not_listed():
    own, other, best = ranking.given_and_best_other(
        np.array([[3, 4], [3, -1], [-1, -1]]),
        np.array([[0.2, 0.5], [0.2, 0.9], [0.0, 0.0]], dtype=np.float32),
        np.array([0, 3, 0]),
    )
    assert_allclose(own, [np.nan, 0.2, np.nan], rtol=1e-7)
    assert_allclose(other, [0.5, np.nan, np.nan])
    assert_array_equal(best, [4, -1, -1])
