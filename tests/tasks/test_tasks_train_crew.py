"""Two real processes that torchrun starts, beside one: the same run, recorded once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.records.dynamics import SIGNALS
from audit.store import dynamics
from audit.store import runs as run_rows
from audit.store.workspace import Workspace

TOLERANCE = 1e-4


@pytest.fixture
def source(tmp_path, coloured_images):
    images, classes = coloured_images(70)
    np.savez(tmp_path / "colours.npz", images=images, labels=classes)
    return tmp_path / "colours.npz"


def test_a_run_of_two_workers_is_the_run_of_two_shards(labeltrace, source):
    labeltrace("import", source)
    train = ("train", "colours", "--epochs=2", "--batch-size=16", "--image-size=8")
    alone = labeltrace(*train, "--shards=2").lines[-1]
    beside = labeltrace(*train, "--launcher=torchrun", "--workers=2").lines[-1]
    with Workspace.open(labeltrace.workspace) as workspace:
        one, two = (
            dynamics.load(workspace, run_rows.find(workspace, run)) for run in (alone, beside)
        )
    assert_array_equal(one.sample, two.sample)
    for name in SIGNALS:
        assert two.signals[name].shape == (2, 70)
        assert_allclose(one.signals[name], two.signals[name], rtol=0, atol=TOLERANCE)
    assert one.mean_probabilities is not None
    assert_allclose(
        one.mean_probabilities.values, two.mean_probabilities.values, rtol=0, atol=TOLERANCE
    )


def test_workers_without_torchrun_and_too_few_shards_are_refused(labeltrace, source):
    labeltrace("import", source)
    said = labeltrace("train", "colours", "--workers=2", code=2).err
    assert "--launcher torchrun" in said
    refused = labeltrace(
        "train", "colours", "--launcher=torchrun", "--workers=3", "--shards=2", code=1
    )
    assert refused.sentence == "3 workers need at least as many --shards, got 2."
