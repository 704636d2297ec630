"""What finished trainings say, on predictions written by hand."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from audit.records.comparison import Arm, Shared, Training
from audit.store import comparisons
from audit.store.workspace import Workspace
from audit.workbench import gain, retraining, retraining_json, retraining_report
from audit.workbench.retraining import Wish
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

TINY = Wishes(preset="quick", epochs=2, device="cpu", image_size=12)


@pytest.fixture
def shelf(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


@pytest.fixture
def compared(shelf, dataset):
    """Store a comparison and what its trainings predict: by arm the wrong ones of each seed."""

    def make(wrong, *, seeds=2, arms=(Arm.GIVEN, Arm.DROPPED), shared=None):
        wish = Wish(training=TINY, has_preset=True, seeds=seeds, top="10%", arms=arms)
        plan = retraining.plan(shelf, dataset, wish)
        comparison = comparisons.add(shelf.workspace, plan.comparison, plan.labels)
        tested = np.flatnonzero(plan.labels.test >= 0)
        for one in plan.trainings:
            if one.arm not in wrong:
                continue
            label = np.full(dataset.n_samples, 0, dtype=np.int32)
            label[tested] = plan.labels.test[tested]
            for at in wrong[one.arm][one.seed]:
                label[tested[at]] = (label[tested[at]] + 1) % dataset.n_classes
            last = label[one.asked]
            first = (last + 1) % dataset.n_classes
            comparisons.add_training(
                shelf.workspace,
                dataset.id,
                Training(
                    id=one.id, n_rows=90, epochs=(1, 2), sample=one.asked, seconds=2.5,
                    predicted=np.stack([first, last]).astype(np.int32),
                ),
            )  # fmt: skip
        if shared is not None:
            samples = tuple(int(tested[at]) for at in shared)
            comparisons.note_shared(
                shelf.workspace, comparison.id, Shared(sample=samples, twin=samples, n_exact=1)
            )
        return retraining_report.report(shelf, dataset, comparison), tested

    return make


def test_accuracy_difference_and_course_are_counted_by_hand(compared):
    report, tested = compared({Arm.GIVEN: [[0, 1, 2, 3], [0, 1]], Arm.DROPPED: [[0], [0, 5]]})
    n = len(tested)
    given, dropped = report.arms
    assert given.accuracy.value == pytest.approx(1 - 3 / n)
    assert dropped.accuracy.value == pytest.approx(1 - 1.5 / n)
    found = report.difference(Arm.DROPPED).estimate
    assert found.value == pytest.approx(1.5 / n)
    assert found.low < found.value < found.high
    assert given.course[0] == (1, 0.0, 0.0, 0.0)
    assert given.course[1][1:] == pytest.approx((1 - 3 / n, 1 - 4 / n, 1 - 2 / n))
    assert (given.seconds, given.seeds) == (5.0, (0, 1))
    assert report.is_complete
    assert report.verdict[0] == "No difference that these 2 seeds can show."


def test_a_clear_difference_is_told_with_its_interval(compared):
    report, tested = compared({Arm.GIVEN: [list(range(12))] * 2, Arm.DROPPED: [[]] * 2})
    points = 100 * 12 / len(tested)
    assert report.verdict[0].startswith(
        f"Dropping beats the given labels by {points:.1f} points of accuracy ("
    )


def test_one_seed_names_no_winner(compared):
    report, _ = compared({Arm.GIVEN: [list(range(12))], Arm.DROPPED: [[]]}, seeds=1)
    assert report.verdict[0].startswith("One seed names no winner")


def test_images_that_training_has_too_do_not_count(compared):
    report, tested = compared({Arm.GIVEN: [[0, 1], [0, 1]], Arm.DROPPED: [[], []]}, shared=[0, 7])
    assert report.n_tested == len(tested) - 2
    assert report.arms[0].accuracy.value == pytest.approx(1 - 1 / (len(tested) - 2))
    assert (
        "2 test images are in the training part too (1 equal, 1 nearly equal)"
        in (report.remarks[-1])
    )


def test_seeds_that_only_one_arm_has_are_not_compared(compared):
    wrong = {Arm.GIVEN: [[0, 1], [2, 3, 4, 5]]}
    report, _ = compared(wrong)
    assert report.verdict == ("There is nothing to compare yet: another arm is not trained.",)
    assert not report.is_complete
    assert report.arms[1].accuracy is None


def test_changed_predictions_are_those_of_most_seeds(compared, shelf, dataset):
    wrong = {
        Arm.GIVEN: [[0, 1, 2], [0, 1, 3], [0, 1, 2]],
        Arm.DROPPED: [[1, 4], [1, 4], [1, 5]],
    }
    report, tested = compared(wrong, seeds=3)
    found = retraining_report.changed(shelf, dataset, report.comparison, Arm.DROPPED)
    won = [one.position for one in found if one.is_won]
    lost = [one.position for one in found if one.is_lost]
    assert won == [int(tested[0]), int(tested[2])]
    assert lost == [int(tested[4])]


def test_classes_add_up_to_the_whole(compared, dataset):
    report, tested = compared({Arm.GIVEN: [[0, 1], [2]], Arm.DROPPED: [[0], [0]]})
    (given, _) = report.arms
    assert sum(by.n_tested for by in given.classes) == len(tested)
    whole = sum(by.n_tested * by.accuracy.value for by in given.classes) / len(tested)
    assert whole == pytest.approx(given.accuracy.value)


def test_as_json_has_what_others_rely_on(compared):
    report, _ = compared({Arm.GIVEN: [[0], [1]], Arm.DROPPED: [[], []]})
    told = retraining_json.as_json(report)
    (given, dropped) = told["arms"]
    assert (given["arm"], given["seeds"], given["difference"]) == ("given", [0, 1], None)
    low, high = dropped["interval"]
    assert low <= dropped["accuracy"] <= high
    assert dropped["finding"] in ("better", "unclear")
    assert told["trainings"] == {"all": 4, "done": 4}


def test_the_guide_shows_what_was_measured():
    root = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location("debugging", root / "benchmarks/debugging.py")
    debugging = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(debugging)
    files = sorted((root / "benchmarks" / "results").glob("debugging-*.json"))
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    table = debugging.as_table(reports)
    assert table in (root / "docs" / "retraining.md").read_text(encoding="utf-8")
    assert "Pearson 0.92" in table
    assert ".92" in gain.CORRELATION
