import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from audit.errors import StoppedError, WorkspaceError
from audit.jobs import lock, logs, queue, supervisor
from audit.records.job import JobState
from audit.records.progress import silent
from audit.store import jobs

WORKER = Path(__file__).parent / "jobs_worker.py"


@pytest.fixture
def start(workspace, launch):
    """Enqueue a job and start what can be started."""

    def enqueue(kind, device="cpu", run_id=None, **arguments):
        job = queue.enqueue(workspace, kind, arguments, device=device, run_id=run_id)
        supervisor.start_waiting(workspace, launch=launch)
        return job

    return enqueue


@pytest.fixture
def state_of(workspace):
    return lambda job: jobs.find(workspace, job.id).state


@pytest.fixture
def until_running(state_of, until):
    return lambda job: until(lambda: state_of(job) is JobState.RUNNING)


def test_a_worker_does_a_job_in_a_session_of_its_own(workspace, start, launch):
    seen = []
    job = start("describe", threads=3)
    job = queue.follow(workspace, job.id, lambda *progress: seen.append(progress), launch=launch)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert job.result == {
        "answer": 42,
        "leads_its_session": True,
        "knows_torch": False,
        "threads": "3",
        "wait_policy": "PASSIVE",
    }
    assert (job.fraction, job.message) == (1.0, "done")
    assert job.created_at < job.started_at < job.finished_at
    assert job.pid != os.getpid()
    assert all(0 <= fraction <= 1 and message for fraction, message in seen)


def test_the_real_worker_is_found_wherever_one_stands(workspace, tmp_path, monkeypatch):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "__init__.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)
    job = queue.enqueue(workspace, "no such kind", {}, device="cpu")
    job = queue.follow(workspace, job.id, silent)
    assert job.state is JobState.FAILED
    assert (
        job.error
        == "This version knows no jobs of kind 'no such kind', only compare, estimate_gain, explain, "
        "fit_lstm, score, train."
    )


def test_a_refusal_fails_the_job_with_its_own_sentence(workspace, start, launch):
    job = queue.follow(workspace, start("refuse").id, silent, launch=launch)
    assert job.state is JobState.FAILED
    assert job.error == "The image 'a.png' is no image; leave it out."


@pytest.mark.parametrize(
    ("kind", "words", "logged"),
    [
        ("divide", "Unexpected ZeroDivisionError", "1 // 0"),
        ("answer_badly", "Unexpected TypeError", "not JSON serializable"),
        ("remember", "ran out of memory", "MemoryError"),
    ],
)
def test_a_surprise_fails_the_job_and_names_the_log(workspace, start, launch, kind, words, logged):
    job = queue.follow(workspace, start(kind).id, silent, launch=launch)
    assert job.state is JobState.FAILED
    assert words in job.error
    assert str(jobs.log_path(workspace, job.id)) in job.error
    assert logged in logs.tail(workspace, job.id)


def test_a_worker_that_cannot_write_its_end_does_not_live_on(workspace, start, launch, until):
    job = start("fill_the_disk", run_id="r1")
    lost = until(lambda: queue.reconcile(workspace, launch=launch))
    assert [(j.id, j.state) for j in lost] == [(job.id, JobState.LOST)]


def test_a_queued_job_is_cancelled_at_once_and_never_begins(workspace, tmp_path, launch):
    file = tmp_path / "lines"
    job = queue.enqueue(workspace, "append", {"file": str(file)}, device="cpu")
    assert queue.request_stop(workspace, job, launch=launch).state is JobState.CANCELLED
    late = subprocess.run(
        [sys.executable, "-P", WORKER, "--workspace", workspace.path, job.id],
        env=os.environ | {"PYTHONPATH": str(Path(jobs.__file__).parents[2])},
        check=False,
    )
    assert late.returncode == 0
    assert not file.exists()
    assert jobs.find(workspace, job.id).state is JobState.CANCELLED


def test_a_running_job_stops_when_it_is_asked_to(workspace, start, launch, until_running):
    job = start("wait")
    until_running(job)
    stopped = queue.request_stop(workspace, job, launch=launch)
    assert (stopped.state, stopped.error) == (JobState.CANCELLED, None)


def test_children_that_a_task_forks_end_at_a_signal(workspace, start, launch):
    job = queue.follow(workspace, start("fork").id, silent, launch=launch)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert job.result == {"ended_by": signal.SIGTERM}


def test_a_worker_that_reads_no_signal_stops_at_its_next_report(
    workspace, start, until_running, until, state_of
):
    job = start("wait")
    until_running(job)
    jobs.request_stop(workspace, job.id)
    until(lambda: state_of(job) is JobState.CANCELLED)


def test_a_deaf_worker_is_killed_with_its_children_and_the_next_one_starts(
    workspace, start, launch, until, tmp_path
):
    child = tmp_path / "child"
    job = start("ignore", child=str(child))
    after = start("describe")
    until(lambda: child.exists() and child.read_text())
    stopped = queue.request_stop(workspace, job, launch=launch)
    assert stopped.state is JobState.CANCELLED
    assert not lock.is_held(workspace, job.id)
    until(lambda: not _lives(int(child.read_text())))
    assert queue.follow(workspace, after.id, silent, launch=launch).state is JobState.DONE


def test_stopping_a_job_that_is_over_changes_nothing(workspace, start, launch):
    job = queue.follow(workspace, start("describe").id, silent, launch=launch)
    assert queue.request_stop(workspace, job, launch=launch) == job


@pytest.mark.parametrize(
    ("kind", "end"), [("wait", JobState.DONE), ("wait", JobState.CANCELLED), ("divide", None)]
)
def test_a_finishing_worker_starts_the_next_whatever_its_end(
    workspace, start, until, state_of, tmp_path, kind, end
):
    first = start(kind, until=str(tmp_path / "go"))
    second = start("describe")
    if end is JobState.DONE:
        (tmp_path / "go").touch()
    if end is JobState.CANCELLED:
        until(lambda: jobs.request_stop(workspace, first.id))
    # Only rows are read here: nobody but the first worker can have started the second.
    until(lambda: state_of(second) is JobState.DONE)
    assert state_of(first) is (end or JobState.FAILED)


def test_a_second_job_of_a_device_waits_and_says_for_which(
    workspace, start, launch, until_running, state_of, tmp_path
):
    first = start("wait", until=str(tmp_path / "go"))
    until_running(first)
    second = start("describe")
    elsewhere = start("describe", device="cuda:0")
    assert queue.follow(workspace, elsewhere.id, silent, launch=launch).state is JobState.DONE
    said = []

    def report(fraction, message):
        said.append(message)
        assert state_of(second) is JobState.QUEUED or state_of(first) is JobState.DONE
        (tmp_path / "go").touch()

    assert queue.follow(workspace, second.id, report, launch=launch).state is JobState.DONE
    assert said[0] == f"waiting for job {first.id} (wait) on cpu"
    first, second = (jobs.find(workspace, job.id) for job in (first, second))
    assert first.finished_at <= second.started_at


def test_a_killed_worker_is_noticed_and_the_next_job_starts(
    workspace, start, launch, until_running, state_of, until
):
    first = start("wait", run_id="run7")
    until_running(first)
    second = start("describe")
    os.kill(jobs.find(workspace, first.id).pid, signal.SIGKILL)
    lost = until(lambda: queue.reconcile(workspace, launch=launch))
    assert [(job.id, job.state) for job in lost] == [(first.id, JobState.LOST)]
    assert "ended without a word" in lost[0].error
    assert "labeltrace resume run7" in lost[0].error
    until(lambda: state_of(second) is JobState.DONE)


def test_a_killed_worker_that_was_asked_to_stop_counts_as_cancelled(
    workspace, start, launch, until, tmp_path
):
    job = start("ignore", child=str(tmp_path / "child"))
    until((tmp_path / "child").exists)
    assert jobs.request_stop(workspace, job.id)
    os.killpg(jobs.find(workspace, job.id).pid, signal.SIGKILL)
    (closed,) = until(lambda: queue.reconcile(workspace, launch=launch))
    assert (closed.state, closed.error) == (JobState.CANCELLED, None)


def test_reconcile_leaves_a_job_alone_while_its_lock_is_held(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    held = lock.try_take(workspace, job.id)
    assert held is not None
    assert queue.reconcile(workspace) == ()  # the lock is taken, the claim not yet made
    jobs.claim(workspace, job.id, pid=os.getpid(), now=datetime.now(UTC))
    assert queue.reconcile(workspace) == ()
    assert jobs.find(workspace, job.id).state is JobState.RUNNING
    held.release()
    (lost,) = queue.reconcile(workspace)
    assert lost.state is JobState.LOST
    assert "ask for it again" in lost.error
    assert queue.reconcile(workspace) == ()


def test_a_worker_of_another_machine_is_asked_but_never_signalled(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    held = lock.try_take(workspace, job.id)
    jobs.claim(workspace, job.id, pid=os.getpid(), now=datetime.now(UTC))
    # Our own process id under another host's name: a signal would end this test run.
    jobs.lock_path(workspace, job.id).write_text(f"another-host {os.getpid()}\n")
    asked = queue.request_stop(workspace, job)
    assert (asked.state, asked.stop_requested) == (JobState.RUNNING, True)
    held.release()


def test_many_starts_make_one_worker(workspace, launch, tmp_path):
    file = tmp_path / "lines"
    job = queue.enqueue(workspace, "append", {"file": str(file)}, device="cpu")
    starts = [supervisor.start_waiting(workspace, launch=launch) for _ in range(10)]
    assert sum(starts, ()) == (job.id,)
    queue.follow(workspace, job.id, silent, launch=launch)
    assert file.read_text().split() == [job.id]


def test_of_many_workers_for_one_job_one_does_it(workspace, launch, tmp_path):
    file = tmp_path / "lines"
    job = queue.enqueue(workspace, "append", {"file": str(file)}, device="cpu")
    for _ in range(4):
        launch(workspace, job)
    assert queue.follow(workspace, job.id, silent, launch=launch).state is JobState.DONE
    assert file.read_text().split() == [job.id]


def test_a_worker_that_cannot_be_started_leaves_its_job_queued_and_free(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")

    def launch(workspace, job):
        raise WorkspaceError("no more processes")

    for _ in range(2):
        with pytest.raises(WorkspaceError, match="no more processes"):
            supervisor.start_waiting(workspace, launch=launch)
    assert jobs.find(workspace, job.id) == job


def test_following_ends_when_no_worker_comes_to_life(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")

    def launch(workspace, job):
        jobs.withdraw_worker(workspace, job.id)

    with pytest.raises(WorkspaceError, match=r"3 workers were started .* none began"):
        queue.follow(workspace, job.id, silent, launch=launch)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, StoppedError])
def test_an_interrupted_follower_leaves_the_job_running(
    workspace, start, launch, until_running, state_of, interruption
):
    job = start("wait")
    until_running(job)

    def report(fraction, message):
        raise interruption

    with pytest.raises(interruption):
        queue.follow(workspace, job.id, report, launch=launch)
    assert state_of(job) is JobState.RUNNING


def test_ended_workers_leave_no_zombies(workspace, start, launch, until):
    others = set(psutil.Process().children())  # a browser or a server of other tests
    queue.follow(workspace, start("describe").id, silent, launch=launch)
    until(lambda: set(psutil.Process().children()) <= others)


def test_a_tail_is_the_last_whole_lines(workspace):
    assert logs.tail(workspace, "none") == ""
    jobs.log_path(workspace, "j").write_bytes(b"one\ntwo\n\xff three\n")
    assert logs.tail(workspace, "j") == "one\ntwo\n\ufffd three\n"
    assert logs.tail(workspace, "j", n_bytes=12) == "two\n\ufffd three\n"
    assert logs.tail(workspace, "j", n_bytes=11) == "\ufffd three\n"


def _lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
