"""The network: two LSTM layers of 64 units, the last epoch's output, two logits.

Jia et al. 2023, section 4.1; 50,562 parameters with one channel.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audit.compute import seeding
from audit.errors import InputError

HIDDEN, LAYERS = 64, 2

ROWS_PER_PASS = 1024
"""Rows that go through the network together. Every pass has this many, the last one filled up with
zeros, so that a row's sums never depend on how many rows stand beside it."""

FORGET_BIAS = 1.0
"""Of the forget gates at the start: with the framework's 0 one of three detectors did not learn."""


class NoiseLstm(nn.Module):
    """Sequences of C channels → logits of (right, wrong).

    Parameters
    ----------
    n_channels
        C ≥ 1.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.lstm = nn.LSTM(n_channels, HIDDEN, LAYERS, batch_first=True)
        self.head = nn.Linear(HIDDEN, 2)

    def forward(self, sequences: Tensor) -> Tensor:
        """Return logits (B, 2) of sequences (B, T, C) float32: the top layer's output at the last epoch."""
        outputs, _ = self.lstm(sequences)
        return self.head(outputs[:, -1])


def untrained(n_channels: int, seed: int) -> NoiseLstm:
    """Return a network with orthogonal weights and open forget gates.

    The paper does not say how it starts. Every weight matrix is orthogonal as a whole, its gates not
    taken apart, as in the authors' code; the forget bias is ours.
    """
    with seeding.layer_seed(seed, "lstm detector"):
        network = NoiseLstm(n_channels)
        for name, parameter in network.named_parameters():
            if parameter.ndim == 2:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)
            if ".bias_ih" in name:
                # Gates lie in the order input, forget, cell, output.
                nn.init.constant_(parameter[HIDDEN : 2 * HIDDEN], FORGET_BIAS)
    return network


def of_tensors(tensors: Mapping[str, Tensor], n_channels: int) -> NoiseLstm:
    """Return the network that a weights file holds.

    Parameters
    ----------
    tensors
        Name → tensor, as `tensors_of` returns them.
    n_channels
        C, as the file's card says.

    Raises
    ------
    InputError
        If a tensor is missing, superfluous, of another shape or kind, or not finite.
    """
    network = NoiseLstm(n_channels)
    wanted = network.state_dict()
    missing, strange = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or strange:
        what = f"lack {missing[0]!r}" if missing else f"hold {strange[0]!r}"
        raise InputError(f"These are no weights of the LSTM noise detector: they {what}.")
    for name, own in wanted.items():
        given = tensors[name]
        if given.shape != own.shape or not given.is_floating_point():
            raise InputError(
                f"These are no weights of the LSTM noise detector: {name!r} is {given.dtype} of shape "
                f"{tuple(given.shape)}, expected floats of shape {tuple(own.shape)}."
            )
        if not bool(torch.isfinite(given).all()):
            raise InputError(f"The weights hold values in {name!r} that are not finite.")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()


def tensors_of(network: NoiseLstm) -> dict[str, Tensor]:
    """Return name → tensor on the CPU, apart from the network."""
    return {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}


def logits(network: NoiseLstm, sequences: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logit of "wrong" less that of "right".

    Parameters
    ----------
    network
        On the CPU or an accelerator.
    sequences
        (N, T, C) float32, finite.

    Returns
    -------
    ndarray
        (N,) float64, high = suspect. A sequence's value does not depend on the others.
    """
    device = next(network.parameters()).device
    result = np.empty(len(sequences), dtype=np.float64)
    with torch.inference_mode():
        for begin in range(0, len(sequences), ROWS_PER_PASS):
            part = sequences[begin : begin + ROWS_PER_PASS]
            full = np.zeros((ROWS_PER_PASS, *sequences.shape[1:]), dtype=np.float32)
            full[: len(part)] = part
            two = network(torch.from_numpy(full).to(device)).double().cpu().numpy()
            result[begin : begin + len(part)] = (two[:, 1] - two[:, 0])[: len(part)]
    return result
