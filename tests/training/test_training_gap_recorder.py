import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.utils._python_dispatch import TorchDispatchMode

from audit.errors import InputError, TrainingError
from audit.training.gap_recorder import GapRecorder
from audit.training.rows import Rows


def recorder_of(labels, n_classes, **settings):
    labels = np.array(labels, dtype=np.int32)
    rows = Rows(
        sample=np.arange(len(labels)),
        assigned_label=labels,
        role=np.zeros(len(labels), np.int8),
        n_classes=n_classes,
        n_outputs=n_classes,
    )
    return GapRecorder(rows, **settings)


def softmax(values):
    return torch.softmax(torch.tensor(values, dtype=torch.float64), dim=-1).numpy()


def test_a_row_that_was_not_seen_is_a_gap_of_this_epoch_alone():
    recorder = recorder_of([0, 1, 0], 2)
    recorder.observe(torch.tensor([0, 2]), torch.tensor([[3.0, 1.0], [0.0, 5.0]]))
    epoch = recorder.end_epoch()
    assert_array_equal(epoch["margin"], [2.0, np.nan, -5.0])
    assert_array_equal(epoch["best_other_class"], [1, -1, 1])
    assert_array_equal(recorder.is_missing, [False, True, False])
    recorder.observe(torch.tensor([0, 1, 2]), torch.zeros(3, 2))
    assert_array_equal(recorder.end_epoch()["margin"], [0.0, 0.0, 0.0])
    assert not recorder.is_missing.any()


def test_of_several_views_the_last_counts_with_all_its_signals():
    recorder = recorder_of([0, 1], 3)
    recorder.observe(torch.tensor([0]), torch.tensor([[9.0, 0.0, 0.0]]))
    recorder.observe(
        torch.tensor([0, 1, 0]), torch.tensor([[5.0, 0.0, 1.0], [0.0, 1.0, 0.0], [2.0, 0.0, 7.0]])
    )
    epoch = recorder.end_epoch()
    assert (epoch["margin"][0], epoch["given_logit"][0], epoch["best_other_class"][0]) == (-5, 2, 2)
    assert_allclose(epoch["given_probability"][0], softmax([2.0, 0.0, 7.0])[0], rtol=1e-6)
    assert recorder.n_repeated == 1


@pytest.mark.parametrize("cap", [0, 10**9])
def test_mean_probabilities_are_over_batches_and_count_a_row_once_in_each(cap):
    recorder = recorder_of([0, 1], 3, sums_cap_bytes=cap)
    recorder.observe(
        torch.tensor([0, 0, 1]), torch.tensor([[9.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    )
    recorder.observe(torch.tensor([0]), torch.tensor([[0.0, 3.0, 0.0]]))
    mean = recorder.mean_probabilities()
    order = np.argsort(mean.classes, axis=1)
    values = np.take_along_axis(mean.values, order, axis=1)
    expected = [(softmax([1.0, 0, 0]) + softmax([0, 3.0, 0])) / 2, softmax([0, 2.0, 0])]
    assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize("cap", [0, 10**9])
@pytest.mark.parametrize(
    "bad", [[np.nan, 0.0, 0.0], [0.0, 0.0, np.nan], [0.0, np.inf, 0.0], [-np.inf, 0.0, 0.0]]
)
def test_logits_that_are_not_finite_count_as_not_seen_and_spoil_nothing(bad, cap):
    recorder = recorder_of([0, 1], 3, sums_cap_bytes=cap)
    recorder.observe(torch.tensor([0, 1]), torch.tensor([bad, [0.0, 2.0, 0.0]]))
    recorder.end_epoch()
    assert_array_equal(recorder.is_missing, [True, False])
    assert recorder.n_not_finite == 1
    recorder.observe(torch.tensor([0]), torch.tensor([[1.0, 0.0, 0.0]]))
    assert_array_equal(recorder.end_epoch()["margin"], [1.0, np.nan])
    assert recorder.n_not_finite == 0
    mean = recorder.mean_probabilities()
    order = np.argsort(mean.classes, axis=1)
    values = np.take_along_axis(mean.values, order, axis=1)
    assert_allclose(values, [softmax([1.0, 0, 0]), softmax([0, 2.0, 0])], atol=1e-6)


def test_a_class_at_minus_infinity_is_masked_and_fine():
    recorder = recorder_of([0], 3)
    recorder.observe(torch.tensor([0]), torch.tensor([[1.0, 0.0, -np.inf]]))
    assert recorder.end_epoch()["margin"] == 1.0
    assert_allclose(recorder.mean_probabilities().values[0], [*softmax([1.0, 0.0]), 0], atol=1e-6)


def test_an_epoch_without_a_finite_row_has_diverged():
    recorder = recorder_of([0, 1], 2)
    recorder.observe(torch.tensor([0, 1]), torch.zeros(2, 2))
    recorder.end_epoch()
    recorder.observe(torch.tensor([0, 1]), torch.full((2, 2), np.nan))
    with pytest.raises(TrainingError, match="In epoch 2 no row had finite logits"):
        recorder.end_epoch()


@pytest.mark.parametrize("row", [-1, 2, 99])
def test_row_numbers_that_are_none_are_refused_at_the_end_and_touch_no_other(row):
    recorder = recorder_of([0, 1], 2)
    recorder.observe(torch.tensor([0, row, 1]), torch.zeros(3, 2))
    with pytest.raises(InputError, match=r"In epoch 1 row numbers outside 0\.\.1 were .*\(1 in"):
        recorder.end_epoch()


def test_other_labels_than_the_recorded_ones_are_refused_with_their_rows():
    recorder = recorder_of([0, 1, 0, 1], 2)
    recorder.observe(torch.tensor([3, 2]), torch.zeros(2, 2), torch.tensor([1, 0]))
    recorder.observe(torch.tensor([0, 1]), torch.zeros(2, 2), torch.tensor([1, 0]))
    with pytest.raises(InputError, match=r"In epoch 1 rows 0, 1 \(2 in all\) .*mixup"):
        recorder.end_epoch()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_signals_are_float32_whatever_the_network_computes_in_under_autocast_too(dtype):
    recorder = recorder_of([0, 1], 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        recorder.observe(torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [2.0, 0.5]], dtype=dtype))
    epoch = recorder.end_epoch()
    assert epoch["loss"].dtype == np.float32
    assert_allclose(epoch["loss"], [np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.5))], rtol=1e-6)


class _Waits(TorchDispatchMode):
    """Names the operations whose answer the host has to wait for."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name.startswith(self.WAITING):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("cap", [0, 10**9])
def test_no_batch_waits_for_the_device(cap):
    recorder = recorder_of([0, 1, 1], 3, sums_cap_bytes=cap)
    with _Waits() as waits:
        recorder.observe(torch.tensor([0, 1, 1]), torch.zeros(3, 3), torch.tensor([0, 1, 1]))
    assert waits.found == []
    with _Waits() as waits:
        torch.zeros(2).max().item()
    assert waits.found == ["_local_scalar_dense"]
