"""Rows that count less, and looking at samples without learning from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from audit.errors import InputError
from audit.records.run import Augmentation, RunConfig, Schedule
from audit.training import rows
from audit.training.loop import Training
from audit.training.rows import Rows

CONFIG = RunConfig(
    preset="t", architecture="small", image_size=8, epochs=2, batch_size=8, learning_rate=0.05,
    schedule=Schedule.CONSTANT, augmentation=Augmentation.CROP_FLIP,
)  # fmt: skip
FEATURES = replace(CONFIG, architecture="features", dropout=0.5, augmentation=Augmentation.NONE)
LABELS = (np.arange(24) % 3).astype(np.int32)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
WIDE = np.random.default_rng(1).normal(size=(30, 12)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def table(weight=None, labels=LABELS):
    made = rows.build(np.arange(24), labels, n_classes=3, config=CONFIG)
    return replace(made, weight=weight)


def trained(config, made, inputs=IMAGES):
    training = Training(config, inputs, made, None)
    for _ in training.epochs():
        pass
    return training.state_tensors()


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("shards", [1, 2])
def test_equal_weights_train_what_no_weights_train(shards):
    config = replace(CONFIG, shards=shards)
    plain = trained(config, table())
    # A power of two, so that dividing by the mean rounds nothing.
    assert equal(trained(config, table(np.full(24, 0.5, dtype=np.float32))), plain)


def test_a_row_of_no_weight_may_have_any_label():
    weight = np.ones(24, dtype=np.float32)
    weight[5] = 0
    other = LABELS.copy()
    other[5] = (other[5] + 1) % 3
    assert equal(trained(CONFIG, table(weight)), trained(CONFIG, table(weight, other)))
    assert not equal(trained(CONFIG, table()), trained(CONFIG, table(labels=other)))


def test_the_loss_of_a_batch_is_its_weighted_mean():
    weight = np.linspace(0.1, 1, 24).astype(np.float32)
    config = replace(FEATURES, batch_size=24, epochs=1, dropout=0.0)
    seen = []
    made = table(weight)
    training = Training(config, WIDE, made, lambda at, logits: seen.append((at, logits.clone())))
    (step,) = training.epochs()
    ((at, logits),) = seen
    own = torch.from_numpy(weight)[at]
    label = torch.from_numpy(LABELS.astype(np.int64))[at]
    expected = (functional.cross_entropy(logits, label, reduction="none") * own).sum() / own.sum()
    assert step.loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    "weight", [np.ones(3), -np.ones(24), np.zeros(24), np.full(24, np.nan)], ids=str
)
def test_weights_that_cannot_be_are_refused(weight):
    with pytest.raises(InputError, match="one weight each"):
        table(weight.astype(np.float32))


@pytest.mark.parametrize(("config", "inputs"), [(CONFIG, IMAGES), (FEATURES, WIDE)])
def test_looking_changes_nothing_and_says_the_same_twice(config, inputs):
    plain = trained(config, table(), inputs)
    training = Training(config, inputs, table(), None)
    for step in training.epochs():
        if step.ends_epoch:
            first = training.predict(np.arange(30))
            assert np.array_equal(training.predict(np.arange(30)), first)
            assert first.shape == (30, 3)
    assert equal(plain, training.state_tensors())


def test_looking_at_samples_is_not_influenced_by_their_company():
    training = Training(CONFIG, IMAGES, table(), None)
    for _ in training.epochs():
        pass
    together = training.predict(np.arange(30))
    alone = training.predict(np.array([29, 3]))
    np.testing.assert_allclose(alone, together[[29, 3]], rtol=1e-4, atol=1e-5)


def test_samples_are_found_by_their_place_in_the_dataset():
    positions = np.arange(30) * 2 + 1
    made = Rows(
        sample=positions[:24], assigned_label=LABELS, role=np.zeros(24, dtype=np.int8),
        n_classes=3, n_outputs=3,
    )  # fmt: skip
    training = Training(CONFIG, IMAGES, made, None, positions=positions)
    plain = Training(CONFIG, IMAGES, table(), None)
    found = training.predict(np.array([59]))
    np.testing.assert_allclose(found, plain.predict(np.array([29])), rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="without inputs"):
        training.predict(np.array([2]))
