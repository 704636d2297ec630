"""Record somebody else's training loop: two lines in it, one file that labeltrace scores and shows."""

import atexit
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor

from audit.errors import AuditError, InputError, TrainingError
from audit.records.dynamics import Role
from audit.training import merging, recorded_labels, recording_contents, recording_draft
from audit.training.gap_recorder import GapRecorder
from audit.training.recording_contents import Recording
from audit.training.recording_draft import Draft, Progress
from audit.training.rows import Rows

__all__ = ["Recorder", "Recording"]


class Recorder:
    """Records how a network learns each label, in any training loop.

    Made before training, given rows and logits in every training step, it writes a file for ``labeltrace
    score`` and ``labeltrace adopt`` at `close`, at the end of a ``with`` block, or at the end of the
    program. It draws nothing at random and waits for the device once an epoch, so that training takes the
    same course with and without it::

        recorder = Recorder(labels, out="dynamics.npz")
        ...
        recorder.observe(rows, logits)  # in the training step

    An epoch ends by itself once every row was seen; loops whose sampler skips or repeats rows, and those
    of several processes, call `end_epoch`.

    Parameters
    ----------
    labels
        Label that each sample is trained on, (N,) integers in 0..K-1, or texts among `class_names`.
    out
        File to write, ``.npz``; finished epochs lie in a hidden folder beside it until then.
    class_names
        K distinct texts in the order of the network's outputs.
    keys
        Name of each sample, such as its path, by which a dataset in labeltrace knows it; without them
        samples are known by their position.
    device
        Where signals are computed; that of the first logits if not given.
    n_classes
        Number of classes K, if the outputs of the network are to be checked against it.
    ends_itself
        Say false where an epoch draws more rows than there are, and call `end_epoch`.
    overwrite
        Whether an existing file, and finished epochs of an earlier recording, are replaced.
    resume
        Whether to go on with the finished epochs of a recording that was interrupted.

    Raises
    ------
    InputError
        If labels, keys or names do not fit, or are mixed.
    RefusedError
        If the file exists, or there is no folder for it.
    """

    def __init__(
        self,
        labels: ArrayLike | Tensor,
        *,
        out: str | Path,
        class_names: Sequence[str] | None = None,
        keys: Iterable[object] | None = None,
        device: str | torch.device | None = None,
        n_classes: int | None = None,
        ends_itself: bool = True,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self._about = recorded_labels.checked(
            labels, class_names=class_names, keys=keys, n_classes=n_classes
        )
        self._out = recording_draft.checked_out(
            Path(out).absolute(), overwrite=overwrite, resume=resume
        )
        self._device = None if device is None else torch.device(device)
        self._ends_itself = ends_itself
        self._overwrite = overwrite
        self._resume = resume
        self._recorder: GapRecorder | None = None
        self._draft: Draft | None = None
        self._progress = Progress(was_seen=np.zeros(len(self._about), dtype=np.bool_))
        if resume:
            _, self._progress = recording_draft.read_state(self._out, self._about.digest)
        self._n_observed = 0
        self._has_agreed = False
        self._is_writer = False
        self._is_over = False
        self._result: Recording | None = None
        self._process = os.getpid()

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs; with ``resume`` those of before are among them."""
        return self._progress.n_epochs

    def observe(
        self,
        rows: Tensor | ArrayLike,
        logits: Tensor,
        labels: Tensor | ArrayLike | None = None,
    ) -> None:
        """Take the logits of a batch, from the training-mode forward, before or after the update.

        Parameters
        ----------
        rows
            Which samples they are: positions among the recorded labels, (B,) integer, on any device.
        logits
            (B, K) of any float dtype, on any device.
        labels
            What the batch is trained on, (B,) integer, if it is to be compared with what is recorded.

        Raises
        ------
        InputError
            If shapes do not fit, or the labels are mixed; what is compared on the device is refused at
            the end of the epoch.
        TrainingError
            If the sampler skips or repeats rows and `end_epoch` was never called.
        """
        if self._is_over:
            raise InputError(
                f"The recording to {str(self._out)!r} is closed: make another Recorder."
            )
        rows = rows if isinstance(rows, Tensor) else torch.as_tensor(rows)
        if rows.ndim != 1 or rows.is_floating_point() or rows.dtype == torch.bool:
            raise InputError(
                f"Rows must be positions among the labels, (B,) integer, got {rows.dtype} "
                f"{tuple(rows.shape)}."
            )
        if rows.device.type == "cpu" and len(rows):  # elsewhere a look would wait for the device
            self._check_rows(int(rows.min()), int(rows.max()))
        if logits.ndim != 2 or len(logits) != len(rows):
            raise InputError(
                f"Logits of {len(rows)} rows must have shape ({len(rows)}, classes), got "
                f"{tuple(logits.shape)}."
            )
        compared = None if labels is None else recorded_labels.of_batch(labels, len(rows))
        if not len(rows):
            return
        self._end_if_whole(len(rows))
        self._started(logits.shape[1], logits.device).observe(rows, logits, compared)
        self._n_observed += len(rows)

    def end_epoch(self) -> None:
        """End the epoch: for samplers that skip or repeat rows, and for several processes.

        In a training of several processes all of them call this, and what they saw is put together. An
        epoch in which nothing was observed is none.

        Raises
        ------
        InputError
            If a row number was none, or a row was observed under another label than the recorded one.
        TrainingError
            If no logits were finite, or the processes record different labels.
        WorkspaceError
            If the disk is full or cannot be written.
        """
        self._ends_itself = False
        group = merging.running_group()
        if group is not None or self._n_observed:
            self._end(group, must_be_whole=False)

    def close(self) -> Recording:
        """Write the file; closing again returns the same.

        Returns
        -------
        Recording
            What was recorded. Of several processes that of rank 0 writes.

        Raises
        ------
        TrainingError
            If no epoch was finished.
        WorkspaceError
            If the disk is full or cannot be written; finished epochs are kept.
        """
        if self._result is not None:
            return self._result
        if self._is_over:
            raise InputError(f"The recording to {str(self._out)!r} was given up.")
        group = merging.running_group()
        if group is None and self._ends_itself and self._n_observed == len(self._about):
            self._end(None, must_be_whole=True)
        if not self.n_epochs:
            self._let_go()
            raise TrainingError(
                f"Nothing was recorded to {str(self._out)!r}: {self._n_observed} of {len(self._about)} rows "
                "were observed and no epoch ended; call recorder.end_epoch() after each epoch"
                f"{'' if group is None else ', in every process'}."
            )
        progress = self._progress
        messages = recording_contents.messages(self._about, progress, self._n_observed, group)
        result = Recording(
            path=self._out,
            n_samples=len(self._about),
            n_rows=len(self._about) - progress.n_never,
            n_epochs=progress.n_epochs,
            n_missing=progress.n_gaps,
            messages=messages,
        )
        if self._recorder is None:  # resumed, and closed at once
            self._started(progress.n_outputs, torch.device("cpu"))
        if self._is_writer:
            self._write(messages)
        self._let_go()
        self._result = result
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif not self._is_over:
            self._give_up(error)

    def _started(self, n_outputs: int, device: torch.device) -> GapRecorder:
        """Return the recorder of epochs, made when the network's outputs are known."""
        if self._recorder is not None:
            return self._recorder
        n_classes = self._about.n_outputs(n_outputs)
        rows = Rows(
            sample=np.arange(len(self._about)),
            assigned_label=self._about.labels,
            role=np.full(len(self._about), Role.GIVEN, dtype=np.int8),
            n_classes=n_classes,
            n_outputs=n_classes,
        )
        recorder = GapRecorder(rows, device=self._device or device)
        if self._resume:
            state, _ = recording_draft.read_state(self._out, self._about.digest)
            recorder.load_state_tensors(state)
        # Asked now: when the file is written the processes may have parted.
        self._is_writer = _is_first()
        if self._is_writer:
            self._begin_draft()
        self._recorder = recorder
        return recorder

    def _begin_draft(self) -> Draft:
        if self._draft is None:
            self._draft = recording_draft.begin(
                self._out,
                len(self._about),
                self._about.digest,
                overwrite=self._overwrite,
                resume=self._resume,
            )
            atexit.register(self._at_exit)
        return self._draft

    def _end_if_whole(self, n_more: int) -> None:
        """End an epoch that is whole now that the next begins; where it cannot be whole, say so."""
        n_rows = len(self._about)
        if not self._ends_itself or self._n_observed + n_more <= n_rows:
            return
        if merging.running_group() is None and self._n_observed == n_rows:
            self._end(None, must_be_whole=True)
            return
        error = TrainingError(
            f"{self._n_observed + n_more} rows were observed and there are {n_rows}: where batches, a "
            "sampler or several processes skip or repeat rows, call recorder.end_epoch() after each "
            "epoch, and make the Recorder with ends_itself=False if an epoch has more rows than there are."
        )
        self._give_up(error)
        raise error

    def _end(self, group: dist.ProcessGroup | None, *, must_be_whole: bool) -> None:
        try:
            self._end_epoch(group, must_be_whole=must_be_whole)
        except BaseException as error:
            # The sums hold a part of an epoch that does not count: only what is on the disk is sound.
            self._give_up(error)
            raise

    def _end_epoch(self, group: dist.ProcessGroup | None, *, must_be_whole: bool) -> None:
        recorder = self._recorder
        if group is not None:
            recorder = self._agreed(group)
        assert recorder is not None, "something was observed"
        signals = recorder.end_epoch(group=group)
        is_missing = recorder.is_missing
        if must_be_whole and (recorder.n_repeated or is_missing.sum() > recorder.n_not_finite):
            raise TrainingError(
                f"Of {len(is_missing)} rows {recorder.n_repeated} were observed more than once before all "
                "were: the sampler skips or repeats rows, so call recorder.end_epoch() after each epoch."
            )
        self._n_observed = 0
        if is_missing.all():
            return
        progress = recording_contents.with_epoch(self._progress, recorder)
        if self._is_writer:
            self._begin_draft().append(
                signals, is_missing, recorder.state_tensors(), progress, self._about.digest
            )
        self._progress = progress

    def _agreed(self, group: dist.ProcessGroup) -> GapRecorder:
        """Return the recorder of epochs, also where this process has seen nothing so far."""
        recorder = self._recorder
        if not self._has_agreed:
            merging.agree(
                int(self._about.digest[:15], 16), group, what="labels, keys or class names"
            )
            n_outputs = merging.largest(0 if recorder is None else recorder.n_outputs, group)
            if not n_outputs:
                raise TrainingError("An epoch was ended in which no process observed anything.")
            recorder = self._started(n_outputs, merging.device_of(group))
            self._has_agreed = True
        assert recorder is not None, "made when all agreed"
        return recorder

    def _write(self, messages: tuple[str, ...]) -> None:
        assert self._recorder is not None, "there are finished epochs"
        arrays = recording_contents.arrays(
            self._about, self._progress, self._recorder.mean_probabilities(), messages
        )
        self._begin_draft().finish(arrays, self._progress.was_seen)
        self._draft = None

    def _check_rows(self, smallest: int, largest: int) -> None:
        for row in (smallest, largest):
            if not 0 <= row < len(self._about):
                raise InputError(
                    f"Row {row} is none of 0..{len(self._about) - 1}: observe each sample under its "
                    "position among the labels that are recorded."
                )

    def _give_up(self, error: BaseException) -> None:
        """Leave what is finished to a recorder that goes on, and tell so with the error."""
        self._let_go()
        if self.n_epochs:
            error.add_note(self._sentence_on_what_is_kept())

    def _let_go(self) -> None:
        if self._draft is not None:
            if self.n_epochs:
                self._draft.abandon()
            else:
                self._draft.discard()
        self._draft = None
        self._recorder = None
        self._is_over = True
        atexit.unregister(self._at_exit)

    def _sentence_on_what_is_kept(self) -> str:
        folder = recording_draft.folder_of(self._out)
        return (
            f"Finished epochs of this recording lie in {str(folder)!r} ({self.n_epochs} in all): go on with "
            "Recorder(…, resume=True), or close such a recorder at once to write them."
        )

    def _at_exit(self) -> None:
        """Write the file of a program that ends well without closing; forks leave it to their parent."""
        if os.getpid() != self._process:
            return
        has_failed = getattr(sys, "last_value", None) is not None and not hasattr(sys, "ps1")
        try:
            if has_failed and self.n_epochs:
                self._let_go()
                sys.stderr.write(f"labeltrace: {self._sentence_on_what_is_kept()}\n")
            elif not has_failed:
                self.close()
        except AuditError as error:
            sys.stderr.write(f"labeltrace: {error}\n")


def _is_first() -> bool:
    """Return whether this process writes what all of them recorded."""
    return merging.running_group() is None or dist.get_rank() == 0
