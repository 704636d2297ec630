from datetime import UTC, datetime

import pytest

from audit.errors import InputError, NotFoundError, RefusedError, WorkspaceError
from audit.records.decision import Undo, Verdict
from audit.store import datasets, decisions


def test_decisions_come_back_as_they_were_given(workspace, dataset, make_decision):
    given = make_decision(
        verdict=Verdict.RELABEL,
        label="dog 🐕",
        note="two\nlines",
        evidence={"rank": 3, "suspicion": 0.25},
        client="browser",
        sequence=7,
    )
    (stored,) = decisions.append(workspace, [given])
    assert stored.id == 1
    assert decisions.log(workspace, dataset.id) == [stored]
    assert stored.decided_at == given.decided_at
    assert stored.evidence == {"rank": 3, "suspicion": 0.25}


def test_what_a_client_sends_twice_is_stored_once(workspace, dataset, make_decision):
    batch = [make_decision(f"cat/{i}.png", client="browser", sequence=i) for i in range(3)]
    first = decisions.append(workspace, batch)
    again = decisions.append(workspace, [batch[2], batch[0], batch[2]])
    assert again == (first[2], first[0], first[2])
    extended = decisions.append(
        workspace, [batch[1], make_decision("cat/9.png", client="browser", sequence=3)]
    )
    assert extended[0] == first[1]
    assert len(decisions.log(workspace, dataset.id)) == 4


def test_a_number_twice_in_one_message_is_stored_once(workspace, dataset, make_decision):
    one = make_decision(client="browser", sequence=0)
    other = make_decision("cat/1.png", client="browser", sequence=0)
    first, second = decisions.append(workspace, [one, other])
    assert first == second
    assert len(decisions.log(workspace, dataset.id)) == 1


def test_without_a_client_equal_decisions_are_separate_acts(workspace, dataset, make_decision):
    decisions.append(workspace, [make_decision(), make_decision()])
    assert [event.id for event in decisions.log(workspace, dataset.id)] == [1, 2]


def test_the_later_decision_stands_by_time_then_by_number(workspace, dataset, make_decision):
    decisions.append(
        workspace,
        [
            make_decision(minute=5, reviewer="late"),
            make_decision(minute=1, reviewer="early"),
            make_decision("cat/1.png", minute=2, reviewer="first"),
            make_decision("cat/1.png", minute=2, reviewer="second"),
        ],
    )
    standing = decisions.current(workspace, dataset.id)
    assert {key: d.reviewer for key, d in standing.items()} == {
        "cat/0.png": "late",
        "cat/1.png": "second",
    }


def test_an_undo_lets_the_decision_before_stand_again(workspace, dataset, make_decision):
    one, two = decisions.append(
        workspace,
        [make_decision(minute=1), make_decision(minute=2, verdict=Verdict.EXCLUDE, label=None)],
    )
    at = datetime(2026, 1, 3, tzinfo=UTC)
    first = decisions.undo(workspace, dataset.id, "cat/0.png", reviewer="Bo", at=at)
    assert first == Undo(
        dataset_id=dataset.id,
        sample_key="cat/0.png",
        undoes=two.id,
        reviewer="Bo",
        decided_at=at,
        id=3,
    )
    assert decisions.current(workspace, dataset.id) == {"cat/0.png": one}
    second = decisions.undo(workspace, dataset.id, "cat/0.png", reviewer="Bo", at=at)
    assert decisions.current(workspace, dataset.id) == {}
    assert decisions.log(workspace, dataset.id) == [one, two, first, second]
    with pytest.raises(NotFoundError, match=r"no decision about 'cat/0.png' to undo"):
        decisions.undo(workspace, dataset.id, "cat/0.png", reviewer="Bo", at=at)
    assert decisions.last_id(workspace, dataset.id) == 4


def test_an_undo_sent_twice_takes_back_one_decision(workspace, dataset, make_decision):
    decisions.append(workspace, [make_decision(minute=1), make_decision(minute=2)])
    at = datetime(2026, 1, 3, tzinfo=UTC)

    def undo():
        return decisions.undo(
            workspace, dataset.id, "cat/0.png", reviewer="Bo", at=at, client="b", sequence=1
        )

    assert undo() == undo()
    assert len(decisions.current(workspace, dataset.id)) == 1
    with pytest.raises(RefusedError, match="used its number 1 for an undo"):
        decisions.append(workspace, [make_decision(client="b", sequence=1)])
    decisions.append(workspace, [make_decision(client="b", sequence=2)])
    with pytest.raises(RefusedError, match="used its number 2 for a decision"):
        decisions.undo(
            workspace, dataset.id, "cat/0.png", reviewer="Bo", at=at, client="b", sequence=2
        )


def test_the_log_can_be_asked_about_one_sample(workspace, dataset, make_decision):
    stored = decisions.append(workspace, [make_decision(), make_decision("cat/1.png")])
    assert decisions.log(workspace, dataset.id, "cat/1.png") == [stored[1]]
    assert decisions.last_id(workspace, "other") is None


def test_a_person_is_told_which_of_their_decisions_others_replaced(
    workspace, dataset, make_decision
):
    stored = decisions.append(
        workspace,
        [
            make_decision("a", minute=1, reviewer="Ada"),
            make_decision("a", minute=2, reviewer="Bo"),
            make_decision("b", minute=1, reviewer="Bo"),
            make_decision("b", minute=2, reviewer="Ada"),
            make_decision("c", minute=1, reviewer="Ada"),
        ],
    )
    (pair,) = decisions.superseded_by_others(workspace, dataset.id, "Ada")
    assert (pair.own, pair.standing) == (stored[0], stored[1])
    (pair,) = decisions.superseded_by_others(workspace, dataset.id, "Bo")
    assert (pair.own, pair.standing) == (stored[2], stored[3])
    at = datetime(2026, 1, 3, tzinfo=UTC)
    decisions.undo(workspace, dataset.id, "b", reviewer="Ada", at=at)
    assert decisions.superseded_by_others(workspace, dataset.id, "Bo") == []


def test_decisions_about_a_dataset_that_is_gone_are_refused(workspace, dataset, make_decision):
    datasets.delete(workspace, dataset.id)
    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        decisions.append(workspace, [make_decision()])


def test_numbers_of_deleted_decisions_are_never_given_out_again(
    workspace, dataset, make_plan, make_decision
):
    (old,) = decisions.append(workspace, [make_decision()])
    datasets.delete(workspace, dataset.id)
    fresh = datasets.add(workspace, make_plan(), "pets")
    (new,) = decisions.append(workspace, [make_decision(dataset_id=fresh.id)])
    assert new.id > old.id


def test_a_batch_is_stored_whole_or_not_at_all(workspace, dataset, make_decision):
    with pytest.raises(InputError, match="cannot be stored"):
        decisions.append(workspace, [make_decision(), make_decision(note="nul\0")])
    assert decisions.log(workspace, dataset.id) == []
    assert decisions.append(workspace, []) == ()


def test_two_processes_deciding_one_sample_at_once_both_stay_in_the_log(workspace, dataset, child):
    reviewers = ("Ada", "Bo")
    processes = [child("decide", workspace.path, dataset.id, name, 20) for name in reviewers]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert out == "done\n", err
    log = decisions.log(workspace, dataset.id)
    assert len(log) == 40
    latest = max(log, key=lambda event: (event.decided_at, event.id))
    assert decisions.current(workspace, dataset.id) == {"cat/0.png": latest}
    told = [decisions.superseded_by_others(workspace, dataset.id, name) for name in reviewers]
    assert sorted(map(len, told)) == [0, 1]


def test_a_full_database_is_said_and_keeps_what_was_decided(workspace, dataset, make_decision):
    kept = decisions.append(workspace, [make_decision()])
    with workspace.reading() as connection:
        n_pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages}")
    many = [make_decision(f"cat/{i}.png", note="x" * 1000) for i in range(500)]
    with pytest.raises(WorkspaceError, match="is full: free some space"):
        decisions.append(workspace, many)
    assert decisions.log(workspace, dataset.id) == list(kept)
    with workspace.reading() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages + 1000}")
    assert len(decisions.append(workspace, many)) == 500
