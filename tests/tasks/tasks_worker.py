"""Workers in trouble: on a full disk, or held up between a sealed folder and its row."""

import os
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit import worker
from audit.jobs import lock
from audit.store import jobs
from audit.store.workspace import Workspace
from audit.tasks import train

LARGEST_FILE = 500_000
"""Bytes: more than database and pixels of the tests need, less than a checkpoint."""


def work_on_a_full_disk() -> int:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    return worker.main()


def stop_before_the_row(path: Path, job_id: str) -> None:
    """Train a run and seal its folder; the row waits for a lock that is never given back."""
    held: list[object] = []

    def report(fraction: float, message: str) -> None:
        if message == "sealing" and not held:
            other = Workspace.open(path)
            transaction = other.writing()
            transaction.__enter__()
            held.extend((other, transaction))

    with Workspace.open(path) as workspace:
        held_lock = lock.try_take(workspace, job_id)
        lock.sign(workspace, job_id)
        job = jobs.claim(workspace, job_id, pid=os.getpid(), now=datetime.now(UTC))
        assert held_lock is not None
        assert job is not None
        train.run(workspace, job, report)


if __name__ == "__main__":
    if sys.argv[1] == "--stop-before-the-row":
        stop_before_the_row(Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(work_on_a_full_disk())
