"""Start a worker as a process of its own on this machine."""

import os
import site
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import audit
from audit.errors import WorkspaceError
from audit.records.job import Job
from audit.store import jobs
from audit.store.workspace import Workspace

WORKER = ("-m", "audit.worker")
"""What Python runs; a workspace and a job id follow."""

DATABASE_URL = "LABELTRACE_DATABASE_URL"
"""Tells the worker another database than SQLite in the workspace, out of sight of ``ps``."""


def launch(workspace: Workspace, job: Job, *, program: Sequence[str] = WORKER) -> None:
    """Start a worker for a job; it outlives this process and its terminal.

    Parameters
    ----------
    workspace
        Where the job is.
    job
        A queued job.
    program
        Arguments of Python that name the worker's program.

    Raises
    ------
    WorkspaceError
        If the log cannot be written or the process cannot be started.
    """
    log_path = jobs.log_path(workspace, job.id)
    # -P: a folder named `audit` where somebody happens to stand is not our package.
    command = [sys.executable, "-P", *program, "--workspace", str(workspace.path), job.id]
    try:
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=workspace.path,
                env=_environment(workspace, job),
                start_new_session=True,  # Ctrl-C and a closed terminal do not reach it
            )
    except OSError as error:
        raise WorkspaceError(
            f"Cannot start a worker for job {job.id} ({error}); free some memory or disk, then "
            "look again with 'labeltrace list jobs'."
        ) from error
    # Somebody must wait for a child, or it stays a zombie as long as this process lives.
    threading.Thread(target=process.wait, name=f"worker of {job.id}", daemon=True).start()


def _environment(workspace: Workspace, job: Job) -> Mapping[str, str]:
    environment = dict(os.environ)
    environment["PYTHONUNBUFFERED"] = "1"
    # Spinning threads of two processes on the same cores slow each other down many times over.
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if "threads" in job.arguments:
        environment["OMP_NUM_THREADS"] = str(int(job.arguments["threads"]))
    if workspace.database_url is not None:
        environment[DATABASE_URL] = workspace.database_url
    else:
        environment.pop(DATABASE_URL, None)
    root = Path(audit.__file__).resolve().parents[1]
    if root not in _installation_folders():
        # Imported from a checkout that is merely on the path: the worker must find the same one.
        old = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), old)))
    return environment


def _installation_folders() -> frozenset[Path]:
    names = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return frozenset(Path(name).resolve() for name in (*names, site.getusersitepackages()))
