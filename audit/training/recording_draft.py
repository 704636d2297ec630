"""A recording while it is made: a hidden folder that holds every finished epoch, one ``.npz`` at its end.

An epoch counts from the moment at which the folder's state file was replaced, so that a crash costs the
epoch that it fell into and no other. The folder is locked by the process that writes it.
"""

import fcntl
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.compute import weights
from audit.errors import InputError, RefusedError, WorkspaceError
from audit.numerics import gaps
from audit.records import recording as names
from audit.records.dynamics import SIGNALS

_STATE, _LOCK, _MISSING = "state.safetensors", "lock", "missing.bin"
_WAS_SEEN = "was_seen"
_COLUMNS_AT_ONCE = 1 << 24
"""Entries of a signal that are filled in at once: 64 MiB of float32."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Progress:
    """How far a recording is.

    Parameters
    ----------
    n_missing
        Number of samples that each finished epoch did not observe; as many as there are epochs.
    notes
        Whole sentences about what was found on the way.
    was_seen
        Which samples were observed in any epoch, (N,) bool.
    n_outputs
        Number of the network's outputs; 0 before the first epoch.
    """

    n_missing: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    was_seen: NDArray[np.bool_]
    n_outputs: int = 0

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.n_missing)

    @property
    def n_never(self) -> int:
        """Number of samples that were never observed."""
        return int((~self.was_seen).sum())

    @property
    def n_gaps(self) -> int:
        """Number of entries (a sample in an epoch) that are missing among samples observed at all."""
        return sum(self.n_missing) - self.n_never * self.n_epochs


def checked_out(out: Path, *, overwrite: bool, resume: bool) -> Path:
    """Return where a recording goes if it may go there.

    Parameters
    ----------
    out
        Absolute.
    overwrite, resume
        As for `begin`.

    Raises
    ------
    InputError
        If it is no ``.npz``, or both are wanted.
    RefusedError
        If it exists and is not to be replaced, or there is no folder for it.
    """
    if overwrite and resume:
        raise InputError("A recording is either gone on with (resume) or begun anew (overwrite).")
    if out.suffix != ".npz":
        raise InputError(f"A recording is an .npz file: give {out.name!r} that ending.")
    if not out.parent.is_dir():
        raise RefusedError(
            f"There is no folder {str(out.parent)!r} to hold {out.name!r}: make it first."
        )
    if out.is_dir() or (out.exists() and not overwrite):
        raise RefusedError(
            f"{str(out)!r} exists already: choose another name, or replace it with overwrite=True."
        )
    return out


def folder_of(out: Path) -> Path:
    """Return where the finished epochs of a recording lie until its file is written."""
    return out.with_name(f".{out.name}.recording")


def dtype_of(signal: str) -> np.dtype[Any]:
    """Return the dtype that a signal is recorded in, little-endian on every machine."""
    return np.dtype("<i4" if signal == "best_other_class" else "<f4")


class Draft:
    """The hidden folder of a recording, locked; use `begin`.

    Parameters
    ----------
    out
        Where the recording's file will lie.
    n_samples
        Number of samples N.
    lock
        The lock's open file.
    n_epochs
        Number of finished epochs in it.
    """

    def __init__(self, out: Path, n_samples: int, lock: IO[bytes], n_epochs: int) -> None:
        self._out = out
        self._folder = folder_of(out)
        self._n_samples = n_samples
        self._lock = lock
        self._n_epochs = n_epochs

    def append(
        self,
        signals: Mapping[str, NDArray[np.generic]],
        is_missing: NDArray[np.bool_],
        state: Mapping[str, Tensor],
        progress: Progress,
        digest: str,
    ) -> None:
        """Keep a finished epoch; it is on the disk when this returns.

        Parameters
        ----------
        signals
            Name → (N,) for each of `SIGNALS`.
        is_missing
            Which of the values are none, (N,) bool.
        state
            What a recorder needs to go on from here.
        progress
            Including this epoch.
        digest
            Of labels, keys and class names.

        Raises
        ------
        WorkspaceError
            If the disk is full or cannot be written.
        """
        with _in_words(self._out):
            for name in SIGNALS:
                values = np.ascontiguousarray(signals[name], dtype=dtype_of(name))
                self._write_at_end(f"{name}.bin", values)
            self._write_at_end(_MISSING, is_missing.astype(np.uint8))
        write_state(self._folder, state, progress, digest)
        self._n_epochs += 1

    def finish(
        self, arrays: Mapping[str, NDArray[np.generic]], was_seen: NDArray[np.bool_]
    ) -> None:
        """Fill in what is missing, write the recording's file, and remove the folder.

        Parameters
        ----------
        arrays
            Name → what the file holds beside the signals; per row where it is about rows.
        was_seen
            Which samples have a row, (N,) bool.

        Raises
        ------
        WorkspaceError
            If the disk is full or cannot be written; the finished epochs stay.
        """
        rows = np.flatnonzero(was_seen)
        is_missing = self._mapped(_MISSING, np.dtype(np.uint8)).view(np.bool_)
        has_gaps = np.flatnonzero(is_missing.any(axis=0) & was_seen)
        partial = self._folder / "whole.npz"
        with _in_words(self._out):
            for name in SIGNALS:
                self._fill(name, is_missing, has_gaps)
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                for name, values in arrays.items():
                    _write_member(archive, name, values.shape, values.dtype, [values])
                for name in SIGNALS:
                    epochs = self._mapped(f"{name}.bin", dtype_of(name))
                    shape = (self._n_epochs, len(rows))
                    # Epoch by epoch: all of them need not fit into memory.
                    _write_member(
                        archive,
                        names.of_signal(name),
                        shape,
                        epochs.dtype,
                        (epoch[rows] for epoch in epochs),
                    )
            _sync(partial)
            partial.replace(self._out)
            _sync(self._out.parent)
        self.discard()

    def discard(self) -> None:
        """Remove the folder and what is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def abandon(self) -> None:
        """Leave the finished epochs for a recorder that goes on."""
        self._lock.close()

    def _fill(self, name: str, is_missing: NDArray[np.bool_], has_gaps: NDArray[np.int64]) -> None:
        if not len(has_gaps):
            return
        # In place: what is filled in once more, after a crash, becomes the same.
        epochs = self._mapped(f"{name}.bin", dtype_of(name), mode="r+")
        n_at_once = max(1, _COLUMNS_AT_ONCE // self._n_epochs)
        for begin in range(0, len(has_gaps), n_at_once):
            some = has_gaps[begin : begin + n_at_once]
            epochs[:, some] = gaps.filled(epochs[:, some], is_missing[:, some])
        if isinstance(epochs, np.memmap):
            epochs.flush()

    def _mapped(self, file: str, dtype: np.dtype[Any], mode: str = "r") -> NDArray[Any]:
        return np.memmap(
            self._folder / file,
            dtype=dtype,
            mode="r+" if mode == "r+" else "r",
            shape=(self._n_epochs, self._n_samples),
        )

    def _write_at_end(self, file: str, values: NDArray[np.generic]) -> None:
        path = self._folder / file
        with path.open("r+b" if path.exists() else "w+b") as stream:
            # After a crash there may be a part of an epoch beyond the last that counts.
            stream.seek(self._n_epochs * values.nbytes)
            stream.write(values.data)
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())


def begin(out: Path, n_samples: int, digest: str, *, overwrite: bool, resume: bool) -> Draft:
    """Make the hidden folder of a recording and lock it, or go on in the one that is there.

    Parameters
    ----------
    out
        Where the recording's file will lie.
    n_samples
        Number of samples N.
    digest
        Of labels, keys and class names; a recording that is gone on with has the same.
    overwrite
        Whether finished epochs of an earlier recording are removed.
    resume
        Whether they are gone on with.

    Returns
    -------
    Draft
        Locked until it is finished, discarded or abandoned.

    Raises
    ------
    RefusedError
        If another process writes it, an earlier recording's epochs lie there, or there is nothing to
        go on with.
    InputError
        If the epochs there belong to other labels.
    WorkspaceError
        If the folder cannot be written.
    """
    folder = folder_of(out)
    with _in_words(out):
        folder.mkdir(exist_ok=True)
        lock = (folder / _LOCK).open("ab")
    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RefusedError(
            f"Another process is recording to {str(out)!r}: choose another name."
        ) from error
    progress: Progress | None = None
    try:
        if overwrite:
            (folder / _STATE).unlink(missing_ok=True)
        elif resume:
            _, progress = read_state(out, digest)
        else:
            _refuse_earlier(out)
    except BaseException:
        lock.close()
        raise
    return Draft(out, n_samples, lock, 0 if progress is None else progress.n_epochs)


def _refuse_earlier(out: Path) -> None:
    folder = folder_of(out)
    if (folder / _STATE).exists():
        raise RefusedError(
            f"Epochs of an earlier recording to {str(out)!r} lie in {str(folder)!r}: go on with "
            "resume=True, or begin anew with overwrite=True."
        )


def write_state(folder: Path, state: Mapping[str, Tensor], progress: Progress, digest: str) -> None:
    """Replace the state file: what it says is finished, counts."""
    metadata = {
        "n_missing": json.dumps(progress.n_missing),
        "notes": json.dumps(progress.notes),
        "n_outputs": str(progress.n_outputs),
        "digest": digest,
    }
    was_seen = torch.from_numpy(progress.was_seen.astype(np.uint8))
    weights.write_tensors(folder / _STATE, {**state, _WAS_SEEN: was_seen}, metadata)


def read_state(out: Path, digest: str) -> tuple[dict[str, Tensor], Progress]:
    """Return what `write_state` wrote for the recording to a file.

    Raises
    ------
    RefusedError
        If there is nothing to go on with.
    InputError
        If it belongs to other labels.
    """
    folder = folder_of(out)
    if not (folder / _STATE).exists():
        raise RefusedError(
            f"There is no unfinished recording to {str(out)!r} to go on with: leave resume out."
        )
    tensors, metadata = weights.read_tensors(folder / _STATE)
    if metadata["digest"] != digest:
        raise InputError(
            f"The finished epochs in {str(folder)!r} belong to other labels, keys or class names: "
            "record to another name, or begin anew with overwrite=True."
        )
    was_seen = tensors.pop(_WAS_SEEN).numpy().astype(np.bool_)
    return tensors, Progress(
        n_missing=tuple(json.loads(metadata["n_missing"])),
        notes=tuple(json.loads(metadata["notes"])),
        was_seen=was_seen,
        n_outputs=int(metadata["n_outputs"]),
    )


def _write_member(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    parts: Iterator[NDArray[np.generic]] | list[NDArray[np.generic]],
) -> None:
    assert not dtype.hasobject, "nothing is pickled"
    # A date of its own would make equal recordings differ.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(member, header)
        for part in parts:
            member.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _in_words(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(
            f"Could not record to {str(out)!r} ({error.strerror or error}): free some space or look at "
            "the folder's permissions; finished epochs are kept."
        ) from error
