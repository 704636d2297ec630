"""Jobs: rows that move along legal transitions only, however many processes pull at them.

Every move is one ``UPDATE`` that names the state it leaves, so that of two processes that want to
move a job only one can. Times enter as arguments. A queued job's heartbeat is the moment a worker
was last started for it, a running job's the moment its worker last wrote.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from audit.errors import RefusedError
from audit.records.job import TRANSITIONS, Job, JobState
from audit.store import database, references
from audit.store.workspace import Workspace

_jobs = database.jobs
_QUEUED, _RUNNING = JobState.QUEUED.value, JobState.RUNNING.value


def insert(workspace: Workspace, job: Job) -> None:
    """Append a queued job.

    Raises
    ------
    RefusedError
        If it is not queued: only `claim` and `finish` move a job on.
    """
    statement = insertion(job)
    with workspace.writing() as connection:
        connection.execute(statement)


def insertion(job: Job) -> sa.Insert:
    """Return what `insert` executes, for a transaction that changes more than the job.

    Raises
    ------
    RefusedError
        If it is not queued: only `claim` and `finish` move a job on.
    """
    if job.state is not JobState.QUEUED:
        raise RefusedError(f"A new job must be queued, job {job.id} is {job.state.value}.")
    values = {column.name: getattr(job, column.name) for column in _jobs.columns}
    values |= {"state": job.state.value, "arguments": dict(job.arguments)}
    return _jobs.insert().values(values)


def insert_once(workspace: Workspace, job: Job) -> bool:
    """Append a queued job unless one with its id was appended before; return whether it was new."""
    statement = insertion(job)
    with workspace.writing() as connection:
        known = connection.execute(sa.select(_jobs.c.id).where(_jobs.c.id == job.id)).first()
        if known is None:
            connection.execute(statement)
    return known is None


def find(workspace: Workspace, name: str) -> Job:
    """Return the job with an id, or the only one whose id begins with it.

    Parameters
    ----------
    workspace
        Where to look.
    name
        Id, or the beginning of one.

    Raises
    ------
    NotFoundError
        If there is no such job, or if several ids begin so.
    """
    with workspace.reading() as connection:
        job_id = references.resolve(connection, _jobs, name, noun="job")
        return _record(connection.execute(sa.select(_jobs).where(_jobs.c.id == job_id)).one())


def every(
    workspace: Workspace, *, run_id: str | None = None, kind: str | None = None
) -> tuple[Job, ...]:
    """Return all jobs, oldest first; only those that work for a run, or are of a kind, if one is given."""
    of_run = sa.true() if run_id is None else _jobs.c.run_id == run_id
    of_kind = sa.true() if kind is None else _jobs.c.kind == kind
    return _select(workspace, of_run, of_kind)


def running(workspace: Workspace) -> tuple[Job, ...]:
    """Return the running jobs, oldest first; whether their workers live is not known here."""
    return _select(workspace, _jobs.c.state == _RUNNING)


def under_way(workspace: Workspace) -> tuple[Job, ...]:
    """Return the jobs that wait or run, oldest first."""
    return _select(workspace, _jobs.c.state.in_([_QUEUED, _RUNNING]))


def next_in_line(workspace: Workspace) -> tuple[Job, ...]:
    """Return the oldest queued job of every device that has no running job."""
    busy = sa.select(_jobs.c.device).where(_jobs.c.state == _RUNNING)
    waiting = _select(workspace, _jobs.c.state == _QUEUED, _jobs.c.device.not_in(busy))
    oldest: dict[str, Job] = {}
    for job in waiting:
        oldest.setdefault(job.device, job)
    return tuple(oldest.values())


def announce_worker(
    workspace: Workspace, job_id: str, *, now: datetime, unless_since: datetime
) -> bool:
    """Note that a worker is about to be started for a queued job.

    Parameters
    ----------
    workspace, job_id
        Which job.
    now
        The moment.
    unless_since
        Refuse if a worker was announced at or after this moment and has not been withdrawn.

    Returns
    -------
    bool
        Whether the caller is the one to start it.
    """
    silent = sa.or_(_jobs.c.heartbeat_at.is_(None), _jobs.c.heartbeat_at < unless_since)
    return _update(workspace, job_id, JobState.QUEUED, silent, heartbeat_at=now)


def withdraw_worker(workspace: Workspace, job_id: str) -> None:
    """Take `announce_worker` back: no worker is on its way to this queued job."""
    _update(workspace, job_id, JobState.QUEUED, heartbeat_at=None)


def claim(workspace: Workspace, job_id: str, *, pid: int, now: datetime) -> Job | None:
    """Move a queued job to running, if no other job runs on its device.

    Parameters
    ----------
    workspace, job_id
        Which job.
    pid
        The process that will work on it, which already holds the lock of `lock_path`.
    now
        The moment.

    Returns
    -------
    Job | None
        The running job, or ``None`` if it is not queued any more or its device is busy.
    """
    other = _jobs.alias("other")
    is_busy = sa.exists().where(other.c.device == _jobs.c.device, other.c.state == _RUNNING)
    statement = (
        _jobs.update()
        .where(_jobs.c.id == job_id, _jobs.c.state == _QUEUED, ~is_busy)
        .values(state=_RUNNING, pid=pid, message="starting", started_at=now, heartbeat_at=now)
        .returning(*_jobs.c)
    )
    with workspace.writing() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else _record(row)


def report(
    workspace: Workspace, job_id: str, fraction: float, message: str, *, now: datetime
) -> bool:
    """Write a running job's progress.

    Parameters
    ----------
    workspace, job_id
        Which job.
    fraction
        Part of the work that is done; kept within [0, 1], not a number counts as 0.
    message
        What is being done.
    now
        The moment; becomes the heartbeat.

    Returns
    -------
    bool
        Whether the work should stop: somebody asked for it, or the job does not run any more.
    """
    kept = 0.0 if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    statement = (
        _jobs.update()
        .where(_jobs.c.id == job_id, _jobs.c.state == _RUNNING)
        .values(fraction=kept, message=message, heartbeat_at=now)
        .returning(_jobs.c.stop_requested)
    )
    with workspace.writing() as connection:
        stop_requested = connection.execute(statement).scalar_one_or_none()
    return stop_requested is None or stop_requested


def request_stop(workspace: Workspace, job_id: str) -> bool:
    """Ask a running job to stop and return whether it was running."""
    return _update(workspace, job_id, JobState.RUNNING, stop_requested=True)


def finish(
    workspace: Workspace,
    job_id: str,
    state: JobState,
    *,
    now: datetime,
    before: JobState = JobState.RUNNING,
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
    message: str | None = None,
) -> bool:
    """Move a job to one of its ends.

    Parameters
    ----------
    workspace, job_id
        Which job.
    state
        ``done``, ``failed``, ``cancelled`` or ``lost``.
    now
        The moment.
    before
        The state that it leaves: the move is made only if the job is still there.
    result
        Plain JSON values that the task left.
    error
        One sentence, for ``failed`` and ``lost``.
    message
        What became of it, a few words; what it said last stays if not given.

    Returns
    -------
    bool
        Whether this call moved it; not if somebody else did before.

    Raises
    ------
    RefusedError
        If no job may ever move so.
    """
    if state not in TRANSITIONS[before] or TRANSITIONS[state]:
        raise RefusedError(f"A {before.value} job cannot end as {state.value}.")
    values: dict[str, Any] = {
        "state": state.value,
        "finished_at": now,
        "result": None if result is None else dict(result),
        "error": error,
    }
    if message is not None:
        values["message"] = message
    if state is JobState.DONE:
        values["fraction"] = 1.0
    return _update(workspace, job_id, before, **values)


def lock_path(workspace: Workspace, job_id: str) -> Path:
    """Return the file whose lock a job's worker holds for its whole life."""
    return workspace.path / "jobs" / f"{job_id}.lock"


def log_path(workspace: Workspace, job_id: str) -> Path:
    """Return the file that a job's workers write their words to."""
    return workspace.path / "jobs" / f"{job_id}.log"


def _select(workspace: Workspace, *conditions: sa.ColumnElement[bool]) -> tuple[Job, ...]:
    with workspace.reading() as connection:
        rows = connection.execute(
            sa.select(_jobs).where(*conditions).order_by(_jobs.c.created_at, _jobs.c.id)
        ).all()
    return tuple(_record(row) for row in rows)


def _update(
    workspace: Workspace,
    job_id: str,
    before: JobState,
    *conditions: sa.ColumnElement[bool],
    **values: object,
) -> bool:
    statement = (
        _jobs.update()
        .where(_jobs.c.id == job_id, _jobs.c.state == before.value, *conditions)
        .values(values)
        .returning(_jobs.c.id)
    )
    with workspace.writing() as connection:
        return connection.execute(statement).one_or_none() is not None


def _record(row: sa.Row[Any]) -> Job:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - public, whatever the underscore
    values["state"] = JobState(values["state"])
    return Job(**values)
