"""Sealing: write into a hidden sibling folder, sync, rename; the row that follows is the commit.

While a folder is written, and until its row is there, its writer holds the lock file inside it.
What has neither a row nor a living writer is swept.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from audit.errors import AuditError, RefusedError, WorkspaceError
from audit.store import locks
from audit.store.faults import translated

LOCK = ".lock"
"""Name of the lock file inside a folder that is being written."""

_HIDDEN = re.compile(r"\.(?P<id>[0-9a-z][0-9a-z-]*)\.(?:partial|[0-9a-f]{8}\.(?:partial|deleted))")


class Making:
    """A folder that is being written; the lock on it is held until `release`.

    Parameters
    ----------
    folder
        The hidden folder to write into; after `seal` the final one.
    final
        Where it will lie.
    lock
        The lock on the lock file inside.
    """

    def __init__(self, folder: Path, final: Path, lock: locks.HeldLock) -> None:
        self.folder = folder
        self.final = final
        self._lock = lock

    @property
    def is_sealed(self) -> bool:
        """Whether the folder lies in its final place."""
        return self.folder == self.final

    def seal(self) -> Path:
        """Sync every file and move the folder to its final place; the row comes after.

        Returns
        -------
        Path
            The final folder.

        Raises
        ------
        RefusedError
            If something is sealed there already.
        WorkspaceError
            If the disk is full or cannot be written.
        """
        with translated(self.final):
            if self.final.exists():
                raise RefusedError(f"{self.final.name} is sealed already and never changes.")
            for file in self.folder.rglob("*"):
                sync(file)
            sync(self.folder)
            try:
                self.folder.rename(self.final)
            except OSError as error:
                # Only another writer of the same name, between our look and our rename.
                if self.final.exists():
                    message = f"{self.final.name} is sealed already and never changes."
                    raise RefusedError(message) from error
                raise
            sync(self.final.parent)
        self.folder = self.final
        return self.final

    def discard(self) -> None:
        """Remove what was written so far, unless it is sealed."""
        if not self.is_sealed:
            shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Give the lock back; call it once the row is there."""
        (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.release()

    def abandon(self) -> None:
        """Give the lock back and leave everything as it is, to be continued or swept."""
        self._lock.release()


def partial_folder(parent: Path, identity: str) -> Path:
    """Return where the folder of an identity lies while it is written."""
    return parent / f".{identity}.partial"


def begin(parent: Path, identity: str, *, private: bool = False) -> Making:
    """Return the hidden folder of an identity, made or reopened, with its lock held.

    Parameters
    ----------
    parent
        Folder of the noun, such as ``runs``.
    identity
        Name of the folder once it is sealed.
    private
        Whether to write into a hidden folder of this writer's own, so that two processes may make
        the same thing at once.

    Raises
    ------
    RefusedError
        If it is sealed already, or another process writes it right now.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    final = parent / identity
    folder = partial_folder(parent, identity)
    if private:
        folder = parent / f".{identity}.{secrets.token_hex(4)}.partial"
    with translated(folder):
        while True:
            if final.exists() and not private:
                raise RefusedError(f"{identity} is sealed already and never changes.")
            folder.mkdir(exist_ok=True)
            try:
                lock = locks.take(folder / LOCK, wait=False)
            except FileNotFoundError:
                # Swept between the two lines above, before the lock was ours: make it again.
                continue
            if lock is None:
                raise RefusedError(f"{identity} is being written by another process.")
            return Making(folder, final, lock)


@contextmanager
def making(parent: Path, identity: str, *, private: bool = False) -> Iterator[Making]:
    """Write a folder in one go: inside the block write, call `Making.seal`, insert the row.

    What an earlier writer left is removed first. If the block fails before the seal, nothing stays;
    if it fails after it, the folder is left to the sweep, because only the database knows whether
    the row was written.

    Parameters
    ----------
    parent, identity, private
        As in `begin`.

    Raises
    ------
    RefusedError
        If it is sealed already, or another process writes it right now.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    work = begin(parent, identity, private=private)
    try:
        with translated(work.final):
            for leftover in work.folder.iterdir():
                if leftover.name != LOCK:
                    _remove_now(leftover)
            yield work
    except BaseException:
        work.discard()
        work.abandon()
        raise
    if work.is_sealed:
        work.release()
    else:
        work.discard()
        work.abandon()


def hidden_identity(name: str) -> str | None:
    """Return whose leftover a hidden folder is, or ``None`` if the name is none of ours.

    Examples
    --------
    >>> hidden_identity(".01ab.partial")
    '01ab'
    >>> hidden_identity(".git") is None
    True
    """
    match = _HIDDEN.fullmatch(name)
    return match["id"] if match else None


def remove(folder: Path) -> None:
    """Remove a folder whose row is gone; it vanishes at once, whatever stays of it is swept."""
    doomed = folder
    if not folder.name.startswith("."):
        doomed = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.deleted")
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
    shutil.rmtree(doomed, ignore_errors=True)


def remove_dead(folder: Path, is_wanted: Callable[[], bool]) -> None:
    """Remove a folder that nobody writes and nobody wants; leave it alone otherwise.

    Parameters
    ----------
    folder
        Hidden or final.
    is_wanted
        Asked while the lock is ours, when a writer that was faster has inserted its row.
    """
    try:
        lock = locks.take(folder / LOCK, wait=False)
    except (FileNotFoundError, NotADirectoryError):
        return
    if lock is None:
        return
    with lock:
        if not is_wanted():
            remove(folder)


def _remove_now(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def sync(path: Path) -> None:
    """Wait until a file's content or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_size(folder: Path) -> int:
    """Return the disk space in bytes that a folder occupies; zero if it is not there."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


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
    except WorkspaceError:
        raise
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise WorkspaceError(f"{what} is damaged: {name} is missing; {advice}.") from error
    except AuditError as error:
        reason = str(error).rstrip(".")
        raise WorkspaceError(f"{what} is damaged: {reason}; {advice}.") from error
    except (ValueError, EOFError, LookupError, TypeError, OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            # A fault of the disk, not of the file; pyarrow's own complaints carry no number.
            raise WorkspaceError(f"{what} cannot be read: {error.strerror}.") from error
        raise WorkspaceError(
            f"{what} is damaged: a file in it is cut short or was changed; {advice}."
        ) from error
