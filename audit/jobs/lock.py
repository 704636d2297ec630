"""Whether a worker is alive: it holds an exclusive lock on a file for its whole life.

The kernel gives the lock back when a process ends, however it ends. So there are no process ids
that were given to somebody else, no zombies that look alive and no heartbeats that are merely late.
Programs that a worker starts do not inherit its lock; children that it forks do.
"""

import os
import socket
from dataclasses import dataclass
from typing import Self

from audit.errors import WorkspaceError
from audit.store import jobs, locks
from audit.store.locks import HeldLock
from audit.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a job's lock.

    Parameters
    ----------
    host
        Name of the machine or container; a process id means something there only.
    pid
        Process id on that host.
    """

    host: str
    pid: int

    @classmethod
    def this_process(cls) -> Self:
        """Return the process that asks."""
        return cls(host=socket.gethostname(), pid=os.getpid())


def try_take(workspace: Workspace, job_id: str) -> HeldLock | None:
    """Take a job's lock without waiting.

    Returns
    -------
    HeldLock | None
        Held until it is released or the process ends; ``None`` if somebody else has it.

    Raises
    ------
    WorkspaceError
        If the lock file cannot be made or locked.
    """
    path = jobs.lock_path(workspace, job_id)
    try:
        return locks.take(path, wait=False)
    except OSError as error:
        raise WorkspaceError(
            f"Cannot lock {path} ({error.strerror}); the workspace needs a local disk that you may "
            "write."
        ) from error


def is_held(workspace: Workspace, job_id: str) -> bool:
    """Return whether a living process holds a job's lock."""
    return locks.is_held(jobs.lock_path(workspace, job_id))


def sign(workspace: Workspace, job_id: str) -> None:
    """Write down that this process holds a job's lock; `holder` reads it."""
    signature = Holder.this_process()
    jobs.lock_path(workspace, job_id).write_text(f"{signature.host} {signature.pid}\n")


def holder(workspace: Workspace, job_id: str) -> Holder | None:
    """Return who last signed a job's lock; only `is_held` says whether it still lives."""
    try:
        host, pid = jobs.lock_path(workspace, job_id).read_text().split()
        return Holder(host=host, pid=int(pid))
    except (OSError, ValueError):
        return None


def forget(workspace: Workspace, job_id: str) -> None:
    """Remove the lock file of a job that is over; nobody will ask for it again."""
    jobs.lock_path(workspace, job_id).unlink(missing_ok=True)
