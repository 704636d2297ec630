"""Suspects: order, flags, filters, and what the Ranking page says of them, beside plain loops."""

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from audit.errors import InputError, NotFoundError
from audit.records.decision import Decision, Verdict
from audit.records.scores import DetectorSpec, Scores
from audit.store import decisions, scores
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import (
    class_choices,
    cuts,
    exporting,
    label_age,
    ranking_state,
    ranking_view,
    suspects,
)
from audit.workbench.ranking_view import Pair
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, Ranked, State

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def workspace(staged_copy):
    with Workspace.open(staged_copy) as opened:
        yield opened


@pytest.fixture
def shelf(workspace):
    return Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


def decide(workspace, dataset, key, verdict=Verdict.EXCLUDE):
    given = dataset.class_names[dataset.given_labels[dataset.sample_keys.index(key)]]
    decision = Decision(
        dataset_id=dataset.id, sample_key=key, given_label=given, verdict=verdict,
        label=given if verdict is Verdict.KEEP else None, reviewer="ada", decided_at=NOW,
    )  # fmt: skip
    return decisions.append(workspace, [decision])[0]


def look(shelf, dataset, filters=None, **more):
    filters = filters or Filters()
    ranking = suspects.ranked(shelf, dataset, filters.method)
    return ranking_view.look(shelf, dataset, filters, ranking=ranking, **more)


def ranking_of(quantity, *, method="margin", suggested=None, threshold=None, details=None):
    quantity = np.array(quantity, dtype=np.float64)
    n = len(quantity)
    return Ranked(
        scores_id="made",
        scores=Scores(
            run_ids=("r",),
            spec=DetectorSpec(name=method, version=1),
            suspicion=np.where(np.isnan(quantity), np.nan, 0.5),
            quantity_name=method,
            quantity=quantity,
            suggested_label=np.array(suggested if suggested is not None else [-1] * n, np.int32),
            threshold=threshold,
            details=details or {},
        ),
        order=np.arange(n, dtype=np.int64),
        ranks=np.arange(1, n + 1, dtype=np.int64),
    )


def keeping_nothing():
    return SimpleNamespace(keep=lambda _, make: make())


def test_the_order_is_the_methods_ties_in_dataset_order_and_unscored_samples_last(shelf, dataset):
    ranking = suspects.ranked(shelf, dataset, "margin")
    quantity = ranking.scores.quantity
    expected = sorted(range(len(quantity)), key=lambda i: (np.isnan(quantity[i]), quantity[i], i))
    assert ranking.order.tolist() == expected
    assert [ranking.ranks[i] for i in expected[:3]] == [1, 2, 3]


def test_unscored_samples_come_last_have_rank_0_and_are_counted(stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, n_samples=40, n_unlabelled=4, methods=("margin",))
        shelf = Shelf(workspace)
        seen = look(shelf, dataset)
        assert [tile.rank for tile in seen.tiles] == [*range(1, 37), *[None] * 4]
        assert [tile.given for tile in seen.tiles[-4:]] == [None] * 4
        assert seen.tiles[-1].suspicion is None
        assert seen.counts.n_unscored == 4


def test_a_cut_flags_what_lies_on_its_suspect_side_and_on_it(shelf, dataset):
    ranking = suspects.ranked(shelf, dataset, "margin")
    assert not suspects.flagged(ranking).any(), "the method has no cut of its own"
    cut = float(np.sort(ranking.scores.quantity)[9])
    assert suspects.flagged(ranking, cut).sum() == 10
    shown = suspects.select(shelf, dataset, Filters(method="margin", cut=cut, state=State.FLAGGED))
    assert shown.positions.tolist() == ranking.order[:10].tolist()
    assert shown.n_flagged == 10


@pytest.mark.parametrize("state", list(State))
def test_every_state_means_what_it_says(workspace, shelf, dataset, state):
    verdicts = [Verdict.KEEP, Verdict.EXCLUDE, Verdict.UNSURE]
    decided = {}
    for key, verdict in zip(dataset.sample_keys[::40], verdicts, strict=True):
        decide(workspace, dataset, key, verdict)
        decided[key] = str(verdict)
    flagged = suspects.ranked(shelf, dataset, "aum").scores.flagged
    means = {
        State.ALL: lambda i, v: True,
        State.UNDECIDED: lambda i, v: v is None,
        State.DECIDED: lambda i, v: v is not None,
        State.FLAGGED: lambda i, v: flagged[i],
        State.TODO: lambda i, v: flagged[i] and v is None,
        State.PROBLEM: lambda i, v: i in dataset.problems,
    }
    meant = means.get(state, lambda i, v: v == str(state))
    expected = {i for i, k in enumerate(dataset.sample_keys) if meant(i, decided.get(k))}
    shown = suspects.select(shelf, dataset, Filters(method="aum", state=state))
    assert set(shown.positions.tolist()) == expected
    assert shown.n_undecided == sum(dataset.sample_keys[i] not in decided for i in expected)


def test_class_filters_restrict_given_and_suggested_class(shelf, dataset):
    ranking = suspects.ranked(shelf, dataset)
    first = int(ranking.order[0])
    given = dataset.class_names[dataset.given_labels[first]]
    suggested = dataset.class_names[ranking.scores.suggested_label[first]]
    seen = look(shelf, dataset, Filters(cls=given, suggested=suggested))
    assert {(tile.given, tile.suggested) for tile in seen.tiles} == {(given, suggested)}
    with pytest.raises(NotFoundError, match="no class 'zebra'"):
        suspects.select(shelf, dataset, Filters(cls="zebra"))


def test_a_list_stays_what_it_was_while_decisions_are_made_marks_and_counts_do_not(
    workspace, shelf, dataset
):
    filters = Filters(state=State.UNDECIDED)
    before = look(shelf, dataset, filters)
    first = before.tiles[0].key
    decide(workspace, dataset, first)
    same = look(shelf, dataset, filters, as_of=before.as_of)
    assert [tile.key for tile in same.tiles] == [tile.key for tile in before.tiles]
    assert (same.tiles[0].verdict, same.tiles[0].reviewer) == ("exclude", "ada")
    assert same.counts.n_undecided == before.counts.n_undecided - 1
    assert same.counts.n_moved == 1
    anew = look(shelf, dataset, filters)
    assert first not in [tile.key for tile in anew.tiles]
    assert anew.counts.n_moved == 0


def test_a_decision_that_is_undone_since_stays_in_the_list_it_was_opened_with(
    workspace, shelf, dataset
):
    key = dataset.sample_keys[3]
    decide(workspace, dataset, key)
    before = look(shelf, dataset, Filters(state=State.DECIDED))
    decisions.undo(workspace, dataset.id, key, reviewer="ada", at=NOW)
    same = look(shelf, dataset, Filters(state=State.DECIDED), as_of=before.as_of)
    assert [(tile.key, tile.verdict) for tile in same.tiles] == [(key, None)]
    assert not look(shelf, dataset, Filters(state=State.DECIDED)).tiles


def test_pages_part_a_list_and_one_beyond_the_last_is_the_last(shelf, dataset):
    first, second = look(shelf, dataset, page=1), look(shelf, dataset, page=2)
    assert (len(first.tiles), len(second.tiles), first.n_pages) == (100, 20, 2)
    assert [tile.position for tile in second.tiles] == list(first.next_positions)
    assert [tile.rank for tile in second.tiles] == list(range(101, 121))
    assert look(shelf, dataset, page=99).page == 2
    assert look(shelf, dataset, Filters(state=State.PROBLEM)).n_pages == 1


def test_pairs_of_classes_are_those_of_a_plain_count_and_ignore_the_class_filters(shelf, dataset):
    ranking = suspects.ranked(shelf, dataset)
    counted = {}
    for given, suggested in zip(dataset.given_labels, ranking.scores.suggested_label, strict=True):
        if suggested >= 0:
            counted[int(given), int(suggested)] = counted.get((int(given), int(suggested)), 0) + 1
    expected = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    name = dataset.class_names[expected[0][0][0]]
    seen = look(shelf, dataset, Filters(cls=name)).pairs
    assert [(p.given, p.suggested, p.n_samples) for p in seen.top] == [(*k, n) for k, n in expected]
    assert seen.n_others == 0


def test_pairs_among_ten_thousand_classes_make_no_table_of_all_of_them(monkeypatch):
    n_classes = 10_000
    dataset = SimpleNamespace(
        n_classes=n_classes, given_labels=np.array([9_999, 9_999, 5, -1], dtype=np.int32)
    )
    ranking = ranking_of([0.0] * 4, suggested=[7, 7, 9_998, 3])
    monkeypatch.setattr(np, "bincount", lambda *_: pytest.fail("a table of all pairs"))
    seen = ranking_view._counted_pairs(dataset, ranking, np.arange(4))
    assert seen.top == (
        Pair(given=9_999, suggested=7, n_samples=2),
        Pair(given=5, suggested=9_998, n_samples=1),
    )


def test_a_distribution_counts_every_scored_sample_and_keeps_the_cut_in_its_range():
    ranking = ranking_of([-1.0, 0.0, 0.25, np.nan, 2.0], method="aum", threshold=-3.0)
    shown = cuts.distribution(keeping_nothing(), ranking)
    assert shown is not None
    assert shown.counts.sum() == shown.n_scored == 4
    assert shown.low <= -3.0
    assert shown.high >= 2.0
    assert shown.low / shown.step == pytest.approx(round(shown.low / shown.step))
    assert shown.resting_cut == -3.0
    assert 100 <= (shown.high - shown.low) / shown.step <= 220


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [1e-9, 2e-9], [-4e8, 9e8]])
def test_a_distribution_of_values_that_hardly_differ_or_differ_wildly_has_bars(values):
    shown = cuts.distribution(keeping_nothing(), ranking_of(values))
    assert shown is not None
    assert shown.counts.sum() == len(values)
    assert shown.low < shown.high
    assert shown.resting_cut == shown.low, "a method without a cut flags nothing by itself"


def test_nothing_scored_has_no_distribution():
    assert cuts.distribution(keeping_nothing(), ranking_of([np.nan, np.nan])) is None


def test_threshold_rows_of_two_runs_are_added_in_common_bars_with_their_band():
    runs = [
        {"histogram": {"edges": [-2.0, -1.0, 0.0], "given": [0, 0], "threshold": [50, 50]}},
        {"histogram": {"edges": [-1.0, 0.0, 1.0], "given": [0, 0], "threshold": [100, 0]}},
        {"histogram": None},
    ]
    ranking = ranking_of([-2.0, 1.0], method="aum", details={"runs": runs})
    shown = cuts.distribution(keeping_nothing(), ranking)
    assert shown is not None
    assert shown.threshold is not None
    assert shown.threshold.sum() == pytest.approx(200)
    # 50 rows below -1, then 150 up to 0, each spread evenly: 20 rows are the tenth, 198 the 99th.
    assert shown.band == pytest.approx((-2 + 20 / 50, -1 + 148 / 150))


def test_a_cut_outside_the_range_is_refused_and_one_at_rest_is_none(shelf, dataset):
    shown = cuts.distribution(shelf, suspects.ranked(shelf, dataset, "aum"))
    assert shown is not None
    assert cuts.check_cut(shown.own_cut, shown) is None
    assert cuts.check_cut(shown.high, shown) == shown.high
    for wrong in (shown.high + 1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="outside the range of aum"):
            cuts.check_cut(wrong, shown)


def test_words_tell_the_methods_own_flags_from_a_moved_cut_and_from_no_cut(shelf, dataset):
    aum, margin = (suspects.ranked(shelf, dataset, name) for name in ("aum", "margin"))
    shown = cuts.distribution(shelf, aum)
    assert shown is not None
    n_flags = int(aum.scores.flagged.sum())
    own = cuts.flags_in_words(aum, shown, None)
    assert own.startswith(f"aum's own cut flags {n_flags} samples (")
    moved = cuts.flags_in_words(aum, shown, shown.high)
    assert moved == "This cut would flag 120 samples (100.0 %)."
    assert "no cut of its own" in cuts.flags_in_words(margin, shown, None)


def test_a_state_of_an_address_is_one_of_the_words_or_refused_with_all_of_them():
    assert suspects.parse_state(None) is State.ALL
    assert suspects.parse_state("", State.UNDECIDED) is State.UNDECIDED
    assert suspects.parse_state("todo") is State.TODO
    with pytest.raises(InputError, match=r"state='done' is unknown; there are all, undecided"):
        suspects.parse_state("done")


def test_a_dataset_without_scores_says_what_to_do_next(coloured_images, tmp_path):
    from audit.datasets import sources
    from audit.store import datasets

    images, labels = coloured_images(9)
    np.savez(tmp_path / "new.npz", images=images, labels=labels)
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = datasets.add(workspace, sources.plan(tmp_path / "new.npz"), "new")
        said = ranking_state.unscored(Shelf(workspace), dataset)
    assert said == "Nothing has been trained on dataset 'new' yet: start a run on Runs."


def test_scores_of_an_older_formula_and_newer_runs_are_remarked(workspace, shelf, dataset, stage):
    ranking = suspects.ranked(shelf, dataset, "margin")
    assert ranking_state.remarks(shelf, dataset, ranking) == ()
    stored = shelf.scores(ranking.scores_id)
    old = Scores(
        run_ids=stored.run_ids,
        spec=DetectorSpec(name="margin", version=0),
        suspicion=stored.suspicion,
        quantity_name="margin",
        quantity=stored.quantity,
        suggested_label=stored.suggested_label,
    )
    scores.save(workspace, dataset.id, old)
    (said,) = ranking_state.remarks(shelf, dataset, suspects.ranked(shelf, dataset, "margin"))
    assert said.startswith("These scores were made with version 0 of margin")


def test_what_people_changed_since_the_runs_is_said_and_what_they_kept_or_took_back_is_not(
    workspace, shelf, dataset
):
    ranking = suspects.ranked(shelf, dataset, "margin")
    first, second, third = dataset.sample_keys[:3]
    decide(workspace, dataset, third, Verdict.KEEP)
    assert ranking_state.labels_since(shelf, dataset, ranking) is None
    decide(workspace, dataset, first)
    version = exporting.label_state(workspace, dataset).version
    assert ranking_state.labels_since(shelf, dataset, ranking) == (
        f"These scores are of the labels as given; 1 label was changed since (version {version})."
    )
    decide(workspace, dataset, second)
    runs = run_rows.all(workspace, dataset.id)
    assert (label_age.since(shelf, dataset, runs) or "").startswith("2 labels were changed since")
    for key in (first, second):
        decisions.undo(workspace, dataset.id, key, reviewer="ada", at=NOW)
    assert label_age.since(shelf, dataset, runs) is None


def test_of_very_many_classes_the_most_frequent_ones_are_offered_and_any_can_be_typed():
    names = tuple(f"Species {n}" for n in range(1_000))
    labels = np.repeat(np.array([7, 999, 3], dtype=np.int32), [2, 5, 1])
    dataset = SimpleNamespace(id="many", class_names=names, given_labels=labels)
    ranking = ranking_of([0.0] * 8, suggested=[4] * 8)
    offered = class_choices.choices(keeping_nothing(), dataset, ranking)
    assert offered.given == ("Species 999", "Species 7", "Species 3")
    assert offered.suggested == ("Species 4",)
    assert class_choices.classes_like(dataset, " species 7 ") == ("Species 7",)
    assert class_choices.classes_like(dataset, "CIES 99") == (
        "Species 99", *(f"Species 99{n}" for n in range(10)),
    )  # fmt: skip
    assert class_choices.classes_like(dataset, "zebra") == ()
    few = SimpleNamespace(class_names=names[:5], given_labels=labels)
    assert class_choices.choices(keeping_nothing(), few, ranking).given == names[:5]
