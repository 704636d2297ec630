import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.errors import InputError, SampleError
from audit.exchange import folders
from audit.exchange.corrected import resolve
from audit.exchange.folders import Link
from audit.records.dataset import Source, SourceKind


@pytest.fixture
def pets(tmp_path, dataset_of):
    """Images on disk; ``pets(paths, labels, …)`` makes the dataset."""

    def make(paths, labels, **options):
        root = tmp_path / "pets"
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"bytes of {path}".encode())
        source = Source(kind=SourceKind.FOLDER, location=str(root), root=str(root))
        return dataset_of(keys=paths, labels=labels, source=source, **options)

    return make


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("link", list(Link))
def test_images_stand_in_the_folder_of_their_corrected_class(pets, decided, tmp_path, link):
    dataset = pets(["cat/a.png", "dog/a.png", "dog/b.png", "dog/x.png"], [0, 1, 1, 1])
    labels = resolve(dataset, decided(dataset, {"dog/a.png": "cat", "dog/x.png": "exclude"}))
    made = folders.write(tmp_path / "out", labels, link=link)
    assert tree(tmp_path / "out") == {
        "cat/a.png": b"bytes of cat/a.png",
        "cat/a-2.png": b"bytes of dog/a.png",
        "dog/b.png": b"bytes of dog/b.png",
    }
    assert made.linked == {str(link): 3}
    one = tmp_path / "out" / "dog" / "b.png"
    original = tmp_path / "pets" / "dog" / "b.png"
    assert one.is_symlink() == (link is Link.SYMBOLIC)
    assert one.samefile(original) == (link is not Link.COPY)


def test_splits_stand_on_top_only_where_there_are_several(pets, tmp_path):
    dataset = pets(["a.png", "b.png"], [0, 1], splits=["train", "test"])
    folders.write(tmp_path / "out", resolve(dataset, {}), link=Link.COPY)
    assert sorted(tree(tmp_path / "out")) == ["test/dog/b.png", "train/cat/a.png"]
    only = pets(["a.png", "b.png"], [0, 1], splits=["test", "test"])
    folders.write(tmp_path / "only", resolve(only, {}), link=Link.COPY)
    assert sorted(tree(tmp_path / "only")) == ["cat/a.png", "dog/b.png"]


def test_class_names_cannot_lead_out_of_the_folder(pets, tmp_path):
    names = ["..", "../../up", "a/b", "A_B", "", "manifest.json", "con"]
    paths = [f"{i}.png" for i in range(len(names))]
    dataset = pets(paths, list(range(len(names))), class_names=names)
    (tmp_path / "deep").mkdir()
    out = tmp_path / "deep" / "out"
    made = folders.write(out, resolve(dataset, {}), link=Link.COPY)
    assert made.to_json()["class_folders"] == {
        "..": "_",
        "../../up": "__.._up",
        "a/b": "a_b",
        "A_B": "A_B-2",
        "": "_-2",
        "manifest.json": "manifest.json-2",
        "con": "_con",
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "pets"]
    assert list((tmp_path / "deep").iterdir()) == [out]
    assert len(tree(out)) == len(names)


def test_an_image_that_is_gone_is_counted_and_the_rest_goes_on(pets, tmp_path):
    dataset = pets(["a.png", "b.png", "c.png"], [0, 1, 1])
    (tmp_path / "pets" / "b.png").unlink()
    made = folders.write(tmp_path / "out", resolve(dataset, {}), link=Link.HARD)
    assert sorted(tree(tmp_path / "out")) == ["cat/a.png", "dog/c.png"]
    assert (made.labels.counts.undecided, made.labels.counts.unreadable) == (2, 1)


def test_a_symbolic_link_in_the_source_is_resolved(pets, tmp_path):
    dataset = pets(["a.png", "b.png"], [0, 1])
    (tmp_path / "pets" / "b.png").unlink()
    (tmp_path / "pets" / "b.png").symlink_to("a.png")
    folders.write(tmp_path / "out", resolve(dataset, {}), link=Link.HARD)
    assert not (tmp_path / "out" / "dog" / "b.png").is_symlink()
    assert (tmp_path / "out" / "dog" / "b.png").read_bytes() == b"bytes of a.png"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_hard_links_to_another_disk_become_copies_and_the_manifest_says_so(pets, tmp_path):
    import tempfile

    dataset = pets(["a.png", "b.png"], [0, 1])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("both are one file system")
        made = folders.write(Path(other) / "out", resolve(dataset, {}), link=Link.HARD)
        assert sorted(tree(Path(other) / "out")) == ["cat/a.png", "dog/b.png"]
    assert made.to_json()["link"] == "hard"
    assert made.to_json()["linked"] == {"copy": 2}


def test_a_copy_onto_a_full_disk_is_not_taken_for_a_missing_image():
    assert errno.ENOSPC not in folders._CANNOT_LINK


def test_arrays_are_written_as_png(dataset_of, tmp_path):
    source = Source(kind=SourceKind.ARRAYS, location="/x/a.npz", root="/x/a.npz")
    dataset = dataset_of(keys=["0", "1", "2"], labels=[0, 1, 1], paths=[None] * 3, source=source)
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

    def read(position):
        if position == 2:
            raise SampleError("2 cannot be read.")
        return rgb if position == 0 else b"encoded"

    made = folders.write(tmp_path / "out", resolve(dataset, {}), link=Link.HARD, read=read)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "cat" / "0.png")), rgb)
    assert (tmp_path / "out" / "dog" / "1.png").read_bytes() == b"encoded"
    assert made.linked == {"written": 2}
    assert made.labels.counts.unreadable == 1
    with pytest.raises(InputError, match="by reading them"):
        folders.write(tmp_path / "again", resolve(dataset, {}), link=Link.HARD)


def test_the_listing_names_every_file_and_its_size(pets, tmp_path):
    dataset = pets(["b.png", "é.png"], [0, 1])
    folders.write(tmp_path / "out", resolve(dataset, {}), link=Link.SYMBOLIC)
    assert folders.listing(tmp_path / "out") == (b'"cat/b.png"\t14\n"dog/\\u00e9.png"\t15\n')
