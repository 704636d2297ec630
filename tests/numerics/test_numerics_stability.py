"""Stability: what an epoch changed, worked by hand, and the rule that ends a run on it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.numerics import ranking, stability
from audit.numerics.stability import RunningStatistic

CALM = dict.fromkeys(stability.LEVELS, 1.0)
UNREST = dict.fromkeys(stability.LEVELS, 0.0)


def test_the_running_statistic_is_the_default_ranking_after_every_epoch():
    margins = np.random.default_rng(0).normal(0, 3, (7, 50)).astype(np.float32)
    running = RunningStatistic(50)
    for n_epochs, epoch in enumerate(margins, start=1):
        running.add(epoch)
        assert running.n_epochs == n_epochs
        assert_array_equal(running.values(), ranking.tanh_epoch(margins[:n_epochs]))


def test_overlap_is_of_as_many_as_are_outvoted_now():
    # Three are below zero now. The three lowest before were rows 0, 1 and 4.
    before = np.array([-0.9, -0.8, 0.3, 0.4, -0.7, 0.9])
    now = np.array([-0.6, -0.5, -0.1, 0.4, 0.2, 0.9])
    assert stability.movement(before, now).overlap == pytest.approx(2 / 3)


def test_a_ranking_that_only_moves_as_a_whole_has_not_moved():
    now = np.array([-0.6, -0.5, -0.1, 0.4, 0.2, 0.9])
    moved = stability.movement(now / 2 + 0.4, now)
    assert (moved.overlap, moved.rank_correlation) == (1.0, 1.0)


def test_where_next_to_nothing_is_outvoted_one_row_in_a_hundred_is_looked_at():
    now = np.linspace(0.1, 0.9, 200)
    before = now.copy()
    before[[1, 150]] = before[[150, 1]]  # one of the two lowest was high
    assert stability.movement(before, now).overlap == 0.5


def test_the_correlation_looks_at_suspects_of_either_moment_and_not_at_the_rest():
    rng = np.random.default_rng(1)
    now = np.concatenate([np.linspace(-0.9, -0.1, 20), np.linspace(0.1, 0.9, 380)])
    shuffled = now.copy()
    shuffled[100:] = rng.permutation(shuffled[100:])
    assert stability.movement(shuffled, now).rank_correlation == 1.0
    turned = now.copy()
    turned[:40] = turned[:40][::-1]
    assert stability.movement(turned, now).rank_correlation == pytest.approx(-1.0)


def test_where_all_tie_nothing_has_moved():
    flat = np.full(50, -0.5)
    assert stability.movement(flat, flat).rank_correlation == 1.0


def test_measures_lie_in_their_ranges_and_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(2)
    before, now = rng.uniform(-1, 1, (2, 300))
    moved = stability.movement(before, now)
    assert 0 <= moved.overlap <= 1
    assert -1 <= moved.rank_correlation <= 1
    order = rng.permutation(300)
    again = stability.movement(before[order], now[order])
    assert again.overlap == moved.overlap
    assert again.rank_correlation == pytest.approx(moved.rank_correlation)


def test_no_row_at_all_moves_nothing():
    assert stability.movement(np.zeros(0), np.zeros(0)).overlap == 1.0


def test_a_run_settles_after_enough_calm_epochs_in_a_row():
    rest = [CALM] * stability.IN_A_ROW
    late = [UNREST] * 20 + [CALM] * (stability.IN_A_ROW - 1) + [UNREST] + rest
    assert stability.settled_after(late, 30) == len(late)
    assert stability.settled_after(late[:-1], 30) is None


def test_nothing_settles_before_the_fewest_epochs_or_half_of_the_planned_ones():
    assert stability.settled_after([CALM] * 200, 10) == stability.FEWEST_EPOCHS
    assert stability.settled_after([CALM] * 200, 101) == 51
    assert stability.settled_after([CALM] * 50, 101) is None


def test_every_measure_must_reach_its_level_and_one_that_is_missing_does_not():
    for name, level in stability.LEVELS.items():
        assert stability.settled_after([CALM | {name: level}] * 20, 20) is not None
        assert stability.settled_after([CALM | {name: level - 0.001}] * 20, 20) is None
        without = {known: value for known, value in CALM.items() if known != name}
        assert stability.settled_after([without] * 20, 20) is None


def test_what_had_settled_stays_so_whatever_comes_later():
    assert stability.settled_after([CALM] * 10 + [UNREST] * 2, 20) == 10
