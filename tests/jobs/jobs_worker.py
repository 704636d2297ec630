"""A worker program whose tasks do what the tests need; started as a process, never imported."""

import os
import resource
import signal
import sys
import time
from functools import partial
from pathlib import Path

from audit import worker
from audit.errors import InputError
from audit.jobs.launchers import local


def describe(workspace, job, report):
    report(0.5, "half way")
    return {
        "answer": 42,
        "leads_its_session": os.getsid(0) == os.getpid(),
        "knows_torch": "torch" in sys.modules,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
    }


def wait(workspace, job, report):
    """Report until the file named ``until`` is there, or until told to stop."""
    deadline = time.monotonic() + 60
    while not Path(job.arguments.get("until", "/no/such/file")).exists():
        report(0.25, "waiting")
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return {}


def ignore(workspace, job, report):
    """Hear neither a signal nor the row; a forked child shares the lock and is as deaf."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(0.1, "deaf")
    child = os.fork()
    if child:
        Path(job.arguments["child"]).write_text(str(child))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(1)
    os._exit(1)


def fork(workspace, job, report):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"I live")
        time.sleep(60)
        os._exit(1)
    os.read(reading, 6)  # Python forgets signals that come while a child is being made
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    return {"ended_by": os.WTERMSIG(status)}


def append(workspace, job, report):
    with Path(job.arguments["file"]).open("a") as file:
        file.write(job.id + "\n")
    return {}


def refuse(workspace, job, report):
    raise InputError("The image 'a.png' is no image; leave it out.")


def divide(workspace, job, report):
    return {"ratio": 1 // 0}


def remember(workspace, job, report):
    raise MemoryError


def answer_badly(workspace, job, report):
    return {"path": Path()}


def fill_the_disk(workspace, job, report):
    """From here on no file of this process can grow, neither the database nor the log."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    report(0.5, "cannot be written")
    return {}


TASKS = {
    task.__name__: f"__main__:{task.__name__}"
    for task in (
        describe,
        wait,
        ignore,
        fork,
        append,
        refuse,
        divide,
        remember,
        answer_badly,
        fill_the_disk,
    )
}

if __name__ == "__main__":
    sys.exit(worker.main(tasks=TASKS, launch=partial(local.launch, program=(__file__,))))
