"""The noise rate that outvoted labels suggest: by hand, on made-up votes, and where they say nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from audit.numerics import outvoted


def test_by_hand():
    rate, deviation = outvoted.estimate(
        outvoted=0.16, outvoted_blunders=0.9, outvoted_mistakes=0.75, disagreed=0.2, n_disagreed=400
    )
    # Right ones: 2/3 · 0.75 = 0.5; wrong ones (0.9 + 0.75) / 2 = 0.825; (0.16 − 0.1) / 0.325.
    assert_allclose(rate, 0.06 / 0.325)
    # Counting: 0.5 · √(0.2 · 0.8 / 400) = 0.01; the kept part: (0.2 − rate) · 0.12 · 0.75.
    assert_allclose(deviation, math.hypot(0.01, (0.2 - 0.06 / 0.325) * 0.09) / 0.325)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_votes_that_follow_the_model_give_the_rate_back(rate):
    rng = np.random.default_rng(0)
    n, hard, wrong_votes, right_votes = 200_000, 0.2, 0.8, 0.8 * outvoted.KEPT
    is_wrong = rng.random(n) < rate
    is_hard = ~is_wrong & (rng.random(n) < hard)
    chance = np.where(is_wrong, wrong_votes, np.where(is_hard, right_votes, 0.0))
    found, deviation = outvoted.estimate(
        outvoted=float((rng.random(n) < chance).mean()),
        outvoted_blunders=wrong_votes,
        outvoted_mistakes=wrong_votes,
        disagreed=float((is_wrong | is_hard).mean()),
        n_disagreed=n,
    )
    assert_allclose(found, rate, atol=0.01)
    assert 0 < deviation < 0.1


def test_wrong_labels_that_are_outvoted_no_more_than_right_ones_say_nothing():
    rate, deviation = outvoted.estimate(
        outvoted=0.1, outvoted_blunders=0.1, outvoted_mistakes=0.9, disagreed=0.2, n_disagreed=10
    )
    assert (rate, deviation) == (0.0, math.inf)


@given(parts=st.lists(st.floats(0, 1), min_size=4, max_size=4), n=st.integers(1, 10_000))
def test_the_rate_is_a_part_and_the_deviation_never_negative(parts, n):
    rate, deviation = outvoted.estimate(
        outvoted=parts[0],
        outvoted_blunders=parts[1],
        outvoted_mistakes=parts[2],
        disagreed=parts[3],
        n_disagreed=n,
    )
    assert 0 <= rate <= 1
    assert deviation >= 0
