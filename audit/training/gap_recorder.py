"""A recorder for loops that we do not know: rows may be skipped, repeated or named wrongly.

What is wrong is counted on the device and said at the end of the epoch, so that a batch never waits.
"""

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from audit.errors import InputError, TrainingError
from audit.records.dynamics import SIGNALS
from audit.training import signals
from audit.training.recorder import SUMS_CAP_BYTES, EpochRecorder, in_their_dtypes, some_rows
from audit.training.rows import Rows


class GapRecorder(EpochRecorder):
    """Takes what a loop shows: rows not seen in an epoch are gaps, of several views the last counts.

    Logits that are not finite count as not seen. Mean probabilities are over every finite view; within a
    batch a row counts once.

    Parameters
    ----------
    rows, device, sums_cap_bytes
        As for `EpochRecorder`.
    """

    _N_COUNTERS = 2
    _N_SPARE = 1  # where row numbers go that are none

    def __init__(
        self,
        rows: Rows,
        *,
        device: str | torch.device = "cpu",
        sums_cap_bytes: int = SUMS_CAP_BYTES,
    ) -> None:
        super().__init__(rows, device=device, sums_cap_bytes=sums_cap_bytes)
        self._times_mislabelled = self._counters[1]
        self._stands = torch.zeros(self._n_rows + 1, dtype=torch.int64, device=self._device)
        self._n_ended = 0
        self._is_missing = np.zeros(self._n_rows, dtype=np.bool_)
        self._n_repeated = 0
        self._n_not_finite = 0

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Which rows the last ended epoch has no finite value of, (R,)."""
        return self._is_missing

    @property
    def n_repeated(self) -> int:
        """Number of rows that the last ended epoch saw more than once."""
        return self._n_repeated

    @property
    def n_not_finite(self) -> int:
        """Number of rows whose logits in the last ended epoch were not finite."""
        return self._n_not_finite

    @torch.no_grad()
    def observe(self, rows: Tensor, logits: Tensor, labels: Tensor | None = None) -> None:
        """Take the logits of a batch, from the training-mode forward, before the update.

        Parameters
        ----------
        rows
            Row numbers, (B,) integer; those outside 0..R-1 are refused at the end of the epoch.
        logits
            (B, n_outputs) of any float dtype.
        labels
            What the batch is trained on, (B,) integer, to compare with the assigned labels.

        Raises
        ------
        InputError
            If the shapes do not fit.
        """
        self._check_shape(rows, logits)
        # What autocast would round is kept in float32.
        with torch.autocast(self._device.type, enabled=False):
            self._observe(rows, logits, labels)

    def _observe(self, rows: Tensor, logits: Tensor, labels: Tensor | None) -> None:
        rows = rows.to(self._device, torch.int64)
        rows = torch.where((rows >= 0) & (rows < self._n_rows), rows, self._n_rows)
        # Of a row that is there twice, one place stands for both: what is written twice must be the
        # same, or a signal of one view would stand beside a signal of the other.
        places = torch.arange(len(rows), device=self._device)
        self._stands.scatter_reduce_(0, rows, places, "amax", include_self=False)
        stands = self._stands[rows]
        logits = logits.detach().to(self._device, torch.float32)[stands]
        assigned_label = self._assigned_label[rows]
        batch = signals.of_batch(logits, assigned_label)
        self._keep(rows, batch)
        if labels is not None:
            differs = labels.to(self._device, torch.int64) != assigned_label
            self._times_mislabelled.index_add_(0, rows, differs.to(torch.int32))
        # The margin takes in every output but those at minus infinity, which rightly count for nothing.
        is_finite = torch.isfinite(batch.margin)
        probabilities = torch.softmax(logits[:, : self._n_classes], dim=1)
        probabilities = torch.where(is_finite.unsqueeze(1), probabilities, 0.0)
        self._sums.add(rows, probabilities, is_finite & (stands == places))

    def end_epoch(
        self, *, group: dist.ProcessGroup | None = None
    ) -> dict[str, NDArray[np.generic]]:
        """Return the signals of the epoch that ends here, and begin the next.

        Parameters
        ----------
        group
            As for `EpochRecorder.end_epoch`.

        Returns
        -------
        dict
            Name of `SIGNALS` → (R,), float32 or int32; NaN and -1 where `is_missing`.

        Raises
        ------
        InputError
            If a row number was none, or a row was observed under another label than its own.
        TrainingError
            If rows were seen but not one of them had finite logits.
        """
        block = self._take_block(group)
        self._n_ended += 1
        times_seen, times_mislabelled = block[len(SIGNALS) :, :-1]
        self._check(int(block[len(SIGNALS), -1]), np.flatnonzero(times_mislabelled))
        epoch = in_their_dtypes(block[:, :-1])
        is_finite = np.isfinite(epoch["margin"])
        was_seen = times_seen > 0
        self._is_missing = ~(was_seen & is_finite)
        self._n_repeated = int((times_seen > 1).sum())
        self._n_not_finite = int((was_seen & ~is_finite).sum())
        if was_seen.any() and self._is_missing.all():
            raise TrainingError(
                f"In epoch {self._n_ended} no row had finite logits: the training has diverged; try a "
                "lower learning rate."
            )
        return {
            name: np.where(
                self._is_missing, np.array(_GAPS[values.dtype.kind], values.dtype), values
            )
            for name, values in epoch.items()
        }

    def _check(self, n_outside: int, mislabelled: NDArray[np.int64]) -> None:
        if n_outside:
            raise InputError(
                f"In epoch {self._n_ended} row numbers outside 0..{self._n_rows - 1} were observed "
                f"({n_outside} in all): observe each sample under its position among the labels that are "
                "recorded."
            )
        if mislabelled.size:
            raise InputError(
                f"In epoch {self._n_ended} {some_rows(mislabelled)} ({mislabelled.size} in all) were "
                "observed under other labels than those recorded: a row number must be the sample's position "
                "among the recorded labels, and mixed labels (mixup, CutMix) have no margin that could be "
                "recorded; train without mixing, or observe a forward pass on unmixed images."
            )


_GAPS = {"f": np.nan, "i": -1}
"""Value of a gap by kind of dtype."""
