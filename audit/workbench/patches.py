"""Patches that come through a browser: what they would change, and their application."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit.records.dataset import Dataset
from audit.store import decisions as decision_rows
from audit.workbench import applying
from audit.workbench.applying import NO_CHOICES, Applied, Choices, Conflict, PatchPlan
from audit.workbench.shelf import Shelf

__all__ = ["Applied", "Choices", "Conflict", "PatchPlan"]


def plan(
    shelf: Shelf, dataset: Dataset, *patches: bytes, names: Sequence[str] | None = None
) -> PatchPlan:
    """Return what applying patches would do; nothing is stored.

    Parameters
    ----------
    shelf, dataset
        Where to.
    patches
        Their bytes.
    names
        What to call them in sentences and conflicts.

    Raises
    ------
    RefusedError
        If a patch is for other data or other classes.
    InputError
        If one cannot be read; names the line.
    """
    called = tuple(names or [f"patch {number}" for number in range(1, len(patches) + 1)])

    def make() -> PatchPlan:
        with _as_files(patches) as paths:
            return applying.plan(shelf.workspace, dataset, paths, called)

    last_id = decision_rows.last_id(shelf.workspace, dataset.id)
    digests = tuple(hashlib.sha256(data).digest() for data in patches)
    return shelf.keep(("patch", dataset.id, last_id, called, digests), make)


def apply(
    shelf: Shelf,
    dataset: Dataset,
    *patches: bytes,
    names: Sequence[str] | None = None,
    choices: Choices = NO_CHOICES,
    reviewer: str | None = None,
) -> Applied:
    """Append the decisions of patches that the log does not hold, and decide again what was chosen.

    Parameters
    ----------
    shelf, dataset, patches, names
        As for `plan`.
    choices, reviewer
        Whose decisions stand where people disagree, and who says so; the later one by default.

    Raises
    ------
    RefusedError
        If a patch is for other data or other classes.
    InputError
        If one cannot be read, or nobody says who chooses.
    NotFoundError
        If a choice fits no conflict.
    """
    planned = plan(shelf, dataset, *patches, names=names)
    return applying.carry_out(shelf.workspace, dataset, planned, choices, reviewer=reviewer)


@contextmanager
def _as_files(patches: Sequence[bytes]) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="labeltrace-") as folder:
        paths = [Path(folder) / f"{number}.jsonl" for number in range(len(patches))]
        for path, data in zip(paths, patches, strict=True):
            path.write_bytes(data)
        yield paths
