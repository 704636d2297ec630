"""Scoring as a job: sealed once, given again, and said in words."""

import numpy as np
import pytest

from audit.errors import RefusedError
from audit.jobs import queue
from audit.records.progress import silent
from audit.store import scores as score_rows
from audit.tasks import score


@pytest.fixture
def score_here(workspace):
    """Do a scoring job in this process."""

    def carry_out(requests, report=silent):
        arguments = {"requests": requests, "threads": 1}
        job = queue.enqueue(workspace, "score", arguments, device="scoring")
        try:
            return score.run(workspace, job, report)["scores"]
        finally:
            queue.request_stop(workspace, job, launch=lambda workspace, job: None)

    return carry_out


def test_asking_again_gives_what_is_sealed(workspace, dataset, add_run, train_here, score_here):
    run = add_run(dataset)
    train_here(run)
    wanted = [{"method": "margin", "params": {}, "runs": [run.id]}]
    first, second = score_here(wanted), score_here(wanted)
    assert first == second
    (answer,) = first
    assert answer["method"] == "margin"
    sealed = score_rows.load(workspace, answer["id"])
    assert sealed.run_ids == (run.id,)
    assert np.isfinite(sealed.suspicion).all()
    assert list(score_rows.latest(workspace, dataset.id)) == ["margin"]


def test_other_parameters_are_other_scores(dataset, add_run, train_here, score_here):
    run = add_run(dataset)
    train_here(run)
    ids = {
        score_here([{"method": "margin", "params": params, "runs": [run.id]}])[0]["id"]
        for params in ({}, {"skip_first": 2})
    }
    assert len(ids) == 2


def test_progress_names_each_method_in_turn(dataset, add_run, train_here, score_here):
    run = add_run(dataset)
    train_here(run)
    told = []
    score_here(
        [{"method": name, "params": {}, "runs": [run.id]} for name in ("margin", "log_ratio")],
        report=lambda fraction, message: told.append((fraction, message)),
    )
    starts = [entry for entry in told if entry[1].startswith("scoring with")]
    assert starts == [(0.0, "scoring with margin"), (0.5, "scoring with log_ratio")]
    assert told[-1] == (1.0, "scored")


def test_a_run_without_dynamics_is_named(dataset, add_run, score_here):
    run = add_run(dataset)
    with pytest.raises(RefusedError, match=r"Run run 0 is queued, not sealed"):
        score_here([{"method": "margin", "params": {}, "runs": [run.id]}])
