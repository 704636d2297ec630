"""Standing decisions, followed event by event, are what reading the whole log would give."""

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.records.dataset import UNLABELLED
from audit.records.decision import Decision, Undo, Verdict
from audit.store import decisions
from audit.store.workspace import Workspace
from audit.workbench.shelf import UNDECIDED, VERDICTS, Shelf

START = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = ("Ada", "Bo", "Cy")


@pytest.fixture(scope="module")
def workspace(stage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("standings")
    with Workspace.open(folder / "workspace") as opened:
        stage(opened, folder, n_samples=12, n_unlabelled=2, methods=())
        yield opened


def decision(dataset, position, person, minute, verdict, label=None):
    index = int(dataset.given_labels[position])
    given = None if index == UNLABELLED else dataset.class_names[index]
    return Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[position],
        given_label=given,
        verdict=verdict,
        label=label,
        reviewer=person,
        decided_at=START + timedelta(minutes=minute),
    )


def forget(workspace, dataset):
    """Take everything back, so that examples of one test begin alike, at the end of a longer log."""
    while standing := decisions.current(workspace, dataset.id):
        for key in standing:
            decisions.undo(workspace, dataset.id, key, reviewer="nobody", at=START)


def plain_standing(workspace, dataset):
    """Return decisions, verdicts and labels as the whole log gives them."""
    current = decisions.current(workspace, dataset.id)
    verdicts = np.full(dataset.n_samples, UNDECIDED, dtype=np.int8)
    labels = dataset.given_labels.copy()
    for key, one in current.items():
        position = dataset.sample_keys.index(key)
        verdicts[position] = VERDICTS.index(one.verdict)
        if one.verdict is Verdict.RELABEL:
            labels[position] = dataset.class_names.index(one.label)
    return current, verdicts, labels


def assert_same(standing, plain):
    current, verdicts, labels = plain
    assert standing.decisions == current
    np.testing.assert_array_equal(standing.verdicts, verdicts)
    np.testing.assert_array_equal(standing.labels, labels)


ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("decide"),
            st.integers(0, 3).map(lambda n: (0, 1, 10, 11)[n]),  # two of them unlabelled
            st.sampled_from(PEOPLE),
            st.integers(0, 4),  # minutes, so that later events may lie earlier and ties occur
            st.sampled_from(["exclude", "unsure", "relabel"]),
        ),
        st.tuples(st.just("undo"), st.integers(0, 30), st.sampled_from(PEOPLE)),
        st.tuples(st.just("look")),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(acts=ACTS)
def test_following_the_log_gives_what_reading_it_whole_gives(workspace, acts):
    shelf = Shelf(workspace)
    dataset = shelf.dataset("staged")
    forget(workspace, dataset)
    made, seen = [], []
    for act in acts:
        if act[0] == "decide":
            _, position, person, minute, word = act
            index = int(dataset.given_labels[position])
            label = dataset.class_names[(index + 1) % dataset.n_classes]
            verdict = Verdict(word)
            made += decisions.append(
                workspace,
                [
                    decision(
                        dataset,
                        position,
                        person,
                        minute,
                        verdict,
                        label if word == "relabel" else None,
                    )
                ],
            )
        elif act[0] == "undo" and made:
            target = made.pop(act[1] % len(made))
            taken = decisions.TakeBack(
                dataset_id=dataset.id, sample_key=target.sample_key, of=target.id, reviewer=act[2],
                decided_at=START, client="undoes", sequence=target.id,
            )  # fmt: skip
            (answer,) = decisions.record(workspace, [taken])
            assert isinstance(answer, Undo)
        elif act[0] == "look":
            standing, plain = shelf.standing(dataset), plain_standing(workspace, dataset)
            assert_same(standing, plain)
            seen.append((standing, plain))
    assert_same(shelf.standing(dataset), plain_standing(workspace, dataset))
    assert_same(Shelf(workspace).standing(dataset), plain_standing(workspace, dataset))
    for person in PEOPLE:
        plain_replaced = decisions.superseded_by_others(workspace, dataset.id, person)
        assert shelf.logbook(dataset).superseded_by_others(person) == plain_replaced
    for standing, plain in seen:
        assert_same(standing, plain)  # what was handed out did not change
        assert_same(shelf.standing(dataset, as_of=standing.last_id), plain)
        assert_same(Shelf(workspace).standing(dataset, as_of=standing.last_id), plain)


def test_a_look_without_news_gives_the_very_same_standing(workspace):
    shelf = Shelf(workspace)
    dataset = shelf.dataset("staged")
    assert shelf.standing(dataset) is shelf.standing(dataset)
    assert shelf.standing(dataset).last_id == (decisions.last_id(workspace, dataset.id) or 0)


def test_a_decision_is_found_by_its_number_and_an_undo_is_none(workspace):
    shelf = Shelf(workspace)
    dataset = shelf.dataset("staged")
    forget(workspace, dataset)
    (stored,) = decisions.append(workspace, [decision(dataset, 1, "Ada", 0, Verdict.UNSURE)])
    undone = decisions.undo(workspace, dataset.id, stored.sample_key, reviewer="Bo", at=START)
    book = shelf.logbook(dataset)
    assert book.find(stored.id) == stored
    assert book.find(undone.id) is None
    assert book.find(10**9) is None


def test_threads_that_decide_and_look_at_once_agree_in_the_end(workspace):
    shelf = Shelf(workspace)
    dataset = shelf.dataset("staged")
    forget(workspace, dataset)
    begin = threading.Barrier(4)
    seen: list[int] = []

    def work(person, position):
        begin.wait()
        for minute in range(8):
            decisions.append(
                workspace, [decision(dataset, position, person, minute, Verdict.UNSURE)]
            )
            seen.append(len(shelf.standing(dataset).decisions))

    threads = [threading.Thread(target=work, args=(f"P{n}", n % 2)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 32
    assert_same(shelf.standing(dataset), plain_standing(workspace, dataset))
