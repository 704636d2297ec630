"""The planted mixture by hand, on synthetic labels with a known rate, and what it must never do."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.numerics import planted_mixture
from audit.numerics.planted_mixture import Labels, Mixture, PlantedLabels


@dataclass(frozen=True)
class Made:
    natural: Labels
    planted: PlantedLabels
    is_wrong: np.ndarray

    def fit(self) -> Mixture:
        return planted_mixture.fit(self.natural, self.planted, rng=np.random.default_rng(0))


def make(rate, share, *, n=20_000, n_kind=1200, seed=0, restored=0.0, doubted=0.0) -> Made:
    """Blunders lie lowest and name any class; mistakes lie higher and name near ones; right is highest.

    Images that a network doubts lie higher. A part `doubted` of the wrong labels fell on such images
    in proportion to the doubt, the rest on any. A part `restored` of the planted labels is right by
    accident: where they undo a wrong one.
    """
    rng = np.random.default_rng(seed)

    def draw(kind, doubt):
        centre = np.array([-1.8, -1.0, 3.0])[kind] + 1.2 * doubt * (kind < 2)
        near = np.where(kind == 0, rng.random(len(kind)), rng.beta(4.0, 1.2, len(kind)))
        return centre + rng.normal(0, 1.0, len(kind)), near

    is_wrong = np.arange(n) < round(rate * n)
    kinds = np.where(is_wrong, np.where(rng.random(n) < share, 1, 0), 2)
    # A doubt that is uniform on [0, 1], and one whose density grows with it.
    doubt = np.where(rng.random(n) < doubted, np.sqrt(rng.random(n)), rng.random(n))
    values, near = draw(kinds, doubt)
    is_confused = np.arange(2 * n_kind) < n_kind
    undoes = rng.random(2 * n_kind) < restored
    planted_doubt = rng.uniform(0.01, 1, 2 * n_kind)
    planted_values, planted_near = draw(np.where(undoes, 2, is_confused.astype(int)), planted_doubt)
    return Made(
        natural=Labels(values=values, kinship=near),
        planted=PlantedLabels(
            values=planted_values,
            kinship=planted_near,
            is_confused=is_confused,
            restores=undoes.astype(float),
            # What undoes a wrong label belonged to one: it was suspect before.
            depth=np.where(undoes, 1 / n, 1.0),
            doubt=planted_doubt,
        ),
        is_wrong=is_wrong,
    )


CASES = [(0.05, 0.0), (0.1, 0.5), (0.1, 1.0), (0.3, 0.2), (0.4, 0.8)]


@pytest.mark.parametrize(("rate", "share"), CASES)
def test_the_rate_is_found_within_its_band_and_the_kind_roughly(rate, share):
    mixture = make(rate, share).fit()
    # A band of 90 % may miss, by a little.
    assert mixture.low - 0.1 * rate <= rate <= mixture.high + 0.1 * rate
    assert mixture.low <= mixture.rate <= mixture.high
    assert_allclose(mixture.rate, rate, rtol=0.2)
    assert abs(mixture.confused_share - share) < 0.2
    assert mixture.misfit < 3


@pytest.mark.parametrize(("rate", "share"), CASES)
def test_stated_precision_is_near_the_truth_and_the_f1_of_the_cut_near_the_best(rate, share):
    made = make(rate, share)
    mixture = made.fit()
    order = np.argsort(made.natural.values)
    hits = np.cumsum(made.is_wrong[order])
    flagged = np.arange(1, len(order) + 1)
    shown = slice(int(0.2 * rate * len(order)), None)
    stated = mixture.precision(flagged / len(order))
    cut = round(mixture.best_depth() * len(order)) - 1
    # 1,200 planted labels of a kind know the rate to a tenth of itself, and so the precision below it.
    assert np.abs(stated - hits / flagged)[shown].max() < 0.1
    f1 = 2 * hits / (flagged + made.is_wrong.sum())
    assert f1[cut] > 0.98 * f1.max()


def test_blunders_alone_would_underestimate_mistakes_several_times():
    made = make(0.1, 1.0)
    blunders = replace(made.planted, is_confused=~made.planted.is_confused)
    swapped = replace(blunders, kinship=np.full(len(blunders.values), 0.5))
    natural = replace(made.natural, kinship=np.full(len(made.natural.values), 0.5))
    bins = planted_mixture._binned(natural, swapped, np.ones(2400))
    ratios = planted_mixture._fits(bins, 0.4)[0].reshape(11, 3)[:, 0]
    # Taken for what is drawn uniformly, mistakes give the right rate; for the other kind, far less.
    assert_allclose(ratios[0], 0.1, rtol=0.15)
    assert ratios[-1] < 0.05


def test_mistakes_on_doubted_images_are_not_underestimated():
    made = make(0.1, 0.8, doubted=1.0)
    known = made.fit()
    ignored = replace(made, planted=replace(made.planted, doubt=np.ones(2400))).fit()
    assert_allclose(known.rate, 0.1, rtol=0.2)
    assert ignored.rate < known.rate
    assert ignored.misfit > known.misfit


def test_equal_doubts_change_nothing_but_the_number_of_mixtures():
    made = make(0.1, 0.5, n=2000, n_kind=300)
    halved = replace(made.planted, doubt=np.full(600, 0.5))
    whole = replace(made.planted, doubt=np.ones(600))
    first, second = (replace(made, planted=one).fit() for one in (halved, whole))
    assert_allclose(first.rate, second.rate, rtol=1e-9)
    assert_allclose(first.found, second.found, atol=1e-12)


def test_the_band_covers_mixtures_that_fit_alike():
    made = make(0.1, 0.5)
    bins = planted_mixture._binned(made.natural, made.planted, np.ones(2400))
    rates, weights, _ = planted_mixture._weighed(bins)
    low, high = planted_mixture._band(bins, np.random.default_rng(0))
    order = np.argsort(rates, axis=None)
    passed = np.cumsum(weights.ravel()[order])
    middle = rates.ravel()[order][np.searchsorted(passed, [0.1, 0.9])]
    # Chance comes on top of what the weights of one sample leave open.
    assert low < middle[0]
    assert high > middle[1]


def test_a_misfit_flattens_the_weights():
    plain = planted_mixture._weights(np.array([0.0, 4.0]))
    assert_allclose(plain[1] / plain[0], np.exp(-2))
    # Eleven degrees of freedom: 44 is four times too much, so 4 more count as one.
    poor = planted_mixture._weights(np.array([44.0, 48.0]))
    assert_allclose(poor[1] / poor[0], np.exp(-0.5))


def test_where_all_labels_are_right_hardly_any_is_called_wrong():
    mixture = make(0.0, 0.0).fit()
    assert mixture.rate < 0.005
    assert mixture.best_depth() < 0.005


def test_where_all_labels_are_wrong_all_are_called_wrong():
    mixture = make(1.0, 0.5).fit()
    assert mixture.rate > 0.9
    assert mixture.best_depth() > 0.95
    assert mixture.precision(np.array([1.0]))[0] > 0.85


def test_planted_labels_that_undo_wrong_ones_are_not_counted():
    made = make(0.2, 0.5, restored=0.3)
    corrected = made.fit()
    naive = replace(made, planted=replace(made.planted, restores=np.zeros(2400))).fit()
    assert_allclose(corrected.rate, 0.2, rtol=0.15)
    # Three in ten of the planted lie among the right ones: the ratio is taken for a tenth too much
    # at every depth, 1 / 0.7.
    assert naive.rate > 1.25 * corrected.rate


@given(
    rate=st.floats(0, 1),
    share=st.floats(0, 1),
    n=st.integers(1, 300),
    n_kind=st.integers(1, 40),
    seed=st.integers(0, 99),
    n_ties=st.integers(0, 3),
)
@settings(max_examples=8)
def test_estimates_are_bounded_and_precision_never_rises_with_depth(
    rate, share, n, n_kind, seed, n_ties
):
    made = make(rate, share, n=n, n_kind=n_kind, seed=seed)
    if n_ties:
        coarse = made.planted.values.round(n_ties - 2)
        made = replace(
            made,
            natural=replace(made.natural, values=made.natural.values.round(n_ties - 2)),
            planted=replace(made.planted, values=coarse),
        )
    mixture = made.fit()
    assert 0 <= mixture.low <= mixture.high <= 1
    assert 0 <= mixture.rate <= 1
    assert (np.diff(mixture.depth) > 0).all()
    assert (mixture.found <= mixture.depth + 1e-12).all()
    stated = mixture.precision(np.linspace(0, 1, 101)[1:])
    assert stated.min() >= 0
    assert stated.max() <= 1
    assert (np.diff(stated) <= 0).all()
    assert (np.diff(mixture.chance_wrong(np.linspace(0, 1, 101))) <= 1e-12).all()
    assert 0 <= mixture.best_depth() <= 1


def test_the_order_of_labels_does_not_matter():
    made = make(0.1, 0.5, n=500, n_kind=60)
    rng = np.random.default_rng(1)
    natural, planted = rng.permutation(500), rng.permutation(120)
    shuffled = Made(
        natural=Labels(values=made.natural.values[natural], kinship=made.natural.kinship[natural]),
        planted=PlantedLabels(
            **{
                name: getattr(made.planted, name)[planted]
                for name in ("values", "kinship", "is_confused", "restores", "depth", "doubt")
            }
        ),
        is_wrong=made.is_wrong[natural],
    ).fit()
    plain = made.fit()
    assert (shuffled.rate, shuffled.low, shuffled.high) == (plain.rate, plain.low, plain.high)
    assert_array_equal(shuffled.found, plain.found)


def test_only_the_order_of_values_matters():
    made = make(0.1, 0.5, n=500, n_kind=60)
    bent = replace(
        made,
        natural=replace(made.natural, values=np.exp(made.natural.values)),
        planted=replace(made.planted, values=np.exp(made.planted.values)),
    )
    assert_array_equal(bent.fit().found, made.fit().found)


def test_a_narrow_band_needs_many_planted_labels():
    few, many = (make(0.1, 0.5, n=4000, n_kind=n).fit() for n in (60, 2000))
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_neighbours_that_contradict_the_order_are_averaged_by_weight():
    pooled = planted_mixture._falling(np.array([0.9, 0.2, 0.5, 0.1]), np.array([1.0, 2, 1, 1]))
    assert_allclose(pooled, [0.9, 0.3, 0.3, 0.1])
    assert_allclose(planted_mixture._falling(np.array([1.0, 2.0, 3.0]), np.ones(3)), [2.0] * 3)


def test_the_ratio_of_equal_steps_is_theirs_and_fits():
    wrong = np.array([0.1, 0.2, 0.1])
    ratio, misfit = planted_mixture._ratio(0.3 * wrong, wrong, np.full(3, 1e-4), n_natural=1000.0)
    assert_allclose(ratio, 0.3)
    assert_allclose(misfit, 0, atol=1e-9)
    # Two steps with 2 and 4 in ten: the ratio lies between, and the fit says that it is none.
    ratio, misfit = planted_mixture._ratio(
        np.array([0.02, 0.04]), np.array([0.1, 0.1]), np.zeros(2), n_natural=1000.0
    )
    assert 0.2 < ratio < 0.4
    assert misfit > 3


def test_precision_and_best_cut_by_hand():
    mixture = Mixture(
        rate=0.2,
        low=0.1,
        high=0.3,
        confused_share=0.5,
        misfit=1.0,
        depth=np.array([0.0, 0.1, 0.3, 1.0]),
        found=np.array([0.0, 0.1, 0.18, 0.2]),
    )
    assert_allclose(mixture.precision(np.array([0.05, 0.1, 0.2, 1.0])), [1, 1, 0.7, 0.2])
    assert_allclose(mixture.chance_wrong(np.array([0.05, 0.1, 0.2, 1.0])), [1, 1, 0.4, 0.2 / 7])
    # F1: 2·.1/.3 = .67, 2·.18/.5 = .72, 2·.2/1.2 = .33.
    assert mixture.best_depth() == 0.3


def test_missing_kinds_and_values_that_are_not_finite_are_refused():
    made = make(0.1, 0.5, n=100, n_kind=10)
    one_kind = replace(made.planted, is_confused=np.ones(20, dtype=bool))
    with pytest.raises(InputError, match="planted ones of both kinds, got 100, 0 and 20"):
        replace(made, planted=one_kind).fit()
    values = made.natural.values.copy()
    values[3] = np.nan
    with pytest.raises(InputError, match="finite"):
        replace(made, natural=replace(made.natural, values=values)).fit()
