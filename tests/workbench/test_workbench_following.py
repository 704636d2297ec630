"""What follows a training is asked for by whoever ends it, once, whoever looks."""

import numpy as np
import pytest

from audit.jobs import endings, queue
from audit.records.job import JobState
from audit.records.progress import silent
from audit.records.run import Probe, RunState
from audit.store import jobs
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace
from audit.workbench import datasets, runs, scoring, settling
from audit.workbench.datasets import SourceOptions
from audit.workbench.settling import Wishes


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def dataset(workspace, tmp_path, coloured_images):
    images, classes = coloured_images(36)
    np.savez(tmp_path / "colours.npz", images=images, labels=classes)
    return datasets.add(workspace, datasets.plan(tmp_path / "colours.npz", SourceOptions()))[0]


def wishes(**changes):
    return Wishes(device="cpu", epochs=2, image_size=8, **changes)


def score_jobs(workspace):
    return [job for job in jobs.every(workspace) if job.kind == "score"]


def test_the_last_sealed_run_of_a_pair_asks_for_its_scores_and_a_resumed_one_still_does(
    workspace, dataset, until
):
    configs = settling.settle(dataset, wishes(probe=Probe.THRESHOLD))
    (first, job), (second, other) = runs.start(workspace, dataset, configs, methods=["aum"])
    runs.cancel(workspace, other.id)
    queue.follow(workspace, job.id, silent)
    assert score_jobs(workspace) == []
    _, resumed = runs.resume(workspace, second.id)
    ended = queue.follow(workspace, resumed.id, silent)
    assert ended.message == "sealed after 2 epochs"
    until(lambda: all(job.is_over for job in score_jobs(workspace)) and score_jobs(workspace))
    (scored,) = score_jobs(workspace)
    assert (scored.state, scored.message) == (JobState.DONE, "scored with aum")
    assert set(score_rows.latest(workspace, dataset.id)["aum"].run_ids) == {first.id, second.id}


def test_two_that_ask_for_what_follows_ask_once(workspace, dataset):
    (run, job), = runs.start(workspace, dataset, settling.settle(dataset, wishes()))  # fmt: skip
    queue.follow(workspace, job.id, silent)
    run = run_rows.find(workspace, run.id)
    assert run.state is RunState.SEALED
    then = scoring.to_follow(workspace, [run], ["margin", "late_margin"])[run.id]
    carrying = queue.enqueue(workspace, "train", {endings.THEN: then}, device="elsewhere")
    asked = {endings.ask_for_what_follows(workspace, carrying) for _ in range(2)}
    assert len(asked) == 1
    (waiting,) = score_jobs(workspace)
    assert {waiting.id} == asked
    methods = [request["method"] for request in waiting.arguments["requests"]]
    assert methods == ["margin", "late_margin"]
    queue.request_stop(workspace, carrying)
    queue.request_stop(workspace, waiting)


def test_a_job_that_carries_nothing_is_followed_by_nothing(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    assert endings.ask_for_what_follows(workspace, job) is None


def test_a_cancelled_job_says_where_it_stopped(workspace):
    job = queue.enqueue(workspace, "train", {}, device="cpu")
    assert queue.request_stop(workspace, job).message == "cancelled before it began"
