"""Which classes a network takes for one another: the mark that tells mistakes from blunders.

A label drawn at random is any class; a mistake is a class that images of the true one resemble.
"""

import numpy as np
from numpy.typing import NDArray

from audit.numerics import ranking
from audit.numerics.arrays import Floats, Integers

MOST_CLASSES = 4_000
"""Beyond, a table of pairs would take more than 128 MB, and most pairs have too few samples."""


def of_classes(
    classes: Integers, values: Floats, given: Integers, n_classes: int
) -> NDArray[np.float64] | None:
    """Return how near every class stands to images of every other, by rank.

    Only rows whose given label is the likeliest class are regarded: most of those are right.

    Parameters
    ----------
    classes
        (R, M) integer, distinct within a row; negative = an unused place.
    values
        (R, M) floating in [0, 1]: mean probability of that class. What is not listed counts as 0.
    given
        (R,) integer class index in 0..K-1.
    n_classes
        K.

    Returns
    -------
    ndarray or None
        (K, K) float64: for images of the row's class, 0 = the least likely other class, 1 = the
        likeliest; equals share their mean rank, so that 0.5 says nothing. 0.5 on the diagonal.
        ``None`` for more than `MOST_CLASSES` classes.

    Examples
    --------
    >>> of_classes(
    ...     np.array([[0, 1, 2]] * 2),
    ...     np.array([[0.7, 0.1, 0.2], [0.6, 0.1, 0.3]]),
    ...     np.array([0, 0]),
    ...     3,
    ... )
    array([[0.5, 0. , 1. ],
           [0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """
    if n_classes > MOST_CLASSES:
        return None
    own, other, _ = ranking.given_and_best_other(classes, values, given)
    kept = np.flatnonzero(own > np.nan_to_num(other, nan=0.0))
    is_listed = (classes[kept] >= 0) & (classes[kept] != given[kept, None])
    cells = given[kept, None].astype(np.int64) * n_classes + np.where(is_listed, classes[kept], 0)
    weights = np.where(is_listed, values[kept], 0.0).astype(np.float64)
    # In the order of cells and values: a sum must not depend on how the rows lie.
    flat, weights = cells.ravel(), weights.ravel()
    order = np.lexsort((weights, flat))
    sums: NDArray[np.float64] = np.zeros(n_classes**2, dtype=np.float64)
    sums += np.bincount(flat[order], weights=weights[order], minlength=n_classes**2)
    return _ranks(sums.reshape(n_classes, n_classes))


def of_labels(
    kinship: NDArray[np.float64] | None, looks_like: Integers, label: Integers
) -> NDArray[np.float64]:
    """Return how near each label stands to the class that its image looks like, (R,) in [0, 1].

    Parameters
    ----------
    kinship
        From `of_classes`.
    looks_like, label
        (R,) integer class index; negative = unknown, for which the answer is 0.5.
    """
    if kinship is None:
        return np.full(len(label), 0.5)
    is_known = (looks_like >= 0) & (label >= 0)
    return np.where(is_known, kinship[np.maximum(looks_like, 0), np.maximum(label, 0)], 0.5)


def _ranks(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    n_classes = len(sums)
    result = np.full(sums.shape, 0.5)
    if n_classes < 3:
        return result
    for row in range(n_classes):
        others = np.delete(sums[row], row)
        _, place, n_equal = np.unique(others, return_inverse=True, return_counts=True)
        middle = np.cumsum(n_equal) - (n_equal + 1) / 2
        result[row, np.arange(n_classes) != row] = middle[place] / (n_classes - 2)
    return result
