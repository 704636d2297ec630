import os
import time
from functools import partial
from pathlib import Path

import pytest

import audit
from audit.jobs import queue
from audit.jobs.launchers import local
from audit.store import jobs
from audit.store.workspace import Workspace

FOLDER = Path(__file__).parent


@pytest.fixture
def launch():
    return partial(local.launch, program=(str(FOLDER / "jobs_worker.py"),))


@pytest.fixture
def workspace(tmp_path, launch):
    with Workspace.open(tmp_path / "a workspace") as workspace:
        yield workspace
        for job in reversed(jobs.every(workspace)):
            if not job.is_over:
                queue.request_stop(workspace, job, launch=launch)


@pytest.fixture
def until():
    """Wait for a condition, which is the only way these tests wait."""

    def wait(condition, seconds=30.0):
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)
        return value

    return wait


@pytest.fixture
def environment():
    """For programs that a test starts itself."""
    root = str(Path(audit.__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": root}
