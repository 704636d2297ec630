"""From a detector's scores to probabilities and to a cut. High scores mean a wrong label throughout."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

N_NEWTON_STEPS = 100
"""A two-parameter fit converges in about ten."""


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
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * np.cumsum(is_wrong[order]) / (np.arange(1, len(ranked) + 1) + is_wrong.sum())
    # Equal scores are flagged together.
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    place = int(np.argmax(np.where(is_last, f1, -np.inf)))
    return float(ranked[place]) if place + 1 == len(ranked) else _midway(ranked, place)


def cut_for(scores: NDArray[np.float64], n_flagged: int) -> float:
    """Return the cut c for which ``scores >= c`` flags a number of samples, and those that tie with them.

    Parameters
    ----------
    scores
        (N,) float64, high = suspect; no NaN.
    n_flagged
        Wanted number; 0 gives infinity, N or more the lowest score.

    Examples
    --------
    >>> cut_for(np.array([0.1, 0.9, 0.5]), 1), cut_for(np.array([0.1, 0.9, 0.5]), 0)
    (0.7, inf)
    """
    if n_flagged <= 0 or not len(scores):
        return float("inf")
    ranked = np.sort(scores)[::-1]
    if n_flagged >= len(ranked):
        return float(ranked[-1])
    return _midway(ranked, n_flagged - 1)


def _midway(ranked: NDArray[np.float64], place: int) -> float:
    """Return a value that lies between a place of falling scores and the next, or is the place's own."""
    high, low = float(ranked[place]), float(ranked[place + 1])
    middle = low + (high - low) / 2
    return middle if middle > low else high
