"""References find the labels that they name; differences say who made them; reverting restores a point."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import InputError, NotFoundError, RefusedError
from audit.records.dataset import Dataset, Source, SourceKind
from audit.records.decision import Decision, Undo, Verdict
from audit.records.label_history import Effect, LabelHistory, effect
from audit.store import batches
from audit.store import decisions as decision_rows
from audit.store.workspace import Workspace
from audit.workbench import (
    exporting,
    label_changes,
    label_log,
    label_versions,
    reverting,
)
from audit.workbench.label_changes import Change, Flow
from audit.workbench.label_log import Wanted
from audit.workbench.shelf import Shelf

START = datetime(2026, 3, 1, tzinfo=UTC)
CLASSES = ("cat", "dog", "owl")
PETS = Dataset(
    id="d",
    name="pets",
    source=Source(kind=SourceKind.ARRAYS, location="/x.npz", root="/x.npz"),
    class_names=CLASSES,
    sample_keys=("a", "b", "c"),
    paths=(None, None, None),
    given_labels=np.zeros(3, np.int32),
    splits=np.zeros(3, np.int8),
    problems={},
    fingerprint="ab12",
    created_at=START,
)


def decided(number, key, verdict, label=None, *, by="ann", at=0):
    return Decision(
        id=number,
        dataset_id="d",
        sample_key=key,
        given_label="cat",
        verdict=Verdict(verdict),
        label="cat" if verdict == "keep" else label,
        reviewer=by,
        decided_at=START + timedelta(seconds=at),
    )


def undone(number, of, *, by="ann", at=0):
    when = START + timedelta(seconds=at)
    return Undo(
        id=number,
        dataset_id="d",
        sample_key=of.sample_key,
        undoes=of.id,
        reviewer=by,
        decided_at=when,
    )


def history(*events):
    return LabelHistory(PETS.fingerprint, CLASSES, events)


FIRST = decided(3, "a", "relabel", "dog", at=10)
SECOND = decided(5, "b", "exclude", by="bob", at=20)
THIRD = decided(6, "a", "keep", by="bob", at=30)
BACK = undone(9, SECOND, at=40)
LOG = history(FIRST, SECOND, THIRD, BACK)
"""Versions: dog on a · and b left out · b left out · given."""


def point_of(reference, log=LOG):
    return label_versions.point_of(log, PETS, reference)


def test_references_name_points():
    assert [point_of(word) for word in ("given", "now", " NOW ", "#0", "0")] == [0, 9, 9, 0, 0]
    assert [point_of(word) for word in ("#3", "5", "#9")] == [3, 5, 9]
    assert [point_of(version) for version in LOG.versions] == [3, 5, 6, 0]
    assert point_of(LOG.versions[1][:5].upper()) == 5
    found = label_versions.find_in(LOG, PETS, "#5")
    assert (found.version, found.point) == (LOG.versions[1], 5)
    assert found.decisions == {"a": FIRST, "b": SECOND}


def test_a_time_means_what_was_recorded_before_anything_later_was_decided():
    assert point_of("2026-03-01T00:00:09Z") == 0
    assert point_of("2026-03-01T00:00:10Z") == 3
    assert point_of("2026-03-01T01:00:25+01:00") == 5
    patched = decided(12, "c", "exclude", at=15)  # of a patch that came last
    assert point_of("2026-03-01T00:00:20Z", history(FIRST, SECOND, THIRD, patched)) == 5
    assert point_of("2026-03-01T00:01:00Z", history(FIRST, SECOND, THIRD, patched)) == 12


@pytest.mark.parametrize(
    ("reference", "kind", "words"),
    [
        ("#4", NotFoundError, "no event #4; its events lie between #3 and #9"),
        ("77", NotFoundError, "no event #77"),
        ("abc", NotFoundError, "'abc' names no labels: expected given, now"),
        ("", NotFoundError, "'' names no labels"),
        ("0123456789abcdef", NotFoundError, "never had a version '0123456789abcdef'"),
        ("2026-03-01T00:00:10", InputError, "has no offset"),
        ("2026-03-01", InputError, "has no offset"),
    ],
)
def test_what_names_nothing_is_answered_with_what_would(reference, kind, words):
    with pytest.raises(kind, match=words):
        point_of(reference)


def test_a_log_without_events_says_so():
    assert point_of("now", history()) == 0
    with pytest.raises(NotFoundError, match="nobody has decided anything yet"):
        point_of("#1", history())


def test_a_beginning_that_two_versions_share_is_refused():
    log = history()
    log.versions, log.points = ("abcd00", "abcd11", "123400"), (1, 2, 1234)
    log._last_points = {"abcd00": 1, "abcd11": 2, "123400": 1234}
    log.steps = history(
        decided(1, "a", "keep"), decided(2, "a", "keep"), decided(1234, "a", "keep")
    ).steps
    with pytest.raises(
        InputError, match=r"2 versions begin with 'abcd': abcd00, abcd11\. Write more"
    ):
        point_of("abcd", log)
    assert point_of("abcd1", log) == 2
    with pytest.raises(InputError, match="write #1234 for the event"):
        point_of("1234", log)
    assert point_of("#1234", log) == 1234
    assert point_of("12340", log) == 1234


def test_a_comparison_tells_who_made_the_difference_last():
    change = Change(
        sample_key="b",
        given_label="cat",
        before=Effect("cat"),
        after=Effect(None, is_excluded=True),
        event=SECOND,
    )
    forth = label_changes.compare(LOG, 3, 6)
    # On a, the relabel became a keep; on b, what was kept was left out.
    assert [c.sample_key for c in forth.changes] == ["a", "b"]
    assert forth.changes[0].event == THIRD
    assert forth.changes[1] == change
    assert forth.flows == (
        Flow(before=Effect("cat"), after=Effect(None, is_excluded=True), n_samples=1),
        Flow(before=Effect("dog"), after=Effect("cat"), n_samples=1),
    )
    back = label_changes.compare(LOG, 6, 3)
    assert [(c.before, c.after) for c in back.changes] == [
        (c.after, c.before) for c in forth.changes
    ]
    assert label_changes.compare(LOG, 0, 9).changes == ()
    assert label_changes.compare(LOG, 5, 9).changes[1].event == BACK


def test_a_log_is_read_by_sample_person_and_time():
    def numbers(**wanted):
        part = label_log.excerpt(LOG, Wanted(**wanted), most=2)
        return [step.number for step in part.steps], part.total

    assert numbers() == ([9, 6], 4)
    assert numbers(sample_key="b") == ([9, 5], 2)
    assert numbers(reviewer="bob") == ([6, 5], 2)
    assert numbers(since=FIRST.decided_at, until=SECOND.decided_at) == ([5, 3], 2)
    assert [step.number for step in label_log.about(LOG, "a")] == [3, 6]
    assert label_log.undone(LOG, BACK) == SECOND


def test_a_sitting_ends_with_another_person_or_a_long_pause():
    late = decided(12, "c", "keep", at=40 + 1801)
    log = history(FIRST, decided(4, "c", "keep", at=15), SECOND, THIRD, BACK, late)
    told = [(s.first.number, s.before, s.n_events) for s in label_log.sittings(log, most=9)]
    assert told == [(12, 9, 1), (9, 6, 1), (5, 4, 2), (3, 0, 2)]
    assert len(label_log.sittings(log, most=2)) == 2
    assert label_log.sittings(history(), most=2) == ()


@st.composite
def logs(draw):
    """Give a log about three samples by two people, with few times in any order, and some undos."""
    events, free = [], []
    number = 0
    for _ in range(draw(st.integers(1, 20))):
        number += draw(st.integers(1, 2))
        by, at = draw(st.sampled_from(["ann", "bob"])), draw(st.integers(0, 3))
        if free and draw(st.integers(0, 2)) == 0:
            of = free.pop(draw(st.integers(0, len(free) - 1)))
            events.append(undone(number, of, by=by, at=at))
            continue
        verdict = draw(st.sampled_from(["keep", "relabel", "exclude", "unsure"]))
        label = draw(st.sampled_from(CLASSES[1:])) if verdict == "relabel" else None
        made = decided(number, draw(st.sampled_from("abc")), verdict, label, by=by, at=at)
        events.append(made)
        free.append(made)
    return events


class Paper:
    """Takes what would be stored, so that plans can be carried out without a database."""

    def __init__(self, events):
        self.events = list(events)

    def append(self, workspace, dataset_id, *, after, undos, decisions):
        assert after == self.history.last_point
        start = after + 1
        new = [replace(one, id=start + place) for place, one in enumerate([*undos, *decisions])]
        self.events += new
        return tuple(new)

    @property
    def history(self):
        return LabelHistory(PETS.fingerprint, CLASSES, self.events)


def labels_at(log, point):
    standing = log.at(point)
    return {key: effect(standing.get(key), "cat") for key in PETS.sample_keys}


@settings(max_examples=60)
@given(events=logs(), data=st.data())
def test_reverting_to_a_point_restores_its_labels_and_can_be_taken_back(events, data):
    paper = Paper(events)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batches, "append", paper.append)
        for _ in range(3):
            log = paper.history
            point = data.draw(st.sampled_from([0, *log.points]))
            plan = reverting.after_point(log, PETS, point)
            before = labels_at(log, log.last_point)
            if plan.is_empty:
                assert before == labels_at(log, point)
                continue
            done = reverting.carry_out(None, PETS, plan, reviewer="cleo")
            now = paper.history
            assert paper.events[: len(log.points)] == [step.event for step in log.steps]
            assert now.version_at(now.last_point) == log.version_at(point) == done.version
            assert labels_at(now, now.last_point) == labels_at(log, point)
            said = {key: d.verdict for key, d in now.at(now.last_point).items()}
            assert said == {key: d.verdict for key, d in log.at(point).items()}
            changed = {change.sample_key: change for change in plan.changes}
            after = labels_at(now, now.last_point)
            assert set(changed) == {key for key in before if before[key] != after[key]}
            assert all((c.before, c.after) == (before[k], after[k]) for k, c in changed.items())
            # Twice is as once.
            assert reverting.after_point(now, PETS, point).is_empty


@settings(max_examples=40)
@given(events=logs())
def test_reverting_a_person_leaves_what_others_decided(events):
    log = history(*events)
    if not any(isinstance(event, Decision) and event.reviewer == "ann" for event in events):
        with pytest.raises(NotFoundError, match="'ann' has decided nothing on 'pets'"):
            reverting.of_person(log, PETS, "ann")
        return
    plan = reverting.of_person(log, PETS, "ann")
    gone = {event.undoes for event in events if isinstance(event, Undo)}
    others = [
        e for e in events if isinstance(e, Decision) and e.id not in gone and e.reviewer == "bob"
    ]
    others.sort(key=lambda one: (one.decided_at, one.id))
    expected = history(*(replace(one, id=place) for place, one in enumerate(others, start=1)))
    assert plan.version == expected.version_at(len(others))
    assert plan.repeated == ()


def test_one_decision_is_taken_back_once():
    plan = reverting.of_decision(LOG, PETS, 6)
    assert plan.undone == (THIRD,)
    assert [(c.before, c.after) for c in plan.changes] == [(Effect("cat"), Effect("dog"))]
    assert plan.version == LOG.versions[0]
    with pytest.raises(RefusedError, match="ann has taken decision #5 back already"):
        reverting.of_decision(LOG, PETS, 5)
    with pytest.raises(RefusedError, match="#9 took decision #5 back and is none itself"):
        reverting.of_decision(LOG, PETS, 9)
    with pytest.raises(NotFoundError, match="no decision #4"):
        reverting.of_decision(LOG, PETS, 4)


@pytest.fixture
def shelf(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


def relabel(dataset, position, *, by="ann", at=0):
    given_label = int(dataset.given_labels[position])
    return Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[position],
        given_label=dataset.class_names[given_label],
        verdict=Verdict.RELABEL,
        label=dataset.class_names[(given_label + 1) % dataset.n_classes],
        reviewer=by,
        decided_at=START + timedelta(seconds=at),
        note="sure",
        evidence={"shown": {"method": "aum"}},
    )


def test_a_revert_is_stored_whole_and_in_turn_taken_back(shelf, dataset):
    workspace = shelf.workspace
    one, two = decision_rows.append(workspace, [relabel(dataset, 0), relabel(dataset, 1, by="bob")])
    decision_rows.undo(workspace, dataset.id, one.sample_key, reviewer="bob", at=START)
    (three,) = decision_rows.append(workspace, [relabel(dataset, 2)])
    log = label_versions.read(workspace, dataset)
    plan = reverting.after_point(log, dataset, two.id)
    assert (plan.undone, plan.repeated) == ((three,), (one,))
    done = reverting.carry_out(workspace, dataset, plan, reviewer="cleo")
    again = done.events[-1]
    assert isinstance(again, Decision)
    assert (again.reviewer, again.note, again.evidence) == ("cleo", "sure", {"repeats": one.id})
    standing = decision_rows.current(workspace, dataset.id)
    assert standing == {one.sample_key: again, two.sample_key: two}
    found = label_versions.find(workspace, dataset, "now")
    assert (found.version, found.decisions) == (log.version_at(two.id), standing)
    assert exporting.label_version(dataset, standing) == found.version

    # The plan was made for another log; nothing of it is stored.
    with pytest.raises(RefusedError, match="decided something meanwhile, so nothing was stored"):
        reverting.carry_out(workspace, dataset, plan, reviewer="cleo")
    assert label_versions.kept(shelf, dataset).last_point == again.id

    back = reverting.after_point(label_versions.kept(shelf, dataset), dataset, done.point)
    reverting.carry_out(workspace, dataset, back, reviewer="ann")
    assert label_versions.find(workspace, dataset, "now").version == log.version_at(log.last_point)
    empty = reverting.after_point(label_versions.read(workspace, dataset), dataset, done.point)
    with pytest.raises(RefusedError, match="There is nothing to take back"):
        reverting.carry_out(workspace, dataset, empty, reviewer="ann")


def test_many_decisions_are_taken_back_in_one_go(shelf, dataset):
    workspace = shelf.workspace
    made = decision_rows.append(
        workspace, [relabel(dataset, place % 120, at=place) for place in range(1500)]
    )
    plan = reverting.of_person(label_versions.read(workspace, dataset), dataset, "ann")
    assert (len(plan.undone), len(plan.changes), plan.version) == (1500, 120, "given")
    done = reverting.carry_out(workspace, dataset, plan, reviewer="bob")
    assert [event.undoes for event in done.events] == [one.id for one in made]
    assert decision_rows.current(workspace, dataset.id) == {}


def test_a_name_that_cannot_be_stored_takes_nothing_back(shelf, dataset):
    decision_rows.append(shelf.workspace, [relabel(dataset, 0)])
    plan = reverting.of_person(label_versions.kept(shelf, dataset), dataset, "ann")
    with pytest.raises(InputError, match="cannot be stored"):
        reverting.carry_out(shelf.workspace, dataset, plan, reviewer="a\0")
    assert len(decision_rows.log(shelf.workspace, dataset.id)) == 1
