"""Which trainings methods need, which runs they are scored on, and settings of methods as text."""

import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from audit.errors import InputError, NotFoundError, RefusedError
from audit.jobs import lock, queue
from audit.records.job import JobState
from audit.records.progress import silent
from audit.records.run import Probe, Run, RunState
from audit.store import dynamics as dynamics_files
from audit.store import ids, jobs
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.tasks import train as training
from audit.workbench import datasets, runs, scoring, settling
from audit.workbench.datasets import SourceOptions
from audit.workbench.scoring import Budget
from audit.workbench.settling import Wishes


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def dataset(workspace, tmp_path, coloured_images):
    images, classes = coloured_images(60)
    np.savez(tmp_path / "colours.npz", images=images, labels=classes)
    return datasets.add(workspace, datasets.plan(tmp_path / "colours.npz", SourceOptions()))[0]


def settled(dataset, probe):
    return settling.settle(dataset, Wishes(device="cpu", epochs=2, image_size=8, probe=probe))


@pytest.fixture
def train(workspace, dataset):
    """Start runs and do the workers' part in this process, while another job has the CPU."""
    other = queue.enqueue(workspace, "train", {}, device="cpu")
    held = lock.try_take(workspace, other.id)
    jobs.claim(workspace, other.id, pid=os.getpid(), now=datetime.now(UTC))

    def carry_out(*probes):
        configs = [config for probe in probes for config in settled(dataset, probe)]
        started = runs.start(workspace, dataset, configs)
        for _, job in started:
            training.run(workspace, job, silent)
        return [run_rows.find(workspace, run.id) for run, _ in started]

    yield carry_out
    held.release()


def test_methods_share_trainings_and_a_quick_budget_takes_one():
    assert scoring.needed_probes(["aum"]) == (Probe.THRESHOLD,)
    assert scoring.needed_probes(["margin", "tanh_epoch"]) == (Probe.NONE,)
    assert scoring.needed_probes(["aum", "margin"], Budget.QUICK) == (Probe.CORRUPTED,)


def test_a_run_with_planted_labels_builds_on_the_ordinary_one_beside_it(workspace, train):
    base, planted = train(Probe.NONE, Probe.PLANTED)
    assert planted.state is RunState.SEALED
    assert planted.config.base_run == base.id
    assert planted.name.endswith("-planted-1")
    recorded = dynamics_files.load(workspace, planted)
    assert int((recorded.role >= 3).sum()) == 12  # a tenth of so few, for each of two kinds


def test_a_run_with_planted_labels_finds_an_ordinary_one_from_before(workspace, dataset, train):
    (base,) = train(Probe.NONE)
    (planted,) = train(Probe.PLANTED)
    assert planted.config.base_run == base.id
    found = runs.find_sealed(workspace, dataset, settled(dataset, Probe.PLANTED))
    assert found is not None
    assert [run.id for run in found] == [planted.id]


def test_planting_labels_after_no_run_is_refused_with_what_to_do(workspace, dataset):
    with pytest.raises(RefusedError, match="start that one first, or both together"):
        runs.start(workspace, dataset, settled(dataset, Probe.PLANTED))
    assert run_rows.all(workspace) == []


def test_a_planted_run_whose_ordinary_run_is_not_sealed_says_to_resume_that_one(workspace, dataset):
    (plain,) = settled(dataset, Probe.NONE)
    base = run_rows.add(
        workspace,
        Run(
            id=ids.new(),
            name="interrupted",
            dataset_id=dataset.id,
            dataset_fingerprint=dataset.fingerprint,
            label_version="given",
            config=plain,
            code_version="0",
            created_at=datetime.now(UTC),
        ),
    )
    (config,) = settled(dataset, Probe.PLANTED)
    ((run, job),) = runs.start(workspace, dataset, [replace(config, base_run=base.id)])
    ended = queue.follow(workspace, job.id, silent)
    assert ended.state is JobState.FAILED
    assert "run 'interrupted' thinks likely, which is queued: resume that one" in (
        ended.error or ""
    )
    assert run_rows.find(workspace, run.id).state is RunState.FAILED


def test_an_ordinary_statistic_takes_a_run_with_copies_where_there_is_no_other(workspace, train):
    copies, plain = train(Probe.CORRUPTED, Probe.NONE)
    (alone,) = scoring.requests(workspace, [copies.id], ["margin"])
    assert [run.id for run in alone.runs] == [copies.id]
    (both,) = scoring.requests(workspace, [copies.id, plain.id], ["margin"])
    assert [run.id for run in both.runs] == [plain.id]


def test_settings_of_methods_are_read_from_text_and_checked():
    read = scoring.parse_params(
        ["aum.percentile=95", "aum.max_epochs=20", "aum.combine=or"], ["aum", "margin"]
    )
    assert read == {"aum": {"percentile": 95.0, "max_epochs": 20, "combine": "or"}}
    assert scoring.parse_params(["aum.max_epochs="], ["aum"]) == {"aum": {"max_epochs": None}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("percentile=95", "METHOD.NAME=VALUE"),
        ("aum.percentile", "METHOD.NAME=VALUE"),
        ("margin.skip_first=2", "not asked for: aum"),
        ("aum.percentile=many", "must be a number, got 'many'"),
        ("aum.percentile=101", "at most 100"),
        ("aum.depth=3", "no parameter 'depth'"),
    ],
)
def test_a_setting_that_cannot_be_read_is_refused_in_one_sentence(text, says):
    with pytest.raises((InputError, NotFoundError), match=says):
        scoring.parse_params([text], ["aum"])
