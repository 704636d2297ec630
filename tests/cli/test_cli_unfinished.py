"""``labeltrace score`` on runs that did not come to their end."""

import csv

import pytest

from audit.records.run import RunState
from audit.store import runs as run_rows
from audit.store.workspace import Workspace


@pytest.fixture
def interrupted(stage, interrupt, labeltrace, tmp_path):
    """Make a plain run of twelve epochs that ended after some."""

    def make(n_epochs=5, state=RunState.CANCELLED):
        with Workspace.open(labeltrace.workspace) as workspace:
            dataset = stage(workspace, tmp_path, methods=("margin",))
            (run,) = run_rows.all(workspace, dataset.id)
            return interrupt(workspace, run, n_epochs=n_epochs, state=state)

    return make


def test_a_cancelled_run_is_scored_and_says_on_how_many_epochs(labeltrace, interrupted, tmp_path):
    run = interrupted()
    out = tmp_path / "s.csv"
    words = ("score", run.name, "--method", "margin", "--out", out)
    told = labeltrace(*words)
    assert (
        f"margin: Run {run.name} was cancelled after 5 of 12 epochs; these scores rest on 5."
        in told.err
    )
    assert told.lines == ["margin\t120 scored\tno cut"]
    with out.open(encoding="utf-8", newline="") as file:
        assert all(row["margin"] for row in csv.DictReader(file))
    found = labeltrace("evaluate", "staged", "--json").json
    assert found["methods"]["margin"]["average_precision"] > 0.5


def test_a_run_that_has_one_epoch_or_waits_is_refused_with_the_next_step(labeltrace, interrupted):
    run = interrupted(n_epochs=1)
    words = ("score", run.name, "--method", "margin")
    said = labeltrace(*words, code=1).sentence
    assert "it has 1 of 12 epochs, and scores need 2 whole ones at least; resume it" in said
    with Workspace.open(labeltrace.workspace) as workspace:
        run_rows.set_state(workspace, run.id, RunState.QUEUED)
    assert "is queued, not sealed" in labeltrace(*words, code=1).sentence
