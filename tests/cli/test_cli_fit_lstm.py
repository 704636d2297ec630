"""``labeltrace fit-lstm``: what it refuses before any training, and the whole way once."""

import csv
import json

import numpy as np
import pytest

from audit.detectors.lstm import card as cards
from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace
from audit.workbench.settling import Wishes, settle


@pytest.fixture
def colours(tmp_path, labeltrace, coloured_images):
    """Import 660 images that a network tells apart within an epoch or two."""
    images, classes = coloured_images(660, 8)
    np.savez(tmp_path / "colours.npz", images=images, labels=classes)
    labeltrace("import", tmp_path / "colours.npz")
    return tmp_path


def test_existing_weights_are_not_replaced_without_force(labeltrace, colours):
    (colours / "lstm-colours.json").write_text("mine")
    refused = labeltrace("fit-lstm", "colours", "--out", colours, code=1)
    assert "lstm-colours.json' exists already; --force replaces it" in refused.err
    assert (colours / "lstm-colours.json").read_text() == "mine"
    assert labeltrace("list", "jobs", "--json").json == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "../up"), "cannot name weights"),
        (("--preset", "none-such"), "no preset 'none-such'"),
        (("--noise-rate", "1.5"), "noise rate must lie between 0 and 1"),
        (("--from", "gone.safetensors"), "no weights file 'gone.safetensors'"),
        (("--from", "lstm-moon"), "no shipped weights 'lstm-moon'"),
        (("--from", "colours.npz"), "The card 'colours.json'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    labeltrace, colours, monkeypatch, words, said
):
    monkeypatch.chdir(colours)
    refused = labeltrace("fit-lstm", "colours", "--out", "w", *words, code=1)
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert labeltrace("list", "jobs", "--json").json == []


def test_drops_of_the_rate_keep_their_share_of_a_shorter_training(labeltrace, colours):
    with Workspace.open(labeltrace.workspace) as workspace:
        dataset = dataset_rows.find(workspace, "colours")
    (full,) = settle(dataset, Wishes(preset="plain-200"))
    (short,) = settle(dataset, Wishes(preset="plain-200", epochs=60))
    assert full.milestones == (100, 150)
    assert short.milestones == (30, 45)


@pytest.mark.slow
def test_from_images_to_weights_to_scores(labeltrace, colours):
    out = colours / "weights"
    fast = ("--epochs", 6, "--device", "cpu", "--channels", "q,margin", "--steps", 300)
    made = labeltrace("fit-lstm", "colours", "--out", out, "--name", "own", *fast, "--json").json
    assert made["roc_auc"] > 0.8
    card = cards.read(out / "own.safetensors")
    assert card.command == (
        "labeltrace fit-lstm colours --out weights --name own --preset quick --epochs 6 "
        "--channels q,margin --steps 300 --seed 0"
    )
    assert json.loads((out / "own.json").read_text())["method"] == "lstm"
    (recorded,) = labeltrace("list", "runs", "--json").json
    assert recorded["probe"] == "contaminated"

    # A second detector learns from the run that is there.
    again = labeltrace(
        "fit-lstm", "colours", "--out", out, "--from", out / "own.safetensors", *fast
    )
    assert f"Using {recorded['name']} again." in again.err
    assert again.lines[0].startswith(f"{out / 'lstm-colours.safetensors'}\taverage precision ")

    (run,) = labeltrace("train", "colours", "--epochs", 6, "--device", "cpu").lines
    weights = f"lstm.weights={out / 'own.safetensors'}"
    scores = colours / "s.csv"
    words = ("--method", "lstm", "--param", weights, "--out", scores)
    assert labeltrace("score", run, *words).lines[0].startswith("lstm\t660 scored\t")
    assert "lstm_suspicion,lstm_flagged,lstm_probability" in scores.read_text().splitlines()[0]


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_dynamics_recorded_elsewhere_are_scored_by_shipped_weights(labeltrace, tmp_path, kind):
    rng = np.random.default_rng(0)
    given = np.arange(120) % 4
    values = rng.normal(0, 1, (20, 120, 4))
    values[:, np.arange(120), given] += np.linspace(0, 5, 20)[:, None]
    for wrong in (7, 50):  # believed to be another class more and more
        values[:, wrong, given[wrong]] -= np.linspace(0, 5, 20)
        values[:, wrong, (given[wrong] + 1) % 4] += np.linspace(0, 5, 20)
    exponentials = np.exp(values)
    stored = values if kind == "logits" else exponentials / exponentials.sum(axis=2, keepdims=True)
    np.savez(tmp_path / "d.npz", **{kind: stored, "labels": given})
    out = tmp_path / "s.csv"
    words = ("--method", "lstm", "--axes", "enk", "--out", out, "--json")
    answer = labeltrace("score", tmp_path / "d.npz", *words)
    facts = answer.json["scores"]["lstm"]
    assert (facts["scored"], facts["flagged"]) == (120, 2)
    assert any("How d.npz was trained is not known" in said for said in facts["messages"])
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    flagged = [row["sample_key"] for row in rows if row["lstm_flagged"] == "True"]
    assert flagged == ["7", "50"]
    worst = sorted(rows, key=lambda row: -float(row["lstm_probability"]))[:2]
    assert {row["sample_key"] for row in worst} == {"7", "50"}
    again = tmp_path / "again.csv"
    labeltrace("score", tmp_path / "d.npz", *words[:4], "--out", again)
    assert again.read_bytes() == out.read_bytes()
