"""Sequences and network of the LSTM noise detector: by hand, against a plain twin, gaps and lengths."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors.lstm import network, sequences
from audit.errors import InputError, UnreliableError


def run_of(planted, q, margins=None):
    q = np.asarray(q, dtype=np.float32)
    made = planted.by_hand(np.zeros_like(q) if margins is None else margins, np.zeros(q.shape[1]))
    return replace(made, signals={**made.signals, "given_probability": q})


def test_a_sequence_is_a_rows_probability_along_the_epochs(planted):
    run = run_of(planted, [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    made, n_missing = sequences.of_rows(run, np.array([1, 0]), ("q",))
    assert_array_equal(made[:, :, 0], np.float32([[0.2, 0.4, 0.6], [0.1, 0.3, 0.5]]))
    assert (made.dtype, n_missing) == (np.float32, 0)


def test_the_second_channel_is_the_tanh_of_the_margin(planted):
    run = run_of(planted, [[0.5], [0.5]], margins=[[-1.0], [30.0]])
    made, _ = sequences.of_rows(run, np.array([0]), ("q", "margin"))
    assert_allclose(made[0], [[0.5, np.tanh(-1)], [0.5, 1.0]], rtol=1e-6)


def test_gaps_are_filled_along_the_samples_own_epochs_and_counted(planted):
    nan = np.nan
    run = run_of(planted, [[nan, 0.9], [0.2, nan], [nan, nan], [0.6, 0.3], [nan, 0.3]])
    made, n_missing = sequences.of_rows(run, np.array([0, 1]), ("q",))
    expected = [[0.2, 0.2, 0.4, 0.6, 0.6], [0.9, 0.7, 0.5, 0.3, 0.3]]
    assert_allclose(made[:, :, 0], expected, rtol=1e-6)
    assert n_missing == 5


def test_an_entry_that_is_missing_in_both_channels_counts_once(planted):
    run = run_of(planted, [[0.1], [np.nan], [0.3]], margins=[[0.0], [np.nan], [2.0]])
    made, n_missing = sequences.of_rows(run, np.array([0]), ("q", "margin"))
    # The margin itself is interpolated, then squashed.
    assert_allclose(made[0, 1], [0.2, np.tanh(1.0)], rtol=1e-6)
    assert n_missing == 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("channels", sequences.FORMS)
def test_an_infinite_value_is_refused_with_run_epoch_and_sample(planted, value, channels):
    values = np.full((4, 3), 0.5)
    values[2, 1] = value
    run = run_of(planted, values if channels == ("q",) else np.full((4, 3), 0.5), margins=values)
    with pytest.raises(UnreliableError, match=r"run has a .* infinite in epoch 3 \(sample 1\)"):
        sequences.of_rows(run, np.array([0, 1, 2]), channels)


def test_a_sample_without_any_value_is_refused(planted):
    run = run_of(planted, [[0.1, np.nan], [0.2, np.nan]])
    with pytest.raises(UnreliableError, match="nothing of sample 1 in any epoch"):
        sequences.of_rows(run, np.array([0, 1]), ("q",))


def test_a_signal_that_was_not_recorded_is_named(planted):
    run = replace(run_of(planted, [[0.1]]), signals={"given_probability": np.ones((1, 1))})
    with pytest.raises(UnreliableError, match="needs the margin of every epoch, but run run rec"):
        sequences.of_rows(run, np.array([0]), ("q", "margin"))


@pytest.mark.parametrize("length", [1, 2, 7, 50])
def test_resampling_keeps_straight_lines_and_both_ends(length):
    line = np.linspace(0.2, 0.8, 9, dtype=np.float32)[None, :, None]
    made = sequences.resampled(line, length)
    assert made.shape == (1, length, 1)
    expected = np.linspace(0.2, 0.8, length) if length > 1 else [0.2]
    assert_allclose(made[0, :, 0], expected, rtol=1e-6)


def test_resampling_to_the_own_length_changes_nothing():
    values = np.random.default_rng(0).random((3, 8, 2)).astype(np.float32)
    assert_array_equal(sequences.resampled(values, 8), values)
    assert_array_equal(sequences.resampled(values, None), values)


def test_raw_values_are_squashed_as_those_of_a_run_are(planted):
    rng = np.random.default_rng(2)
    q, margins = rng.random((6, 4)).astype(np.float32), rng.normal(0, 3, (6, 4))
    run = run_of(planted, q, margins=margins)
    made, _ = sequences.of_rows(run, np.arange(4), ("q", "margin"))
    raw = np.stack([run.signals["given_probability"].T, run.signals["margin"].T], axis=-1)
    assert_array_equal(sequences.squashed(raw, ("q", "margin")), made)
    holed = raw.copy()
    holed[:, 2] = np.nan
    raw[:, 2] = (raw[:, 1] + raw[:, 3]) / 2
    filled = sequences.squashed(holed, ("q", "margin"))
    assert_allclose(filled, sequences.squashed(raw, ("q", "margin")), rtol=1e-6)


def test_the_papers_network_has_50562_parameters():
    assert sum(p.numel() for p in network.untrained(1, 0).parameters()) == 50_562


def test_forget_gates_start_open_and_matrices_orthogonal():
    made = network.untrained(1, 0).state_dict()
    for layer in (0, 1):
        bias = made[f"lstm.bias_ih_l{layer}"].numpy().reshape(4, 64)
        assert_array_equal(bias, np.float32([0, 1, 0, 0])[:, None].repeat(64, axis=1))
        matrix = made[f"lstm.weight_hh_l{layer}"].double().numpy()
        assert_allclose(matrix.T @ matrix, np.eye(64), atol=1e-5)


def plain_twin(made, sequence):
    """The two layers gate by gate in float64 (Hochreiter and Schmidhuber 1997, with forget gates)."""
    tensors = {name: t.double().numpy() for name, t in made.state_dict().items()}

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    values = sequence.astype(np.float64)
    for layer in (0, 1):
        hidden, cell, out = np.zeros(64), np.zeros(64), []
        for x in values:
            gates = tensors[f"lstm.weight_ih_l{layer}"] @ x + tensors[f"lstm.bias_ih_l{layer}"]
            gates += (
                tensors[f"lstm.weight_hh_l{layer}"] @ hidden + tensors[f"lstm.bias_hh_l{layer}"]
            )
            enter, forget, new, leave = np.split(gates, 4)
            cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
            hidden = sigmoid(leave) * np.tanh(cell)
            out.append(hidden)
        values = np.array(out)
    right, wrong = tensors["head.weight"] @ values[-1] + tensors["head.bias"]
    return wrong - right


@pytest.mark.parametrize("n_channels", [1, 2])
def test_logits_are_those_of_a_plain_float64_twin(n_channels):
    made = network.untrained(n_channels, 3).eval()
    values = np.random.default_rng(1).random((3, 20, n_channels)).astype(np.float32)
    expected = [plain_twin(made, sequence) for sequence in values]
    # Single precision through 20 epochs and two layers.
    assert_allclose(network.logits(made, values), expected, atol=2e-6)


def test_a_sequences_logit_does_not_depend_on_the_others_to_the_bit():
    made = network.untrained(2, 0).eval()
    rng = np.random.default_rng(0)
    values = rng.random((2 * network.ROWS_PER_PASS + 77, 12, 2)).astype(np.float32)
    together = network.logits(made, values)
    order = rng.permutation(len(values))
    assert_array_equal(network.logits(made, values[order]), together[order])
    assert_array_equal(network.logits(made, values[1000:1003]), together[1000:1003])


def test_no_sequences_have_no_logits():
    assert network.logits(network.untrained(1, 0), np.empty((0, 5, 1), np.float32)).shape == (0,)


def test_an_untrained_network_depends_on_its_seed_and_leaves_torch_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, same, other = (network.untrained(1, seed).state_dict() for seed in (0, 0, 1))
    assert_array_equal(torch.get_rng_state(), before)
    name = "lstm.weight_hh_l0"
    assert_array_equal(first[name], same[name])
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("head.bias"), "lack 'head.bias'"),
        (lambda t: t.update(strange=torch.zeros(1)), "hold 'strange'"),
        (
            lambda t: t.update({"head.bias": torch.zeros(3)}),
            r"'head.bias' is torch.float32 of shape",
        ),
        (lambda t: t.update({"head.bias": torch.zeros(2, dtype=torch.int64)}), "torch.int64"),
        (lambda t: t.update({"head.bias": torch.tensor([0.0, torch.nan])}), "not finite"),
    ],
)
def test_other_tensors_are_no_weights_of_the_detector(change, said):
    tensors = network.tensors_of(network.untrained(1, 0))
    change(tensors)
    with pytest.raises(InputError, match=said):
        network.of_tensors(tensors, 1)


def test_weights_come_back_as_they_were():
    made = network.untrained(2, 4)
    again = network.of_tensors(network.tensors_of(made), 2)
    values = np.random.default_rng(0).random((5, 6, 2)).astype(np.float32)
    assert_array_equal(network.logits(again, values), network.logits(made, values))
