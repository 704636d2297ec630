import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.exchange.safe_names import DistinctNames


def claimed(*names, keep_extension=False, taken=()):
    book = DistinctNames(taken)
    return [book.claim(name, keep_extension=keep_extension) for name in names]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat", "cat"),
        ("", "_"),
        ("..", "_"),
        (".", "_"),
        ("../../etc", "__.._etc"),
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("nul", "_nul"),
        ("Con.txt", "_Con.txt"),
        ("console", "console"),
        ("com1", "_com1"),
        ("a\0b", "a_b"),
        ("dots. . ", "dots"),
        ("  lead", "lead"),
        (".git", "_git"),
        ("שלום 😀", "שלום 😀"),
        ("bad\udcff", "bad_"),
        ("é" * 200, "é" * 127),
    ],
)
def test_class_names_become_folder_names(name, safe):
    assert claimed(name) == [safe]


def test_names_that_a_file_system_may_confuse_get_a_number():
    assert claimed("Cat", "cat", "CAT", "cat-2", "a/b", "a_b") == [
        "Cat", "cat-2", "CAT-3", "cat-2-2", "a_b", "a_b-2"
    ]  # fmt: skip
    assert claimed("é", unicodedata.normalize("NFD", "é")) == ["é", "é-2"]
    assert claimed("Manifest.json", taken=["manifest.json"]) == ["Manifest.json-2"]


def test_files_keep_their_extension():
    assert claimed("a.PNG", "a.png", "a.b.jpg", "x" * 300 + ".jpeg", keep_extension=True) == [
        "a.PNG", "a-2.png", "a.b.jpg", "x" * 250 + ".jpeg"
    ]  # fmt: skip


def test_ten_thousand_equal_names_are_told_apart_quickly():
    names = claimed(*["a.png"] * 10_000, keep_extension=True)
    assert len(set(names)) == 10_000
    assert names[-1] == "a-10000.png"


@given(st.lists(st.text(max_size=300), max_size=12), st.booleans())
def test_any_names_are_safe_and_distinct(names, keep_extension):
    made = claimed(*names, keep_extension=keep_extension)
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in made}) == len(names)
    for name in made:
        assert 0 < len(name.encode()) <= 255
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert not name.startswith((".", " "))
        assert not name.endswith((".", " "))
