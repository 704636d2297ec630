"""How many labels are wrong, from how labels fared that were planted wrong: a mixture with a known part.

Natural labels are a mixture: right ones, about which nothing is known, and wrong ones, which fare like
planted ones of the same kind. Among the most suspect there are hardly any right ones, so that natural
and planted labels stand there in one ratio, which is the noise rate (mixture proportion estimation;
Blanchard, Lee and Scott 2010, section 3, take the least such ratio).

Labels drawn uniformly are blunders and easy to find; those that a network thinks likely are mistakes, as
people make them, and hard. The natural ones are some of both. How many of which is read off the most
suspect part in two ways: mistakes name a class that the image resembles (`kinship`), and the right
mixture gives the same ratio at every depth. What both leave open is averaged over, not chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

DEPTH = 0.4
"""Part of the wrong labels, the most suspect ones, over which the ratio should be flat; further down,
right labels mix in."""

N_STEPS = 8
"""Steps of that part whose ratios are compared."""

N_KINSHIP_STEPS = 4
"""Coarser steps of that part, in each of which the classes are compared."""

FLATNESS_WEIGHT = 0.5
"""Of the ratios' chi-squared beside that of the classes. Below 1, because the first right labels tilt
the ratio a little: taken at its word it mistook the noise of people for blunders."""

SHARES: NDArray[np.float64] = np.linspace(0.0, 1.0, 11, dtype=np.float64)
"""Parts of mistakes that are weighed against one another."""

N_BINS = 200
"""Most bins of the values, so that the work hardly grows with the number of samples."""

N_ROUNDS = 3
"""A planted label is right by accident where it undoes a wrong one. How often follows from the estimate
and changes it; the third round moves the rate by less than a hundredth of itself."""

N_RESAMPLES, LEVEL = 100, 0.9
"""Bootstrap resamples of the confidence band, and its coverage."""

_LEAST_COUNT = 0.5
"""Samples; keeps the variance of an empty step above zero."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """M labels of one run and how they fared.

    Parameters
    ----------
    values
        (M,) float64, finite, low = suspect.
    kinship
        How near the label stands to the class that its image looks like, (M,) float64 in [0, 1].
    """

    values: NDArray[np.float64]
    kinship: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlantedLabels(Labels):
    """M labels that were planted wrong.

    Parameters
    ----------
    is_confused
        Whether a network thought them likely; otherwise drawn uniformly, (M,) bool.
    restores
        Chance that the planted label is right if the given one was wrong, (M,) float64 in [0, 1].
    depth
        How suspect the given label was: the part of all samples that were at least as suspect, (M,)
        float64 in [0, 1].
    """

    is_confused: NDArray[np.bool_]
    restores: NDArray[np.float64]
    depth: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """An estimated noise rate, and what every cut would find.

    Parameters
    ----------
    rate, low, high
        Part of wrong labels, and the ends of its confidence band, in [0, 1].
    confused_share
        Part of mistakes among the wrong labels, in [0, 1].
    misfit
        Chi-squared of the best mixture per degree of freedom; far above 1 the planted labels are no
        model of the wrong ones.
    depth
        Part of the samples that a cut flags, (B + 1,) float64, ascending from 0 to 1.
    found
        Part of the samples that such a cut flags and that are wrong, (B + 1,) float64, concave,
        ascending from 0, nowhere above `depth`.
    """

    rate: float
    low: float
    high: float
    confused_share: float
    misfit: float
    depth: NDArray[np.float64]
    found: NDArray[np.float64]

    def chance_wrong(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chance that a label at a depth is wrong, (M,) float64 in [0, 1], falling."""
        chances = np.diff(self.found) / np.diff(self.depth)
        place = np.searchsorted(self.depth, depth, side="left") - 1
        return chances[np.clip(place, 0, len(chances) - 1)]

    def precision(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the part of wrong labels among those down to a depth in (0, 1], (M,), falling."""
        found = np.interp(depth, self.depth, self.found)
        # A quotient of interpolated values rises by single steps of the float where it is flat.
        order = np.argsort(depth, kind="stable")
        result = np.empty(len(depth), dtype=np.float64)
        result[order] = np.minimum.accumulate(np.clip(found[order] / depth[order], 0.0, 1.0))
        return result

    def best_depth(self) -> float:
        """Return the part of samples to flag for the largest estimated F1, in [0, 1].

        F1 is 2 · found ÷ (flagged + rate); between two knots of `found` it only rises or falls.
        """
        total = self.depth + self.rate
        f1 = np.divide(2 * self.found, total, out=np.zeros(len(total)), where=total > 0)
        return float(self.depth[f1.argmax()])


def fit(natural: Labels, planted: PlantedLabels, *, rng: np.random.Generator) -> Mixture:
    """Return how many of the natural labels are wrong, and how many of those each cut finds.

    The answer does not depend on the order of the labels.

    Parameters
    ----------
    natural
        Labels as they were given, at least one.
    planted
        Labels planted wrong in the same run, at least one of each kind.
    rng
        Draws the resamples of the band.

    Returns
    -------
    Mixture
        Estimates; depths are those of the natural labels.

    Raises
    ------
    InputError
        If labels are missing or values are not finite.

    Examples
    --------
    Of 10,000 labels 1,000 fare like planted ones, which all lie below 0.

    >>> rng = np.random.default_rng(0)
    >>> nothing = np.full(10_000, 0.5)
    >>> mixture = fit(
    ...     Labels(values=np.r_[-rng.random(1000), rng.random(9000)], kinship=nothing),
    ...     PlantedLabels(
    ...         values=-rng.random(10_000),
    ...         kinship=nothing,
    ...         is_confused=np.arange(10_000) % 2 > 0,
    ...         restores=np.zeros(10_000),
    ...         depth=np.ones(10_000),
    ...     ),
    ...     rng=rng,
    ... )
    >>> bool(abs(mixture.rate - 0.1) < 0.01), round(mixture.best_depth(), 3)
    (True, 0.1)
    """
    n_confused = int(planted.is_confused.sum())
    if not len(natural.values) or not 0 < n_confused < len(planted.values):
        raise InputError(
            "A planted mixture needs natural labels and planted ones of both kinds, got "
            f"{len(natural.values)}, {len(planted.values) - n_confused} and {n_confused}."
        )
    if not (np.isfinite(natural.values).all() and np.isfinite(planted.values).all()):
        raise InputError("A planted mixture can only be fitted to finite values.")
    planted = _sorted(planted)
    place, bins = _binned(natural, planted)
    mixture, weights = None, np.ones(len(planted.values), dtype=np.float64)
    for _ in range(N_ROUNDS):
        if mixture is not None:
            weights = 1.0 - mixture.chance_wrong(planted.depth) * planted.restores
        bins = replace(bins, weight=_mean_weight(place, planted, weights, bins))
        mixture = _mixture(bins)
    assert mixture is not None
    rates = [_averaged(one) for one in _resampled(bins, rng)]
    low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return replace(mixture, low=float(low), high=float(high))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bins:
    """What fell into each of B bins of the values; planted labels as (2, B): uniform, confused.

    `kinship` and `squares` are means per label of the bin, `weight` the mean chance of being wrong.
    """

    natural: NDArray[np.float64]
    natural_kinship: NDArray[np.float64]
    natural_squares: NDArray[np.float64]
    planted: NDArray[np.float64]
    kinship: NDArray[np.float64]
    squares: NDArray[np.float64]
    weight: NDArray[np.float64]


def _sorted(planted: PlantedLabels) -> PlantedLabels:
    # Sums of floats depend on the order of what is added; an answer must not.
    order = np.lexsort(
        (planted.restores, planted.depth, planted.kinship, planted.is_confused, planted.values)
    )
    return PlantedLabels(
        values=planted.values[order],
        kinship=planted.kinship[order],
        is_confused=planted.is_confused[order],
        restores=planted.restores[order],
        depth=planted.depth[order],
    )


def _binned(natural: Labels, planted: PlantedLabels) -> tuple[NDArray[np.int64], _Bins]:
    """Return the bin of every planted label, (M,), and the bins, weights still to come."""
    levels = np.linspace(0.0, 1.0, N_BINS + 1)[1:]
    edges = np.unique(np.quantile(planted.values, levels, method="inverted_cdf"))
    n_bins = len(edges) + 1
    place = np.searchsorted(edges, planted.values, side="left").astype(np.int64)
    order = np.lexsort((natural.kinship, natural.values))
    found = np.searchsorted(edges, natural.values[order], side="left")
    kinship = natural.kinship[order]
    n_natural = np.bincount(found, minlength=n_bins).astype(np.float64)
    least = np.maximum(n_natural, 1)
    counts, means, squares = (np.zeros((2, n_bins), dtype=np.float64) for _ in range(3))
    for kind in (0, 1):
        own = planted.is_confused == bool(kind)
        counts[kind] = np.bincount(place[own], minlength=n_bins)
        sums = (
            np.bincount(place[own], weights=planted.kinship[own] ** power, minlength=n_bins)
            for power in (1, 2)
        )
        means[kind], squares[kind] = (total / np.maximum(counts[kind], 1) for total in sums)
    return place, _Bins(
        natural=n_natural,
        natural_kinship=np.bincount(found, weights=kinship, minlength=n_bins) / least,
        natural_squares=np.bincount(found, weights=kinship**2, minlength=n_bins) / least,
        planted=counts,
        kinship=means,
        squares=squares,
        weight=np.ones_like(counts),
    )


def _mean_weight(
    place: NDArray[np.int64],
    planted: PlantedLabels,
    weights: NDArray[np.float64],
    bins: _Bins,
) -> NDArray[np.float64]:
    means = np.zeros_like(bins.planted)
    for kind in (0, 1):
        own = planted.is_confused == bool(kind)
        sums = np.bincount(place[own], weights=weights[own], minlength=means.shape[1])
        means[kind] = sums / np.maximum(bins.planted[kind], 1)
    return means


def _parts(bins: _Bins) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each kind's distribution over the bins, (2, B), and the variance of every part."""
    mass = bins.planted * bins.weight
    total = np.maximum(mass.sum(axis=1, keepdims=True), 1e-300)
    return mass / total, bins.planted * (bins.weight / total) ** 2


def _fits(bins: _Bins) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the noise rate and the chi-squared under each of `SHARES`, (S,) each."""
    parts, variances = _parts(bins)
    kinship = np.cumsum(parts * bins.kinship, axis=1)
    squares = np.cumsum(parts * bins.squares, axis=1)
    n_natural = float(bins.natural.sum())
    natural = np.cumsum(bins.natural)
    natural_kinship = np.cumsum(bins.natural * bins.natural_kinship)
    natural_squares = np.cumsum(bins.natural * bins.natural_squares)
    rates, misfits = np.ones(len(SHARES)), np.zeros(len(SHARES))
    for number, share in enumerate(SHARES.tolist()):
        mix = np.array([1.0 - share, share])
        wrong = np.cumsum(mix @ parts)
        variance = np.cumsum(mix**2 @ variances)
        steps = np.linspace(0.0, DEPTH, N_STEPS + 1)[1:]
        # Ties and few labels can make several steps end in one bin.
        at = np.unique(np.searchsorted(wrong, steps - 1e-12))
        rates[number], misfits[number] = _ratio(
            *(np.diff(sums[at], prepend=0.0) for sums in (natural / n_natural, wrong, variance)),
            n_natural=n_natural,
        )
        misfits[number] *= FLATNESS_WEIGHT
        coarse = np.unique(np.searchsorted(wrong, steps[:: -N_STEPS // N_KINSHIP_STEPS] - 1e-12))
        first = [
            np.diff(sums[coarse], prepend=0.0)
            for sums in (natural, natural_kinship, natural_squares)
        ]
        second = [
            np.diff(sums[coarse], prepend=0.0)
            for sums in (wrong, mix @ kinship, mix @ squares, variance)
        ]
        misfits[number] += _differences(first, second)
    return np.minimum(rates, 1.0), misfits


def _ratio(
    natural: NDArray[np.float64],
    wrong: NDArray[np.float64],
    variance: NDArray[np.float64],
    *,
    n_natural: float,
) -> tuple[float, float]:
    """Return the ratio of two distributions over steps by weighted least squares, and its chi-squared.

    Parameters
    ----------
    natural, wrong
        Parts of the natural and of the planted labels in each step.
    variance
        Of `wrong`.
    n_natural
        Number of natural labels; their count in a step varies as Poisson's does.
    """
    ratio = float(natural.sum() / max(wrong.sum(), 1e-300))
    spread = np.ones_like(wrong)
    for _ in range(2):  # the variance depends on the ratio, hardly
        expected = np.maximum(n_natural * ratio * wrong, _LEAST_COUNT)
        spread = expected / n_natural**2 + ratio**2 * variance
        ratio = float((natural * wrong / spread).sum() / (wrong**2 / spread).sum())
    return ratio, float(((natural - ratio * wrong) ** 2 / spread).sum())


def _differences(
    first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]]
) -> float:
    """Return the squared differences of the means of two sets in units of their variance, summed over steps.

    Parameters
    ----------
    first
        Per step the number of values, their sum and the sum of their squares.
    second
        The same of weighted values, the sum of weights in place of their number, and last the variance
        of that sum.
    """
    n_first = first[0]
    n_second = second[0] ** 2 / np.maximum(second[3], 1e-300)
    means: list[NDArray[np.float64]] = []
    spreads: list[NDArray[np.float64]] = []
    for sums in (first, second):
        weight = np.maximum(sums[0], 1e-300)
        means.append(sums[1] / weight)
        spreads.append(np.maximum(sums[2] / weight - means[-1] ** 2, 0.0))
    variance = spreads[0] / np.maximum(n_first, 1) + spreads[1] / np.maximum(n_second, 1)
    is_known = (n_first >= 2) & (n_second >= 2) & (variance > 1e-12)
    squares = (means[0] - means[1])[is_known] ** 2 / variance[is_known]
    return float(squares.sum())


def _weights(misfits: NDArray[np.float64]) -> NDArray[np.float64]:
    likelihood = np.exp(-0.5 * (misfits - misfits.min()))
    return likelihood / likelihood.sum()


def _averaged(bins: _Bins) -> float:
    rates, misfits = _fits(bins)
    # A sum of rounded weights may pass 1 by the last bit.
    return min(float(_weights(misfits) @ rates), 1.0)


def _mixture(bins: _Bins) -> Mixture:
    """Return the estimate without its band."""
    rates, misfits = _fits(bins)
    weights = _weights(misfits)
    parts, _ = _parts(bins)
    scale = weights * rates
    wrong = (scale @ (1.0 - SHARES)) * parts[0] + (scale @ SHARES) * parts[1]
    natural = bins.natural / bins.natural.sum()
    is_used = natural > 0
    # A bin without natural labels adds its wrong ones to the next that has some.
    group = np.minimum(np.cumsum(is_used) - is_used, is_used.sum() - 1)
    wrong = np.bincount(group, weights=wrong)
    natural = natural[is_used]
    chances = np.clip(_falling(wrong / natural, natural), 0.0, 1.0)
    depth = np.concatenate([[0.0], np.cumsum(natural)])
    return Mixture(
        rate=min(float(weights @ rates), 1.0),
        low=0.0,
        high=1.0,
        confused_share=float(weights @ SHARES),
        misfit=float(misfits.min()) / (FLATNESS_WEIGHT * (N_STEPS - 1) + N_KINSHIP_STEPS),
        depth=depth / depth[-1],
        found=np.concatenate([[0.0], np.cumsum(chances * natural)]),
    )


def _falling(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest sequence that never rises, by weighted least squares.

    Pool adjacent violators (Ayer et al. 1955): the suspicion of a label must not fall where its rank
    rises, so neighbours that say otherwise are averaged.
    """
    pooled: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while pooled and pooled[-1][0] <= block[0]:
            mean, mass, length = pooled.pop()
            both = mass + block[1]
            block = ((mean * mass + block[0] * block[1]) / both, both, length + block[2])
        pooled.append(block)
    return np.repeat([block[0] for block in pooled], [block[2] for block in pooled])


def _resampled(bins: _Bins, rng: np.random.Generator) -> Iterator[_Bins]:
    """Yield bins as other samples of the same kind would have filled them."""
    n_natural = int(bins.natural.sum())
    n_planted = bins.planted.sum(axis=1).astype(int).tolist()
    for _ in range(N_RESAMPLES):
        planted = [
            rng.multinomial(n, own / n) for n, own in zip(n_planted, bins.planted, strict=True)
        ]
        yield replace(
            bins,
            natural=rng.multinomial(n_natural, bins.natural / n_natural).astype(np.float64),
            planted=np.array(planted, dtype=np.float64),
        )
