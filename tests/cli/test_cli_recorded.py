"""Scores of dynamics that were recorded elsewhere: ``labeltrace score FILE``."""

import csv

import numpy as np
import pytest

T, N, K = 4, 24, 3


@pytest.fixture
def logits():
    """Give logits of four epochs, (T, N, K) float64, in which samples 0 and 1 are never believed."""
    rng = np.random.default_rng(3)
    given = np.arange(N) % K
    values = rng.normal(0, 0.5, (T, N, K))
    values[:, np.arange(N), given] += 4
    for sample in (0, 1):
        values[:, sample, given[sample]] -= 8
    return values, given


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def margins(values, given):
    own = values[:, np.arange(N), given]
    others = values.copy()
    others[:, np.arange(N), given] = -np.inf
    return own - others.max(axis=2)


@pytest.mark.parametrize("order", ["enk", "nek"])
def test_logits_are_scored_by_margin_and_aum(labeltrace, logits, tmp_path, order):
    values, given = logits
    ids = np.array([f"sample {n}" for n in range(N)])
    stored = values if order == "enk" else values.transpose(1, 0, 2)
    np.savez(tmp_path / "d.npz", logits=stored, labels=given, ids=ids)
    out = tmp_path / "s.csv"
    words = ("--method", "margin,aum", "--axes", order, "--out", out)
    answer = labeltrace("score", tmp_path / "d.npz", *words)
    assert answer.lines == ["margin\t24 scored\tno cut", "aum\t24 scored\tno cut"]
    rows = read(out)
    assert list(rows[0]) == [
        "sample_key", "path", "split", "given_label", "suggested_label", "problem",
        "margin_suspicion", "margin_flagged", "margin", "aum_suspicion", "aum_flagged", "aum",
    ]  # fmt: skip
    assert [row["sample_key"] for row in rows] == list(ids)
    assert {row["aum_flagged"] for row in rows} == {""}
    worst = sorted(rows, key=lambda row: -float(row["aum_suspicion"]))[:2]
    assert {row["sample_key"] for row in worst} == {"sample 0", "sample 1"}
    # The first epoch is left out, as in METHODS of AUM; logits are stored in single precision.
    expected = margins(values, given)[1:].mean(axis=0)
    np.testing.assert_allclose([float(row["aum"]) for row in rows], expected, rtol=1e-5)


def test_a_single_recorded_epoch_is_kept_for_aum(labeltrace, logits, tmp_path):
    values, given = logits
    np.savez(tmp_path / "d.npz", logits=values[:1], labels=given)
    words = ("--method", "aum", "--axes", "enk", "--out", tmp_path / "s.csv")
    labeltrace("score", tmp_path / "d.npz", *words)
    found = [float(row["aum"]) for row in read(tmp_path / "s.csv")]
    np.testing.assert_allclose(found, margins(values, given)[0], rtol=1e-5)


@pytest.fixture
def copied():
    """Give a recording of 600 samples with 60 wrong labels, and 120 corrupted copies on top."""
    rng = np.random.default_rng(5)
    n_samples, n_epochs, n_classes = 600, 20, 4
    truth = np.arange(n_samples) % n_classes
    is_wrong = rng.permutation(n_samples) < 60
    given = (truth + is_wrong * rng.integers(1, n_classes, n_samples)) % n_classes
    copy_of = np.sort(rng.permutation(n_samples)[:120])
    wrong = (given[copy_of] + rng.integers(1, n_classes, 120)) % n_classes
    image = np.concatenate([np.arange(n_samples), copy_of])
    logits = rng.normal(0, 1, (n_epochs, len(image), n_classes))
    logits[:, np.arange(len(image)), truth[image]] += np.linspace(1, 5, n_epochs)[:, None]
    return is_wrong, {
        "logits": logits.astype(np.float32),
        "labels": np.concatenate([given, wrong]),
        "copy_of": np.concatenate([np.full(n_samples, -1), copy_of]),
    }


def test_copies_in_the_file_let_dynacor_and_aum_find_a_cut(labeltrace, copied, tmp_path):
    is_wrong, arrays = copied
    np.savez(tmp_path / "d.npz", **arrays)
    words = ("--method", "dynacor,aum,margin", "--out", tmp_path / "s.csv")
    answer = labeltrace("score", tmp_path / "d.npz", *words)
    assert "its cut rests on corrupted copies" in answer.err
    rows = read(tmp_path / "s.csv")
    assert len(rows) == len(is_wrong), "copies are no samples"
    for method in ("dynacor", "aum"):
        flags = np.array([row[f"{method}_flagged"] == "True" for row in rows])
        n_found = int((flags & is_wrong).sum())
        assert n_found >= 54, method
        assert flags.sum() <= 120, method
    suspicion = np.array([float(row["margin_suspicion"]) for row in rows])
    assert is_wrong[np.argsort(-suspicion)[:60]].sum() >= 57


def test_dynacor_without_copies_names_the_array_that_is_missing(labeltrace, logits, tmp_path):
    values, given = logits
    np.savez(tmp_path / "d.npz", logits=values, labels=given)
    words = ("--method", "dynacor", "--axes", "enk", "--out", tmp_path / "s.csv")
    said = labeltrace("score", tmp_path / "d.npz", *words, code=1).sentence
    assert "name the originals in the array copy_of" in said
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize("method", ["aum", "margin"])
def test_margins_of_probabilities_are_refused_with_the_reason(labeltrace, logits, tmp_path, method):
    values, given = logits
    probs = np.exp(values) / np.exp(values).sum(axis=2, keepdims=True)
    np.savez(tmp_path / "p.npz", probs=probs, labels=given)
    words = ("score", tmp_path / "p.npz", "--out", tmp_path / "s.csv", "--method")
    said = labeltrace(*words, method, code=1).sentence
    assert "margins come from logits and cannot be made from probabilities" in said
    assert not (tmp_path / "s.csv").exists()
    labeltrace(*words, "log_ratio")
    assert len(read(tmp_path / "s.csv")) == N


def test_the_scoring_says_how_many_entries_were_missing(labeltrace, logits, tmp_path):
    values, given = logits
    values[2, 7] = np.nan
    np.savez(tmp_path / "d.npz", logits=values, labels=given)
    words = ("--method", "margin", "--axes", "enk", "--out", tmp_path / "s.csv", "--json")
    answer = labeltrace("score", tmp_path / "d.npz", *words)
    assert "margin: 1 of 96 entries of 'd.npz' (a sample in an epoch) were missing" in answer.err
    told = answer.json["scores"]["margin"]
    assert told["messages"][0].startswith("1 of 96 entries of 'd.npz' (a sample in an epoch) were ")
    assert told["scored"] == N


def test_files_are_scored_one_at_a_time_into_a_named_output(labeltrace, logits, tmp_path):
    values, given = logits
    np.savez(tmp_path / "d.npz", logits=values, labels=given)
    file, out = tmp_path / "d.npz", tmp_path / "s.csv"
    labeltrace("score", file, "--method", "margin", code=2)
    labeltrace("score", file, file, "--method", "margin", "--out", out, code=2)
    out.write_text("mine")
    words = ("score", file, "--method", "margin", "--out", out)
    assert "use --force" in labeltrace(*words, code=1).sentence
    assert out.read_text() == "mine"
    labeltrace(*words, "--force")
    missing = ("score", tmp_path / "no.npz", "--method", "margin", "--out", tmp_path / "t.csv")
    assert "There is no file" in labeltrace(*missing, code=1).sentence
