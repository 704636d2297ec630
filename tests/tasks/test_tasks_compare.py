"""Comparisons trained for real on images that three colours tell apart."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from audit.errors import InputError, StoppedError
from audit.jobs import queue
from audit.records.comparison import Arm
from audit.records.decision import Decision, Verdict
from audit.records.progress import silent
from audit.store import comparisons, decisions
from audit.store import datasets as dataset_rows
from audit.tasks import compare
from audit.training.loop import Training
from audit.workbench import datasets, retraining, retraining_json, retraining_report
from audit.workbench.datasets import SourceOptions
from audit.workbench.retraining import Wish
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

SIDE, N_TRAIN, N_TEST = 16, 90, 45
WRONG = tuple(range(30))
SHARED_TEST = N_TRAIN + 4
QUICK = Wishes(preset="quick", epochs=2, device="cpu", image_size=SIDE, batch_size=16)


def pictures(label, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (len(label), SIDE, SIDE, 3), dtype=np.uint8)
    images[np.arange(len(label)), :, :, label] += 130
    return images


@pytest.fixture
def dataset(workspace, tmp_path):
    """Give 90 training images, 30 of them labelled wrong, and 45 test images, one of them from training."""
    truth = np.arange(N_TRAIN + N_TEST) % 3
    images = pictures(truth, 1)
    images[SHARED_TEST] = images[4]
    labels = truth.copy()
    labels[list(WRONG)] = (truth[list(WRONG)] + 1) % 3
    file = tmp_path / "colours.npz"
    np.savez(
        file, images=images, labels=labels, true_labels=truth,
        class_names=np.array(["red", "green", "blue"]),
        split=np.array(["train"] * N_TRAIN + ["test"] * N_TEST),
    )  # fmt: skip
    stored, _ = datasets.add(workspace, datasets.plan(file, SourceOptions()))
    found = dataset_rows.find(workspace, stored.id)
    names = found.class_names
    decisions.append(
        workspace,
        [
            Decision(
                dataset_id=found.id,
                sample_key=found.sample_keys[position],
                given_label=names[labels[position]],
                verdict=Verdict.EXCLUDE if position == 0 else Verdict.RELABEL,
                label=None if position == 0 else names[truth[position]],
                reviewer="ada",
                decided_at=datetime(2026, 1, 2, tzinfo=UTC),
            )
            for position in WRONG
        ],
    )
    return found


@pytest.fixture
def compared(workspace, dataset):
    """Plan a comparison and train what is missing of it in this process, as a worker would."""

    def carry_out(*, report=silent, **wish):
        shelf = Shelf(workspace)
        settings = {"training": QUICK, "has_preset": True, "seeds": 2} | wish
        plan = retraining.plan(shelf, dataset, Wish(**settings))
        assert plan.problem is None, plan.problem
        comparison = comparisons.add(workspace, plan.comparison, plan.labels)
        job = queue.enqueue(workspace, "compare", {"comparison": comparison.id}, device="cpu")
        try:
            result = compare.run(workspace, job, report)
        finally:
            queue.request_stop(workspace, job)
        found = retraining_report.report(shelf, dataset, comparison)
        return result, replace(found, job=None)

    return carry_out


@pytest.mark.slow
def test_all_arms_are_trained_on_what_they_say_and_judged_on_the_test_split(compared, dataset):
    arms = tuple(Arm)
    result, report = compared(arms=arms)
    assert result["trained"] == 12
    assert result["failed"] == []
    by_arm = {one.arm: one for one in report.arms}
    assert [one.arm for one in report.arms] == list(arms)
    n_rows = {arm: one.n_rows for arm, one in by_arm.items()}
    assert n_rows == {
        Arm.GIVEN: 90, Arm.DROPPED: 60, Arm.RELABELLED: 89, Arm.DOWNWEIGHTED: 90, Arm.AUTOMATIC: 90,
        Arm.ORACLE: 90,
    }  # fmt: skip
    assert (by_arm[Arm.RELABELLED].n_relabelled, by_arm[Arm.RELABELLED].n_left_out) == (29, 1)
    assert by_arm[Arm.ORACLE].n_relabelled == 30
    assert report.shared.sample == (SHARED_TEST,)
    assert report.shared.twin == (4,)
    assert report.shared.n_exact == 1
    assert report.n_tested == N_TEST - 1
    assert all(one.seeds == (0, 1) for one in report.arms)
    assert {by.name for by in by_arm[Arm.GIVEN].classes} == {"red", "green", "blue"}
    assert by_arm[Arm.GIVEN].course[-1][0] == 2
    assert report.difference(Arm.RELABELLED) is not None
    assert report.difference(Arm.RELABELLED, Arm.DROPPED) is not None
    told = retraining_json.as_json(report)
    assert [arm["arm"] for arm in told["arms"]] == [str(arm) for arm in arms]
    assert set(told["arms"][0]) >= {"arm", "accuracy", "interval", "seeds"}
    assert any("1 test image is in the training part too" in remark for remark in told["remarks"])


def test_what_was_trained_before_is_used_again_and_more_decisions_keep_the_given_arm(
    compared, workspace, dataset
):
    first, _ = compared(arms=(Arm.GIVEN, Arm.RELABELLED), seeds=1)
    assert (first["trained"], first["reused"]) == (2, 0)
    again, report = compared(arms=(Arm.GIVEN, Arm.RELABELLED), seeds=1)
    assert (again["trained"], again["reused"]) == (0, 2)
    assert report.is_complete
    decisions.undo(
        workspace, dataset.id, dataset.sample_keys[1], reviewer="ada", at=datetime.now(UTC)
    )
    later, report = compared(arms=(Arm.GIVEN, Arm.RELABELLED), seeds=1)
    assert (later["trained"], later["reused"]) == (1, 1)
    assert report.n_events_since == 0


def test_an_arm_that_dies_leaves_the_others_standing_and_can_be_trained_later(
    compared, monkeypatch
):
    real = Training.epochs

    def dying(self, start_epoch=0):
        if len(self._assigned_label) == 60:
            message = "the device was unplugged"
            raise RuntimeError(message)
        yield from real(self, start_epoch)

    monkeypatch.setattr(Training, "epochs", dying)
    wish = {"arms": (Arm.GIVEN, Arm.DROPPED, Arm.AUTOMATIC), "seeds": 1}
    result, report = compared(**wish)
    assert result["trained"] == 1
    assert [failed[0] for failed in result["failed"]] == ["dropped", "automatic"]
    assert "unplugged" in result["failed"][0][2]
    assert "that training failed" in result["failed"][1][2]
    assert not report.is_complete
    assert report.arms[0].accuracy is not None
    assert report.arms[1].accuracy is None
    monkeypatch.setattr(Training, "epochs", real)
    result, report = compared(**wish)
    assert (result["trained"], result["reused"]) == (2, 1)
    assert report.is_complete


def test_a_cancelled_comparison_keeps_the_trainings_that_came_to_their_end(compared):
    class Once:
        def __call__(self, fraction, message):
            if message.startswith("training 2 of"):
                raise StoppedError("stop")

    wish = {"arms": (Arm.GIVEN, Arm.RELABELLED), "seeds": 1}
    with pytest.raises(StoppedError):
        compared(report=Once(), **wish)
    result, _ = compared(**wish)
    assert (result["trained"], result["reused"]) == (1, 1)


def test_equal_seeds_and_labels_give_equal_predictions(compared, workspace, dataset):
    _, report = compared(arms=(Arm.GIVEN, Arm.ORACLE), seeds=1)
    first = retraining_report.changed(Shelf(workspace), dataset, report.comparison, Arm.GIVEN)
    assert first == ()


def test_an_emptied_class_is_named(compared, workspace, dataset):
    blue = [p for p in range(30, N_TRAIN) if p % 3 == 2]
    wrong_blue = [p for p in WRONG if (p + 1) % 3 == 2]
    decisions.append(
        workspace,
        [
            Decision(
                dataset_id=dataset.id,
                sample_key=dataset.sample_keys[position],
                given_label="blue",
                verdict=Verdict.EXCLUDE,
                label=None,
                reviewer="ada",
                decided_at=datetime(2026, 1, 3, tzinfo=UTC),
            )
            for position in [*blue, *wrong_blue]
        ],
    )
    _, report = compared(arms=(Arm.GIVEN, Arm.DROPPED), seeds=1)
    assert report.arms[1].emptied == ("blue",)
    (blue_figures,) = [by for by in report.arms[1].classes if by.name == "blue"]
    assert blue_figures.accuracy.value == 0


def test_a_dataset_that_changed_is_refused(compared, workspace, dataset):
    shelf = Shelf(workspace)
    plan = retraining.plan(
        shelf,
        dataset,
        Wish(training=QUICK, has_preset=True, seeds=1, arms=(Arm.GIVEN, Arm.DROPPED)),
    )
    other = replace(plan.comparison, dataset_fingerprint="0" * 64)
    stored = comparisons.add(workspace, other, plan.labels)
    job = queue.enqueue(workspace, "compare", {"comparison": stored.id}, device="cpu")
    with pytest.raises(InputError, match="must not be mixed"):
        compare.run(workspace, job, silent)
    queue.request_stop(workspace, job)
