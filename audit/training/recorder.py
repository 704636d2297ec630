"""The recorder: keeps every signal of every row, epoch by epoch, without slowing the training.

It holds the assigned labels and looks them up by row, so logits and labels cannot be misaligned. It
knows neither model nor optimiser, and draws nothing random: a training is bit-identical with and
without it. Within an epoch nothing is copied to the host; at its end one copy is made.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.errors import InputError, TrainingError
from audit.records.dynamics import SIGNALS, MeanProbabilities
from audit.training import signals
from audit.training.probabilities import FullSums, TopSums
from audit.training.rows import Rows

SUMS_CAP_BYTES = 512 * 2**20
"""Memory that the sums of predicted probabilities may take; beyond it only top classes are kept."""

_INTEGER_SIGNALS = frozenset({"best_other_class"})


class EpochRecorder:
    """Takes logits batch by batch, gives signals epoch by epoch.

    Parameters
    ----------
    rows
        What is trained on which label.
    device
        Where the logits are.
    sums_cap_bytes
        Most memory that the (R, K) sums of predicted probabilities may take; where they would take
        more, the largest classes per row are kept instead (`probabilities.TopSums`).
    allows_gaps
        For loops that skip or repeat rows: a row that was not seen gets NaN (class -1) for the
        epoch instead of an error, one seen repeatedly one of its values. `n_missing` counts the
        former.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        device: str | torch.device = "cpu",
        sums_cap_bytes: int = SUMS_CAP_BYTES,
        allows_gaps: bool = False,
    ) -> None:
        self._device = torch.device(device)
        self._allows_gaps = allows_gaps
        self._n_rows = len(rows)
        self._n_classes = rows.n_classes
        self._n_outputs = rows.n_outputs
        label = torch.from_numpy(rows.assigned_label.astype(np.int64))
        self._assigned_label = label.to(self._device)
        # One block for the whole epoch, so that one copy brings it all to the host: the signals'
        # bits and, last, how often each row was seen.
        self._block = torch.zeros(
            (len(SIGNALS) + 1, self._n_rows), dtype=torch.int32, device=self._device
        )
        self._times_seen = self._block[-1]
        self._ones = torch.ones(1, dtype=torch.int32, device=self._device)
        fits = 4 * self._n_rows * self._n_classes <= sums_cap_bytes
        kind = FullSums if fits else TopSums
        self._sums = kind(self._n_rows, self._n_classes, device=self._device)
        self._n_missing = 0

    @property
    def n_missing(self) -> int:
        """Number of rows that the last ended epoch did not see; 0 unless gaps are allowed."""
        return self._n_missing

    @torch.no_grad()
    def observe(self, rows: Tensor, logits: Tensor) -> None:
        """Take the logits of a batch, from the training-mode forward, before the update.

        Parameters
        ----------
        rows
            Row numbers in 0..R-1, (B,) int64.
        logits
            (B, n_outputs) of any float dtype.

        Raises
        ------
        InputError
            If the shapes do not fit.
        """
        if logits.shape != (len(rows), self._n_outputs):
            raise InputError(
                f"Logits of {len(rows)} rows must have shape ({len(rows)}, {self._n_outputs}), "
                f"got {tuple(logits.shape)}."
            )
        rows = rows.to(self._device, torch.int64)
        logits = logits.detach().to(self._device, torch.float32)
        batch = signals.of_batch(logits, self._assigned_label[rows])
        values = [getattr(batch, name) for name in SIGNALS]
        self._block[:-1].index_copy_(1, rows, torch.stack([v.view(torch.int32) for v in values]))
        self._times_seen.index_add_(0, rows, self._ones.expand(len(rows)))
        # The extra output of a threshold probe is left out before the rest is normalised.
        self._sums.add(rows, torch.softmax(logits[:, : self._n_classes], dim=1))

    def end_epoch(self) -> dict[str, NDArray[np.generic]]:
        """Return the signals of the epoch that ends here, and begin the next.

        Returns
        -------
        dict
            Name of `SIGNALS` → (R,), float32 or int32.

        Raises
        ------
        TrainingError
            If some rows were not seen exactly once and gaps are not allowed.
        """
        block = self._block.to("cpu", copy=True).numpy()
        self._times_seen.zero_()
        times_seen = block[-1]
        missing = times_seen == 0
        if not self._allows_gaps and (times_seen != 1).any():
            raise TrainingError(_sentence_on_gaps(times_seen))
        self._n_missing = int(missing.sum())
        epoch: dict[str, NDArray[np.generic]] = {}
        for position, name in enumerate(SIGNALS):
            if name in _INTEGER_SIGNALS:
                epoch[name] = np.where(missing, np.int32(-1), block[position])
            else:
                values = block[position].view(np.float32)
                epoch[name] = np.where(missing, np.float32(np.nan), values)
        return epoch

    def mean_probabilities(self) -> MeanProbabilities:
        """Return the average predicted distribution of each row over the real classes so far."""
        return self._sums.mean()

    def state_tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint between two epochs must hold."""
        return self._sums.state_tensors()

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state_tensors` of an equal recorder.

        Raises
        ------
        TrainingError
            If the tensors belong to another recorder.
        """
        mine = self._sums.state_tensors()
        if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in tensors.items()}:
            raise TrainingError(
                "The checkpoint's recorder does not fit this run's rows and classes."
            )
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])
        self._times_seen.zero_()


def _sentence_on_gaps(times_seen: NDArray[np.int32]) -> str:
    parts: list[str] = []
    for verb, rows in (
        ("never seen", np.flatnonzero(times_seen == 0)),
        ("seen more than once", np.flatnonzero(times_seen > 1)),
    ):
        if rows.size:
            some = ", ".join(map(str, rows[:5])) + (", …" if rows.size > 5 else "")
            parts.append(f"{rows.size} {verb} (rows {some})")
    return (
        f"An epoch must see each of {len(times_seen)} rows exactly once: {' and '.join(parts)}; "
        f"observe every row once before ending the epoch."
    )
