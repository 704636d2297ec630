"""Wrong labels that a network finds plausible: drawn from what it predicted beside the given label."""

import numpy as np
from numpy.typing import NDArray

from audit.numerics.arrays import Floats, Integers


def draw_confused(
    classes: Integers, values: Floats, given: Integers, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return for each row a class other than the given one, drawn with its predicted probability.

    Parameters
    ----------
    classes
        (R, M) integer, distinct within a row; negative = an unused place.
    values
        (R, M) floating in [0, 1]: the probability of that class.
    given
        (R,) integer class index, never drawn.
    rng
        One uniform number is drawn per row.

    Returns
    -------
    ndarray
        (R,) int32; -1 where no other class has a probability above 0.

    Examples
    --------
    >>> draw_confused(
    ...     np.array([[0, 1, 2]]),
    ...     np.array([[0.9, 0.0, 0.1]]),
    ...     np.array([0]),
    ...     np.random.default_rng(0),
    ... )
    array([2], dtype=int32)
    """
    weights = np.where((classes >= 0) & (classes != given[:, None]), values, 0.0)
    weights = np.nan_to_num(weights.astype(np.float64), nan=0.0)
    sums = np.cumsum(weights, axis=1)
    total = sums[:, -1]
    wanted = rng.random(len(given)) * total
    n_passed: NDArray[np.int64] = (sums <= wanted[:, None]).sum(axis=1)
    place = np.minimum(n_passed, classes.shape[1] - 1)
    rows = np.arange(len(given))
    # A product that rounds up to the total would take the last place, whatever stands there.
    place = np.where(weights[rows, place] > 0, place, weights.argmax(axis=1))
    drawn = classes[rows, place]
    return np.where(total > 0, drawn, -1).astype(np.int32)


def without_smoothing(values: Floats, smoothing: float, n_classes: int) -> NDArray[np.float64]:
    """Return probabilities as a network meant them that was trained on smoothed labels.

    Targets of 1 − ε + ε / K and ε / K teach ε / K for every class, however unlikely it is; that part is
    taken off and the rest scaled up, (p − ε / K) / (1 − ε). Müller, Kornblith and Hinton 2019, equation
    (1), inverted. What falls below a hundredth of the probability is kept at that, so that the
    unlikely classes keep their order.

    Parameters
    ----------
    values
        Probabilities, or means of them, of any shape, floating in [0, 1].
    smoothing
        ε, in [0, 1).
    n_classes
        K, at least 1.

    Returns
    -------
    ndarray
        float64 in [0, 1], of the same shape.

    Examples
    --------
    >>> without_smoothing(np.array([0.82, 0.12, 0.06]), 0.2, 10).round(4)
    array([1.   , 0.125, 0.05 ])
    """
    exact = np.minimum(values.astype(np.float64), 1.0)
    meant = (exact - smoothing / n_classes) / (1.0 - smoothing)
    return np.clip(np.maximum(meant, 0.01 * exact), 0.0, 1.0)


def share_of_doubt(
    classes: Integers, values: Floats, given: Integers, other: Integers
) -> NDArray[np.float64]:
    """Return how much of the probability beside the given label belongs to one other class.

    If the given label is wrong, this is the network's chance that the other class is right.

    Parameters
    ----------
    classes, values, given
        As for `draw_confused`.
    other
        (R,) integer class index.

    Returns
    -------
    ndarray
        (R,) float64 in [0, 1]; 0 where the other class is the given one, is not listed, or nothing
        is left beside the given label.

    Examples
    --------
    >>> share_of_doubt(
    ...     np.array([[0, 1, 2]]), np.array([[0.5, 0.4, 0.1]]), np.array([0]), np.array([1])
    ... )
    array([0.8])
    """
    weights = np.where((classes >= 0) & (classes != given[:, None]), values, 0.0)
    weights = np.nan_to_num(weights.astype(np.float64), nan=0.0)
    total = weights.sum(axis=1)
    own = np.where(classes == other[:, None], weights, 0.0).sum(axis=1)
    return np.divide(own, total, out=np.zeros(len(total)), where=total > 0)


def doubt(values: Floats) -> NDArray[np.float64]:
    """Return how unsure a network is of each image: the probability beside its likeliest class.

    Parameters
    ----------
    values
        (R, M) floating in [0, 1]: probabilities, the likeliest class among them.

    Returns
    -------
    ndarray
        (R,) float64 in [0.01, 1]; never 0, because nothing is certain.

    Examples
    --------
    >>> doubt(np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])).round(2)
    array([0.3 , 0.01])
    """
    likeliest = np.nan_to_num(values.astype(np.float64), nan=0.0).max(axis=1)
    return np.clip(1.0 - likeliest, 0.01, 1.0)
