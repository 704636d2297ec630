"""Files inside artifacts: arrays as ``.npy``, facts as JSON, and what to say when one is damaged."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from audit.errors import AuditError, InputError, WorkspaceError


def sync(path: Path) -> None:
    """Wait until a file's content or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(file: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(file.parent)


def array_bytes(array: NDArray[Any]) -> bytes:
    """Return an array in the ``.npy`` format."""
    return npy_header(array.shape, array.dtype) + bytes(content(array))


def content(array: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order, without a copy where it lies so already."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the head of a ``.npy`` file; its length does not depend on the first axis.

    numpy keeps room for the first axis to grow, so that a file may be cut to fewer epochs in place.
    """
    assert not dtype.hasobject, "nothing is pickled"
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(
        stream,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape},
    )
    return stream.getvalue()


def write_array(file: Path, array: NDArray[Any]) -> None:
    """Write an array as ``.npy``.

    ``numpy.save`` reports a full disk without its error number, so that it could not be told from a
    mistake.
    """
    with file.open("wb") as stream:
        stream.write(npy_header(array.shape, array.dtype))
        stream.write(content(array))


def read_array(file: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read what `write_array` wrote; memory-mapped and read-only if asked."""
    return np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)


def write_json(file: Path, value: object) -> None:
    """Write plain JSON values; NaN stays NaN, because only we read it back."""
    file.write_text(json.dumps(value), encoding="ascii")


def read_json(file: Path) -> Any:  # noqa: ANN401 — whatever was written
    """Read what `write_json` wrote."""
    return json.loads(file.read_text(encoding="ascii"))


@contextmanager
def reading(what: str, advice: str) -> Iterator[None]:
    """Turn a missing or cut file into one sentence.

    Parameters
    ----------
    what
        What is read, such as ``Run 'a' (01ab…)``.
    advice
        What to do if it is damaged.

    Raises
    ------
    WorkspaceError
        If a file is missing, cut short or not what it should be.
    """
    try:
        yield
    except AuditError as error:
        # A record that refuses what the files say; everything else has its sentence already.
        if not isinstance(error, InputError):
            raise
        reason = str(error).rstrip(".")
        raise WorkspaceError(f"{what} is damaged: {reason}; {advice}.") from error
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise WorkspaceError(f"{what} is damaged: {name} is missing; {advice}.") from error
    except (ValueError, EOFError, LookupError, TypeError, OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            # A fault of the disk, not of the file; pyarrow's own complaints carry no number.
            raise WorkspaceError(f"{what} cannot be read: {error.strerror}.") from error
        raise WorkspaceError(
            f"{what} is damaged: a file in it is cut short or was changed; {advice}."
        ) from error
