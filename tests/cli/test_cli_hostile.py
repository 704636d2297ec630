"""Sources and names that must never go wrong, as a person at the terminal meets them."""

import codecs
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from audit.cli.session import printable


def picture(path, level=128, side=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(path)
    return path


def bomb(path):
    """Write a PNG of a few bytes that claims 60,000 × 60,000 pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.fixture
def bad_folder(tmp_path):
    """Give two classes of ten images, and six files that cannot be used."""
    root = tmp_path / "bad"
    for number in range(10):
        picture(root / f"dark/{number}.png", 40 + number)
        picture(root / f"light/{number}.png", 200 + number)
    whole = (root / "dark/0.png").read_bytes()
    (root / "dark/truncated.png").write_bytes(whole[: len(whole) // 2])
    (root / "dark/empty.png").write_bytes(b"")
    (root / "light/text.png").write_text("this is no image")
    bomb(root / "light/bomb.png")
    picture(root / "lonely/only.png")
    (root / "stray.txt").write_text("notes")
    (root / "dark/notes.txt").write_text("notes")
    return root


def test_unusable_files_are_named_and_the_rest_goes_on(labeltrace, bad_folder, tmp_path):
    out = tmp_path / "suspects.csv"
    planned = labeltrace("import", bad_folder, "--plan", "--json").json
    assert {item["name"] for item in planned["skipped"]} >= {"stray.txt", "dark/notes.txt"}
    words = ("--method", "margin", "--epochs", 2, "--device", "cpu")
    answer = labeltrace("audit", bad_folder, "--out", out, *words)
    assert "margin\t21 scored, 4 not scored\tno cut" in answer.lines
    lines = {line.split(",")[0]: line for line in out.read_text().splitlines()}
    assert len(lines) == 26
    for key in ("dark/truncated.png", "dark/empty.png", "light/text.png", "light/bomb.png"):
        key_, path, split, given, suggested, problem = lines[key].split(",")[:6]
        assert (key_, path, split, given, suggested) == (key, key, "train", key.split("/")[0], "")
        assert problem
    assert lines["lonely/only.png"].split(",")[5] == ""
    shown = labeltrace("show", "bad", "--json").json
    assert (shown["samples"], shown["unusable"], shown["classes"]["lonely"]) == (25, 4, 1)

    labeltrace("decide", "bad", "dark/empty.png", "--exclude")
    corrected = tmp_path / "corrected.csv"
    manifest = labeltrace("export", "bad", "--out", corrected, "--json").json
    assert manifest["counts"]["unreadable"] + manifest["counts"]["excluded"] == 4
    assert len(corrected.read_text().splitlines()) == 22
    tree = labeltrace("export", "bad", "--out", tmp_path / "tree", "--format", "folder", "--json")
    assert tree.json["counts"]["unreadable"] == manifest["counts"]["unreadable"]


def test_two_files_of_one_name_stay_two_samples(labeltrace, tmp_path):
    for place in ("a/x", "a/y", "b"):
        picture(tmp_path / "source" / place / "1.png")
    labeltrace("import", tmp_path / "source")
    labeltrace("decide", "source", "a/y/1.png", "--relabel", "b")
    labeltrace("export", "source", "--out", tmp_path / "tree", "--format", "folder")
    files = (tmp_path / "tree").rglob("*.png")
    assert sorted(p.relative_to(tmp_path / "tree").parts[0] for p in files) == ["a", "b", "b"]


NAMES = (
    "with space",
    "quote'single",
    'quote"double',
    "new\nline",
    "tab\there",
    "עברית",
    "\u202ertl override",
    "emoji 🐕‍🦺",
    "\x1b[31mred\x1b[0m",
    "=cmd()",
    "comma,semicolon;",
    "back\\slash",
    "-dash",
)


def test_names_of_every_kind_go_through_unharmed(labeltrace, tmp_path):
    root = tmp_path / "names"
    for number, name in enumerate(NAMES):
        picture(root / name / f"{name}.png", number)
    labeltrace("import", root)
    keys = [f"{name}/{name}.png" for name in NAMES]
    for key, name in zip(keys, (*NAMES[1:], NAMES[0]), strict=True):
        labeltrace("decide", "names", f"--relabel={name}", "--", key)
    patch, corrected = tmp_path / "p.jsonl", tmp_path / "c.csv"
    labeltrace("export", "names", "--out", patch)
    labeltrace("export", "names", "--out", corrected)
    import csv

    with corrected.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["sample_key"]: row["label"] for row in rows} == dict(
        zip(keys, (*NAMES[1:], NAMES[0]), strict=True)
    )
    labeltrace("import", root, "--name", "again")
    assert labeltrace("apply", "again", patch).lines == [
        f"{len(NAMES)} new of {len(NAMES)} decisions"
    ]
    labeltrace("export", "again", "--out", tmp_path / "tree", "--format", "folder")
    assert sum(1 for _ in (tmp_path / "tree").glob("*/*.png")) == len(NAMES)


def test_hostile_text_never_steers_the_terminal(labeltrace, tmp_path):
    root = tmp_path / "\x1b[2J\x07names\u202e"
    for number, name in enumerate(NAMES):
        picture(root / name / f"{name}.png", number)
    (root / NAMES[3] / "broken.png").write_bytes(b"")
    (root / "skipped\x1b]0;title\x07.txt").write_text("x")
    answers = [
        labeltrace("import", root, "--plan"),
        labeltrace("import", root, "--name", "plain"),
        labeltrace("list", "datasets"),
        labeltrace("show", "plain"),
        labeltrace("decide", "plain", "--keep", "--", f"{NAMES[3]}/{NAMES[3]}.png"),
        labeltrace("decide", "plain", f"{NAMES[8]}/{NAMES[8]}.png", "--relabel", NAMES[6]),
        labeltrace("decide", "plain", f"{NAMES[8]}/{NAMES[8]}.png", "--keep", "--reviewer", "\x1b[5m"),
        labeltrace("undo", "plain", f"{NAMES[8]}/{NAMES[8]}.png"),
        labeltrace("decide", "plain", "\x1b[31m", "--keep", code=1),
        labeltrace("decide", "plain", f"{NAMES[8]}/{NAMES[8]}.png", "--relabel", "\x1b[31m", code=1),
        labeltrace("show", "\x1b[31m", code=1),
        labeltrace("list", "\x1b[31m", code=2),
        labeltrace("import", tmp_path / "\x1b[31m", code=1),
        labeltrace("relocate", "plain", tmp_path / "\x1b[31m", code=1),
        labeltrace("export", "plain", "--out", tmp_path / "\x1b[31m" / "x.csv", code=1),
        labeltrace("export", "plain", "--out", tmp_path / "\x1b[31m.csv"),
        labeltrace("apply", "plain", "\x1b[31m", code=1),
        labeltrace("delete", "plain", "--yes"),
    ]  # fmt: skip
    for answer in answers:
        for text in (answer.out, answer.err):
            steering = {c for c in text if not c.isprintable() and c not in "\n\t"}
            assert not steering, answer


def test_classes_that_look_alike_or_like_paths_become_safe_folders(labeltrace, tmp_path):
    classes = ("01", "1", "..", "a/b", ".", "CON", "a", "A")
    table = "path,label\n"
    for number, name in enumerate(classes):
        picture(tmp_path / f"images/{number}.png", number)
        table += f"images/{number}.png,{name}\n"
    (tmp_path / "labels.csv").write_text(table)
    labeltrace("import", tmp_path / "labels.csv")
    assert list(labeltrace("show", "labels", "--json").json["classes"]) == sorted(classes)
    tree = tmp_path / "out/tree"
    tree.parent.mkdir()
    manifest = labeltrace("export", "labels", "--out", tree, "--format", "folder", "--json").json
    files = list(tree.rglob("*.png"))
    assert len(files) == len({str(p.parent).casefold() for p in files}) == len(classes)
    assert all(p.parent.parent == tree for p in files)
    assert [p.name for p in tree.parent.iterdir()] == ["tree"]
    assert manifest["counts"]["samples"] == len(classes)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_a_table_comes_back_byte_for_byte_but_for_its_labels(labeltrace, tmp_path, newline):
    rows = ['"id";"datei";"klasse";"notiz"']
    for number in range(4):
        picture(tmp_path / f"b {number}.png", number)
        rows.append(
            f'{number:03d};"./b {number}.png";{"Kätzchen" if number % 2 else "Hund"};"a ""b"""'
        )
    text = codecs.BOM_UTF8 + (newline.join(rows) + newline).encode()
    (tmp_path / "t.csv").write_bytes(text)
    labeltrace("import", tmp_path / "t.csv", "--path-column", "datei", "--label-column", "klasse")
    labeltrace("export", "t", "--out", tmp_path / "same.csv", "--format", "original")
    assert (tmp_path / "same.csv").read_bytes() == text
    labeltrace("decide", "t", "./b 1.png", "--relabel", "Hund")
    labeltrace("decide", "t", "./b 2.png", "--exclude")
    labeltrace("export", "t", "--out", tmp_path / "new.csv", "--format", "original")
    changed = [rows[0], rows[1], rows[2].replace("Kätzchen", "Hund"), rows[4]]
    assert (tmp_path / "new.csv").read_bytes() == (
        codecs.BOM_UTF8 + (newline.join(changed) + newline).encode()
    )


def test_a_table_with_holes_is_imported_with_what_is_wrong_by_name(labeltrace, tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text(
        "path,label\na.png,x\nb.png,\nmissing.png,y\nc.png,x\nc.png,y\n"
    )
    planned = labeltrace("import", tmp_path / "t.csv", "--json").json
    assert (planned["samples"], planned["unlabelled"], planned["unusable"]) == (5, 1, 1)
    assert planned["problems"][0]["sample_key"] == "missing.png"
    assert any("c.png" in warning for warning in planned["warnings"])
    labeltrace("decide", "t", "c.png#2", "--keep")
    labeltrace("decide", "t", "b.png", "--keep", code=1)
    labeltrace("decide", "t", "b.png", "--relabel", "y")
    labeltrace("export", "t", "--out", tmp_path / "c.csv")
    labels = [line.split(",")[:4] for line in (tmp_path / "c.csv").read_text().splitlines()[1:]]
    assert [(row[0], row[3]) for row in labels] == [
        ("a.png", "x"), ("b.png", "y"), ("c.png", "x"), ("c.png#2", "y"),
    ]  # fmt: skip


def test_ten_thousand_classes_are_imported_and_shown_in_short(labeltrace, tmp_path):
    picture(tmp_path / "i.png")
    rows = "".join(f"i.png,class {n:05d}\n" for n in range(10_000))
    (tmp_path / "t.csv").write_text("path,label\n" + rows)
    answer = labeltrace("import", tmp_path / "t.csv")
    assert "10000 samples in 10000 classes" in answer.err
    assert len(answer.err.splitlines()) < 40
    assert len(labeltrace("show", "t").lines) < 120
    assert len(labeltrace("show", "t", "--json").json["classes"]) == 10_000
    said = labeltrace("decide", "t", "i.png", "--relabel", "nothing", code=1).sentence
    assert "and 9988 more" in said


@pytest.mark.parametrize(
    "content", ["empty folder", "folder of empty folders", "empty table", "no npz"]
)
def test_a_source_without_samples_is_refused_in_one_sentence(labeltrace, tmp_path, content):
    source = tmp_path / "source"
    if content.startswith("empty folder"):
        source.mkdir()
    elif content.startswith("folder"):
        (source / "cat").mkdir(parents=True)
    elif content == "empty table":
        source = tmp_path / "source.csv"
        source.write_text("path,label\n")
    else:
        source = tmp_path / "source.npz"
        source.write_bytes(b"PK\x03\x04 no zip")
    said = labeltrace("import", source, code=1).sentence
    assert "source" in said
    assert labeltrace("list", "datasets", "--json").json == []


def test_one_class_alone_is_refused(labeltrace, tmp_path):
    for number in range(4):
        picture(tmp_path / f"one/cat/{number}.png", number)
    said = labeltrace("import", tmp_path / "one", code=1).sentence
    assert "the only class 'cat'; expected one folder per class" in said
    table = "path,label\n" + "".join(f"one/cat/{number}.png,cat\n" for number in range(4))
    (tmp_path / "t.csv").write_text(table)
    assert "at least two classes" in labeltrace("import", tmp_path / "t.csv", code=1).sentence


def test_arrays_that_hold_pickles_are_refused_unread(labeltrace, tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    np.savez(tmp_path / "p.npz", images=np.array([Bad(), Bad()], dtype=object), labels=[0, 1])
    assert "pickled objects" in labeltrace("import", tmp_path / "p.npz", code=1).sentence
    np.savez(tmp_path / "d.npz", logits=np.array([Bad()], dtype=object), labels=[0])
    words = ("score", tmp_path / "d.npz", "--method", "margin", "--out", tmp_path / "o.csv")
    assert "pickled" in labeltrace(*words, code=1).sentence
    assert not (tmp_path / "pwned").exists()


@given(st.text())
def test_printable_text_stays_and_all_other_is_escaped(text):
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text
