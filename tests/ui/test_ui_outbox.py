"""The outbox that all widgets share: its JavaScript, and what Python answers to it."""

from pathlib import Path

import pytest

from audit.store import decisions
from audit.ui.outbox import answer
from audit.workbench.shelf import Shelf

HERE = Path(__file__).resolve().parent


def test_outbox_and_search_hold_in_javascript(node):
    node(HERE / "outbox.test.mjs")


@pytest.fixture
def shelf(staged_copy):
    return Shelf.open(staged_copy)


def entry(dataset, seq, position=0, **more):
    key = dataset.sample_keys[position]
    act = {"kind": "decide", "verdict": "exclude", "label": None, "at": "2026-01-01T00:00:00Z"}
    return {"client": "tab", "seq": seq, "dataset": dataset.id, "key": key, **act, **more}


def test_a_batch_that_comes_twice_is_stored_once(shelf):
    dataset = shelf.dataset("staged")
    batch = [entry(dataset, 1), entry(dataset, 2, position=1)]
    for _ in range(2):
        assert answer(batch, shelf, "Ada")["acks"] == {"tab": [1, 2]}
    assert len(decisions.log(shelf.workspace, dataset.id)) == 2


def test_a_decision_counts_for_the_name_that_stood_there_when_it_was_made(shelf):
    dataset = shelf.dataset("staged")
    batch = [
        entry(dataset, 1, reviewer="Grace"),
        entry(dataset, 2, position=1),
        entry(dataset, 3, position=2, reviewer="x" * 201),
        {"broken": True},
    ]
    said = answer(batch, shelf, "Ada")
    assert said["acks"] == {"tab": [1, 2, 3]}
    assert [refused["index"] for refused in said["refused"]] == [3]
    log = decisions.log(shelf.workspace, dataset.id)
    assert [event.reviewer for event in log] == ["Grace", "Ada", "Ada"]


def test_both_people_are_told_of_a_conflict_in_a_sentence(shelf):
    dataset = shelf.dataset("staged")
    key = dataset.sample_keys[0]
    answer([entry(dataset, 1, reviewer="Ada")], shelf, "Ada")
    later = entry(dataset, 2, verdict="unsure", at="2026-01-01T00:00:01Z")
    (told,) = answer([later], shelf, "Grace")["conflicts"]
    assert told["sentence"] == (
        f"{key}: Ada had excluded it; your later decision stands: marked it unsure."
    )
    (told,) = answer([entry(dataset, 3, position=5)], shelf, "Ada")["conflicts"]
    assert told["sentence"] == (
        f"{key}: Grace has since marked it unsure; that decision stands, not yours (excluded it)."
    )


@pytest.mark.parametrize("entries", [None, "text", 7, {"a": 1}, [None, 3, "x", []]])
def test_what_is_no_list_of_decisions_stores_nothing_and_raises_nothing(shelf, entries):
    assert answer(entries, shelf, "Ada")["acks"] == {}
