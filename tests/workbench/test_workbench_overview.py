"""The overview: counts worked by hand, and the next step of every state."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from audit.jobs import endings, lock, queue
from audit.records.decision import Verdict
from audit.records.run import RunState
from audit.records.scores import DetectorSpec, Scores
from audit.store import jobs
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import demo, export_runs, launching, overview, reviewing, suspects, watching
from audit.workbench import runs as run_verbs
from audit.workbench.overview import Step
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State


@pytest.fixture
def shelf(tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        yield Shelf(workspace)


@pytest.fixture
def make(stage, shelf, tmp_path):
    """Stage a finished audit of 120 samples in the shelf's workspace."""
    return lambda **options: stage(shelf.workspace, tmp_path, **options)


def decide(shelf, dataset, positions, verdict, **options):
    for position in positions:
        key = dataset.sample_keys[position]
        reviewing.decide(shelf.workspace, dataset, key, verdict, reviewer="ann", **options)


def scores(name, quantity):
    quantity = np.array(quantity, dtype=np.float64)
    return Scores(
        run_ids=("run",),
        spec=DetectorSpec(name=name, version=1),
        suspicion=np.where(np.isnan(quantity), np.nan, 0.5),
        quantity_name=name,
        quantity=quantity,
        suggested_label=np.full(len(quantity), -1, np.int32),
    )


def test_the_top_cut_takes_a_share_of_the_scored_samples_rounded_up():
    low_is_suspect = scores("margin", [5, 1, 4, np.nan, 2, 3])
    assert overview.top_cut(low_is_suspect, 0.2) == 1
    assert overview.top_cut(low_is_suspect, 0.21) == 2
    assert overview.top_cut(low_is_suspect, 1.0) == 5
    assert overview.top_cut(scores("margin", [np.nan, np.nan])) is None


def test_an_empty_workspace_has_no_cards(shelf):
    assert overview.cards(shelf) == ()


def test_a_dataset_without_runs_is_to_be_trained(shelf, make):
    make(methods=())
    (card,) = overview.cards(shelf)
    assert (card.n_samples, card.n_classes, card.n_runs) == (120, 5, 0)
    assert (card.suspects, card.n_decided, card.step) == (None, 0, Step.TRAIN)


def test_suspects_of_a_method_with_a_cut_are_its_undecided_flags(shelf, make):
    dataset = make(methods=("aum", "margin"))
    flagged = np.flatnonzero(suspects.ranked(shelf, dataset, "aum").scores.flagged)
    (card,) = overview.cards(shelf)
    assert (card.suspects.method, card.suspects.cut) == ("aum", None)
    assert card.suspects.n_found == card.n_left == len(flagged) > 3
    assert card.step is Step.REVIEW

    decide(shelf, dataset, flagged[:2], Verdict.KEEP)
    decide(shelf, dataset, flagged[2:3], Verdict.EXCLUDE)
    unflagged = np.setdiff1d(np.arange(120), flagged)[:1]
    decide(shelf, dataset, unflagged, Verdict.UNSURE)
    (card,) = overview.cards(shelf)
    assert (card.suspects.n_found, card.n_left) == (len(flagged), len(flagged) - 3)
    assert card.verdicts == {Verdict.KEEP: 2, Verdict.EXCLUDE: 1, Verdict.UNSURE: 1}
    assert card.n_decided == 4


def test_the_first_suspects_are_the_most_suspicious_that_nobody_decided_on(shelf, make):
    dataset = make(methods=("margin",))
    order = suspects.ranked(shelf, dataset, "margin").order
    (card,) = overview.cards(shelf)
    assert card.suspects.first == tuple(order[:6])
    decide(shelf, dataset, order[:2], Verdict.KEEP)
    (card,) = overview.cards(shelf)
    assert card.suspects.first == tuple(order[2:6])


def test_a_method_without_a_cut_suspects_the_top_of_its_ranking_as_the_review_lists_it(shelf, make):
    dataset = make(methods=("margin",))
    (card,) = overview.cards(shelf)
    assert (card.suspects.n_found, card.n_left) == (6, 6), "5 % of 120"
    filters = Filters(method="margin", state=State.TODO, cut=card.suspects.cut)
    listed = suspects.select(shelf, dataset, filters)
    assert tuple(listed.positions) == card.suspects.first


def test_a_dataset_whose_suspects_are_decided_is_to_be_exported(shelf, make):
    dataset = make(methods=("margin",))
    decide(shelf, dataset, overview.cards(shelf)[0].suspects.first, Verdict.KEEP)
    (card,) = overview.cards(shelf)
    assert (card.n_left, card.step) == (0, Step.EXPORT)


def test_what_was_exported_is_done_until_somebody_decides_again(shelf, make, tmp_path):
    dataset = make(methods=("margin",))
    decide(shelf, dataset, overview.cards(shelf)[0].suspects.first, Verdict.KEEP)
    order = export_runs.Order(form="csv", out=tmp_path / "labels.csv")
    ended = export_runs.start(shelf, dataset, order, wait=30)
    assert ended.state is export_runs.ExportState.DONE
    (card,) = overview.cards(shelf)
    assert (card.n_since_export, card.step) == (0, Step.DONE)
    decided = suspects.ranked(shelf, dataset, "margin").order
    decide(shelf, dataset, decided[6:8], Verdict.EXCLUDE)
    (card,) = overview.cards(shelf)
    assert (card.n_since_export, card.step) == (2, Step.EXPORT)
    failed = export_runs.start(shelf, dataset, order, wait=30)
    assert failed.state is export_runs.ExportState.FAILED
    assert overview.cards(shelf)[0].n_since_export == 2
    export_runs.start(shelf, dataset, replace(order, out=tmp_path / "no" / "where.csv"), wait=30)
    assert overview.cards(shelf)[0].n_since_export == 2


def test_a_sealed_run_without_scores_is_to_be_scored(shelf, make):
    dataset = make(methods=("margin",))
    (run,) = run_rows.all(shelf.workspace, dataset.id)
    with shelf.workspace.writing() as connection:
        connection.exec_driver_sql("DELETE FROM scores")
    (card,) = overview.cards(shelf)
    assert run.state is RunState.SEALED
    assert (card.suspects, card.step) == (None, Step.SCORE)


def test_a_failed_run_is_explained_in_its_own_words(shelf, make):
    dataset = make(methods=())
    run = failing(shelf, dataset)
    (card,) = overview.cards(shelf)
    assert card.step is Step.EXPLAIN
    assert card.troubles == (f"Run {run.name} failed: The loss is not finite.",)


def test_a_failed_run_does_not_stand_before_suspects_that_are_there(shelf, make):
    failing(shelf, make(methods=("margin",)))
    (card,) = overview.cards(shelf)
    assert card.step is Step.REVIEW
    assert len(card.troubles) == 1


def failing(shelf, dataset):
    (config,) = launching.plan(
        shelf, dataset, ("margin",), Wishes(preset="quick", device="cpu")
    ).configs
    run = run_verbs._add(shelf.workspace, dataset, config)
    run_rows.set_state(shelf.workspace, run.id, RunState.FAILED, error="The loss is not finite.")
    return run


def test_files_that_are_gone_are_to_be_found_before_anything_else_goes_on(shelf, make, tmp_path):
    make(methods=("margin",))
    (tmp_path / "staged.npz").rename(tmp_path / "elsewhere.npz")
    (card,) = overview.cards(shelf)
    assert (card.step, card.is_moved) == (Step.FIND, True)
    assert card.troubles == (f"Its files are no longer at {tmp_path / 'staged.npz'}.",)


def test_the_most_urgent_dataset_comes_first(shelf, make):
    make(name="new", methods=())
    make(name="scored", methods=("margin",))
    failing(shelf, make(name="broken", methods=()))
    done = make(name="done", methods=("margin",))
    decide(shelf, done, overview.card(shelf, done.id).suspects.first, Verdict.KEEP)
    assert [card.name for card in overview.cards(shelf)] == ["broken", "scored", "done", "new"]


def test_the_last_activity_is_the_last_decision(shelf, make):
    dataset = make(methods=("margin",))
    before = overview.cards(shelf)[0].last_activity
    decide(shelf, dataset, [0], Verdict.KEEP)
    assert before < overview.cards(shelf)[0].last_activity <= datetime.now(UTC)


def test_a_demo_begun_twice_is_one_dataset_and_one_run_that_will_be_scored(shelf):
    # Its device is taken, so that the run only waits.
    other = queue.enqueue(shelf.workspace, "train", {}, device="cpu")
    with lock.try_take(shelf.workspace, other.id):
        jobs.claim(shelf.workspace, other.id, pid=1, now=other.created_at)
        first = demo.begin(shelf)
        assert demo.begin(shelf).id == first.id
        (card,) = overview.cards(shelf)
        (launch,) = watching.survey(shelf).launches
        launching.cancel(shelf, launch)
    assert (card.name, card.n_samples, card.n_runs, card.step) == ("digits", 1797, 1, Step.WATCH)
    (work,) = card.work
    assert (work.fraction, work.sentence) == (0, "waits for a train job on cpu")
    assert overview.is_busy([card])
    (job,) = launch.jobs.values()
    assert job.arguments[endings.THEN]["arguments"]["requests"][0]["method"] == "margin"
