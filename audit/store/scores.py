"""Scores: sealed once under the digest of what they were made from; asking again gives the same."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from audit.errors import RefusedError
from audit.records.scores import DetectorSpec, Scores
from audit.store import artifacts, filing, references
from audit.store import database as db
from audit.store.workspace import Workspace

_META = "scores.json"
_ARRAYS = ("suspicion", "quantity", "suggested_label", "flagged", "precision")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresSummary:
    """What the row of stored scores says.

    Parameters
    ----------
    id
        Digest of runs and detector.
    dataset_id, run_ids, spec
        What they were made from, and by what.
    created_at
        UTC.
    """

    id: str
    dataset_id: str
    run_ids: tuple[str, ...]
    spec: DetectorSpec
    created_at: datetime


def digest(
    run_ids: Sequence[str], spec: DetectorSpec, epochs: Mapping[str, int] | None = None
) -> str:
    """Return the identity of what a detector says about runs.

    Parameters
    ----------
    run_ids
        In any order.
    spec
        Name, version and settings of the detector.
    epochs
        As in `Scores`: what a run says before its end is another answer than what it says after.

    Returns
    -------
    str
        SHA-256 of canonical JSON, hexadecimal.

    Examples
    --------
    >>> spec = DetectorSpec(name="aum", version=1, params={"a": 1, "b": 2})
    >>> turned = DetectorSpec(name="aum", version=1, params={"b": 2, "a": 1})
    >>> digest(["x", "y"], spec) == digest(["y", "x"], turned)
    True
    """
    parts: dict[str, Any] = {
        "runs": sorted(run_ids),
        "detector": spec.name,
        "version": spec.version,
        "params": dict(spec.params),
    }
    if epochs:
        parts["epochs"] = dict(epochs)
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def save(
    workspace: Workspace, dataset_id: str, scores: Scores, *, at: datetime | None = None
) -> str:
    """Store scores; if the same were stored before, those stay.

    Parameters
    ----------
    workspace, dataset_id
        Where they belong.
    scores
        One value per sample of the dataset.
    at
        When they were made; now if not given.

    Returns
    -------
    str
        Their id, `digest` of runs, detector and epochs.

    Raises
    ------
    RefusedError
        If another process stores the same right now.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    identity = digest(scores.run_ids, scores.spec, scores.epochs)
    if _has_row(workspace, identity):
        return identity
    parent = workspace.path / "scores"
    # A process may have died after its seal and before its row.
    artifacts.remove_dead(parent / identity, lambda: _has_row(workspace, identity))
    try:
        with artifacts.making(parent, identity) as making:
            _write(making.folder, scores)
            making.seal()
            with workspace.writing() as connection:
                connection.execute(
                    sa.insert(db.scores).values(
                        id=identity,
                        dataset_id=dataset_id,
                        method=scores.spec.name,
                        version=scores.spec.version,
                        params=dict(scores.spec.params),
                        run_ids=list(scores.run_ids),
                        created_at=at or datetime.now(UTC),
                    )
                )
    except RefusedError:
        # Somebody else was faster with the same answer.
        if not _has_row(workspace, identity):
            raise
    return identity


def load(workspace: Workspace, scores_id: str) -> Scores:
    """Return stored scores.

    Parameters
    ----------
    workspace
        Where they are.
    scores_id
        Their id or the beginning of it.

    Raises
    ------
    NotFoundError
        If there are none of this id.
    WorkspaceError
        If a file is missing or damaged.
    """
    with workspace.reading() as connection:
        identity = references.resolve(connection, db.scores, scores_id, noun="score")
    folder = workspace.path / "scores" / identity
    with filing.reading(f"The score {identity[:12]}", "score again after deleting its run"):
        meta = filing.read_json(folder / _META)
        arrays: dict[str, Any] = {
            name: filing.read_array(folder / f"{name}.npy") for name in meta["arrays"]
        }
        return Scores(
            run_ids=tuple(meta["run_ids"]),
            spec=DetectorSpec(**meta["spec"]),
            quantity_name=meta["quantity_name"],
            threshold=meta["threshold"],
            details=meta["details"],
            messages=tuple(meta["messages"]),
            epochs=meta.get("epochs", {}),  # older scores are all of finished runs
            **arrays,
        )


def all(workspace: Workspace, dataset_id: str) -> list[ScoresSummary]:  # noqa: A001
    """Return what is stored for a dataset, oldest first."""
    query = (
        sa.select(db.scores)
        .where(db.scores.c.dataset_id == dataset_id)
        .order_by(db.scores.c.created_at, db.scores.c.id)
    )
    with workspace.reading() as connection:
        return [_summary(row) for row in connection.execute(query)]


def latest(workspace: Workspace, dataset_id: str) -> dict[str, ScoresSummary]:
    """Return the newest stored scores of each method, by the method's name."""
    return {summary.spec.name: summary for summary in all(workspace, dataset_id)}


def _write(folder: Path, scores: Scores) -> None:
    arrays = {name: getattr(scores, name) for name in _ARRAYS}
    present = {name: values for name, values in arrays.items() if values is not None}
    for name, values in present.items():
        filing.write_array(folder / f"{name}.npy", values)
    filing.write_json(
        folder / _META,
        {
            "run_ids": list(scores.run_ids),
            "spec": {
                "name": scores.spec.name,
                "version": scores.spec.version,
                "params": dict(scores.spec.params),
            },
            "quantity_name": scores.quantity_name,
            "threshold": scores.threshold,
            "details": dict(scores.details),
            "messages": list(scores.messages),
            "epochs": dict(scores.epochs),
            "arrays": list(present),
        },
    )


def _has_row(workspace: Workspace, identity: str) -> bool:
    with workspace.reading() as connection:
        query = sa.select(db.scores.c.id).where(db.scores.c.id == identity)
        return connection.execute(query).first() is not None


def _summary(row: sa.Row[Any]) -> ScoresSummary:
    return ScoresSummary(
        id=row.id,
        dataset_id=row.dataset_id,
        run_ids=tuple(row.run_ids),
        spec=DetectorSpec(name=row.method, version=row.version, params=row.params),
        created_at=row.created_at,
    )
