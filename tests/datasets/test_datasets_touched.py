"""Files that were touched after their pixels were decoded: looked at by state, read only then."""

import hashlib
import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.datasets import pixels, sources, touched


@pytest.fixture
def dataset(put, tmp_path, png, as_dataset):
    for number in range(6):
        put(f"root/{'ab'[number % 2]}/{number}.png", png((number, 5 * number, 250)))
    return as_dataset(sources.plan(tmp_path / "root"))


@pytest.fixture
def decoded(dataset, tmp_path):
    return pixels.decode(dataset, np.arange(6), size=4, folder=tmp_path / "out")


def look(dataset, decoded, tmp_path):
    return touched.find(dataset, decoded.positions, tmp_path / "out")


def test_nothing_is_read_again_while_nothing_was_touched(dataset, decoded, tmp_path):
    found = look(dataset, decoded, tmp_path)
    assert found.n_touched == 0
    assert not found.content_digests.any()


def test_only_touched_files_are_read_again_until_their_state_is_kept(dataset, decoded, tmp_path):
    file = tmp_path / "root" / dataset.sample_keys[2]
    os.utime(file, ns=(0, 0))
    found = look(dataset, decoded, tmp_path)
    assert found.n_touched == 1
    assert np.flatnonzero(found.content_digests.any(axis=1)).tolist() == [2]
    assert found.content_digests[2].tobytes() == hashlib.sha256(file.read_bytes()).digest()
    assert_array_equal(found.content_digests[2], decoded.content_digests[2])
    touched.keep(tmp_path / "out", found.states)
    assert look(dataset, decoded, tmp_path).n_touched == 0


def test_a_file_that_is_gone_has_not_changed(dataset, decoded, tmp_path):
    (tmp_path / "root" / dataset.sample_keys[0]).unlink()
    assert look(dataset, decoded, tmp_path).n_touched == 0


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY"])
def test_without_recorded_states_every_file_is_read_again(dataset, decoded, tmp_path, content):
    (tmp_path / "out" / touched.STATES).unlink()
    if content is not None:
        (tmp_path / "out" / touched.STATES).write_bytes(content)
    assert_array_equal(look(dataset, decoded, tmp_path).content_digests, decoded.content_digests)


def test_the_samples_of_arrays_share_the_state_of_their_file(tmp_path, as_dataset):
    images = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1, 0, 1])
    dataset = as_dataset(sources.plan(tmp_path / "a.npz"))
    decoded = pixels.decode(dataset, np.arange(4), size=4, folder=tmp_path / "out")
    assert look(dataset, decoded, tmp_path).n_touched == 0
    images[3] += 1
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1, 0, 1])
    os.utime(tmp_path / "a.npz", ns=(0, 0))
    found = look(dataset, decoded, tmp_path)
    assert found.n_touched == 4
    differs = (found.content_digests != decoded.content_digests).any(axis=1)
    assert differs.tolist() == [False, False, False, True]
