"""Stability of a run in training: what is recorded, when it ends, and that a resumed run goes on."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.errors import RefusedError, StoppedError
from audit.numerics import ranking, stability
from audit.records.dynamics import Role
from audit.records.run import RunState
from audit.store import dynamics
from audit.store import runs as run_rows
from audit.tasks.stability import Stability
from audit.workbench import runs

N_EPOCHS, N_ROWS = 9, 300


@pytest.fixture
def margins():
    rng = np.random.default_rng(0)
    easy = rng.normal(1, 2, N_ROWS)
    return (easy + rng.normal(0, 2, (N_EPOCHS, N_ROWS))).astype(np.float32)


def follow(margins, role=None):
    role = np.zeros(margins.shape[1], np.int8) if role is None else role
    return Stability(role, lambda epoch: margins[epoch], n_planned=N_EPOCHS)


def course_of(follower, margins, first=0):
    return [
        follower.after_epoch(epoch, {"margin": margins[epoch]})
        for epoch in range(first, len(margins))
    ]


def test_each_epoch_is_compared_with_half_of_the_epochs_so_far(margins):
    told = course_of(follow(margins), margins)
    assert told[0] == {}
    for n_epochs in range(2, N_EPOCHS + 1):
        before, now = (ranking.tanh_epoch(margins[:n]) for n in (n_epochs // 2, n_epochs))
        moved = stability.movement(before, now)
        assert told[n_epochs - 1] == {
            "overlap": round(moved.overlap, 4),
            "rank_correlation": round(moved.rank_correlation, 4),
        }


@pytest.mark.parametrize("n_before", [1, 4, 5])
def test_a_resumed_run_tells_the_same_as_one_that_went_through(margins, n_before):
    whole = course_of(follow(margins), margins)
    resumed = follow(margins)
    resumed.restore(whole[:n_before])
    assert course_of(resumed, margins, n_before) == whole[n_before:]


def test_rows_that_a_probe_planted_do_not_count(margins):
    role = np.zeros(N_ROWS, np.int8)
    role[::3] = Role.THRESHOLD
    wild = margins.copy()
    wild[:, role == Role.THRESHOLD] = np.random.default_rng(3).normal(0, 9, wild[:, ::3].shape)
    without = margins[:, role == Role.GIVEN]
    assert course_of(follow(wild, role), wild) == course_of(follow(without), without)


def test_an_epoch_with_values_that_are_not_finite_says_nothing(margins):
    margins[4, 7] = np.nan
    told = course_of(follow(margins), margins)
    assert [bool(point) for point in told] == [False, True, True, True] + [False] * 5


# ---- trained ---------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch):
    """Let a ranking of a tiny training settle after five epochs, whatever it does."""
    monkeypatch.setattr(stability, "LEVELS", {"overlap": 0.0, "rank_correlation": -1.0})
    monkeypatch.setattr(stability, "FEWEST_EPOCHS", 5)


def test_every_run_records_how_far_its_ranking_moves(workspace, dataset, add_run, train_here):
    run = add_run(dataset, epochs=4)
    train_here(run)
    curves = dynamics.curves(workspace, run)
    margins = dynamics.load(workspace, run_rows.find(workspace, run.id)).signals["margin"]
    expected = course_of(follow(margins), margins)
    names = ("overlap", "rank_correlation")
    assert [{k: v for k, v in point.items() if k in names} for point in curves] == expected
    assert all("loss" in point for point in curves)


def test_a_run_that_stops_is_sealed_with_the_first_epochs_of_the_whole_one(
    workspace, dataset, add_run, train_here, patient
):
    whole, stopped = (add_run(dataset, epochs=9, stop_when_stable=stops) for stops in (False, True))
    assert train_here(whole)["epochs"] == 9
    told = train_here(stopped)
    assert (told["epochs"], told["planned_epochs"]) == (5, 9)
    one, other = (run_rows.find(workspace, run.id) for run in (whole, stopped))
    assert other.state is RunState.SEALED
    for name, values in dynamics.load(workspace, one).signals.items():
        assert_array_equal(dynamics.load(workspace, other).signals[name], values[:5])
    assert dynamics.curves(workspace, other) == dynamics.curves(workspace, one)[:5]
    means = dynamics.load(workspace, other).mean_probabilities
    np.testing.assert_allclose(means.values.sum(axis=1), 1.0, atol=1e-5)
    with pytest.raises(RefusedError, match="it is finished"):
        runs.resume(workspace, other.id)
    assert runs.find_sealed(workspace, dataset, [stopped.config]) == [other]
    assert runs.find_sealed(workspace, dataset, [whole.config]) == [one]


@pytest.mark.parametrize("n_before", [1, 4])
def test_a_stopped_run_that_was_interrupted_ends_as_if_it_had_not_been(
    workspace, dataset, add_run, train_here, contents, patient, n_before
):
    through, interrupted = (add_run(dataset, epochs=9, stop_when_stable=True) for _ in range(2))
    train_here(through)

    def stop(fraction, message):
        if message.startswith(f"epoch {n_before + 1} of"):
            raise StoppedError("enough")

    with pytest.raises(StoppedError):
        train_here(interrupted, stop)
    assert train_here(interrupted)["epochs"] == 5
    assert contents(interrupted) == contents(through)


def test_a_run_whose_ranking_never_settles_takes_all_its_epochs(
    workspace, dataset, add_run, train_here, monkeypatch
):
    monkeypatch.setattr(stability, "LEVELS", {"overlap": 1.1})
    run = add_run(dataset, epochs=3, stop_when_stable=True)
    told = train_here(run)
    assert (told["epochs"], told["planned_epochs"]) == (3, 3)
