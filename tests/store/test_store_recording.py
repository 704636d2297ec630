"""Acts of a client: in one transaction and in order, each refused alone, each done once."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from audit.errors import InputError, NotFoundError, RefusedError, WorkspaceError
from audit.records.decision import Undo, Verdict
from audit.store import decisions
from audit.store.decisions import TakeBack

AT = datetime(2026, 1, 3, tzinfo=UTC)


@pytest.fixture
def take_back(dataset):
    def make(of, sequence, sample_key="cat/0.png", client="a"):
        return TakeBack(
            dataset_id=dataset.id, sample_key=sample_key, of=of, reviewer="Bo", decided_at=AT,
            client=client, sequence=sequence,
        )  # fmt: skip

    return make


def test_decisions_and_undos_of_one_message_are_stored_in_their_order(
    workspace, dataset, make_decision, take_back
):
    acts = [
        make_decision(client="a", sequence=1),
        take_back(("a", 1), 2),
        make_decision(client="a", sequence=3, verdict=Verdict.UNSURE, label=None),
        make_decision("cat/1.png", client="a", sequence=4),
        take_back(("a", 4), 5, "cat/1.png"),
    ]
    stored = decisions.record(workspace, acts)
    assert decisions.log(workspace, dataset.id) == list(stored)
    assert [isinstance(event, Undo) for event in stored] == [False, True, False, False, True]
    assert decisions.current(workspace, dataset.id) == {"cat/0.png": stored[2]}
    assert decisions.record(workspace, acts) == stored
    assert decisions.record(workspace, [acts[4], *acts, acts[0]])[1:6] == stored
    assert len(decisions.log(workspace, dataset.id)) == 5


def test_what_cannot_be_stored_is_refused_alone(workspace, dataset, make_decision, take_back):
    answers = decisions.record(
        workspace,
        [
            make_decision(client="a", sequence=1, note="nul\0"),
            make_decision(client="a", sequence=2),
            make_decision(client="a", sequence=3, dataset_id="gone"),
            take_back(("a", 1), 4),
            take_back(("a", 2), 5, "cat/1.png"),
            make_decision("cat/1.png", client="a", sequence=6),
        ],
    )
    kinds = [type(answer) for answer in answers]
    assert kinds[0] is InputError
    assert kinds[2:5] == [NotFoundError] * 3
    assert decisions.log(workspace, dataset.id) == [answers[1], answers[5]]


def test_a_decision_is_taken_back_once_whoever_tries(workspace, make_decision, take_back):
    (stored,) = decisions.record(workspace, [make_decision(client="a", sequence=1)])
    first, second, again = decisions.record(
        workspace,
        [
            take_back(stored.id, 1, client="b"),
            take_back(stored.id, 1, client="c"),
            take_back(("a", 1), 1, client="b"),
        ],
    )
    assert isinstance(second, RefusedError)
    assert again == first
    with pytest.raises(NotFoundError):
        decisions.undo(workspace, stored.dataset_id, "cat/0.png", reviewer="Bo", at=AT)


def test_a_decision_below_another_can_be_taken_back_and_the_other_stays(
    workspace, dataset, make_decision, take_back
):
    below, above = decisions.append(workspace, [make_decision(minute=1), make_decision(minute=2)])
    decisions.record(workspace, [take_back(below.id, 1)])
    assert decisions.current(workspace, dataset.id) == {"cat/0.png": above}
    decisions.record(workspace, [take_back(above.id, 2)])
    assert decisions.current(workspace, dataset.id) == {}


def test_a_number_that_was_used_for_something_else_is_refused(workspace, make_decision, take_back):
    act = make_decision(client="a", sequence=1)
    decisions.record(workspace, [act, take_back(("a", 1), 2)])
    others = [
        replace(act, sample_key="cat/1.png"),
        replace(act, verdict=Verdict.UNSURE, label=None),
        replace(act, sequence=2),
        take_back(("a", 1), 1),
    ]
    answers = decisions.record(workspace, others)
    assert [type(answer) for answer in answers] == [RefusedError] * 4
    # Sent again under another name, which the person has changed meanwhile, it is the same act.
    (same,) = decisions.record(workspace, [replace(act, reviewer="Ada Lovelace")])
    assert same.reviewer == "Ada"


def test_a_full_disk_stores_nothing_of_a_message(workspace, dataset, make_decision):
    with workspace.reading() as connection:
        n_pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages}")
    acts = [make_decision(client="a", sequence=n, note="x" * 1000) for n in range(500)]
    with pytest.raises(WorkspaceError, match="is full"):
        decisions.record(workspace, acts)
    assert decisions.log(workspace, dataset.id) == []


def test_the_log_can_be_read_from_an_event_on(workspace, dataset, make_decision):
    stored = decisions.append(workspace, [make_decision(minute=n) for n in range(4)])
    assert decisions.log(workspace, dataset.id, after=stored[1].id) == list(stored[2:])
    assert decisions.log(workspace, dataset.id, after=stored[3].id) == []
    assert decisions.log(workspace, dataset.id, "cat/1.png", after=stored[0].id) == []
