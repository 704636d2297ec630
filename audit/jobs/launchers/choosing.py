"""Start a worker the way its job asks for."""

from collections.abc import Mapping

from audit.errors import InputError
from audit.jobs.launchers import Launch, local, torchrun
from audit.records.job import Job
from audit.store.workspace import Workspace

LAUNCHER = "launcher"
"""Argument of a job: a name in `LAUNCHERS`; without it, ``local``."""

LAUNCHERS: Mapping[str, Launch] = {"local": local.launch, "torchrun": torchrun.launch}
"""Ways to start a worker: one process, or several that train together."""


def launch(workspace: Workspace, job: Job) -> None:
    """Start a worker for a job.

    Raises
    ------
    InputError
        If this version does not know the job's launcher.
    WorkspaceError
        If no process can be started.
    """
    name = str(job.arguments.get(LAUNCHER, "local"))
    if name not in LAUNCHERS:
        raise InputError(
            f"This version knows no launcher {name!r}, only {', '.join(sorted(LAUNCHERS))}."
        )
    LAUNCHERS[name](workspace, job)
