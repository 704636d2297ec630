"""Noise on purpose: ``labeltrace corrupt`` and the import of what it wrote."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace

CLASSES = ("ape", "bat", "cat", "dog")
N = 240


@pytest.fixture
def folder(tmp_path):
    """Give 240 images in four class folders, and eight more in a split of their own."""
    root = tmp_path / "zoo"
    for place in range(N + 8):
        split = "train" if place < N else "val"
        file = root / split / CLASSES[place % 4] / f"{place:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), place, dtype=np.uint8)).save(file)
    return root


@pytest.fixture
def arrays(tmp_path):
    """Give an .npz of 300 noise images in four classes, the last ten unlabelled, some held out."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 4
    labels[290:] = -1
    split = np.array(["train"] * 260 + ["test"] * 40)
    file = tmp_path / "zoo.npz"
    images = rng.integers(0, 256, (300, 5, 6), dtype=np.uint8)
    np.savez(file, images=images, labels=labels, class_names=np.array(CLASSES), split=split)
    return file


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ","))


def imported(labeltrace, path):
    """Import a file; return its dataset and its truth."""
    name = labeltrace("import", path).lines[0].split("\t")[1]
    with Workspace.open(labeltrace.workspace) as workspace:
        dataset = dataset_rows.find(workspace, name)
        return dataset, dataset_rows.truth(workspace, dataset.id)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_the_imported_truth_gives_the_printed_rate_and_held_out_labels_are_untouched(
    labeltrace, folder, tmp_path, ending
):
    out = tmp_path / f"noisy{ending}"
    words = ("--kind", "symmetric", "--rate", 0.3, "--seed", 1, "--out", out, "--json")
    told = labeltrace("corrupt", folder, *words).json
    dataset, truth = imported(labeltrace, out)
    wrong = dataset.given_labels != truth.true_labels
    is_train = dataset.splits == 0
    assert (told["samples"], int(is_train.sum())) == (N, N)
    assert wrong[is_train].mean() == told["realised_rate"] == told["wrong_rate"]
    assert told["nominal_rate"] == 0.3
    # 240 flips of a coin: five standard deviations.
    assert 0.15 < told["realised_rate"] < 0.45
    assert not wrong[~is_train].any()
    assert not dataset.problems
    keys = [row["path"] for row in read(out)]
    assert keys[0] == "zoo/train/ape/000.png"
    assert [Path(key).parent.name for key in keys] == [
        dataset.class_names[label] for label in truth.true_labels
    ]
    per_class = told["classes"]
    assert sum(one["moved"] for one in per_class.values()) == told["moved"]
    of_ape = wrong[is_train & (truth.true_labels == 0)]
    assert per_class["ape"]["realised_rate"] == of_ape.mean()


def test_arrays_are_written_again_with_names_keys_splits_and_truth(labeltrace, arrays, tmp_path):
    out = tmp_path / "noisy.npz"
    words = ("--kind", "pair", "--rate", 0.5, "--out", out, "--json")
    told = labeltrace("corrupt", arrays, *words).json
    dataset, truth = imported(labeltrace, out)
    before = np.load(arrays)
    with np.load(out) as after:
        np.testing.assert_array_equal(after["images"], before["images"])
    np.testing.assert_array_equal(truth.true_labels, before["labels"])
    assert dataset.class_names == CLASSES
    assert dataset.sample_keys[0] == "000"
    wrong = dataset.given_labels != truth.true_labels
    assert (told["samples"], told["moved"]) == (260, int(wrong.sum()))
    assert not wrong[260:].any()
    assert (dataset.given_labels[290:] == -1).all()
    np.testing.assert_array_equal(dataset.given_labels[wrong], (truth.true_labels[wrong] + 1) % 4)


def test_equal_seeds_make_equal_bytes_and_other_seeds_others(labeltrace, folder, tmp_path):
    files = [tmp_path / f"{name}.csv" for name in "abc"]
    for file, seed in zip(files, (7, 7, 8), strict=True):
        words = ("--kind", "symmetric", "--rate", 0.3, "--seed", seed, "--out", file)
        labeltrace("corrupt", folder, *words)
    first, second, third = (file.read_bytes() for file in files)
    assert first == second != third


def test_exact_draws_from_all_classes_for_just_so_many(labeltrace, folder, tmp_path):
    out = tmp_path / "noisy.csv"
    words = ("--kind", "exact", "--rate", 0.5, "--out", out, "--json")
    told = labeltrace("corrupt", folder, *words).json
    # 120 draws, a quarter of which hit the label that was there; six standard deviations.
    assert 60 < told["moved"] <= 120


def test_asymmetric_moves_only_the_classes_of_its_map(labeltrace, folder, tmp_path):
    out = tmp_path / "noisy.csv"
    words = ("--kind", "asymmetric", "--rate", 1, "--out", out, "--map", "ape:bat,bat:dog")
    told = labeltrace("corrupt", folder, *words, "--json").json
    moves = {(row["true_label"], row["label"]) for row in read(out) if row["split"] == "train"}
    assert moves == {("ape", "bat"), ("bat", "dog"), ("cat", "cat"), ("dog", "dog")}
    assert told["realised_rate"] == 0.5
    assert told["classes"]["cat"] == {"samples": 60, "moved": 0, "realised_rate": 0}


def test_asymmetric_without_a_map_takes_the_confusions_of_cifar10_by_name(labeltrace, tmp_path):
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    # Another order than CIFAR-10's own: places must not matter.
    names = names[::-1]
    file, out = tmp_path / "c.npz", tmp_path / "noisy.npz"
    images = np.zeros((20, 2, 2), dtype=np.uint8)
    np.savez(file, images=images, labels=np.arange(20) % 10, class_names=np.array(names))
    labeltrace("corrupt", file, "--kind", "asymmetric", "--rate", 1, "--out", out)
    with np.load(out) as made:
        moved = {
            names[t]: names[g] for t, g in zip(made["true_labels"], made["labels"], strict=True)
        }
    assert {a: b for a, b in moved.items() if a != b} == {
        "truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "csv", "column"])
def test_superclass_noise_stays_within_groups(labeltrace, folder, tmp_path, form):
    group = {"ape": "x", "bat": "x", "cat": "y", "dog": "z"}
    out, source = tmp_path / "noisy.csv", folder
    if form == "json":
        (tmp_path / "groups.json").write_text(json.dumps(group))
        words = ("--groups", tmp_path / "groups.json")
    elif form == "csv":
        rows = "".join(f"{name},{one}\n" for name, one in group.items())
        (tmp_path / "groups.csv").write_text("class,group\n" + rows)
        words = ("--groups", tmp_path / "groups.csv")
    else:
        files = sorted((folder / "train").rglob("*.png"))
        rows = [f"{f.relative_to(tmp_path)},{f.parent.name},{group[f.parent.name]}" for f in files]
        source = tmp_path / "table.csv"
        source.write_text("path,label,coarse\n" + "\n".join(rows) + "\n")
        words = ("--group-column", "coarse")
    labeltrace("corrupt", source, "--kind", "superclass", "--rate", 1, "--out", out, *words)
    rows = [row for row in read(out) if row.get("split") != "val"]
    assert {(row["true_label"], row["label"]) for row in rows} == {
        ("ape", "bat"), ("bat", "ape"), ("cat", "cat"), ("dog", "dog"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "arrays"])
def test_instance_noise_tells_how_many_flips_share_a_target(labeltrace, request, tmp_path, kind):
    source = request.getfixturevalue(kind)
    out = tmp_path / ("noisy.npz" if kind == "arrays" else "noisy.csv")
    words = ("--kind", "instance", "--rate", 0.4, "--out", out)
    raw = labeltrace("corrupt", source, *words, "--json").json
    assert 0.25 < raw["realised_rate"] < 0.55
    even = labeltrace("corrupt", source, *words, "--standardise", "--json", "--force").json
    if kind == "arrays":
        # Raw positive pixels share their mean, which decides the target; METHODS of Xia et al.
        assert raw["top_target_share"] > even["top_target_share"]
    shown = labeltrace("corrupt", source, *words, "--force").out
    assert f"{raw['top_target_share']:.1%} of a class's moved labels went to one class" in shown


def test_twice_writes_the_hidden_labels_that_a_detector_may_not_know(labeltrace, folder, tmp_path):
    out = tmp_path / "noisy.csv"
    words = ("--kind", "twice", "--rate", 0.2, "--second-rate", 0.3, "--out", out, "--json")
    told = labeltrace("corrupt", folder, *words).json
    rows = [row for row in read(out) if row["split"] == "train"]
    hidden = np.mean([row["hidden_label"] != row["true_label"] for row in rows])
    second = np.mean([row["label"] != row["hidden_label"] for row in rows])
    assert (told["hidden_realised_rate"], told["second_realised_rate"]) == (hidden, second)
    assert told["wrong_rate"] == np.mean([row["label"] != row["true_label"] for row in rows])
    dataset, _ = imported(labeltrace, out)
    assert dataset.class_names == CLASSES


@pytest.fixture
def with_truth(folder, tmp_path):
    """Give a table whose first 24 given labels are wrong already, and one true label unknown."""
    files = sorted((folder / "train").rglob("*.png"))
    rows = []
    for place, file in enumerate(files):
        true = file.parent.name
        given = CLASSES[(CLASSES.index(true) + 1) % 4] if place < 24 else true
        known = "" if place == 30 else true
        rows.append(f"{file.relative_to(tmp_path)},{given},{known}")
    table = tmp_path / "table.csv"
    table.write_text("path,label,true_label\n" + "\n".join(rows) + "\n")
    return table


def test_a_source_with_truth_keeps_it_and_counts_what_was_wrong_before(
    labeltrace, with_truth, tmp_path
):
    out = tmp_path / "noisy.csv"
    words = ("--kind", "symmetric", "--rate", 0.2, "--out", out)
    told = labeltrace("corrupt", with_truth, *words, "--json").json
    before, after = read(with_truth), read(out)
    assert [row["path"] for row in after] == [row["path"] for row in before]
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        assert other["true_label"] == (one["true_label"] or one["label"]), place
    moved = [a["label"] != b["label"] for a, b in zip(before, after, strict=True)]
    wrong = [row["label"] != row["true_label"] for row in after]
    assert told["realised_rate"] == np.mean(moved)
    assert told["wrong_rate"] == np.mean(wrong) > np.mean(moved)
    said = labeltrace("corrupt", with_truth, *words, "--force").err
    assert "may have been wrong before" in said


def test_noise_can_be_put_on_the_truth_instead(labeltrace, with_truth, tmp_path):
    out = tmp_path / "noisy.csv"
    words = ("--kind", "symmetric", "--rate", 0, "--out", out, "--onto", "true", "--json")
    told = labeltrace("corrupt", with_truth, *words).json
    assert (told["moved"], told["wrong"]) == (0, 0)
    assert all(row["label"] == row["true_label"] for row in read(out))


def test_a_file_under_two_labels_keeps_both(labeltrace, tmp_path):
    Image.fromarray(np.zeros((2, 2, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.ones((2, 2, 3), dtype=np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,x\na.png,y\nb.png,x\n")
    out = tmp_path / "noisy.csv"
    answer = labeltrace("corrupt", tmp_path / "t.csv", "--kind", "pair", "--rate", 1, "--out", out)
    assert [row["label"] for row in read(out)] == ["x", "y", "y"]
    assert "several times keep their labels: 2." in answer.err


def test_images_elsewhere_are_named_by_absolute_paths(labeltrace, folder, tmp_path):
    (tmp_path / "apart").mkdir()
    out = tmp_path / "apart" / "noisy.csv"
    labeltrace("corrupt", folder, "--kind", "pair", "--rate", 0.2, "--out", out)
    assert read(out)[0]["path"] == str(folder / "train/ape/000.png")
    dataset, _ = imported(labeltrace, out)
    assert not dataset.problems


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kind", "symmetric", "--rate", "1.5"), "must lie in [0, 1], got 1.5"),
        (("--kind", "symmetric", "--rate", "nan"), "must lie in [0, 1], got nan"),
        (("--kind", "twice", "--rate", ".2"), "needs --second-rate"),
        (("--kind", "pair", "--rate", ".2", "--map", "ape:bat"), "--map goes with"),
        (("--kind", "asymmetric", "--rate", ".2"), "has no class 'airplane'"),
        (("--kind", "asymmetric", "--rate", ".2", "--map", "ape:emu"), "'ape:emu' is no pair"),
        (("--kind", "superclass", "--rate", ".2"), "needs either --groups FILE or"),
        (("--kind", "superclass", "--rate", ".2", "--group-column", "c"), "goes with a table"),
        (("--kind", "pair", "--rate", ".2", "--onto", "true"), "no true labels to put noise on"),
        (
            ("--kind", "pair", "--rate", ".2", "--splits", "test"),
            "no labelled, usable sample in test",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence_and_writes_nothing(
    labeltrace, folder, tmp_path, words, said
):
    out = tmp_path / "noisy.csv"
    assert said in labeltrace("corrupt", folder, *words, "--out", out, code=1).sentence
    assert not out.exists()


@pytest.mark.parametrize("groups", ['{"ape": "x"}', '{"emu": "x"}', '{"ape": ["x"]}', "[[", "[1]"])
def test_groups_that_do_not_fit_are_refused(labeltrace, folder, tmp_path, groups):
    (tmp_path / "groups.json").write_text(groups)
    out = tmp_path / "noisy.csv"
    words = ("--kind", "superclass", "--rate", 0.2, "--groups", tmp_path / "groups.json")
    labeltrace("corrupt", folder, *words, "--out", out, code=1)
    assert not out.exists()


def test_outputs_inside_the_source_or_in_the_way_are_refused(labeltrace, folder, arrays, tmp_path):
    words = ("--kind", "pair", "--rate", 0.2, "--out")
    for source, out in (
        (folder, folder / "noisy.csv"),
        (folder, tmp_path / "noisy.npz"),
        (arrays, tmp_path / "noisy.csv"),
        (arrays, arrays),
    ):
        labeltrace("corrupt", source, *words, out, "--force", code=1)
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    assert "use --force" in labeltrace("corrupt", folder, *words, mine, code=1).sentence
    assert mine.read_text() == "mine"
    labeltrace("corrupt", folder, *words, mine, "--force")
    labeltrace("corrupt", folder, "--kind", "wild", "--rate", 0.2, "--out", mine, code=2)


def test_an_unlabelled_source_is_refused(labeltrace, tmp_path):
    file = tmp_path / "bare.npz"
    images = np.zeros((4, 2, 2), dtype=np.uint8)
    np.savez(file, images=images, labels=np.full(4, -1), class_names=np.array(["a", "b"]))
    words = ("--kind", "pair", "--rate", 0.2, "--out", tmp_path / "noisy.npz")
    said = labeltrace("corrupt", file, *words, code=1).sentence
    assert "no labelled, usable sample" in said
