"""Patches that come through a browser: what they would change, and their application."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.records.dataset import Dataset
from audit.store import decisions as decision_rows
from audit.workbench import exporting
from audit.workbench.exporting import Applied, PatchPlan
from audit.workbench.shelf import Shelf

__all__ = ["Applied", "PatchPlan"]


def plan(shelf: Shelf, dataset: Dataset, data: bytes) -> PatchPlan:
    """Return what applying a patch would do; nothing is stored.

    Raises
    ------
    RefusedError
        If the patch is for other data.
    InputError
        If it cannot be read; names the line.
    """

    def make() -> PatchPlan:
        with _as_file(data) as path:
            return exporting.plan_patch(shelf.workspace, dataset, path)

    last_id = decision_rows.last_id(shelf.workspace, dataset.id)
    key = ("patch", dataset.id, last_id, hashlib.sha256(data).digest())
    return shelf.keep(key, make)


def apply(shelf: Shelf, dataset: Dataset, data: bytes) -> Applied:
    """Append the decisions of a patch that the log does not hold; the later decision stands.

    Raises
    ------
    RefusedError
        If the patch is for other data.
    InputError
        If it cannot be read; names the line.
    """
    with _as_file(data) as path:
        return exporting.apply(shelf.workspace, dataset, path)


@contextmanager
def _as_file(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="labeltrace-") as folder:
        path = Path(folder) / "patch.jsonl"
        path.write_bytes(data)
        yield path
