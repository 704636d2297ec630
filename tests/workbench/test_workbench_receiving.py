"""What browsers send: stored once and in order, refused alone, told to both people."""

import random
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.records.decision import Decision, Undo, Verdict
from audit.store import datasets, decisions
from audit.store.workspace import Workspace
from audit.workbench import receiving
from audit.workbench.shelf import Shelf

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def shelf(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


@pytest.fixture
def receive(shelf):
    def send(entries, reviewer="Ada", now=NOW):
        return receiving.receive(shelf, entries, reviewer=reviewer, now=now)

    return send


@pytest.fixture
def entry(dataset):
    def make(seq, position=0, **changes):
        minute = timedelta(minutes=60 - seq)
        return {
            "client": "tab-1",
            "seq": seq,
            "kind": "decide",
            "dataset": dataset.id,
            "key": dataset.sample_keys[position],
            "verdict": "exclude",
            "label": None,
            "note": "",
            "at": (NOW - minute).isoformat(),
            "shown": {},
        } | changes

    return make


@pytest.fixture
def log(shelf, dataset):
    return lambda: decisions.log(shelf.workspace, dataset.id)


def other_class(dataset, position):
    return dataset.class_names[(int(dataset.given_labels[position]) + 1) % dataset.n_classes]


def given_class(dataset, position):
    return dataset.class_names[int(dataset.given_labels[position])]


def test_decisions_are_stored_as_they_were_made_with_what_was_on_the_screen(
    receive, entry, dataset, log
):
    shown = {
        "position": 3,
        "given": "class a",
        "suggested": None,
        "method": "aum",
        "scores_id": "ab" * 32,
        "suspicion": 0.75,
        "rank": 2,
        "painted_at": "2026-03-01T11:00:00Z",
        "ms": 412.5,
    }
    sent = [
        entry(1, 3, verdict="relabel", label=other_class(dataset, 3), note=" a hat ", shown=shown),
        entry(2, 4, verdict="keep", label="whatever the browser says"),
        entry(3, 5, verdict="unsure", label=other_class(dataset, 5)),
    ]
    received = receive(sent)
    assert received.acks == {"tab-1": (1, 2, 3)}
    assert (received.refused, received.conflicts, received.problem) == ((), (), None)
    relabel, keep, unsure = log()
    assert relabel == Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[3],
        given_label=given_class(dataset, 3),
        verdict=Verdict.RELABEL,
        label=other_class(dataset, 3),
        reviewer="Ada",
        decided_at=NOW - timedelta(minutes=59),
        note="a hat",
        evidence={"shown": {name: value for name, value in shown.items() if value is not None}},
        client="tab-1",
        sequence=1,
        id=relabel.id,
    )
    assert (keep.verdict, keep.label) == (Verdict.KEEP, given_class(dataset, 4))
    assert (unsure.verdict, unsure.label, unsure.evidence) == (Verdict.UNSURE, None, None)
    assert received.numbers == {
        ("tab-1", n): e.id for n, e in enumerate((relabel, keep, unsure), 1)
    }


def test_a_relabel_to_the_given_label_is_a_keep(receive, entry, dataset, log):
    receive([entry(1, 6, verdict="relabel", label=given_class(dataset, 6))])
    assert [(d.verdict, d.label) for d in log()] == [(Verdict.KEEP, given_class(dataset, 6))]


def test_what_is_sent_twice_is_stored_once_and_acknowledged_again(receive, entry, log):
    sent = [entry(1, 0), entry(2, 1), entry(3, 0, verdict="unsure")]
    sent.append(entry(4, 0, kind="undo", of={"client": "tab-1", "seq": 3}))
    first = receive(sent)
    stored = log()
    again = receive(sent + sent[:2])
    assert log() == stored
    assert again.acks == first.acks == {"tab-1": (1, 2, 3, 4)}
    assert again.numbers == first.numbers
    assert again.refused == ()


def test_any_order_of_losses_and_repetitions_stores_each_act_once_and_in_order(
    receive, entry, dataset, log, shelf
):
    rng = random.Random(5)
    acts = []
    for seq in range(1, 60):
        position = rng.randrange(4)
        if seq % 5 == 0:
            target = acts[-1]
            acts.append(
                entry(seq, kind="undo", key=target["key"], of={"client": "tab-1", "seq": seq - 1})
            )
        else:
            acts.append(entry(seq, position, verdict=rng.choice(["exclude", "unsure"])))
    waiting = list(acts)
    while waiting:  # as an outbox does: a beginning of what waits; some answers are lost
        n_sent = rng.randint(1, len(waiting))
        received = receive(waiting[:n_sent])
        assert received.refused == ()
        if rng.random() < 0.5:
            acknowledged = set(received.acks["tab-1"])
            waiting = [act for act in waiting if act["seq"] not in acknowledged]
    assert [event.id for event in log()] == sorted(event.id for event in log())
    kinds = [isinstance(event, Undo) for event in log()]
    assert kinds == [act["kind"] == "undo" for act in acts]
    assert [e.sample_key for e in log()] == [act["key"] for act in acts]


def test_an_undo_takes_back_the_decision_it_names_and_no_other(receive, entry, log, shelf, dataset):
    receive([entry(1, 0, verdict="unsure"), entry(2, 0, verdict="exclude")])
    first, second = log()
    received = receive([entry(3, 0, kind="undo", of={"client": "tab-1", "seq": 1})])
    assert received.acks == {"tab-1": (3,)}
    assert shelf.standing(dataset).decisions == {dataset.sample_keys[0]: second}
    receive([entry(4, 0, kind="undo", of={"id": second.id})])
    assert shelf.standing(dataset).decisions == {}
    assert [event.undoes for event in log()[2:]] == [first.id, second.id]


def test_an_undo_of_something_unknown_elsewhere_or_already_undone_is_refused(receive, entry, log):
    receive([entry(1, 0), entry(2, 1)])
    number = log()[0].id
    received = receive(
        [
            entry(3, 0, kind="undo", of={"id": number}),
            entry(4, 0, kind="undo", of={"id": number}),
            entry(5, 0, kind="undo", of={"client": "tab-1", "seq": 2}),  # of another sample
            entry(6, 0, kind="undo", of={"client": "tab-2", "seq": 1}),
            entry(7, 0, kind="undo", of={"id": 10**9}),
            entry(8, 0, kind="undo", of={"client": "tab-1", "seq": 3}),  # no decision
            entry(9, 0, kind="undo", of=None),
        ],
        reviewer="Bo",
    )
    assert received.acks == {"tab-1": (3,)}
    assert [one.sequence for one in received.refused] == [4, 5, 6, 7, 8, 9]
    assert "Bo has taken this decision back already" in received.refused[0].reason
    assert all(one.reason.endswith(".") for one in received.refused)
    assert len(log()) == 3


def test_one_number_of_a_client_cannot_mean_two_things(receive, entry, log):
    receive([entry(1, 0), entry(2, 0, kind="undo", of={"client": "tab-1", "seq": 1})])
    stored = log()
    received = receive(
        [
            entry(1, 1),
            entry(1, 0, verdict="unsure"),
            entry(2, 1),
            entry(1, 0, kind="undo", of={"client": "tab-1", "seq": 1}),
            entry(3, 2),
        ]
    )
    assert [one.index for one in received.refused] == [0, 1, 2, 3]
    assert received.acks == {"tab-1": (3,)}
    assert log()[:-1] == stored


BROKEN = [
    None,
    7,
    "decide",
    [],
    {},
    {"client": None},
    {"client": ""},
    {"client": "x" * 65},
    {"client": "<script>"},
    {"client": "tab\x00"},
    {"seq": None},
    {"seq": -1},
    {"seq": 1.5},
    {"seq": True},
    {"seq": "1"},
    {"seq": 2**60},
    {"seq": 10**400},
    {"kind": "delete"},
    {"kind": None},
    {"kind": ["decide"]},
    {"dataset": "staged"},
    {"dataset": "0" * 12},
    {"dataset": None},
    {"dataset": "\ud800"},
    {"dataset": "../.."},
    {"key": "no such sample"},
    {"key": None},
    {"key": ""},
    {"key": 0},
    {"key": "x" * 100_000},
    {"key": "\ud800\0"},
    {"verdict": "perhaps"},
    {"verdict": None},
    {"verdict": ["keep"]},
    {"verdict": "relabel", "label": None},
    {"verdict": "relabel", "label": "no such class"},
    {"verdict": "relabel", "label": 1},
    {"verdict": "relabel", "label": ["class a"]},
    {"note": 5},
    {"note": "x" * 2001},
    {"note": "nul\0"},
    {"note": "half \ud800"},
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_entry_is_refused_alone_in_a_sentence(receive, entry, log, broken):
    bad = entry(2, 1) | broken if isinstance(broken, dict) and broken else broken
    received = receive([entry(1, 0), bad, entry(3, 2)])
    assert received.acks == {"tab-1": (1, 3)}
    (refused,) = received.refused
    assert refused.index == 1
    assert refused.reason.endswith(".")
    assert len(refused.reason) < 5000
    assert [event.sequence for event in log()] == [1, 3]


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "painted",
        [1],
        {"suspicion": float("nan"), "rank": float("inf"), "ms": 10**400},
        {"suspicion": "0.5", "method": 7, "rank": True, "given": "\ud800", "suggested": "nul\0"},
        {"method": "x" * 10_000, "evil": {"deep": ["x"] * 1000}},
    ],
)
def test_what_cannot_be_believed_of_the_screen_is_left_out_and_the_decision_stays(
    receive, entry, log, shown
):
    assert receive([entry(1, shown=shown)]).acks == {"tab-1": (1,)}
    assert log()[0].evidence is None


@pytest.mark.parametrize("entries", ["text", b"bytes", 7, True, {"entries": "text"}])
def test_what_is_no_list_is_answered_with_a_sentence(receive, entries):
    received = receive(entries)
    assert received.problem is not None
    assert received.acks == {}


@pytest.mark.parametrize("entries", [None, [], {}, {"entries": []}, {"entries": None}])
def test_nothing_sent_is_nothing_stored(receive, entries):
    assert receive(entries) == receiving.Received()


def test_a_message_may_come_as_the_whole_outbox(receive, entry):
    assert receive({"entries": [entry(1)]}).acks == {"tab-1": (1,)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "client",
    "seq",
    "kind",
    "dataset",
    "key",
    "verdict",
    "label",
    "note",
    "at",
    "shown",
    "of",
)


@settings(max_examples=60)
@given(changes=st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), max_size=3))
def test_nothing_that_a_browser_can_send_raises_or_hinders_the_rest(staged_copies, changes):
    shelf, dataset = staged_copies
    good = {
        "client": "good", "seq": 1, "kind": "decide", "dataset": dataset.id,
        "key": dataset.sample_keys[0], "verdict": "exclude",
    }  # fmt: skip
    entries = [good | {"client": "odd", "seq": n} | part for n, part in enumerate(changes)]
    received = receiving.receive(shelf, [*entries, good], reviewer="Ada", now=NOW)
    assert received.problem is None
    assert 1 in received.acks["good"]
    assert len(received.refused) + sum(map(len, received.acks.values())) <= len(entries) + 1
    received.to_json()


@pytest.fixture(scope="module")
def staged_copies(staged_workspace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("received")
    with Workspace.open(shutil.copytree(staged_workspace, folder / "workspace")) as workspace:
        shelf = Shelf(workspace)
        yield shelf, shelf.dataset("staged")


@pytest.mark.parametrize(
    "at",
    [
        None,
        7,
        "yesterday",
        "2026-03-01T12:00:00",
        (NOW + timedelta(seconds=1)).isoformat(),
        (NOW - timedelta(days=31)).isoformat(),
        "0001-01-01T00:00:00+23:59",
        "x" * 1000,
    ],
)
def test_a_time_that_cannot_be_believed_is_replaced_by_now(receive, entry, log, at):
    receive([entry(1, at=at)])
    assert log()[0].decided_at == NOW


def test_a_clock_that_was_set_back_does_not_turn_round_what_one_person_decided(
    receive, entry, shelf, dataset, log
):
    receive([entry(1, at=NOW.isoformat())])
    late = (NOW - timedelta(hours=3)).isoformat()
    receive([entry(2, verdict="unsure", at=late), entry(3, verdict="exclude", at=late)])
    assert shelf.standing(dataset).decisions[dataset.sample_keys[0]].sequence == 3
    receive([entry(4, verdict="unsure", at=late)])
    assert shelf.standing(dataset).decisions[dataset.sample_keys[0]].sequence == 4


def test_a_decision_that_was_seen_is_overruled_whatever_the_clocks_say(
    receive, entry, shelf, dataset, log
):
    receive([entry(1, at=NOW.isoformat())])
    late = (NOW - timedelta(hours=3)).isoformat()
    unseen = entry(1, client="tab-2", verdict="unsure", at=late)
    receive([unseen], reviewer="Bo")
    assert shelf.standing(dataset).decisions[dataset.sample_keys[0]].reviewer == "Ada"
    seen = entry(2, client="tab-2", verdict="unsure", at=late, shown={"decided": log()[0].id})
    receive([seen], reviewer="Bo")
    assert shelf.standing(dataset).decisions[dataset.sample_keys[0]].reviewer == "Bo"


def test_both_people_are_told_when_one_overrules_the_other(receive, entry, dataset, log):
    receive([entry(1, 0), entry(2, 1)], reviewer="Ada")
    told = receive(
        [entry(3, 0, client="tab-2", verdict="unsure"), entry(4, 5, client="tab-2")], "Bo"
    )
    ada, _, bo, _ = log()
    assert told.conflicts == (receiving.Conflict(own=bo, other=ada, own_stands=True),)
    assert not told.conflicts[0].agrees
    told = receive([entry(5, 7)], "Ada")
    assert told.conflicts == (receiving.Conflict(own=ada, other=bo, own_stands=False),)
    assert told.to_json()["conflicts"] == [
        {
            "dataset": dataset.id,
            "key": dataset.sample_keys[0],
            "own_stands": False,
            "agrees": False,
            "own": {"id": ada.id, "verdict": "exclude", "label": None, "reviewer": "Ada"},
            "other": {"id": bo.id, "verdict": "unsure", "label": None, "reviewer": "Bo"},
        }
    ]
    undone = entry(6, 0, client="tab-2", kind="undo", of={"id": bo.id})
    assert receive([undone], "Bo").conflicts == ()
    assert receive([entry(8, 8)], "Ada").conflicts == ()


def test_what_is_stored_is_acknowledged_even_if_its_conflicts_cannot_be_told(
    receive, entry, shelf, log
):
    receive([entry(1)])
    engine, is_stored = shelf.workspace.engine, []
    sa.event.listen(engine, "commit", is_stored.append)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def fail(*_):
        if is_stored:
            raise sa.exc.OperationalError("select", {}, sqlite3.OperationalError("disk I/O error"))

    received = receive([entry(2)])
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert is_stored
    assert received.acks == {"tab-1": (2,)}


@pytest.mark.parametrize("reviewer", ["", "  "])
def test_who_has_no_name_is_told_to_enter_one_and_loses_nothing(receive, entry, log, reviewer):
    received = receive([entry(1)], reviewer=reviewer)
    assert (received.acks, received.refused) == ({}, ())
    assert received.problem == receiving.NAMELESS
    assert log() == []
    assert receive([entry(1)], reviewer="Ada").acks == {"tab-1": (1,)}


def test_an_older_decision_that_arrives_late_is_told_to_be_replaced(receive, entry, log):
    receive([entry(30, 0)], reviewer="Ada")
    told = receive([entry(1, 0, client="tab-2", verdict="unsure")], reviewer="Bo")
    ada, bo = log()
    assert told.acks == {"tab-2": (1,)}
    assert told.conflicts == (receiving.Conflict(own=bo, other=ada, own_stands=False),)


def test_a_late_arrival_below_two_others_is_told_to_be_replaced_by_the_one_that_stands(
    receive, entry, log
):
    receive([entry(30, 0)], reviewer="Cy")
    receive([entry(31, 0)], reviewer="Ada")
    told = receive([entry(1, 0, client="tab-2", verdict="unsure")], reviewer="Bo")
    _, ada, bo = log()
    assert told.conflicts == (receiving.Conflict(own=bo, other=ada, own_stands=False),)


def test_a_full_disk_acknowledges_nothing_of_what_was_not_stored(receive, entry, shelf, log):
    receive([entry(1)])
    with shelf.workspace.reading() as connection:
        n_pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages}")
    many = [entry(seq, seq % 100, note="x" * 1900) for seq in range(2, 500)]
    received = receive([*many, entry(500, verdict="odd")])
    assert received.acks == {}
    assert "full" in received.problem
    assert [one.sequence for one in received.refused] == [500]
    assert len(log()) == 1
    with shelf.workspace.reading() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages + 5000}")
    assert len(receive(many).acks["tab-1"]) == 498


def test_a_long_outbox_is_taken_in_parts(receive, entry):
    many = [entry(seq, seq % 100) for seq in range(receiving.MOST_ENTRIES + 10)]
    assert len(receive(many).acks["tab-1"]) == receiving.MOST_ENTRIES


def test_entries_about_a_deleted_dataset_are_refused_beside_others(
    receive, entry, shelf, dataset, stage, tmp_path
):
    other = stage(shelf.workspace, tmp_path, name="other", n_samples=30, methods=())
    about_other = entry(1, dataset=other.id, key=other.sample_keys[3])
    receive([about_other])
    datasets.delete(shelf.workspace, other.id)
    received = receive([entry(2, dataset=other.id, key=other.sample_keys[3]), entry(3)])
    assert received.acks == {"tab-1": (3,)}
    assert [one.sequence for one in received.refused] == [2]


def test_a_sample_without_label_cannot_be_kept(receive, entry, shelf, stage, tmp_path):
    other = stage(shelf.workspace, tmp_path, name="other", n_samples=30, n_unlabelled=3, methods=())
    about = {"dataset": other.id, "key": other.sample_keys[29]}
    sent = [
        entry(1, **about, verdict="keep"),
        entry(2, **about, verdict="relabel", label="class b"),
    ]
    received = receive(sent)
    assert received.acks == {"tab-1": (2,)}
    assert "no given label to keep" in received.refused[0].reason
