"""Runs that ended when their ranking had settled: finished, in words, and nowhere taken for interrupted."""

from dataclasses import replace

import pytest

from audit.numerics import stability
from audit.records.run import Probe, RunState
from audit.store import dynamics, unfinished
from audit.store import runs as run_rows
from audit.workbench import runs, scoring, settled, settling, watching
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

CALM = dict.fromkeys(stability.LEVELS, 1.0)


@pytest.fixture
def shelf(staged_copy):
    shelf = Shelf.open(staged_copy)
    yield shelf
    shelf.workspace.close()


@pytest.fixture
def stopped(shelf, interrupt):
    """Return a run of twelve planned epochs that was sealed after nine."""
    plain = run_rows.all(shelf.workspace)[-1]
    run = interrupt(shelf.workspace, plain, n_epochs=9, state=RunState.RUNNING)
    rows = dynamics.saved_rows(shelf.workspace, run)
    with dynamics.DynamicsWriter.open(shelf.workspace, run, rows) as writer:
        return writer.seal(None)


def test_it_says_after_how_many_epochs_and_has_come_to_its_end(shelf, stopped):
    found = watching.survey(shelf)
    launch = next(one for one in found.launches if stopped.id in {run.id for run in one.runs})
    standing = watching.standing(shelf, found, stopped, launch.jobs.get(stopped.id))
    assert standing.sentence.startswith("settled after 9 of 12 epochs · loss")
    assert standing.fraction == 1.0
    assert launch.resumable == ()
    assert launch.is_sealed
    assert watching.next_step(launch) is None
    assert unfinished.epochs_of(shelf.workspace, launch.runs) == {}


def test_it_is_scored_and_used_again_like_any_other(shelf, stopped):
    (wanted,) = scoring.requests(shelf.workspace, [stopped.id], ["margin"])
    assert [run.id for run in wanted.runs] == [stopped.id]
    dataset = shelf.dataset("staged")
    assert runs.find_sealed(shelf.workspace, dataset, [stopped.config]) == [stopped]
    whole = replace(stopped.config, stop_when_stable=not stopped.config.stop_when_stable)
    assert runs.find_sealed(shelf.workspace, dataset, [whole]) is None


def test_a_wish_to_stop_is_frozen_in_every_run_of_a_group(shelf):
    dataset = shelf.dataset("staged")
    wishes = Wishes(device="cpu", probe=Probe.THRESHOLD, stop_when_stable=True)
    assert [c.stop_when_stable for c in settling.settle(dataset, wishes)] == [True, True]
    (plain,) = settling.settle(dataset, Wishes(device="cpu"))
    assert not plain.stop_when_stable


def test_settings_of_a_run_made_before_there_was_the_wish_are_those_without_it(stopped):
    values = stopped.config.to_json()
    assert values.pop("stop_when_stable") is False
    assert type(stopped.config).from_json(values) == stopped.config


def test_epochs_are_put_in_words(stopped):
    one = replace(stopped, config=replace(stopped.config, epochs=1))
    assert settled.epochs_in_words(stopped, 9) == "settled after 9 of 12 epochs"
    assert settled.epochs_in_words(stopped, 12) == "12 epochs"
    assert settled.epochs_in_words(one, 1) == "1 epoch"


def test_what_stopping_would_have_saved_is_said_of_a_run_that_did_not(stopped):
    course = [CALM] * 12
    assert settled.after(stopped, course) == 8
    assert "had settled after 8 of 12 epochs" in settled.so_far(stopped, course)
    assert settled.so_far(stopped, [{}] * 12) is None
    stops = replace(stopped, config=replace(stopped.config, stop_when_stable=True))
    assert settled.so_far(stops, course) is None
    assert "was still moving" in settled.so_far(stops, [{}] * 12)
