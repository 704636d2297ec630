"""How far two methods agree: common flags, rank correlation, and what a rate of few samples is worth.

Two methods may both find wrong labels and still find different ones; that is what these figures show.
Direction does not matter as long as it is the same for both.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics.arrays import Floats, Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How many samples two methods flag.

    Parameters
    ----------
    n_first, n_second
        Flagged by each.
    n_both
        Flagged by both.
    """

    n_first: int
    n_second: int
    n_both: int

    @property
    def n_either(self) -> int:
        """Flagged by at least one."""
        return self.n_first + self.n_second - self.n_both

    @property
    def jaccard(self) -> float:
        """Flagged by both ÷ flagged by either, in [0, 1]; NaN where nothing is flagged (Jaccard 1912)."""
        return self.n_both / self.n_either if self.n_either else float("nan")


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Overlap:
    """Return how many samples are flagged by each of two methods and by both.

    Parameters
    ----------
    first, second
        (N,) bool.

    Raises
    ------
    InputError
        If shapes differ.

    Examples
    --------
    >>> overlap(np.array([True, True, False]), np.array([True, False, True])).jaccard.__round__(4)
    0.3333
    """
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(f"Flags need the same samples, got {first.shape} and {second.shape}.")
    return Overlap(
        n_first=int(first.sum()), n_second=int(second.sum()), n_both=int((first & second).sum())
    )


def average_ranks(values: Floats) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing the mean of their places.

    Parameters
    ----------
    values
        (N,) floating without NaN; the smallest has the lowest rank.

    Returns
    -------
    ndarray
        (N,) float64.

    Examples
    --------
    >>> average_ranks(np.array([3.0, 1.0, 3.0]))
    array([2.5, 1. , 2.5])
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place].astype(np.float64)


def spearman(first: Floats, second: Floats) -> float:
    """Return the rank correlation of two methods: Pearson's correlation of their average ranks.

    Spearman, "The Proof and Measurement of Association between Two Things", 1904, in the form for ties.

    Parameters
    ----------
    first, second
        (N,) floating, any unit. Samples that either lacks (NaN) are left out.

    Returns
    -------
    float
        In [-1, 1]; 1 = the same order. NaN for fewer than two samples, or where all values of one
        method are equal.

    Raises
    ------
    InputError
        If shapes differ.

    Examples
    --------
    >>> spearman(np.array([1.0, 2.0, 3.0, np.nan]), np.array([10.0, 30.0, 20.0, 0.0]))
    0.5
    """
    one, other = (average_ranks(values) for values in _known(first, second))
    if len(one) < 2:
        return float("nan")
    one, other = one - one.mean(), other - other.mean()
    spread = float(one @ one) * float(other @ other)
    return float(one @ other) / spread**0.5 if spread else float("nan")


def kendall(first: Floats, second: Floats) -> float:
    """Return Kendall's tau-b: agreeing less disagreeing pairs of samples, corrected for ties.

    ``(P - Q) / sqrt((P + Q + T1) (P + Q + T2))`` with P pairs in the same and Q in the opposite order,
    T1 and T2 pairs tied in one method only; Kendall, "The Treatment of Ties in Ranking Problems", 1945.
    Costs N log N, not N².

    Parameters and errors are those of `spearman`.

    Returns
    -------
    float
        In [-1, 1]; 1 = the same order. NaN as for `spearman`.

    Examples
    --------
    >>> kendall(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0])).__round__(4)
    0.3333
    """
    known = _known(first, second)
    one, other = (np.unique(values, return_inverse=True)[1] for values in known)
    n_pairs = _n_pairs(np.array([len(one)]))
    n_tied_one, n_tied_other = _n_pairs(np.bincount(one)), _n_pairs(np.bincount(other))
    both = np.unique(one * len(other) + other, return_counts=True)[1]
    n_discordant = _n_inversions(other[np.lexsort((other, one))])
    n_untied = n_pairs - n_tied_one - n_tied_other + _n_pairs(both)
    spread = float(n_pairs - n_tied_one) * float(n_pairs - n_tied_other)
    return (n_untied - 2 * n_discordant) / spread**0.5 if spread else float("nan")


def wilson_interval(
    n_hits: Integers, n_samples: Integers, *, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the interval of a rate that was seen on a number of samples.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927, without
    continuity correction. Unlike the interval of the normal approximation it stays within [0, 1] and
    does not vanish where none or all are hits.

    Parameters
    ----------
    n_hits, n_samples
        Counts, (K,) integer, hits ≤ samples.
    level
        Coverage, in (0, 1).

    Returns
    -------
    tuple of ndarray
        Lower and upper ends, (K,) float64 in [0, 1]; NaN where there are no samples.

    Raises
    ------
    InputError
        If `level` is out of range, or there are more hits than samples, or fewer than none.

    Examples
    --------
    >>> low, high = wilson_interval(np.array([0, 5]), np.array([10, 10]))
    >>> low.round(3), high.round(3)
    (array([0.   , 0.237]), array([0.278, 0.763]))
    """
    if not 0 < level < 1:
        raise InputError(f"The level must lie in (0, 1), got {level}.")
    if bool(((n_hits < 0) | (n_hits > n_samples)).any()):
        raise InputError("A rate needs at least 0 hits and no more hits than samples.")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    n = np.where(n_samples > 0, n_samples, np.nan).astype(np.float64)
    rate = n_hits / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    # Rounding alone could put an end beside the rate itself.
    low = np.minimum(np.clip(centre - half, 0.0, 1.0), rate)
    high = np.maximum(np.clip(centre + half, 0.0, 1.0), rate)
    return low, high


def _known(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(f"Ranks need the same samples, got {first.shape} and {second.shape}.")
    known = ~(np.isnan(first) | np.isnan(second))
    return first[known], second[known]


def _n_pairs(counts: NDArray[np.integer]) -> int:
    large = counts.astype(np.int64)
    return int((large * (large - 1) // 2).sum())


def _n_inversions(ranks: NDArray[np.integer]) -> int:
    """Return the number of pairs i < j with ranks[i] > ranks[j].

    Two different numbers part at their highest differing bit: within each group of equal higher bits,
    a 1 that stands before a 0 is an inversion. One pass per bit, over numbers sorted by higher bits.
    """
    values = ranks.astype(np.int64)
    n_bits = int(values.max(initial=0)).bit_length()
    n_inversions = 0
    for bit in range(n_bits - 1, -1, -1):
        group, is_one = values >> (bit + 1), (values >> bit) & 1
        before = np.cumsum(is_one) - is_one
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        sizes = np.diff(starts, append=len(values))
        before -= np.repeat(before[starts], sizes)
        n_inversions += int(before[is_one == 0].sum())
        values = values[np.argsort(values >> bit, kind="stable")]
    return n_inversions
