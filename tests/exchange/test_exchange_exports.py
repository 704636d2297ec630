import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import audit
from audit.errors import RefusedError
from audit.exchange import exports, folders, manifest
from audit.exchange.exports import ExportOptions, LabelState
from audit.exchange.manifest import Format

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = [
    "format",
    "dataset",
    "dataset_fingerprint",
    "label_version",
    "last_decision",
    "counts",
    "created_at",
    "labeltrace_version",
    "sha256",
]


@pytest.fixture
def animals(table_dataset):
    dataset = table_dataset(
        "t.csv",
        b"path,label\nimg/a.png,cat\nimg/b.png,dog\nimg/c.png,dog\n",
        [("img/a.png", "cat"), ("img/b.png", "dog"), ("img/c.png", "dog")],
        class_names=["cat", "dog"],
    )
    images = Path(dataset.source.root, "img")
    images.mkdir()
    for name in "abc":
        (images / f"{name}.png").write_text(name)
    return dataset


@pytest.fixture
def state(animals, decided):
    decisions = decided(animals, {"img/b.png": "cat", "img/c.png": "exclude"})
    return LabelState(decisions=decisions, version="v2", last_decision=7)


@pytest.fixture
def export(animals, state):
    def run(out, form, **options):
        chosen = ExportOptions(format=Format(form), **options)
        return exports.write(out, animals, state, chosen, created_at=MOMENT)

    return run


@pytest.mark.parametrize("form", ["csv", "parquet", "patch", "original"])
def test_a_manifest_stands_beside_the_file_and_names_its_digest(export, tmp_path, form):
    out = tmp_path / "out.file"
    made = export(out, form)
    beside = tmp_path / "out.file.manifest.json"
    values = json.loads(beside.read_text())
    assert list(values) == KEYS
    assert values == {
        "format": form,
        "dataset": "pets",
        "dataset_fingerprint": "f" * 64,
        "label_version": "v2",
        "last_decision": 7,
        "counts": {
            "samples": 3,
            "kept": 0,
            "relabelled": 1,
            "excluded": 1,
            "undecided": 1,
            "unsure": 0,
            "unreadable": 0,
            "unlabelled": 0,
        },
        "created_at": "2026-01-02T03:04:05Z",
        "labeltrace_version": audit.__version__,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    }
    assert manifest.read(beside) == made
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "out.file",
        "out.file.manifest.json",
        "source",
    ]


def test_a_folder_holds_its_manifest_with_the_class_folders(export, tmp_path):
    export(tmp_path / "out", "folder")
    values = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert list(values) == [*KEYS, "class_folders", "link", "linked"]
    assert values["class_folders"] == {"cat": "cat", "dog": "dog"}
    assert values["linked"] == {"hard": 2}
    assert values["sha256"] == folders.digest(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out" / "cat").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("form", list(Format))
def test_an_export_made_again_is_refused_and_forced_is_the_same(export, tmp_path, form):
    out = tmp_path / "out"
    first = export(out, form)
    with pytest.raises(RefusedError, match="--force"):
        export(out, form)
    assert export(out, form, force=True) == first


def test_an_old_manifest_is_not_overwritten_silently(export, tmp_path):
    (tmp_path / "out.csv.manifest.json").write_text("{}")
    with pytest.raises(RefusedError, match=r"manifest\.json' exists already"):
        export(tmp_path / "out.csv", "csv")
    assert not (tmp_path / "out.csv").exists()


def test_the_table_itself_is_never_overwritten(export, animals):
    before = Path(animals.source.location).read_bytes()
    with pytest.raises(RefusedError, match="inside the source"):
        export(Path(animals.source.location), "original", force=True)
    assert Path(animals.source.location).read_bytes() == before


def test_the_original_form_is_the_table_again(export, tmp_path):
    export(tmp_path / "out.csv", "original")
    assert (tmp_path / "out.csv").read_bytes() == b"path,label\nimg/a.png,cat\nimg/b.png,cat\n"


def test_the_original_form_of_a_folder_is_a_folder(dataset_of, tmp_path):
    from audit.records.dataset import Source, SourceKind

    root = tmp_path / "pets"
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "a.png").write_text("a")
    source = Source(kind=SourceKind.FOLDER, location=str(root), root=str(root))
    dataset = dataset_of(keys=["cat/a.png"], labels=[0], source=source)
    state = LabelState(decisions={}, version="given")
    options = ExportOptions(format=Format.ORIGINAL)
    made = exports.write(tmp_path / "out", dataset, state, options, created_at=MOMENT)
    assert made.format is Format.FOLDER
    assert (tmp_path / "out" / "cat" / "a.png").read_text() == "a"
