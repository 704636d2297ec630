"""Datasets: a row, and a sealed folder with keys, paths, labels, splits and known problems.

What is learnt later (samples that could not be decoded, digests of their bytes) lies in a subfolder
of its own and may change; the sealed part never does. Truth is a file apart.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from audit.errors import InputError, NotFoundError, RefusedError
from audit.records.dataset import UNLABELLED, Dataset, ImportPlan, Source, SourceKind, Truth
from audit.records.job import JobState
from audit.store import (
    artifacts,
    comparisons,
    filing,
    ids,
    pixels,
    references,
    runs,
    samples,
    texts,
)
from audit.store import database as db
from audit.store.findings import content_digests, record_content_digests, record_problems
from audit.store.workspace import Workspace

__all__ = [
    "DatasetSummary",
    "add",
    "all",
    "content_digests",
    "delete",
    "find",
    "find_summary",
    "free_name",
    "record_content_digests",
    "record_problems",
    "relocate",
    "size_on_disk",
    "truth",
]

_ADVICE = "delete it and import it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """What the row of a dataset says, without its samples.

    Parameters
    ----------
    id, name, fingerprint, source, created_at, has_truth
        As in `Dataset`.
    n_samples, n_classes
        Counts N and K.
    n_unlabelled, n_problems
        Samples without a given label; samples that are known to be unusable.
    content_digest
        SHA-256 over the digests of all bytes read so far, hexadecimal; ``None`` before the first
        run.
    """

    id: str
    name: str
    fingerprint: str
    source: Source
    n_samples: int
    n_classes: int
    n_unlabelled: int
    n_problems: int
    has_truth: bool
    created_at: datetime
    content_digest: str | None


def add(
    workspace: Workspace, plan: ImportPlan, name: str, *, at: datetime | None = None
) -> Dataset:
    """Store a dataset under a name.

    Parameters
    ----------
    workspace
        Where to.
    plan
        What to store; no image is copied.
    name
        Unique in the workspace.
    at
        When it is imported; now if not given.

    Returns
    -------
    Dataset
        As stored.

    Raises
    ------
    InputError
        If the name, a key, a path or a class name cannot be stored.
    RefusedError
        If the name is taken.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    texts.check_name("dataset", name)
    texts.check("class name", plan.class_names)
    texts.check("sample key", plan.sample_keys)
    texts.check("path", (path for path in plan.paths if path is not None))
    # Asked before the writing, which may take a second, and again with the row.
    with workspace.reading() as connection:
        _refuse_taken(connection, name)
    created_at = at or datetime.now(UTC)
    identity = ids.new(created_at)
    with artifacts.making(workspace.path / "datasets", identity) as making:
        samples.write(making.folder, plan)
        making.seal()
        with workspace.writing() as connection:
            _refuse_taken(connection, name)
            connection.execute(
                sa.insert(db.datasets).values(
                    id=identity,
                    name=name,
                    fingerprint=plan.fingerprint,
                    source=_source_to_json(plan.source),
                    n_samples=len(plan.sample_keys),
                    n_classes=len(plan.class_names),
                    n_unlabelled=int((plan.given_labels == UNLABELLED).sum()),
                    n_problems=len(plan.problems),
                    has_truth=plan.truth is not None,
                    created_at=created_at,
                )
            )
    return Dataset(
        id=identity,
        name=name,
        source=plan.source,
        class_names=plan.class_names,
        sample_keys=plan.sample_keys,
        paths=plan.paths,
        given_labels=plan.given_labels,
        splits=plan.splits,
        problems=dict(plan.problems),
        fingerprint=plan.fingerprint,
        created_at=created_at,
        has_truth=plan.truth is not None,
    )


def find(workspace: Workspace, reference: str) -> Dataset:
    """Return the dataset that a name, an id or the beginning of an id means.

    Raises
    ------
    NotFoundError
        If no dataset or more than one fits; the sentence says what exists.
    WorkspaceError
        If its files are damaged.
    """
    return _load(workspace, find_summary(workspace, reference))


def find_summary(workspace: Workspace, reference: str) -> DatasetSummary:
    """Return what the row of a dataset says; takes the references that `find` takes.

    Raises
    ------
    NotFoundError
        If no dataset or more than one fits; the sentence says what exists.
    """
    with workspace.reading() as connection:
        identity = references.resolve(connection, db.datasets, reference, noun="dataset")
        query = sa.select(db.datasets).where(db.datasets.c.id == identity)
        return _summary(connection.execute(query).one())


def all(workspace: Workspace) -> list[DatasetSummary]:  # noqa: A001
    """Return what is known of every dataset without loading samples, oldest first."""
    query = sa.select(db.datasets).order_by(db.datasets.c.created_at, db.datasets.c.id)
    with workspace.reading() as connection:
        return [_summary(row) for row in connection.execute(query)]


def free_name(workspace: Workspace, wanted: str) -> str:
    """Return the name that is wanted, or the first of ``name-2``, ``name-3``, … that is free."""
    with workspace.reading() as connection:
        return references.free_name(connection, db.datasets, wanted)


def truth(workspace: Workspace, dataset_id: str) -> Truth | None:
    """Return the true labels of a dataset, ``None`` where none are known.

    Raises
    ------
    NotFoundError
        If there is no such dataset.
    WorkspaceError
        If the file is damaged.
    """
    summary = find_summary(workspace, dataset_id)
    if not summary.has_truth:
        return None
    with _reading(summary):
        return samples.read_truth(_folder(workspace, summary.id))


def relocate(workspace: Workspace, dataset_id: str, source: Source) -> Dataset:
    """Store that a dataset's files lie elsewhere now; everything else stays.

    The caller has made sure that the new place holds the same keys and labels.

    Parameters
    ----------
    workspace, dataset_id
        The dataset.
    source
        Where it lies now; its location, root and table of labels are taken.

    Returns
    -------
    Dataset
        With the new source.

    Raises
    ------
    InputError
        If the new source is of another kind.
    NotFoundError
        If there is no such dataset.
    """
    with workspace.writing() as connection:
        table = db.datasets
        row = connection.execute(sa.select(table).where(table.c.id == dataset_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no dataset {dataset_id}.")
        if row.source["kind"] != source.kind:
            raise InputError(
                f"Dataset {references.in_a_line(row.name)} came from a source of the kind "
                f"{row.source['kind']}, and {source.location} is of the kind {source.kind}."
            )
        moved = row.source | {
            "location": source.location,
            "root": source.root,
            "labels": source.labels,
        }
        connection.execute(sa.update(table).where(table.c.id == dataset_id).values(source=moved))
    return find(workspace, dataset_id)


def delete(workspace: Workspace, dataset_id: str) -> None:
    """Delete a dataset with its runs, scores, decisions and cached pixels; never an image.

    Raises
    ------
    NotFoundError
        If there is no such dataset.
    RefusedError
        If one of its runs is being trained or waits for it.
    """
    with workspace.writing() as connection:
        if not _exists(connection, dataset_id):
            raise NotFoundError(f"There is no dataset {dataset_id}.")
        of_dataset = sa.select(db.runs).where(db.runs.c.dataset_id == dataset_id)
        run_rows = connection.execute(of_dataset).all()
        runs.refuse_if_busy(connection, run_rows)
        _refuse_if_watched(connection, dataset_id)
        score_ids = _score_ids(connection, dataset_id)
        # Undos point at decisions, so they go first.
        of_decisions = db.decisions.c.dataset_id == dataset_id
        connection.execute(
            sa.delete(db.decisions).where(of_decisions, db.decisions.c.kind == "undo")
        )
        connection.execute(sa.delete(db.decisions).where(of_decisions))
        comparison_ids = comparisons.ids_of(connection, dataset_id)
        for table in (db.scores, db.runs, db.comparisons, db.trainings):
            connection.execute(sa.delete(table).where(table.c.dataset_id == dataset_id))
        connection.execute(sa.delete(db.datasets).where(db.datasets.c.id == dataset_id))
    # Rows first: what is left of the folders if we die here has no row and is swept.
    artifacts.remove(_folder(workspace, dataset_id))
    for row in run_rows:
        runs.remove_folders(workspace, row.id)
    for score_id in score_ids:
        artifacts.remove(workspace.path / "scores" / score_id)
    comparisons.remove_folders(workspace, comparison_ids)
    pixels.discard(workspace, dataset_id)


def size_on_disk(workspace: Workspace, dataset_id: str) -> int:
    """Return the disk space in bytes that `delete` gives back, database rows aside."""
    with workspace.reading() as connection:
        query = sa.select(db.runs.c.id).where(db.runs.c.dataset_id == dataset_id)
        run_ids = list(connection.execute(query).scalars())
        score_ids = _score_ids(connection, dataset_id)
        comparison_ids = comparisons.ids_of(connection, dataset_id)
    return (
        artifacts.disk_size(_folder(workspace, dataset_id))
        + sum(runs.size_on_disk(workspace, run_id) for run_id in run_ids)
        + sum(artifacts.disk_size(workspace.path / "scores" / score_id) for score_id in score_ids)
        + comparisons.size_on_disk(workspace, comparison_ids)
        + pixels.size_on_disk(workspace, dataset_id)
    )


def _load(workspace: Workspace, summary: DatasetSummary) -> Dataset:
    with _reading(summary):
        return Dataset(
            id=summary.id,
            name=summary.name,
            source=summary.source,
            fingerprint=summary.fingerprint,
            created_at=summary.created_at,
            has_truth=summary.has_truth,
            **samples.read(_folder(workspace, summary.id)),
        )


def _reading(summary: DatasetSummary) -> AbstractContextManager[None]:
    name = references.in_a_line(summary.name)
    return filing.reading(f"Dataset {name} ({summary.id})", _ADVICE)


def _folder(workspace: Workspace, dataset_id: str) -> Path:
    return workspace.path / "datasets" / dataset_id


def _exists(connection: sa.Connection, dataset_id: str) -> bool:
    query = sa.select(db.datasets.c.id).where(db.datasets.c.id == dataset_id)
    return connection.execute(query).first() is not None


def _score_ids(connection: sa.Connection, dataset_id: str) -> list[str]:
    query = sa.select(db.scores.c.id).where(db.scores.c.dataset_id == dataset_id)
    return list(connection.execute(query).scalars())


def _refuse_if_watched(connection: sa.Connection, dataset_id: str) -> None:
    """Check that no job without a run works on a dataset: a comparison, an estimate.

    Raises
    ------
    RefusedError
        If one does; the sentence names it.
    """
    live = sa.select(db.jobs.c.id, db.jobs.c.arguments).where(
        db.jobs.c.state.in_([str(JobState.QUEUED), str(JobState.RUNNING)])
    )
    for job in connection.execute(live):
        if job.arguments.get("dataset") == dataset_id:
            raise RefusedError(f"Job {job.id} works on this dataset: cancel it first.")


def _refuse_taken(connection: sa.Connection, name: str) -> None:
    taken = connection.execute(
        sa.select(db.datasets.c.id).where(db.datasets.c.name == name)
    ).scalar()
    if taken is not None:
        raise RefusedError(
            f"A dataset named {references.in_a_line(name)} exists already ({taken}): choose "
            "another --name."
        )


def _source_to_json(source: Source) -> dict[str, Any]:
    values = asdict(source)
    values["kind"] = str(source.kind)
    values["options"] = dict(source.options)
    return values


def _source_from_json(values: Mapping[str, Any]) -> Source:
    return Source(**{**values, "kind": SourceKind(values["kind"])})


def _summary(row: sa.Row[Any]) -> DatasetSummary:
    values = dict(row._mapping)  # noqa: SLF001 — SQLAlchemy's public name for it
    values["source"] = _source_from_json(values["source"])
    return DatasetSummary(**values)
