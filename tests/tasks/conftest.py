"""Tiny trainings: in this process, or by workers of their own."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.jobs import queue
from audit.records.dataset import Dataset
from audit.records.progress import Report, silent
from audit.records.run import Augmentation, Precision, Run, RunConfig
from audit.store import datasets as dataset_rows
from audit.store import ids, jobs
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.tasks import train
from audit.workbench import datasets, runs
from audit.workbench.datasets import SourceOptions

SIDE = 20


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened
        for job in reversed(jobs.every(opened)):
            if not job.is_over:
                queue.request_stop(opened, job, launch=lambda workspace, job: None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give two class folders of 16 noisy images each."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 80), ("light", 170)):
        folder = tmp_path / "source" / name
        folder.mkdir(parents=True)
        for number in range(16):
            image = rng.normal(level, 40, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "source"


@pytest.fixture
def dataset(workspace: Workspace, source: Path) -> Dataset:
    return add_dataset(workspace, source)


def add_dataset(workspace: Workspace, source: Path) -> Dataset:
    stored, _ = datasets.add(workspace, datasets.plan(source, SourceOptions()))
    return dataset_rows.find(workspace, stored.id)


@pytest.fixture
def add_run(workspace: Workspace) -> Callable[..., Run]:
    """Store a run that nobody trains yet."""

    def add(dataset: Dataset, **changes: object) -> Run:
        settings: dict = {
            "preset": "quick",
            "architecture": "small",
            "image_size": 16,
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 0.05,
            "augmentation": Augmentation.CROP_FLIP,
            "precision": Precision.FLOAT32,
        }
        run = Run(
            id=ids.new(),
            name=f"run {len(run_rows.all(workspace))}",
            dataset_id=dataset.id,
            dataset_fingerprint=dataset.fingerprint,
            label_version="given",
            config=RunConfig(**(settings | changes)),
            code_version="0",
            created_at=datetime.now(UTC),
        )
        return run_rows.add(workspace, run)

    return add


@pytest.fixture
def train_here(workspace: Workspace) -> Callable[..., Mapping[str, object]]:
    """Train a run in this process, as a worker would; the job's own states are left alone."""

    def carry_out(run: Run, report: Report = silent) -> Mapping[str, object]:
        job = runs.enqueue(workspace, run)
        try:
            return train.run(workspace, job, report)
        finally:
            queue.request_stop(workspace, job)

    return carry_out


@pytest.fixture
def contents(workspace: Workspace) -> Callable[[Run], dict[str, bytes]]:
    """Return every file of a sealed run."""

    def read(run: Run) -> dict[str, bytes]:
        folder = run_rows.folder(workspace, run.id)
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    return read


@pytest.fixture
def until() -> Callable[..., object]:
    """Wait for a condition, which is the only way these tests wait."""

    def wait(condition: Callable[[], object], seconds: float = 90.0) -> object:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)
        return value

    return wait


@pytest.fixture
def environment() -> dict[str, str]:
    """Return what a program that a test starts itself needs to find the package."""
    root = str(Path(__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": root, "LABELTRACE_THREADS": "1"}
