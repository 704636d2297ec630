"""Files of tensors: safetensors and npz, and torchvision's own download cache.

The one owner of ``torch.load``, which is only ever called with ``weights_only=True`` and only on a
file that torchvision put into its cache. Nothing is unpickled.
"""

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audit.errors import InputError, WorkspaceError

_CACHED_SUFFIXES = (".pth", ".pt")


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file, on the CPU, in the file's dtypes.

    Parameters
    ----------
    path
        ``.safetensors``, ``.npz``, or a ``.pth`` inside torchvision's download cache.

    Raises
    ------
    InputError
        If the file is missing, of another kind, damaged, or holds anything but plain arrays.
    """
    if not path.is_file():
        raise InputError(f"There is no weights file {str(path)!r}.")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return read_tensors(path)[0]
    if suffix == ".npz":
        return _read_npz(path)
    if suffix in _CACHED_SUFFIXES and cache_folder() in path.resolve().parents:
        return _read_cached(path)
    raise InputError(
        f"Weights {path.name!r} must be a .safetensors or .npz file; "
        f"{'/'.join(_CACHED_SUFFIXES)} is read only from torchvision's cache "
        f"{str(cache_folder())!r}."
    )


def cache_folder() -> Path:
    """Return the folder that torchvision downloads weights to; it need not exist."""
    return Path(torch.hub.get_dir()).resolve() / "checkpoints"


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file that is there whole or not at all.

    Written beside the target, synced, renamed, and the folder synced: after a crash the old file or
    the new one is there, never a part.

    Parameters
    ----------
    path
        Target; an existing file is replaced.
    tensors
        Name → tensor of any shape and device.
    metadata
        Texts to keep beside them.

    Raises
    ------
    WorkspaceError
        If the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save  # noqa: PLC0415 - a bare accelerator host may lack it

    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        dict(metadata or {}),
    )
    partial: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            partial = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        raise WorkspaceError(
            f"Could not write {str(path)!r} ({error.strerror}): free some space or look at its "
            "permissions, then try again."
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file, on the CPU, and the texts kept beside them.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 - a bare accelerator host may lack it
    from safetensors.torch import load  # noqa: PLC0415

    try:
        data = path.read_bytes()
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except FileNotFoundError as error:
        raise InputError(f"There is no file {str(path)!r}.") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not a whole safetensors file: {error}.") from error
    return tensors, header.get("__metadata__", {})


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"Weights {str(path)!r} cannot be read: {error.strerror}.") from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                tensors[name] = torch.from_numpy(np.ascontiguousarray(arrays[name]))
    except MemoryError as error:
        raise InputError(
            f"Weights {path.name!r} claim more than fits into memory: download them again."
        ) from error
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        OverflowError,  # an axis longer than any file
        RuntimeError,  # encrypted, or an unknown compression
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = " ".join(str(error).split())  # some of numpy's reasons are several lines
        raise InputError(
            f"Weights {path.name!r} must be an npz of plain numeric arrays: {reason}."
        ) from error
    return tensors


def _read_cached(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - the owner
    except Exception as error:  # what it raises on a damaged file is not documented
        raise InputError(
            f"Weights {path.name!r} in torchvision's cache are damaged; "
            f"delete {str(path)!r} and download them again."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise InputError(f"Weights {path.name!r} hold something else than named tensors.")
    return {str(name): tensor for name, tensor in state.items()}


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder; its rename is durable enough
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
