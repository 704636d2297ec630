"""Signals of a run → one value per row; then suspicion and suggested labels.

AUM's mean margin, and three relatives that weigh later epochs more or look at probabilities. All
are low for suspects; `suspicion` turns them round.
"""

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics.arrays import Floats, Integers

PROBABILITY_FLOOR = 1e-30
"""Smallest probability that `log_ratio` distinguishes from zero; far below any float32 average that
training produces, so that it only keeps the logarithm finite."""

_CELLS_AT_ONCE = 1 << 20
"""Of a table of classes; a million rows of a hundred classes would take gigabytes of intermediate values."""


def mean_over_epochs(
    values: Floats, *, skip_first: int = 0, end: int | None = None
) -> NDArray[np.float64]:
    """Return each row's mean over epochs; of margins this is AUM, low = suspect.

    Pleiss et al. 2020, section 3, equation (2) averages epochs 1..T; their code skips the first,
    which random initialisation decides, and so do the detectors by default (``skip_first=1``).

    Parameters
    ----------
    values
        (T, R) floating, any unit; may be memory-mapped, one epoch is read at a time.
    skip_first
        Epochs left out at the start, ≥ 0.
    end
        Epochs from this one on are left out; ``None`` keeps all.

    Returns
    -------
    ndarray
        (R,) float64, unit of `values`.

    Raises
    ------
    InputError
        If no epoch is left.

    Examples
    --------
    >>> mean_over_epochs(np.array([[9.0], [1.0], [2.0]]), skip_first=1)
    array([1.5])
    """
    used = _used(values, skip_first, end)
    # Epoch by epoch: the sum of a row then never depends on how the array lies in memory.
    total = np.zeros(values.shape[1], dtype=np.float64)
    for epoch in used:
        total += epoch
    return total / len(used)


def running_mean(
    values: Floats, *, skip_first: int = 0, end: int | None = None
) -> NDArray[np.float64]:
    """Return each row's mean up to every epoch: the trajectory whose last entry is the mean.

    Pleiss et al. 2020, figure 6. Parameters and errors are those of `mean_over_epochs`.

    Returns
    -------
    ndarray
        (T', R) float64, T' = epochs used; unit of `values`.

    Examples
    --------
    >>> running_mean(np.array([[1.0], [3.0], [5.0]]))[:, 0]
    array([1., 2., 3.])
    """
    used = _used(values, skip_first, end)
    counts = np.arange(1, len(used) + 1, dtype=np.float64)
    return np.cumsum(used, axis=0, dtype=np.float64) / counts[:, None]


def late_mean(values: Floats) -> NDArray[np.float64]:
    """Return each row's mean over the second half of the epochs; low = suspect.

    Of T epochs the last ⌈T / 2⌉ count. Parameters and errors are those of `mean_over_epochs`.

    Returns
    -------
    ndarray
        (R,) float64, unit of `values`.

    Examples
    --------
    >>> late_mean(np.array([[9.0], [9.0], [1.0], [2.0]]))
    array([1.5])
    """
    return mean_over_epochs(values, skip_first=len(values) // 2)


def tanh_epoch(margins: Floats) -> NDArray[np.float64]:
    """Return each row's mean of tanh(margin), weighted linearly by epoch; low = suspect.

    The squashing keeps a few extreme epochs from deciding, the weight trusts the trained network
    more than the beginner: ``sum(e * tanh(m_e)) / sum(e)`` over e = 1..T.

    Parameters
    ----------
    margins
        (T, R) floating, logit units.

    Returns
    -------
    ndarray
        (R,) float64 in [-1, 1].

    Raises
    ------
    InputError
        If there is no epoch.

    Examples
    --------
    >>> tanh_epoch(np.array([[-50.0], [50.0], [50.0]])).round(4)
    array([0.6667])
    """
    used = _used(margins, 0, None)
    total = np.zeros(margins.shape[1], dtype=np.float64)
    for number, epoch in enumerate(used, start=1):
        total += number * np.tanh(epoch.astype(np.float64))
    return total / (len(used) * (len(used) + 1) / 2)


def log_ratio(given: Floats, best_other: Floats) -> NDArray[np.float64]:
    """Return log(mean probability of the given label / largest of another class); low = suspect.

    Parameters
    ----------
    given, best_other
        Probabilities averaged over epochs, (R,) floating in [0, 1]; values below
        `PROBABILITY_FLOOR` count as that.

    Returns
    -------
    ndarray
        (R,) float64, nats; 0 where both are equal. NaN stays NaN.

    Examples
    --------
    >>> log_ratio(np.array([0.5, 0.1]), np.array([0.5, 0.8])).round(3)
    array([ 0.   , -2.079])
    """
    floor = PROBABILITY_FLOOR
    upper = np.log(np.maximum(given.astype(np.float64), floor))
    return upper - np.log(np.maximum(best_other.astype(np.float64), floor))


def suspicion(quantity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sigmoid(-quantity), in exactly the quantity's order; high = suspect.

    Float64 has little room beside 1 for the sigmoid of quantities below -20 and none below -37, so
    that the worst suspects would tie. Different quantities that would share a suspicion are set
    apart by single steps of the float: the order is the quantity's, the value the sigmoid's to
    within N · 1.2e-16.

    Parameters
    ----------
    quantity
        (N,) float64, low = suspect; NaN where a sample was not scored.

    Returns
    -------
    ndarray
        (N,) float64 in [0, 1]; NaN exactly where `quantity` is, equal exactly where it is equal.

    Examples
    --------
    >>> suspicion(np.array([0.0, 2.0, np.nan])).round(3)
    array([0.5  , 0.119,   nan])
    >>> worst = suspicion(np.array([-300.0, -200.0]))
    >>> bool(worst[0] > worst[1] > 0.999999)
    True
    """
    result = np.full(quantity.shape, np.nan)
    is_scored = ~np.isnan(quantity)
    distinct, place = np.unique(quantity[is_scored], return_inverse=True)
    decay = np.exp(-np.abs(distinct))
    values = np.where(distinct < 0, 1.0, decay) / (1.0 + decay)
    # Floats ≥ 0 are ordered like their bit patterns; one pattern further is one float further.
    # A falling sequence t <= values is the running minimum of values + rank, less the rank.
    rank = np.arange(len(distinct), dtype=np.int64)
    steps = np.minimum.accumulate(values.view(np.int64) + rank) - rank
    steps = np.maximum(steps, rank[::-1])
    result[is_scored] = steps.view(np.float64)[place]
    return result


def given_and_best_other(
    classes: Integers, values: Floats, given: Integers
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Return the given label's value, the largest of another class, and that class.

    Parameters
    ----------
    classes
        (R, M) integer, distinct within a row; negative = an unused place. May be memory-mapped, some rows
        are read at a time.
    values
        (R, M) floating in [0, 1], for example mean probabilities; likewise. NaN counts as unused.
    given
        (R,) integer class index.

    Returns
    -------
    given_value
        (R,) float64; NaN where the given label is not listed.
    best_value
        (R,) float64; NaN where no other class is listed.
    best_class
        (R,) int32; of equal values the lowest class; -1 where no other class is listed.

    Examples
    --------
    >>> given_and_best_other(np.array([[0, 1, 2]]), np.array([[0.2, 0.7, 0.1]]), np.array([1]))
    (array([0.7]), array([0.2]), array([0], dtype=int32))
    """
    found = (np.empty(len(given)), np.empty(len(given)), np.empty(len(given), dtype=np.int32))
    step = max(1, _CELLS_AT_ONCE // max(1, classes.shape[1]))
    for begin in range(0, len(given), step):
        rows = slice(begin, begin + step)
        parts = _given_and_best_other(classes[rows], values[rows], given[rows])
        for whole, part in zip(found, parts, strict=True):
            whole[rows] = part
    return found


def _given_and_best_other(
    classes: Integers, values: Floats, given: Integers
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    is_listed = (classes >= 0) & ~np.isnan(values)
    is_given = is_listed & (classes == given[:, None])
    is_other = is_listed & ~is_given
    given_value = np.where(is_given, values, -np.inf).max(axis=1, initial=-np.inf)
    best_value = np.where(is_other, values, -np.inf).max(axis=1, initial=-np.inf)
    is_best = is_other & (values == best_value[:, None])
    last = np.iinfo(np.int32).max
    best_class = np.where(is_best, classes, last).min(axis=1, initial=last)
    best_class = np.where(is_best.any(axis=1), best_class, -1)
    return _nan_for_none(given_value), _nan_for_none(best_value), best_class.astype(np.int32)


def suggested_labels(classes: Integers, values: Floats, given: Integers) -> NDArray[np.int32]:
    """Return the class other than the given one that the network believed in most.

    Parameters are those of `given_and_best_other`; the values are mean probabilities.

    Returns
    -------
    ndarray
        (R,) int32 class index, never the given label, of equal values the lowest; -1 where no other
        class is listed or none of them has a value above 0.

    Examples
    --------
    >>> suggested_labels(
    ...     np.array([[0, 1], [0, -1]]), np.array([[0.3, 0.7], [1.0, 0.0]]), np.array([1, 0])
    ... )
    array([ 0, -1], dtype=int32)
    """
    _, best_value, best_class = given_and_best_other(classes, values, given)
    return np.where(best_value > 0, best_class, -1).astype(np.int32)


def are_outvoted(classes: Integers, values: Floats, given: Integers) -> NDArray[np.bool_]:
    """Return whether the network held another class for likelier than the given one.

    Parameters are those of `given_and_best_other`. A shortened table holds the likeliest classes: a given
    label that it does not list counts as 0.

    Returns
    -------
    ndarray
        (R,) bool.

    Examples
    --------
    >>> are_outvoted(
    ...     np.array([[0, 1], [0, 1]]), np.array([[0.3, 0.7], [0.5, 0.5]]), np.array([0, 1])
    ... )
    array([ True, False])
    """
    own, other, _ = given_and_best_other(classes, values, given)
    return np.nan_to_num(other, nan=-1.0) > np.nan_to_num(own, nan=0.0)


def _used(values: Floats, skip_first: int, end: int | None) -> Floats:
    used = values[skip_first:end]
    if skip_first < 0 or len(used) == 0:
        raise InputError(
            f"Of {len(values)} epochs none is left when the first {skip_first} are skipped"
            + ("." if end is None else f" and those from {end} on are left out.")
        )
    return used


def _nan_for_none(values: Floats) -> NDArray[np.float64]:
    return np.where(np.isneginf(values), np.nan, values).astype(np.float64)
