"""The recorder: keeps every signal of every row, epoch by epoch, without slowing the training.

It holds the assigned labels and looks them up by row, so logits and labels cannot be misaligned. It
knows neither model nor optimiser, and draws nothing random: a training is bit-identical with and
without it. Within an epoch nothing is copied to the host; at its end one copy is made.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from audit.errors import InputError, TrainingError
from audit.records.dynamics import SIGNALS, MeanProbabilities
from audit.training import merging, signals
from audit.training.probabilities import FullSums, TopSums
from audit.training.rows import Rows

SUMS_CAP_BYTES = 512 * 2**20
"""Memory that the sums of predicted probabilities may take; beyond it only top classes are kept."""

ROWS_AT_ONCE = 4096
"""Rows whose signals are computed together: the dozen small operations of a batch cost more to call than to
compute, five times as much per row for batches of 128."""

_INTEGER_SIGNALS = frozenset({"best_other_class"})


class EpochRecorder:
    """Takes logits batch by batch, gives signals epoch by epoch; every row exactly once in each.

    Parameters
    ----------
    rows
        What is trained on which label.
    device
        Where the logits are.
    sums_cap_bytes
        Most memory that the (R, K) sums of predicted probabilities may take; where they would take
        more, the largest classes per row are kept instead (`probabilities.TopSums`).
    """

    _N_COUNTERS = 1
    _N_SPARE = 0
    """Places beyond the last row, for a recorder that takes what it is given."""

    def __init__(
        self,
        rows: Rows,
        *,
        device: str | torch.device = "cpu",
        sums_cap_bytes: int = SUMS_CAP_BYTES,
    ) -> None:
        self._device = torch.device(device)
        self._n_rows = len(rows)
        self._n_classes = rows.n_classes
        self._n_outputs = rows.n_outputs
        n_places = self._n_rows + self._N_SPARE
        self._assigned_label = torch.zeros(n_places, dtype=torch.int64, device=self._device)
        self._assigned_label[: self._n_rows] = torch.from_numpy(
            rows.assigned_label.astype(np.int64)
        ).to(self._device)
        # One block for the whole epoch, so that one copy brings it all to the host: the signals'
        # bits and, after them, how often each row was seen.
        self._block = torch.zeros(
            (len(SIGNALS) + self._N_COUNTERS, n_places), dtype=torch.int32, device=self._device
        )
        self._counters = self._block[len(SIGNALS) :]
        self._times_seen = self._counters[0]
        self._ones = torch.ones(1, dtype=torch.int32, device=self._device)
        fits = 4 * self._n_rows * self._n_classes <= sums_cap_bytes
        kind = FullSums if fits else TopSums
        self._sums = kind(n_places, self._n_classes, device=self._device)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._n_waiting = 0

    @property
    def n_outputs(self) -> int:
        """Number of the network's outputs."""
        return self._n_outputs

    def observe(self, rows: Tensor, logits: Tensor) -> None:
        """Take the logits of a batch, from the training-mode forward, before the update.

        Parameters
        ----------
        rows
            Row numbers in 0..R-1, (B,) int64.
        logits
            (B, n_outputs) of any float dtype. Neither may be written to until the epoch's end: they are
            looked at some batches later.

        Raises
        ------
        InputError
            If the shapes do not fit.
        """
        self._check_shape(rows, logits)
        self._waiting.append((rows, logits.detach()))
        self._n_waiting += len(rows)
        if self._n_waiting >= ROWS_AT_ONCE:
            self._look()

    @torch.no_grad()
    def _look(self) -> None:
        """Compute the signals of the batches that wait."""
        if not self._waiting:
            return
        rows = torch.cat([rows for rows, _ in self._waiting]).to(self._device, torch.int64)
        logits = torch.cat([logits for _, logits in self._waiting])
        logits = logits.to(self._device, torch.float32)
        self._waiting.clear()
        self._n_waiting = 0
        self._keep(rows, signals.of_batch(logits, self._assigned_label[rows]))
        # The extra output of a threshold probe is left out before the rest is normalised.
        self._sums.add(rows, torch.softmax(logits[:, : self._n_classes], dim=1))

    def end_epoch(
        self, *, group: dist.ProcessGroup | None = None
    ) -> dict[str, NDArray[np.generic]]:
        """Return the signals of the epoch that ends here, and begin the next.

        Parameters
        ----------
        group
            Where each of several processes saw a part of the rows: all of them call this at the end of
            an epoch, and each gets the whole (`merging`). What checkpoints hold must be loaded by all.

        Returns
        -------
        dict
            Name of `SIGNALS` → (R,), float32 or int32.

        Raises
        ------
        TrainingError
            If some rows were not seen exactly once.
        """
        block = self._take_block(group)
        times_seen = block[len(SIGNALS)]
        if (times_seen != 1).any():
            raise TrainingError(_sentence_on_gaps(times_seen))
        return in_their_dtypes(block)

    def mean_probabilities(self) -> MeanProbabilities:
        """Return the average predicted distribution of each row over the real classes so far."""
        self._look()
        mean = self._sums.mean()
        return MeanProbabilities(
            classes=mean.classes[: self._n_rows],
            values=mean.values[: self._n_rows],
            is_full=mean.is_full,
        )

    def state_tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint between two epochs must hold."""
        self._look()
        return self._sums.state_tensors()

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state_tensors` of an equal recorder.

        Raises
        ------
        TrainingError
            If the tensors belong to another recorder.
        """
        self._waiting.clear()
        self._n_waiting = 0
        mine = self._sums.state_tensors()
        if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in tensors.items()}:
            raise TrainingError(
                "The checkpoint's recorder does not fit this run's rows and classes."
            )
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])
        self._counters.zero_()

    def _check_shape(self, rows: Tensor, logits: Tensor) -> None:
        if logits.shape != (len(rows), self._n_outputs):
            raise InputError(
                f"Logits of {len(rows)} rows must have shape ({len(rows)}, {self._n_outputs}), "
                f"got {tuple(logits.shape)}."
            )

    def _keep(self, rows: Tensor, batch: signals.BatchSignals) -> None:
        values = [getattr(batch, name) for name in SIGNALS]
        bits = torch.stack([v.view(torch.int32) for v in values])
        self._block[: len(SIGNALS)].index_copy_(1, rows, bits)
        self._times_seen.index_add_(0, rows, self._ones.expand(len(rows)))

    def _take_block(self, group: dist.ProcessGroup | None) -> NDArray[np.int32]:
        """Return the signals' bits and the counters of the epoch, and begin the next."""
        self._look()
        if group is not None:
            is_own = merging.own_rows(self._times_seen, group)
            for values in (*self._block, *self._sums.state_tensors().values()):
                merging.keep_own(values, is_own, group)
        block = self._block.to("cpu", copy=True).numpy()
        self._counters.zero_()
        return block


def in_their_dtypes(block: NDArray[np.int32]) -> dict[str, NDArray[np.generic]]:
    """Return what the first rows of a block of bits, (len(SIGNALS) or more, R), stand for."""
    return {
        name: block[position] if name in _INTEGER_SIGNALS else block[position].view(np.float32)
        for position, name in enumerate(SIGNALS)
    }


def _sentence_on_gaps(times_seen: NDArray[np.int32]) -> str:
    parts: list[str] = []
    for verb, rows in (
        ("never seen", np.flatnonzero(times_seen == 0)),
        ("seen more than once", np.flatnonzero(times_seen > 1)),
    ):
        if rows.size:
            parts.append(f"{rows.size} {verb} ({some_rows(rows)})")
    return (
        f"An epoch must see each of {len(times_seen)} rows exactly once: {' and '.join(parts)}; "
        f"observe every row once before ending the epoch."
    )


def some_rows(rows: NDArray[np.int64]) -> str:
    """Return the first rows of many in words.

    Examples
    --------
    >>> some_rows(np.array([3, 5])), some_rows(np.arange(9))
    ('rows 3, 5', 'rows 0, 1, 2, 3, 4, …')
    """
    return f"rows {', '.join(map(str, rows[:5]))}" + (", …" if rows.size > 5 else "")
