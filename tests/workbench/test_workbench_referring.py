"""Words that name datasets, runs and jobs."""

import pytest

from audit.errors import NotFoundError
from audit.workbench.referring import Meant, choose

KINDS = ("dataset", "run", "job")
KNOWN = (
    Meant(kind="dataset", id="1aaa", name="pets"),
    Meant(kind="dataset", id="1abb", name="2bbb"),
    Meant(kind="run", id="1abc", name="pets-quick-1"),
    Meant(kind="run", id="2bbb", name="twin"),
    Meant(kind="job", id="1abd", name="1abd"),
)


@pytest.mark.parametrize(
    ("word", "identity"), [("pets", "1aaa"), ("1aa", "1aaa"), ("1abc", "1abc"), ("1abd", "1abd")]
)
def test_names_ids_and_unique_beginnings_are_understood(word, identity):
    assert choose(KNOWN, word, KINDS).id == identity


def test_a_name_wins_over_an_id():
    assert choose(KNOWN, "2bbb", KINDS).id == "1abb"


def test_what_fits_things_of_several_kinds_is_refused_with_all_of_them():
    with pytest.raises(NotFoundError) as refusal:
        choose(KNOWN, "1ab", KINDS)
    assert str(refusal.value) == (
        "'1ab' could be dataset 2bbb (1abb), run pets-quick-1 (1abc), job 1abd; "
        "write more of the id."
    )


@pytest.mark.parametrize("word", ["", "nothing", "PETS", "%", "1_aa"])
def test_nothing_fits_by_accident(word):
    with pytest.raises(NotFoundError, match="There is no dataset, run or job"):
        choose(KNOWN, word, KINDS)
