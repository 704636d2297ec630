"""Explaining as a job: plain values in the row, the same each time, one method's failure told."""

import json

import numpy as np
import pytest

from audit.errors import AuditError, StoppedError, UnreliableError
from audit.jobs import queue
from audit.records.explanation import Explanation
from audit.records.progress import silent
from audit.store import scores as score_rows
from audit.tasks import explain, score


@pytest.fixture
def scored(workspace, dataset, add_run, train_here):
    """Give the ids of two methods' scores of one trained run, in which every sample took part."""
    run = add_run(dataset)
    train_here(run)
    requests = [
        {"method": name, "params": {}, "runs": [run.id]} for name in ("margin", "log_ratio")
    ]
    job = queue.enqueue(workspace, "score", {"requests": requests}, device="scoring")
    ids = [answer["id"] for answer in score.run(workspace, job, silent)["scores"]]
    queue.request_stop(workspace, job, launch=lambda workspace, job: None)
    return ids


@pytest.fixture
def explain_here(workspace):
    """Do a job of explaining in this process."""

    def carry_out(scores_ids, sample=0, report=silent, **more):
        arguments = {"sample": sample, "scores": scores_ids, "threads": 1, **more}
        job = queue.enqueue(workspace, "explain", arguments, device="scoring")
        try:
            return explain.run(workspace, job, report)["explanations"]
        finally:
            queue.request_stop(workspace, job, launch=lambda workspace, job: None)

    return carry_out


def test_every_method_is_explained_in_order_with_plain_values(workspace, scored, explain_here):
    answers = explain_here(scored, sample=5)
    assert [answer["scores"] for answer in answers] == scored
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers
    for answer, method in zip(answers, ("margin", "log_ratio"), strict=True):
        found = Explanation.from_json(answer["explanation"])
        assert (found.method, found.sample, found.n_epochs) == (method, 5, 3)
        assert len(found.importance) == 3
    margin = Explanation.from_json(answers[0]["explanation"])
    stored = score_rows.load(workspace, scored[0])
    np.testing.assert_allclose(margin.suspicion, stored.suspicion[5], atol=1e-9)


def test_asking_again_gives_the_same_and_another_seed_another_draw(scored, explain_here):
    assert explain_here(scored[:1]) == explain_here(scored[:1])
    other = explain_here(scored[:1], seed=1)[0]["explanation"]
    assert other["seed"] == 1
    assert other["importance"] != explain_here(scored[:1])[0]["explanation"]["importance"]


def test_progress_rises_over_all_methods(scored, explain_here):
    told = []
    explain_here(scored, report=lambda fraction, message: told.append((fraction, message)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert dict.fromkeys(message for _, message in told) == {
        "explaining margin": None, "explaining log_ratio": None,
    }  # fmt: skip


def test_a_method_that_can_say_nothing_is_told_beside_the_others(scored, explain_here):
    missing = "0" * 64
    answers = explain_here([missing, scored[0]])
    assert "error" in answers[0]
    assert "explanation" in answers[1]
    with pytest.raises(AuditError, match="0000"):
        explain_here([missing])


def test_a_wish_to_stop_is_heard(scored, explain_here):
    def stop(fraction, message):
        raise StoppedError("Somebody asked to stop.")

    with pytest.raises(StoppedError):
        explain_here(scored, report=stop)


def test_a_sample_that_no_run_trained_is_refused_with_a_sentence(
    workspace, dataset, scored, explain_here
):
    assert dataset.n_samples == 32
    with pytest.raises(UnreliableError, match="trained sample 4000 under its given label"):
        explain_here(scored, sample=4000)
