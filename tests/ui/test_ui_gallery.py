"""Gallery, confusion table, distribution and filters: what they send, and their logic without a browser."""

from pathlib import Path

import pytest

from audit.ui import confusion, distribution, filters, gallery
from audit.workbench import cuts, ranking_view, suspects
from audit.workbench.flag_sets import Flags
from audit.workbench.ranking_view import Pair, Pairs
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def shelf(staged_workspace):
    return Shelf.open(staged_workspace)


@pytest.fixture(scope="module")
def dataset(shelf):
    return shelf.dataset("staged")


def test_the_widgets_logic_holds_in_javascript(node):
    node(HERE / "gallery.test.mjs")


def test_a_page_of_tiles_asks_for_one_sheet_and_the_next_one_is_known(shelf, dataset):
    ranking = suspects.ranked(shelf, dataset, "aum")
    view = ranking_view.look(shelf, dataset, Filters(method="aum"), ranking=ranking)
    data = gallery.data(view, "ada")
    first = ",".join(str(tile.position) for tile in view.tiles)
    assert data["sheet"] == f"api/datasets/{dataset.id}/sheet?at={first}&side=128&ground=f2efe8"
    assert data["next_sheet"].count(",") == 19
    assert (data["next_page"], data["reviewer"]) == ("Page 2", "ada")
    assert data["tiles"][0]["key"] == dataset.sample_keys[ranking.order[0]]


def test_another_list_another_page_or_another_cut_is_another_view(shelf, dataset):
    ranking = suspects.ranked(shelf, dataset, "aum")

    def view(page=1, **more):
        shown = Filters(method="aum", **more)
        look = ranking_view.look(shelf, dataset, shown, ranking=ranking, page=page)
        return gallery.data(look, "ada")["view"]

    views = [view(), view(2), view(cut=0.5), view(cls="class a"), view(state=State.FLAGGED)]
    assert len(set(views)) == len(views)
    assert view() == view()


def test_few_classes_become_a_table_and_many_a_list_that_names_only_what_occurs():
    top = tuple(Pair(given=n, suggested=n + 1, n_samples=50 - n) for n in range(19))
    pairs = Pairs(top=top, n_others=0)
    few = confusion.data(pairs, [f"c{n}" for n in range(20)], chosen=("c0", "c1"))
    assert few["is_table"]
    assert (len(few["cells"]), few["chosen"]) == (19, {"given": 0, "suggested": 1})
    many = confusion.data(pairs, [f"c{n}" for n in range(10_000)], chosen=("c0", None))
    assert not many["is_table"]
    assert len(many["names"]) == 13
    assert (len(many["cells"]), many["n_pairs"], many["chosen"]) == (12, 19, None)


def test_a_distribution_sends_bars_and_never_samples(shelf, dataset):
    shown = cuts.distribution(shelf, suspects.ranked(shelf, dataset, "aum"))
    assert shown is not None
    data = distribution.data(shown, shown.own_cut)
    assert len(data["counts"]) == len(data["threshold"]) == 60
    assert data["alt"].startswith("Distribution of aum over 120 samples, from ")
    assert "Low values are suspect." in data["alt"]
    assert "threshold rows lie between" in data["alt"]


def test_filters_of_an_address_are_taken_as_they_are_written(dataset):
    asked = {"method": "margin", "cls": "class b", "suggested": "class a", "state": "todo"}
    chosen, wrong = filters.parse(asked, dataset, ["aum", "margin"])
    assert chosen == Filters(method="margin", cls="class b", suggested="class a", state=State.TODO)
    assert wrong == []
    address = filters.as_address(dataset, chosen)
    assert address == {"dataset": "staged", **asked}


def test_flag_sets_of_an_address_are_taken_and_wrong_ones_restrict_nothing(dataset):
    asked = {"method": "margin", "state": "all", "by": "aum", "not_by": "margin:14"}
    chosen, wrong = filters.parse(asked, dataset, ["aum", "margin"])
    assert chosen.by == (Flags(method="aum"),)
    assert chosen.not_by == (Flags(method="margin", top=14),)
    assert wrong == []
    assert filters.as_address(dataset, chosen) == {"dataset": "staged", **asked}
    bent, wrong = filters.parse({"by": "**x**", "not_by": "margin"}, dataset, ["aum", "margin"])
    assert (bent.by, bent.not_by) == ((), ())
    assert wrong == [
        r"“\*\*x\*\*” is no method; there are aum, margin\. These flags restrict nothing.",
        r"margin has no cut of its own\: say of how many, as in margin\:100\. "
        "These flags restrict nothing.",
    ]


def test_what_an_address_cannot_have_is_answered_by_a_sentence_and_the_default(dataset):
    asked = {"method": "votes", "cls": "**zebra**", "suggested": "[x](y)", "state": "done"}
    chosen, wrong = filters.parse(asked, dataset, ["aum", "margin"])
    assert chosen == Filters(method="aum")
    assert wrong == [
        r"“votes” is no method; there are aum, margin. Showing aum.",
        r"staged has no class “\*\*zebra\*\*”. Showing every given class.",
        r"staged has no class “\[x\]\(y\)”. Showing every suggested class.",
        "“done” is no state; there are all, undecided, decided, flagged, todo, keep, relabel, "
        "exclude, unsure, problem. Showing all.",
    ]
    (unscored,) = filters.parse({"method": "log_ratio"}, dataset, ["aum"])[1]
    assert unscored == r"“log\_ratio” has not scored staged yet; there are aum. Showing aum."


@pytest.mark.parametrize("text", ["nan", "inf", "-1e9", "much", "0x10"])
def test_a_cut_that_is_no_number_in_the_range_is_refused(shelf, dataset, text):
    shown = cuts.distribution(shelf, suspects.ranked(shelf, dataset, "aum"))
    cut, wrong = filters.parse_cut({"cut": text}, shown)
    assert cut is None
    assert len(wrong) == 1
    assert wrong[0].endswith("Showing the method's own flags.")
    assert filters.parse_cut({"cut": "0.5"}, shown) == (0.5, [])


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "9" * 40, "²"])
def test_a_page_that_is_no_whole_number_from_1_is_refused(text):
    page, wrong = filters.parse_page({"page": text})
    assert page == 1
    assert len(wrong) == 1
    assert filters.parse_page({"page": "7"}) == (7, [])
