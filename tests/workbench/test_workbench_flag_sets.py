"""Flag sets: what an address may say of other methods' flags, and which samples that means."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from audit.errors import InputError, NotFoundError
from audit.store import scores
from audit.store.workspace import Workspace
from audit.workbench import comparing, flag_sets, queues, ranking_view, suspects
from audit.workbench.comparing import Part
from audit.workbench.flag_sets import Flags
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State

DATASET = SimpleNamespace(name="birds", n_samples=120)
METHODS = ("aum", "margin")


@pytest.fixture(scope="module")
def shelf(staged_workspace):
    return Shelf.open(staged_workspace)


@pytest.fixture(scope="module")
def dataset(shelf):
    return shelf.dataset("staged")


def plain_flags(shelf, dataset, method, top):
    """Return what a method flags as a set, sample by sample."""
    ranking = suspects.ranked(shelf, dataset, method)
    if top is None:
        return {i for i, flag in enumerate(ranking.scores.flagged) if flag}
    return set(ranking.order[:top].tolist())


def test_a_list_is_read_as_it_is_written_and_each_entry_counts_once():
    flags = flag_sets.parse("aum,margin:14,,aum,margin:014", DATASET, METHODS)
    assert flags == (Flags(method="aum"), Flags(method="margin", top=14))
    assert flag_sets.as_text(flags) == "aum,margin:14"
    assert flag_sets.parse(flag_sets.as_text(flags), DATASET, METHODS) == flags
    for nothing in (None, "", ",,"):
        assert flag_sets.parse(nothing, DATASET, METHODS) == ()
    assert flag_sets.as_text(()) is None


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("votes", NotFoundError, "“votes” is no method; there are aum, margin."),
        ("lstm", NotFoundError, "“lstm” has not scored birds yet; there are aum, margin."),
        ("margin", InputError, "margin has no cut of its own: say of how many, as in margin:100."),
        ("aum:0", InputError, "“aum:0” takes a number of samples from 1 to 120."),
        ("aum:121", InputError, "“aum:121” takes a number of samples from 1 to 120."),
        ("aum:²", InputError, "“aum:²” takes a number of samples from 1 to 120."),
        ("aum:-3", InputError, "“aum:-3” takes a number of samples from 1 to 120."),
        ("aum:", InputError, "“aum:” takes a number of samples from 1 to 120."),
        ("aum:" + "9" * 5000, InputError, "“aum:" + "9" * 36 + "…” takes a number"),
    ],
)
def test_what_a_list_cannot_have_is_refused_in_one_sentence(text, error, sentence):
    with pytest.raises(error) as caught:
        flag_sets.parse(text, DATASET, METHODS)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("part", list(Part))
@pytest.mark.parametrize("top", [None, 7, 20])
@pytest.mark.parametrize("pair", [("aum", "margin"), ("margin", "aum")])
def test_the_filters_of_a_part_mean_its_samples_and_no_others(shelf, dataset, part, top, pair):
    made = comparing.compare(shelf, dataset, METHODS, top=top)
    filters = comparing.filters_of(made, *pair, part)
    found = suspects.select(shelf, dataset, filters).positions
    assert found.tolist() == comparing.positions(made, *pair, part).tolist()
    assert suspects.flagged(suspects.ranked(shelf, dataset, filters.method), filters.cut)[
        found
    ].all(), "what the part's method flags is marked as flagged"


def test_flags_of_several_methods_are_those_of_plain_sets(shelf, dataset):
    by = (Flags(method="margin", top=40), Flags(method="aum"))
    not_by = (Flags(method="margin", top=5), Flags(method="aum", top=3))
    found = suspects.select(
        shelf, dataset, Filters(method="margin", by=by, not_by=not_by)
    ).positions.tolist()
    sets = {flags: plain_flags(shelf, dataset, flags.method, flags.top) for flags in by + not_by}
    wanted = (sets[by[0]] & sets[by[1]]) - sets[not_by[0]] - sets[not_by[1]]
    assert set(found) == wanted
    assert 0 < len(wanted) < len(sets[by[1]])
    ranks = suspects.ranked(shelf, dataset, "margin").ranks
    assert found == sorted(found, key=lambda position: ranks[position])


def test_other_filters_restrict_a_flag_set_further_and_its_pairs_are_its_own(shelf, dataset):
    wide = Filters(method="aum", by=(Flags(method="margin", top=60),))
    all_of_it = suspects.select(shelf, dataset, wide).positions
    narrow = suspects.select(shelf, dataset, replace(wide, cls="class a")).positions
    labels = dataset.given_labels[all_of_it]
    assert narrow.tolist() == all_of_it[labels == 0].tolist()
    ranking = suspects.ranked(shelf, dataset, "aum")
    pairs = [
        sum(pair.n_samples for pair in view.pairs.top)
        for view in (
            ranking_view.look(shelf, dataset, filters, ranking=ranking)
            for filters in (wide, Filters(method="aum"))
        )
    ]
    assert pairs == [60, 120]


def test_an_opened_queue_keeps_its_samples_while_a_method_that_it_goes_by_scores_anew(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        shelf = Shelf(workspace)
        dataset = shelf.dataset("staged")
        filters = Filters(
            method="aum", state=State.UNDECIDED, not_by=(Flags(method="margin", top=30),)
        )
        opened = queues.page(shelf, dataset, filters, count=40)
        said = suspects.ranked(shelf, dataset, "margin").scores
        turned = replace(
            said,
            spec=replace(said.spec, params={"other": 1}),
            quantity=-said.quantity,
            suspicion=1.0 - said.suspicion,
        )
        scores.save(workspace, dataset.id, turned)
        again = queues.page(
            shelf, dataset, filters, scores_id=opened.scores_id, as_of=opened.as_of, count=40
        )
        fresh = queues.page(shelf, dataset, filters, count=40)
    assert again == opened
    assert fresh.total == opened.total == 90
    keys = [{item["key"] for item in page.items} for page in (opened, fresh)]
    assert keys[0] != keys[1]
    first = np.argsort(-said.quantity, kind="stable")[:30]
    assert not keys[1] & {dataset.sample_keys[position] for position in first}


def test_scores_of_other_methods_than_those_named_are_refused(shelf, dataset):
    filters = Filters(method="aum", by=(Flags(method="margin", top=9),))
    aum = suspects.ranked(shelf, dataset, "aum").scores_id
    with pytest.raises(NotFoundError, match="are of other methods"):
        queues.page(shelf, dataset, filters, scores_id=f"{aum},{aum}")
