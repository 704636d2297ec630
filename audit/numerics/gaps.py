"""Epochs that were not recorded for some rows, filled in along each row's own epochs."""

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError


def filled(values: NDArray[np.generic], is_missing: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Return values whose missing entries lie on a line between the row's recorded epochs.

    Jia et al. 2023, footnote on missing values: linear along a sample's own epochs, the first and
    last recorded value held beyond them. Rows are never mixed.

    Parameters
    ----------
    values
        (T, R). Floating values are interpolated linearly; of integers, which are names rather than
        amounts, the nearest recorded epoch's is taken, of two equally near the earlier one's.
    is_missing
        (T, R) bool; what stands in `values` there is not looked at.

    Returns
    -------
    ndarray
        (T, R) of the same dtype; recorded entries are unchanged.

    Raises
    ------
    InputError
        If the shapes differ or a row is missing in every epoch.

    Examples
    --------
    >>> missing = np.array([[True], [False], [True], [True], [False], [True]])
    >>> filled(np.array([[0.0], [1.0], [0.0], [0.0], [4.0], [0.0]]), missing)[:, 0]
    array([1., 1., 2., 3., 4., 4.])
    """
    if values.shape != is_missing.shape or values.ndim != 2:
        raise InputError(f"Values {values.shape} and gaps {is_missing.shape} must be one (T, R).")
    columns = np.flatnonzero(is_missing.any(axis=0))
    gaps = is_missing[:, columns]
    if gaps.all(axis=0).any():
        raise InputError(
            f"Row {columns[int(gaps.all(axis=0).argmax())]} is missing in every epoch."
        )
    n_epochs = len(values)
    epochs = np.arange(n_epochs)[:, None]
    before = np.maximum.accumulate(np.where(gaps, -1, epochs), axis=0)
    after = np.minimum.accumulate(np.where(gaps, n_epochs, epochs)[::-1], axis=0)[::-1]
    # Before the first and after the last recorded epoch both neighbours are that one.
    left = np.where(before < 0, after, before)
    right = np.where(after == n_epochs, before, after)
    share = (epochs - left) / np.maximum(right - left, 1)
    known = values[:, columns]
    first, second = (np.take_along_axis(known, place, axis=0) for place in (left, right))
    if np.issubdtype(values.dtype, np.floating):
        lower, upper = (neighbour.astype(np.float64) for neighbour in (first, second))
        between: NDArray[np.generic] = lower * (1 - share) + upper * share
    else:
        between = np.where(share <= 0.5, first, second)
    result = values.copy()
    result[:, columns] = np.where(gaps, between, known)
    return result
