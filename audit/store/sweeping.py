"""Removes what dead processes left, and finishes what they had all but finished.

A folder goes only if it has no row, nobody holds the lock inside it, it carries a name or a lock
file of ours, and it is older than this process: what a living process writes right now stays.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import sqlalchemy as sa

from audit.records.run import RunState
from audit.store import artifacts, database, locks, pixel_names, run_seals
from audit.store.database import Reachable


def sweep(workspace: Reachable) -> None:
    """Remove leftovers and mark runs sealed whose process died just before it could.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be read or written.
    """
    # Folders first, rows after: a row that appears in between only saves its folder.
    folders = {
        name: sorted((workspace.path / name).iterdir())
        for name in ("datasets", "runs", "scores", "comparisons", "trainings", "cache")
    }
    for folder in folders["datasets"]:
        _judge(folder, lambda identity: _has_row(workspace, database.datasets, identity))
    for name in ("scores", "comparisons", "trainings"):
        table = database.METADATA.tables[name]
        for folder in folders[name]:
            _judge(folder, partial(_has_row, workspace, table))
    unsealed = _unsealed(workspace)
    for folder in folders["runs"]:
        if folder.name in unsealed:
            _finish(workspace, folder)
        else:
            _judge(folder, lambda identity: _has_row(workspace, database.runs, identity))
    for folder in folders["cache"]:
        _judge_cache(workspace, folder)


def _judge(folder: Path, has_row: Callable[[str], bool]) -> None:
    identity = artifacts.hidden_identity(folder.name)
    if identity is not None:
        # The hidden folder of a run that has a row waits to be resumed.
        can_resume = folder.parent.name == "runs" and folder.name == f".{identity}.partial"
        _remove_dead(folder, lambda: can_resume and has_row(identity))
    elif (folder / artifacts.LOCK).exists():
        _remove_dead(folder, lambda: has_row(folder.name))


def _judge_cache(workspace: Reachable, folder: Path) -> None:
    if artifacts.hidden_identity(folder.name) is not None:
        _remove_dead(folder, lambda: False)
        return
    dataset_id = pixel_names.dataset_of(folder.name)
    if dataset_id is not None and not _has_row(workspace, database.datasets, dataset_id):
        _remove_dead(folder, lambda: False)


def _remove_dead(folder: Path, is_wanted: Callable[[], bool]) -> None:
    try:
        is_old = folder.stat().st_mtime < psutil.Process().create_time()
    except FileNotFoundError:
        return
    # On disks where locks do nothing, age alone protects what is being written right now.
    if is_old:
        artifacts.remove_dead(folder, is_wanted)


def _finish(workspace: Reachable, folder: Path) -> None:
    lock = locks.take(folder / artifacts.LOCK, wait=False)
    if lock is None:
        return
    with lock:
        run_seals.seal_row(workspace, folder.name)
        (folder / artifacts.LOCK).unlink(missing_ok=True)


def _has_row(workspace: Reachable, table: sa.Table, identity: str) -> bool:
    with workspace.reading() as connection:
        query = sa.select(sa.literal(1)).where(table.c.id == identity)
        return connection.execute(query).first() is not None


def _unsealed(workspace: Reachable) -> frozenset[str]:
    with workspace.reading() as connection:
        query = sa.select(database.runs.c.id).where(database.runs.c.state != RunState.SEALED)
        return frozenset(connection.execute(query).scalars())
