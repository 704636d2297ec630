"""Explanations are asked for once, found again, called stale when scores changed, and put in words."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from audit.errors import AuditError, NotFoundError, RefusedError
from audit.jobs import queue
from audit.records.explanation import Course, Explanation, Faithfulness
from audit.records.job import JobState
from audit.records.progress import silent
from audit.store import datasets, jobs, runs, scores
from audit.store.workspace import Workspace
from audit.tasks import explain
from audit.workbench import explaining, explanation_sheets, explanation_words
from audit.workbench.shelf import Shelf


def course(said, given="dog"):
    margins = tuple(1.0 if name == given else -1.0 for name in said)
    return Course(
        run_id="", run_name="", given=given, margins=margins, said=tuple(said), clean=None,
        planted=None,
    )  # fmt: skip


STORIES = [
    (["deer"] * 41 + ["cat"] * 7 + ["dog"] * 12, "The network called it ‘deer’ in 41 of 60 epochs and "
     "took up the given label ‘dog’ only after epoch 48."),
    (["deer", "dog", "deer", "deer", "dog"], "The network called it ‘deer’ in 3 of 5 epochs and took up "
     "the given label ‘dog’ for good only after epoch 4."),
    (["deer", "dog", "dog", "dog"], "The network called it ‘dog’, its given label, in 3 of 4 epochs, "
     "without a break since epoch 2; otherwise ‘deer’."),
    (["cat", "dog", "deer", "cat", "dog", "dog"], "The network called it ‘dog’, its given label, in 3 of "
     "6 epochs, without a break since epoch 5; otherwise mostly ‘cat’."),
    (["dog", "dog", "cat"], "The network called it ‘dog’, its given label, in 2 of 3 epochs, but not "
     "after epoch 2; otherwise ‘cat’."),
    (["dog"] * 5, "The network called it ‘dog’, its given label, in all 5 epochs."),
    (["deer", "cat", "cat"], "The network called it ‘cat’ in 2 of 3 epochs and never took up the given "
     "label ‘dog’."),
    (["cat"] * 3, "The network called it ‘cat’ in all 3 epochs and never took up the given label ‘dog’."),
    (["dog", "cat", "cat"], "The network called it ‘cat’ in 2 of 3 epochs; it gave the given label "
     "‘dog’ in 1 of 3 epochs, the last time in epoch 1."),
    ([None, None, "dog"], "The network called it the extra class in 2 of 3 epochs and took up the given "
     "label ‘dog’ only after epoch 2."),
    (["cat"], "The network called it ‘cat’ in its only epoch and never took up the given label ‘dog’."),
    (["dog"], "The network called it ‘dog’, its given label, in its only epoch."),
]  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), STORIES)
def test_the_story_says_what_the_network_called_it_and_since_when(said, expected):
    assert explanation_words.story(course(said)) == expected


def test_the_story_does_without_names_and_says_that_a_training_diverged():
    bare = replace(course(["cat", "dog"]), said=())
    assert "called it another class in 1 of 2 epochs" in explanation_words.story(bare)
    broken = replace(course(["cat", "dog"]), margins=(1.0, float("nan")))
    assert explanation_words.story(broken).startswith("The training diverged: from epoch 2 on")


def made(**changes):
    found = Explanation(
        method="margin", scores_id="s", run_id="r", sample=0, signals=("margin",), n_epochs=4,
        blocks=((1, 1), (2, 2), (3, 4)), importance=(0.1, -0.5, 0.2), intercept=0.0, r_squared=0.9,
        suspicion=0.98, suspicion_occluded=0.1, baseline_rows=1200, baseline_label=None, n_masks=2000,
        seed=0,
        faithfulness=Faithfulness(
            blocks=(1,), moved=1.5, moved_at_random=0.4, share_less=0.9, n_draws=200, suspicion=0.62,
            suspicion_at_random=0.95,
        ),
    )  # fmt: skip
    return replace(found, **changes)


def test_the_finding_names_the_epochs_that_matter_and_how_far_to_believe_it():
    assert explanation_words.finding(made()) == (
        "A sum over epochs explains 90% of what margin answers (R² 0.90). Epoch 2 matters most: it "
        "lowers the suspicion by 0.5 in log-odds."
    )
    later = explanation_words.finding(made(importance=(0.1, 0.0, 0.2)))
    assert later.endswith("Epochs 3 to 4 matter most: they raise the suspicion by 0.2 in log-odds.")
    doubtful = explanation_words.finding(made(r_squared=0.2999))
    assert doubtful.startswith("Unreliable: a sum over epochs explains only 30% ")
    assert "matter" not in doubtful
    assert explanation_words.finding(made(r_squared=0.3)).startswith(
        "A sum over epochs explains 30%"
    )
    assert "whichever epochs are occluded" in explanation_words.finding(made(r_squared=None))


def test_faithfulness_is_told_in_words_and_only_beside_a_reliable_explanation():
    assert explanation_words.faithfulness(made()) == (
        "Faithful: occluding epoch 2 moves the suspicion from 0.980 to 0.620, further than 180 of 200 "
        "random choices of 1 epoch (1.5 against 0.4 in log-odds)."
    )
    worse = replace(made().faithfulness, share_less=0.3, blocks=(0, 2))
    told = explanation_words.faithfulness(made(faithfulness=worse))
    assert told.startswith("Doubtful: occluding epochs 1 and 3 to 4 moves")
    assert "random choices of 3 epochs" in told
    assert explanation_words.faithfulness(made(r_squared=0.1)) is None
    assert explanation_words.faithfulness(made(faithfulness=None)) is None


@pytest.fixture
def shelf(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


@pytest.fixture
def ask(shelf):
    """Ask for explanations of a sample whose worker never comes; `carry_out` does the work."""

    def asked(position, scores_ids):
        return explaining.start(
            shelf.workspace, position, scores_ids, launch=lambda workspace, job: None
        )

    return asked


def carry_out(workspace, job):
    """Do a job as its worker would."""
    now = datetime.now(UTC)
    assert jobs.claim(workspace, job.id, pid=0, now=now) is not None
    result = explain.run(workspace, job, silent)
    assert jobs.finish(workspace, job.id, JobState.DONE, now=now, result=result)


def scores_id(workspace, dataset, method="margin"):
    return scores.latest(workspace, dataset.id)[method].id


def test_what_is_under_way_is_not_asked_for_twice_and_what_is_finished_is_found(
    shelf, dataset, ask
):
    workspace = shelf.workspace
    wanted = scores_id(workspace, dataset)
    assert explaining.find(workspace, 3, [wanted])[wanted].explanation is None
    job = ask(3, [wanted])
    assert ask(3, [wanted]).id == job.id
    assert ask(4, [wanted]).id != job.id
    assert explaining.find(workspace, 3, [wanted])[wanted].job.id == job.id
    carry_out(workspace, job)
    found = explaining.find(workspace, 3, [wanted])[wanted]
    assert (found.job, found.error) == (None, None)
    assert (found.explanation.sample, found.explanation.method) == (3, "margin")
    assert explaining.collect(jobs.find(workspace, job.id), wanted) == found.explanation
    assert explaining.find(workspace, 5, [wanted])[wanted].explanation is None


def test_a_failure_is_told_until_a_later_attempt_succeeds(shelf, dataset, ask):
    workspace = shelf.workspace
    wanted = scores_id(workspace, dataset)
    first = ask(3, [wanted])
    now = datetime.now(UTC)
    jobs.claim(workspace, first.id, pid=0, now=now)
    jobs.finish(workspace, first.id, JobState.FAILED, now=now, error="It broke.")
    assert explaining.find(workspace, 3, [wanted])[wanted].error == "It broke."
    with pytest.raises(AuditError, match=r"It broke\."):
        explaining.collect(jobs.find(workspace, first.id), wanted)
    second = ask(3, [wanted])
    queue.request_stop(workspace, second, launch=lambda workspace, job: None)
    assert "cancelled" in explaining.find(workspace, 3, [wanted])[wanted].error
    third = ask(3, [wanted])
    carry_out(workspace, third)
    found = explaining.find(workspace, 3, [wanted])[wanted]
    assert found.error is None
    assert found.explanation is not None


def test_an_answer_that_is_no_explanation_is_a_sentence(shelf, dataset, ask):
    workspace = shelf.workspace
    wanted = scores_id(workspace, dataset)
    job = ask(3, [wanted])
    now = datetime.now(UTC)
    jobs.claim(workspace, job.id, pid=0, now=now)
    result = {"explanations": [{"scores": wanted, "explanation": {"blocks": 7}}]}
    jobs.finish(workspace, job.id, JobState.DONE, now=now, result=result)
    assert "another version" in explaining.find(workspace, 3, [wanted])[wanted].error


def test_an_explanation_of_replaced_scores_is_stale(shelf, dataset, ask):
    workspace = shelf.workspace
    old = scores_id(workspace, dataset)
    assert explaining.stale(workspace, dataset, 3, "margin") is None
    carry_out(workspace, ask(3, [old]))
    assert explaining.stale(workspace, dataset, 3, "margin") is None
    stored = scores.load(workspace, old)
    spec = replace(stored.spec, params={"skip_first": 2})
    scores.save(
        workspace, dataset.id, replace(stored, spec=spec), at=datetime(2999, 1, 1, tzinfo=UTC)
    )
    found = explaining.stale(workspace, dataset, 3, "margin")
    assert found.scores_id == old
    assert explaining.stale(workspace, dataset, 4, "margin") is None


def test_scores_are_found_by_one_of_their_runs(shelf, dataset):
    workspace = shelf.workspace
    by_probe = {str(run.config.probe): run for run in runs.all(workspace, dataset.id)}
    probe, plain = by_probe["threshold"], by_probe["none"]
    assert explaining.find_scores(workspace, probe, "aum") == scores_id(workspace, dataset, "aum")
    assert explaining.find_scores(workspace, plain, "aum") is None
    with pytest.raises(NotFoundError, match="no method 'aom'"):
        explaining.find_scores(workspace, plain, "aom")
    queued = replace(plain, state="queued")
    with pytest.raises(RefusedError, match="is queued: there is nothing to explain"):
        explaining.find_scores(workspace, queued, "margin")
    cancelled = replace(plain, state="cancelled")
    assert explaining.find_scores(workspace, cancelled, "margin") is None


def test_a_sample_without_a_suspicion_is_refused_with_the_reason(shelf, stage, tmp_path):
    stage(
        shelf.workspace, tmp_path, name="few", n_samples=40, n_epochs=4, methods=("margin",),
        n_unlabelled=2,
    )  # fmt: skip
    few = datasets.find(shelf.workspace, "few")
    stored = scores.load(shelf.workspace, scores_id(shelf.workspace, few))
    explaining.check(few, stored, 0)
    with pytest.raises(RefusedError, match=r"'39' no suspicion .* no given label"):
        explaining.check(few, stored, 39)
    unscored = replace(
        stored, suspicion=np.full(40, np.nan), quantity=np.full(40, np.nan), flagged=None
    )
    with pytest.raises(RefusedError, match="belongs to the train split"):
        explaining.check(few, unscored, 0)
    broken = replace(few, problems={0: "It is empty."})
    with pytest.raises(RefusedError, match=r"cannot be used \(It is empty\)"):
        explaining.check(broken, unscored, 0)


@pytest.mark.parametrize(("method", "planted"), [("aum", "threshold rows"), ("margin", None)])
def test_a_sheet_has_the_sample_s_own_margins_and_the_bands_of_others(
    shelf, dataset, ask, method, planted
):
    workspace = shelf.workspace
    wanted = scores_id(workspace, dataset, method)
    job = ask(3, [wanted])
    carry_out(workspace, job)
    found = explaining.collect(jobs.find(workspace, job.id), wanted)
    sheet = explanation_sheets.make(shelf, dataset, found)
    dynamics = shelf.dynamics(found.run_id)
    row = int(np.flatnonzero((dynamics.sample == 3) & (dynamics.role == 0))[0])
    assert sheet.course.margins == tuple(dynamics.signals["margin"][:, row].astype(float).tolist())
    assert sheet.course.given == dataset.class_names[dataset.given_labels[3]]
    assert sheet.sample_key == dataset.sample_keys[3]
    assert (sheet.course.planted and sheet.course.planted.name) == planted
    stored = shelf.scores(wanted)
    rows = dynamics.rows(0)
    looks_clean = (
        ~stored.flagged[dynamics.sample[rows]]
        if stored.flagged is not None
        else stored.suspicion[dynamics.sample[rows]] <= np.median(stored.suspicion)
    )
    margins = dynamics.signals["margin"][-1][rows[looks_clean]].astype(float)
    assert sheet.course.clean.middle[-1] == pytest.approx(np.median(margins))
    assert sheet.course.clean.n_rows == len(margins)


def test_a_deleted_run_is_a_sentence(shelf, dataset):
    with pytest.raises(NotFoundError, match="run behind this explanation of margin was deleted"):
        explaining.run_of(shelf.workspace, made(run_id="000000000000"))
