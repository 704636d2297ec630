import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError, TrainingError
from audit.numerics import signals as plain
from audit.records.dynamics import SIGNALS
from audit.training.probabilities import N_TOP
from audit.training.recorder import EpochRecorder
from audit.training.rows import Rows


def rows(labels, n_classes, n_outputs=None):
    labels = np.array(labels, dtype=np.int32)
    return Rows(
        sample=np.arange(len(labels)),
        assigned_label=labels,
        role=np.zeros(len(labels), np.int8),
        n_classes=n_classes,
        n_outputs=n_outputs or n_classes,
    )


def draw(n_rows, n_outputs, seed=0, scale=3.0):
    logits = np.random.default_rng(seed).normal(0, scale, (n_rows, n_outputs))
    return torch.from_numpy(logits.astype(np.float32))


def observe_all(recorder, logits, *, batch=4, seed=0):
    for some in torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed)).split(
        batch
    ):
        recorder.observe(some, logits[some])


def softmax(logits):
    return torch.softmax(logits.double(), dim=1).numpy()


def test_every_signal_lands_at_its_row_whatever_the_order():
    labels = [0, 1, 2, 0, 1, 2, 0]
    logits = draw(7, 3)
    recorder = EpochRecorder(rows(labels, 3))
    observe_all(recorder, logits, batch=3)
    epoch = recorder.end_epoch()
    reference = plain.of_epoch(logits.numpy(), np.array(labels))
    assert tuple(epoch) == SIGNALS
    for name in SIGNALS:
        assert epoch[name].dtype == reference[name].dtype
        assert_allclose(epoch[name], reference[name], rtol=1e-5, atol=1e-6)


def test_an_epochs_values_do_not_change_when_the_next_is_observed():
    recorder = EpochRecorder(rows([0, 1], 2))
    observe_all(recorder, draw(2, 2, seed=0))
    first = recorder.end_epoch()
    kept = {name: values.copy() for name, values in first.items()}
    observe_all(recorder, draw(2, 2, seed=1))
    recorder.end_epoch()
    for name in SIGNALS:
        assert_array_equal(first[name], kept[name])


def test_a_row_that_was_missed_is_named():
    recorder = EpochRecorder(rows([0, 1, 0], 2))
    recorder.observe(torch.tensor([0, 2]), draw(2, 2))
    with pytest.raises(TrainingError, match=r"3 rows exactly once: 1 never seen \(rows 1\)"):
        recorder.end_epoch()


@pytest.mark.parametrize("batches", [[[0, 1], [1]], [[0, 1, 1]]])
def test_a_row_seen_twice_is_named_within_a_batch_and_across(batches):
    recorder = EpochRecorder(rows([0, 1], 2))
    for batch in batches:
        recorder.observe(torch.tensor(batch), draw(len(batch), 2))
    with pytest.raises(TrainingError, match=r"1 seen more than once \(rows 1\)"):
        recorder.end_epoch()


def test_many_missed_rows_are_counted_and_the_first_five_named():
    recorder = EpochRecorder(rows([0] * 9, 2))
    with pytest.raises(TrainingError, match=r"9 never seen \(rows 0, 1, 2, 3, 4, …\)"):
        recorder.end_epoch()


def test_logits_of_another_width_are_refused():
    recorder = EpochRecorder(rows([0, 1], 2))
    with pytest.raises(InputError, match=r"shape \(2, 2\), got \(2, 3\)"):
        recorder.observe(torch.tensor([0, 1]), draw(2, 3))


def test_mean_probabilities_are_the_average_softmax():
    recorder = EpochRecorder(rows([0, 1, 2, 0], 3))
    epochs = [draw(4, 3, seed) for seed in range(3)]
    for logits in epochs:
        observe_all(recorder, logits)
        recorder.end_epoch()
    mean = recorder.mean_probabilities()
    assert mean.is_full
    assert_array_equal(mean.classes, [[0, 1, 2]] * 4)
    assert_allclose(mean.values, np.mean([softmax(x) for x in epochs], axis=0), atol=1e-6)


def test_the_threshold_output_takes_no_part_in_mean_probabilities():
    recorder = EpochRecorder(rows([0, 2], 2, 3))
    logits = torch.tensor([[1.0, 2.0, 50.0], [0.0, 0.0, -5.0]])
    recorder.observe(torch.tensor([0, 1]), logits)
    assert recorder.end_epoch()["best_other_class"][0] == 2
    mean = recorder.mean_probabilities()
    assert_allclose(mean.values, softmax(logits[:, :2]), atol=1e-6)


def skewed(n_rows, n_classes, seed):
    """Logits as of a network that learns: a few classes per row lead, the rest are noise."""
    leaders = np.random.default_rng(99).normal(0, 1, (n_rows, n_classes)) * 4
    return torch.from_numpy((leaders + draw(n_rows, n_classes, seed).numpy() / 3).astype("f4"))


def test_beyond_the_cap_the_top_classes_are_those_of_the_full_sums():
    n_rows, n_classes = 20, 100
    full = EpochRecorder(rows([0] * n_rows, n_classes))
    top = EpochRecorder(rows([0] * n_rows, n_classes), sums_cap_bytes=n_rows * n_classes * 4 - 1)
    for seed in range(6):
        for recorder in (full, top):
            observe_all(recorder, skewed(n_rows, n_classes, seed))
            recorder.end_epoch()
    everything, kept = full.mean_probabilities(), top.mean_probabilities()
    assert not kept.is_full
    assert kept.classes.shape == kept.values.shape == (n_rows, N_TOP)
    assert (np.diff(kept.values, axis=1) <= 0).all()
    truth = np.take_along_axis(everything.values, kept.classes, axis=1)
    assert (kept.values <= truth + 1e-6).all()
    best = np.argsort(-everything.values, axis=1, kind="stable")[:, :3]
    assert_array_equal(kept.classes[:, :3], best)
    assert_allclose(kept.values[:, :3], np.take_along_axis(everything.values, best, 1), atol=1e-4)
    assert all(len(set(some)) == N_TOP for some in kept.classes)


def test_with_few_classes_the_top_classes_are_all_of_them():
    top = EpochRecorder(rows([0, 1], 3), sums_cap_bytes=0)
    logits = draw(2, 3)
    observe_all(top, logits)
    mean = top.mean_probabilities()
    order = np.argsort(mean.classes, axis=1)
    assert_allclose(np.take_along_axis(mean.values, order, 1), softmax(logits), atol=1e-6)


@pytest.mark.parametrize("cap", [0, 10**9])
def test_a_recorder_continues_from_its_tensors(cap):
    whole = EpochRecorder(rows([0, 1, 2], 40), sums_cap_bytes=cap)
    parts = [EpochRecorder(rows([0, 1, 2], 40), sums_cap_bytes=cap) for _ in range(2)]
    for seed, part in enumerate(parts):
        for recorder in (whole, part):
            observe_all(recorder, draw(3, 40, seed))
            recorder.end_epoch()
        if seed == 0:
            parts[1].load_state_tensors({n: t.clone() for n, t in part.state_tensors().items()})
    assert_array_equal(whole.mean_probabilities().values, parts[1].mean_probabilities().values)
    assert_array_equal(whole.mean_probabilities().classes, parts[1].mean_probabilities().classes)


def test_tensors_of_another_recorder_are_refused():
    one, other = EpochRecorder(rows([0, 1], 2)), EpochRecorder(rows([0, 1, 1], 2))
    with pytest.raises(TrainingError, match="does not fit"):
        one.load_state_tensors(other.state_tensors())
