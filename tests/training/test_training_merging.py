import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from audit.records.dynamics import SIGNALS
from audit.training import Recorder
from audit.training.gap_recorder import GapRecorder
from audit.training.recorder import EpochRecorder

CHILD = Path(__file__).parent / "training_rank.py"
_spec = importlib.util.spec_from_file_location("training_rank", CHILD)
rank = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rank)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes recorded that met over gloo."""
    folder = tmp_path_factory.mktemp("ranks")
    children = [
        subprocess.Popen([sys.executable, CHILD, str(number), folder], stderr=subprocess.PIPE)
        for number in range(2)
    ]
    said = [child.communicate()[1].decode() for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    return folder


def alone(kind, skipped=(), **settings):
    """What a single process records that sees every row once."""
    recorder = kind(rank.rows(), **settings)
    kept = {}
    for epoch in range(rank.N_EPOCHS):
        order = torch.randperm(rank.N_ROWS, generator=torch.Generator().manual_seed(epoch))
        for row in order.tolist():
            if row not in skipped:
                recorder.observe(torch.tensor([row]), rank.logits_of(epoch)[[row]])
        for name, values in recorder.end_epoch().items():
            kept[f"{name}_{epoch}"] = values
    mean = recorder.mean_probabilities()
    return kept | {"mean": mean.values, "classes": mean.classes}


@pytest.mark.parametrize(
    ("what", "kind", "settings"),
    [
        ("strict", EpochRecorder, {}),
        ("top", EpochRecorder, {"sums_cap_bytes": 0}),
        ("gaps", GapRecorder, {"skipped": (1, 4)}),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_every_rank_holds_bit_by_bit_what_one_process_would(folder, what, kind, settings, number):
    expected = alone(kind, **settings)
    found = np.load(folder / f"rank{number}.npz")
    assert len(expected) == rank.N_EPOCHS * len(SIGNALS) + 2
    for name, values in expected.items():
        assert_array_equal(found[f"{what}_{name}"], values, err_msg=name)


def test_the_file_of_two_processes_is_that_of_one(folder, tmp_path):
    with Recorder(rank.LABELS, out=tmp_path / "one.npz") as recorder:
        for epoch in range(rank.N_EPOCHS):
            recorder.observe(range(rank.N_ROWS), rank.logits_of(epoch))
    assert (folder / "whole.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()


def test_a_recording_that_went_on_after_a_failure_is_the_same(folder):
    assert (folder / "resumed.npz").read_bytes() == (folder / "whole.npz").read_bytes()


def test_a_rank_without_a_batch_takes_part(folder):
    file = np.load(folder / "lonely.npz")
    assert_array_equal(file["sample"], np.arange(rank.N_ROWS))
    assert file["signal_margin"].shape == (1, rank.N_ROWS)


def test_ranks_that_record_other_labels_are_told_so_on_each(folder):
    for number in range(2):
        said = (folder / f"rank{number}.txt").read_text().splitlines()[0]
        assert said == (
            "The 2 processes of this training have different labels, keys or class names: give each "
            "of them that of the whole dataset, in the same order."
        )


def test_in_several_processes_epochs_do_not_end_by_themselves(folder):
    said = (folder / "rank0.txt").read_text().splitlines()[1]
    assert "1 of 7 rows were observed and no epoch ended; call recorder.end_epoch() after" in said
    assert said.endswith("in every process.")
    assert not (folder / "unended.npz").exists()
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
