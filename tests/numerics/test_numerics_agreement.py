import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from audit.errors import InputError
from audit.numerics import agreement

NAN = float("nan")


def test_overlap_of_the_hand_example():
    first = np.array([True, True, True, False, False])
    second = np.array([False, True, True, True, False])
    found = agreement.overlap(first, second)
    assert (found.n_first, found.n_second, found.n_both, found.n_either) == (3, 3, 2, 4)
    assert found.jaccard == 0.5
    assert agreement.overlap(first, first).jaccard == 1.0
    assert agreement.overlap(first, ~first).jaccard == 0.0
    assert np.isnan(agreement.overlap(first & ~first, first & ~first).jaccard)


def test_ranks_share_the_mean_of_their_places():
    assert agreement.average_ranks(np.array([5.0, 1.0, 5.0, 5.0, 2.0])).tolist() == [4, 1, 4, 4, 2]


def test_rank_correlations_of_the_hand_example():
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    # Two places differ by 1 each: 1 - 6 * 2 / (4 * 15); one of six pairs is turned round.
    assert agreement.spearman(first, second) == pytest.approx(0.8)
    assert agreement.kendall(first, second) == pytest.approx(4 / 6)
    # Ties: four pairs agree, none disagrees, one is tied on each side alone.
    tied = np.array([1.0, 2.0, 2.0, 4.0])
    assert agreement.kendall(tied, np.array([1.0, 2.0, 3.0, 3.0])) == pytest.approx(4 / 5)


pairs = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=25)


@settings(deadline=None, derandomize=True)
@given(pairs)
def test_counting_pairs_one_by_one_and_scipy_agree(values):
    first, second = (np.array(column, dtype=float) for column in zip(*values, strict=True))
    signs = [
        (np.sign(first[i] - first[j]), np.sign(second[i] - second[j]))
        for i in range(len(first))
        for j in range(i)
    ]
    n_first, n_second = (sum(s[k] != 0 for s in signs) for k in (0, 1))
    found = agreement.kendall(first, second), agreement.spearman(first, second)
    if n_first == 0 or n_second == 0:
        assert np.isnan(found).all()
        return
    plain = sum(a * b for a, b in signs) / (n_first * n_second) ** 0.5
    assert_allclose(found[0], plain, atol=1e-12)
    assert_allclose(found[0], scipy.stats.kendalltau(first, second).statistic, atol=1e-12)
    assert_allclose(found[1], scipy.stats.spearmanr(first, second).statistic, atol=1e-12)


def test_rank_correlations_do_not_change_with_scale_order_of_samples_or_what_was_not_scored():
    rng = np.random.default_rng(3)
    first = rng.normal(size=2_000)
    second = first + rng.normal(size=2_000)
    order = rng.permutation(2_000)
    for measure in (agreement.spearman, agreement.kendall):
        value = measure(first, second)
        assert 0.3 < value < 0.9
        assert measure(second, first) == pytest.approx(value)
        assert measure(-first, -second) == pytest.approx(value)
        assert measure(first, -second) == pytest.approx(-value)
        assert measure(np.exp(first[order]), second[order] ** 3) == pytest.approx(value)
        assert measure(first, first) == pytest.approx(1.0)
        holed, other = np.append(first, [NAN, 5.0, NAN]), np.append(second, [1.0, NAN, NAN])
        assert measure(holed, other) == pytest.approx(value)


def test_what_cannot_be_ranked_has_no_correlation():
    for measure in (agreement.spearman, agreement.kendall):
        assert np.isnan(measure(np.array([1.0]), np.array([2.0])))
        assert np.isnan(measure(np.empty(0), np.empty(0)))
        assert np.isnan(measure(np.array([1.0, 2.0]), np.array([7.0, 7.0])))
        assert np.isnan(measure(np.array([1.0, NAN, 3.0]), np.array([NAN, 1.0, NAN])))


def test_large_ranks_do_not_overflow():
    values = np.arange(100_000, dtype=float)
    assert agreement.kendall(values, -values) == pytest.approx(-1.0)
    assert agreement.spearman(values, -values) == pytest.approx(-1.0)


def test_intervals_of_the_published_examples():
    # Newcombe 1998, table I, method 3: score method without continuity correction.
    hits, samples = np.array([81, 15, 0, 1]), np.array([263, 148, 20, 29])
    low, high = agreement.wilson_interval(hits, samples)
    assert_allclose(low, [0.2553, 0.0624, 0.0000, 0.0061], atol=5e-5)
    assert_allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)


def test_intervals_hold_their_rate_shrink_with_samples_and_mirror():
    hits = np.arange(11)
    low, high = agreement.wilson_interval(hits, np.full(11, 10))
    assert ((low <= hits / 10) & (hits / 10 <= high)).all()
    assert (low[0], high[-1]) == (0.0, 1.0)
    assert_allclose(low, 1 - high[::-1])
    wide = agreement.wilson_interval(hits * 100, np.full(11, 1_000))
    assert (wide[1] - wide[0] < high - low).all()
    half = agreement.wilson_interval(hits, np.full(11, 10), level=0.5)
    assert (half[1] - half[0] < high - low)[1:-1].all()


def test_no_samples_have_no_interval_and_impossible_counts_are_refused():
    assert np.isnan(agreement.wilson_interval(np.array([0]), np.array([0]))).all()
    with pytest.raises(InputError, match="no more hits than samples"):
        agreement.wilson_interval(np.array([3]), np.array([2]))
    with pytest.raises(InputError, match=r"level must lie in \(0, 1\), got 95"):
        agreement.wilson_interval(np.array([1]), np.array([2]), level=95)


def test_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="same samples"):
        agreement.overlap(np.array([True]), np.array([True, False]))
    for measure in (agreement.spearman, agreement.kendall):
        with pytest.raises(InputError, match="same samples"):
            measure(np.array([1.0]), np.array([1.0, 2.0]))
