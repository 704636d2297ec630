"""Real files for the tests of datasets: images, folders, tables."""

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.records.dataset import Dataset, ImportPlan


@pytest.fixture
def png():
    """Return a maker of PNG bytes: one colour, given size."""

    def make(colour=(200, 30, 60), size=(8, 6), kind="PNG", **options) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", size, colour).save(out, kind, **options)
        return out.getvalue()

    return make


@pytest.fixture
def put(tmp_path, png):
    """Return a writer of files under tmp_path; without content a small PNG."""

    def write(path: str, content: bytes | str | None = None) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            content = png()
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


@pytest.fixture
def as_dataset():
    """Return a function that makes a Dataset of a plan."""

    def make(plan: ImportPlan) -> Dataset:
        return Dataset(
            id="d",
            name="d",
            source=plan.source,
            class_names=plan.class_names,
            sample_keys=plan.sample_keys,
            paths=plan.paths,
            given_labels=plan.given_labels,
            splits=plan.splits,
            problems=plan.problems,
            fingerprint=plan.fingerprint,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    return make


@pytest.fixture
def photograph():
    """Return a smooth colourful image of the given height and width, (H, W, 3) uint8."""

    def make(height: int, width: int) -> np.ndarray:
        y, x = np.mgrid[0:height, 0:width]
        red = 127 + 120 * np.sin(x / width * 9)
        green = 127 + 120 * np.cos(y / height * 7)
        blue = 255 * (x + y) / (height + width)
        return np.stack([red, green, blue], axis=2).astype(np.uint8)

    return make
