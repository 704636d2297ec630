"""Faults of disk and database as one sentence each."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import exc

from audit.errors import AuditError, WorkspaceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}

_FULL_SENTENCE = "The disk that holds {place} is full: free some space and try again."
_READ_ONLY_SENTENCE = (
    "{place} cannot be written: allow writing there or choose another --workspace."
)
_DATABASE_FAULTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("disk is full", "no space left"), _FULL_SENTENCE),
    (("readonly", "read-only", "unable to open"), _READ_ONLY_SENTENCE),
    (
        ("disk i/o error",),
        "The database in {place} cannot be written: check that its disk is sound and not full.",
    ),
    (
        ("locked",),
        "The database in {place} is kept busy by another process: try again in a moment.",
    ),
    (
        ("not a database", "malformed"),
        "The database in {place} is damaged: restore it or choose another --workspace.",
    ),
    (
        ("connection refused", "connection failed", "could not connect"),
        "The database of {place} cannot be reached: check LABELTRACE_DATABASE_URL.",
    ),
)
"""What databases say in lower case → our sentence; the first that fits counts."""


@contextmanager
def translated(place: Path) -> Iterator[None]:
    """Turn faults of the disk or the database into a `WorkspaceError` that names the place.

    Wrap only what touches the workspace: a user's unreadable image would be called a broken
    workspace.

    Parameters
    ----------
    place
        The workspace, or the file or folder inside it that is worked on.

    Raises
    ------
    WorkspaceError
        If the disk is full, the place is read-only, not a folder, damaged or kept busy by others.
    """
    try:
        yield
    except AuditError:
        raise
    except OSError as error:
        sentence = _of_disk(error, place)
        if sentence is None:
            raise
        raise WorkspaceError(sentence) from error
    except exc.DBAPIError as error:
        sentence = _of_database(str(error.orig), place)
        if sentence is None:
            raise
        raise WorkspaceError(sentence) from error
    except sqlite3.Error as error:
        sentence = _of_database(str(error), place)
        if sentence is None:
            raise
        raise WorkspaceError(sentence) from error


def _of_disk(error: OSError, place: Path) -> str | None:
    if error.errno in _FULL:
        return _FULL_SENTENCE.format(place=place)
    if error.errno in _READ_ONLY:
        return _READ_ONLY_SENTENCE.format(place=place)
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{place} cannot be a workspace: a file stands where a folder is needed."
    if error.errno == errno.EIO:
        return f"The disk that holds {place} reports a fault: check it and try again."
    return None


def _of_database(message: str, place: Path) -> str | None:
    text = message.lower()
    for fragments, sentence in _DATABASE_FAULTS:
        if any(fragment in text for fragment in fragments):
            return sentence.format(place=place)
    return None
