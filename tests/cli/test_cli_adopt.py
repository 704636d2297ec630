"""From somebody else's training loop to suspects: ``labeltrace adopt`` and ``labeltrace score FILE``."""

import csv

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from audit.training import Numbered, Recorder

N, K = 60, 3


@pytest.fixture
def trained_elsewhere(labeltrace, coloured_images, tmp_path):
    """Import 60 samples, six of them wrong, and train a linear network on them in a loop of our own."""
    images, classes = coloured_images(N)
    labels = classes.copy()
    labels[:6] = (labels[:6] + 1) % K
    np.savez(tmp_path / "colours.npz", images=images, labels=labels)
    labeltrace("import", tmp_path / "colours.npz")
    torch.manual_seed(0)
    inputs = torch.from_numpy(images).float().flatten(1) / 255
    network = torch.nn.Linear(inputs.shape[1], K)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    data = Numbered(TensorDataset(inputs, torch.from_numpy(labels)))
    file = tmp_path / "dynamics.npz"
    with Recorder(labels, out=file) as recorder:
        for _ in range(5):
            for rows, some, given in DataLoader(data, batch_size=8, shuffle=True, drop_last=True):
                logits = network(some)
                recorder.observe(rows, logits, given)
                functional.cross_entropy(logits, given).backward()
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
    return file


def worst(file):
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {r["sample_key"] for r in sorted(rows, key=lambda r: -float(r["margin_suspicion"]))[:6]}


def test_a_recording_is_scored_as_a_file_and_as_a_run(labeltrace, trained_elsewhere, tmp_path):
    words = ("--method", "margin,lstm", "--out")
    file = labeltrace("score", trained_elsewhere, *words, tmp_path / "file.csv")
    gaps = "of 300 entries (a sample in an epoch) were not observed and were filled in from"
    assert gaps in file.err
    assert worst(tmp_path / "file.csv") == {"0", "1", "2", "3", "4", "5"}

    adopted = labeltrace("adopt", "colours", trained_elsewhere, "--name", "mine")
    (run_id,) = adopted.lines
    assert "mine: 5 epochs of 60 samples of colours" in adopted.err
    assert gaps in adopted.err
    assert "Next: labeltrace score mine --method margin" in adopted.err

    scored = labeltrace("score", "mine", *words, tmp_path / "run.csv")
    assert gaps in scored.err
    assert worst(tmp_path / "run.csv") == {"00", "01", "02", "03", "04", "05"}

    shown = labeltrace("show", run_id)
    assert "dynamics.npz" in shown.out
    assert "learning_rate" not in shown.out
    assert labeltrace("show", "mine", "--json").json["config"]["architecture"] == "elsewhere"
    (listed,) = labeltrace("list", "runs", "--json").json
    assert (listed["preset"], listed["probe"], listed["epochs"]) == ("recorded", "none", 5)
    said = labeltrace("resume", "mine", code=1).sentence
    assert said == (
        "Run 'mine' was recorded elsewhere, so there is no training to go on with here."
    )
    explained = labeltrace("explain", "mine", "03", "--method", "margin", "--json")
    assert explained.code == 0
    labeltrace("delete", "mine", "--yes")
    assert labeltrace("list", "runs", "--json").json == []


def test_what_does_not_fit_is_refused_in_one_sentence(labeltrace, trained_elsewhere, tmp_path):
    np.savez(tmp_path / "few.npz", logits=np.zeros((2, 3, K), np.float32), labels=[0, 1, 2])
    said = labeltrace("adopt", "colours", tmp_path / "few.npz", code=1).sentence
    assert said.startswith("'few.npz' holds 3 samples without keys, and 'colours' has 60")
    made = labeltrace("adopt", "colours", trained_elsewhere, "--json").json
    assert (made["name"], made["samples"], made["absent"]) == ("colours-recorded-1", 60, 0)
    said = labeltrace("adopt", "colours", trained_elsewhere, "--name", made["name"], code=1)
    assert "exists already: choose another name" in said.sentence
