import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from audit.errors import InputError, TrainingError
from audit.records.dynamics import SIGNALS
from audit.records.run import Augmentation, Precision, RunConfig, Schedule
from audit.training import loop, rows
from audit.training.recorder import EpochRecorder

CONFIG = RunConfig(
    preset="t",
    architecture="small",
    image_size=8,
    epochs=4,
    batch_size=8,
    learning_rate=0.05,
    schedule=Schedule.ONE_CYCLE,
    warmup_epochs=1,
    augmentation=Augmentation.CROP_FLIP,
    label_smoothing=0.1,
)
FEATURES = dataclasses.replace(CONFIG, architecture="features", dropout=0.5)
BFLOAT16 = dataclasses.replace(CONFIG, precision=Precision.BFLOAT16)
RESNET = dataclasses.replace(CONFIG, architecture="resnet32", epochs=2, batch_size=16)
KINDS = pytest.mark.parametrize(
    "config", [CONFIG, FEATURES, BFLOAT16, RESNET], ids=["small", "features", "bf16", "resnet32"]
)

LABELS = (np.arange(25) % 3).astype(np.int32)
IMAGES = np.random.default_rng(0).integers(0, 256, (25, 8, 8, 3), dtype=np.uint8)
WIDE = np.random.default_rng(1).normal(size=(25, 12)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(config, *, records=True):
    made = rows.build(np.arange(25), LABELS, n_classes=3, config=config)
    recorder = EpochRecorder(made) if records else None
    inputs = WIDE if config.architecture == "features" else IMAGES
    observe = recorder.observe if recorder else None
    return loop.Training(config, inputs, made, observe), recorder


def run(training, recorder, start=0, stop=None):
    epochs = []
    for step in training.epochs(start):
        if step.ends_epoch:
            if recorder:
                epochs.append(recorder.end_epoch())
            if step.epoch + 1 == stop:
                break
    return epochs


def assert_same_epochs(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        for name in SIGNALS:
            assert_array_equal(left[name], right[name])


@KINDS
def test_the_same_settings_give_the_same_dynamics(config):
    torch.manual_seed(0)
    one = run(*make(config))
    torch.manual_seed(1)
    assert_same_epochs(one, run(*make(config)))


@KINDS
def test_a_resumed_training_is_bit_identical_to_an_uninterrupted_one(config):
    half = config.epochs // 2
    whole_training, whole_recorder = make(config)
    whole = run(whole_training, whole_recorder)

    training, recorder = make(config)
    first = run(training, recorder, stop=half)
    state = {n: t.clone().contiguous() for n, t in training.state_tensors().items()}
    sums = {n: t.clone() for n, t in recorder.state_tensors().items()}

    resumed, again = make(config)
    resumed.load_state_tensors(state)
    again.load_state_tensors(sums)
    assert_same_epochs(whole, first + run(resumed, again, start=half))
    for name, tensor in whole_training.state_tensors().items():
        assert torch.equal(tensor, resumed.state_tensors()[name]), name
    assert_array_equal(
        whole_recorder.mean_probabilities().values, again.mean_probabilities().values
    )


def test_a_training_is_bit_identical_with_and_without_a_recorder():
    recorded, recorder = make(CONFIG)
    run(recorded, recorder)
    bare, _ = make(CONFIG, records=False)
    run(bare, None)
    for name, tensor in recorded.state_tensors().items():
        assert torch.equal(tensor, bare.state_tensors()[name]), name


@pytest.mark.parametrize("changes", [{"seed": 1}, {"probe_part": 1}])
def test_another_seed_or_part_gives_other_dynamics(changes):
    one = run(*make(CONFIG))
    other = run(*make(dataclasses.replace(CONFIG, **changes)))
    assert (one[0]["margin"] != other[0]["margin"]).any()


def test_steps_tell_where_the_run_is_and_end_each_epoch_with_its_means():
    training, _ = make(CONFIG)
    steps = list(training.epochs())
    assert [(s.epoch, s.batch) for s in steps] == [(e, b) for e in range(4) for b in range(4)]
    assert steps[-1].fraction == 1
    assert steps[0].fraction == 1 / 16
    for step in steps:
        assert (step.loss is None) == (not step.ends_epoch)
        assert step.accuracy is None or 0 <= step.accuracy <= 1
    assert steps[3].loss > 0


def test_a_network_learns_its_labels():
    config = dataclasses.replace(
        CONFIG, epochs=60, augmentation=Augmentation.NONE, label_smoothing=0.0
    )
    training, recorder = make(config)
    last = run(training, recorder)[-1]
    assert (last["margin"] > 0).all()


def test_the_epochs_means_are_those_of_the_recorded_rows():
    config = dataclasses.replace(CONFIG, label_smoothing=0.0)
    training, recorder = make(config)
    for step in training.epochs():
        if step.ends_epoch:
            epoch = recorder.end_epoch()
            assert step.loss == pytest.approx(epoch["loss"].mean(), rel=1e-5)
            assert step.accuracy == pytest.approx((epoch["margin"] > 0).mean())


def test_closing_the_generator_stops_the_training():
    seen = []
    training = loop.Training(
        CONFIG,
        IMAGES,
        rows.build(np.arange(25), LABELS, n_classes=3, config=CONFIG),
        lambda some, logits: seen.append(len(some)),
    )
    steps = training.epochs()
    next(steps)
    steps.close()
    assert len(seen) == 1


@given(st.integers(2, 5000), st.integers(1, 300))
def test_batches_hold_every_row_once_and_never_a_single_one(n_rows, batch_size):
    sizes = np.diff(loop.batch_bounds(n_rows, batch_size))
    assert sizes.sum() == n_rows
    assert sizes.min() >= 2
    assert sizes.max() - sizes.min() <= 1
    assert sizes.max() <= max(batch_size, 3)


def test_a_lone_last_row_is_spread_over_the_other_batches():
    config = dataclasses.replace(CONFIG, batch_size=24, epochs=1)
    assert len(run(*make(config))) == 1


def test_orders_are_permutations_that_differ_by_epoch():
    first, second = (loop.draw_order(25, epoch, CONFIG) for epoch in (0, 1))
    assert_array_equal(np.sort(first), np.arange(25))
    assert (first != second).any()


def test_a_loss_that_is_not_finite_stops_with_the_epoch_and_what_to_try():
    config = dataclasses.replace(CONFIG, learning_rate=900.0, warmup_epochs=0, epochs=30)
    training, recorder = make(config)
    with pytest.raises(
        TrainingError,
        match=r"epoch \d+ of 30 .the checkpoint after epoch \d+ is kept.; .* --learning-rate below 900",
    ):
        run(training, recorder)


def test_inputs_are_found_by_their_position_in_the_dataset():
    made = rows.build(np.array([4, 9, 30]), LABELS[:3], n_classes=3, config=CONFIG)
    positions = np.array([4, 7, 9, 30])
    training = loop.Training(CONFIG, IMAGES[:4], made, None, positions=positions)
    assert len(list(training.epochs())) == 4
    with pytest.raises(InputError, match="the first is sample 9"):
        loop.Training(CONFIG, IMAGES[:3], made, None, positions=np.array([4, 8, 30]))
    with pytest.raises(InputError, match="the first is sample 30"):
        loop.Training(CONFIG, IMAGES[:12], made, None)


def test_a_single_row_cannot_be_trained_on():
    made = rows.build(np.array([0]), LABELS[:1], n_classes=3, config=CONFIG)
    with pytest.raises(InputError, match="at least two rows, got 1"):
        loop.Training(CONFIG, IMAGES, made, None)


def test_tensors_of_another_network_are_refused():
    with pytest.raises(TrainingError, match="does not fit"):
        make(CONFIG)[0].load_state_tensors(make(FEATURES)[0].state_tensors())


def test_memory_that_runs_out_is_told_in_a_sentence():
    made = rows.build(np.arange(25), LABELS, n_classes=3, config=FEATURES)
    huge = dataclasses.replace(made, n_outputs=1 << 36)  # 128 TiB of weights
    with pytest.raises(TrainingError, match="Memory of cpu ran out at batches of 8"):
        loop.Training(FEATURES, WIDE, huge, None)
