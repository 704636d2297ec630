"""Two Gaussians on the average margin: the cut, and what is said about it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors import registry
from audit.errors import UnreliableError
from audit.numerics import mixtures
from audit.records.progress import silent


def gaussians(means, deviations, weights):
    return mixtures.TwoGaussians(
        means=np.asarray(means, float),
        variances=np.asarray(deviations, float) ** 2,
        weights=np.asarray(weights, float),
        posterior_low=np.zeros(0),
    )


def score(runs, **params):
    return registry.build("mixture", params).score(runs, silent)


def test_the_cut_lies_where_both_are_equally_likely():
    # Equal widths: half way, moved by variance × log of the weights' ratio ÷ distance.
    assert_allclose(mixtures.cut(gaussians([-1, 3], [1, 1], [0.5, 0.5])), 1)
    moved = 1 - np.log(0.9 / 0.1) / 4
    assert_allclose(mixtures.cut(gaussians([-1, 3], [1, 1], [0.1, 0.9])), moved)


def test_the_cut_stays_between_the_means():
    assert mixtures.cut(gaussians([0, 0.1], [1, 1], [0.01, 0.99])) == 0
    assert mixtures.cut(gaussians([0, 0.1], [1, 1], [0.99, 0.01])) == 0.1


def test_the_cut_is_where_the_posterior_of_the_fit_passes_one_half():
    rng = np.random.default_rng(0)
    values = np.sort(np.concatenate([rng.normal(-2, 1, 300), rng.normal(4, 2, 900)]))
    fit = mixtures.two_gaussians(values, seed=0)
    inside = (values > fit.means[0]) & (values < fit.means[1])
    assert_array_equal(values[inside] < mixtures.cut(fit), fit.posterior_low[inside] > 0.5)


def test_samples_below_the_cut_are_flagged_and_the_highest_margins_never(planted):
    rng = np.random.default_rng(1)
    # The lower group is so wide that its Gaussian is the likelier one at very high margins.
    margins = np.concatenate([rng.normal(-5, 3, 100), rng.normal(3, 0.3, 300), [9.0]])
    run = planted.by_hand(margins[None], np.zeros(401, int))
    scores = score([run], skip_first=0)
    assert_array_equal(scores.flagged, run.signals["margin"][0] < scores.threshold)
    assert not scores.flagged[-1]
    assert 90 <= scores.flagged.sum() <= 100
    assert scores.details["means"][0] < scores.threshold < scores.details["means"][1]
    assert "several times too many" in scores.messages[-1]


def test_its_ranking_is_that_of_the_average_margin(planted):
    runs = planted.make().runs
    assert_array_equal(
        score(runs).suspicion, registry.build("margin").score(runs, silent).suspicion
    )


def test_margins_that_are_all_the_same_are_refused(planted):
    run = planted.by_hand(np.ones((3, 8)), np.zeros(8, int))
    with pytest.raises(UnreliableError, match="run have the same average margin"):
        score([run])
