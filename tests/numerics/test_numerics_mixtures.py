import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.numerics.histograms import shared_histogram
from audit.numerics.mixtures import two_gaussians


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(-3, 0.5, 200), rng.normal(2, 1, 800)])


def test_two_gaussians_are_found_again(values):
    fit = two_gaussians(values, seed=0)
    assert_allclose(fit.means, [-3, 2], atol=0.15)
    assert_allclose(np.sqrt(fit.variances), [0.5, 1], atol=0.1)
    assert_allclose(fit.weights, [0.2, 0.8], atol=0.02)
    assert ((fit.posterior_low > 0.5) == (np.arange(1000) < 200)).mean() > 0.99


def test_shift_and_scale_move_the_fit_with_them(values):
    fit, moved = two_gaussians(values, seed=0), two_gaussians(3 * values + 7, seed=0)
    # The tolerance of the iteration is 1e-4 in likelihood.
    assert_allclose(moved.means, 3 * fit.means + 7, atol=1e-2)
    assert_allclose(moved.posterior_low, fit.posterior_low, atol=1e-2)


def test_the_same_seed_gives_the_same_fit(values):
    first, second = two_gaussians(values, seed=3), two_gaussians(values, seed=3)
    assert_array_equal(first.posterior_low, second.posterior_low)


def test_a_tight_component_keeps_a_variance():
    values = np.concatenate([np.zeros(50), np.linspace(5, 6, 50)])
    assert two_gaussians(values, seed=0).variances[0] >= 1e-4 * values.var()


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [], [1.0]])
def test_values_without_spread_are_refused(values):
    with pytest.raises(InputError, match="two different values"):
        two_gaussians(np.array(values), seed=0)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        two_gaussians(np.array([1.0, np.nan, 2.0]), seed=0)


def test_equal_sets_overlap_fully_and_distant_ones_not_at_all():
    values = np.linspace(0, 1, 500)
    assert shared_histogram(values, values).overlap == 1.0
    assert shared_histogram(values, values + 5).overlap == 0.0
    # Half of each uniform set lies where the other is.
    assert shared_histogram(values, values + 0.5).overlap == pytest.approx(0.5, abs=0.03)


def test_every_value_is_counted_whatever_its_distance():
    first = np.concatenate([np.linspace(0, 1, 999), [1e9]])
    histogram = shared_histogram(first, np.linspace(0, 1, 500), n_bins=10)
    assert histogram.first.sum() == 1000
    assert histogram.second.sum() == 500
    assert histogram.edges[-1] < 2
    assert histogram.first[-1] >= 100


def test_one_common_value_is_one_bin():
    assert shared_histogram(np.ones(3), np.ones(2)).overlap == 1.0


def test_an_empty_set_has_no_histogram():
    with pytest.raises(InputError, match="at least one value"):
        shared_histogram(np.empty(0), np.ones(2))
