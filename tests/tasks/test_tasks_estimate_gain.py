"""The fast estimate on images that three colours tell apart."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from audit.jobs import queue
from audit.numerics import patches
from audit.records.decision import Decision, Undo, Verdict
from audit.records.progress import silent
from audit.store import datasets as dataset_rows
from audit.store import decisions
from audit.tasks import estimate_gain
from audit.workbench import datasets, gain
from audit.workbench.datasets import SourceOptions
from audit.workbench.shelf import Shelf

N_TRAIN, N_TEST, N_WRONG = 240, 90, 130


@pytest.fixture
def dataset(workspace, tmp_path):
    """Give blots of three colours; more than half of the training labels are one class too far."""
    truth = np.arange(N_TRAIN + N_TEST) % 3
    rng = np.random.default_rng(2)
    images = rng.integers(0, 120, (len(truth), 12, 12, 3), dtype=np.uint8)
    images[np.arange(len(truth)), 3:9, 3:9, truth] += 100
    labels = truth.copy()
    labels[:N_WRONG] = (truth[:N_WRONG] + 1) % 3
    file = tmp_path / "blots.npz"
    np.savez(
        file, images=images, labels=labels, true_labels=truth,
        split=np.array(["train"] * N_TRAIN + ["test"] * N_TEST),
    )  # fmt: skip
    stored, _ = datasets.add(workspace, datasets.plan(file, SourceOptions()))
    return dataset_rows.find(workspace, stored.id)


@pytest.fixture
def correct(workspace, dataset):
    """Correct training labels as somebody who knows the truth would."""

    def decide(first, last, *, verdict=Verdict.RELABEL):
        truth = dataset_rows.truth(workspace, dataset.id).true_labels
        names = dataset.class_names
        start = datetime(2026, 1, 1, tzinfo=UTC)
        decisions.append(
            workspace,
            [
                Decision(
                    dataset_id=dataset.id,
                    sample_key=dataset.sample_keys[at],
                    given_label=names[dataset.given_labels[at]],
                    verdict=verdict,
                    label=names[truth[at]] if verdict is Verdict.RELABEL else None,
                    reviewer="ada",
                    decided_at=start + timedelta(seconds=at),
                )
                for at in range(first, last)
            ],
        )

    return decide


@pytest.fixture
def estimated(workspace, dataset):
    def carry_out():
        job = gain.ask(Shelf(workspace), dataset)
        try:
            return estimate_gain.run(workspace, job, silent)
        finally:
            queue.request_stop(workspace, job)

    return carry_out


def test_corrections_are_worth_something_fifty_by_fifty(correct, estimated):
    correct(0, N_WRONG)
    found = estimated()
    assert [point["n_decisions"] for point in found["points"]] == [50, 100, 130]
    assert found["n_tested"] == N_TEST
    assert found["seen"] == "random patches"
    gains = [point["gain"] for point in found["points"]]
    assert gains[0] < gains[-1]
    assert found["points"][-1]["low"] > 0
    for point in found["points"]:
        assert point["low"] <= point["gain"] <= point["high"]
        assert point["accuracy"] - found["accuracy"] == pytest.approx(point["gain"])


def test_what_is_taken_back_is_worth_nothing_any_more(correct, estimated, workspace, dataset):
    correct(0, 3)
    for key in dataset.sample_keys[:3]:
        decisions.undo(workspace, dataset.id, key, reviewer="ada", at=datetime.now(UTC))
    (point,) = estimated()["points"]
    assert (point["n_decisions"], point["gain"]) == (3, 0.0)


def test_excluded_samples_are_left_out(correct, estimated):
    correct(0, N_WRONG, verdict=Verdict.EXCLUDE)
    assert estimated()["points"][-1]["gain"] > 0


def test_an_estimate_is_asked_for_after_every_fifty_decisions_and_undos_of_counted_ones(
    correct, estimated, workspace, dataset
):
    shelf = Shelf(workspace)
    assert not gain.follow(shelf, dataset).is_under_way
    correct(0, 50)
    assert not gain.follow(shelf, dataset).is_under_way, "nobody has decoded the images yet"
    estimated()
    n_jobs = len(gain._jobs(shelf, dataset))
    correct(50, 99)
    assert not gain.follow(shelf, dataset).is_under_way
    correct(99, 100)
    assert gain.follow(shelf, dataset).is_under_way
    gain.follow(shelf, dataset)
    assert len(gain._jobs(shelf, dataset)) == n_jobs + 1


def test_what_was_taken_back_is_due_at_once_and_a_slip_is_not():
    made = datetime(2026, 1, 1, tzinfo=UTC)
    decided = Decision(
        dataset_id="d", sample_key="k", given_label="a", verdict=Verdict.KEEP, label="a",
        reviewer="ada", decided_at=made, id=7,
    )  # fmt: skip

    def undo(number):
        return Undo(
            dataset_id="d", sample_key="k", undoes=number, reviewer="ada", decided_at=made, id=9
        )

    assert gain._is_due([undo(3)])
    assert not gain._is_due([decided, undo(7)])
    assert not gain._is_due([decided] * 49)
    assert gain._is_due([decided] * 50)


def test_patches_see_what_is_where_and_not_how_bright_it_is():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (40, 16, 16, 3), dtype=np.uint8)
    dictionary = patches.learn(images, n_patches=16)
    found = patches.describe(images, dictionary)
    assert found.shape == (40, 64)
    assert (found >= 0).all()
    brighter = patches.describe(images + np.uint8(40), dictionary)
    np.testing.assert_allclose(brighter, found, atol=1e-4)
    flipped = patches.describe(np.ascontiguousarray(images[:, ::-1, ::-1]), dictionary)
    assert not np.allclose(flipped, found, atol=1e-2)
    assert np.array_equal(patches.describe(images[3:4], dictionary)[0], found[3])
