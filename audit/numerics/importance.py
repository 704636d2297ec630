"""Which epochs an answer rests on: occlude blocks of them at random and fit a line to the answers.

The idea is LIME (Ribeiro, Singh and Guestrin, "Why Should I Trust You?", 2016, section 3) on
sequences, as Jia et al. 2023 apply it to training dynamics without saying how; the settings are ours.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics.arrays import Floats, Integers

MOST_SINGLE_EPOCHS = 50
"""Up to so many epochs each is a block of its own."""

MOST_BLOCKS = 40
"""Longer sequences are cut into at most so many blocks."""

KERNEL_WIDTH = 0.25
"""Cosine distance at which a masked sequence has lost most of its weight."""

RIDGE_ALPHA = 1.0
"""Penalty on squared coefficients, in units of the summed weights."""

_NO_SPREAD = 1e-9
"""Answers whose standard deviation is below this part of their size (at least 1) count as equal."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A line through weighted answers.

    Parameters
    ----------
    coefficients
        What keeping each block adds to the answer, (B,) float64, unit of the answers.
    intercept
        The line's answer where every block is occluded.
    r_squared
        Weighted share of the answers' variance that the line explains, ≤ 1; NaN where all answers are
        equal, so that there is nothing to explain.
    """

    coefficients: NDArray[np.float64]
    intercept: float
    r_squared: float


def block_edges(n_epochs: int) -> NDArray[np.int64]:
    """Return where the blocks of a sequence begin, and its end.

    Blocks are single epochs up to `MOST_SINGLE_EPOCHS`, else ⌈T / `MOST_BLOCKS`⌉ epochs long; the last
    one may be shorter.

    Parameters
    ----------
    n_epochs
        T, at least 1.

    Returns
    -------
    ndarray
        (B + 1,) int64, ascending from 0 to T.

    Raises
    ------
    InputError
        If there is no epoch.

    Examples
    --------
    >>> block_edges(3)
    array([0, 1, 2, 3])
    >>> block_edges(81)[[0, 1, -2, -1]]
    array([ 0,  3, 78, 81])
    """
    if n_epochs < 1:
        raise InputError(
            f"A sequence needs at least one epoch to be cut into blocks, got {n_epochs}."
        )
    width = 1 if n_epochs <= MOST_SINGLE_EPOCHS else math.ceil(n_epochs / MOST_BLOCKS)
    return np.append(np.arange(0, n_epochs, width), n_epochs).astype(np.int64)


def draw_masks(n_blocks: int, n_masks: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which blocks are kept: all in the first row, each with probability ½ in the others.

    Returns
    -------
    ndarray
        (n_masks, n_blocks) bool, true = kept.

    Examples
    --------
    >>> masks = draw_masks(4, 3, np.random.default_rng(0))
    >>> masks.shape, bool(masks[0].all())
    ((3, 4), True)
    """
    masks = rng.random((n_masks, n_blocks)) < 0.5
    masks[:1] = True
    return masks


def occluded(
    values: Floats, stand_in: Floats, masks: NDArray[np.bool_], edges: Integers
) -> NDArray[np.float64]:
    """Return a sequence once per mask, with what is not kept replaced.

    Parameters
    ----------
    values, stand_in
        The sequence and what replaces it, (T, C) floating each, any unit.
    masks
        (M, B) bool, true = kept.
    edges
        (B + 1,) as from `block_edges`.

    Returns
    -------
    ndarray
        (M, T, C) float64.

    Examples
    --------
    >>> occluded(np.array([[1.0], [2.0]]), np.zeros((2, 1)), np.array([[True, False]]), [0, 1, 2])
    array([[[1.],
            [0.]]])
    """
    kept = np.repeat(masks, np.diff(edges), axis=1)
    return np.where(kept[:, :, None], values[None].astype(np.float64), stand_in[None])


def kernel_weights(masks: NDArray[np.bool_], *, width: float = KERNEL_WIDTH) -> NDArray[np.float64]:
    """Return how much each masked sequence counts: sqrt(exp(-d² / width²)).

    d is the cosine distance to the mask that keeps everything, 1 - sqrt(kept / B); a mask that keeps
    nothing has no direction and the distance 1.

    Parameters
    ----------
    masks
        (M, B) bool.
    width
        In units of the distance, above 0.

    Returns
    -------
    ndarray
        (M,) float64 in (0, 1].

    Examples
    --------
    >>> kernel_weights(np.array([[True, True], [False, False]])).round(3)
    array([1., 0.])
    """
    distance = 1.0 - np.sqrt(masks.mean(axis=1))
    return np.sqrt(np.exp(-(distance**2) / width**2))


def weighted_ridge(
    masks: NDArray[np.bool_],
    answers: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    alpha: float = RIDGE_ALPHA,
) -> Fit:
    """Return the line that minimises Σ w (y - a - x·b)² + alpha · |b|²; the intercept a is free.

    Parameters
    ----------
    masks
        x, (M, B) bool.
    answers
        y, (M,) float64, any unit.
    weights
        w, (M,) float64 ≥ 0, not all 0.
    alpha
        ≥ 0; above 0 there is always one solution.

    Returns
    -------
    Fit
        Coefficients are 0 where all answers are equal.

    Raises
    ------
    InputError
        If an answer is not finite or no weight is above 0.

    Examples
    --------
    >>> masks = np.array([[True, True], [True, False], [False, True], [False, False]])
    >>> fit = weighted_ridge(masks, np.array([5.0, 3.0, 4.0, 2.0]), np.ones(4), alpha=0.0)
    >>> fit.coefficients.round(6), round(fit.intercept, 6), round(fit.r_squared, 6)
    (array([1., 2.]), 2.0, 1.0)
    """
    total = float(weights.sum())
    if not np.isfinite(answers).all() or not total > 0:
        raise InputError("A line needs finite answers and a weight above 0 to be fitted.")
    shares = weights / total
    kept = masks.astype(np.float64)
    middle, mean = shares @ kept, float(shares @ answers)
    centred, rest = kept - middle, answers - mean
    variance = float(shares @ rest**2)
    if variance <= (_NO_SPREAD * max(1.0, abs(mean))) ** 2:
        zeros = np.zeros(masks.shape[1], dtype=np.float64)
        return Fit(coefficients=zeros, intercept=mean, r_squared=math.nan)
    gram = centred.T @ (centred * weights[:, None]) + alpha * np.eye(masks.shape[1])
    moment = centred.T @ (weights * rest)
    coefficients = np.linalg.lstsq(gram, moment, rcond=None)[0].astype(np.float64)
    left = float(shares @ (rest - centred @ coefficients) ** 2)
    return Fit(
        coefficients=coefficients,
        intercept=mean - float(middle @ coefficients),
        r_squared=1.0 - left / variance,
    )


def strongest(coefficients: NDArray[np.float64], n_blocks: int) -> NDArray[np.int64]:
    """Return the blocks that together move the line furthest, in one direction or the other.

    Blocks that pull in opposite directions would undo each other, so these are the `n_blocks` largest
    coefficients or the `n_blocks` smallest, whichever sum is further from 0.

    Parameters
    ----------
    coefficients
        (B,) float64.
    n_blocks
        From 1 to B.

    Returns
    -------
    ndarray
        (n_blocks,) int64, ascending.

    Examples
    --------
    >>> strongest(np.array([3.0, -2.0, 0.0, -2.5]), 2)
    array([1, 3])
    """
    order = np.argsort(coefficients, kind="stable")
    low, high = order[:n_blocks], order[-n_blocks:]
    chosen = low if -coefficients[low].sum() > coefficients[high].sum() else high
    return np.sort(chosen).astype(np.int64)


def draw_sets(
    n_blocks: int, n_chosen: int, n_draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return masks that each occlude `n_chosen` blocks, drawn at random.

    Returns
    -------
    ndarray
        (n_draws, n_blocks) bool, true = kept.

    Examples
    --------
    >>> (~draw_sets(5, 2, 3, np.random.default_rng(0))).sum(axis=1)
    array([2, 2, 2])
    """
    order = np.argsort(rng.random((n_draws, n_blocks)), axis=1)
    masks = np.ones((n_draws, n_blocks), dtype=np.bool_)
    np.put_along_axis(masks, order[:, :n_chosen], values=False, axis=1)
    return masks


def log_odds(suspicion: NDArray[np.float64], *, floor: float = 2.0**-24) -> NDArray[np.float64]:
    """Return log(s / (1 - s)) of values in [0, 1]: what a sigmoid was given.

    Parameters
    ----------
    suspicion
        (M,) float64 in [0, 1].
    floor
        Values closer than this to 0 or 1 count as that close. The default is the step of float32
        below 1: what was computed in float32 says nothing beyond.

    Returns
    -------
    ndarray
        (M,) float64, nats; 0 where the suspicion is ½.

    Examples
    --------
    >>> log_odds(np.array([0.5, 0.0])).round(2)
    array([  0.  , -16.64])
    """
    inside = np.clip(suspicion, floor, 1.0 - floor)
    return np.log(inside) - np.log1p(-inside)
