import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.errors import InputError
from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics
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


def base_run(sample, given, values):
    n_rows, n_classes = values.shape
    return TrainingDynamics(
        run_id="base",
        n_samples=int(sample.max()) + 1,
        n_classes=n_classes,
        sample=sample,
        assigned_label=given,
        role=np.zeros(n_rows, dtype=np.int8),
        signals={"margin": np.zeros((1, n_rows), dtype=np.float32)},
        mean_probabilities=MeanProbabilities(
            classes=np.tile(np.arange(n_classes, dtype=np.int32), (n_rows, 1)),
            values=values.astype(np.float32),
            is_full=True,
        ),
    )


def make_planted(n=1000, *, doubts=None, base_config=None, **changes):
    config = dataclasses.replace(CONFIG, probe=Probe.PLANTED, base_run="base", **changes)
    sample = np.arange(n, dtype=np.int64) * 2
    given = (np.arange(n) % 4).astype(np.int32)
    values = np.zeros((n, 4)) if doubts is None else doubts(given)
    base = base_run(sample, given, values)
    if base_config is not None:
        base = dataclasses.replace(base, config=dataclasses.replace(CONFIG, **base_config))
    return rows.build(sample, given, n_classes=4, config=config, base=base), given


def next_class_only(given):
    """The network gives the label .6 and the class after it .4, nothing to the others."""
    values = np.zeros((len(given), 4))
    values[np.arange(len(given)), given] = 0.6
    values[np.arange(len(given)), (given + 1) % 4] = 0.4
    return values


def test_planted_labels_are_two_disjoint_kinds_of_one_size_and_all_wrong():
    made, given = make_planted(doubts=next_class_only)
    uniform, confused = made.role == Role.PLANTED_UNIFORM, made.role == Role.PLANTED_CONFUSED
    assert (uniform.sum(), confused.sum()) == (100, 100)
    is_planted = uniform | confused
    assert (made.assigned_label[is_planted] != given[is_planted]).all()
    assert_array_equal(made.assigned_label[~is_planted], given[~is_planted])
    assert made.n_outputs == 4
    assert len(np.unique(made.sample)) == 1000


def test_confused_labels_are_what_the_other_run_doubted_and_uniform_ones_are_any():
    made, given = make_planted(n=4000, doubts=next_class_only)
    shift = (made.assigned_label - given) % 4
    assert set(shift[made.role == Role.PLANTED_CONFUSED]) == {1}
    counts = np.bincount(shift[made.role == Role.PLANTED_UNIFORM], minlength=4)
    assert counts[0] == 0
    # 400 draws over three classes: 133 each, deviation 9.4.
    assert (np.abs(counts[1:] - 400 / 3) < 40).all()


def test_six_percent_are_planted_a_tenth_of_few_and_what_was_asked_for():
    found = {n: rows.n_planted_rows(n) for n in (20_000, 10_000, 8_000, 3_781, 9)}
    assert found == {20_000: 1200, 10_000: 600, 8_000: 600, 3_781: 378, 9: 0}
    assert rows.n_planted_rows(3_781, 0.06) == 226


def test_smoothing_of_the_targets_does_not_make_all_other_classes_look_likely():
    def smoothed(given):
        return 0.8 * next_class_only(given) + 0.2 / 4

    plain, given = make_planted(n=4000, doubts=smoothed)
    known, _ = make_planted(n=4000, doubts=smoothed, base_config={"label_smoothing": 0.2})

    def others(made):
        confused = made.role == Role.PLANTED_CONFUSED
        return float((((made.assigned_label - given) % 4)[confused] != 1).mean())

    # Taken as they are, two classes of .05 stand beside one of .37: 21 % of the draws.
    assert others(plain) > 0.15
    assert others(known) < 0.02


def test_planted_labels_need_a_run_with_probabilities_on_the_same_labels():
    config = dataclasses.replace(CONFIG, probe=Probe.PLANTED)
    sample, given = np.arange(100, dtype=np.int64), (np.arange(100) % 4).astype(np.int32)
    with pytest.raises(InputError, match="an ordinary run"):
        rows.build(sample, given, n_classes=4, config=config)
    other = base_run(sample, (given + 1) % 4, next_class_only((given + 1) % 4))
    with pytest.raises(InputError, match="Run base was trained on other labels"):
        rows.build(sample, given, n_classes=4, config=config, base=other)


def test_contaminated_labels_are_three_in_ten_each_wrong_and_of_role_planted():
    made, sample, given = make(1000, probe=Probe.CONTAMINATED)
    planted = made.role == Role.PLANTED_UNIFORM
    assert planted.sum() == 300
    assert_array_equal(made.assigned_label != given, planted)
    assert_array_equal(made.sample, sample)
    fewer, *_ = make(1000, probe=Probe.CONTAMINATED, probe_fraction=0.2)
    assert (fewer.role == Role.PLANTED_UNIFORM).sum() == 200
