"""What a process that serves people has in common: one open workspace, and where the app's files lie."""

import functools
import os
from pathlib import Path

from audit.compute import shipped
from audit.errors import NotFoundError
from audit.workbench import places
from audit.workbench.shelf import Shelf

DATA_ROOTS = "LABELTRACE_DATA_ROOTS"
"""Folders that an import may read when it is asked for in the browser, separated as in ``PATH``."""


def shelf() -> Shelf:
    """Return the shelf of the workspace that the environment names; opened once per process."""
    return _shelf(places.workspace_path(), places.database_url())


@functools.cache
def _shelf(path: Path, database_url: str | None) -> Shelf:
    return Shelf.open(path, database_url)


def app_folder() -> Path:
    """Return the folder that holds ``app.py``, ``pages/`` and ``.streamlit/``.

    In an installed package it lies inside the package, in a checkout beside it.

    Raises
    ------
    NotFoundError
        If neither is there.
    """
    folder = shipped.folder()
    if (folder / "app.py").is_file() and (folder / "pages").is_dir():
        return folder
    raise NotFoundError(
        f"The dashboard's pages are missing in {str(folder)!r}: install labeltrace again."
    )


def data_roots() -> tuple[Path, ...]:
    """Return the folders that imports from the browser are limited to; empty means no limit."""
    named = os.environ.get(DATA_ROOTS, "").split(os.pathsep)
    return tuple(Path(name).expanduser().resolve() for name in named if name.strip())
