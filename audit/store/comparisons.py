"""Comparisons and the trainings that they share: sealed under digests, so that nothing is trained twice."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from audit.errors import RefusedError
from audit.records.comparison import Comparison, ComparisonSettings, Labels, Shared, Training
from audit.store import artifacts, filing, references
from audit.store import database as db
from audit.store.faults import translated
from audit.store.workspace import Workspace

_META = "training.json"
_SHARED = "shared.json"
_LABELS = ("in_training", "selected", "corrected", "in_test", "test")
_ARRAYS = ("sample", "predicted")
_ADVICE = "compare again"


def add(workspace: Workspace, comparison: Comparison, labels: Labels) -> Comparison:
    """Store a comparison with the labels it begins with; if the same was stored before, that stays.

    Returns
    -------
    Comparison
        As stored.

    Raises
    ------
    RefusedError
        If another process stores the same right now.
    WorkspaceError
        If the disk is full or cannot be written.
    """

    def write(folder: Path) -> None:
        for name in _LABELS:
            filing.write_array(folder / f"{name}.npy", getattr(labels, name))

    values = {
        "id": comparison.id,
        "dataset_id": comparison.dataset_id,
        "dataset_fingerprint": comparison.dataset_fingerprint,
        "label_version": comparison.label_version,
        "last_decision": comparison.last_decision,
        "settings": comparison.settings.to_json(),
        "n_decided": comparison.n_decided,
        "remarks": list(comparison.remarks),
        "created_at": comparison.created_at,
    }
    _seal(workspace, db.comparisons, comparison.id, write, values)
    return find(workspace, comparison.id)


def find(workspace: Workspace, reference: str) -> Comparison:
    """Return the comparison with an id, or the only one whose id begins with it.

    Raises
    ------
    NotFoundError
        If none or more than one fits.
    """
    with workspace.reading() as connection:
        identity = references.resolve(connection, db.comparisons, reference, noun="comparison")
        query = sa.select(db.comparisons).where(db.comparisons.c.id == identity)
        return _comparison(connection.execute(query).one())


def all(workspace: Workspace, dataset_id: str) -> list[Comparison]:  # noqa: A001
    """Return the comparisons of a dataset, oldest first."""
    table = db.comparisons
    query = (
        sa.select(table)
        .where(table.c.dataset_id == dataset_id)
        .order_by(table.c.created_at, table.c.id)
    )
    with workspace.reading() as connection:
        return [_comparison(row) for row in connection.execute(query)]


def labels(workspace: Workspace, comparison_id: str) -> Labels:
    """Return the labels that a comparison begins with.

    Raises
    ------
    WorkspaceError
        If a file is missing or damaged.
    """
    folder = _folder(workspace, db.comparisons, comparison_id)
    with filing.reading(f"Comparison {comparison_id}", _ADVICE):
        return Labels(**{name: filing.read_array(folder / f"{name}.npy") for name in _LABELS})


def note_shared(workspace: Workspace, comparison_id: str, shared: Shared) -> None:
    """Store which test images are training images, once a worker has looked at them.

    Raises
    ------
    WorkspaceError
        If the disk is full or cannot be written.
    """
    values = {"sample": shared.sample, "twin": shared.twin, "n_exact": shared.n_exact}
    file = _folder(workspace, db.comparisons, comparison_id) / _SHARED
    with translated(file):
        filing.replace_file(file, json.dumps(values).encode())


def shared(workspace: Workspace, comparison_id: str) -> Shared | None:
    """Return which test images are training images, ``None`` before anybody has looked."""
    file = _folder(workspace, db.comparisons, comparison_id) / _SHARED
    if not file.exists():
        return None
    with filing.reading(f"Comparison {comparison_id}", _ADVICE):
        values = filing.read_json(file)
        return Shared(
            sample=tuple(values["sample"]), twin=tuple(values["twin"]), n_exact=values["n_exact"]
        )


def add_training(workspace: Workspace, dataset_id: str, training: Training) -> None:
    """Store what a training found; if the same was stored before, that stays.

    Raises
    ------
    RefusedError
        If another process stores the same right now.
    WorkspaceError
        If the disk is full or cannot be written.
    """

    def write(folder: Path) -> None:
        for name in _ARRAYS:
            filing.write_array(folder / f"{name}.npy", getattr(training, name))
        facts = {
            "n_rows": training.n_rows,
            "epochs": list(training.epochs),
            "seconds": training.seconds,
            "messages": list(training.messages),
        }
        filing.write_json(folder / _META, facts)

    values = {"id": training.id, "dataset_id": dataset_id, "created_at": datetime.now(UTC)}
    _seal(workspace, db.trainings, training.id, write, values)


def find_training(workspace: Workspace, training_id: str) -> Training | None:
    """Return what a training found, ``None`` if it was not made yet.

    Raises
    ------
    WorkspaceError
        If a file is missing or damaged.
    """
    if not _has_row(workspace, db.trainings, training_id):
        return None
    folder = _folder(workspace, db.trainings, training_id)
    with filing.reading(f"Training {training_id[:12]}", _ADVICE):
        facts = filing.read_json(folder / _META)
        arrays: dict[str, Any] = {
            name: filing.read_array(folder / f"{name}.npy") for name in _ARRAYS
        }
        return Training(
            id=training_id,
            n_rows=facts["n_rows"],
            epochs=tuple(facts["epochs"]),
            seconds=facts["seconds"],
            messages=tuple(facts["messages"]),
            **arrays,
        )


def known_trainings(workspace: Workspace, training_ids: Sequence[str]) -> frozenset[str]:
    """Return which of some trainings were made."""
    query = sa.select(db.trainings.c.id).where(db.trainings.c.id.in_(training_ids))
    with workspace.reading() as connection:
        return frozenset(connection.execute(query).scalars())


def ids_of(connection: sa.Connection, dataset_id: str) -> list[tuple[str, str]]:
    """Return table and id of every comparison and training of a dataset."""
    return [
        (table.name, identity)
        for table in (db.comparisons, db.trainings)
        for identity in connection.execute(
            sa.select(table.c.id).where(table.c.dataset_id == dataset_id)
        ).scalars()
    ]


def remove_folders(workspace: Workspace, named: Sequence[tuple[str, str]]) -> None:
    """Remove the folders of what `ids_of` returned, after the rows are gone."""
    for table, identity in named:
        artifacts.remove(workspace.path / table / identity)


def size_on_disk(workspace: Workspace, named: Sequence[tuple[str, str]]) -> int:
    """Return the disk space in bytes of what `ids_of` returned."""
    return sum(artifacts.disk_size(workspace.path / table / identity) for table, identity in named)


def _seal(
    workspace: Workspace,
    table: sa.Table,
    identity: str,
    write: Callable[[Path], None],
    values: dict[str, Any],
) -> None:
    if _has_row(workspace, table, identity):
        return
    parent = workspace.path / table.name
    # A process may have died after its seal and before its row.
    artifacts.remove_dead(parent / identity, lambda: _has_row(workspace, table, identity))
    try:
        with artifacts.making(parent, identity) as making:
            write(making.folder)
            making.seal()
            with workspace.writing() as connection:
                connection.execute(sa.insert(table).values(**values))
    except RefusedError:
        # Somebody else was faster with the same.
        if not _has_row(workspace, table, identity):
            raise


def _has_row(workspace: Workspace, table: sa.Table, identity: str) -> bool:
    with workspace.reading() as connection:
        query = sa.select(table.c.id).where(table.c.id == identity)
        return connection.execute(query).first() is not None


def _folder(workspace: Workspace, table: sa.Table, identity: str) -> Path:
    return workspace.path / table.name / identity


def _comparison(row: sa.Row[Any]) -> Comparison:
    return Comparison(
        id=row.id,
        dataset_id=row.dataset_id,
        dataset_fingerprint=row.dataset_fingerprint,
        label_version=row.label_version,
        last_decision=row.last_decision,
        settings=ComparisonSettings.from_json(row.settings),
        n_decided=row.n_decided,
        remarks=tuple(row.remarks),
        created_at=row.created_at,
    )
