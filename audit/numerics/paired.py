"""What two ways of training are worth, told by the same test samples and the same seeds.

A value is one for a test sample that a network gets right and zero for one that it gets wrong; a row is
a seed, a column a test sample. Two things are left to chance, and an interval regards both: which samples
happen to be in the test split, for which columns are drawn anew (a bootstrap), and what another seed would
have given. Three or five seeds are too few to be drawn anew, so their part is drawn from Student's t, with
as many degrees of freedom as there are seeds less one.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

N_DRAWS = 4000
"""Draws of an interval: its ends are then known to about a thirtieth of its width."""

LEVEL = 0.95

FEWEST_SAMPLES = 20
"""Below, drawing the samples anew says too little of others: of one sample, nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean and how far it is known.

    Parameters
    ----------
    value
        The mean over all seeds and samples.
    low, high
        Ends of its interval at `LEVEL`; NaN where there are no samples.
    n_seeds, n_samples
        What it was computed from. With one seed the interval knows nothing of other seeds.
    """

    value: float
    low: float
    high: float
    n_seeds: int
    n_samples: int


class Finding(StrEnum):
    """What an estimated difference allows to say."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"
    ONE_SEED = "one seed"


def mean(values: NDArray[np.floating] | NDArray[np.bool_], *, seed: int = 0) -> Estimate:
    """Return the mean of values with an interval for other samples and other seeds.

    Parameters
    ----------
    values
        (S, M), one row per seed and one column per test sample: what was right, or a difference of two
        such tables of the same seeds and samples.
    seed
        Of the draws.

    Returns
    -------
    Estimate
        In the units of the values. NaN, without an interval, if there are no samples.

    Raises
    ------
    InputError
        If `values` is not a table of at least one seed.

    Examples
    --------
    >>> mean(np.ones((2, 50))).low
    1.0
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise InputError(f"Expected a table of seeds and samples, got shape {table.shape}.")
    n_seeds, n_samples = table.shape
    if not n_samples:
        return Estimate(value=np.nan, low=np.nan, high=np.nan, n_seeds=n_seeds, n_samples=n_samples)
    rng = np.random.default_rng(seed)
    value = float(table.mean())
    drawn = value + _of_samples(table.mean(axis=0), rng) + _of_seeds(table.mean(axis=1), rng)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(
        value=value,
        # A mean lies in its own interval, whatever was drawn.
        low=min(float(low), value),
        high=max(float(high), value),
        n_seeds=n_seeds,
        n_samples=n_samples,
    )


def difference(
    values: NDArray[np.floating] | NDArray[np.bool_],
    base: NDArray[np.floating] | NDArray[np.bool_],
    *,
    seed: int = 0,
) -> Estimate:
    """Return by how much one table exceeds another of the same seeds and samples; paired.

    Parameters
    ----------
    values, base
        (S, M) each, row by row the same seed and column by column the same sample.
    seed
        Of the draws.

    Raises
    ------
    InputError
        If the tables have different shapes.

    Examples
    --------
    >>> right = np.array([[1, 1, 0, 0]] * 3)
    >>> difference(right, right).high
    0.0
    """
    if np.shape(values) != np.shape(base):
        raise InputError(
            f"Tables to compare must have one shape, got {np.shape(values)} and {np.shape(base)}."
        )
    return mean(
        np.asarray(values, dtype=np.float64) - np.asarray(base, dtype=np.float64), seed=seed
    )


def judge(estimate: Estimate) -> Finding:
    """Return what a difference allows to say: a winner only where its interval leaves zero out.

    One seed never names a winner, since nothing tells how far another one would differ.
    """
    if estimate.n_seeds < 2:
        return Finding.ONE_SEED
    if estimate.n_samples < FEWEST_SAMPLES:
        return Finding.UNCLEAR
    if estimate.low > 0:
        return Finding.BETTER
    if estimate.high < 0:
        return Finding.WORSE
    return Finding.UNCLEAR


def _of_samples(column: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what drawing the samples anew adds to the mean, (N_DRAWS,)."""
    # Means of a few seeds take few different values: counting those is drawing the samples.
    levels, counts = np.unique(column, return_counts=True)
    drawn = rng.multinomial(len(column), counts / len(column), size=N_DRAWS)
    return drawn @ levels / len(column) - column.mean()


def _of_seeds(row: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what other seeds would have added to the mean, (N_DRAWS,); zero where there is one."""
    if len(row) < 2:
        return np.zeros(N_DRAWS)
    scale = row.std(ddof=1) / np.sqrt(len(row))
    return scale * rng.standard_t(len(row) - 1, size=N_DRAWS)
