"""How far a ranking still moves while a network trains: measures of one epoch, and the rule that ends it.

A ranking is a running mean, and a running mean changes by ever less: one epoch before, it was nearly the
same by construction, however much is still to come. So every measure compares the ranking after t epochs
with that after half of them, ``t // 2``: what doubling the epochs has changed is a fair guess at what
doubling them again would.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.numerics import agreement
from audit.numerics.arrays import Floats

OVERLAP, RANK_CORRELATION = "overlap", "rank_correlation"
"""Names of the two measures, where they are recorded beside loss and accuracy."""

LEVELS: Mapping[str, float] = {OVERLAP: 0.86, RANK_CORRELATION: 0.86}
"""What the rule wants of each measure; docs/stability.md says how all constants here were chosen."""

FEWEST_EPOCHS, FEWEST_SHARE = 8, 0.5
"""Before so many epochs, and before this part of the planned ones, nothing counts as settled: what comes at
low learning rates cannot be seen before."""

IN_A_ROW = 2
"""Epochs one after the other that must reach the levels."""


LEAST_FLAGGED = 0.01
"""Part of all rows that is looked at where a plain cut flags fewer."""


class RunningStatistic:
    """The default ranking's statistic, one epoch at a time: what `ranking.tanh_epoch` gives at its end.

    Parameters
    ----------
    n_rows
        Number of rows R.
    """

    def __init__(self, n_rows: int) -> None:
        self._total: NDArray[np.float64] = np.zeros(n_rows, dtype=np.float64)
        self._n_epochs = 0

    @property
    def n_epochs(self) -> int:
        """Number of epochs t that were added."""
        return self._n_epochs

    def add(self, margins: Floats) -> None:
        """Take the next epoch's margins, (R,) floating, logit units."""
        self._n_epochs += 1
        self._total += self._n_epochs * np.tanh(margins.astype(np.float64))

    def values(self) -> NDArray[np.float64]:
        """Return the statistic after the epochs so far, (R,) float64 in [-1, 1], low = suspect."""
        return self._total / max(self._n_epochs * (self._n_epochs + 1) / 2, 1.0)


@dataclass(frozen=True, slots=True)
class Movement:
    """How far a ranking has moved between two moments.

    Parameters
    ----------
    overlap
        Of the n most suspicious rows now, the part that were among the n most suspicious before, in
        [0, 1]; n is how many a plain cut flags now, one in a hundred rows at least.
    rank_correlation
        Spearman's, in [-1, 1], over the rows that are among the 2 n most suspicious ones before or now;
        1 where there is no order: fewer than two rows, or all tie.
    """

    overlap: float
    rank_correlation: float


def movement(before: NDArray[np.float64], now: NDArray[np.float64]) -> Movement:
    """Return how far a ranking has moved.

    The plain cut is at zero: it flags rows that lost to another class on the weighted average.

    Parameters
    ----------
    before, now
        The statistic of the same rows at two moments, (R,) float64, finite, low = suspect.

    Examples
    --------
    Two are below zero now; one of them was among the two lowest before.

    >>> movement(np.array([-0.9, 0.2, -0.5, 0.8]), np.array([-0.9, -0.1, 0.3, 0.8])).overlap
    0.5
    """
    # Where everything is learnt the cut flags next to nothing, and single rows would decide.
    n_flagged = max(int((now < 0).sum()), math.ceil(LEAST_FLAGGED * len(now)))
    both = _lowest(before, n_flagged) & _lowest(now, n_flagged)
    compared = _lowest(before, 2 * n_flagged) | _lowest(now, 2 * n_flagged)
    correlation = agreement.spearman(before[compared], now[compared])
    return Movement(
        overlap=float(both.sum() / n_flagged) if n_flagged else 1.0,
        rank_correlation=1.0 if math.isnan(correlation) else correlation,
    )


def fewest_epochs(n_planned: int) -> int:
    """Return after how many of the planned epochs a run may count as settled at the earliest.

    Examples
    --------
    >>> fewest_epochs(50), fewest_epochs(10)
    (25, 8)
    """
    return max(FEWEST_EPOCHS, math.ceil(FEWEST_SHARE * n_planned))


def settled_after(course: Sequence[Mapping[str, float]], n_planned: int) -> int | None:
    """Return after how many epochs the rule would have ended a run, ``None`` if it would not yet.

    Parameters
    ----------
    course
        What each epoch recorded, in order; `LEVELS` names what is looked at, and an epoch that lacks
        one of these does not reach it.
    n_planned
        Epochs that the run would take.

    Examples
    --------
    >>> calm = {"overlap": 0.99, "rank_correlation": 0.99}
    >>> settled_after([{}] * 12 + [calm] * 5, n_planned=20)
    14
    """
    n_in_a_row = 0
    for n_epochs, point in enumerate(course, start=1):
        reached = all(point.get(name, -1.0) >= level for name, level in LEVELS.items())
        n_in_a_row = n_in_a_row + 1 if reached else 0
        if n_epochs >= fewest_epochs(n_planned) and n_in_a_row >= IN_A_ROW:
            return n_epochs
    return None


def _lowest(values: NDArray[np.float64], n_wanted: int) -> NDArray[np.bool_]:
    """Return which rows are the lowest, (R,) bool; rows that tie at the end are taken by position."""
    lowest = np.zeros(len(values), dtype=np.bool_)
    if n_wanted < len(values):
        lowest[np.argpartition(values, n_wanted - 1)[:n_wanted]] = True
    else:
        lowest[:] = True
    return lowest
