"""How many labels are wrong, from how labels fared that were planted wrong: a mixture with a known part.

Natural labels are a mixture: right ones, about which nothing is known, and wrong ones, which fare like
planted ones of the same kind. Among the most suspect there are hardly any right ones, so that natural
and planted labels stand there in one ratio, which is the noise rate (mixture proportion estimation;
Blanchard, Lee and Scott 2010, section 3, take the least such ratio).

Labels drawn uniformly are blunders and easy to find; those that a network thinks likely are mistakes, as
people make them, and hard. Both are harder to find on images that a network doubts, and people err there
most. The natural ones are some of each. How many of which is read off the most suspect part in two ways:
mistakes name a class that the image resembles (`kinship`), and the right mixture gives the same ratio at
every depth. What both leave open is averaged over, not chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

DEPTHS = (0.3, 0.4, 0.5)
"""Parts of the wrong labels, the most suspect ones, over which the ratio should be flat. Further down right
labels mix in, less far there are few labels; the answers of all three are averaged."""

N_STEPS = 8
"""Steps of that part whose ratios are compared."""

N_KINSHIP_STEPS = 4
"""Coarser steps of that part, in each of which the classes are compared."""

SHARES: NDArray[np.float64] = np.linspace(0.0, 1.0, 11, dtype=np.float64)
"""Parts of mistakes that are weighed against one another."""

DOUBTED_SHARES: NDArray[np.float64] = np.array([0.0, 0.5, 1.0])
"""Parts of wrong labels that fell on images in proportion to the doubt about them, weighed likewise."""

_MIXES: NDArray[np.float64] = np.array(
    [
        [(1 - w) * (1 - d), w * (1 - d), (1 - w) * d, w * d]
        for w in SHARES.tolist()
        for d in DOUBTED_SHARES.tolist()
    ]
)
"""(G, 4): parts of blunders and mistakes on any image, and of both on doubted ones."""

N_BINS = 200
"""Most bins of the values, so that the work hardly grows with the number of samples."""

N_ROUNDS = 3
"""A planted label is right by accident where it undoes a wrong one. How often follows from the estimate
and changes it; the third round moves the rate by less than a hundredth of itself."""

N_RESAMPLES, LEVEL = 40, 0.9
"""Bootstrap resamples of the confidence band, and its coverage."""

_DEGREES = N_STEPS - 1 + N_KINSHIP_STEPS
"""Of freedom: one ratio is fitted to the steps."""

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
    doubt
        Of a network that had not seen the planted label, about its image, (M,) float64 in (0, 1].
    """

    is_confused: NDArray[np.bool_]
    restores: NDArray[np.float64]
    depth: NDArray[np.float64]
    doubt: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """An estimated noise rate, and what every cut would find.

    Parameters
    ----------
    rate, low, high
        Part of wrong labels, and the ends of its confidence band, in [0, 1]. The band covers chance and
        what is not known about the kinds, not that natural labels may be of a third kind.
    confused_share
        Part of mistakes among the wrong labels, in [0, 1].
    misfit
        Chi-squared of the best mixture per degree of freedom, mean over `DEPTHS`; far above 1 the
        planted labels are no model of the wrong ones.
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
    ...         doubt=np.ones(10_000),
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
    mixture, bins, weights = None, None, np.ones(len(planted.values), dtype=np.float64)
    for _ in range(N_ROUNDS):
        if mixture is not None:
            weights = 1.0 - mixture.chance_wrong(planted.depth) * planted.restores
        bins = _binned(natural, planted, weights)
        mixture = _mixture(bins)
    assert mixture is not None
    assert bins is not None
    low, high = _band(bins, rng)
    # Few resamples may all lie on one side of the estimate.
    return replace(mixture, low=min(low, mixture.rate), high=max(high, mixture.rate))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bins:
    """What fell into each of B bins of the values; planted labels as (4, B), the kinds as in `_MIXES`.

    Of kinds on doubted images each label weighs as much as the doubt about its image. `counts` are
    labels, the rest means per label of the bin: of the weight and its square, and of the weight times
    the kinship and its square.
    """

    natural: NDArray[np.float64]
    natural_kinship: NDArray[np.float64]
    natural_squares: NDArray[np.float64]
    counts: NDArray[np.float64]
    weight: NDArray[np.float64]
    weight_squared: NDArray[np.float64]
    kinship: NDArray[np.float64]
    squares: NDArray[np.float64]


def _sorted(planted: PlantedLabels) -> PlantedLabels:
    # Sums of floats depend on the order of what is added; an answer must not.
    order = np.lexsort(
        (
            planted.doubt,
            planted.restores,
            planted.depth,
            planted.kinship,
            planted.is_confused,
            planted.values,
        )
    )
    return PlantedLabels(
        values=planted.values[order],
        kinship=planted.kinship[order],
        is_confused=planted.is_confused[order],
        restores=planted.restores[order],
        depth=planted.depth[order],
        doubt=planted.doubt[order],
    )


def _binned(natural: Labels, planted: PlantedLabels, weights: NDArray[np.float64]) -> _Bins:
    """Return the bins; `weights` are the chances that planted labels are wrong, (M,)."""
    levels = np.linspace(0.0, 1.0, N_BINS + 1)[1:]
    edges = np.unique(np.quantile(planted.values, levels, method="inverted_cdf"))
    n_bins = len(edges) + 1
    place = np.searchsorted(edges, planted.values, side="left")
    order = np.lexsort((natural.kinship, natural.values))
    found = np.searchsorted(edges, natural.values[order], side="left")
    near = natural.kinship[order]
    n_natural = np.bincount(found, minlength=n_bins).astype(np.float64)
    sums = np.zeros((5, len(_MIXES[0]), n_bins))
    for kind in range(sums.shape[1]):
        own = planted.is_confused == (kind % 2 == 1)
        weight = weights[own] * planted.doubt[own] if kind >= 2 else weights[own]
        kinship = planted.kinship[own]
        summed = (np.ones_like(weight), weight, weight**2, weight * kinship, weight * kinship**2)
        for number, values in enumerate(summed):
            sums[number, kind] = np.bincount(place[own], weights=values, minlength=n_bins)
    counts = sums[0]
    means = sums[1:] / np.maximum(counts, 1)
    return _Bins(
        natural=n_natural,
        natural_kinship=np.bincount(found, weights=near, minlength=n_bins)
        / np.maximum(n_natural, 1),
        natural_squares=np.bincount(found, weights=near**2, minlength=n_bins)
        / np.maximum(n_natural, 1),
        counts=counts,
        weight=means[0],
        weight_squared=means[1],
        kinship=means[2],
        squares=means[3],
    )


def _parts(bins: _Bins) -> tuple[NDArray[np.float64], ...]:
    """Return of each kind its distribution over the bins and, of every part, variance and kinship sums.

    Returns
    -------
    tuple of ndarray
        (4, B) each: parts, their variances, and the sums of kinship and of its square in them.
    """
    total = np.maximum((bins.counts * bins.weight).sum(axis=1, keepdims=True), 1e-300)
    share = bins.counts / total
    return (
        share * bins.weight,
        share * bins.weight_squared / total,
        share * bins.kinship,
        share * bins.squares,
    )


def _fits(bins: _Bins, depth: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the noise rate and the chi-squared under each of `_MIXES`, (G,) each, down to a depth."""
    parts, variances, kinships, squares = _parts(bins)
    deviations = np.sqrt(variances)
    n_natural = float(bins.natural.sum())
    first_sums = [
        np.cumsum(values)
        for values in (
            bins.natural,
            bins.natural * bins.natural_kinship,
            bins.natural * bins.natural_squares,
        )
    ]
    steps = np.linspace(0.0, depth, N_STEPS + 1)[1:] - 1e-12
    coarse_steps = steps[:: -N_STEPS // N_KINSHIP_STEPS]
    rates, misfits = np.ones(len(_MIXES)), np.zeros(len(_MIXES))
    for number, mix in enumerate(_MIXES):
        wrong = np.cumsum(mix @ parts)
        # Kinds on doubted images are made of the same labels: their chances go together.
        together = (mix[:2, None] * deviations[:2] + mix[2:, None] * deviations[2:]) ** 2
        variance = np.cumsum(together.sum(axis=0))
        # Ties and few labels can make several steps end in one bin.
        at = np.unique(np.searchsorted(wrong, steps))
        rates[number], misfits[number] = _ratio(
            *(
                np.diff(sums[at], prepend=0.0)
                for sums in (first_sums[0] / n_natural, wrong, variance)
            ),
            n_natural=n_natural,
        )
        coarse = np.unique(np.searchsorted(wrong, coarse_steps))
        second_sums = (wrong, np.cumsum(mix @ kinships), np.cumsum(mix @ squares), variance)
        misfits[number] += _differences(
            [np.diff(sums[coarse], prepend=0.0) for sums in first_sums],
            [np.diff(sums[coarse], prepend=0.0) for sums in second_sums],
        )
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
    """Return how much each mixture counts, by its likelihood.

    Where even the best fits worse than chance explains, all errors are taken to be larger by as much.
    """
    scale = max(1.0, float(misfits.min()) / _DEGREES)
    likelihood = np.exp(-0.5 * (misfits - misfits.min()) / scale)
    return likelihood / likelihood.sum()


def _weighed(bins: _Bins) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return rates and weights of all mixtures at all depths, (D, G) each, and the mean misfit."""
    fits = [_fits(bins, depth) for depth in DEPTHS]
    return (
        np.array([rates for rates, _ in fits]),
        np.array([_weights(misfits) for _, misfits in fits]) / len(DEPTHS),
        float(np.mean([misfits.min() for _, misfits in fits])) / _DEGREES,
    )


def _band(bins: _Bins, rng: np.random.Generator) -> tuple[float, float]:
    """Return the ends of the band: of all mixtures under all resamples, by weight."""
    found = [_weighed(one)[:2] for one in _resampled(bins, rng)]
    rates = np.concatenate([one.ravel() for one, _ in found])
    weights = np.concatenate([one.ravel() for _, one in found])
    order = np.argsort(rates, kind="stable")
    passed = np.cumsum(weights[order]) / weights.sum()
    ends = np.searchsorted(passed, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = rates[order][np.minimum(ends, len(rates) - 1)].tolist()
    return low, high


def _mixture(bins: _Bins) -> Mixture:
    """Return the estimate without its band."""
    rates, weights, misfit = _weighed(bins)
    mean_rate, mean_mix = float((weights * rates).sum()), weights.sum(axis=0) @ _MIXES
    wrong = ((weights * rates).sum(axis=0) @ _MIXES) @ _parts(bins)[0]
    natural = bins.natural / bins.natural.sum()
    is_used = natural > 0
    # A bin without natural labels adds its wrong ones to the next that has some.
    group = np.minimum(np.cumsum(is_used) - is_used, is_used.sum() - 1)
    wrong = np.bincount(group, weights=wrong)
    natural = natural[is_used]
    chances = np.clip(_falling(wrong / natural, natural), 0.0, 1.0)
    depth = np.concatenate([[0.0], np.cumsum(natural)])
    return Mixture(
        # A sum of rounded weights may pass 1 by the last bit.
        rate=min(mean_rate, 1.0),
        low=0.0,
        high=1.0,
        confused_share=float(np.clip(mean_mix[1] + mean_mix[3], 0.0, 1.0)),
        misfit=misfit,
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
    drawn = bins.counts[:2]
    for _ in range(N_RESAMPLES):
        counts = [rng.multinomial(int(own.sum()), own / own.sum()) for own in drawn]
        yield replace(
            bins,
            natural=rng.multinomial(n_natural, bins.natural / n_natural).astype(np.float64),
            counts=np.array(counts * 2, dtype=np.float64),
        )
