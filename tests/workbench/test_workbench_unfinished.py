"""What a launch of interrupted runs offers, and what is shown of its scores."""

from dataclasses import replace

import pytest

from audit.records.run import RunState
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace
from audit.workbench import trajectories, watching
from audit.workbench.shelf import Shelf


@pytest.fixture
def shelf(stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        stage(workspace, tmp_path)
        yield Shelf(workspace)


def launch_of(shelf, run):
    launches = watching.survey(shelf).launches
    return next(launch for launch in launches if run.id in {r.id for r in launch.runs})


@pytest.mark.parametrize(("n_epochs", "is_offered"), [(1, False), (2, True)])
def test_methods_are_offered_from_two_whole_epochs_on(shelf, interrupt, n_epochs, is_offered):
    plain = run_rows.all(shelf.workspace)[-1]
    run = interrupt(shelf.workspace, plain, n_epochs=n_epochs)
    scored, fitting = watching.methods_of(shelf, launch_of(shelf, run))
    assert scored == ()
    assert ("margin" in fitting) is is_offered
    assert "aum" not in fitting


def test_aum_is_offered_when_both_parts_have_enough_epochs(shelf, interrupt):
    first, second, _ = run_rows.all(shelf.workspace)
    begun = interrupt(shelf.workspace, first, n_epochs=4)
    assert "aum" in watching.methods_of(shelf, launch_of(shelf, begun))[1]
    interrupt(shelf.workspace, second, n_epochs=1)
    assert "aum" not in watching.methods_of(shelf, launch_of(shelf, begun))[1]


def test_scores_of_fewer_epochs_do_not_count_as_those_of_the_run(shelf, interrupt):
    plain = run_rows.all(shelf.workspace)[-1]
    stored = score_rows.load(
        shelf.workspace, score_rows.latest(shelf.workspace, plain.dataset_id)["margin"].id
    )
    run = interrupt(shelf.workspace, plain, n_epochs=4)

    def save(epochs):
        answer = replace(stored, run_ids=(run.id,), epochs=epochs)
        return score_rows.save(shelf.workspace, plain.dataset_id, answer)

    save({run.id: 3})
    assert watching.methods_of(shelf, launch_of(shelf, run))[0] == ()
    save({run.id: 4})
    scored, fitting = watching.methods_of(shelf, launch_of(shelf, run))
    assert scored == ("margin",)
    assert "margin" not in fitting


def test_a_trajectory_of_an_interrupted_run_has_its_whole_epochs(shelf, interrupt):
    plain = run_rows.all(shelf.workspace)[-1]
    run = interrupt(shelf.workspace, plain, n_epochs=4, state=RunState.LOST)
    found = trajectories.of_run(shelf, run, 0)
    assert len(found.margins) == 4
    # Not kept: a resumed run has more the next time.
    assert shelf.dynamics(run.id) is not shelf.dynamics(run.id)
