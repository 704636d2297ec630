"""Where a workspace lies and who is deciding: read from the environment, in one place."""

import getpass
import os
from pathlib import Path

import platformdirs

from audit.errors import InputError

WORKSPACE = "LABELTRACE_WORKSPACE"
DATABASE_URL = "LABELTRACE_DATABASE_URL"
REVIEWER = "LABELTRACE_REVIEWER"


def workspace_path(given: Path | None = None) -> Path:
    """Return the folder of the workspace: as given, from the environment, or the default.

    Parameters
    ----------
    given
        The ``--workspace`` flag; wins over ``LABELTRACE_WORKSPACE``.

    Returns
    -------
    Path
        Absolute path; it need not exist.
    """
    if given is not None:
        return given.expanduser().absolute()
    named = os.environ.get(WORKSPACE, "").strip()
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_data_dir("labeltrace", appauthor=False))


def demo_path(given: Path | None = None) -> Path:
    """Return the folder of the demo's own workspace, beside the one that `workspace_path` names."""
    path = workspace_path(given)
    return path.with_name(path.name + "-demo")


def database_url() -> str | None:
    """Return the database to use instead of SQLite inside the workspace, or ``None``."""
    return os.environ.get(DATABASE_URL, "").strip() or None


def reviewer(given: str | None = None) -> str:
    """Return the name that decisions are recorded under.

    Parameters
    ----------
    given
        The ``--reviewer`` flag; wins over ``LABELTRACE_REVIEWER``, which wins over the log-in name.

    Raises
    ------
    InputError
        If there is none of the three.
    """
    name = (given or os.environ.get(REVIEWER, "")).strip()
    if name:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise InputError(
            f"Nobody is logged in: name a reviewer with --reviewer or {REVIEWER}."
        ) from error
