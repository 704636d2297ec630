"""History by page tells the same as a plain walk through the log, and undoes what it is told to."""

import csv
import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from audit.errors import InputError, NotFoundError, RefusedError
from audit.records.decision import Decision, Undo, Verdict
from audit.store import decisions as decision_rows
from audit.store import histories as history_rows
from audit.store.histories import Sought
from audit.store.workspace import Workspace
from audit.workbench import histories
from audit.workbench.shelf import Shelf

START = datetime(2026, 3, 1, tzinfo=UTC)
HOSTILE = '<img src=x onerror=alert(1)>,"**bold**" :red[x]\r\nnext line\t=1+1 %_\\'


@pytest.fixture
def shelf(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


def decision(dataset, position, verdict, label=None, *, by="ann", at=0.0, **facts):
    given = dataset.class_names[dataset.given_labels[position]]
    return Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[position],
        given_label=given,
        verdict=Verdict(verdict),
        label=given if verdict == "keep" else label,
        reviewer=by,
        decided_at=START + timedelta(seconds=at),
        **facts,
    )


def other_label(dataset, position):
    return dataset.class_names[(dataset.given_labels[position] + 1) % dataset.n_classes]


def random_log(shelf, dataset, n=160, seed=3):
    """Record decisions on few samples by few people at few times, and take some of them back."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        position, by = int(rng.integers(12)), str(rng.choice(["ann", "bob", "cleo"]))
        verdict = str(rng.choice([str(one) for one in Verdict]))
        label = other_label(dataset, position) if verdict == "relabel" else None
        made = decision(dataset, position, verdict, label, by=by, at=float(rng.integers(20)))
        decision_rows.append(shelf.workspace, [made])
        if rng.random() < 0.3:
            key = dataset.sample_keys[int(rng.integers(12))]
            if key in decision_rows.current(shelf.workspace, dataset.id):
                decision_rows.undo(shelf.workspace, dataset.id, key, reviewer=by, at=START)


def plain_twin(shelf, dataset, sought):
    """Return (number, state, by) of every decision that is meant, newest first, the slow way."""
    log = decision_rows.log(shelf.workspace, dataset.id)
    undone = {event.undoes: event for event in log if isinstance(event, Undo)}
    made = sorted(
        (event for event in log if isinstance(event, Decision)),
        key=lambda one: (one.decided_at, one.id),
        reverse=True,
    )
    told = []
    for place, one in enumerate(made):
        counting = [
            d for d in made[:place] if d.sample_key == one.sample_key and d.id not in undone
        ]
        if one.id in undone:
            became = ("undone", undone[one.id].reviewer)
        else:
            became = ("replaced", counting[-1].reviewer) if counting else ("stands", None)
        is_meant = (
            (sought.reviewer is None or one.reviewer == sought.reviewer)
            and (sought.verdict is None or one.verdict is sought.verdict)
            and sought.key.lower() in one.sample_key.lower()
            and (not sought.only_standing or became[0] == "stands")
        )
        if is_meant:
            told.append((one.id, *became))
    return told


def summary(told):
    after = told.undone_by or told.replaced_by
    return told.decision.id, histories.state(told), after.reviewer if after else None


@pytest.mark.parametrize(
    "sought",
    [
        Sought(),
        Sought(only_standing=True),
        Sought(reviewer="bob"),
        Sought(verdict=Verdict.RELABEL, only_standing=True),
        Sought(key="1", reviewer="ann"),
        Sought(key="nowhere"),
    ],
)
def test_pages_tell_what_a_walk_through_the_log_tells(shelf, dataset, sought):
    random_log(shelf, dataset)
    expected = plain_twin(shelf, dataset, sought)
    workspace = shelf.workspace
    assert history_rows.count(workspace, dataset.id, sought) == len(expected)
    pages = [
        history_rows.page(workspace, dataset.id, sought, start=start, most=37)
        for start in range(0, 185, 37)
    ]
    assert [summary(told) for page in pages for told in page] == expected


def test_what_stands_in_history_is_what_an_export_takes(shelf, dataset):
    random_log(shelf, dataset, seed=8)
    standing = histories.page(shelf, dataset, Sought(only_standing=True)).rows
    assert {told.decision.sample_key: told.decision for told in standing} == decision_rows.current(
        shelf.workspace, dataset.id
    )


def test_signs_of_a_pattern_are_looked_for_as_they_are(shelf, dataset):
    decision_rows.append(shelf.workspace, [decision(dataset, 3, "keep")])
    for key in ("%", "_", "\\", "'"):
        assert histories.page(shelf, dataset, Sought(key=key)).total == 0
    with pytest.raises(InputError, match="No part of a key can hold"):
        histories.page(shelf, dataset, Sought(key="a\0b"))


def test_pages_hold_a_hundred_and_a_page_beyond_the_last_is_the_last(shelf, dataset):
    made = [decision(dataset, n % 120, "keep", at=n) for n in range(230)]
    stored = decision_rows.append(shelf.workspace, made)
    first = histories.page(shelf, dataset, Sought())
    assert (len(first.rows), first.total, first.n_pages) == (100, 230, 3)
    assert first.rows[0].decision.id == stored[-1].id
    last = histories.page(shelf, dataset, Sought(), 99)
    assert (len(last.rows), last.number) == (30, 3)
    assert last.rows[-1].decision.id == stored[0].id
    decision_rows.append(shelf.workspace, [decision(dataset, 5, "exclude", at=1000)])
    assert histories.page(shelf, dataset, Sought()).total == 231, "a new event is seen at once"


def painted(suggested, milliseconds):
    return {
        "shown": {"method": "aum", "rank": 4, "suggested": suggested, "ms": milliseconds},
    }


def test_people_are_counted_with_their_pace_and_their_agreement(shelf, dataset):
    new = other_label(dataset, 0)
    log = [
        decision(dataset, 0, "relabel", new, at=1, evidence=painted(new, 1000)),
        decision(dataset, 1, "keep", at=2, evidence=painted(new, 3000)),
        decision(dataset, 2, "exclude", at=3, evidence=painted(new, 9000)),
        decision(dataset, 3, "keep", at=4, evidence={"margin": {"rank": 2}}),
        decision(dataset, 0, "keep", by="bob", at=5),
    ]
    decision_rows.append(shelf.workspace, log)
    ann, bob = histories.people(shelf, dataset)
    assert (ann.reviewer, ann.n_decisions, ann.n_standing) == ("ann", 4, 3)
    assert (ann.seconds, ann.n_suggested, ann.n_agreeing) == (3.0, 2, 1)
    assert (bob.n_decisions, bob.n_standing, bob.seconds, bob.n_suggested) == (1, 1, None, 0)


def test_counting_people_in_blocks_changes_nothing(shelf, dataset, monkeypatch):
    random_log(shelf, dataset)
    whole = histories.people(shelf, dataset)
    monkeypatch.setattr(histories, "_BLOCK", 7)
    assert histories.people(Shelf(shelf.workspace), dataset) == whole
    assert sum(one.n_decisions for one in whole) == 160


def test_a_long_log_drives_nothing_else_off_the_shelf(shelf, dataset, monkeypatch):
    random_log(shelf, dataset, n=80)
    monkeypatch.setattr(histories, "_BLOCK", 1)
    histories.people(shelf, dataset)
    assert shelf.dataset("staged") is dataset


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        {},
        {"shown": None},
        {"shown": {"method": 3, "rank": "first"}},
        {"shown": ["aum"]},
        {"aum": "sure"},
        {"aum": {"rank": -1}},
        {"method": "aum", "rank": True, "ms": "soon", "suggested": ["cat"]},
        {"method": "aum", "rank": 1e300, "ms": -5},
    ],
)
def test_odd_evidence_is_nothing_shown_and_never_an_error(evidence):
    seen = histories.shown(evidence)
    assert (seen.rank, seen.seconds, seen.suggested) == (None, None, None)


def test_a_decision_is_taken_back_by_number_and_twice_is_once(shelf, dataset):
    first, second = decision_rows.append(
        shelf.workspace,
        [decision(dataset, 0, "keep", at=1), decision(dataset, 0, "exclude", by="bob", at=2)],
    )
    for _ in range(2):
        said = histories.take_back(shelf, dataset, second.id, reviewer="ann", token="t-1")
        assert said.startswith("bob’s “exclude” on")
        assert said.endswith("ann’s “keep” stands again.")
    assert len(decision_rows.log(shelf.workspace, dataset.id)) == 3
    assert decision_rows.current(shelf.workspace, dataset.id) == {first.sample_key: first}
    with pytest.raises(RefusedError, match="already"):
        histories.take_back(shelf, dataset, second.id, reviewer="ann", token="t-2")
    with pytest.raises(NotFoundError, match="no decision number 99"):
        histories.take_back(shelf, dataset, 99, reviewer="ann", token="t-3")
    said = histories.take_back(shelf, dataset, first.id, reviewer="ann", token="t-4")
    assert said.startswith("Your “keep”")
    assert said.endswith("undecided again.")


def test_deciding_again_repeats_the_decision_once_and_names_whom_it_replaces(shelf, dataset):
    new = other_label(dataset, 0)
    first, _ = decision_rows.append(
        shelf.workspace,
        [
            decision(dataset, 0, "relabel", new, at=1, note=HOSTILE, evidence=painted(new, 10)),
            # By a clock that goes wrong: far in the future.
            decision(dataset, 0, "exclude", by="bob", at=1e10),
        ],
    )
    said = histories.decide_again(shelf, dataset, first.id, reviewer="cleo", token="t-1")
    histories.decide_again(shelf, dataset, first.id, reviewer="cleo", token="t-1")
    assert said.endswith("decided by cleo; it replaces “exclude” by bob, who is told here.")
    (standing,) = decision_rows.current(shelf.workspace, dataset.id).values()
    assert (standing.verdict, standing.label, standing.note) == (Verdict.RELABEL, new, HOSTILE)
    assert standing.reviewer == "cleo"
    assert standing.evidence == {"repeats": first.id}, "what was shown to ann was not shown to cleo"
    assert len(decision_rows.log(shelf.workspace, dataset.id)) == 3
    (pair,) = histories.replaced_by_others(shelf, dataset, "bob")
    assert pair.standing.id == standing.id
    assert histories.replaced_by_others(shelf, dataset, "ann") == (), (
        "the same label is no conflict"
    )


def test_the_log_as_csv_holds_every_event_and_every_text_as_it_is(shelf, dataset):
    made = decision_rows.append(
        shelf.workspace,
        [
            decision(dataset, 0, "keep", at=1, note=HOSTILE, by='=cmd|"x"'),
            decision(dataset, 0, "exclude", at=2, evidence=painted("class a", 5)),
            decision(dataset, 1, "unsure", at=3),
        ],
    )
    key = made[2].sample_key
    undo = decision_rows.undo(shelf.workspace, dataset.id, key, reviewer="bob", at=START)
    text = histories.log_csv(shelf, dataset).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert tuple(rows[0]) == histories.LOG_COLUMNS
    assert [row["state"] for row in rows] == ["replaced", "stands", "undone", ""]
    assert (rows[0]["note"], rows[0]["reviewer"]) == (HOSTILE, '=cmd|"x"')
    assert (rows[1]["method"], rows[1]["rank"]) == ("aum", "4")
    assert (rows[3]["event"], rows[3]["undoes"]) == ("undo", str(made[2].id))
    assert rows[3]["number"] == str(undo.id)
    assert rows[0]["decided_at"] == "2026-03-01T00:00:01Z"
