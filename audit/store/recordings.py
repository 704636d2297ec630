"""The files of a run's recorded values: how they are laid out, begun, filled, cut and read."""

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.records.dynamics import MeanProbabilities
from audit.store import filing

META = "dynamics.json"
_SAMPLE, _ASSIGNED, _ROLE = "sample.npy", "assigned_label.npy", "role.npy"
_MEAN_CLASSES, _MEAN_VALUES = "mean_probability_classes.npy", "mean_probabilities.npy"
CURVES = "curves.jsonl"
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedRows:
    """The rows that a run was begun with; a resumed run takes them again.

    Parameters
    ----------
    n_samples, n_classes, sample, assigned_label, role
        As in `TrainingDynamics`.
    """

    n_samples: int
    n_classes: int
    sample: NDArray[np.int64]
    assigned_label: NDArray[np.int32]
    role: NDArray[np.int8]


def prepare(
    folder: Path, n_epochs: int, rows: SavedRows, signals: Mapping[str, np.dtype[Any]]
) -> None:
    """Lay out a run's folder: rows, and room for every planned epoch of every signal.

    Parameters
    ----------
    folder
        Hidden and locked.
    n_epochs
        Number of planned epochs T.
    rows
        What is trained on.
    signals
        Name → dtype.
    """
    filing.write_array(folder / _SAMPLE, rows.sample)
    filing.write_array(folder / _ASSIGNED, rows.assigned_label)
    filing.write_array(folder / _ROLE, rows.role)
    for name, dtype in signals.items():
        header = filing.npy_header((n_epochs, len(rows.sample)), dtype)
        size = len(header) + n_epochs * len(rows.sample) * dtype.itemsize
        with (folder / f"{name}.npy").open("wb") as stream:
            stream.write(header)
            stream.flush()
            _allocate(stream.fileno(), size)
    meta = {
        "n_samples": rows.n_samples,
        "n_classes": rows.n_classes,
        "n_rows": len(rows.sample),
        "n_epochs": n_epochs,
        "signals": {name: dtype.str for name, dtype in signals.items()},
        "mean_is_full": None,
    }
    for file in folder.iterdir():
        filing.sync(file)
    # Written last and at once: a folder that has it has everything else.
    filing.replace_file(folder / META, json.dumps(meta).encode("ascii"))


def _allocate(descriptor: int, size: int) -> None:
    # A full disk should be told before the first epoch, not after the last.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def write_epoch_of_signal(
    file: Path, header: bytes, epoch: int, values: NDArray[np.generic]
) -> None:
    """Write the values of one epoch, (R,), into a signal's file and sync it."""
    with file.open("r+b") as stream:
        stream.seek(len(header) + epoch * values.nbytes)
        stream.write(filing.content(values))
        stream.flush()
        os.fsync(stream.fileno())


def ask_for_row(
    folder: Path, row: int, *, shape: tuple[int, int], dtypes: Mapping[str, np.dtype[Any]]
) -> None:
    """Ask the disk for the values of one row at once, so that reading them waits for it once.

    Parameters
    ----------
    folder
        Of the run.
    row
        In 0..R-1.
    shape
        (T, R).
    dtypes
        Of the signals that will be read, by name.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    n_epochs, n_rows = shape
    for name, dtype in dtypes.items():
        first = _header_size(n_rows, dtype) + dtype.itemsize * row
        step = n_rows * dtype.itemsize
        descriptor = os.open(f"{folder}/{name}.npy", os.O_RDONLY)
        try:
            for place in range(first, first + n_epochs * step, step):
                os.posix_fadvise(descriptor, place, dtype.itemsize, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)


@functools.lru_cache
def _header_size(n_rows: int, dtype: np.dtype[Any]) -> int:
    return len(filing.npy_header((1, n_rows), dtype))


def cut(file: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    """Cut a signal's file to the shape (T, R), in place."""
    header = filing.npy_header(shape, dtype)
    with file.open("r+b") as stream:
        stream.write(header)
        stream.truncate(len(header) + shape[0] * shape[1] * dtype.itemsize)


def read_rows(folder: Path, meta: Mapping[str, Any]) -> SavedRows:
    """Return the rows that `prepare` wrote."""
    return SavedRows(
        n_samples=meta["n_samples"],
        n_classes=meta["n_classes"],
        sample=filing.read_array(folder / _SAMPLE),
        assigned_label=filing.read_array(folder / _ASSIGNED),
        role=filing.read_array(folder / _ROLE),
    )


def write_means(folder: Path, means: MeanProbabilities) -> None:
    """Write the average predicted distributions of a run that ends."""
    # A full table has every class in its place: for a million rows of a hundred classes, 400 MB.
    if not means.is_full:
        filing.write_array(folder / _MEAN_CLASSES, means.classes)
    filing.write_array(folder / _MEAN_VALUES, means.values)


def read_means(folder: Path, meta: Mapping[str, Any]) -> MeanProbabilities | None:
    """Return what `write_means` wrote, memory-mapped; ``None`` where the run has recorded none."""
    is_full = meta["mean_is_full"]
    if is_full is None:
        return None
    values = filing.read_array(folder / _MEAN_VALUES, mapped=True)
    if is_full:
        every = np.arange(values.shape[1], dtype=np.int32)
        return MeanProbabilities(
            classes=np.broadcast_to(every, values.shape), values=values, is_full=True
        )
    classes = filing.read_array(folder / _MEAN_CLASSES, mapped=True)
    return MeanProbabilities(classes=classes, values=values, is_full=False)


def read_curves(folder: Path) -> list[dict[str, float]]:
    """Return one entry per whole epoch, without gaps; of an epoch written twice the later one."""
    try:
        text = (folder / CURVES).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return []
    by_epoch: dict[int, dict[str, float]] = {}
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
            by_epoch[entry["epoch"]] = entry
        except (ValueError, TypeError, KeyError):
            # Blank, or torn by a process that died while it wrote.
            continue
    return [by_epoch[epoch] for epoch in range(_n_leading(by_epoch))]


def keep_curves(folder: Path, n_epochs: int) -> None:
    """Forget all epochs but the first ones."""
    lines = [json.dumps(entry) + "\n" for entry in read_curves(folder)[:n_epochs]]
    filing.replace_file(folder / CURVES, "".join(lines).encode("ascii"))


def forget_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a folder whose values are final."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def forget_drafts(folder: Path, *, keep: str) -> None:
    """Remove the hidden files of writers that died before they could rename them, all but one.

    Parameters
    ----------
    folder
        Hidden and locked, so that nobody else writes into it.
    keep
        Name of the hidden file that stays: the lock.
    """
    for draft in folder.glob(".*"):
        if draft.name != keep:
            draft.unlink()


def _n_leading(by_epoch: Mapping[int, object]) -> int:
    n_epochs = 0
    while n_epochs in by_epoch:
        n_epochs += 1
    return n_epochs


def n_written(folder: Path) -> int:
    """Return the number of whole epochs on the disk."""
    return len(read_curves(folder))
