"""One sample's trajectory in numbers and words: every value here can be worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from audit.errors import NotFoundError
from audit.records.dynamics import Role, TrainingDynamics
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import sample_view, suspects, trajectories
from audit.workbench.sample_view import View
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State
from audit.workbench.trajectories import Band, Trajectory

SHOES = SimpleNamespace(class_names=("boot", "sandal", "sneaker"), n_classes=3)


@pytest.fixture
def shelf(staged_workspace):
    with Workspace.open(staged_workspace) as workspace:
        yield Shelf(workspace)


def drawn(margins, others=None, **fields) -> Trajectory:
    """Return a trajectory of a sample given ‘boot’ with literal margins."""
    margins = np.array(margins, dtype=np.float64)
    others = None if others is None else np.array(others, dtype=np.int32)
    skip_first = fields.pop("skip_first", 1)
    running = trajectories.running_mean(margins, skip_first=skip_first, end=len(margins))
    said = () if others is None else trajectories.run_lengths(np.where(margins > 0, 0, others))
    values = {
        "run_id": "run",
        "run_name": "run",
        "part": 0,
        "n_parts": 1,
        "role": Role.GIVEN,
        "label": 0,
        "area": float(running[-1]) if np.isfinite(running[-1]) else None,
    }
    return Trajectory(
        **values | fields,
        margins=margins,
        running=running,
        skip_first=skip_first,
        end=len(margins),
        others=others,
        segments=said,
    )


def dynamics(margins, labels, roles) -> TrainingDynamics:
    margins = np.array(margins, dtype=np.float32)
    return TrainingDynamics(
        run_id="run",
        n_samples=margins.shape[1],
        n_classes=3,
        sample=np.arange(margins.shape[1], dtype=np.int64),
        assigned_label=np.array(labels, dtype=np.int32),
        role=np.array(roles, dtype=np.int8),
        signals={"margin": margins},
    )


def test_the_running_mean_starts_after_the_skipped_epochs_and_stops_at_the_end():
    margins = np.array([100.0, 2.0, 4.0, -3.0, 100.0])
    running = trajectories.running_mean(margins, skip_first=1, end=4)
    np.testing.assert_allclose(running, [np.nan, 2.0, 3.0, 1.0, np.nan])
    assert np.isnan(trajectories.running_mean(margins, skip_first=5, end=5)).all()


def test_areas_meet_where_the_margin_crosses_zero_and_keep_its_integral():
    margins = np.array([-1.0, 3.0, 0.0, 1.0, -1.0])
    epochs, above, below = trajectories.signed_areas(margins)
    assert epochs.tolist() == [1.0, 1.25, 2.0, 3.0, 4.0, 4.5, 5.0]
    assert above.tolist() == [0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0]
    assert below.tolist() == [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]
    whole = np.trapezoid(margins)
    assert np.trapezoid(above + below, epochs) == pytest.approx(whole)


def test_one_epoch_has_an_area_and_no_crossing():
    epochs, above, below = trajectories.signed_areas(np.array([-2.0]))
    assert (epochs.tolist(), above.tolist(), below.tolist()) == ([1.0], [0.0], [-2.0])


def test_epochs_in_a_row_with_the_same_answer_are_one_segment():
    parts = trajectories.run_lengths([2, 2, 0, 2, 1, 1, 1])
    assert [(p.said, p.first, p.last, p.n_epochs) for p in parts] == [
        (2, 1, 2, 2), (0, 3, 3, 1), (2, 4, 4, 1), (1, 5, 7, 3),
    ]  # fmt: skip
    assert trajectories.run_lengths([]) == ()


def test_a_band_holds_percentiles_of_its_rows_alone():
    margins = [[0, 10, 20, 99], [1, 3, 5, 99], [2, 4, np.nan, 99]]
    recorded = dynamics(margins, [0, 0, 0, 1], [0, 0, 0, 0])
    band = trajectories.band(
        recorded, np.arange(3), trajectories.CLASS_PERCENTILES, skip_first=1, end=3
    )
    np.testing.assert_allclose(band.low, [2.0, 1.4, 2.2])
    np.testing.assert_allclose(band.middle, [10.0, 3.0, 3.0])
    np.testing.assert_allclose(band.high, [18.0, 4.6, 3.8])
    # Means of the epochs that count; the row without one is not compared.
    np.testing.assert_allclose(band.areas, [1.5, 3.5])
    assert (band.n_rows, band.n_used) == (3, 3)
    assert trajectories.band(recorded, np.arange(0), (1, 2, 3), skip_first=0, end=3) is None


def test_a_sample_is_found_by_its_own_row_and_not_by_a_corrupted_copy():
    recorded = TrainingDynamics(
        run_id="run",
        n_samples=4,
        n_classes=3,
        sample=np.array([2, 0, 3, 2]),
        assigned_label=np.array([0, 1, 3, 1], dtype=np.int32),
        role=np.array([Role.GIVEN, Role.GIVEN, Role.THRESHOLD, Role.CORRUPTED], dtype=np.int8),
        signals={
            "margin": np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=np.float32),
            "best_other_class": np.array([[0, 1, 0, 2], [0, 2, 1, 2]], dtype=np.int32),
        },
    )
    assert recorded.rows_of_samples().tolist() == [1, -1, 0, 2]
    course = recorded.of_row(1)
    assert {name: (c.dtype, c.tolist()) for name, c in course.items()} == {
        "margin": (np.float32, [2.0, 6.0]), "best_other_class": (np.int32, [1, 2]),
    }  # fmt: skip


def test_what_a_run_recorded_of_a_sample_is_its_column_of_every_signal(shelf):
    (run, *_) = run_rows.all(shelf.workspace)
    dynamics = shelf.dynamics(run.id)
    row = 5
    course = trajectories.recorded(shelf, run.id, int(dynamics.sample[row]))
    assert course is not None
    assert set(course) == set(dynamics.signals)
    for name, values in dynamics.signals.items():
        np.testing.assert_array_equal(course[name], values[:, row])


def test_a_large_class_is_drawn_from_in_the_same_way_each_time_and_says_so():
    n_rows = 5000
    rng = np.random.default_rng(3)
    recorded = dynamics(rng.normal(2.0, 1.0, (2, n_rows)), np.zeros(n_rows), np.zeros(n_rows))
    made = [
        trajectories.band(recorded, np.arange(n_rows), (10.0, 50.0, 90.0), skip_first=0, end=2)
        for _ in range(2)
    ]
    assert (made[0].n_rows, made[0].n_used) == (5000, trajectories.MOST_ROWS)
    np.testing.assert_array_equal(made[0].areas, made[1].areas)
    # Of a normal distribution, within four standard errors of a draw of 2000.
    np.testing.assert_allclose(made[0].middle, 2.0, atol=4 * 1.2533 / np.sqrt(2000))
    told = trajectories.thinned(drawn([1.0, 1.0], class_band=made[0]))
    assert told == "Bands from 2,000 of 5,000 rows of this class, drawn once."
    assert trajectories.thinned(drawn([1.0, 1.0])) is None


@pytest.mark.parametrize(
    ("area", "share"), [(1.0, 1.0), (2.0, 2 / 3), (4.0, 0.0), (1.0 + 1e-12, 1.0)]
)
def test_a_row_is_compared_with_the_others_and_not_with_itself(area, share):
    band = Band(
        percentiles=(10, 50, 90), low=np.zeros(1), middle=np.zeros(1), high=np.zeros(1),
        areas=np.array([1.0, 2.0, 3.0, 4.0]), n_rows=4, n_used=4,
    )  # fmt: skip
    assert band.share_above(area) == pytest.approx(share)


@pytest.mark.parametrize(
    ("margins", "others", "sentence"),
    [
        (
            [-1.0] * 30,
            [1] * 27 + [2] * 3,
            "The network preferred ‘sandal’ in 27 of 30 epochs and never learnt the given label "
            "‘boot’. Its average margin is -1.00 logits.",
        ),
        (
            [-1.0, -2.0, -4.0],
            [2, 2, 2],
            "The network preferred ‘sneaker’ in all 3 epochs and never learnt the given label "
            "‘boot’. Its average margin is -3.00 logits.",
        ),
        (
            [1.0, 2.0],
            [1, 2],
            "The network agreed with the given label ‘boot’ in all 2 epochs. Its average margin is "
            "2.00 logits.",
        ),
        (
            [1.0, -1.0, -1.0, 3.0, 3.0],
            [1, 2, 1, 1, 1],
            "The network agreed with the given label ‘boot’ in 3 of 5 epochs, without a break since "
            "epoch 4; otherwise it mostly preferred ‘sandal’. Its average margin is 1.00 logits.",
        ),
        (
            [-1.0, 3.0],
            [2, 1],
            "The network agreed with the given label ‘boot’ in 1 of 2 epochs, without a break since "
            "epoch 2; otherwise it preferred ‘sneaker’. Its average margin is 3.00 logits.",
        ),
        (
            [1.0, 1.0, -1.0, -1.0],
            [1, 1, 2, 3],
            "The network preferred ‘sneaker’ in 1 of 4 epochs; it agreed with the given label ‘boot’ "
            "in 2 of 4 epochs, but not at the end. Its average margin is -0.33 logits.",
        ),
        (
            [-1.0, -1.0],
            [3, 3],
            "The network preferred the extra class in all 2 epochs and never learnt the given label "
            "‘boot’. Its average margin is -1.00 logits.",
        ),
        (
            [-1.0],
            None,
            "The network preferred another class in its only epoch and never learnt the given label "
            "‘boot’.",
        ),
        (
            [0.0, 0.0],
            [1, 1],
            "The network preferred ‘sandal’ in all 2 epochs and never learnt the given label ‘boot’. "
            "Its average margin is 0.00 logits.",
        ),
        (
            [1.0, np.nan, np.inf],
            [1, 1, 1],
            "The training diverged: from epoch 2 on its margins are no numbers.",
        ),
    ],
)
def test_a_trajectory_is_told_in_words_from_its_numbers(margins, others, sentence):
    assert trajectories.in_words(SHOES, drawn(margins, others)) == sentence


def test_cut_and_class_are_named_where_they_are_known():
    band = Band(
        percentiles=(10, 50, 90), low=np.zeros(2), middle=np.zeros(2), high=np.zeros(2),
        areas=np.array([-1.0, 0.5, 2.0, 3.0, 4.0]), n_rows=5, n_used=5,
    )  # fmt: skip
    told = trajectories.in_words(SHOES, drawn([-1.0, 0.5], [1, 1], cut=0.5, class_band=band))
    assert told.endswith(
        "Its average margin of 0.50 logits lies at or below this run's cut of 0.50 and is lower than "
        "that of 75% of the other samples given ‘boot’."
    )
    told = trajectories.in_words(SHOES, drawn([-1.0, -1.0], [1, 1], cut=-2.0, class_band=band))
    assert told.endswith(
        "lies above this run's cut of -2.00 and is lower than that of all other samples given ‘boot’."
    )


def test_a_planted_sample_is_told_so_and_its_given_label_is_not_judged():
    told = trajectories.in_words(SHOES, drawn([-1.0, -1.0], [1, 1], role=Role.THRESHOLD, label=3))
    assert told.startswith("This run planted the sample as a threshold row")
    assert "boot" not in told


def test_the_plot_is_told_in_numbers_with_every_answer_of_the_network():
    band = Band(
        percentiles=(10, 50, 99), low=np.array([-3.0, -2.0]), middle=np.array([-1.0, -0.5]),
        high=np.array([0.0, 1.25]), areas=np.zeros(1), n_rows=9, n_used=9,
    )  # fmt: skip
    told = trajectories.summary(
        SHOES, drawn([-1.5, 2.25], [2, 1], cut=0.75, threshold_band=band, skip_first=0)
    )
    assert told == (
        "Margin of ‘boot’ per epoch: -1.50 logits in epoch 1, 2.25 in epoch 2, above zero in 1 of 2. "
        "Mean up to the last epoch that counts: 0.38. Cut: 0.75. Last epoch of the threshold rows, "
        "10 to 99 percentile: -2.00 to 1.25, median -0.50. The network said ‘sneaker’ in epoch 1, "
        "‘boot’ in epoch 2."
    )


@pytest.mark.parametrize("method", ["aum", "margin"])
def test_the_mean_over_the_runs_is_the_methods_own_quantity(shelf, method):
    dataset = shelf.dataset("staged")
    ranking = suspects.ranked(shelf, dataset, method)
    for position in (0, 57, int(ranking.order[0])):
        found = trajectories.of_sample(shelf, dataset, position, ranking)
        assert len(found) == (2 if method == "aum" else 1)
        own = [one for one in found if not one.is_planted]
        mean = np.mean([one.area for one in own])
        assert mean == pytest.approx(ranking.scores.quantity[position])
        assert [one.skip_first for one in found] == [1] * len(found)
        for one in own:
            assert one.label == dataset.given_labels[position]
            assert one.class_band.n_rows <= (dataset.given_labels == one.label).sum()
        for one in found:
            assert (one.threshold_band is not None) == (method == "aum")


def test_a_sample_planted_in_one_part_is_a_threshold_row_there_and_a_sample_in_the_other(shelf):
    dataset = shelf.dataset("staged")
    ranking = suspects.ranked(shelf, dataset, "aum")
    first = shelf.dynamics(ranking.scores.run_ids[0])
    position = int(first.sample[first.rows(Role.THRESHOLD)[0]])
    roles = {
        one.run_id: one.role for one in trajectories.of_sample(shelf, dataset, position, ranking)
    }
    assert roles[first.run_id] is Role.THRESHOLD
    assert sorted(roles.values()) == [Role.GIVEN, Role.THRESHOLD]
    cuts = [one.cut for one in trajectories.of_sample(shelf, dataset, position, ranking)]
    assert cuts == ranking.scores.details["alphas"]


def test_without_scores_the_newest_sealed_training_is_shown(shelf):
    dataset = shelf.dataset("staged")
    (run,) = trajectories.newest_sealed(shelf, dataset)
    assert run.id == run_rows.all(shelf.workspace, dataset.id)[-1].id
    (only,) = trajectories.of_sample(shelf, dataset, 3, None)
    assert (only.run_id, only.skip_first, only.cut) == (run.id, 1, None)


def test_a_sample_outside_a_run_has_no_trajectory_there(stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, n_samples=60, n_unlabelled=5, methods=("margin",))
        shelf = Shelf(workspace)
        ranking = suspects.ranked(shelf, dataset, "margin")
        assert trajectories.of_sample(shelf, dataset, 59, ranking) == ()
        sample = sample_view.view(shelf, dataset, 59, method="margin", reviewer="ann")
        assert (sample.given, sample.scored_by.rank, sample.scored_by.n_scored) == (None, None, 55)
        told = sample_view.why_no_score(shelf, dataset, sample, ())
        assert told.startswith("It has no given label")
        # The split is looked at where nothing else explains it.
        elsewhere = replace(sample, given="class a", split="test")
        told = sample_view.why_no_score(shelf, dataset, elsewhere, ())
        assert told.startswith("It belongs to the test split")
        unreadable = replace(sample, problem="The file is empty.")
        told = sample_view.why_no_score(shelf, dataset, unreadable, ())
        assert told.startswith("It cannot be read")


def test_a_sample_planted_in_every_part_says_why_it_has_no_score(shelf):
    dataset = shelf.dataset("staged")
    seen = sample_view.view(shelf, dataset, 0, method="aum", reviewer="ann")
    unscored = replace(seen, scored_by=replace(seen.scored_by, rank=None, quantity=None))
    planted = drawn([-1.0, -1.0], [1, 1], role=Role.THRESHOLD, label=3)
    told = sample_view.why_no_score(shelf, dataset, unscored, (planted, planted))
    assert told.startswith("Every run of aum planted it as a threshold row, so it has no aum")
    assert sample_view.why_no_score(shelf, dataset, seen, (planted,)) is None


def test_neighbours_follow_the_ranking_and_its_filters(shelf):
    dataset = shelf.dataset("staged")
    order = suspects.ranked(shelf, dataset, "margin").order
    keys = [dataset.sample_keys[position] for position in order]
    everything = Filters(method="margin")
    beside = sample_view.neighbours(shelf, dataset, int(order[4]), everything)
    assert (beside.before, beside.after, beside.place, beside.n_listed) == (
        keys[3],
        keys[5],
        5,
        120,
    )
    first = sample_view.neighbours(shelf, dataset, int(order[0]), everything)
    last = sample_view.neighbours(shelf, dataset, int(order[-1]), everything)
    assert (first.before, last.after) == (None, None)
    # A sample that is not in the list stands between those that are.
    narrow = Filters(method="margin", cls="class a")
    listed = suspects.select(shelf, dataset, narrow).positions
    start = list(order).index(listed[0])
    outside = next(int(p) for p in order[start:] if p not in listed)
    before = [int(p) for p in order[: list(order).index(outside)] if p in listed][-1]
    beside = sample_view.neighbours(shelf, dataset, outside, narrow)
    after = next(int(p) for p in order[list(order).index(outside) :] if p in listed)
    around = (dataset.sample_keys[before], None, dataset.sample_keys[after])
    assert (beside.before, beside.place, beside.after) == around
    unscored = sample_view.neighbours(shelf, dataset, 7, Filters())
    assert (unscored.before, unscored.after) == (dataset.sample_keys[6], dataset.sample_keys[8])


def test_an_address_that_means_nothing_filters_nothing(shelf):
    dataset = shelf.dataset("staged")
    bent = {"cls": "no class", "suggested": "class b", "state": "<b>", "cut": "nan"}
    assert sample_view.filters_of(dataset, bent, "aum") == Filters(
        method="aum", suggested="class b"
    )
    asked = {"cls": "class a", "state": "todo", "cut": "-0.5"}
    found = sample_view.filters_of(dataset, asked, "aum")
    assert found == Filters(method="aum", cls="class a", state=State.TODO, cut=-0.5)
    assert sample_view.in_words(found) == "given ‘class a’, state todo"
    flags = {"by": "aum", "not_by": "margin:9"}
    asked = sample_view.filters_of(dataset, flags, "aum", methods=("aum", "margin"))
    assert sample_view.in_words(asked) == "flagged by aum, not by margin (first 9)"
    gone = sample_view.filters_of(dataset, flags, "aum", methods=("aum",))
    assert sample_view.in_words(gone) == "flagged by aum"


@pytest.mark.parametrize(
    ("asked", "closest"), [("12", "012"), ("0119x", "011"), ("9119", "119"), ("", "000")]
)
def test_an_unknown_key_is_answered_with_a_close_one(shelf, asked, closest):
    dataset = shelf.dataset("staged")
    assert dataset.sample_keys[12] == "012"
    with pytest.raises(NotFoundError, match=f"the closest key is '{closest}'"):
        sample_view.find(shelf, dataset, asked)


def test_a_key_of_a_megabyte_is_refused_in_a_short_sentence(shelf):
    with pytest.raises(NotFoundError) as caught:
        sample_view.find(shelf, shelf.dataset("staged"), "x" * 1_000_000)
    assert len(str(caught.value)) < 400


def test_a_search_finds_parts_of_keys_and_the_exact_one_first(shelf):
    dataset = shelf.dataset("staged")
    found, n_found = sample_view.search(shelf, dataset, " 11 ", most=4)
    assert found == ["011", "111", "110", "112"]
    assert n_found == 11
    assert sample_view.search(shelf, dataset, "110")[0] == ["110"]
    assert sample_view.search(shelf, dataset, "no such key") == ([], 0)


def test_the_view_of_a_sample_carries_every_methods_word(shelf):
    dataset = shelf.dataset("staged")
    ranking = suspects.ranked(shelf, dataset, "aum")
    position = int(ranking.order[11])
    seen: View = sample_view.view(shelf, dataset, position, method="aum", reviewer="ann")
    assert [score.method for score in seen.scores] == ["aum", "margin"]
    assert (seen.scored_by.rank, seen.scored_by.n_scored) == (12, 120)
    assert seen.scored_by.suspicion == ranking.scores.suspicion[position]
    assert seen.scored_by.flagged == bool(ranking.scores.flagged[position])
    assert seen.scores[1].flagged is None
    assert seen.given == dataset.class_names[dataset.given_labels[position]]
    assert seen.suggested == dataset.class_names[ranking.scores.suggested_label[position]]


def test_a_planted_label_is_named_and_says_nothing_about_the_given_one():
    made = drawn([-1.0, -1.0], [1, 1], role=Role.PLANTED_CONFUSED, label=1)
    told = trajectories.in_words(SHOES, made)
    assert told.startswith("This run planted the sample under the wrong label ")
    assert trajectories.class_name(SHOES, 1) in told
    assert told.endswith("says nothing about the given one.")
