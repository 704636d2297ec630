import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.errors import InputError
from audit.records.dynamics import Role
from audit.records.run import Probe, RunConfig
from audit.training import rows

CONFIG = RunConfig(
    preset="t", architecture="small", image_size=8, epochs=2, batch_size=4, learning_rate=0.1
)


def make(n, n_classes=10, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    sample = np.arange(n, dtype=np.int64) * 2
    given = (np.arange(n) % n_classes).astype(np.int32)
    return rows.build(sample, given, n_classes=n_classes, config=config), sample, given


def test_a_plain_run_trains_every_sample_on_its_given_label():
    made, sample, given = make(7)
    assert_array_equal(made.sample, sample)
    assert_array_equal(made.assigned_label, given)
    assert set(made.role) == {Role.GIVEN}
    assert made.n_outputs == made.n_classes == 10


def test_threshold_rows_are_one_in_c_plus_one_under_the_extra_class():
    made, sample, given = make(110, probe=Probe.THRESHOLD)
    planted = made.role == Role.THRESHOLD
    assert planted.sum() == 10
    assert made.n_outputs == 11
    assert set(made.assigned_label[planted]) == {10}
    assert_array_equal(made.assigned_label[~planted], given[~planted])
    assert_array_equal(made.sample, sample)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_two_parts_of_a_probe_group_plant_disjoint_rows(seed):
    first, *_ = make(110, probe=Probe.THRESHOLD, seed=seed)
    second, *_ = make(110, probe=Probe.THRESHOLD, probe_part=1, seed=seed)
    both = (first.role == Role.THRESHOLD) & (second.role == Role.THRESHOLD)
    assert not both.any()
    assert (second.role == Role.THRESHOLD).sum() == 10


def test_two_classes_give_away_no_more_than_a_fifth():
    made, *_ = make(100, n_classes=2, probe=Probe.THRESHOLD)
    assert (made.role == Role.THRESHOLD).sum() == 20


def test_a_fraction_that_was_asked_for_wins():
    made, *_ = make(100, n_classes=2, probe=Probe.THRESHOLD, probe_fraction=0.3)
    assert (made.role == Role.THRESHOLD).sum() == 30


@pytest.mark.parametrize(("n", "part", "fraction"), [(5, 0, None), (10, 1, 0.6)])
def test_too_few_samples_for_threshold_rows_are_refused(n, part, fraction):
    with pytest.raises(InputError, match="--probe none"):
        make(n, probe=Probe.THRESHOLD, probe_part=part, probe_fraction=fraction)


def test_corrupted_copies_follow_the_originals_under_another_label():
    made, sample, given = make(200, n_classes=3, probe=Probe.CORRUPTED)
    assert len(made) == 220
    assert made.n_outputs == 3
    assert_array_equal(made.sample[:200], sample)
    assert_array_equal(made.assigned_label[:200], given)
    assert_array_equal(made.role, [Role.GIVEN] * 200 + [Role.CORRUPTED] * 20)
    copied = made.sample[200:]
    assert len(set(copied)) == 20
    assert (made.assigned_label[200:] != given[copied // 2]).all()


def test_corrupted_labels_are_uniform_over_the_other_classes():
    made, *_ = make(30_000, n_classes=4, probe=Probe.CORRUPTED)
    original = (made.sample[30_000:] // 2) % 4
    shift = (made.assigned_label[30_000:] - original) % 4
    # 3,000 draws over three values: a standard deviation is 26.
    assert_array_equal(np.abs(np.bincount(shift, minlength=4)[1:] - 1000) < 130, True)


def test_no_samples_at_all_are_refused():
    with pytest.raises(InputError, match="no samples"):
        make(0)


def test_labels_beyond_the_outputs_are_refused():
    with pytest.raises(InputError, match=r"0\.\.1, got 0\.\.2"):
        make(3, n_classes=3)[0].__class__(
            sample=np.arange(3),
            assigned_label=np.arange(3, dtype=np.int32),
            role=np.zeros(3, np.int8),
            n_classes=2,
            n_outputs=2,
        )
