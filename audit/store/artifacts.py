"""Sealing: write into a hidden sibling folder, sync, rename; the row that follows is the commit.

While a folder is written, and until its row is there, its writer holds the lock file inside it.
What has neither a row nor a living writer is swept.
"""

import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import RefusedError
from audit.store import filing, locks
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
                filing.sync(file)
            filing.sync(self.folder)
            try:
                self.folder.rename(self.final)
            except OSError as error:
                # Only another writer of the same name, between our look and our rename.
                if self.final.exists():
                    message = f"{self.final.name} is sealed already and never changes."
                    raise RefusedError(message) from error
                raise
            filing.sync(self.final.parent)
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


def disk_size(folder: Path) -> int:
    """Return the disk space in bytes that a folder occupies; zero if it is not there."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
