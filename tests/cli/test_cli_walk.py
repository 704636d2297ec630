"""The main job from end to end, as a person types it."""

import csv
import json

import pytest
from PIL import Image


@pytest.fixture
def animals(tmp_path, coloured_images):
    """Give class folders of 14 images each; ``cat/wrong.png`` shows a dog."""
    images, classes = coloured_images(42)
    names = ("cat", "dog", "emu")
    for number, (image, index) in enumerate(zip(images, classes, strict=True)):
        folder = tmp_path / "animals" / names[index]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    (tmp_path / "animals/dog/01.png").rename(tmp_path / "animals/cat/wrong.png")
    return tmp_path / "animals"


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.slow
def test_import_train_score_decide_export_apply(labeltrace, animals, tmp_path):
    before = {p: p.read_bytes() for p in animals.rglob("*") if p.is_file()}
    dataset_id, name = labeltrace("import", animals).lines[0].split("\t")
    assert name == "animals"

    fast = ("--epochs", 3, "--device", "cpu")
    plain = labeltrace("train", "animals", *fast).lines
    pair = labeltrace("train", dataset_id, "--probe", "threshold", *fast).lines
    assert (len(plain), len(pair)) == (1, 2)
    states = {run["id"]: run["state"] for run in labeltrace("list", "runs", "--json").json}
    assert states == dict.fromkeys([*plain, *pair], "sealed")

    scores = tmp_path / "scores.csv"
    labeltrace("score", *plain, *pair, "--method", "aum,margin", "--out", scores)
    table = rows_of(scores)
    assert table[0] == [
        "sample_key", "path", "split", "given_label", "suggested_label", "problem",
        "aum_suspicion", "aum_flagged", "aum", "margin_suspicion", "margin_flagged", "margin",
    ]  # fmt: skip
    found = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    keys = sorted(p.relative_to(animals).as_posix() for p in animals.rglob("*.png"))
    assert [row["sample_key"] for row in found] == keys
    for row in found:
        assert row["path"] == row["sample_key"]
        assert row["split"] == "train"
        assert row["problem"] == ""
        assert row["given_label"] == row["sample_key"].split("/")[0] != row["suggested_label"]
        assert 0 <= float(row["aum_suspicion"]) <= 1
        assert 0 <= float(row["margin_suspicion"]) <= 1
        assert row["aum_flagged"] in ("True", "False")
        assert row["margin_flagged"] == ""
    for method in ("aum", "margin"):
        worst = max(found, key=lambda row: float(row[f"{method}_suspicion"]))
        lowest = min(found, key=lambda row: float(row[method]))
        assert worst == lowest
        assert (worst["sample_key"], worst["suggested_label"]) == ("cat/wrong.png", "dog")

    labeltrace("decide", "animals", "cat/wrong.png", "--relabel", "dog", "--reviewer", "ann")
    labeltrace("decide", "animals", "emu/02.png", "--exclude", "--reviewer", "ann")
    labeltrace("decide", "animals", "cat/00.png", "--keep", "--reviewer", "ann")

    corrected = tmp_path / "corrected.csv"
    labeltrace("export", "animals", "--out", corrected)
    table = rows_of(corrected)
    assert table[0] == [
        "sample_key", "path", "split", "label", "given_label", "verdict", "reviewer", "decided_at",
    ]  # fmt: skip
    labels = {row[0]: (row[3], row[4], row[5], row[6]) for row in table[1:]}
    assert list(labels) == [key for key in keys if key != "emu/02.png"]
    assert labels["cat/wrong.png"] == ("dog", "cat", "relabel", "ann")
    assert labels["cat/00.png"] == ("cat", "cat", "keep", "ann")
    assert labels["emu/05.png"] == ("emu", "emu", "", "")
    manifest = json.loads((tmp_path / "corrected.csv.manifest.json").read_text())
    assert manifest["counts"] == {
        "samples": 42, "kept": 1, "relabelled": 1, "excluded": 1, "undecided": 39, "unsure": 0,
        "unreadable": 0, "unlabelled": 0,
    }  # fmt: skip

    tree = tmp_path / "tree"
    labeltrace("export", "animals", "--out", tree, "--format", "folder")
    assert sum(1 for _ in tree.glob("*/*.png")) == 41
    assert sum(1 for _ in (tree / "dog").iterdir()) == 14

    patch = tmp_path / "decisions.jsonl"
    labeltrace("export", "animals", "--out", patch)
    labeltrace("import", animals, "--name", "again")
    assert labeltrace("apply", "again", patch).lines == ["3 new of 3 decisions"]
    assert labeltrace("apply", "again", patch).lines == ["0 new of 3 decisions"]
    again = tmp_path / "again.csv"
    labeltrace("export", "again", "--out", again)
    assert again.read_bytes() == corrected.read_bytes()
    assert before == {p: p.read_bytes() for p in animals.rglob("*") if p.is_file()}
