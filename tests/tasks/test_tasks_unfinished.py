"""Scores of runs that did not come to their end."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.errors import RefusedError, StoppedError, WorkspaceError
from audit.jobs import queue
from audit.records.explanation import Explanation
from audit.records.progress import silent
from audit.records.run import Probe, RunState
from audit.store import artifacts, dynamics, locks
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store import unfinished as unfinished_runs
from audit.tasks import explain, score, unfinished
from audit.workbench import scoring


@pytest.fixture
def score_here(workspace):
    """Score runs by their ids in this process; return what is stored."""

    def carry_out(method, *run_ids):
        requests = [{"method": method, "params": {}, "runs": list(run_ids)}]
        arguments = {"requests": requests, "threads": 1}
        job = queue.enqueue(workspace, "score", arguments, device="scoring")
        try:
            (answer,) = score.run(workspace, job, silent)["scores"]
        finally:
            queue.request_stop(workspace, job, launch=lambda workspace, job: None)
        return score_rows.load(workspace, answer["id"]), answer["id"]

    return carry_out


@pytest.fixture
def cancel_after(workspace, train_here):
    """Train a run until it has so many whole epochs, then stop it as a person would."""

    def carry_out(run, n_epochs):
        def stop(fraction, message):
            if len(dynamics.curves(workspace, run)) >= n_epochs:
                raise StoppedError("Somebody asked to stop.")

        with pytest.raises(StoppedError):
            train_here(run, stop)
        return run_rows.find(workspace, run.id)

    return carry_out


@pytest.mark.parametrize("method", ["margin", "log_ratio"])
def test_what_is_there_is_scored_as_a_shorter_run_would_be(
    workspace, dataset, add_run, train_here, cancel_after, score_here, method
):
    # At a constant learning rate three epochs of six are those of a run of three.
    short, long = add_run(dataset, epochs=3), add_run(dataset, epochs=6)
    train_here(short)
    long = cancel_after(long, 3)
    assert long.state is RunState.CANCELLED
    whole, _ = score_here(method, short.id)
    there, _ = score_here(method, long.id)
    assert_array_equal(there.quantity, whole.quantity)
    assert_array_equal(there.suggested_label, whole.suggested_label)
    assert (there.suggested_label >= 0).any()
    assert there.epochs == {long.id: 3}
    assert there.messages[0] == (
        f"Run {long.name} was cancelled after 3 of 6 epochs; these scores rest on 3."
    )
    assert whole.epochs == {}
    assert whole.messages == ()


def test_the_finished_run_has_scores_of_its_own_which_are_the_newest(
    workspace, dataset, add_run, train_here, cancel_after, score_here
):
    run = add_run(dataset, epochs=5)
    run = cancel_after(run, 2)
    _, early = score_here("margin", run.id)
    assert score_here("margin", run.id)[1] == early
    run = cancel_after(run, 3)
    _, later = score_here("margin", run.id)
    train_here(run)
    finished, final = score_here("margin", run.id)
    assert len({early, later, final}) == 3
    assert score_rows.latest(workspace, dataset.id)["margin"].id == final
    assert finished.messages == ()
    # All are of this run, and go with it.
    run_rows.delete(workspace, run.id)
    assert score_rows.all(workspace, dataset.id) == []


def test_scores_of_fewer_epochs_are_explained_by_those_also_after_the_run_went_on(
    workspace, dataset, add_run, train_here, cancel_after, score_here
):
    def explained(scores_id):
        arguments = {"sample": 5, "scores": [scores_id], "threads": 1}
        job = queue.enqueue(workspace, "explain", arguments, device="scoring")
        try:
            (answer,) = explain.run(workspace, job, silent)["explanations"]
        finally:
            queue.request_stop(workspace, job, launch=lambda workspace, job: None)
        return Explanation.from_json(answer["explanation"])

    run = cancel_after(add_run(dataset, epochs=5), 3)
    early, scores_id = score_here("margin", run.id)
    before = explained(scores_id)
    assert before.n_epochs == 3
    assert before.suspicion == pytest.approx(early.suspicion[5], abs=1e-9)
    train_here(run)
    after = explained(scores_id)
    assert (after.n_epochs, after.importance) == (3, before.importance)
    _, final = score_here("margin", run.id)
    assert explained(final).n_epochs == 5


def test_a_probe_group_is_scored_when_both_parts_have_enough_epochs(
    workspace, dataset, add_run, train_here, cancel_after, score_here
):
    parts = [
        add_run(dataset, epochs=4, probe=Probe.THRESHOLD, probe_group="g", probe_part=part)
        for part in (0, 1)
    ]
    train_here(parts[0])
    cancel_after(parts[1], 1)
    with pytest.raises(RefusedError, match=r"run 1 is cancelled, not sealed: it has 1 of 4 epochs"):
        scoring.requests(workspace, [parts[0].id], ["aum"])
    cancel_after(parts[1], 2)
    (wanted,) = scoring.requests(workspace, [parts[0].id], ["aum"])
    found, _ = score_here("aum", *(run.id for run in wanted.runs))
    assert found.epochs == {parts[1].id: 2}
    assert found.messages[0].startswith("Run run 1 was cancelled after 2 of 4 epochs")
    assert found.flagged is not None


def test_a_lost_or_failed_run_says_how_it_ended(
    workspace, dataset, add_run, cancel_after, score_here
):
    run = cancel_after(add_run(dataset, epochs=4), 2)
    for state, words in ((RunState.LOST, "was lost"), (RunState.FAILED, "failed")):
        run_rows.set_state(workspace, run.id, state)
        job_run = run_rows.find(workspace, run.id)
        answer, _ = score_here("margin", run.id)
        told = unfinished.told(replace(answer, messages=()), [job_run], {run.id: 2}).messages
        assert told == (f"Run {run.name} {words} after 2 of 4 epochs; these scores rest on 2.",)


def test_a_run_that_somebody_records_right_now_is_refused(
    workspace, dataset, add_run, cancel_after, score_here
):
    run = cancel_after(add_run(dataset, epochs=4), 2)
    lock = run_rows.working_folder(workspace, run.id) / artifacts.LOCK
    held = locks.take(lock, wait=False)
    with pytest.raises(RefusedError, match="is running, not sealed: wait until it is over"):
        scoring.requests(workspace, [run.id], ["margin"])
    with pytest.raises(RefusedError, match="is running, not sealed: wait until it is over"):
        score_here("margin", run.id)
    held.release()
    assert np.isfinite(score_here("margin", run.id)[0].suspicion).all()


def test_scoring_leaves_the_run_as_it_was(workspace, dataset, add_run, cancel_after, score_here):
    run = cancel_after(add_run(dataset, epochs=4), 2)
    folder = run_rows.working_folder(workspace, run.id)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    score_here("margin", run.id)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_planted_labels_of_a_run_that_was_interrupted_are_refused(
    workspace, dataset, add_run, cancel_after
):
    base = cancel_after(add_run(dataset, epochs=4), 3)
    planted = add_run(dataset, epochs=4, probe=Probe.PLANTED, base_run=base.id)
    run_rows.set_state(workspace, planted.id, RunState.CANCELLED)
    runs = [base, run_rows.find(workspace, planted.id)]
    with pytest.raises(
        RefusedError, match="Run run 0, from which labels were planted, is cancelled"
    ):
        unfinished_runs.check(workspace, runs)


def test_a_damaged_checkpoint_is_one_sentence(
    workspace, dataset, add_run, cancel_after, score_here
):
    run = cancel_after(add_run(dataset, epochs=4), 2)
    dynamics.checkpoint_path(workspace, run).write_bytes(b"cut")
    with pytest.raises(WorkspaceError, match="has a damaged checkpoint"):
        score_here("margin", run.id)
