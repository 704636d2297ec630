"""Provisional suspects: the ranking of a running run's whole epochs, stored nowhere, marked as such."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.errors import NotFoundError, RefusedError
from audit.numerics import ranking
from audit.records.dynamics import Role
from audit.records.run import RunState
from audit.store import dynamics, unfinished
from audit.store import runs as run_rows
from audit.store.dynamics import DynamicsWriter
from audit.store.workspace import Workspace
from audit.workbench import (
    provisional,
    queues,
    ranking_state,
    ranking_view,
    sample_view,
    suspects,
    trajectories,
)
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State

METHOD = provisional.METHOD


@pytest.fixture
def shelf(staged_copy):
    """Give a workspace with a probe group of two runs and a plain one, of twelve epochs each."""
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


@pytest.fixture
def restless(monkeypatch):
    """Let every look at a new epoch be worth its while."""
    monkeypatch.setattr(provisional, "REST_SECONDS", 0.0)
    monkeypatch.setattr(provisional, "_REST_TIMES", 0.0)


def train(shelf, interrupt, number, n_epochs):
    """Let one of the staged runs be one that is being trained, with some epochs written."""
    run = run_rows.all(shelf.workspace)[number]
    return interrupt(shelf.workspace, run, n_epochs=n_epochs, state=RunState.RUNNING)


def write_another_epoch(shelf, run):
    rows = dynamics.saved_rows(shelf.workspace, run)
    there = unfinished.load(shelf.workspace, run)
    with DynamicsWriter.open(shelf.workspace, run, rows) as writer:
        values = {name: signal[0] for name, signal in there.signals.items()}
        writer.write_epoch(there.n_epochs, values, progress={"loss": 1.0, "accuracy": 0.5})


def test_it_is_the_default_ranking_of_the_epochs_so_far(shelf, dataset, interrupt):
    run = train(shelf, interrupt, -1, 7)
    found = provisional.find(shelf, dataset)
    margins = unfinished.load(shelf.workspace, run).signals["margin"]
    assert len(margins) == 7
    assert_array_equal(found.scores.quantity, ranking.tanh_epoch(margins))
    assert found.scores.spec.name == "tanh_epoch"
    assert found.in_words == f"Provisional: run {run.name}, epoch 7 of 12; not final."
    seen = suspects.ranked(shelf, dataset, METHOD)
    assert_array_equal(seen.order, np.argsort(found.scores.quantity, kind="stable"))
    assert seen.method == METHOD
    assert run.id in seen.scores_id


def test_what_a_probe_planted_has_no_place_in_the_list(shelf, dataset, interrupt):
    run = train(shelf, interrupt, 0, 3)
    recorded = unfinished.load(shelf.workspace, run)
    planted = set(recorded.sample[recorded.role == Role.THRESHOLD].tolist())
    assert planted
    shown = suspects.select(shelf, dataset, Filters(method=METHOD)).positions
    assert set(shown.tolist()) == set(range(dataset.n_samples)) - planted
    suggested = provisional.find(shelf, dataset).scores.suggested_label
    assert suggested.max() < dataset.n_classes, "the extra class of a threshold probe is none"


def test_a_suggestion_is_the_likeliest_other_class_of_the_last_epoch(shelf, dataset, interrupt):
    run = train(shelf, interrupt, -1, 5)
    others = unfinished.load(shelf.workspace, run).signals["best_other_class"]
    assert_array_equal(provisional.find(shelf, dataset).scores.suggested_label, others[4])


def test_a_new_epoch_is_added_to_what_was_summed_up_before(shelf, dataset, interrupt, restless):
    run = train(shelf, interrupt, -1, 5)
    before = provisional.find(shelf, dataset)
    assert not provisional.is_stale(shelf, before)
    write_another_epoch(shelf, run)
    assert provisional.is_stale(shelf, before)
    after = provisional.find(shelf, dataset)
    assert (before.n_epochs, after.n_epochs) == (5, 6)
    margins = unfinished.load(shelf.workspace, run).signals["margin"]
    assert_array_equal(after.scores.quantity, ranking.tanh_epoch(margins))


def test_a_look_is_shown_for_a_while_before_the_next_epoch_is_looked_at(shelf, dataset, interrupt):
    run = train(shelf, interrupt, -1, 5)
    before = provisional.find(shelf, dataset)
    write_another_epoch(shelf, run)
    assert provisional.find(shelf, dataset) is before
    assert not provisional.is_stale(shelf, before)


def test_only_a_run_with_an_epoch_offers_it(shelf, dataset, interrupt):
    assert METHOD not in suspects.methods_now(shelf, dataset)
    with pytest.raises(NotFoundError, match="No run of dataset 'staged' is being trained"):
        suspects.ranked(shelf, dataset, METHOD)
    run = train(shelf, interrupt, -1, 0)
    assert METHOD not in suspects.methods_now(shelf, dataset)
    assert "no epoch has finished yet" in ranking_state.no_provisional(shelf, dataset)
    write_epochs_of_nothing(shelf, run)
    assert suspects.methods_now(shelf, dataset)[-1] == METHOD
    assert METHOD not in suspects.methods(shelf, dataset)


def write_epochs_of_nothing(shelf, run):
    rows = dynamics.saved_rows(shelf.workspace, run)
    with DynamicsWriter.open(shelf.workspace, run, rows) as writer:
        values = {
            name: np.zeros(len(rows.sample), dtype)
            for name, dtype in dynamics.SIGNAL_DTYPES.items()
        }
        writer.write_epoch(0, values)


def test_it_ends_when_the_run_ends_which_is_said_with_what_there_is_instead(
    shelf, dataset, interrupt
):
    run = train(shelf, interrupt, -1, 5)
    shown = provisional.find(shelf, dataset)
    run_rows.set_state(shelf.workspace, run.id, RunState.LOST)
    assert provisional.is_stale(shelf, shown)
    assert "it is lost: resume it" in ranking_state.no_provisional(shelf, dataset)
    run_rows.set_state(shelf.workspace, run.id, RunState.RUNNING)
    rows = dynamics.saved_rows(shelf.workspace, run)
    with DynamicsWriter.open(shelf.workspace, run, rows) as writer:
        writer.seal(None)
    said = ranking_state.no_provisional(shelf, dataset)
    assert "is sealed, so there is no provisional ranking any more: its scores are being" in said


def test_what_is_sealed_and_scored_is_offered_by_its_methods(shelf, dataset):
    assert ranking_state.final_methods(shelf, dataset) == ("margin",)
    assert "its final scores are there, by margin." in ranking_state.no_provisional(shelf, dataset)


def test_pages_and_filters_work_on_it_and_review_is_refused(shelf, dataset, interrupt):
    train(shelf, interrupt, -1, 5)
    ranking_now = suspects.ranked(shelf, dataset, METHOD)
    filters = Filters(method=METHOD, cls="class a", state=State.UNDECIDED)
    view = ranking_view.look(shelf, dataset, filters, ranking=ranking_now)
    assert {tile.given for tile in view.tiles} == {"class a"}
    assert ranking_state.remarks(shelf, dataset, ranking_now) == ()
    with pytest.raises(RefusedError, match="is not reviewed: wait until the run is sealed"):
        queues.page(shelf, dataset, Filters(method=METHOD))


def test_what_is_recorded_beside_a_decision_says_that_it_was_provisional(shelf, dataset, interrupt):
    run = train(shelf, interrupt, -1, 5)
    position = int(suspects.ranked(shelf, dataset, METHOD).order[2])
    sample = sample_view.view(shelf, dataset, position, method=METHOD, reviewer="Ada")
    shown = sample.scored_by.as_shown()
    assert (shown["method"], shown["rank"]) == (METHOD, 3)
    assert shown["scores_id"] == f"provisional-{run.id}-5-of-12"
    assert METHOD not in {score.method for score in sample.scores}
    beside = sample_view.neighbours(shelf, dataset, position, Filters(method=METHOD))
    assert beside.place == 3
    (course,) = trajectories.of_sample(
        shelf, dataset, position, suspects.ranked(shelf, dataset, METHOD)
    )
    assert (course.run_id, course.n_epochs) == (run.id, 5)


def test_two_running_runs_show_the_newer_one(shelf, dataset, interrupt):
    train(shelf, interrupt, 0, 3)
    newer = train(shelf, interrupt, -1, 4)
    latest = provisional.running(shelf, dataset)
    assert latest is not None
    assert latest.id == newer.id
