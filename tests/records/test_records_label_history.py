"""Versions name what was changed, and a replayed log tells the same as a plain walk through it."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.records.decision import Decision, Undo, Verdict
from audit.records.label_history import Effect, LabelHistory, effect, version_of

START = datetime(2026, 3, 1, tzinfo=UTC)
CLASSES = ("cat", "dog", "owl")


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
    return LabelHistory("ab12", CLASSES, events)


@st.composite
def logs(draw):
    """Give a log about three samples by two people, with few times in any order, and some undos."""
    events, free = [], []
    number = 0
    for _ in range(draw(st.integers(0, 24))):
        number += draw(st.integers(1, 3))
        by, at = draw(st.sampled_from(["ann", "bob"])), draw(st.integers(0, 4))
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


def plain_twin(events, point):
    """Return what stood at a point, the slow way."""
    seen = [event for event in events if event.id <= point]
    gone = {event.undoes for event in seen if isinstance(event, Undo)}
    counting = [e for e in seen if isinstance(e, Decision) and e.id not in gone]
    counting.sort(key=lambda one: (one.decided_at, one.id))
    return {one.sample_key: one for one in counting}


def test_a_version_is_the_digest_of_fingerprint_classes_and_the_sum_of_its_acts():
    relabel, exclude = decided(1, "a", "relabel", "dog"), decided(2, "b", "exclude")
    digests = [
        int(hashlib.sha256(json.dumps(act).encode()).hexdigest(), 16)
        for act in (["a", "relabel", "dog"], ["b", "exclude", None])
    ]
    total = f"{sum(digests) % 2**256:064x}"
    expected = hashlib.sha256(json.dumps(["ab12", list(CLASSES), total]).encode()).hexdigest()[:16]
    assert version_of("ab12", CLASSES, [relabel, exclude]) == expected
    assert version_of("ab12", CLASSES, [exclude, relabel]) == expected


def test_a_version_tells_data_classes_samples_and_labels_apart():
    one = decided(1, "a", "relabel", "dog")
    versions = {
        version_of("ab12", CLASSES, [one]),
        version_of("cd34", CLASSES, [one]),
        version_of("ab12", CLASSES[:2], [one]),
        version_of("ab12", CLASSES, [decided(1, "b", "relabel", "dog")]),
        version_of("ab12", CLASSES, [decided(1, "a", "relabel", "owl")]),
        version_of("ab12", CLASSES, [decided(1, "a", "exclude")]),
        version_of("ab12", CLASSES, []),
    }
    assert len(versions) == 7
    assert all(len(version) == 16 or version == "given" for version in versions)


def test_only_what_changes_a_label_makes_a_version():
    kept, unsure = decided(1, "a", "keep"), decided(2, "b", "unsure")
    assert version_of("ab12", CLASSES, [kept, unsure]) == "given"
    one = decided(3, "c", "exclude", by="bob", at=9)
    other = decided(7, "c", "exclude")
    assert version_of("ab12", CLASSES, [kept, one]) == version_of("ab12", CLASSES, [other])


def test_each_event_has_the_version_after_it():
    first = decided(3, "a", "relabel", "dog", at=5)
    earlier = decided(4, "a", "exclude", at=1)  # recorded later, decided earlier: does not stand
    back = undone(8, first)
    again = undone(9, earlier)
    told = history(first, earlier, back, again)
    relabelled = version_of("ab12", CLASSES, [first])
    excluded = version_of("ab12", CLASSES, [earlier])
    assert told.points == (3, 4, 8, 9)
    assert told.versions == (relabelled, relabelled, excluded, "given")
    assert [step.changes_label for step in told.steps] == [True, False, True, True]
    assert [told.version_at(point) for point in (0, 2, 3, 5, 8, 99)] == [
        "given", "given", relabelled, relabelled, excluded, "given",
    ]  # fmt: skip
    assert [told.last_point_of(version) for version in told.versions] == [4, 4, 8, 9]
    assert told.last_point_of("0" * 16) is None
    assert told.at(7) == {"a": first}
    assert told.at(9) == {}


def test_given_has_the_point_before_the_first_event():
    assert history().last_point_of("given") == 0
    assert history(decided(5, "a", "exclude")).last_point_of("given") == 0
    assert history(decided(5, "a", "keep")).last_point_of("given") == 5


@given(logs())
def test_every_point_tells_what_a_plain_walk_tells(events):
    told = history(*events)
    for point in {0, *told.points, *(p + 1 for p in told.points)}:
        standing = plain_twin(events, point)
        assert told.at(point) == standing
        assert told.version_at(point) == version_of("ab12", CLASSES, standing.values())
    for step in told.steps:
        assert step.after == plain_twin(events, step.number).get(step.event.sample_key)
        assert step.before == plain_twin(events, step.number - 1).get(step.event.sample_key)


@given(logs(), st.integers(0, 24))
def test_a_history_that_is_extended_is_that_of_the_whole_log(events, n_first):
    whole, first = history(*events), history(*events[:n_first])
    for extended in (first.extended(events[n_first:]), first.extended(events[n_first:])):
        assert (extended.steps, extended.points) == (whole.steps, whole.points)
        assert all(extended.last_point_of(v) == whole.last_point_of(v) for v in whole.versions)
    assert first.steps == whole.steps[:n_first]


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (None, Effect("cat")),
        (decided(1, "a", "keep"), Effect("cat")),
        (decided(1, "a", "unsure"), Effect("cat")),
        (decided(1, "a", "relabel", "dog"), Effect("dog")),
        (decided(1, "a", "exclude"), Effect(None, is_excluded=True)),
    ],
)
def test_a_label_becomes_what_the_standing_decision_says(decision, expected):
    assert effect(decision, "cat") == expected
