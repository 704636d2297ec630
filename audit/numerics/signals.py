"""Logits of one epoch → one value per row: the plain twins of what the recorder computes.

Everything is computed and returned in float64, whatever the logits came in, so that these formulas
can serve as the reference for faster ones. `of_epoch` gives all signals at once in the recorded
dtypes.
"""

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics.arrays import Floats, Integers


def given_logit(logits: Floats, labels: Integers) -> NDArray[np.float64]:
    """Return the logit of each row's own label.

    Parameters
    ----------
    logits
        (R, C) floating, logit units, C ≥ 2 outputs.
    labels
        Label that each row was trained on, (R,) integer in 0..C-1.

    Returns
    -------
    ndarray
        (R,) float64, logit units.

    Raises
    ------
    InputError
        If shapes or label range do not fit.

    Examples
    --------
    >>> given_logit(np.array([[1.0, 2.0, 3.0]]), np.array([1]))
    array([2.])
    """
    _check(logits, labels)
    return logits[np.arange(len(labels)), labels].astype(np.float64)


def best_other_class(logits: Floats, labels: Integers) -> NDArray[np.int32]:
    """Return the output with the largest logit among those other than the row's own label.

    Parameters and errors are those of `given_logit`. Of equal logits the lowest output is taken.

    Returns
    -------
    ndarray
        (R,) int32 in 0..C-1, never the row's own label.

    Examples
    --------
    >>> best_other_class(np.array([[1.0, 2.0, 3.0], [6.0, 5.0, 5.0]]), np.array([1, 0]))
    array([2, 1], dtype=int32)
    """
    _check(logits, labels)
    # Counted among the C - 1 others, so that a row of equal or infinite logits cannot name its own.
    others = _others(logits, labels)
    place = np.argmax(others, axis=1)
    return (place + (place >= labels)).astype(np.int32)


def best_other_logit(logits: Floats, labels: Integers) -> NDArray[np.float64]:
    """Return the largest logit among the outputs other than the row's own label.

    Parameters and errors are those of `given_logit`.

    Returns
    -------
    ndarray
        (R,) float64, logit units.

    Examples
    --------
    >>> best_other_logit(np.array([[1.0, 2.0, 3.0]]), np.array([1]))
    array([3.])
    """
    _check(logits, labels)
    return _others(logits, labels).max(axis=1).astype(np.float64)


def margin(logits: Floats, labels: Integers) -> NDArray[np.float64]:
    """Return the own label's logit minus the largest other one; low = suspect.

    Pleiss et al. 2020, section 3, equation (1). Parameters and errors are those of `given_logit`.

    Returns
    -------
    ndarray
        (R,) float64, logit units; positive where the network agrees with the label.

    Examples
    --------
    >>> margin(np.array([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]]), np.array([1, 0]))
    array([-1.,  1.])
    """
    return given_logit(logits, labels) - best_other_logit(logits, labels)


def loss(logits: Floats, labels: Integers) -> NDArray[np.float64]:
    """Return the cross-entropy of each row's own label; high = suspect.

    Parameters and errors are those of `given_logit`.

    Returns
    -------
    ndarray
        (R,) float64 ≥ 0, nats; finite for all finite logits.

    Examples
    --------
    >>> loss(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    _check(logits, labels)
    wide = logits.astype(np.float64)
    own = given_logit(wide, labels)
    gap = _others(wide, labels) - own[:, None]
    # log(1 + sum exp(gap)) with the largest exponent taken out; log1p keeps losses far below the
    # float spacing at 1, which a plain log of the sum would turn into zeros and ties.
    top = np.maximum(gap.max(axis=1), 0.0)
    total = np.exp(gap - top[:, None]).sum(axis=1)
    small = top == 0.0
    result = np.empty_like(top)
    result[small] = np.log1p(total[small])
    result[~small] = top[~small] + np.log(total[~small] + np.exp(-top[~small]))
    return result


def given_probability(logits: Floats, labels: Integers) -> NDArray[np.float64]:
    """Return the softmax probability of each row's own label; low = suspect.

    Parameters and errors are those of `given_logit`.

    Returns
    -------
    ndarray
        (R,) float64 in [0, 1].

    Examples
    --------
    >>> given_probability(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))
    array([0.5, 0. ])
    """
    return np.exp(-loss(logits, labels))


def probabilities(logits: Floats) -> NDArray[np.float64]:
    """Return the softmax of each row.

    Parameters
    ----------
    logits
        (R, C) floating, logit units.

    Returns
    -------
    ndarray
        (R, C) float64 in [0, 1]; rows sum to 1.

    Examples
    --------
    >>> probabilities(np.array([[0.0, 0.0], [-1000.0, 1000.0]]))
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def of_epoch(logits: Floats, labels: Integers) -> dict[str, NDArray[np.generic]]:
    """Return every recorded signal of one epoch, by name, in the recorded dtypes.

    Parameters and errors are those of `given_logit`.

    Returns
    -------
    dict
        Name → (R,): ``margin``, ``given_logit``, ``best_other_logit`` and ``loss`` float32,
        ``given_probability`` float32 in [0, 1], ``best_other_class`` int32.

    Examples
    --------
    >>> sorted(of_epoch(np.zeros((1, 2)), np.array([0])))[:3]
    ['best_other_class', 'best_other_logit', 'given_logit']
    """
    return {
        "margin": margin(logits, labels).astype(np.float32),
        "given_logit": given_logit(logits, labels).astype(np.float32),
        "best_other_logit": best_other_logit(logits, labels).astype(np.float32),
        "best_other_class": best_other_class(logits, labels),
        "given_probability": given_probability(logits, labels).astype(np.float32),
        "loss": loss(logits, labels).astype(np.float32),
    }


def _others(logits: Floats, labels: Integers) -> Floats:
    is_other = np.ones(logits.shape, dtype=np.bool_)
    is_other[np.arange(len(labels)), labels] = False
    return logits[is_other].reshape(len(labels), logits.shape[1] - 1)


def _check(logits: Floats, labels: Integers) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"Logits must have shape (rows, at least 2 outputs), got {logits.shape}.")
    if labels.shape != (len(logits),):
        raise InputError(f"{len(logits)} rows need as many labels, got shape {labels.shape}.")
    if len(labels) and (labels.min() < 0 or labels.max() >= logits.shape[1]):
        raise InputError(
            f"Labels must lie in 0..{logits.shape[1] - 1}, got {labels.min()}..{labels.max()}."
        )
