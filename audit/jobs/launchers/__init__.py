"""How a worker process comes to life; ``local`` starts one beside this process."""

from typing import Protocol

from audit.records.job import Job
from audit.store.workspace import Workspace


class Launch(Protocol):
    """Starts a worker for a job and returns at once."""

    def __call__(self, workspace: Workspace, job: Job) -> None:
        """Start a worker that will try to claim the job.

        Parameters
        ----------
        workspace
            Where the job is.
        job
            A queued job; the worker claims it, so a second worker for it does no harm.

        Raises
        ------
        WorkspaceError
            If no process can be started.
        """
        ...
