"""Locks on files: held while their process lives, free the moment it is gone, however it went."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self


class HeldLock:
    """A lock on a file that this process holds until `release` or its own end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Free the lock; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def take(file: Path, *, wait: bool = True) -> HeldLock | None:
    """Return the lock on a file, which is made if it is not there.

    Parameters
    ----------
    file
        The lock file; its folder must exist.
    wait
        Whether to wait while another process holds it.

    Returns
    -------
    HeldLock or None
        ``None`` if somebody else holds it and `wait` is false.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if _is_same(descriptor, file):
            return HeldLock(descriptor)
        # The file was removed or moved while we waited: what we hold is nobody's lock.
        os.close(descriptor)


def is_held(file: Path) -> bool:
    """Return whether a living process holds the lock on a file; a missing file is not held."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two processes that ask at once do not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the lock on a file inside a ``with`` block; waits for it."""
    lock = take(file)
    assert lock is not None
    with lock:
        yield


def _is_same(descriptor: int, file: Path) -> bool:
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
