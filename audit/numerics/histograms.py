"""Two sets of values on common bins, and how far they overlap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedHistogram:
    """Counts of two sets on the same bins.

    Parameters
    ----------
    edges
        (B + 1,) float64, ascending, unit of the values.
    first, second
        (B,) int64 counts; values beyond the outer edges are counted in the outer bins.
    overlap
        Sum over bins of the smaller share, in [0, 1]: 0 = apart, 1 = the same distribution.
    """

    edges: NDArray[np.float64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    overlap: float


def shared_histogram(
    first: NDArray[np.float64], second: NDArray[np.float64], *, n_bins: int = 40
) -> SharedHistogram:
    """Return histograms of two sets on bins that span the middle 99 % of both together.

    Parameters
    ----------
    first, second
        (A,) and (B,) float64, finite, at least one value each.
    n_bins
        Number of bins, ≥ 1.

    Returns
    -------
    SharedHistogram
        Counts and overlap.

    Raises
    ------
    InputError
        If a set is empty.

    Examples
    --------
    >>> shared_histogram(np.array([0.0, 0.1]), np.array([0.9, 1.0]), n_bins=2).overlap
    0.0
    """
    if not len(first) or not len(second):
        raise InputError("A histogram of two sets needs at least one value in each.")
    pooled = np.concatenate([first, second])
    low, high = (float(value) for value in np.percentile(pooled, [0.5, 99.5]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges: NDArray[np.float64] = np.linspace(low, high, n_bins + 1, dtype=np.float64)
    counts = [np.histogram(np.clip(v, low, high), bins=edges)[0] for v in (first, second)]
    shares = [c / c.sum() for c in counts]
    overlap = float(np.minimum(shares[0], shares[1]).sum())
    return SharedHistogram(edges=edges, first=counts[0], second=counts[1], overlap=overlap)
