"""Blocks, masks, weights and the weighted ridge, against hand-worked values and plain twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.numerics import importance


@pytest.mark.parametrize(
    ("n_epochs", "n_blocks", "width"),
    [(1, 1, 1), (5, 5, 1), (50, 50, 1), (51, 26, 2), (60, 30, 2), (200, 40, 5), (1000, 40, 25)],
)
def test_epochs_are_blocks_up_to_fifty_and_at_most_forty_longer_ones_above(
    n_epochs, n_blocks, width
):
    edges = importance.block_edges(n_epochs)
    assert (edges[0], edges[-1], len(edges) - 1) == (0, n_epochs, n_blocks)
    assert_array_equal(np.diff(edges)[:-1], width)
    assert 1 <= np.diff(edges)[-1] <= width


def test_no_epoch_is_refused():
    with pytest.raises(InputError, match="at least one epoch"):
        importance.block_edges(0)


def test_masks_keep_half_of_the_blocks_and_everything_in_the_first_row():
    masks = importance.draw_masks(40, 2000, np.random.default_rng(0))
    assert masks[0].all()
    # 80,000 coins: the standard deviation of the mean is 0.0018.
    assert abs(masks[1:].mean() - 0.5) < 0.01
    assert_array_equal(masks, importance.draw_masks(40, 2000, np.random.default_rng(0)))
    assert (masks != importance.draw_masks(40, 2000, np.random.default_rng(1))).any()


def test_occluded_blocks_take_the_stand_in_in_every_signal_and_the_others_stay():
    values = np.arange(10.0, dtype=np.float32).reshape(5, 2)
    masks = np.array([[True, True, True], [False, True, False]])
    found = importance.occluded(values, -np.ones((5, 2)), masks, np.array([0, 2, 4, 5]))
    assert_array_equal(found[0], values)
    assert_array_equal(found[1], [[-1, -1], [-1, -1], [4, 5], [6, 7], [-1, -1]])


def test_weights_are_those_of_the_formula_worked_by_hand():
    masks = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    distances = [0.0, 1 - math.sqrt(0.5), 0.5, 1.0]
    expected = [math.sqrt(math.exp(-(d**2) / 0.25**2)) for d in distances]
    assert_allclose(importance.kernel_weights(masks), expected, rtol=1e-12)
    # The distance is the one between vectors: 1 - a·b / |a||b|.
    for mask, distance in zip(masks[:3].astype(float), distances[:3], strict=True):
        ones = np.ones(4)
        cosine = mask @ ones / (np.linalg.norm(mask) * np.linalg.norm(ones))
        assert_allclose(1 - cosine, distance, atol=1e-12)


def plain_ridge(masks, answers, weights, alpha):
    """Solve the normal equations of (intercept, coefficients) with no penalty on the intercept."""
    design = np.column_stack([np.ones(len(masks)), masks.astype(float)])
    penalty = alpha * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    w = np.diag(weights)
    solution = np.linalg.solve(design.T @ w @ design + penalty, design.T @ w @ answers)
    fitted = design @ solution
    mean = np.average(answers, weights=weights)
    left = np.average((answers - fitted) ** 2, weights=weights)
    return solution[1:], solution[0], 1 - left / np.average((answers - mean) ** 2, weights=weights)


@given(seed=st.integers(0, 2**32 - 1), alpha=st.sampled_from([0.01, 1.0, 30.0]))
def test_the_ridge_is_that_of_the_plain_normal_equations(seed, alpha):
    rng = np.random.default_rng(seed)
    masks = importance.draw_masks(6, 80, rng)
    answers = rng.normal(size=80) * 10 ** rng.uniform(-3, 3)
    weights = rng.uniform(0.1, 1.0, 80)
    fit = importance.weighted_ridge(masks, answers, weights, alpha=alpha)
    coefficients, intercept, r_squared = plain_ridge(masks, answers, weights, alpha)
    scale = np.abs(answers).max()
    assert_allclose(fit.coefficients / scale, coefficients / scale, atol=1e-9)
    assert_allclose(fit.intercept / scale, intercept / scale, atol=1e-9)
    assert_allclose(fit.r_squared, r_squared, atol=1e-9)


def test_a_line_is_found_again_and_explains_everything():
    rng = np.random.default_rng(3)
    masks = importance.draw_masks(12, 2000, rng)
    slope = rng.normal(size=12)
    weights = importance.kernel_weights(masks)
    fit = importance.weighted_ridge(masks, 0.7 + masks @ slope, weights)
    # The penalty of 1 beside a summed weight of about 1,000 shrinks by about a half percent.
    assert_allclose(fit.coefficients, slope, rtol=0.02, atol=0.01)
    assert fit.r_squared > 0.9999
    free = importance.weighted_ridge(masks, 0.7 + masks @ slope, weights, alpha=0.0)
    assert_allclose(free.coefficients, slope, atol=1e-9)
    assert_allclose(free.intercept, 0.7, atol=1e-9)


def test_answers_that_no_line_explains_have_no_r_squared():
    rng = np.random.default_rng(4)
    masks = importance.draw_masks(12, 2000, rng)
    parity = masks.sum(axis=1) % 2
    fit = importance.weighted_ridge(masks, parity.astype(float), importance.kernel_weights(masks))
    assert fit.r_squared < 0.1


def test_equal_answers_leave_nothing_to_explain():
    masks = importance.draw_masks(5, 50, np.random.default_rng(0))
    for size in (0.0, 1.0, -1e6):
        answers = np.full(50, size) + 1e-12 * np.arange(50)
        fit = importance.weighted_ridge(masks, answers, np.ones(50))
        assert math.isnan(fit.r_squared)
        assert_array_equal(fit.coefficients, 0.0)
        assert_allclose(fit.intercept, size, atol=1e-9)


def test_answers_that_are_no_numbers_and_weights_of_zero_are_refused():
    masks = importance.draw_masks(2, 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="finite"):
        importance.weighted_ridge(masks, np.array([0.0, np.nan, 1.0]), np.ones(3))
    with pytest.raises(InputError, match="weight"):
        importance.weighted_ridge(masks, np.arange(3.0), np.zeros(3))


@pytest.mark.parametrize(
    ("coefficients", "n_blocks", "expected"),
    [
        ([3.0, -2.0, 0.0, -2.5], 1, [0]),
        ([3.0, -2.0, 0.0, -2.5], 2, [1, 3]),
        ([0.0, 0.0, 0.0], 1, [2]),
        ([1.0, 5.0], 2, [0, 1]),
    ],
)
def test_the_strongest_blocks_pull_in_one_direction(coefficients, n_blocks, expected):
    found = importance.strongest(np.array(coefficients), n_blocks)
    assert_array_equal(found, expected)


def test_random_sets_have_their_size_and_name_every_block_equally_often():
    masks = importance.draw_sets(8, 2, 4000, np.random.default_rng(1))
    assert_array_equal((~masks).sum(axis=1), 2)
    # Expected 1,000 of 4,000 each; the standard deviation is 27.
    assert_allclose((~masks).sum(axis=0), 1000, atol=120)


def test_log_odds_undo_the_sigmoid_and_stop_where_floats_do():
    odds = np.array([-9.0, -0.5, 0.0, 4.0])
    assert_allclose(importance.log_odds(1 / (1 + np.exp(-odds))), odds, atol=1e-9)
    edge = importance.log_odds(np.array([0.0, 1e-30, 1.0]))
    assert_allclose(edge, [-24 * math.log(2), -24 * math.log(2), 24 * math.log(2)], atol=1e-6)
