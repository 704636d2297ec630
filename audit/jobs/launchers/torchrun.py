"""Start several processes for one job through ``torchrun``: they meet, share the batches, and end together.

The first of them is the worker: it claims the job, records, and writes how it ended. If it ends without
having done the job, torchrun ends the others.
"""

import os
import shlex
from collections.abc import Sequence

from audit.errors import InputError
from audit.jobs.launchers import local
from audit.records.job import Job
from audit.store.workspace import Workspace

WORKERS = "workers"
"""Argument of a job: how many processes on this machine."""

ARGUMENTS = "LABELTRACE_TORCHRUN"
"""Further arguments of torchrun, for several machines: ``--nnodes 2 --rdzv-endpoint HOST:PORT …``."""


def launch(workspace: Workspace, job: Job) -> None:
    """Start the processes of a job; raises what `local.launch` raises."""
    local.launch(workspace, job, program=program(job))


def program(job: Job) -> Sequence[str]:
    """Return the arguments of Python that start so many workers as a job asks for.

    Raises
    ------
    InputError
        If ``LABELTRACE_TORCHRUN`` cannot be read.
    """
    try:
        further = shlex.split(os.environ.get(ARGUMENTS, ""))
    except ValueError as error:
        raise InputError(f"{ARGUMENTS} cannot be read ({error}): check its quotes.") from error
    meeting = further or ["--standalone"]
    n_workers = str(int(job.arguments.get(WORKERS, 1)))
    return ("-m", "torch.distributed.run", *meeting, "--nproc-per-node", n_workers, *local.WORKER)
