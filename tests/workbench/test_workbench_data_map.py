"""Data maps of runs: coordinates beside plain numpy, what is drawn, regions, and what a browser names."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from audit.errors import InputError, RefusedError
from audit.numerics.data_maps import DataMap, Region
from audit.records.dynamics import Role
from audit.records.run import Probe
from audit.workbench import data_map
from audit.workbench.data_map import Mapped
from audit.workbench.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(staged_workspace):
    return Shelf.open(staged_workspace)


@pytest.fixture(scope="module")
def runs(shelf):
    return data_map.runs(shelf, shelf.dataset("staged"))


def made(confidence, variability=None, positions=None):
    confidence = np.array(confidence, dtype=np.float64)
    n_rows = len(confidence)
    variability = np.array(variability if variability is not None else [0.1] * n_rows)
    coordinates = DataMap(
        confidence=confidence,
        variability=variability,
        correctness=np.zeros(n_rows, dtype=np.int64),
        n_epochs=3,
    )
    from audit.numerics import data_maps

    return Mapped(
        run=SimpleNamespace(id="r", name="r"),
        positions=np.array(positions if positions is not None else range(n_rows), dtype=np.int64),
        made=coordinates,
        regions=data_maps.regions(coordinates),
        ambiguous_from=data_maps.ambiguous_from(coordinates),
        n_left_out=0,
    )


def test_ordinary_runs_come_before_those_that_planted_something(runs):
    assert [run.config.probe for run in runs] == [Probe.NONE, Probe.THRESHOLD, Probe.THRESHOLD]


def test_coordinates_are_those_of_the_rows_under_their_given_label(shelf, runs):
    ordinary, planted = runs[0], runs[1]
    for run in (ordinary, planted):
        dynamics = shelf.dynamics(run.id)
        rows = dynamics.rows(Role.GIVEN)
        found = data_map.of_run(shelf, run)
        probabilities = np.asarray(dynamics.signals["given_probability"], dtype=np.float64)[:, rows]
        assert found.positions.tolist() == dynamics.sample[rows].tolist()
        assert_allclose(found.made.confidence, probabilities.mean(axis=0), rtol=1e-12)
        assert_allclose(found.made.variability, probabilities.std(axis=0), rtol=1e-6, atol=1e-9)
        right = (np.asarray(dynamics.signals["margin"])[:, rows] > 0).sum(axis=0)
        assert found.made.correctness.tolist() == right.tolist()
    assert data_map.of_run(shelf, ordinary).n_left_out == 0
    n_planted = len(shelf.dynamics(planted.id).rows(Role.THRESHOLD))
    assert data_map.of_run(shelf, planted).n_left_out == n_planted > 0
    assert data_map.of_run(shelf, ordinary) is data_map.of_run(shelf, ordinary)


def test_wrong_labels_gather_in_the_hard_region(shelf, runs):
    found = data_map.of_run(shelf, runs[0])
    from audit.store import datasets

    dataset = shelf.dataset("staged")
    wrong = dataset.given_labels != datasets.truth(shelf.workspace, dataset.id).true_labels
    hard = data_map.in_region(found, Region.HARD)
    easy = data_map.in_region(found, Region.EASY)
    assert wrong[hard].mean() > wrong.mean() > wrong[easy].mean()


def test_a_run_without_probabilities_is_refused_in_a_sentence():
    dynamics = SimpleNamespace(signals={"margin": np.zeros((2, 3), dtype=np.float32)})
    shelf = SimpleNamespace(keep=lambda _, make: make(), dynamics=lambda _: dynamics)
    with pytest.raises(
        RefusedError, match=r"Run 'mine' recorded no given_probability, so it has no"
    ):
        data_map.of_run(shelf, SimpleNamespace(id="r", name="mine"))


def test_rows_that_are_not_finite_have_no_place(shelf, runs):
    dynamics = shelf.dynamics(runs[0].id)
    holed = np.array(dynamics.signals["given_probability"])
    holed[3, 7] = np.nan
    damaged = replace(dynamics, signals={**dynamics.signals, "given_probability": holed})
    own = SimpleNamespace(keep=lambda _, make: make(), dynamics=lambda _: damaged)
    found = data_map.of_run(own, runs[0])
    assert found.n_left_out == 1
    assert int(dynamics.sample[7]) not in found.positions.tolist()


def test_every_flagged_sample_is_drawn_with_a_fixed_draw_of_the_others():
    mapped = made(np.linspace(0, 1, 1_000))
    flagged = np.zeros(1_000, dtype=bool)
    flagged[::50] = True
    drawn = data_map.points(mapped, flagged, most=100)
    assert len(drawn.rows) == 100 == len(set(drawn.rows.tolist()))
    assert set(np.flatnonzero(flagged)) <= set(drawn.rows.tolist())
    assert drawn.in_words == (
        "Drawn are all 20 flagged samples and, by a fixed draw, 80 of the other 980."
    )
    assert data_map.points(mapped, flagged, most=100).rows.tolist() == drawn.rows.tolist()
    whole = data_map.points(mapped, flagged)
    assert (whole.rows.tolist(), whole.in_words) == (
        list(range(1_000)),
        "All 1,000 samples are drawn.",
    )


def test_where_more_are_flagged_than_can_be_drawn_it_is_said():
    mapped = made([0.5] * 50)
    drawn = data_map.points(mapped, np.arange(50) < 30, most=10)
    assert len(drawn.rows) == 10
    assert (drawn.rows < 30).all()
    assert drawn.in_words == (
        "Drawn are 10 of the 30 flagged samples, by a fixed draw, and none of the other 20."
    )


def test_regions_are_counted_and_listed_with_the_most_typical_first():
    mapped = made(
        [0.9, 0.2, 0.1, 0.8, 0.6, 0.4],
        [0.10, 0.10, 0.11, 0.09, 0.40, 0.30],
        positions=[10, 11, 12, 13, 14, 15],
    )
    flagged = np.zeros(16, dtype=bool)
    flagged[[11, 14]] = True
    rows = data_map.region_rows(mapped, flagged)
    assert [(row.region, row.n_samples, row.n_flagged) for row in rows] == [
        (Region.HARD, 2, 1),
        (Region.AMBIGUOUS, 2, 1),
        (Region.EASY, 2, 0),
    ]
    assert rows[0].confidence == pytest.approx(0.15)
    assert data_map.in_region(mapped, Region.HARD).tolist() == [12, 11]
    assert data_map.in_region(mapped, Region.AMBIGUOUS).tolist() == [14, 15]
    assert data_map.in_region(mapped, Region.EASY).tolist() == [10, 13]
    empty = data_map.region_rows(made([0.9, 0.8]), np.zeros(2, dtype=bool))[0]
    assert (empty.n_samples, np.isnan(empty.confidence)) == (0, True)


def test_what_a_browser_names_is_taken_only_where_it_is_a_sample_of_the_map():
    mapped = made([0.9, 0.1, 0.5], positions=[4, 5, 9])
    named = [9, 4, 9, 5.0, "4", True, -1, 7, 2**80, None, [4]]
    assert data_map.chosen(mapped, named).tolist() == [9, 4], "least confident first, each once"
    assert data_map.chosen(mapped, []).tolist() == []
    assert data_map.chosen(made([]), [1]).tolist() == []


def test_a_region_of_an_address_is_one_of_three_words():
    assert data_map.parse_region(None) is None
    assert data_map.parse_region("ambiguous") is Region.AMBIGUOUS
    with pytest.raises(
        InputError, match="region='HARD' is unknown; there are easy, ambiguous, hard"
    ):
        data_map.parse_region("HARD")
