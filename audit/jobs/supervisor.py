"""Start a worker wherever a job waits and its device is free."""

import contextlib
from datetime import UTC, datetime, timedelta

from audit.jobs.launchers import Launch, choosing
from audit.store import jobs
from audit.store.workspace import Workspace

PATIENCE = timedelta(seconds=15)
"""How long a started worker may take until it claims its job, before another one is started."""


def start_waiting(workspace: Workspace, *, launch: Launch = choosing.launch) -> tuple[str, ...]:
    """Start a worker for the oldest queued job of every device that has no running job.

    Any number of processes may call this at once and as often as they like: a mark on the row keeps
    them from starting two workers for one job, and should it happen, only one can claim it.

    Parameters
    ----------
    workspace
        Where the jobs are.
    launch
        Starts a worker.

    Returns
    -------
    tuple of str
        Ids of the jobs that a worker was started for.

    Raises
    ------
    WorkspaceError
        If a worker cannot be started; its job stays queued.
    """
    started: list[str] = []
    for job in jobs.next_in_line(workspace):
        now = datetime.now(UTC)
        if not jobs.announce_worker(workspace, job.id, now=now, unless_since=now - PATIENCE):
            continue
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(jobs.withdraw_worker, workspace, job.id)
            launch(workspace, job)
            on_failure.pop_all()
        started.append(job.id)
    return tuple(started)
