import dataclasses
import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn import functional

from audit.errors import InputError, TrainingError
from audit.records.dynamics import SIGNALS
from audit.records.run import Augmentation, RunConfig, Schedule
from audit.training import loop, networks, rows, shards
from audit.training.recorder import EpochRecorder

CONFIG = RunConfig(
    preset="t",
    architecture="small",
    image_size=8,
    epochs=2,
    batch_size=12,
    learning_rate=0.05,
    schedule=Schedule.ONE_CYCLE,
    augmentation=Augmentation.CROP,
    label_smoothing=0.1,
    shards=3,
)
FEATURES = dataclasses.replace(CONFIG, architecture="features", dropout=0.5)
BOTH = pytest.mark.parametrize("config", [CONFIG, FEATURES], ids=["small", "features"])

N = 31
LABELS = (np.arange(N) % 3).astype(np.int32)
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
WIDE = np.random.default_rng(1).normal(size=(N, 12)).astype(np.float32)


def make(config, **more):
    made = rows.build(np.arange(N), LABELS, n_classes=3, config=config)
    recorder = EpochRecorder(made)
    inputs = WIDE if config.architecture == "features" else IMAGES
    return loop.Training(config, inputs, made, recorder.observe, **more), recorder


def run(config, *, training=None, recorder=None, start=0, **more):
    if training is None:
        training, recorder = make(config, **more)
    epochs, messages = [], []
    for step in training.epochs(start):
        messages += [step.message] if step.message else []
        if step.ends_epoch:
            epochs.append(recorder.end_epoch())
    return epochs, messages


def assert_same(one, other, *, tolerance=0.0):
    assert len(one) == len(other)
    for (left, right), name in itertools.product(zip(one, other, strict=True), SIGNALS):
        if tolerance:
            assert_allclose(left[name], right[name], rtol=0, atol=tolerance)
        else:
            assert_array_equal(left[name], right[name])


@BOTH
def test_what_comes_out_does_not_depend_on_how_many_threads_compute_it(config):
    alone, _ = run(dataclasses.replace(config, threads=1))
    beside, _ = run(dataclasses.replace(config, threads=3))
    assert_same(alone, beside)


@BOTH
def test_another_number_of_shards_is_another_training(config):
    three, _ = run(config)
    one, _ = run(dataclasses.replace(config, shards=1))
    assert (three[1]["margin"] != one[1]["margin"]).any()


@BOTH
def test_a_resumed_training_does_what_the_uninterrupted_one_did(config):
    config = dataclasses.replace(config, threads=2)
    whole, _ = run(config)
    training, recorder = make(config)
    for step in training.epochs():
        if step.ends_epoch:
            recorder.end_epoch()
            break
    state = {name: tensor.clone() for name, tensor in training.state_tensors().items()}
    other, notes = make(config)
    other.load_state_tensors(state)
    assert_same(whole[1:], run(config, training=other, recorder=notes, start=1)[0])


def test_without_batch_norm_and_dropout_the_gradient_is_that_of_the_whole_batch():
    config = dataclasses.replace(FEATURES, dropout=0.0)
    assert_same(run(config)[0], run(dataclasses.replace(config, shards=1))[0], tolerance=1e-5)


def test_every_shard_is_normalised_on_its_own():
    config = dataclasses.replace(CONFIG, augmentation=Augmentation.NONE, batch_size=N, shards=2)
    seen = []
    made = rows.build(np.arange(N), LABELS, n_classes=3, config=config)
    training = loop.Training(config, IMAGES, made, lambda at, logits: seen.append((at, logits)))
    next(training.epochs())
    at, logits = seen[0]
    network = networks.build(config, n_outputs=3).to(memory_format=torch.channels_last)
    pixels = torch.from_numpy(IMAGES).float()
    scale = pixels.reshape(-1, 3)
    pixels = (pixels - scale.mean(0)) / scale.std(0, correction=0)
    expected = torch.cat([network(pixels[part].permute(0, 3, 1, 2)) for part in (at[:15], at[15:])])
    assert_allclose(logits, expected.detach(), rtol=0, atol=1e-4)


def test_shards_of_a_batch_are_equal_to_within_one_row_and_never_a_single_one():
    for n_rows, n_shards in itertools.product(range(2, 30), range(1, 6)):
        sizes = np.diff(shards.bounds(n_rows, n_shards))
        assert sizes.sum() == n_rows
        assert sizes.min() >= 2
        assert sizes.max() - sizes.min() <= 1
        assert len(sizes) == min(n_shards, n_rows // 2)


def out_of_memory_beyond(monkeypatch, most_rows):
    """Let a forward pass of more rows fail as an accelerator's does."""
    plain = functional.cross_entropy

    def cross_entropy(logits, *arguments, **options):
        if len(logits) > most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(logits, *arguments, **options)

    monkeypatch.setattr(functional, "cross_entropy", cross_entropy)


@BOTH
def test_where_memory_runs_out_a_batch_is_split_and_stays_one_batch(monkeypatch, config):
    wanted, _ = run(dataclasses.replace(config, shards=4))
    out_of_memory_beyond(monkeypatch, 4)
    training, recorder = make(dataclasses.replace(config, shards=1))
    found, messages = run(config, training=training, recorder=recorder)
    assert training.n_shards == 4
    # From the first batch on, so that it is the training of four shards.
    assert_same(found, wanted)
    assert messages == [
        "Memory of cpu ran out: every batch of 12 is computed in 4 parts from here on."
    ]


def test_a_resumed_training_begins_with_as_many_shards_as_were_needed(monkeypatch):
    out_of_memory_beyond(monkeypatch, 4)
    config = dataclasses.replace(CONFIG, shards=1)
    found, messages = run(config, n_shards=4)
    assert messages == []
    assert len(found) == 2


def test_memory_that_runs_out_for_the_smallest_shards_is_told(monkeypatch):
    out_of_memory_beyond(monkeypatch, 1)
    with pytest.raises(TrainingError, match="Memory of cpu ran out at batches of 12"):
        run(dataclasses.replace(CONFIG, shards=1))


def test_an_error_in_one_shard_is_told_after_all_have_ended(monkeypatch):
    def broken(logits, *arguments, **options):
        raise RuntimeError("not a matter of memory")

    monkeypatch.setattr(functional, "cross_entropy", broken)
    with pytest.raises(RuntimeError, match="not a matter of memory"):
        run(dataclasses.replace(CONFIG, threads=3))


def test_no_shards_are_refused():
    with pytest.raises(InputError, match="shards must be at least 1"):
        dataclasses.replace(CONFIG, shards=0)
