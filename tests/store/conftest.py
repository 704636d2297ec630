"""Workspaces, datasets and runs to store, and processes of their own to store them from."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from audit.records.dataset import Dataset, ImportPlan, Source, SourceKind, Truth
from audit.records.decision import Decision, Verdict
from audit.records.run import Run, RunConfig, RunState
from audit.store import datasets, ids, runs
from audit.store.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("store_child.py")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def make_plan() -> Callable[..., ImportPlan]:
    def make(n: int = 4, **changes: object) -> ImportPlan:
        keys = tuple(f"cat/{i}.png" for i in range(n))
        values: dict = {
            "source": Source(
                kind=SourceKind.TABLE,
                location="/data/labels.csv",
                root="/data",
                labels=None,
                options={"delimiter": ";"},
            ),
            "suggested_name": "pets",
            "class_names": ("cat", "dog"),
            "sample_keys": keys,
            "paths": keys,
            "given_labels": np.array([0, 1, -1, 1] + [0] * (n - 4), np.int32)[:n],
            "splits": np.array([0, 0, 1, 2] + [0] * (n - 4), np.int8)[:n],
            "problems": {3: "It has zero bytes."} if n > 3 else {},
            "fingerprint": "ab" * 32,
            "truth": Truth(true_labels=np.zeros(n, np.int32)),
        }
        return ImportPlan(**(values | changes))

    return make


@pytest.fixture
def dataset(workspace: Workspace, make_plan: Callable[..., ImportPlan]) -> Dataset:
    return datasets.add(workspace, make_plan(), "pets")


@pytest.fixture
def make_run(workspace: Workspace, dataset: Dataset) -> Callable[..., Run]:
    def make(name: str = "first", **settings: object) -> Run:
        values: dict = {
            "preset": "quick",
            "architecture": "small",
            "image_size": 8,
            "epochs": 3,
            "batch_size": 2,
            "learning_rate": 0.1,
        }
        run = Run(
            id=ids.new(),
            name=name,
            dataset_id=dataset.id,
            dataset_fingerprint=dataset.fingerprint,
            label_version="given",
            config=RunConfig(**(values | settings)),
            code_version="0.1.0",
            created_at=datetime.now(UTC),
            state=RunState.QUEUED,
        )
        return runs.add(workspace, run)

    return make


@pytest.fixture
def make_decision(dataset: Dataset) -> Callable[..., Decision]:
    def make(sample_key: str = "cat/0.png", minute: int = 0, **changes: object) -> Decision:
        values: dict = {
            "dataset_id": dataset.id,
            "sample_key": sample_key,
            "given_label": "cat",
            "verdict": Verdict.KEEP,
            "label": "cat",
            "reviewer": "Ada",
            "decided_at": datetime(2026, 1, 2, 3, minute, 5, 678901, tzinfo=UTC),
        }
        return Decision(**(values | changes))

    return make


@pytest.fixture
def age() -> Callable[[Path], None]:
    def make_old(folder: Path) -> None:
        """Make a folder older than every process of this test."""
        os.utime(folder, (1e9, 1e9))

    return make_old


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(CHILD), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
