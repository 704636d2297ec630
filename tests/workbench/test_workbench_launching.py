"""A form is checked before anything starts, and what it describes starts once."""

from pathlib import Path

import numpy as np
import pytest

from audit.errors import InputError, WorkspaceError
from audit.jobs import endings, lock, queue
from audit.records.progress import silent
from audit.records.run import Probe
from audit.store import jobs, runs
from audit.workbench import datasets, launching, serving, settling, watching
from audit.workbench import runs as runs_verbs
from audit.workbench.datasets import SourceOptions
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

TINY = {"epochs": 1, "image_size": 8, "device": "cpu"}


@pytest.fixture
def shelf(tmp_path, coloured_images):
    images, classes = coloured_images(36)
    np.savez(tmp_path / "colours.npz", images=images, labels=classes)
    shelf = Shelf.open(tmp_path / "workspace")
    datasets.add(shelf.workspace, datasets.plan(tmp_path / "colours.npz", SourceOptions()))
    yield shelf
    for launch in watching.survey(shelf).launches:
        launching.cancel(shelf, launch)
    shelf.workspace.close()


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("colours")


def waiting_for_another(shelf):
    """Occupy the CPU, so that what is started only waits."""
    job = queue.enqueue(shelf.workspace, "train", {}, device="cpu")
    jobs.claim(shelf.workspace, job.id, pid=1, now=job.created_at)
    return lock.try_take(shelf.workspace, job.id)


def plan(shelf, dataset, *methods, **wishes):
    return launching.plan(shelf, dataset, methods or ("aum",), Wishes(**(TINY | wishes)))


def test_each_method_brings_the_runs_that_it_needs(shelf, dataset):
    planned = plan(shelf, dataset, "aum", "margin")
    assert [part.methods for part in planned.parts] == [("aum",), ("margin",)]
    assert [len(part.configs) for part in planned.parts] == [2, 1]
    assert planned.problem is None
    assert planned.estimate.low < planned.estimate.high


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"weights": Path("/no/such.npz")}, "There is no weights file '/no/such.npz'"),
        ({"preset": "features", "weights": Path("/no/such.npz")}, "There is no weights file"),
        ({"image_size": 4096}, "between 8 and 1024"),
        ({"epochs": -1}, "epochs must be at least 1"),
        ({"preset": "nothing"}, "There is no preset 'nothing'"),
    ],
)
def test_what_would_fail_is_said_in_a_sentence_before_the_start(shelf, dataset, wishes, sentence):
    planned = plan(shelf, dataset, **wishes)
    assert sentence in planned.problem
    assert "--" not in planned.problem
    with pytest.raises(InputError):
        launching.start(shelf, dataset, ["aum"], Wishes(**(TINY | wishes)), form_id="f")
    assert jobs.every(shelf.workspace) == ()


def test_a_backbone_without_weights_anywhere_is_refused(shelf, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert (
        "no weights for the backbone 'squeezenet'"
        in plan(shelf, dataset, preset="features").problem
    )
    folder = launching.weights_folder()
    folder.mkdir(parents=True)
    (folder / "squeezenet1_0-b66bff10.pth").touch()
    assert plan(shelf, dataset, preset="features", image_size=32).problem is None


def test_weights_outside_the_folders_that_may_be_read_are_refused(
    shelf, dataset, tmp_path, monkeypatch
):
    secret = tmp_path / "secret.npz"
    secret.touch()
    monkeypatch.setenv(serving.DATA_ROOTS, str(tmp_path / "allowed"))
    assert "lie outside" in plan(shelf, dataset, preset="features", weights=secret).problem


def test_moved_data_is_noticed_before_the_start(shelf, dataset, tmp_path):
    (tmp_path / "colours.npz").rename(tmp_path / "elsewhere.npz")
    assert "is no longer at" in plan(shelf, dataset).problem


def test_a_form_that_is_sent_twice_starts_once(shelf, dataset):
    held = waiting_for_another(shelf)
    wishes = Wishes(**TINY)
    first = launching.start(shelf, dataset, ["aum"], wishes, form_id="one")
    again = launching.start(shelf, dataset, ["aum"], wishes, form_id="one")
    # The second click of a double click may come with the next form's identity.
    late = launching.start(shelf, dataset, ["aum"], wishes, form_id="two")
    assert [run.id for run in first] == [run.id for run in again] == [run.id for run in late]
    assert len(runs.all(shelf.workspace)) == 2
    assert plan(shelf, dataset).is_under_way
    # Another seed is another run, and both halves of a probe share a group of their own.
    other = launching.start(shelf, dataset, ["aum"], Wishes(seed=1, **TINY), form_id="three")
    groups = {run.config.probe_group for run in (*first, *other)}
    assert len(groups) == 2
    held.release()


@pytest.mark.parametrize("n_queued", [0, 1, 2])
def test_a_start_that_broke_off_between_two_jobs_is_completed_by_the_second_click(
    shelf, dataset, n_queued
):
    held = waiting_for_another(shelf)
    n_before = len(jobs.every(shelf.workspace))
    with shelf.workspace.writing() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON jobs WHEN (SELECT count(*) FROM jobs) >= "
            f"{n_before + n_queued} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    with pytest.raises(WorkspaceError, match="full"):
        launching.start(shelf, dataset, ["aum", "margin"], Wishes(**TINY), form_id="one")
    with shelf.workspace.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    again = launching.start(shelf, dataset, ["aum", "margin"], Wishes(**TINY), form_id="one")
    assert {run.id for run in again} == {run.id for run in runs.all(shelf.workspace)}
    (launch,) = (x for x in watching.survey(shelf).launches if x.id == "one")
    assert set(launch.jobs) == {run.id for run in again}
    assert len(again) == 3
    for run_id, job in launch.jobs.items():
        assert run_id in job.arguments[endings.THEN]["after"]
    assert len(jobs.every(shelf.workspace)) == n_before + 3
    held.release()


def test_scores_that_a_cancelled_launch_asks_for_at_its_end_are_cancelled_too(shelf, dataset):
    held = waiting_for_another(shelf)
    launching.start(shelf, dataset, ["margin"], Wishes(**TINY), form_id="f")
    (seen,) = (x for x in watching.survey(shelf).launches if x.id == "f")
    # After the listing: what follows was asked for, as a worker does before it says that it is done.
    (run,) = seen.runs
    queue.enqueue(
        shelf.workspace,
        "score",
        {"requests": [{"method": "margin", "runs": [run.id], "params": {}}]},
        device="cpu",
    )
    launching.cancel(shelf, seen)
    (launch,) = (x for x in watching.survey(shelf).launches if x.id == "f")
    assert len(launch.scoring) == 1
    assert not launch.is_under_way
    held.release()


def test_every_training_carries_the_scores_that_are_to_follow(shelf, dataset):
    held = waiting_for_another(shelf)
    started = launching.start(shelf, dataset, ["aum", "margin"], Wishes(**TINY), form_id="f")
    carried = {job.run_id: job.arguments.get(endings.THEN) for job in jobs.every(shelf.workspace)}
    pair = sorted(run.id for run in started if run.config.probe is Probe.THRESHOLD)
    (plain,) = (run.id for run in started if run.config.probe is Probe.NONE)
    assert [carried[run_id]["after"] for run_id in pair] == [pair, pair]
    assert carried[plain]["after"] == [plain]
    assert carried[plain]["arguments"]["requests"][0]["method"] == "margin"
    held.release()


def test_a_part_that_was_trained_before_is_scored_where_it_still_lacks_scores(shelf, dataset):
    configs = settling.settle(dataset, Wishes(**TINY))
    ((run, job),) = runs_verbs.start(shelf.workspace, dataset, configs)
    queue.follow(shelf.workspace, job.id, silent)
    held = waiting_for_another(shelf)
    for _ in range(2):
        started = launching.start(shelf, dataset, ["aum", "margin"], Wishes(**TINY), form_id="f")
    assert {one.config.probe for one in started} == {Probe.THRESHOLD}
    (asked,) = (job for job in jobs.every(shelf.workspace) if job.kind == "score")
    (request,) = asked.arguments["requests"]
    assert (request["method"], request["runs"]) == ("margin", [run.id])
    queue.request_stop(shelf.workspace, asked)
    held.release()


def test_what_waits_is_cancelled_and_resumes_with_what_it_carried(shelf, dataset):
    held = waiting_for_another(shelf)
    started = launching.start(shelf, dataset, ["margin"], Wishes(**TINY), form_id="f")
    (launch,) = watching.survey(shelf).watched
    launching.cancel(shelf, launch)
    (launch,) = (x for x in watching.survey(shelf).launches if x.id == "f")
    assert (launch.is_under_way, launch.resumable[0].id) == (False, started[0].id)
    launching.resume(shelf, launch)
    (launch,) = watching.survey(shelf).watched
    (job,) = launch.jobs.values()
    assert job.arguments[endings.THEN]["after"] == [started[0].id]
    held.release()
