"""Decoding a dataset: order, problems, digests, stopping, full disks, and reading it back."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import audit
from audit.datasets import images, pixels, sources
from audit.datasets.reader import SampleReader
from audit.errors import InputError, SampleError, StoppedError, WorkspaceError


@pytest.fixture
def dataset(put, tmp_path, png, as_dataset):
    """A folder of 40 images of distinct colours; three of them damaged."""
    for number in range(40):
        put(f"root/{'ab'[number % 2]}/{number:02d}.png", png((number, 5 * number, 250 - number)))
    put("root/a/04.png", png(size=(64, 64))[:70])
    put("root/b/05.png", b"")
    return as_dataset(sources.plan(tmp_path / "root"))


@pytest.mark.parametrize("threads", [1, 4])
def test_images_stand_in_the_order_asked_for_and_bad_ones_are_left_out(dataset, tmp_path, threads):
    wanted = np.arange(dataset.n_samples)[::-1]
    (tmp_path / "root/a/06.png").unlink()
    found = pixels.decode(dataset, wanted, size=6, folder=tmp_path / "out", threads=threads)
    bad = {dataset.sample_keys.index(key) for key in ("a/04.png", "b/05.png", "a/06.png")}
    assert found.positions.tolist() == [p for p in wanted.tolist() if p not in bad]
    assert found.positions.dtype == np.int64
    assert set(found.problems) == bad
    for position, problem in found.problems.items():
        assert problem.startswith(dataset.sample_keys[position])
    assert found.images.shape == (37, 6, 6, 3)
    for row, position in enumerate(found.positions):
        number = int(dataset.sample_keys[position][2:4])
        assert found.images[row, 3, 3].tolist() == [number, 5 * number, 250 - number]
    assert found.is_coloured


def test_digests_are_of_the_files_bytes_and_zero_where_nothing_was_read(dataset, tmp_path):
    found = pixels.decode(dataset, [0, 2, 3], size=4, folder=tmp_path / "out")
    assert found.content_digests.shape == (dataset.n_samples, 32)
    for position, key in enumerate(dataset.sample_keys):
        expected = bytes(32)
        if position in found.positions:
            expected = hashlib.sha256((tmp_path / "root" / key).read_bytes()).digest()
        assert found.content_digests[position].tobytes() == expected
    assert sorted(found.problems) == [2]


def test_what_was_written_is_read_back_the_same_and_mapped(dataset, tmp_path):
    made = pixels.decode(dataset, range(10), size=5, folder=tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "sealed")
    read = pixels.load(tmp_path / "sealed")
    assert isinstance(read.images, np.memmap)
    assert_array_equal(read.images, made.images)
    assert_array_equal(read.images, np.load(tmp_path / "sealed" / "images.npy"))
    assert_array_equal(read.positions, made.positions)
    assert_array_equal(read.content_digests, made.content_digests)
    assert read.problems == made.problems
    assert read.is_coloured == made.is_coloured


def test_a_dataset_without_a_readable_image_gives_no_images(dataset, tmp_path):
    bad = [dataset.sample_keys.index(key) for key in ("a/04.png", "b/05.png")]
    found = pixels.decode(dataset, bad, size=4, folder=tmp_path / "out")
    assert found.images.shape == (0, 4, 4, 3)
    assert len(found.problems) == 2
    assert not found.is_coloured
    empty = pixels.decode(dataset, [], size=4, folder=tmp_path / "none")
    assert empty.images.shape == (0, 4, 4, 3)


def test_arrays_are_decoded_like_files_with_digests_of_the_raw_image(tmp_path, as_dataset):
    values = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=values, labels=np.arange(20) % 2)
    dataset = as_dataset(sources.plan(tmp_path / "x.npz"))
    found = pixels.decode(dataset, [3, 1], size=8, folder=tmp_path / "out")
    assert_array_equal(found.images, values[[3, 1], :, :, None].repeat(3, axis=3))
    digest = hashlib.sha256(values[3].tobytes()).digest()
    assert found.content_digests[3].tobytes() == digest
    assert not found.is_coloured
    assert pixels.median_short_side(dataset, range(20)) == 8


def test_colour_counts_from_one_image_in_twenty(tmp_path, as_dataset):
    values = np.full((100, 4, 4, 3), 90, np.uint8)
    for n_coloured, expected in ((5, False), (6, True)):
        values[:n_coloured, ..., 0] = 110
        np.savez(tmp_path / "x.npz", images=values, labels=np.arange(100) % 2)
        dataset = as_dataset(sources.plan(tmp_path / "x.npz"))
        folder = tmp_path / f"out{n_coloured}"
        found = pixels.decode(dataset, range(100), size=4, folder=folder)
        assert found.is_coloured == expected


def test_decoding_can_be_stopped_and_leaves_no_thread_behind(dataset, tmp_path):
    asked = []

    def report(fraction, message):
        asked.append((fraction, message))
        if len(asked) == 2:
            raise StoppedError("Stopped.")

    before = threading.active_count()
    with pytest.raises(StoppedError):
        pixels.decode(dataset, range(40), size=4, folder=tmp_path / "out", threads=2, report=report)
    for thread in threading.enumerate():
        if thread.name.startswith("decode"):
            thread.join(10)
    assert threading.active_count() <= before
    assert asked[0] == (0.0, "decoding 0 of 40")
    with pytest.raises(WorkspaceError, match="incomplete"):
        pixels.load(tmp_path / "out")


def test_progress_never_goes_back_and_ends_at_one(dataset, tmp_path):
    fractions = []
    pixels.decode(
        dataset,
        range(40),
        size=4,
        folder=tmp_path / "out",
        report=lambda fraction, _: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


FULL_DISK = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from audit.datasets import pixels, sources
from audit.errors import WorkspaceError
from audit.records.dataset import Dataset

plan = sources.plan(Path(sys.argv[1]))
names = "source class_names sample_keys paths given_labels splits problems fingerprint"
facts = {name: getattr(plan, name) for name in names.split()}
dataset = Dataset(id="d", name="d", created_at=datetime.now(UTC), **facts)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write beyond the limit is an OSError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    pixels.decode(dataset, range(40), size=64, folder=Path(sys.argv[2]))
except WorkspaceError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_sentence_not_the_end_of_the_process(dataset, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, dataset.source.root, str(tmp_path / "out")],
        cwd=Path(audit.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.startswith("told: Decoded images cannot be written to ")
    assert ended.stderr.count("\n") == 1


def test_decoded_images_of_another_format_or_damaged_are_refused(dataset, tmp_path):
    pixels.decode(dataset, range(4), size=4, folder=tmp_path / "out")
    facts = tmp_path / "out" / "pixels.json"
    content = json.loads(facts.read_text())
    facts.write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(WorkspaceError, match="format 99"):
        pixels.load(tmp_path / "out")
    facts.write_text("{")
    with pytest.raises(WorkspaceError, match="incomplete"):
        pixels.load(tmp_path / "out")
    facts.write_text(json.dumps(content))
    (tmp_path / "out" / "images.npy").write_bytes(b"")
    with pytest.raises(WorkspaceError, match="incomplete"):
        pixels.load(tmp_path / "out")


def test_the_median_short_side_passes_over_unreadable_images(dataset):
    assert pixels.median_short_side(dataset, range(40)) == 6
    bad = [dataset.sample_keys.index("b/05.png")]
    with pytest.raises(InputError, match=r"b/05\.png"):
        pixels.median_short_side(dataset, bad)


def test_the_reader_names_the_file_that_it_cannot_read(dataset, tmp_path):
    with SampleReader(dataset.source, dataset.paths) as reader:
        good = dataset.sample_keys.index("a/00.png")
        assert reader.read_bytes(good) == (tmp_path / "root/a/00.png").read_bytes()
        assert_array_equal(
            reader.read_rgb(good), images.open_rgb(tmp_path / "root" / "a" / "00.png")
        )
        with pytest.raises(SampleError, match=r"^a/04\.png is "):
            reader.read_rgb(dataset.sample_keys.index("a/04.png"))
        (tmp_path / "root/a/00.png").unlink()
        with pytest.raises(SampleError, match=r"^a/00\.png does not exist under "):
            reader.read_bytes(good)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_reader_does_not_wait_for_a_pipe(dataset, tmp_path):
    (tmp_path / "root/a/00.png").unlink()
    os.mkfifo(tmp_path / "root/a/00.png")
    with SampleReader(dataset.source, dataset.paths) as reader, pytest.raises(SampleError):
        reader.read_bytes(dataset.sample_keys.index("a/00.png"))
