"""Which files were touched since their pixels were decoded: by size and time, then by their bytes.

Reading every image before every run would take as long as decoding it. Sizes and times of change
cost microseconds each, and only what differs in them is read again.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from audit.datasets.reader import SampleReader
from audit.errors import SampleError
from audit.records.dataset import Dataset, SourceKind
from audit.records.progress import Report, silent

STATES = "states.npy"
"""Size and time of change of each sample's file when it was read; beside the decoded pixels."""

_DIGEST_BYTES = 32
_GONE = -1
_PER_REPORT = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Touched:
    """What differs from the states that were recorded.

    Parameters
    ----------
    content_digests
        SHA-256 of the bytes of each touched sample, (N, 32) uint8; zeros for all others.
    states
        The states now, to be kept once the digests turn out to be the old ones; (N, 2) int64.
    n_touched
        How many samples were read again.
    """

    content_digests: NDArray[np.uint8]
    states: NDArray[np.int64]
    n_touched: int


def states_of(
    dataset: Dataset, positions: Sequence[int] | NDArray[np.int64], report: Report = silent
) -> NDArray[np.int64]:
    """Return size and time of change of the samples' files, without opening them.

    Parameters
    ----------
    dataset
        Where the files are; the samples of arrays share the state of their file.
    positions
        Samples to look at, (M,) integers.
    report
        Is told how many were looked at; may stop the work.

    Returns
    -------
    ndarray
        Bytes and nanoseconds since 1970, (N, 2) int64; -1 where there is no file or nobody looked.
    """
    states = np.full((dataset.n_samples, 2), _GONE, dtype=np.int64)
    root = dataset.source.root
    if dataset.source.kind is SourceKind.ARRAYS:
        states[np.asarray(positions, dtype=np.int64)] = _state(root)
        return states
    for place, position in enumerate(positions):
        if place and place % _PER_REPORT == 0:
            report(place / len(positions), f"looking for changed files: {place:,}")
        states[position] = _state(os.path.join(root, dataset.paths[position] or ""))  # noqa: PTH118 - half of the time
    return states


def find(
    dataset: Dataset,
    positions: NDArray[np.int64],
    folder: Path,
    report: Report = silent,
) -> Touched:
    """Read again what was touched since the pixels in a folder were decoded.

    A file that is gone, or cannot be read any more, is passed over: its pixels are there.

    Parameters
    ----------
    dataset
        Where the files are.
    positions
        Samples whose pixels were decoded, (M,) int64.
    folder
        Of the decoded pixels. Without recorded states every file counts as touched.
    report
        Is told how far it is; may stop the work.

    Raises
    ------
    InputError
        If arrays were replaced by others that hold another number of images.
    """
    now = states_of(dataset, positions, report)
    before = read(folder)
    if before is None or before.shape != now.shape:
        before = np.full_like(now, _GONE)
    differs = (now != before).any(axis=1) & (now != _GONE).all(axis=1)
    touched = positions[differs[positions]].tolist()
    digests = np.zeros((dataset.n_samples, _DIGEST_BYTES), dtype=np.uint8)
    if touched:
        with SampleReader(dataset.source, dataset.paths) as reader:
            for place, position in enumerate(touched):
                report(place / len(touched), f"reading touched files again: {place:,}")
                with suppress(SampleError):
                    digest = hashlib.sha256(reader.read_bytes(position)).digest()
                    digests[position] = np.frombuffer(digest, dtype=np.uint8)
    return Touched(content_digests=digests, states=now, n_touched=len(touched))


def read(folder: Path) -> NDArray[np.int64] | None:
    """Return the recorded states, (N, 2) int64, or ``None`` where there are none."""
    try:
        return np.load(folder / STATES, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def keep(folder: Path, states: NDArray[np.int64]) -> None:
    """Record states, whole or not at all, so that the same files are not read again next time."""
    draft = folder / f".{STATES}.{secrets.token_hex(4)}"
    # On a full disk, or when the cache was just deleted, the next run looks again: nothing is lost.
    with suppress(OSError):
        try:
            with draft.open("wb") as stream:
                npy.write_array(stream, states, allow_pickle=False)
            draft.replace(folder / STATES)
        finally:
            draft.unlink(missing_ok=True)


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - half of the time
    except (OSError, ValueError):
        return _GONE, _GONE
    return status.st_size, status.st_mtime_ns
