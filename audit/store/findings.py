"""What is learnt about a dataset's samples after its import: unreadable ones, digests of bytes.

Lies in a subfolder of the sealed dataset; every file is replaced as a whole, under a lock.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from audit.errors import NotFoundError
from audit.store import filing, locks
from audit.store.database import datasets
from audit.store.faults import translated
from audit.store.workspace import Workspace

_FOLDER = "found"
PROBLEMS = "problems.json"
"""Position of a sample → one sentence, JSON; sealed with the dataset, and beside it."""

_DIGESTS = "content_digests.npy"
_LOCK = ".lock"


def record_problems(
    workspace: Workspace,
    dataset_id: str,
    problems: Mapping[int, str],
    *,
    readable: Sequence[int] | NDArray[np.int64] = (),
) -> None:
    """Store which samples could not be read when they were tried.

    Parameters
    ----------
    workspace, dataset_id
        The dataset.
    problems
        Position of a sample → one sentence; added to what was found before.
    readable
        Positions that could be read this time; what was found about them before is forgotten. What
        the import said about them stays.

    Raises
    ------
    NotFoundError
        If there is no such dataset.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    folder = _open(workspace, dataset_id)
    with translated(folder), locks.held(folder / _LOCK):
        before = _read(folder / PROBLEMS)
        gone = {int(position) for position in readable}
        after = {at: why for at, why in before.items() if at not in gone}
        after |= {int(position): reason for position, reason in problems.items()}
        if after == before:
            return
        filing.replace_file(folder / PROBLEMS, problems_to_json(after).encode("ascii"))
        n_problems = len(all_problems(folder.parent))
    with workspace.writing() as connection:
        connection.execute(
            sa.update(datasets).where(datasets.c.id == dataset_id).values(n_problems=n_problems)
        )


def record_content_digests(
    workspace: Workspace, dataset_id: str, digests: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Store the digests of the bytes that were read; the first digest of a sample stays.

    Parameters
    ----------
    workspace, dataset_id
        The dataset.
    digests
        SHA-256 of each sample's bytes, (N, 32) uint8; rows of zeros were not read.

    Returns
    -------
    ndarray
        Positions whose bytes are not those that were first read, ascending, (M,) int64.

    Raises
    ------
    NotFoundError
        If there is no such dataset.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    folder = _open(workspace, dataset_id)
    with translated(folder), locks.held(folder / _LOCK):
        stored = _digests(folder)
        if stored is None:
            stored = np.zeros_like(digests)
        assert stored.shape == digests.shape, "one digest per sample"
        is_known = np.any(stored, axis=1)
        is_read = np.any(digests, axis=1)
        differs = np.any(stored != digests, axis=1)
        changed = np.flatnonzero(is_known & is_read & differs)
        merged = np.where(np.expand_dims(is_known, 1), stored, digests)
        if not np.array_equal(merged, stored):
            filing.replace_file(folder / _DIGESTS, filing.array_bytes(merged))
    with workspace.writing() as connection:
        connection.execute(
            sa.update(datasets)
            .where(datasets.c.id == dataset_id)
            .values(content_digest=hashlib.sha256(merged.tobytes()).hexdigest())
        )
    return changed


def content_digests(workspace: Workspace, dataset_id: str) -> NDArray[np.uint8] | None:
    """Return the digests of all bytes read so far, (N, 32) uint8, zeros where not read.

    Returns
    -------
    ndarray or None
        ``None`` before anything was read.
    """
    return _digests(workspace.path / "datasets" / dataset_id / _FOLDER)


def all_problems(folder: Path) -> dict[int, str]:
    """Return what is wrong with which samples: found at the import, and since.

    Parameters
    ----------
    folder
        The sealed folder of a dataset.
    """
    return _read(folder / PROBLEMS) | _read(folder / _FOLDER / PROBLEMS)


def problems_to_json(problems: Mapping[int, str]) -> str:
    """Return problems as the text of a file `PROBLEMS`, in the order of the samples."""
    return json.dumps({str(at): problems[at] for at in sorted(problems)})


def _read(file: Path) -> dict[int, str]:
    try:
        text = file.read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    return {int(at): reason for at, reason in json.loads(text).items()}


def _digests(folder: Path) -> NDArray[np.uint8] | None:
    try:
        return filing.read_array(folder / _DIGESTS)
    except FileNotFoundError:
        return None


def _open(workspace: Workspace, dataset_id: str) -> Path:
    parent = workspace.path / "datasets" / dataset_id
    if not parent.is_dir():
        raise NotFoundError(f"There is no dataset {dataset_id}: it was deleted meanwhile.")
    folder = parent / _FOLDER
    with translated(folder):
        folder.mkdir(exist_ok=True)
    return folder
