"""The worker process: one job from claim to end, then the next worker.

``python -m audit.worker --workspace DIR JOB_ID``, started by a launcher. It takes the job's lock
before it claims the row and holds it until the process ends: `audit.jobs.lock` says why. Tasks are
imported when they are called, so that a worker that finds nothing to do costs little.
"""

import argparse
import errno
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from audit.errors import AuditError, InputError, StoppedError
from audit.jobs import endings, lock, queue, supervisor
from audit.jobs.launchers import Launch, choosing, local
from audit.records.job import Job, JobState
from audit.records.progress import Report
from audit.store import jobs
from audit.store.locks import HeldLock
from audit.store.workspace import Workspace

Task = Callable[[Workspace, Job, Report], Mapping[str, Any]]
"""A long verb: does the job's work, reports, returns plain JSON values."""

TASKS: Mapping[str, str] = {
    "train": "audit.tasks.train:run",
    "score": "audit.tasks.score:run",
    "explain": "audit.tasks.explain:run",
    "fit_lstm": "audit.tasks.fit_lstm:run",
    "compare": "audit.tasks.compare:run",
    "estimate_gain": "audit.tasks.estimate_gain:run",
}
"""Kind of job → ``module:function`` of its `Task`, imported when it is called."""

FOLLOWERS: Mapping[str, str] = {"train": "audit.tasks.train:follow"}
"""Kind of job → what every process of a crew but the first does."""

WRITE_SECONDS = 0.25
"""Progress is written to the row at most this often."""

RETRY_SECONDS = 5.0
"""After a write that failed, the next one waits this long."""

LOCK_SECONDS = 10.0
"""How long to wait for the lock of a job that is still queued."""


def work(
    workspace: Workspace,
    job_id: str,
    *,
    tasks: Mapping[str, str] = TASKS,
    launch: Launch = choosing.launch,
) -> bool:
    """Claim a job, do it, write how it ended, start the next worker.

    A job that is already claimed, over, or waiting for its device is left alone. Whatever happens
    in the task is written into the row; only a row that cannot be written raises. The job's lock
    stays held after the return, until this process ends.

    Parameters
    ----------
    workspace
        Where the job is.
    job_id
        Full id of the job.
    tasks
        Kind of job → ``module:function`` of its `Task`.
    launch
        Starts the next worker.

    Returns
    -------
    bool
        Whether this process did the job.

    Raises
    ------
    NotFoundError
        If there is no such job.
    WorkspaceError
        If the end of the job cannot be written; whoever looks next finds it ``lost``.
    """
    stop = StopSignal()
    is_done = False
    held = _take_lock(workspace, job_id)
    if held is not None:
        lock.sign(workspace, job_id)
        job = jobs.claim(workspace, job_id, pid=os.getpid(), now=datetime.now(UTC))
        if job is None:
            # So that the worker that frees the device may start another one for it at once.
            jobs.withdraw_worker(workspace, job_id)
            held.release()
        else:
            is_done = _carry_out(workspace, job, tasks=tasks, stop=stop)
            lock.forget(workspace, job_id)
    queue.reconcile(workspace, launch=launch)
    supervisor.start_waiting(workspace, launch=launch)
    return is_done


def help_with(workspace: Workspace, job_id: str) -> None:
    """Do this process's part of a job that the first of a crew has claimed, or will claim."""
    job = jobs.find(workspace, job_id)
    _find_task(job.kind, FOLLOWERS)(workspace, job)


class StopSignal:
    """Remembers SIGTERM and SIGINT from its making on, instead of dying of them."""

    def __init__(self) -> None:
        self.is_set = False
        self._owner = os.getpid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            # A forked child has nobody to tell: it ends, as whoever signals it expects.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.is_set = True


class RowReport:
    """A `Report` that writes to the job's row and carries the wish to stop back.

    The signal is looked at in every call; the row is written, and its wish read, at most every
    `WRITE_SECONDS`.
    """

    def __init__(self, workspace: Workspace, job_id: str, stop: StopSignal) -> None:
        self._workspace = workspace
        self._job_id = job_id
        self._stop = stop
        self._next_write = 0.0
        self._logged = ""

    def __call__(self, fraction: float, message: str) -> None:
        """Write progress if it is time to, and raise `StoppedError` if the job is to stop."""
        if not self._stop.is_set and time.monotonic() >= self._next_write:
            self._write(fraction, message)
        if self._stop.is_set:
            raise StoppedError(f"Job {self._job_id} was asked to stop.")

    def _write(self, fraction: float, message: str) -> None:
        now = datetime.now(UTC)
        self._say(now, message)
        try:
            if jobs.report(self._workspace, self._job_id, fraction, message, now=now):
                self._stop.is_set = True
            self._next_write = time.monotonic() + WRITE_SECONDS
        except AuditError as error:
            # A busy database or a full disk costs a line of progress, not hours of work.
            _log(f"Progress of job {self._job_id} was not written: {error}\n")
            self._next_write = time.monotonic() + RETRY_SECONDS

    def _say(self, now: datetime, message: str) -> None:
        """Log what is new: every epoch, and of other work when it begins."""
        new = message if message.startswith("epoch ") else message.translate(_NO_DIGITS)
        if new != self._logged:
            self._logged = new
            _log(f"{now:%Y-%m-%d %H:%M:%S}Z {message}\n")


_NO_DIGITS = str.maketrans("", "", "0123456789")


def _take_lock(workspace: Workspace, job_id: str) -> HeldLock | None:
    """Return the job's lock, or ``None`` if another worker has claimed it, or it is over.

    Another worker or `queue.reconcile` may hold the lock for a moment without claiming the job.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while jobs.find(workspace, job_id).state is JobState.QUEUED and time.monotonic() < deadline:
        held = lock.try_take(workspace, job_id)
        if held is not None:
            return held
        time.sleep(queue.POLL_SECONDS)
    return None


def _carry_out(
    workspace: Workspace, job: Job, *, tasks: Mapping[str, str], stop: StopSignal
) -> bool:
    state, result, error = JobState.DONE, None, None
    try:
        task = _find_task(job.kind, tasks)
        answer = dict(task(workspace, job, RowReport(workspace, job.id, stop)))
        json.dumps(answer)  # what cannot be stored is the task's fault, not the database's
        result = answer
        _ask_for_what_follows(workspace, job)
    except StoppedError:
        state = JobState.CANCELLED
    except BaseException as failure:  # noqa: BLE001 - the border: the row must say how it ended
        _log("".join(traceback.format_exception(failure)))
        # What breaks while the process group is being told to stop breaks because of that.
        state = JobState.CANCELLED if stop.is_set else JobState.FAILED
        error = None if stop.is_set else _sentence(workspace, job, failure)
    message = endings.words(jobs.find(workspace, job.id), state, result)
    jobs.finish(
        workspace,
        job.id,
        state,
        now=datetime.now(UTC),
        result=result,
        error=error,
        message=message,
    )
    _log(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z {message}\n")
    return state is JobState.DONE


def _ask_for_what_follows(workspace: Workspace, job: Job) -> None:
    # Before the row says that it is done: whoever finds this process dead will ask again.
    try:
        endings.ask_for_what_follows(workspace, job)
    except AuditError as error:
        _log(f"What was to follow job {job.id} was not asked for: {error}\n")


def _find_task(kind: str, tasks: Mapping[str, str]) -> Callable[..., Any]:
    if kind not in tasks:
        raise InputError(
            f"This version knows no jobs of kind {kind!r}, only {', '.join(sorted(tasks))}."
        )
    module, function = tasks[kind].split(":")
    return getattr(importlib.import_module(module), function)


def _sentence(workspace: Workspace, job: Job, failure: BaseException) -> str:
    if isinstance(failure, AuditError):
        return str(failure)
    log_path = jobs.log_path(workspace, job.id)
    if isinstance(failure, MemoryError):
        return (
            f"The {job.kind} job ran out of memory; close other programs or choose smaller images "
            f"(the log {log_path} says where it happened)."
        )
    if isinstance(failure, OSError) and failure.errno in {errno.ENOSPC, errno.EDQUOT}:
        place = failure.filename or workspace.path
        return f"The disk that holds {place} is full: free some space and try again."
    text = " ".join(str(failure).split())[:300]
    return f"Unexpected {type(failure).__name__}: {text or 'no message'}; see the log {log_path}."


def _log(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        # The log lies on a disk that may be full; the row is still to be written.
        return


def main(
    arguments: Sequence[str] | None = None,
    *,
    tasks: Mapping[str, str] = TASKS,
    launch: Launch = choosing.launch,
) -> int:
    """Run one job as a process.

    Parameters
    ----------
    arguments
        Command line without the program's name.
    tasks, launch
        As for `work`.

    Returns
    -------
    int
        0, also when the job failed (its row says so); 1 if its end could not be written. The first
        process of a crew returns 1 whenever the job was not done, so that torchrun ends the others.
    """
    parser = argparse.ArgumentParser(prog="audit.worker", description="Work on one queued job.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("job_id")
    options = parser.parse_args(arguments)
    try:
        url = os.environ.get(local.DATABASE_URL) or None
        with Workspace.open(options.workspace, database_url=url) as workspace:
            if int(os.environ.get("RANK", "0")):
                help_with(workspace, options.job_id)
                return 0
            is_done = work(workspace, options.job_id, tasks=tasks, launch=launch)
    except AuditError as error:
        _log(f"{error}\n")
        return 1
    return 0 if is_done or "RANK" not in os.environ else 1


if __name__ == "__main__":
    sys.exit(main())
