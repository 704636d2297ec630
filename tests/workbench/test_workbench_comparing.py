"""Comparing: what counts as flagged, where methods differ, classes and truth, beside plain sets."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from audit.errors import InputError
from audit.numerics import metrics
from audit.records.scores import DetectorSpec, Scores
from audit.store import datasets
from audit.store.workspace import Workspace
from audit.workbench import comparing, evaluating, suspects
from audit.workbench.comparing import Comparison, Part
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Ranked


@pytest.fixture(scope="module")
def shelf(staged_workspace):
    return Shelf.open(staged_workspace)


@pytest.fixture(scope="module")
def dataset(shelf):
    return shelf.dataset("staged")


@pytest.fixture(scope="module")
def both(shelf, dataset):
    return comparing.compare(shelf, dataset, ("aum", "margin"))


def ranked(quantity, *, method="margin", flagged=None):
    """Return a ranking by a quantity of which low is suspect, NaN where not scored."""
    quantity = np.array(quantity, dtype=np.float64)
    n_scored = int((~np.isnan(quantity)).sum())
    order = np.argsort(quantity, kind="stable")
    ranks = np.zeros(len(quantity), dtype=np.int64)
    ranks[order[:n_scored]] = np.arange(1, n_scored + 1)
    scores = Scores(
        run_ids=("r",),
        spec=DetectorSpec(name=method, version=1),
        suspicion=np.where(np.isnan(quantity), np.nan, 0.5),
        quantity_name=method,
        quantity=quantity,
        suggested_label=np.full(len(quantity), -1, dtype=np.int32),
        flagged=None if flagged is None else np.array(flagged),
    )
    return Ranked(scores_id=f"made-{method}", scores=scores, order=order, ranks=ranks)


def comparison_of(*rankings, top=None, labels=None, n_classes=1):
    n_samples = len(rankings[0].ranks)
    dataset = SimpleNamespace(
        id="made",
        n_samples=n_samples,
        n_classes=n_classes,
        given_labels=np.array(labels if labels is not None else [0] * n_samples, dtype=np.int32),
        has_truth=False,
    )
    return comparing._compare(dataset, rankings, top)


NAN = float("nan")


def test_a_method_without_a_cut_takes_as_many_as_the_first_one_with_a_cut(both):
    own = int(both.rankings[0].scores.flagged.sum())
    assert own > 0
    assert both.n_flagged == (own, own)
    assert both.by_cut == (True, False)
    assert set(np.flatnonzero(both.flags[1])) == set(both.rankings[1].order[:own])
    said = comparing.flags_in_words(both)
    assert said == (
        f"Flagged are {own} by aum's own cut. margin has no cut: the {own} most suspicious are taken."
    )


def test_the_same_number_of_each_leaves_own_cuts_aside(shelf, dataset):
    made = comparing.compare(shelf, dataset, ("aum", "margin"), top=7)
    assert (made.n_flagged, made.by_cut) == ((7, 7), (False, False))
    for ranking, flags in zip(made.rankings, made.flags, strict=True):
        assert set(np.flatnonzero(flags)) == set(ranking.order[:7])
    said = comparing.flags_in_words(made)
    assert said == "Flagged are the 7 most suspicious samples of each method."


def test_without_any_cut_or_any_flag_a_tenth_is_taken_and_never_what_was_not_scored():
    without = comparison_of(ranked([*range(18), NAN, NAN]))
    assert (without.n_top, without.n_flagged) == (2, (2,))
    assert comparing.flags_in_words(without).endswith("2 most suspicious samples of margin.")
    idle = comparison_of(ranked(range(20), method="aum", flagged=[False] * 20), ranked(range(20)))
    assert idle.n_flagged == (0, 2)
    greedy = comparison_of(ranked([3.0, NAN, 1.0]), top=3)
    assert greedy.flags[0].tolist() == [True, False, True]


def test_a_number_from_the_top_is_one_of_the_datasets(dataset):
    assert comparing.check_top(None, dataset) is None
    assert comparing.check_top(120, dataset) == 120
    for wrong in (0, -1, 121):
        with pytest.raises(InputError, match=f"top={wrong} is no number of samples.*120"):
            comparing.check_top(wrong, dataset)


def test_a_cut_on_the_quantity_flags_the_same_from_the_top(both):
    ranking = both.rankings[1]
    cut = comparing.cut_at(ranking, both.n_top)
    assert suspects.flagged(ranking, cut).tolist() == both.flags[1].tolist()
    assert comparing.cut_at(ranked([NAN, NAN]), 5) is None


def test_the_parts_are_those_of_plain_sets_in_the_order_of_who_flags_them(both):
    one, two = (set(np.flatnonzero(flags).tolist()) for flags in both.flags)
    wanted = {Part.BOTH: one & two, Part.FIRST: one - two, Part.SECOND: two - one}
    leaders = {Part.BOTH: 0, Part.FIRST: 0, Part.SECOND: 1}
    for part, samples in wanted.items():
        found = comparing.positions(both, "aum", "margin", part).tolist()
        assert set(found) == samples
        assert len(found) == len(samples)
        ranks = both.rankings[leaders[part]].ranks
        assert found == sorted(found, key=lambda position: ranks[position])
    mirrored = comparing.positions(both, "margin", "aum", Part.SECOND).tolist()
    assert mirrored == comparing.positions(both, "aum", "margin", Part.FIRST).tolist()
    overlap = comparing.overlaps(both)[0][1]
    assert overlap.n_both == len(one & two)
    assert overlap.jaccard == len(one & two) / len(one | two)


def test_a_listing_shows_the_part_with_the_ranks_of_who_flags_it(shelf, both):
    page = comparing.listing(shelf, both, "aum", "margin", Part.SECOND)
    found = comparing.positions(both, "aum", "margin", Part.SECOND).tolist()
    assert [tile.position for tile in page.tiles] == found[:100]
    assert page.ranking is both.rankings[1]
    assert all(tile.flagged for tile in page.tiles)
    names = {
        comparing.listing(shelf, made, *pair, part).name
        for made in (both, comparing.compare(shelf, both.dataset, both.methods, top=9))
        for pair in (("aum", "margin"), ("margin", "aum"))
        for part in Part
    }
    assert len(names) == 12, "each is a list of its own"


def test_agreement_is_measured_in_one_direction_and_says_what_was_not_scored(shelf):
    first = ranked([1.0, 2.0, 3.0, 4.0], method="aum", flagged=[True, True, False, False])
    second = ranked([1.0, NAN, 3.0, 9.0], method="tanh_epoch")
    made = comparison_of(first, second)
    found = comparing.agree(shelf, made, "aum", "tanh_epoch")
    assert (found.spearman, found.kendall, found.n_unscored) == (pytest.approx(1.0), 1.0, 1)
    assert found.in_words("aum", "tanh_epoch") == (
        "1 of 3 flagged samples are common (Jaccard 0.33). Over all samples that both scored the "
        "orders correlate with Spearman's ρ = 1.00 and Kendall's τ = 1.00. 1 sample that one of aum "
        "and tanh_epoch flags was not scored by the other."
    )


def test_rank_correlations_are_symmetric_high_for_relatives_and_undefined_for_ties(shelf, both):
    table = comparing.rank_correlations(shelf, both)
    assert_allclose(table, table.T)
    assert_allclose(np.diag(table), 1.0)
    assert table[0, 1] > 0.5
    tied = comparison_of(ranked([2.0, 2.0, 2.0], method="log_ratio"), ranked([1.0, 2.0, 3.0]))
    assert np.isnan(comparing.rank_correlations(shelf, tied)[0, 1])


def test_the_truth_judges_order_and_flags_as_the_terminal_does(shelf, dataset, both):
    judged = comparing.judge(shelf, both)
    with Workspace.open(shelf.workspace.path) as workspace:
        told = evaluating.evaluate(workspace, dataset)["methods"]
        truth = datasets.truth(workspace, dataset.id)
    for one in judged:
        assert one.average_precision == told[one.method]["average_precision"]
        assert one.roc_auc == told[one.method]["roc_auc"]
    assert judged[0].f1 == told["aum"]["f1"]
    wrong = dataset.given_labels != truth.true_labels
    quality = metrics.flag_quality(both.flags[1], wrong)
    assert (judged[1].precision, judged[1].recall) == (quality.precision, quality.recall)
    common = comparing.positions(both, "aum", "margin", Part.BOTH)
    assert comparing.wrong_rate(shelf, dataset, common) == wrong[common].mean()
    assert comparing.wrong_rate(shelf, dataset, common[:0]) is None


def test_without_truth_nothing_is_judged(shelf):
    made = comparison_of(ranked([1.0, 2.0, 3.0]))
    assert comparing.judge(shelf, made) == ()
    assert comparing.wrong_rate(shelf, made.dataset, np.array([0])) is None


def rates_of(*groups, n_classes=None):
    """Return the rates of one method that flags so many of so many samples of each class."""
    quantity, labels, flagged = [], [], []
    for label, (n_flagged, n_samples) in enumerate(groups):
        labels += [label] * n_samples
        flagged += [True] * n_flagged + [False] * (n_samples - n_flagged)
        quantity += range(n_samples)
    ranking = ranked(quantity, method="aum", flagged=flagged)
    made = comparison_of(ranking, labels=labels, n_classes=n_classes or len(groups))
    return comparing.class_rates(made)


def test_class_rates_are_counts_with_intervals_the_highest_first():
    rates = rates_of((10, 200), (100, 200), (0, 100), n_classes=4)
    assert rates.classes.tolist() == [1, 0, 2], "a class without samples is left out"
    assert rates.n_flagged[0].tolist() == [100, 10, 0]
    assert_allclose(rates.rates[0], [0.5, 0.05, 0.0])
    assert rates.overall[0] == pytest.approx(110 / 500)
    # At a rate of a half the interval reaches z / (2 sqrt(n + z²)) to both sides.
    half = 1.959964 / (2 * (200 + 1.959964**2) ** 0.5)
    assert_allclose([rates.low[0, 0], rates.high[0, 0]], [0.5 - half, 0.5 + half], atol=1e-7)
    assert rates.stands_out[0].tolist() == [True, False, False]
    assert comparing.too_small_in_words(rates) is None


def test_classes_too_small_to_judge_come_last_never_stand_out_and_are_warned_about():
    # 19 of 19: few samples. 15 of 30: an interval of 33 points. 0 of 20: 16 points are enough.
    rates = rates_of((19, 19), (15, 30), (0, 20), (60, 600))
    assert rates.classes.tolist() == [3, 2, 0, 1]
    assert rates.is_too_small[0].tolist() == [False, False, True, True]
    assert not rates.stands_out[0, 2]
    said = comparing.too_small_in_words(rates)
    assert said.startswith("2 of 4 classes are too small to judge: fewer than 20 scored samples")
    assert comparing.too_small_in_words(rates_of((1, 9), (60, 600))).startswith("1 of 2 classes is")


def test_unlabelled_and_unscored_samples_count_in_no_class():
    made = comparison_of(
        ranked([1.0, 2.0, NAN, 4.0], method="aum", flagged=[True, True, False, False]),
        labels=[0, -1, 0, 0],
    )
    rates = comparing.class_rates(made)
    assert (rates.n_scored[0, 0], rates.n_flagged[0, 0]) == (2, 1)
    assert rates.overall[0] == 0.5


def test_the_main_methods_are_offered_where_there_are_two_of_them():
    assert comparing.offered(("aum", "margin", "tanh_epoch")) == ("aum", "margin")
    assert comparing.offered(("margin", "tanh_epoch")) == ("margin", "tanh_epoch")
    assert comparing.offered(("log_ratio",)) == ("log_ratio",)


def test_one_look_is_kept_for_the_next(shelf, dataset, both):
    assert comparing.compare(shelf, dataset, ("aum", "margin")) is both
    assert isinstance(both, Comparison)
    assert comparing.compare(shelf, dataset, ("margin", "aum")).methods == ("margin", "aum")
