"""From a detector's scores to probabilities and a cut, and to another noise rate without labels.

Two-parameter logistic, the shift of a prior, its estimate from unlabelled data, and the cut with the
best F1, measured or expected. High scores mean a wrong label throughout.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

N_NEWTON_STEPS = 100
"""A two-parameter fit converges in about ten."""

RATE_BOUNDS = (1e-3, 0.9)
"""Noise rates that `noise_rate` returns; beyond them the estimate is decided by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """P(wrong) = 1 / (1 + exp(-(slope · score + offset))).

    Parameters
    ----------
    slope
        Positive where high scores mean a wrong label.
    offset
        Log odds at score 0.
    """

    slope: float
    offset: float

    def log_odds(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log odds of a wrong label, (N,) float64, in the order of the scores."""
        return self.slope * scores + self.offset


def fit_logistic(scores: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> Logistic:
    """Return the logistic that fits held-out scores best.

    Maximum likelihood by Newton's method, with the targets of Platt 1999, section 2.2: not 0 and 1 but
    1 / (n_right + 2) and (n_wrong + 1) / (n_wrong + 2), which keep the slope finite where the classes
    are separable.

    Parameters
    ----------
    scores
        (N,) float64, finite, high = suspect.
    is_wrong
        (N,) bool, at least one of each.

    Raises
    ------
    InputError
        If shapes differ, a score is not finite, all labels are wrong or none, or all scores are equal.

    Examples
    --------
    >>> scores = np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0])
    >>> fit = fit_logistic(scores, np.array([False, False, True, True, True, False]))
    >>> round(fit.slope, 3), round(abs(fit.offset), 3)
    (0.405, 0.0)
    """
    if scores.shape != is_wrong.shape or scores.ndim != 1 or not np.isfinite(scores).all():
        raise InputError(
            f"A calibration needs one finite score per label, got {scores.shape} and {is_wrong.shape}."
        )
    n_wrong = int(is_wrong.sum())
    n_right = len(is_wrong) - n_wrong
    scale = float(scores.std()) if len(scores) else 0.0
    if not n_wrong or not n_right or scale == 0.0:
        raise InputError(
            f"A calibration needs wrong and right labels of different scores, got {n_wrong} wrong and "
            f"{n_right} right ones."
        )
    centre = float(scores.mean())
    target = np.where(is_wrong, (n_wrong + 1) / (n_wrong + 2), 1 / (n_right + 2))
    design = np.stack([(scores - centre) / scale, np.ones_like(scores)])
    weights = np.array([0.0, float(np.log(n_wrong / n_right))])
    for _ in range(N_NEWTON_STEPS):
        probability = probabilities(weights @ design)
        gradient = design @ (probability - target)
        curvature = (design * (probability * (1 - probability))) @ design.T
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        # A full step from a flat place would overshoot.
        weights = weights - np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            break
    slope = float(weights[0]) / scale
    return Logistic(slope=slope, offset=float(weights[1]) - slope * centre)


def probabilities(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-log_odds)), (N,) float64 in [0, 1], without overflow.

    Examples
    --------
    >>> probabilities(np.array([0.0, -1000.0, 1000.0]))
    array([0.5, 0. , 1. ])
    """
    decay = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, decay) / (1.0 + decay)


def shift_prior(
    log_odds: NDArray[np.float64], *, known_rate: float, new_rate: float
) -> NDArray[np.float64]:
    """Return the log odds of a wrong label under another noise rate.

    Bayes' rule: only the prior odds change, so the order stays as it is (Saerens, Latinne and
    Decaestecker 2002, equation (2.4)).

    Parameters
    ----------
    log_odds
        (N,) float64, calibrated at `known_rate`.
    known_rate, new_rate
        Noise rates, in (0, 1).

    Examples
    --------
    >>> shift_prior(np.array([0.0]), known_rate=0.5, new_rate=0.2).round(4)
    array([-1.3863])
    """
    return log_odds + (np.log(new_rate / (1 - new_rate)) - np.log(known_rate / (1 - known_rate)))


def noise_rate(log_odds: NDArray[np.float64], *, known_rate: float) -> float:
    """Return the noise rate of unlabelled data under which its calibrated log odds agree with it.

    Expectation maximisation of Saerens, Latinne and Decaestecker 2002, equations (2.9) and (2.10), run
    to its fixed point by bisection: the rate at which the mean of the shifted probabilities is the rate
    itself. It presumes that wrong labels look alike in both data sets and only their share differs.

    Parameters
    ----------
    log_odds
        (N,) float64, N ≥ 1, calibrated at `known_rate`.
    known_rate
        In (0, 1).

    Returns
    -------
    float
        Within `RATE_BOUNDS`.

    Examples
    --------
    >>> rate = noise_rate(np.repeat([4.0, -4.0], [10, 90]), known_rate=0.5)
    >>> round(rate, 2)
    0.09
    """

    def excess(rate: float) -> float:
        shifted = shift_prior(log_odds, known_rate=known_rate, new_rate=rate)
        return float(probabilities(shifted).mean()) - rate

    low, high = RATE_BOUNDS
    # EM climbs a likelihood that is concave in the rate: excess / (rate · (1 - rate)) falls.
    if excess(low) <= 0:
        return low
    if excess(high) >= 0:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def best_f1_cut(scores: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    """Return the cut c for which flagging ``scores >= c`` has the best F1.

    Parameters
    ----------
    scores
        (N,) float64, high = suspect; no NaN.
    is_wrong
        (N,) bool, at least one is.

    Returns
    -------
    float
        Midway between the last flagged score and the next lower one; of equal F1 the higher cut.

    Raises
    ------
    InputError
        If shapes differ or no label is wrong.

    Examples
    --------
    >>> best_f1_cut(np.array([0.9, 0.7, 0.2, 0.1]), np.array([True, True, False, False])).__round__(
    ...     3
    ... )
    0.45
    """
    if scores.shape != is_wrong.shape or not is_wrong.any():
        raise InputError(
            f"A cut needs one score per label and a wrong label, got {scores.shape}, "
            f"{is_wrong.shape} and {int(is_wrong.sum())} wrong ones."
        )
    return _best_cut(scores, is_wrong.astype(np.float64), float(is_wrong.sum()))


def expected_f1_cut(log_odds: NDArray[np.float64]) -> float:
    """Return the cut on the log odds with the largest expected F1, 2 · hits ÷ (flagged + wrong).

    Hits and wrong ones are sums of the probabilities that the log odds stand for; ties and errors are
    as in `best_f1_cut`.

    Examples
    --------
    >>> expected_f1_cut(np.array([3.0, 2.0, -4.0, -5.0]))
    -1.0
    """
    expected = probabilities(log_odds)
    return _best_cut(log_odds, expected, float(expected.sum()))


def _best_cut(scores: NDArray[np.float64], hits: NDArray[np.float64], n_wrong: float) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * np.cumsum(hits[order]) / (np.arange(1, len(ranked) + 1) + n_wrong)
    # Equal scores are flagged together.
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    place = int(np.argmax(np.where(is_last, f1, -np.inf)))
    if place + 1 == len(ranked):
        return float(ranked[place])
    return float((ranked[place] + ranked[place + 1]) / 2)
