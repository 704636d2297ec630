import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.errors import NotFoundError, RefusedError
from audit.jobs import queue
from audit.records.job import TRANSITIONS, Job, JobState
from audit.store import jobs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLAIMER = Path(__file__).parent / "jobs_claimer.py"


def test_a_queued_job_comes_back_as_it_was_put_in(workspace):
    job = queue.enqueue(workspace, "train", {"é": [1, None]}, device="cuda:0", run_id="run1")
    assert jobs.find(workspace, job.id) == job
    assert jobs.find(workspace, job.id[:-1]) == job
    assert jobs.every(workspace, run_id="run1") == (job,)
    assert jobs.every(workspace, run_id="run2") == ()


def test_an_unknown_job_is_not_found_and_the_sentence_says_what_exists(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    with pytest.raises(NotFoundError, match=job.id):
        jobs.find(workspace, "nothing")


def test_a_job_cannot_be_put_in_running(workspace):
    job = Job(
        id="j", kind="train", arguments={}, device="cpu", state=JobState.RUNNING, created_at=NOW
    )
    with pytest.raises(RefusedError, match="must be queued"):
        jobs.insert(workspace, job)


def test_a_device_has_one_running_job(workspace):
    first = queue.enqueue(workspace, "train", {}, device="cpu")
    second = queue.enqueue(workspace, "train", {}, device="cpu")
    other = queue.enqueue(workspace, "train", {}, device="cuda:0")
    claimed = jobs.claim(workspace, first.id, pid=7, now=NOW)
    assert claimed is not None
    assert (claimed.state, claimed.pid, claimed.started_at) == (JobState.RUNNING, 7, NOW)
    assert jobs.claim(workspace, first.id, pid=8, now=NOW) is None
    assert jobs.claim(workspace, second.id, pid=8, now=NOW) is None
    assert jobs.claim(workspace, other.id, pid=8, now=NOW) is not None
    assert jobs.finish(workspace, first.id, JobState.DONE, now=NOW, result={"a": 1})
    assert jobs.claim(workspace, second.id, pid=8, now=NOW) is not None
    done = jobs.find(workspace, first.id)
    assert (done.result, done.fraction, done.finished_at) == ({"a": 1}, 1.0, NOW)


def test_the_next_in_line_are_the_oldest_of_every_free_device(workspace):
    running, _ = (queue.enqueue(workspace, "train", {}, device="cpu") for _ in range(2))
    oldest, _ = (queue.enqueue(workspace, "train", {}, device="cuda:0") for _ in range(2))
    jobs.claim(workspace, running.id, pid=1, now=NOW)
    assert jobs.next_in_line(workspace) == (oldest,)


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.5, 0.5), (-1.0, 0.0), (7.0, 1.0), (float("nan"), 0.0)]
)
def test_progress_stays_a_fraction(workspace, fraction, kept):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    jobs.claim(workspace, job.id, pid=1, now=NOW)
    assert not jobs.report(workspace, job.id, fraction, "epoch 3", now=NOW + timedelta(seconds=1))
    row = jobs.find(workspace, job.id)
    assert (row.fraction, row.message) == (kept, "epoch 3")
    assert row.heartbeat_at == NOW + timedelta(seconds=1)


def test_a_report_carries_the_wish_to_stop_back(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    assert not jobs.request_stop(workspace, job.id), "a queued job is cancelled, not asked"
    jobs.claim(workspace, job.id, pid=1, now=NOW)
    assert not jobs.report(workspace, job.id, 0.1, "", now=NOW)
    assert jobs.request_stop(workspace, job.id)
    assert jobs.report(workspace, job.id, 0.1, "", now=NOW)


def test_a_report_to_a_job_that_somebody_closed_says_stop_and_writes_nothing(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    jobs.claim(workspace, job.id, pid=1, now=NOW)
    jobs.finish(workspace, job.id, JobState.LOST, now=NOW, error="gone")
    assert jobs.report(workspace, job.id, 0.9, "still here", now=NOW)
    assert jobs.find(workspace, job.id).message == "starting"


def test_one_worker_is_announced_per_job_until_it_is_late_or_withdrawn(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")

    def announce(seconds):
        now = NOW + timedelta(seconds=seconds)
        return jobs.announce_worker(
            workspace, job.id, now=now, unless_since=now - timedelta(seconds=10)
        )

    assert [announce(0), announce(9), announce(11), announce(12)] == [True, False, True, False]
    jobs.withdraw_worker(workspace, job.id)
    assert announce(13)


MOVES = st.one_of(
    st.just(("claim",)),
    st.just(("request_stop",)),
    st.just(("report",)),
    st.tuples(st.just("finish"), st.sampled_from(JobState), st.sampled_from(JobState)),
)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moves=st.lists(MOVES, max_size=6))
def test_a_job_only_ever_makes_legal_transitions(workspace, moves):
    job = queue.enqueue(workspace, "train", {}, device=f"device {len(jobs.every(workspace))}")
    before = job.state
    for move in moves:
        moved = None
        match move:
            case ("claim",):
                moved = jobs.claim(workspace, job.id, pid=1, now=NOW) is not None
            case ("request_stop",):
                jobs.request_stop(workspace, job.id)
            case ("report",):
                jobs.report(workspace, job.id, 0.5, "", now=NOW)
            case ("finish", left, state):
                try:
                    moved = jobs.finish(workspace, job.id, state, before=left, now=NOW)
                except RefusedError:
                    assert state not in TRANSITIONS[left] or state is JobState.RUNNING
                    moved = False
                else:
                    assert state in TRANSITIONS[left]
        after = jobs.find(workspace, job.id)
        assert after.state == before or after.state in TRANSITIONS[before]
        assert moved in (None, after.state != before)
        assert (after.finished_at is not None) == after.is_over
        before = after.state


def test_eight_processes_claim_sixty_jobs_exactly_once(workspace, environment):
    wanted = [queue.enqueue(workspace, "train", {}, device=f"d{i % 5}").id for i in range(60)]
    claimers = [
        subprocess.Popen(
            [sys.executable, CLAIMER, workspace.path],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(8)
    ]
    outputs = [claimer.communicate(timeout=60)[0].split() for claimer in claimers]
    assert [claimer.returncode for claimer in claimers] == [0] * 8
    assert Counter(chain.from_iterable(outputs)) == Counter(wanted)
    assert {job.state for job in jobs.every(workspace)} == {JobState.DONE}
