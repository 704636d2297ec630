"""Seeded generators of wrong labels, for benchmarks, demos and detectors that need examples.

Every generator takes true labels and a `numpy.random.Generator`, leaves unlabelled samples (-1)
alone and returns a `NoisyLabels`. "Exclude" draws the new label from the other classes, "include"
from all, so that some drawn labels stay right and the realised rate lies below the nominal one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics.arrays import Floats, Integers

CIFAR10_CONFUSIONS: Mapping[int, int] = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
"""CIFAR-10's usual asymmetric noise.

Truck → automobile, bird → airplane, deer → horse, cat ↔ dog.
"""

_RATE_SPREAD = 0.1
"""Standard deviation of a sample's own noise rate in instance-dependent noise (Xia et al. 2020)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisyLabels:
    """Labels with planted noise, and what was done.

    Parameters
    ----------
    labels
        (N,) int32 with noise; -1 stays where there was no label.
    is_flipped
        (N,) bool, where `labels` differs from the original.
    nominal_rate
        Rate that was asked for, in [0, 1].
    original_counts, noisy_counts
        Samples per class before and after, (K,) int64.
    top_target_share
        Among the flips of a class, the share that goes to its commonest target, averaged over
        flips, in [0, 1]: 1 / (K - 1) or little more for symmetric noise, 1 for pairwise. NaN
        without flips.
    """

    labels: NDArray[np.int32]
    is_flipped: NDArray[np.bool_]
    nominal_rate: float
    original_counts: NDArray[np.int64]
    noisy_counts: NDArray[np.int64]
    top_target_share: float

    @property
    def n_flipped(self) -> int:
        """Number of wrong labels."""
        return int(self.is_flipped.sum())

    @property
    def realised_rate(self) -> float:
        """Wrong ÷ labelled, in [0, 1]; 0 where nothing is labelled."""
        n_labelled = int(self.original_counts.sum())
        return self.n_flipped / n_labelled if n_labelled else 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwiceNoisyLabels:
    """Two contaminations, one on top of the other.

    Parameters
    ----------
    hidden
        The first, which nobody is told of.
    second
        The second, planted on `hidden.labels`; its `is_flipped` is what a detector may learn from.
    """

    hidden: NoisyLabels
    second: NoisyLabels


def plant(labels: Integers, n_wrong: int, n_classes: int, rng: np.random.Generator) -> NoisyLabels:
    """Return labels of which exactly `n_wrong` were moved to a uniformly drawn other class.

    Parameters
    ----------
    labels
        (N,) integer in -1..K-1.
    n_wrong
        Number of wrong labels, between 0 and the number of labelled samples.
    n_classes
        K ≥ 2.
    rng
        Decides which and where to.

    Returns
    -------
    NoisyLabels
        Exactly `n_wrong` flipped.

    Raises
    ------
    InputError
        If labels, K or `n_wrong` are out of range.

    Examples
    --------
    >>> plant(np.zeros(10, dtype=np.int32), 3, 2, np.random.default_rng(0)).n_flipped
    3
    """
    labelled = _labelled(labels, n_classes)
    if not 0 <= n_wrong <= len(labelled):
        raise InputError(f"Of {len(labelled)} labelled samples {n_wrong} cannot be made wrong.")
    chosen = rng.choice(labelled, size=n_wrong, replace=False)
    noisy = labels.astype(np.int32)
    noisy[chosen] = _other_class(noisy[chosen], n_classes, rng)
    return _result(labels, noisy, n_wrong / max(len(labelled), 1), n_classes)


def sym_exclude(
    labels: Integers, rate: float, n_classes: int, rng: np.random.Generator
) -> NoisyLabels:
    """Return labels each moved, with probability `rate`, to a uniformly drawn other class.

    The symmetric noise of Pleiss et al. 2020 (their code), Jia et al. 2023 and Kim et al. 2024.

    Parameters
    ----------
    labels
        (N,) integer in -1..K-1.
    rate
        Noise rate in [0, 1]; the realised one varies by about sqrt(rate (1 - rate) / N).
    n_classes
        K ≥ 2.
    rng
        Decides which and where to.

    Returns
    -------
    NoisyLabels
        Realised rate about `rate`.

    Raises
    ------
    InputError
        If labels, K or the rate are out of range.

    Examples
    --------
    >>> sym_exclude(np.array([0, 1, -1]), 1.0, 2, np.random.default_rng(0)).labels
    array([ 1,  0, -1], dtype=int32)
    """
    chosen = _chosen(labels, rate, n_classes, rng)
    noisy = labels.astype(np.int32)
    noisy[chosen] = _other_class(noisy[chosen], n_classes, rng)
    return _result(labels, noisy, rate, n_classes)


def sym_include(
    labels: Integers, rate: float, n_classes: int, rng: np.random.Generator
) -> NoisyLabels:
    """Return labels each replaced, with probability `rate`, by a draw from all K classes.

    The symmetric noise of the DivideMix family. Parameters and errors are those of `sym_exclude`.

    Returns
    -------
    NoisyLabels
        Realised rate about ``rate * (1 - 1 / K)``.

    Examples
    --------
    >>> noisy = sym_include(np.zeros(1000, dtype=np.int32), 1.0, 2, np.random.default_rng(0))
    >>> 0.4 < noisy.realised_rate < 0.6
    True
    """
    chosen = _chosen(labels, rate, n_classes, rng)
    noisy = labels.astype(np.int32)
    noisy[chosen] = rng.integers(0, n_classes, len(chosen))
    return _result(labels, noisy, rate, n_classes)


def sym_exact_include(
    labels: Integers, rate: float, n_classes: int, rng: np.random.Generator
) -> NoisyLabels:
    """Return labels of which exactly ⌊rate · N⌋ were replaced by a draw from all K classes.

    Parameters and errors are those of `sym_exclude`; N counts labelled samples.

    Returns
    -------
    NoisyLabels
        Realised rate about ``rate * (1 - 1 / K)``, varying less than with `sym_include`.

    Examples
    --------
    >>> noisy = sym_exact_include(np.zeros(10, dtype=np.int32), 0.3, 5, np.random.default_rng(0))
    >>> noisy.n_flipped <= 3
    True
    """
    _check_rate(rate)
    labelled = _labelled(labels, n_classes)
    # A rate such as 0.29 times 100 is 28.999… in floats; the rounding gives the 29 that was meant.
    n_chosen = int(np.floor(round(rate * len(labelled), 9)))
    chosen = rng.choice(labelled, size=n_chosen, replace=False)
    noisy = labels.astype(np.int32)
    noisy[chosen] = rng.integers(0, n_classes, n_chosen)
    return _result(labels, noisy, rate, n_classes)


def pair(labels: Integers, rate: float, n_classes: int, rng: np.random.Generator) -> NoisyLabels:
    """Return labels each moved, with probability `rate`, to the next class, the last to the first.

    The asymmetric noise of Pleiss et al. 2020, section 4.5, and of Kim et al. 2024. Parameters and
    errors are those of `sym_exclude`.

    Returns
    -------
    NoisyLabels
        Realised rate about `rate`.

    Examples
    --------
    >>> pair(np.array([0, 2]), 1.0, 3, np.random.default_rng(0)).labels
    array([1, 0], dtype=int32)
    """
    chosen = _chosen(labels, rate, n_classes, rng)
    noisy = labels.astype(np.int32)
    noisy[chosen] = (noisy[chosen] + 1) % n_classes
    return _result(labels, noisy, rate, n_classes)


def asymmetric(
    labels: Integers,
    rate: float,
    targets: Mapping[int, int],
    *,
    n_classes: int,
    rng: np.random.Generator,
) -> NoisyLabels:
    """Return labels each moved, with probability `rate`, to its class's target.

    Parameters
    ----------
    labels, rate, n_classes, rng
        As in `sym_exclude`.
    targets
        Class → class that it is mistaken for; classes without an entry keep their labels. For
        example `CIFAR10_CONFUSIONS`.

    Returns
    -------
    NoisyLabels
        Realised rate about `rate` times the fraction of samples whose class has a target.

    Raises
    ------
    InputError
        As `sym_exclude`, or if `targets` names a class that does not exist.

    Examples
    --------
    >>> asymmetric(np.array([0, 1]), 1.0, {0: 2}, n_classes=3, rng=np.random.default_rng(0)).labels
    array([2, 1], dtype=int32)
    """
    table = np.arange(n_classes, dtype=np.int32)
    for source, target in targets.items():
        if not (0 <= source < n_classes and 0 <= target < n_classes):
            raise InputError(
                f"Classes must lie in 0..{n_classes - 1}, got the target {source} → {target}."
            )
        table[source] = target
    chosen = _chosen(labels, rate, n_classes, rng)
    noisy = labels.astype(np.int32)
    noisy[chosen] = table[noisy[chosen]]
    return _result(labels, noisy, rate, n_classes)


def superclass(
    labels: Integers, rate: float, groups: Sequence[int], *, rng: np.random.Generator
) -> NoisyLabels:
    """Return labels each moved, with probability `rate`, to another class of the same super-class.

    Jia et al. 2023, "symmetric among the five" of CIFAR-100. Take the groups from the dataset's own
    coarse labels: consecutive blocks of class indices are not the super-classes.

    Parameters
    ----------
    labels, rate, rng
        As in `sym_exclude`.
    groups
        Super-class of each class, K integers. A class alone in its group keeps its labels.

    Returns
    -------
    NoisyLabels
        Realised rate about `rate` among classes that are not alone.

    Raises
    ------
    InputError
        As `sym_exclude`.

    Examples
    --------
    >>> superclass(np.array([0, 1, 2]), 1.0, [7, 7, 8], rng=np.random.default_rng(0)).labels
    array([1, 0, 2], dtype=int32)
    """
    group_of = np.asarray(groups)
    n_classes = len(group_of)
    chosen = _chosen(labels, rate, n_classes, rng)
    noisy = labels.astype(np.int32)
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        if len(members) < 2:
            continue
        inside = chosen[np.isin(labels[chosen], members)]
        places = np.searchsorted(members, labels[inside])
        noisy[inside] = members[_other_class(places, len(members), rng)]
    return _result(labels, noisy, rate, n_classes)


def instance(
    labels: Integers,
    rate: float,
    features: Floats,
    *,
    n_classes: int,
    rng: np.random.Generator,
    standardise: bool = False,
) -> NoisyLabels:
    """Return labels moved with a probability and to a class that depend on the image.

    Xia et al. 2020, instance-dependent noise: each sample has its own rate, normal around `rate`
    with standard deviation 0.1, truncated to [0, 1]; its targets have the softmax of a random
    linear map, one per class, of its features. With raw positive pixels that softmax saturates and
    about 70 % of a class's flips share one target; `top_target_share` says how many did.

    Parameters
    ----------
    labels, rate, n_classes, rng
        As in `sym_exclude`.
    features
        (N, S) floating, for comparability raw pixels / 255, flattened.
    standardise
        Whether to bring each feature to mean 0 and variance 1 first.

    Returns
    -------
    NoisyLabels
        Realised rate about `rate`.

    Raises
    ------
    InputError
        As `sym_exclude`, or if there is not one row of features per sample.

    Examples
    --------
    >>> images = np.random.default_rng(1).random((500, 8))
    >>> noisy = instance(np.arange(500) % 5, 0.4, images, n_classes=5, rng=np.random.default_rng(0))
    >>> 0.3 < noisy.realised_rate < 0.5
    True
    """
    _check_rate(rate)
    labelled = _labelled(labels, n_classes)
    if features.ndim != 2 or len(features) != len(labels):
        raise InputError(
            f"{len(labels)} samples need one row of features each, got shape {features.shape}."
        )
    own_rate = _truncated_normal(rate, len(labels), rng)
    centre, scale = np.zeros(features.shape[1]), np.ones(features.shape[1])
    if standardise and len(labelled):
        centre = features[labelled].mean(axis=0, dtype=np.float64)
        spread = features[labelled].std(axis=0, dtype=np.float64)
        scale = np.where(spread > 0, spread, 1.0)
    noisy = labels.astype(np.int32)
    for label in range(n_classes):
        weights = rng.standard_normal((features.shape[1], n_classes))
        members = np.flatnonzero(labels == label)
        if not len(members):
            continue
        activations = ((features[members] - centre) / scale) @ weights
        activations[:, label] = -np.inf
        activations -= activations.max(axis=1, keepdims=True)
        chances = np.exp(activations)
        chances *= (own_rate[members] / chances.sum(axis=1))[:, None]
        chances[:, label] = 1.0 - own_rate[members]
        steps = np.cumsum(chances, axis=1)
        draws = rng.random(len(members)) * steps[:, -1]
        noisy[members] = (steps <= draws[:, None]).sum(axis=1)
    return _result(labels, noisy, rate, n_classes)


def twice(
    labels: Integers,
    hidden_rate: float,
    second_rate: float,
    *,
    n_classes: int,
    rng: np.random.Generator,
) -> TwiceNoisyLabels:
    """Return labels with hidden symmetric noise, and a second, known noise on top.

    Jia et al. 2023, twice-contaminated data: a detector learns from the second flips, which it may
    know, although some of the labels it takes for right are not. Whether the paper's second step
    can draw the label it replaces is not stated; here it cannot.

    Parameters
    ----------
    labels, n_classes, rng
        As in `sym_exclude`.
    hidden_rate, second_rate
        Noise rates in [0, 1].

    Returns
    -------
    TwiceNoisyLabels
        Both contaminations.

    Raises
    ------
    InputError
        As `sym_exclude`.

    Examples
    --------
    >>> twice(np.array([0, 1]), 1.0, 1.0, n_classes=2, rng=np.random.default_rng(0)).second.labels
    array([0, 1], dtype=int32)
    """
    hidden = sym_exclude(labels, hidden_rate, n_classes, rng)
    second = sym_exclude(hidden.labels, second_rate, n_classes, rng)
    return TwiceNoisyLabels(hidden=hidden, second=second)


def _labelled(labels: Integers, n_classes: int) -> NDArray[np.int64]:
    if n_classes < 2:
        raise InputError(f"Wrong labels need at least two classes, got {n_classes}.")
    if labels.ndim != 1 or (len(labels) and not -1 <= labels.min() <= labels.max() < n_classes):
        raise InputError(f"Labels must be one row of indices in -1..{n_classes - 1}.")
    return np.flatnonzero(labels >= 0)


def _chosen(
    labels: Integers, rate: float, n_classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    _check_rate(rate)
    labelled = _labelled(labels, n_classes)
    return labelled[rng.random(len(labelled)) < rate]


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise InputError(f"A noise rate must lie in [0, 1], got {rate}.")


def _other_class(labels: Integers, n_classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return (labels + rng.integers(1, n_classes, len(labels))) % n_classes


def _truncated_normal(mean: float, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    values = rng.normal(mean, _RATE_SPREAD, n_samples)
    # Redrawing what falls outside ends quickly: with a mean in [0, 1] at least half falls inside.
    while (outside := np.flatnonzero((values < 0) | (values > 1))).size:
        values[outside] = rng.normal(mean, _RATE_SPREAD, len(outside))
    return values


def _result(labels: Integers, noisy: NDArray[np.int32], rate: float, n_classes: int) -> NoisyLabels:
    is_flipped = noisy != labels
    pairs = np.stack([labels[is_flipped], noisy[is_flipped]], axis=1)
    moves, counts = np.unique(pairs, axis=0, return_counts=True)
    commonest = np.zeros(n_classes, dtype=np.int64)
    np.maximum.at(commonest, moves[:, 0], counts)
    n_flipped = int(is_flipped.sum())
    return NoisyLabels(
        labels=noisy,
        is_flipped=is_flipped,
        nominal_rate=rate,
        original_counts=np.bincount(labels[labels >= 0], minlength=n_classes),
        noisy_counts=np.bincount(noisy[noisy >= 0], minlength=n_classes),
        top_target_share=float(commonest.sum() / n_flipped) if n_flipped else float("nan"),
    )
