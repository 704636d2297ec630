"""What ties a run to its jobs: where both must agree, they are read and changed in one transaction."""

from datetime import datetime

import sqlalchemy as sa

from audit.errors import NotFoundError, RefusedError
from audit.records.job import TRANSITIONS, Job, JobState
from audit.records.run import RunState
from audit.store import database, jobs, references, runs
from audit.store.workspace import Workspace

RESUMABLE = frozenset({RunState.CANCELLED, RunState.FAILED, RunState.LOST})
"""States of a run from which it can go on."""

_UNDER_WAY = frozenset({RunState.QUEUED, RunState.RUNNING})

_STATE_AFTER = {
    JobState.DONE: RunState.LOST,  # a finished training has sealed its run; this one has not
    JobState.FAILED: RunState.FAILED,
    JobState.CANCELLED: RunState.CANCELLED,
    JobState.LOST: RunState.LOST,
}

_runs, _jobs = database.runs, database.jobs


def queue_again(workspace: Workspace, job: Job) -> None:
    """Queue an interrupted run and the job that goes on with it; both or neither.

    Parameters
    ----------
    workspace
        Where they are.
    job
        Queued; its ``run_id`` names the run. Of two processes that resume one run, one is refused.

    Raises
    ------
    NotFoundError
        If there is no such run.
    RefusedError
        If the run is sealed, waiting or running.
    """
    with workspace.writing() as connection:
        row = _locked(connection, job.run_id)
        if row is None:
            raise NotFoundError(f"There is no run {job.run_id}: it was deleted meanwhile.")
        state = RunState(row.state)
        if state not in RESUMABLE:
            reason = "it is finished" if state is RunState.SEALED else f"it is {state}"
            name = references.in_a_line(row.name)
            raise RefusedError(f"Run {name} cannot be resumed: {reason}.")
        _set_state(connection, row.id, RunState.QUEUED)
        connection.execute(jobs.insertion(job))


def settle(workspace: Workspace, run_id: str, *, given_up_before: datetime) -> None:
    """Let a run that counts as under way say what became of its newest job, if that is over.

    A run that is not under way, or whose job is, stays as it is, whatever was known of it before.

    Parameters
    ----------
    workspace, run_id
        The run; nothing happens if it is gone.
    given_up_before
        A run without any job that was made before this moment counts as given up: its maker died.
    """
    is_sealed = False
    with workspace.writing() as connection:
        row = _locked(connection, run_id)
        if row is None or row.state not in _UNDER_WAY:
            return
        newest = connection.execute(
            sa.select(_jobs.c.state, _jobs.c.error)
            .where(_jobs.c.run_id == run_id)
            .order_by(_jobs.c.created_at.desc(), _jobs.c.id.desc())
            .limit(1)
        ).one_or_none()
        if newest is None:
            if row.created_at < given_up_before:
                _set_state(connection, run_id, RunState.CANCELLED)
        elif not TRANSITIONS[JobState(newest.state)]:
            # Whoever would seal it is dead by now, so that what lies there cannot change.
            is_sealed = runs.folder(workspace, run_id).is_dir()
            if not is_sealed:
                state = _STATE_AFTER[JobState(newest.state)]
                _set_state(connection, run_id, state, newest.error)
    if is_sealed:
        runs.seal_row(workspace, run_id)


def _locked(connection: sa.Connection, run_id: str | None) -> sa.Row[tuple[object, ...]] | None:
    # SQLite holds its only write lock already and knows no FOR UPDATE; PostgreSQL needs it.
    query = sa.select(_runs).where(_runs.c.id == run_id).with_for_update()
    return connection.execute(query).one_or_none()


def _set_state(
    connection: sa.Connection, run_id: str, state: RunState, error: str | None = None
) -> None:
    connection.execute(
        sa.update(_runs).where(_runs.c.id == run_id).values(state=str(state), error=error)
    )
