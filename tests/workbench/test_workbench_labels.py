"""What a set of decisions is called, how truth is compared, and what machines answer."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from audit.errors import AuditError, InputError
from audit.records.dataset import Truth
from audit.records.decision import Decision, Verdict
from audit.records.scores import DetectorSpec, Scores
from audit.store.workspace import Workspace
from audit.workbench import datasets, evaluating, exporting, machine, places
from audit.workbench.datasets import SourceOptions


@pytest.fixture
def dataset(tmp_path):
    images = np.zeros((6, 8, 8), np.uint8)
    np.savez(
        tmp_path / "d.npz",
        images=images,
        labels=np.array([0, 1, 0, 1, -1, 0]),
        class_names=np.array(["a", "b"]),
    )
    with Workspace.open(tmp_path / "workspace") as workspace:
        yield datasets.add(workspace, datasets.plan(tmp_path / "d.npz", SourceOptions()))[0]


def decided(key, verdict, label=None, reviewer="ann", **facts):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Decision(
        dataset_id="d", sample_key=key, given_label="a", verdict=verdict, label=label,
        reviewer=reviewer, decided_at=moment, **facts,
    )  # fmt: skip


def test_equal_labels_have_one_version_whoever_made_them(dataset):
    relabel = decided("0", Verdict.RELABEL, "b")
    exclude = decided("2", Verdict.EXCLUDE)
    version = exporting.label_version(dataset, {"0": relabel, "2": exclude})
    by_bob = decided("0", Verdict.RELABEL, "b", reviewer="bob", note="sure")
    assert exporting.label_version(dataset, {"2": exclude, "0": by_bob}) == version
    assert exporting.label_version(dataset, {"0": relabel}) != version
    kept = decided("1", Verdict.KEEP, "a")
    unsure = decided("3", Verdict.UNSURE)
    with_more = {"0": relabel, "2": exclude, "1": kept, "3": unsure}
    assert exporting.label_version(dataset, with_more) == version
    assert exporting.label_version(dataset, {"1": kept, "3": unsure}) == "given"


def scores(suspicion, flagged):
    values = np.array(suspicion, dtype=np.float64)
    return Scores(
        run_ids=("r",),
        spec=DetectorSpec(name="margin", version=1),
        suspicion=values,
        quantity_name="margin",
        quantity=-values,
        suggested_label=np.full(6, -1, np.int32),
        flagged=None if flagged is None else np.array(flagged),
    )


def test_figures_leave_out_what_has_no_label_no_truth_or_no_score(dataset):
    truth = Truth(true_labels=np.array([0, 0, 0, 1, 0, -1], np.int32))
    # Comparable: 0, 1, 2, 3; wrong: 1. Scored: all but 3.
    given = scores([0.1, 0.9, 0.5, np.nan, 0.8, 0.7], [False, True, True, False, True, True])
    figures = evaluating.measure(dataset, truth, given)
    assert figures["average_precision"] == figures["roc_auc"] == 1.0
    assert (figures["precision"], figures["recall"]) == (0.5, 1.0)
    assert figures["flagged_fraction"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(2 / 3)
    # With one of three wrong, flagging all has precision 1/3 and recall 1.
    assert figures["f1_flag_everything"] == pytest.approx(0.5)


def test_figures_that_are_not_defined_are_left_empty(dataset):
    nothing_wrong = Truth(true_labels=np.array([0, 1, 0, 1, 0, 0], np.int32))
    figures = evaluating.measure(dataset, nothing_wrong, scores(np.linspace(0, 1, 6), None))
    assert [figures[name] for name in ("average_precision", "roc_auc", "f1")] == [None] * 3
    assert figures["f1_flag_everything"] == 0.0


def test_torch_is_asked_in_a_process_of_its_own_whatever_lies_around(tmp_path):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    code = (
        "import sys; from audit.workbench import machine; print(machine.ask_torch()['default']);"
        "assert 'torch' not in sys.modules"
    )
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(":")[0].strip() in ("cpu", "cuda", "mps")


def test_a_device_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(InputError, match=r"There is no device 'cuda:77' here; there are .*cpu\."):
        machine.device("cuda:77")


def test_places_follow_flag_then_environment_then_the_users_data(tmp_path, monkeypatch):
    assert places.workspace_path(tmp_path) == tmp_path
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(tmp_path / "named"))
    assert places.workspace_path() == tmp_path / "named"
    assert places.workspace_path(tmp_path) == tmp_path
    assert places.demo_path(tmp_path / "w") == tmp_path / "w-demo"
    monkeypatch.setenv("LABELTRACE_WORKSPACE", " ")
    assert places.workspace_path().name == "labeltrace"


def test_labels_can_be_taken_away_while_the_images_are_elsewhere(dataset, tmp_path):
    (tmp_path / "d.npz").rename(tmp_path / "moved.npz")
    with Workspace.open(tmp_path / "workspace") as workspace:
        made = exporting.export(workspace, dataset, tmp_path / "labels.csv", "csv")
        assert made["counts"]["undecided"] == 5
        with pytest.raises(AuditError, match="relocate"):
            exporting.export(workspace, dataset, tmp_path / "tree", "folder")
