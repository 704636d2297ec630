import os
import shutil
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

import audit.store.migrations
from audit.errors import WorkspaceError
from audit.store import database, datasets
from audit.store.workspace import FOLDERS, Workspace


def test_a_new_folder_becomes_a_workspace(tmp_path):
    with Workspace.open(tmp_path / "new" / "one") as workspace:
        assert datasets.all(workspace) == []
    for name in (*FOLDERS, "labeltrace.db"):
        assert (tmp_path / "new" / "one" / name).exists()


def test_every_connection_keeps_foreign_keys_waits_and_syncs(workspace):
    with workspace.reading() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert values == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "synchronous": 2,
    }


def test_migrated_schema_equals_the_tables_in_code(workspace):
    with workspace.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, database.METADATA) == []


def test_known_revisions_are_the_scripts_in_order():
    scripts = ScriptDirectory(str(Path(audit.store.migrations.__file__).parent))
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == database.REVISIONS


def test_schema_can_be_written_for_postgresql():
    for table in database.METADATA.sorted_tables:
        text = str(sa.schema.CreateTable(table).compile(dialect=postgresql.dialect()))
        assert f"CREATE TABLE {table.name}" in text


def test_times_keep_their_microseconds_and_become_utc(workspace):
    moment = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    kind = database.UtcTime()
    stored = kind.process_bind_param(moment, workspace.engine.dialect)
    back = kind.process_result_value(stored, workspace.engine.dialect)
    assert back == moment
    assert back is not None
    assert back.utcoffset() == timedelta(0)


def test_json_columns_write_null_for_numbers_that_json_lacks():
    assert database.to_json_text({"a": [1.5, float("nan")], "b": float("inf")}) == (
        '{"a": [1.5, null], "b": null}'
    )


def test_a_file_is_not_a_workspace(tmp_path):
    (tmp_path / "file").write_text("hello")
    with pytest.raises(WorkspaceError, match="is a file, and a workspace is a folder"):
        Workspace.open(tmp_path / "file")
    with pytest.raises(WorkspaceError, match="a file stands where a folder is needed"):
        Workspace.open(tmp_path / "file" / "below")


def test_a_newer_workspace_is_refused_and_left_alone(tmp_path):
    Workspace.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "labeltrace.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(WorkspaceError, match=r"made by a newer labeltrace: upgrade or choose"):
        Workspace.open(tmp_path)
    with sqlite3.connect(tmp_path / "labeltrace.db") as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("9999",)]


def test_a_foreign_file_in_place_of_the_database_is_named(tmp_path):
    (tmp_path / "labeltrace.db").write_bytes(b"this is not a database, it is a text" * 100)
    with pytest.raises(WorkspaceError, match="is damaged: restore it"):
        Workspace.open(tmp_path)


def test_an_unusable_database_url_is_one_sentence(tmp_path):
    with pytest.raises(WorkspaceError, match="database URL cannot be used"):
        Workspace.open(tmp_path, database_url="nonsense")


def test_a_sqlite_url_puts_the_database_elsewhere(tmp_path):
    url = f"sqlite:///{tmp_path / 'else.db'}"
    with Workspace.open(tmp_path / "workspace", database_url=url) as workspace:
        assert datasets.all(workspace) == []
    assert (tmp_path / "else.db").exists()
    assert not (tmp_path / "workspace" / "labeltrace.db").exists()


def test_odd_characters_in_the_path_are_only_characters(tmp_path):
    for name in ("a b", "100%", "q?x=1#y", "naïve-日本"):
        with Workspace.open(tmp_path / name) as workspace:
            assert datasets.all(workspace) == []
        assert (tmp_path / name / "labeltrace.db").is_file()


def test_processes_that_open_at_once_make_one_workspace(tmp_path, child):
    processes = [child("open", tmp_path / "shared") for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert out.endswith("datasets 0\n"), err
    again = child("open", tmp_path / "shared")
    out, err = again.communicate("go\n", timeout=60)
    assert "alembic False" in out, err


@pytest.fixture
def public_folder():
    """Return a folder that an unprivileged process can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder)


def write_protect(folder: Path) -> None:
    for path in sorted((folder, *folder.rglob("*")), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_read_only_workspace_is_said_to_be_so(public_folder, child):
    Workspace.open(public_folder / "workspace").close()
    write_protect(public_folder)
    out, err = child("unprivileged", public_folder / "workspace").communicate(timeout=60)
    assert out.startswith("WorkspaceError: "), err
    assert f"{public_folder / 'workspace'} cannot be written" in out


def test_a_workspace_cannot_be_made_in_a_read_only_folder(public_folder, child):
    write_protect(public_folder)
    out, err = child("unprivileged", public_folder / "new").communicate(timeout=60)
    assert "WorkspaceError" in out, err
    assert "cannot be written" in out
    assert not (public_folder / "new").exists()


def test_a_write_protected_database_is_told_at_the_door(public_folder, child):
    Workspace.open(public_folder / "workspace").close()
    for path in (public_folder / "workspace").rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    (public_folder / "workspace").chmod(0o777)
    (public_folder / "workspace" / "labeltrace.db").chmod(0o444)
    if os.geteuid() != 0:
        pytest.skip("the owner could still write it")
    out, err = child("unprivileged", public_folder / "workspace").communicate(timeout=60)
    assert "cannot be written" in out, err


def test_a_workspace_of_an_older_version_gets_what_is_new_and_keeps_what_it_has(tmp_path):
    job = {"id": "1", "kind": "train", "arguments": {}, "device": "cpu", "state": "done"}
    with Workspace.open(tmp_path / "old") as workspace, workspace.writing() as connection:
        for table in ("trainings", "comparisons"):
            connection.execute(sa.text(f"DROP TABLE {table}"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
        connection.execute(sa.insert(database.jobs).values(**job, created_at=datetime.now(UTC)))
    with Workspace.open(tmp_path / "old") as workspace, workspace.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, database.METADATA) == []
        assert connection.execute(sa.select(database.jobs.c.id)).scalars().all() == ["1"]
