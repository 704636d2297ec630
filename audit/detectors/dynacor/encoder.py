"""The dynamics encoder: three small convolutions over the epochs and one linear layer.

Kim et al. 2024, section 4.4, in the sizes of the authors' code. A convolution of width 7 in all sees one
of 128 patterns of signs, so that its output is computed once per pattern, not once per row and epoch;
and the linear layer is applied once per distinct section of three epochs and summed over sections. That is
the plain network in another order of additions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audit.compute import seeding
from audit.detectors.dynacor.signs import N_CODES, REACH, SECTION

CHANNELS = (1, 16, 32, 32)
"""Of the signal and after each convolution."""

N_FEATURES = 512
"""Size D of a representation."""

_WINDOW = 2 * REACH + 1
_N_WINDOWS = 1 << _WINDOW
_SECTIONS_AT_ONCE = 64
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Distinct sequences as the encoder reads them.

    Parameters
    ----------
    windows
        Pattern of each epoch of the distinct sections, sorted by section, (n, 3) int64.
    counts
        How many of them each of the S sections has.
    place
        Which of them make up each sequence, (u, S) int64.
    """

    windows: Tensor
    counts: list[int]
    place: Tensor


class Encoder:
    """Weights of the encoder and the two centroids, for sequences of T epochs.

    Parameters
    ----------
    n_epochs
        T; an encoder reads no other length.
    kernels, biases
        Of the convolutions, as torch shapes them: (out, in, 3) and (out,).
    readout
        Linear layer, (T · 32, D), epoch by epoch.
    offset
        Its bias, (D,).
    """

    def __init__(
        self,
        n_epochs: int,
        kernels: list[Tensor],
        biases: list[Tensor],
        readout: Tensor,
        offset: Tensor,
    ) -> None:
        self.n_epochs = n_epochs
        self.kernels, self.biases = kernels, biases
        self.readout, self.offset = readout, offset
        self.noisy = torch.zeros_like(offset)
        self.clean = torch.zeros_like(offset)
        self._n_sections = -(-n_epochs // SECTION)
        self._patterns, self._is_inside, self._pattern_of = _patterns(n_epochs, readout.dtype)

    @classmethod
    def draw(cls, n_epochs: int, seed: int, *, dtype: torch.dtype = torch.float32) -> "Encoder":
        """Return an untrained encoder; weights are uniform within ± 1 / √fan-in, torch's default."""
        kernels: list[Tensor] = []
        biases: list[Tensor] = []
        for layer, (n_in, n_out) in enumerate(pairwise(CHANNELS)):
            kernels.append(_uniform((n_out, n_in, 3), 3 * n_in, dtype, seed, f"kernel {layer}"))
            biases.append(_uniform((n_out,), 3 * n_in, dtype, seed, f"bias {layer}"))
        fan_in = n_epochs * CHANNELS[-1]
        readout = _uniform((fan_in, N_FEATURES), fan_in, dtype, seed, "readout")
        return cls(
            n_epochs,
            kernels,
            biases,
            readout,
            _uniform((N_FEATURES,), fan_in, dtype, seed, "offset"),
        )

    def parameters(self) -> Iterator[Tensor]:
        """Yield everything that is trained, centroids included."""
        yield from (*self.kernels, *self.biases)
        yield from (self.readout, self.offset, self.noisy, self.clean)

    def copy(self) -> "Encoder":
        """Return an encoder of its own with the same weights, not to be trained."""
        other = Encoder(
            self.n_epochs,
            [kernel.detach().clone() for kernel in self.kernels],
            [bias.detach().clone() for bias in self.biases],
            self.readout.detach().clone(),
            self.offset.detach().clone(),
        )
        other.noisy, other.clean = self.noisy.detach().clone(), self.clean.detach().clone()
        return other

    def batch(self, codes: NDArray[np.int64]) -> Batch:
        """Return sequences, given by the codes of their sections, (u, S), ready to be encoded."""
        n_sections = self._n_sections
        keys = codes + N_CODES * np.arange(n_sections)
        is_there = np.zeros(N_CODES * n_sections, dtype=np.bool_)
        is_there[keys] = True
        place = np.cumsum(is_there) - 1
        section, code = np.divmod(np.flatnonzero(is_there), N_CODES)
        return Batch(
            windows=torch.from_numpy(self._windows(section, code)),
            counts=np.bincount(section, minlength=n_sections).tolist(),
            place=torch.from_numpy(place[keys]),
        )

    def encode(self, batch: Batch) -> Tensor:
        """Return the representation of every sequence of a batch, (u, D)."""
        features = functional.embedding(batch.windows, self._convolved()).flatten(1)
        answers = _BySection.apply(features, self.readout, batch.counts)
        return self.offset + _SumOfParts.apply(answers, batch.place)

    @torch.no_grad()
    def representations(self, codes: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield the representations of sequences, (u, S) codes, in pieces of (≤ 4096, D).

        Every possible section is encoded first, so that a sequence's representation is the same to the
        last bit whatever sequences it comes with.
        """
        table = self._convolved()
        every = np.arange(N_CODES)
        begins = range(0, self._n_sections, _SECTIONS_AT_ONCE)
        weights = self._by_section()
        pieces = [
            self.offset.expand(len(codes[begin : begin + _ROWS_AT_ONCE]), -1).clone()
            for begin in range(0, len(codes), _ROWS_AT_ONCE)
        ]
        for begin in begins:
            section = np.arange(begin, min(begin + _SECTIONS_AT_ONCE, self._n_sections))
            windows = self._windows(section.repeat(N_CODES), np.tile(every, len(section)))
            features = functional.embedding(torch.from_numpy(windows), table)
            features = features.reshape(len(section), N_CODES, -1)
            answers = torch.bmm(features, weights[begin : begin + len(section)]).flatten(0, 1)
            keys = torch.from_numpy(codes[:, section] + N_CODES * np.arange(len(section)))
            for piece, part in zip(pieces, keys.split(_ROWS_AT_ONCE), strict=True):
                piece.add_(functional.embedding_bag(part, answers, mode="sum"))
        yield from pieces

    def _windows(self, section: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
        step = np.arange(SECTION)
        window = (code[:, None] >> step) & (_N_WINDOWS - 1)
        return self._pattern_of[SECTION * section[:, None] + step, window]

    def _convolved(self) -> Tensor:
        """Return the convolutions' output for every pattern, (P, 32)."""
        signal, is_inside = self._patterns, self._is_inside
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            # What lies outside the sequence is 0 before each convolution, as padding makes it.
            is_inside = is_inside[:, 1:-1]
            seen = signal.unfold(1, 3, 1).flatten(2)
            signal = functional.relu(seen @ kernel.flatten(1).T + bias) * is_inside
        return signal[:, 0]

    def _by_section(self) -> Tensor:
        """Return the linear layer's weights of each section, (S, 3 · 32, D)."""
        size = SECTION * CHANNELS[-1]
        missing = self._n_sections * size - len(self.readout)
        return functional.pad(self.readout, (0, 0, 0, missing)).view(-1, size, N_FEATURES)


class _BySection(torch.autograd.Function):
    """The linear layer on sections, each with the weights of its own epochs.

    What autograd does of itself, without copies of the weights and of their gradient.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, readout: Tensor, counts: list[int]) -> Tensor:  # noqa: ANN401
        """Return (n, D) answers of (n, 3 · 32) features, sorted by section, of which `counts` each has."""
        ctx.save_for_backward(features, readout)
        ctx.counts = counts
        answers = features.new_empty(len(features), readout.shape[1])
        for part, answer, weight in zip(
            features.split(counts), answers.split(counts), _sections(readout), strict=True
        ):
            torch.mm(part[:, : len(weight)], weight, out=answer)
        return answers

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """Return the gradients of features and weights, given that of the answers."""
        features, readout = ctx.saved_tensors
        of_features, of_readout = torch.zeros_like(features), torch.empty_like(readout)
        for part, gradient, weight, of_part, of_weight in zip(
            features.split(ctx.counts),
            gradients[0].split(ctx.counts),
            _sections(readout),
            of_features.split(ctx.counts),
            _sections(of_readout),
            strict=True,
        ):
            torch.mm(part[:, : len(weight)].T, gradient, out=of_weight)
            # Epochs that only fill the last section have no weights.
            torch.mm(gradient, weight.T, out=of_part[:, : len(weight)])
        return of_features, of_readout, None


class _SumOfParts(torch.autograd.Function):
    """Sums of rows of a table; the gradient is a sum of rows too, where autograd scatters them."""

    @staticmethod
    def forward(ctx: Any, answers: Tensor, place: Tensor) -> Tensor:  # noqa: ANN401
        """Return (u, D) sums of the rows that (u, S) places name."""
        ctx.place, ctx.n_rows = place, len(answers)
        return functional.embedding_bag(place, answers, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Return the gradient of the table, given that of the sums."""
        place = ctx.place.numpy().reshape(-1)
        order = np.argsort(place, kind="stable")
        counts = np.bincount(place, minlength=ctx.n_rows)
        return (
            functional.embedding_bag(
                torch.from_numpy(order // ctx.place.shape[1]),
                gradients[0],
                torch.from_numpy(np.cumsum(counts) - counts),
                mode="sum",
            ),
            None,
        )


def _sections(readout: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of each section; the last one may have fewer."""
    return readout.split(SECTION * CHANNELS[-1])


def _uniform(
    shape: tuple[int, ...], fan_in: int, dtype: torch.dtype, seed: int, what: str
) -> Tensor:
    # Drawn in float32 whatever is computed in, so that both arithmetics start from one network.
    source = seeding.generator("cpu", seed, "dynacor encoder", what)
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=source).to(dtype)


def _patterns(n_epochs: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Return every pattern of signs that a convolution can see, and which one each epoch sees.

    Epochs near either end see less than seven signs.

    Returns
    -------
    patterns, is_inside
        Distinct patterns, (P, 7, 1), P ≤ 352: −1, +1, and 0 outside the sequence; 1 inside and 0 outside.
    pattern_of
        Pattern by epoch and by its window's seven bits, (3 · S, 128) int64; epochs that only fill the last
        section have some too.
    """
    last = SECTION * -(-n_epochs // SECTION)
    seen = np.arange(last)[:, None] + np.arange(-REACH, REACH + 1)
    masks, kind = np.unique((seen >= 0) & (seen < n_epochs), axis=0, return_inverse=True)
    signs = 2 * ((np.arange(_N_WINDOWS)[:, None] >> np.arange(_WINDOW)) & 1) - 1
    every = (masks[:, None, :] * signs).reshape(-1, _WINDOW)
    patterns, place = np.unique(every, axis=0, return_inverse=True)
    return (
        torch.from_numpy(patterns[:, :, None]).to(dtype),
        torch.from_numpy(patterns[:, :, None] != 0).to(dtype),
        place.reshape(len(masks), _N_WINDOWS)[kind.reshape(-1)],
    )
