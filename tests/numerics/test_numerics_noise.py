from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from audit.errors import InputError
from audit.numerics import noise

N, K = 20_000, 10
LABELS = np.random.default_rng(9).integers(0, K, N).astype(np.int32)
LABELS[::50] = -1
N_LABELLED = int((LABELS >= 0).sum())
PIXELS = np.random.default_rng(8).random((N, 24))
GROUPS = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]

GENERATORS = {
    "plant": lambda labels, rng: noise.plant(labels, 5000, K, rng),
    "sym_exclude": lambda labels, rng: noise.sym_exclude(labels, 0.3, K, rng),
    "sym_include": lambda labels, rng: noise.sym_include(labels, 0.3, K, rng),
    "sym_exact_include": lambda labels, rng: noise.sym_exact_include(labels, 0.3, K, rng),
    "pair": lambda labels, rng: noise.pair(labels, 0.3, K, rng),
    "asymmetric": lambda labels, rng: noise.asymmetric(
        labels, 0.3, noise.CIFAR10_CONFUSIONS, n_classes=K, rng=rng
    ),
    "superclass": lambda labels, rng: noise.superclass(labels, 0.3, GROUPS, rng=rng),
    "instance": lambda labels, rng: noise.instance(labels, 0.3, PIXELS, n_classes=K, rng=rng),
    "twice": lambda labels, rng: noise.twice(labels, 0.2, 0.3, n_classes=K, rng=rng).second,
}
every_generator = pytest.mark.parametrize("name", GENERATORS)


def make(name, seed=0):
    return GENERATORS[name](LABELS, np.random.default_rng(seed))


@every_generator
def test_labels_stay_in_range_and_the_mask_says_what_changed(name):
    before = LABELS.copy()
    noisy = make(name)
    assert_array_equal(LABELS, before)
    assert noisy.labels.dtype == np.int32
    assert_array_equal(noisy.labels < 0, LABELS < 0)
    assert noisy.labels.max() < K
    if name != "twice":
        assert_array_equal(noisy.is_flipped, noisy.labels != LABELS)
    assert_array_equal(noisy.noisy_counts, np.bincount(noisy.labels[noisy.labels >= 0]))
    assert noisy.original_counts.sum() == noisy.noisy_counts.sum() == N_LABELLED


@every_generator
def test_the_seed_decides_everything(name):
    assert_array_equal(make(name).labels, make(name).labels)
    assert (make(name).labels != make(name, seed=1).labels).any()


# Six standard deviations of a rate of .3 over 19,600 samples are .02.
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("sym_exclude", 0.3),
        ("sym_include", 0.3 * 0.9),
        ("sym_exact_include", 0.3 * 0.9),
        ("pair", 0.3),
        ("asymmetric", 0.3 * 0.5),
        ("superclass", 0.3),
        ("instance", 0.3),
        ("twice", 0.3),
    ],
)
def test_the_realised_rate_is_the_one_that_the_definition_gives(name, rate):
    assert make(name).realised_rate == pytest.approx(rate, abs=0.02)


@pytest.mark.parametrize("n_wrong", [0, 1, 144, 1797])
def test_planting_makes_exactly_as_many_labels_wrong_as_asked(n_wrong):
    labels = np.random.default_rng(0).integers(0, 10, 1797)
    noisy = noise.plant(labels, n_wrong, 10, np.random.default_rng(7))
    assert noisy.n_flipped == n_wrong == (noisy.labels != labels).sum()
    assert noisy.realised_rate == pytest.approx(n_wrong / 1797)


def test_planting_more_than_there_are_is_refused():
    with pytest.raises(InputError, match="Of 2 labelled samples 3 cannot be made wrong"):
        noise.plant(np.array([0, 1, -1]), 3, 2, np.random.default_rng(0))
    with pytest.raises(InputError, match="-1 cannot"):
        noise.plant(np.array([0, 1]), -1, 2, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["plant", "sym_exclude"])
def test_symmetric_flips_go_to_all_other_classes_alike(name):
    noisy = make(name)
    steps = (noisy.labels - LABELS)[noisy.is_flipped] % K
    counts = np.bincount(steps, minlength=K)
    assert counts[0] == 0
    # About 600 each, standard deviation 23.
    assert np.abs(counts[1:] - counts[1:].mean()).max() < 6 * np.sqrt(counts[1:].mean())
    assert noisy.top_target_share < 0.2


def test_pairwise_flips_go_to_the_next_class_and_the_last_to_the_first():
    noisy = make("pair")
    assert_array_equal(noisy.labels[noisy.is_flipped], (LABELS[noisy.is_flipped] + 1) % K)
    assert noisy.top_target_share == 1.0


def test_asymmetric_flips_follow_the_map_and_leave_other_classes_alone():
    noisy = make("asymmetric")
    moves = {(int(a), int(b)) for a, b in zip(LABELS, noisy.labels, strict=True) if a != b}
    assert moves == set(noise.CIFAR10_CONFUSIONS.items())
    with pytest.raises(InputError, match="3 → 11"):
        noise.asymmetric(LABELS, 0.1, {3: 11}, n_classes=K, rng=np.random.default_rng(0))


def test_superclass_flips_stay_in_the_group_and_reach_all_of_it():
    noisy = make("superclass")
    groups = np.array(GROUPS)
    moved = noisy.is_flipped
    assert_array_equal(groups[noisy.labels[moved]], groups[LABELS[moved]])
    from_3 = np.unique(noisy.labels[moved & (LABELS == 3)])
    assert_array_equal(from_3, [4, 5, 6])


def test_exact_include_touches_the_floor_of_rate_times_n():
    labels = np.zeros(100, dtype=np.int32)
    n_flipped = [
        noise.sym_exact_include(labels, 0.29, 1000, np.random.default_rng(seed)).n_flipped
        for seed in range(20)
    ]
    # One draw in a thousand returns the old label.
    assert max(n_flipped) == 29


def test_instance_noise_depends_on_the_image():
    rng = np.random.default_rng(0)
    labels = np.zeros(4000, dtype=np.int32)
    two_looks = np.repeat(rng.normal(0, 3, (2, 16)), 2000, axis=0)
    noisy = noise.instance(labels, 0.5, two_looks, n_classes=8, rng=rng)
    targets = [
        np.bincount(noisy.labels[part][noisy.is_flipped[part]], minlength=8)
        for part in (slice(0, 2000), slice(2000, None))
    ]
    assert np.argmax(targets[0]) != np.argmax(targets[1])


def test_raw_pixels_send_most_flips_of_a_class_to_one_target_and_standardised_ones_do_not():
    rng = partial(np.random.default_rng, 3)
    images = np.random.default_rng(1).random((N, 300)) * 0.3 + 0.4
    raw = noise.instance(LABELS, 0.4, images, n_classes=K, rng=rng())
    spread = noise.instance(LABELS, 0.4, images, n_classes=K, rng=rng(), standardise=True)
    assert raw.top_target_share > 0.5
    assert spread.top_target_share < 0.25
    assert raw.realised_rate == pytest.approx(spread.realised_rate, abs=0.02)


def test_instance_noise_at_the_ends_of_the_range_keeps_rates_in_range():
    for rate, low, high in ((0.0, 0.0, 0.12), (1.0, 0.88, 1.0)):
        noisy = noise.instance(LABELS, rate, PIXELS, n_classes=K, rng=np.random.default_rng(0))
        # Half a normal of standard deviation .1 has mean .08.
        assert low < noisy.realised_rate < high
    with pytest.raises(InputError, match="one row of features each"):
        noise.instance(LABELS, 0.1, PIXELS[:5], n_classes=K, rng=np.random.default_rng(0))


def test_the_second_contamination_is_relative_to_the_first():
    both = noise.twice(LABELS, 0.2, 0.3, n_classes=K, rng=np.random.default_rng(0))
    assert both.hidden.realised_rate == pytest.approx(0.2, abs=0.02)
    assert_array_equal(both.second.is_flipped, both.second.labels != both.hidden.labels)
    # Some labels come back to the truth: they are flipped twice and right.
    assert (both.hidden.is_flipped & (both.second.labels == LABELS)).any()


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.integers(-1, 2), min_size=1, max_size=20),
    st.floats(0, 1),
    st.sampled_from([noise.sym_exclude, noise.sym_include, noise.sym_exact_include, noise.pair]),
)
def test_few_and_unlabelled_samples_are_no_problem(labels, rate, generator):
    given_labels = np.array(labels)
    noisy = generator(given_labels, rate, 3, np.random.default_rng(0))
    assert_array_equal(noisy.labels < 0, given_labels < 0)
    assert 0 <= noisy.realised_rate <= 1


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rates_outside_0_to_1_are_refused(rate):
    for generator in (noise.sym_exclude, noise.sym_exact_include, noise.pair):
        with pytest.raises(InputError, match="noise rate must lie in"):
            generator(LABELS, rate, K, np.random.default_rng(0))


def test_labels_outside_the_classes_and_single_classes_are_refused():
    with pytest.raises(InputError, match=r"-1\.\.2"):
        noise.pair(np.array([3]), 0.5, 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="at least two classes"):
        noise.sym_exclude(np.array([0]), 0.5, 1, np.random.default_rng(0))
