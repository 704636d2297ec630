"""The workspace: a folder with a database, opened, brought up to date and swept."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy import exc

from audit.errors import WorkspaceError
from audit.store import database, locks, sweeping
from audit.store.faults import translated

FOLDERS = ("datasets", "runs", "scores", "comparisons", "trainings", "jobs", "cache")
_DATABASE = "labeltrace.db"
_LOCK = ".lock"


class Workspace:
    """An open workspace; the first argument of every verb of the store.

    Use `open`. It may be shared by the threads of a process; a forked child opens its own.

    Parameters
    ----------
    path
        Absolute path of the folder.
    engine
        Reaches the database, whose schema is current.
    database_url
        URL that it was opened with, ``None`` for the SQLite file inside the folder.
    """

    def __init__(self, path: Path, engine: sa.Engine, database_url: str | None = None) -> None:
        self.path = path
        self.engine = engine
        self.database_url = database_url

    @classmethod
    def open(cls, path: Path, *, database_url: str | None = None) -> Self:
        """Open a workspace and make what is missing of it.

        Parameters
        ----------
        path
            The folder; made if it is not there.
        database_url
            Another database than SQLite inside the folder, such as ``postgresql+psycopg://…``.

        Returns
        -------
        Workspace
            Ready to use; leftovers of processes that died while they wrote are gone.

        Raises
        ------
        WorkspaceError
            If the path is not a folder, cannot be written, lies on a full disk, is damaged, or was
            made by a newer version.
        """
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 — resolve() follows links
        with translated(path):
            if path.exists() and not path.is_dir():
                raise WorkspaceError(f"{path} is a file, and a workspace is a folder.")
            for name in FOLDERS:
                (path / name).mkdir(parents=True, exist_ok=True)
            _check_writable(path, check_database=database_url is None)
            try:
                engine = database.connect(database_url, path / _DATABASE)
            except (exc.ArgumentError, exc.NoSuchModuleError, ImportError) as error:
                raise WorkspaceError(f"The database URL cannot be used: {error}.") from error
            workspace = cls(path, engine, database_url)
            try:
                _bring_up_to_date(workspace)
                sweeping.sweep(workspace)
            except BaseException:
                engine.dispose()
                raise
        return workspace

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of the database and writes nothing.

        Raises
        ------
        WorkspaceError
            If the database cannot be read.
        """
        with translated(self.path), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes; committed at the end, rolled back on an exception.

        On SQLite it holds the only write lock from its first moment, so that what it reads cannot
        change before it writes. Keep it short.

        Raises
        ------
        WorkspaceError
            If the database cannot be written.
        """
        with translated(self.path), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)  # noqa: PLW2901
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"


def _check_writable(path: Path, *, check_database: bool) -> None:
    # SQLite opens a file that it may not write without a word and fails at the first insert.
    with (path / _LOCK).open("ab"):
        pass
    file = path / _DATABASE
    # Asked, not tried: closing a second handle of the file would drop SQLite's locks on it.
    by_effective_user = os.access in os.supports_effective_ids
    is_writable = os.access(file, os.W_OK, effective_ids=by_effective_user)
    if check_database and file.exists() and not is_writable:
        raise PermissionError(13, "not writable", str(file))


def _bring_up_to_date(workspace: Workspace) -> None:
    if _revision(workspace) == database.REVISIONS[-1]:
        return
    with locks.held(workspace.path / _LOCK):
        # Another process may have done it while this one waited for the lock.
        current = _revision(workspace)
        if current == database.REVISIONS[-1]:
            return
        if current is not None and current not in database.REVISIONS:
            raise WorkspaceError(
                f"{workspace.path} was made by a newer labeltrace: upgrade or choose another "
                "--workspace."
            )
        if workspace.engine.dialect.name == "sqlite":
            with workspace.engine.connect() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None
                raw.cursor().execute("PRAGMA journal_mode = WAL")
        _migrate(workspace)


def _revision(workspace: Workspace) -> str | None:
    with workspace.reading() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(workspace: Workspace) -> None:
    # Costs a fifth of a second to import and is needed once in a workspace's life.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    with as_file(files("audit.store") / "migrations") as scripts, workspace.writing() as connection:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
