"""What runs and ran is read from rows: which launch, what it waits for, how far, scored or not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from audit.jobs import lock, queue
from audit.records.job import JobState
from audit.records.run import RunState
from audit.store import jobs
from audit.store import runs as run_rows
from audit.workbench import launching, runs, watching
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

TINY = {"epochs": 1, "image_size": 8, "device": "cpu"}


@pytest.fixture
def shelf(staged_copy):
    shelf = Shelf.open(staged_copy)
    yield shelf
    shelf.workspace.close()


@pytest.fixture
def busy(shelf):
    """Occupy the CPU with a job of the test's own, 43 % done."""
    job = queue.enqueue(shelf.workspace, "train", {}, device="cpu")
    held = lock.try_take(shelf.workspace, job.id)
    jobs.claim(shelf.workspace, job.id, pid=1, now=datetime.now(UTC))
    jobs.report(shelf.workspace, job.id, 0.43, "epoch 3 of 7", now=datetime.now(UTC))
    yield job
    held.release()


def start(shelf, *methods, form_id="f", **changes):
    dataset = shelf.dataset("staged")
    return launching.start(shelf, dataset, methods, Wishes(**(TINY | changes)), form_id=form_id)


def test_runs_that_were_started_together_are_one_launch(shelf, busy):
    start(shelf, "aum", "margin")
    first, *others = watching.survey(shelf).launches
    assert first.id == "f"
    assert len(first.runs) == 3
    assert first.is_under_way
    assert sorted(len(launch.runs) for launch in others) == [1, 2], "a probe group, a plain run"
    assert watching.survey(shelf).watched == (first,)
    launching.cancel(shelf, first)


def test_what_is_queued_says_what_it_waits_for(shelf, busy):
    first, second = start(shelf, "aum")
    found = watching.survey(shelf)
    jobs_of = found.watched[0].jobs
    assert watching.waits_for(found, jobs_of[first.id]) == "waits for a train job on cpu"
    assert (
        watching.waits_for(found, jobs_of[second.id]) == "waits for a train job and 1 more on cpu"
    )
    launching.cancel(shelf, found.watched[0])


def test_the_indicator_counts_what_runs_and_what_waits(shelf, busy):
    assert watching.indicator(shelf) == "1 job running · 43\N{NO-BREAK SPACE}%"
    queue.enqueue(shelf.workspace, "train", {}, device="cpu")
    assert watching.indicator(shelf) == "1 job running · 43\N{NO-BREAK SPACE}% · 1 waiting"


def test_nothing_under_way_has_no_indicator(shelf):
    assert watching.indicator(shelf) is None


def test_methods_that_fit_and_are_not_scored_yet_are_offered(shelf):
    offered = {
        len(launch.runs): watching.methods_of(shelf, launch)
        for launch in watching.survey(shelf).launches
    }
    assert offered[2] == (("aum",), ())
    scored, fitting = offered[1]
    assert scored == ("margin",)
    assert {"late_margin", "tanh_epoch", "log_ratio", "mixture"} <= set(fitting)
    assert not {"margin", "aum", "dynacor"} & set(fitting)


def test_facts_are_read_from_the_runs_files(shelf):
    found = watching.survey(shelf)
    rows = watching.facts(shelf, found)
    assert [row.epochs_done for row in rows] == [12, 12, 12]
    assert all(row.n_bytes > 0 and 0 < row.accuracy <= 1 for row in rows)
    assert watching.facts(shelf, found, "another dataset") == []


def test_a_cancelled_run_says_where_it_stopped_and_how_to_go_on(shelf, busy):
    start(shelf, "margin")
    launching.cancel(shelf, watching.survey(shelf).watched[0])
    found = watching.survey(shelf)
    launch = next(launch for launch in found.launches if launch.id == "f")
    (run,) = launch.runs
    standing = watching.standing(shelf, found, run, launch.jobs[run.id])
    assert (str(run.state), standing.sentence) == ("cancelled", "cancelled before it began")
    assert "Resume goes on from the last whole epoch" in watching.next_step(launch)


def test_the_sentence_of_a_failed_run_names_fields_not_flags(shelf, busy):
    (run,) = start(shelf, "margin")
    job = runs.find_job(shelf.workspace, run.id)
    jobs.finish(
        shelf.workspace, job.id, JobState.CANCELLED, before=JobState.QUEUED,
        now=datetime.now(UTC),
    )  # fmt: skip
    sentence = "There is no weights file 'w.npz'; check --weights."
    run_rows.set_state(shelf.workspace, run.id, RunState.FAILED, error=sentence)
    found = watching.survey(shelf)
    launch = next(launch for launch in found.launches if launch.id == "f")
    standing = watching.standing(shelf, found, launch.runs[0], launch.jobs[run.id])
    assert standing.error == "There is no weights file 'w.npz'; check the path."


def test_deleting_a_run_leaves_nothing_to_look_at(shelf):
    before = watching.survey(shelf).launches
    plain = next(launch for launch in before if len(launch.runs) == 1)
    run_rows.delete(shelf.workspace, plain.runs[0].id)
    assert plain.id not in {launch.id for launch in watching.survey(shelf).launches}


def test_time_left_follows_the_speed_of_the_epochs_not_of_the_decoding(shelf, busy):
    speeds = watching._Speeds()

    def at(fraction, now, message="epoch 3 of 7"):
        return speeds.left(replace(busy, message=message, fraction=fraction), now=now)

    assert at(0.05, 100.0, "decoding 3 of 9") is None
    assert at(0.1, 300.0) is None
    assert at(0.55, 345.0) == pytest.approx(45.0)
