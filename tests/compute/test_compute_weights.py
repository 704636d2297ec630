import io
import os
import zipfile

import numpy as np
import pytest
import torch

from audit.compute import weights
from audit.errors import InputError, WorkspaceError

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "count": torch.tensor(4),
    "strided": torch.arange(6.0).reshape(2, 3).T,
}


def test_tensors_and_texts_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "state.safetensors"
    weights.write_tensors(path, TENSORS, {"epoch": "3"})
    tensors, metadata = weights.read_tensors(path)
    assert metadata == {"epoch": "3"}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "state.safetensors"
    weights.write_tensors(path, TENSORS)
    weights.write_tensors(path, {"b": torch.zeros(1)})
    assert list(weights.read_tensors(path)[0]) == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(WorkspaceError, match="Could not write"):
        weights.write_tensors(tmp_path / "missing" / "state.safetensors", TENSORS)


@pytest.mark.parametrize("n_bytes", [0, 4, 30, 200])
def test_a_cut_off_file_is_refused(tmp_path, n_bytes):
    path = tmp_path / "state.safetensors"
    weights.write_tensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        weights.read_tensors(path)


def test_npz_is_read_in_its_own_dtype(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, x=np.array([1.5, 2.5], dtype=np.float16))
    tensors = weights.read_arrays(path)
    assert tensors["x"].dtype == torch.float16
    assert tensors["x"].tolist() == [1.5, 2.5]


def test_an_npz_that_holds_pickles_is_refused(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="plain numeric arrays"):
        weights.read_arrays(path)


@pytest.mark.parametrize("text", [b"", b"PK\x03\x04cut off", b"not a zip"])
def test_a_damaged_npz_is_refused(tmp_path, text):
    path = tmp_path / "w.npz"
    path.write_bytes(text)
    with pytest.raises(InputError, match="plain numeric arrays"):
        weights.read_arrays(path)


@pytest.mark.parametrize("shape", [(10**12, 6), (10**30,)])
def test_an_npz_that_claims_a_huge_array_is_refused(tmp_path, shape):
    header = io.BytesIO()
    facts = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(24))
    with pytest.raises(InputError, match=r"'w\.npz'"):
        weights.read_arrays(tmp_path / "w.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no weights file .*gone\.npz"):
        weights.read_arrays(tmp_path / "gone.npz")


def test_torch_files_are_read_from_the_cache_and_from_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    cache = weights.cache_folder()
    cache.mkdir(parents=True)
    outside = tmp_path / "net.pth"
    torch.save(TENSORS, outside)  # noqa: TID251
    with pytest.raises(InputError, match="only from torchvision's cache"):
        weights.read_arrays(outside)
    inside = cache / "net.pth"
    inside.write_bytes(outside.read_bytes())
    assert torch.equal(weights.read_arrays(inside)["a"], TENSORS["a"])
    link = cache / "link.pth"
    link.symlink_to(outside)
    with pytest.raises(InputError, match="only from torchvision's cache"):
        weights.read_arrays(link)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_a_cached_file_with_code_in_it_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    weights.cache_folder().mkdir(parents=True)
    path = weights.cache_folder() / "net.pth"
    torch.save({"a": Trap()}, path)  # noqa: TID251
    with pytest.raises(InputError, match="damaged"):
        weights.read_arrays(path)
    assert not (tmp_path / "sprung").exists()


def test_the_digest_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    assert weights.digest(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
