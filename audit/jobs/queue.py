"""Ask for a job, stop it, notice one whose worker died, wait for one."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from audit.errors import WorkspaceError
from audit.jobs import endings, lock, supervisor
from audit.jobs.launchers import Launch, choosing
from audit.records.job import Job, JobState
from audit.records.progress import Report
from audit.store import ids, jobs, run_jobs, runs
from audit.store.workspace import Workspace

GRACE_SECONDS = 1.5
"""How long a worker may take to stop by itself; with the kill after it, under two seconds."""

KILL_SECONDS = 5.0
"""How long to wait for the kernel to clear a killed worker away."""

POLL_SECONDS = 0.05
"""How often a lock or a row is looked at while somebody waits for it to change."""

FOLLOW_SECONDS = 0.2
"""How often `follow` passes progress on."""

MOST_STARTS = 3
"""How many workers `follow` starts for a job before it says that they do not come to life."""


def enqueue(
    workspace: Workspace,
    kind: str,
    arguments: Mapping[str, Any],
    *,
    device: str,
    run_id: str | None = None,
    resumes: bool = False,
) -> Job:
    """Append a job to the queue; `supervisor.start_waiting` brings it to life.

    Parameters
    ----------
    workspace
        Where the job is kept.
    kind
        A kind that ``audit.worker`` knows: ``train``, ``score``.
    arguments
        Plain JSON values that the task understands; ``threads`` also sets the worker's threads.
    device
        What it occupies (``cpu``, ``cuda:0``); one running job per device.
    run_id
        The run that it works for, if it works for one.
    resumes
        Whether that run was interrupted and is to go on: it becomes ``queued`` in the same moment.

    Returns
    -------
    Job
        The queued job.

    Raises
    ------
    NotFoundError, RefusedError
        If a run that is to be resumed is gone, sealed, waiting or running.
    """
    job = Job(
        id=ids.new(),
        kind=kind,
        arguments=dict(arguments),
        device=device,
        state=JobState.QUEUED,
        created_at=datetime.now(UTC),
        run_id=run_id,
    )
    if resumes:
        run_jobs.queue_again(workspace, job)
    else:
        jobs.insert(workspace, job)
    return job


def request_stop(workspace: Workspace, job: Job, *, launch: Launch = choosing.launch) -> Job:
    """Cancel a job: at once while it waits, within two seconds while it runs.

    A running worker is asked first (by its row and by SIGTERM) and killed if it does not listen:
    what it finished before is kept on disk, so its run can be resumed.

    Parameters
    ----------
    workspace
        Where the job is.
    job
        Which job.
    launch
        Starts the next worker after a kill.

    Returns
    -------
    Job
        The job as it is now: ``cancelled``, or another end if it came there first. It is still
        ``running``, with ``stop_requested``, only if its worker belongs to another user or machine;
        then it stops at its next report.
    """
    if jobs.finish(
        workspace,
        job.id,
        JobState.CANCELLED,
        before=JobState.QUEUED,
        now=datetime.now(UTC),
        message=endings.words(replace(job, state=JobState.QUEUED), JobState.CANCELLED),
    ) or not jobs.request_stop(workspace, job.id):
        return jobs.find(workspace, job.id)
    _signal_worker(workspace, job.id, signal.SIGTERM)
    if not _has_ended(workspace, job.id, within=GRACE_SECONDS) and _signal_worker(
        workspace, job.id, signal.SIGKILL
    ):
        _has_ended(workspace, job.id, within=KILL_SECONDS)
    # A worker that stopped by itself has written its end; this answers for one that was killed.
    reconcile(workspace, launch=launch)
    return jobs.find(workspace, job.id)


def reconcile(workspace: Workspace, *, launch: Launch = choosing.launch) -> tuple[Job, ...]:
    """Write down the end of running jobs whose worker is dead, and start what waited for them.

    A worker takes its lock before its claim can be seen and holds it until it ends, having written
    how the job ended. So a free lock beside a row that still says ``running`` means that nobody is
    left to write it.

    Parameters
    ----------
    workspace
        Where the jobs are.
    launch
        Starts the next worker.

    Returns
    -------
    tuple of Job
        The jobs that were closed: ``lost``, ``cancelled`` where a stop had been asked for, or
        ``done`` where the run lay sealed already.
    """
    closed: list[Job] = []
    for job in jobs.running(workspace):
        held = lock.try_take(workspace, job.id)
        if held is None:
            continue
        try:
            is_ours = _close(workspace, job)
            # Over by now, whoever wrote it: nobody else will ask for the lock file.
            lock.forget(workspace, job.id)
            if is_ours:
                closed.append(jobs.find(workspace, job.id))
        finally:
            held.release()
    if closed:
        supervisor.start_waiting(workspace, launch=launch)
    return tuple(closed)


def follow(
    workspace: Workspace, job_id: str, report: Report, *, launch: Launch = choosing.launch
) -> Job:
    """Wait until a job is over and pass its progress on.

    Whatever interrupts the wait (Ctrl-C, or a report that raises) leaves the job as it is.

    Parameters
    ----------
    workspace
        Where the job is.
    job_id
        Full id of the job.
    report
        Told the fraction and message of the row, or what a queued job waits for.
    launch
        Starts the worker, should none have been started.

    Returns
    -------
    Job
        The job at its end, whichever it is.

    Raises
    ------
    NotFoundError
        If there is no such job.
    WorkspaceError
        If its device is free and yet no worker comes to life.
    """
    n_starts = 0
    while True:
        reconcile(workspace, launch=launch)
        job = jobs.find(workspace, job_id)
        if job.is_over:
            return job
        if job.state is JobState.RUNNING:
            report(job.fraction, job.message)
        else:
            n_starts += job.id in supervisor.start_waiting(workspace, launch=launch)
            if n_starts > MOST_STARTS:
                raise WorkspaceError(
                    f"{MOST_STARTS} workers were started for job {job.id} and none began to work; "
                    f"read {jobs.log_path(workspace, job.id)}, then cancel the job."
                )
            report(0.0, _what_it_waits_for(workspace, job))
        time.sleep(FOLLOW_SECONDS)


def _close(workspace: Workspace, job: Job) -> bool:
    now = datetime.now(UTC)
    if job.run_id is not None and runs.folder(workspace, job.run_id).is_dir():
        # It died between its last deed and the row: there is nothing left to resume.
        runs.seal_row(workspace, job.run_id)
        endings.ask_for_what_follows(workspace, job)
        return _finish(
            workspace, job, JobState.DONE, now, {"run": job.run_id, "already_sealed": True}
        )
    if job.stop_requested:
        return _finish(workspace, job, JobState.CANCELLED, now)
    next_step = (
        f"continue it with 'labeltrace resume {job.run_id}'" if job.run_id else "ask for it again"
    )
    error = (
        f"The worker of job {job.id} ended without a word, perhaps killed or out of memory; "
        f"{next_step}."
    )
    return _finish(workspace, job, JobState.LOST, now, error=error)


def _finish(
    workspace: Workspace,
    job: Job,
    state: JobState,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    *,
    error: str | None = None,
) -> bool:
    message = endings.words(job, state, result)
    return jobs.finish(
        workspace, job.id, state, now=now, result=result, error=error, message=message
    )


def _what_it_waits_for(workspace: Workspace, job: Job) -> str:
    for other in jobs.running(workspace):
        if other.device == job.device:
            return f"waiting for job {other.id} ({other.kind}) on {job.device}"
    return "waiting for a worker"


def _has_ended(workspace: Workspace, job_id: str, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while not jobs.find(workspace, job_id).is_over and lock.is_held(workspace, job_id):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _signal_worker(workspace: Workspace, job_id: str, number: signal.Signals) -> bool:
    """Return whether the worker could be signalled; one of another machine or user cannot."""
    holder = lock.holder(workspace, job_id)
    if holder is None or holder.host != lock.Holder.this_process().host:
        return False
    if not lock.is_held(workspace, job_id):
        return False
    try:
        os.killpg(holder.pid, number)
    except ProcessLookupError:
        # Not the leader of a group (started by hand), so there is no group of that number.
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder.pid, number)
    except PermissionError:
        return False
    return True
