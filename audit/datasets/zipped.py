"""Arrays inside an ``.npz``: memory-mapped in place where they are stored, never unpickled."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from audit.errors import InputError

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1

# Real images, even drawings and digits, do not compress 200-fold by the gigabyte.
_BOMB_BYTES = 1 << 30
_BOMB_RATIO = 200


def names(file: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an ``.npz``, having checked that none is pickled.

    Raises
    ------
    InputError
        If the file cannot be read, is no zip, is damaged, or holds pickled objects.
    """
    with _archive(file) as archive:
        found: list[str] = []
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                continue
            if info.flag_bits & _ENCRYPTED:
                raise InputError(
                    f"{file}: array {name!r} is encrypted; save it without a password."
                )
            with archive.open(info) as member:
                _, _, dtype = _header(member)
            if dtype.hasobject:
                raise InputError(
                    f"{file}: array {name!r} holds pickled objects and is refused; "
                    "save it as numbers or as text of a fixed width."
                )
            found.append(name)
        return tuple(found)


def shape_of(file: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array without reading it.

    Raises
    ------
    InputError
        If there is no such array or the file is damaged.
    """
    with _archive(file) as archive, archive.open(_member(archive, file, name)) as member:
        shape, _, dtype = _header(member)
        return shape, dtype


def read(file: Path, name: str) -> NDArray[Any]:
    """Return one array; memory-mapped read-only where it is stored without compression.

    Parameters
    ----------
    file
        The ``.npz``.
    name
        Name of the array, without ``.npy``.

    Raises
    ------
    InputError
        If there is no such array, the file is damaged, the array holds pickled objects or does not
        fit into memory.
    """
    with _archive(file) as archive:
        info = _member(archive, file, name)
        with archive.open(info) as member:
            shape, is_fortran, dtype = _header(member)
            start = member.tell()
        if dtype.hasobject:
            raise InputError(f"{file}: array {name!r} holds pickled objects and is refused.")
        n_bytes = dtype.itemsize
        for length in shape:
            n_bytes *= length
        if n_bytes != info.file_size - start:
            raise InputError(f"{file} is damaged: array {name!r} is not as long as it claims.")
        if info.compress_type == zipfile.ZIP_STORED and n_bytes:
            offset = _data_offset(file, info) + start
            order = "F" if is_fortran else "C"
            return np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape, order=order)
        if n_bytes > _BOMB_BYTES and info.file_size > _BOMB_RATIO * info.compress_size:
            raise InputError(
                f"{file}: array {name!r} would unpack {info.compress_size:,} bytes to "
                f"{info.file_size:,} and is refused as a zip bomb; save it without compression."
            )
        try:
            with archive.open(info) as member:
                return npy.read_array(member, allow_pickle=False)
        except MemoryError as error:
            raise InputError(
                f"{file}: array {name!r} of {n_bytes:,} bytes does not fit into memory; "
                "save it without compression (numpy.savez), then it is read in place."
            ) from error


@contextmanager
def _archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip; whatever a damaged one raises becomes one sentence."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist.") from error
    except InputError:
        raise
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,
        TypeError,
        SyntaxError,
        LookupError,
        RuntimeError,  # also NotImplementedError: an unknown compression
        OverflowError,
    ) as error:
        raise InputError(f"{file} is damaged or not an .npz file: save it again.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error


def _member(archive: zipfile.ZipFile, file: Path, name: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(f"{name}.npy")
    except KeyError as error:
        raise InputError(f"{file} holds no array {name!r}.") from error


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(member)
    # Version 3 differs from 2 only by field names beyond Latin-1, which no array of ours has.
    if version == (1, 0):
        return npy.read_array_header_1_0(member)
    return npy.read_array_header_2_0(member)


def _data_offset(file: Path, info: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin; the local header may differ from the directory's."""
    with file.open("rb") as stream:
        stream.seek(info.header_offset)
        fields = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    n_name, n_extra = fields[9], fields[10]
    return info.header_offset + _LOCAL_HEADER.size + n_name + n_extra
