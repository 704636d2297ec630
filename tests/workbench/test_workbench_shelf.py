"""The shelf keeps sealed things at hand: made once, asked for again, forgotten oldest first."""

import threading

import pytest

from audit.errors import NotFoundError
from audit.store.workspace import Workspace
from audit.workbench.shelf import Shelf


@pytest.fixture
def shelf(staged_workspace):
    with Workspace.open(staged_workspace) as workspace:
        yield Shelf(workspace)


def test_a_thing_is_made_once_however_many_threads_ask_at_the_same_time(shelf):
    n_made = []
    all_ask = threading.Barrier(8)
    answers = []

    def make():
        n_made.append(1)
        return object()

    def ask():
        all_ask.wait()
        answers.append(shelf.keep("thing", make))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(n_made) == 1
    assert len({id(answer) for answer in answers}) == 1


def test_a_failed_making_is_not_kept_and_the_next_one_is_tried(shelf):
    def refuse():
        raise NotFoundError("not yet")

    with pytest.raises(NotFoundError):
        shelf.keep("late", refuse)
    assert shelf.keep("late", lambda: 7) == 7


def test_what_was_asked_for_longest_ago_is_forgotten_first(shelf):
    shelf.keep("often", lambda: "first")
    for number in range(200):
        shelf.keep(number, object)
        assert shelf.keep("often", lambda: "made again") == "first"
    assert shelf.keep(0, lambda: "made again") == "made again"


def test_two_looks_at_a_dataset_give_the_same_object_by_name_and_by_id(shelf):
    dataset = shelf.dataset("staged")
    assert shelf.dataset(dataset.id) is dataset
    assert shelf.positions(dataset)[dataset.sample_keys[17]] == 17


def test_the_dynamics_of_a_run_come_memory_mapped_and_once(shelf):
    dataset = shelf.dataset("staged")
    (run_id,) = shelf.scores(shelf.latest(dataset)["margin"].id).run_ids
    dynamics = shelf.dynamics(run_id)
    assert shelf.dynamics(run_id) is dynamics
    assert dynamics.signals["margin"].shape == (12, dataset.n_samples)
