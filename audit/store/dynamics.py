"""What runs record: written epoch by epoch, sealed once, then read memory-mapped.

A run's hidden folder holds one preallocated epoch-major ``.npy`` per signal, its rows, a checkpoint
and the course of loss and accuracy. It outlives its process, so that a run can be resumed.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError, NotFoundError, RefusedError
from audit.records.dynamics import SIGNALS, MeanProbabilities, TrainingDynamics
from audit.records.run import Run, RunState
from audit.store import artifacts, filing, recordings, references, runs
from audit.store.faults import translated
from audit.store.recordings import SavedRows
from audit.store.workspace import Workspace

SIGNAL_DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(np.int32 if name == "best_other_class" else np.float32) for name in SIGNALS
}
"""What a run records by default."""


class DynamicsWriter:
    """Writes what one run records; one writer per run at a time.

    Use `open`, and the writer as a context manager: leaving it keeps everything for a later writer.

    Parameters
    ----------
    workspace, run
        Whose dynamics they are.
    making
        The hidden folder, locked.
    meta
        Content of the description file.
    """

    def __init__(
        self, workspace: Workspace, run: Run, making: artifacts.Making, meta: Mapping[str, Any]
    ) -> None:
        self._workspace = workspace
        self._run = run
        self._making = making
        self._n_rows: int = meta["n_rows"]
        self._n_planned: int = meta["n_epochs"]
        self._dtypes = {name: np.dtype(text) for name, text in meta["signals"].items()}
        self._is_over = False

    @classmethod
    def open(
        cls,
        workspace: Workspace,
        run: Run,
        rows: SavedRows,
        *,
        signals: Mapping[str, np.dtype[Any]] = SIGNAL_DTYPES,
    ) -> Self:
        """Begin to record a run, or go on where an earlier process stopped.

        Parameters
        ----------
        workspace, run
            Whose dynamics they are; ``run.config.epochs`` epochs are planned.
        rows
            What is trained on. A resumed run takes `saved_rows`.
        signals
            Name → dtype of what is recorded; room for all planned epochs is taken at once.

        Raises
        ------
        RefusedError
            If the run is sealed, another process records it, or its recorded rows are others.
        WorkspaceError
            If the disk is full or cannot be written.
        """
        if runs.folder(workspace, run.id).is_dir():
            name = references.in_a_line(run.name)
            raise RefusedError(f"Run {name} is sealed and never changes.")
        making = artifacts.begin(workspace.path / "runs", run.id)
        try:
            with translated(making.folder):
                recordings.forget_drafts(making.folder, keep=artifacts.LOCK)
                if not (making.folder / recordings.META).exists():
                    recordings.prepare(making.folder, run.config.epochs, rows, signals)
            with _reading(run):
                meta = filing.read_json(making.folder / recordings.META)
                _refuse_other_rows(run, recordings.read_rows(making.folder, meta), rows)
                return cls(workspace, run, making, meta)
        except BaseException:
            if not (making.folder / recordings.META).exists():
                # Room that was taken and cannot be used would keep a full disk full.
                making.discard()
            making.abandon()
            raise

    def write_epoch(
        self,
        epoch: int,
        signals: Mapping[str, NDArray[np.generic]],
        *,
        progress: Mapping[str, float] | None = None,
    ) -> None:
        """Write one epoch and wait until it is on the disk; writing it again replaces it.

        Parameters
        ----------
        epoch
            From 0; no epoch may be left out.
        signals
            Name → value per row, (R,); converted to the signal's dtype.
        progress
            Plain numbers of the epoch for `curves`: ``loss`` (nats), ``accuracy`` ([0, 1]), ….

        Raises
        ------
        InputError
            If a signal is missing or has another shape.
        WorkspaceError
            If the disk is full or cannot be written.
        """
        assert 0 <= epoch <= self.n_written, "epochs are written in order"
        assert epoch < self._n_planned, "no more epochs than planned"
        if set(signals) != set(self._dtypes):
            raise InputError(
                f"An epoch needs the signals {sorted(self._dtypes)}, got {sorted(signals)}."
            )
        folder = self._making.folder
        with translated(folder):
            for name, dtype in self._dtypes.items():
                values = np.ascontiguousarray(signals[name], dtype=dtype)
                if values.shape != (self._n_rows,):
                    raise InputError(
                        f"Signal {name!r} has shape {values.shape}, expected ({self._n_rows},)."
                    )
                recordings.write_epoch_of_signal(
                    folder / f"{name}.npy", self._header(name), epoch, values
                )
            # The line comes last: it says that the epoch is whole.
            line = json.dumps({"epoch": epoch, **(progress or {})})
            with (folder / recordings.CURVES).open("ab") as stream:
                # A process that died in the middle of a line left no line break.
                stream.write(b"\n" + line.encode("ascii") + b"\n")
                stream.flush()
                os.fsync(stream.fileno())

    @property
    def n_written(self) -> int:
        """Number of whole epochs on the disk."""
        return recordings.n_written(self._making.folder)

    def read_epoch(self, epoch: int, name: str) -> NDArray[np.generic]:
        """Return what was written of a signal in an epoch, (R,).

        Raises
        ------
        WorkspaceError
            If the file is damaged.
        """
        assert 0 <= epoch < self._n_planned, "only written epochs can be read"
        with _reading(self._run):
            return np.array(
                filing.read_array(self._making.folder / f"{name}.npy", mapped=True)[epoch]
            )

    def read_curves(self, n_epochs: int) -> list[dict[str, float]]:
        """Return what the first epochs recorded beside their signals, as `curves` does."""
        return recordings.read_curves(self._making.folder)[:n_epochs]

    @property
    def checkpoint_path(self) -> Path:
        """Where the checkpoint belongs; gone once the run is sealed."""
        return self._making.folder / recordings.CHECKPOINT

    def seal(
        self,
        mean_probabilities: MeanProbabilities | None,
        *,
        n_epochs: int | None = None,
        at: datetime | None = None,
    ) -> Run:
        """Make the dynamics final and the run sealed.

        Parameters
        ----------
        mean_probabilities
            Average predicted distribution per row.
        n_epochs
            How many of the written epochs count; all of them if not given.
        at
            When; now if not given.

        Returns
        -------
        Run
            Sealed.

        Raises
        ------
        RefusedError
            If no epoch was written.
        WorkspaceError
            If the disk is full or cannot be written.
        """
        folder = self._making.folder
        kept = self.n_written if n_epochs is None else n_epochs
        assert kept <= self.n_written, "only written epochs can be sealed"
        if kept == 0:
            raise RefusedError("A run without a single whole epoch cannot be sealed.")
        with translated(folder):
            # Before the cut: what a line calls whole must be there if we die in between.
            recordings.keep_curves(folder, kept)
            for name, dtype in self._dtypes.items():
                recordings.cut(folder / f"{name}.npy", (kept, self._n_rows), dtype)
            if mean_probabilities is not None:
                recordings.write_means(folder, mean_probabilities)
            meta = filing.read_json(folder / recordings.META) | {
                "n_epochs": kept,
                "mean_is_full": mean_probabilities.is_full if mean_probabilities else None,
            }
            # In one step: a run whose description was torn could not be resumed.
            filing.replace_file(folder / recordings.META, json.dumps(meta).encode("ascii"))
            self._making.seal()
            runs.seal_row(self._workspace, self._run.id, at or datetime.now(UTC))
            self._making.release()
        self._is_over = True
        return runs.find(self._workspace, self._run.id)

    def close(self) -> None:
        """Let another process go on; what is written stays."""
        if not self._is_over:
            self._making.abandon()
            self._is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _header(self, name: str) -> bytes:
        return filing.npy_header((self._n_planned, self._n_rows), self._dtypes[name])


def saved_rows(workspace: Workspace, run: Run) -> SavedRows | None:
    """Return the rows that an unfinished or sealed run was begun with, ``None`` before it began.

    Raises
    ------
    WorkspaceError
        If the files are damaged.
    """
    folder = _folder(workspace, run)
    if folder is None or not (folder / recordings.META).exists():
        return None
    with _reading(run):
        return recordings.read_rows(folder, filing.read_json(folder / recordings.META))


def load(workspace: Workspace, run: Run) -> TrainingDynamics:
    """Return the dynamics of a sealed run; its signals are memory-mapped.

    Raises
    ------
    NotFoundError
        If the run is not sealed.
    WorkspaceError
        If a file is missing or damaged; the sentence names the run.
    """
    if run.state is not RunState.SEALED:
        name = references.in_a_line(run.name)
        raise NotFoundError(f"Run {name} ({run.id}) has no dynamics yet: it is {run.state}.")
    folder = runs.folder(workspace, run.id)
    with _reading(run):
        meta = filing.read_json(folder / recordings.META)
        rows = recordings.read_rows(folder, meta)
        return TrainingDynamics(
            run_id=run.id,
            n_samples=rows.n_samples,
            n_classes=rows.n_classes,
            sample=rows.sample,
            assigned_label=rows.assigned_label,
            role=rows.role,
            signals={
                name: filing.read_array(folder / f"{name}.npy", mapped=True)
                for name in meta["signals"]
            },
            mean_probabilities=recordings.read_means(folder, meta),
            config=None if run.config.elsewhere else run.config,
        )


def read_row(
    workspace: Workspace, recorded: TrainingDynamics, row: int
) -> dict[str, NDArray[np.generic]]:
    """Return every signal of one row of a run: name → value of each epoch, (T,).

    As `TrainingDynamics.of_row`, which waits for the disk at each epoch that is not in memory, and lets
    it read megabytes ahead each time: seconds for a million rows.

    Parameters
    ----------
    workspace
        Where the run is, sealed or not.
    recorded
        What it recorded.
    row
        In 0..R-1.
    """
    folder = runs.folder(workspace, recorded.run_id)
    if not folder.is_dir():
        folder = runs.working_folder(workspace, recorded.run_id)
    # Sealed, and so renamed, a moment ago: what is mapped is there still.
    with contextlib.suppress(FileNotFoundError):
        recordings.ask_for_row(
            folder,
            row,
            shape=(recorded.n_epochs, recorded.n_rows),
            dtypes={name: values.dtype for name, values in recorded.signals.items()},
        )
    return recorded.of_row(row)


def curves(workspace: Workspace, run: Run) -> list[dict[str, float]]:
    """Return the course of a run, one entry per whole epoch, while it runs and after.

    Returns
    -------
    list of dict
        ``epoch`` and the numbers that `DynamicsWriter.write_epoch` was given; empty before the
        first epoch.
    """
    folder = _folder(workspace, run)
    return [] if folder is None else recordings.read_curves(folder)


def checkpoint_path(workspace: Workspace, run: Run) -> Path:
    """Return where the checkpoint of an unfinished run belongs, whether it is there or not."""
    return runs.working_folder(workspace, run.id) / recordings.CHECKPOINT


def _refuse_other_rows(run: Run, recorded: SavedRows, wanted: SavedRows) -> None:
    is_same = (
        recorded.n_samples == wanted.n_samples
        and recorded.n_classes == wanted.n_classes
        and np.array_equal(recorded.sample, wanted.sample)
        and np.array_equal(recorded.assigned_label, wanted.assigned_label)
        and np.array_equal(recorded.role, wanted.role)
    )
    if not is_same:
        name = references.in_a_line(run.name)
        raise RefusedError(f"Run {name} was begun with other rows: start a new run.")


def _folder(workspace: Workspace, run: Run) -> Path | None:
    for folder in (runs.folder(workspace, run.id), runs.working_folder(workspace, run.id)):
        if folder.is_dir():
            return folder
    return None


def _reading(run: Run) -> AbstractContextManager[None]:
    name = references.in_a_line(run.name)
    return filing.reading(f"Run {name} ({run.id})", "delete it and train again")
