"""Tables of a workspace, the types of their columns, and the engine that reaches them.

Times are whole microseconds since 1970 in UTC, so that they sort, compare and survive any database.
"""

import json
import math
import sqlite3
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.pool import ConnectionPoolEntry

REVISIONS: tuple[str, ...] = ("0001", "0002")
"""Every schema revision, oldest first; the last one is what this version reads and writes."""

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's transaction before it gives up."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A moment with a time zone; whole microseconds since 1970 in the database."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return microseconds; a time without a zone is a mistake of ours."""
        if value is None:
            return None
        assert value.tzinfo is not None, "times in the store carry a time zone"
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Reachable(Protocol):
    """What works on a workspace before it counts as open needs of it; see `Workspace`."""

    @property
    def path(self) -> Path:
        """Absolute path of the folder."""
        ...

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that writes nothing."""
        ...

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that writes."""
        ...


METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Json = sa.JSON(none_as_null=True)

datasets = sa.Table(
    "datasets",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("source", _Json, nullable=False),
    sa.Column("n_samples", sa.Integer, nullable=False),
    sa.Column("n_classes", sa.Integer, nullable=False),
    sa.Column("n_unlabelled", sa.Integer, nullable=False),
    sa.Column("n_problems", sa.Integer, nullable=False),
    sa.Column("has_truth", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("content_digest", sa.String(64)),
)

runs = sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.id"), nullable=False, index=True),
    sa.Column("dataset_fingerprint", sa.String(64), nullable=False),
    sa.Column("label_version", sa.Text, nullable=False),
    sa.Column("config", _Json, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("sealed_at", UtcTime),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("probe_group", sa.String(64), index=True),
    sa.Column("error", sa.Text),
)

scores = sa.Table(
    "scores",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.id"), nullable=False, index=True),
    sa.Column("method", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("params", _Json, nullable=False),
    sa.Column("run_ids", _Json, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

decisions = sa.Table(
    "decisions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("dataset_id", sa.ForeignKey("datasets.id"), nullable=False),
    sa.Column("sample_key", sa.Text, nullable=False),
    sa.Column("given_label", sa.Text),
    sa.Column("verdict", sa.String(16)),
    sa.Column("label", sa.Text),
    sa.Column("reviewer", sa.Text, nullable=False),
    sa.Column("decided_at", UtcTime, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("evidence", _Json),
    # A decision can be taken back once; the constraint settles two undos that race.
    sa.Column("undoes", sa.ForeignKey("decisions.id"), unique=True),
    sa.Column("client", sa.Text),
    sa.Column("sequence", sa.BigInteger),
    sa.UniqueConstraint("client", "sequence"),
    sa.CheckConstraint("kind IN ('decision', 'undo')", name="kind_known"),
    sa.Index(None, "dataset_id", "sample_key"),
    # Numbers of deleted rows are never given out again: exports name the last decision they saw.
    sqlite_autoincrement=True,
)

comparisons = sa.Table(
    "comparisons",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.id"), nullable=False, index=True),
    sa.Column("dataset_fingerprint", sa.String(64), nullable=False),
    sa.Column("label_version", sa.Text, nullable=False),
    sa.Column("last_decision", sa.Integer),
    sa.Column("settings", _Json, nullable=False),
    sa.Column("n_decided", sa.Integer, nullable=False),
    sa.Column("remarks", _Json, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

trainings = sa.Table(
    "trainings",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.id"), nullable=False, index=True),
    sa.Column("created_at", UtcTime, nullable=False),
)

jobs = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("arguments", _Json, nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("fraction", sa.Float, nullable=False, server_default="0"),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("stop_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("result", _Json),
    sa.Column("error", sa.Text),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("heartbeat_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("pid", sa.Integer),
    # No foreign key: the job is history and outlives the run that it trained.
    sa.Column("run_id", sa.String(64), index=True),
    sa.Index(None, "state", "device"),
)


def to_json_text(value: object) -> str:
    """Return strict JSON; numbers that JSON cannot write (NaN, infinities) become ``null``."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def connect(url: str | None, file: Path) -> sa.Engine:
    """Return an engine; nothing is opened yet.

    Parameters
    ----------
    url
        Database URL, or ``None`` for SQLite in `file`.
    file
        Where the SQLite database lies if no URL is given.

    Returns
    -------
    Engine
        On SQLite every connection keeps foreign keys, waits `BUSY_SECONDS` for other writers and
        syncs each commit to the disk. Transactions begin deferred, or immediate with the execution
        option ``writes=True``.
    """
    place = sa.URL.create("sqlite", database=str(file)) if url is None else sa.make_url(url)
    if place.get_backend_name() != "sqlite":
        return sa.create_engine(place, json_serializer=to_json_text, pool_pre_ping=True)
    engine = sa.create_engine(
        place, json_serializer=to_json_text, connect_args={"timeout": BUSY_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)
        # The driver would begin transactions late and deferred; we say ourselves when they begin.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        # NORMAL may lose the last decisions in a power cut; people do not decide often enough to
        # notice the sync.
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A deferred transaction that turns into a writer fails at once if another one wrote first.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
