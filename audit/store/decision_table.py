"""Events of the log as rows of its table, and how rows get in: what all modules of the log share."""

from typing import Any

import sqlalchemy as sa

from audit.errors import NotFoundError
from audit.records.decision import Decision, Undo, Verdict
from audit.store.database import datasets
from audit.store.database import decisions as table

DECISION, UNDO = "decision", "undo"
"""Kinds of event, as the table calls them."""


def missing_datasets(connection: sa.Connection, wanted: set[str]) -> set[str]:
    """Return those of some datasets that are not there; the others are locked until the end.

    Locked where a database has several writers at once, so that the numbers of a dataset's events
    appear in ascending order: who follows a log asks for what is beyond the last number.
    """
    query = (
        sa.select(datasets.c.id)
        .where(datasets.c.id.in_(wanted))
        .order_by(datasets.c.id)
        .with_for_update()
    )
    return wanted - set(connection.execute(query).scalars())


def require_datasets(connection: sa.Connection, wanted: set[str]) -> None:
    """Lock datasets until the end of a transaction.

    Raises
    ------
    NotFoundError
        If one does not exist.
    """
    missing = missing_datasets(connection, wanted)
    if missing:
        raise NotFoundError(f"There is no dataset {min(missing)}: it was deleted meanwhile.")


def insert(connection: sa.Connection, rows: list[dict[str, Any]]) -> list[int]:
    """Append rows and return their numbers, in the same order."""
    if not rows:
        return []
    statement = sa.insert(table).returning(table.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, rows).scalars())


def texts_of(decision: Decision) -> list[str]:
    """Return every text of a decision that must be storable."""
    return [
        decision.sample_key,
        decision.given_label or "",
        decision.label or "",
        decision.reviewer,
        decision.note,
        decision.client or "",
    ]


def decision_row(decision: Decision) -> dict[str, Any]:
    """Return a decision as the table holds it, without its number."""
    return {
        "kind": DECISION,
        "dataset_id": decision.dataset_id,
        "sample_key": decision.sample_key,
        "given_label": decision.given_label,
        "verdict": str(decision.verdict),
        "label": decision.label,
        "reviewer": decision.reviewer,
        "decided_at": decision.decided_at,
        "note": decision.note,
        "evidence": None if decision.evidence is None else dict(decision.evidence),
        "client": decision.client,
        "sequence": decision.sequence,
    }


def undo_row(event: Undo, client: str | None = None, sequence: int | None = None) -> dict[str, Any]:
    """Return an undo as the table holds it, without its number."""
    return {
        "kind": UNDO,
        "dataset_id": event.dataset_id,
        "sample_key": event.sample_key,
        "undoes": event.undoes,
        "reviewer": event.reviewer,
        "decided_at": event.decided_at,
        "client": client,
        "sequence": sequence,
    }


def event(row: sa.Row[Any]) -> Decision | Undo:
    """Return what a row holds."""
    return undo(row) if row.kind == UNDO else decision(row)


def decision(row: sa.Row[Any]) -> Decision:
    """Return the decision that a row holds."""
    return Decision(
        dataset_id=row.dataset_id,
        sample_key=row.sample_key,
        given_label=row.given_label,
        verdict=Verdict(row.verdict),
        label=row.label,
        reviewer=row.reviewer,
        decided_at=row.decided_at,
        note=row.note,
        evidence=row.evidence,
        client=row.client,
        sequence=row.sequence,
        id=row.id,
    )


def undo(row: sa.Row[Any]) -> Undo:
    """Return the undo that a row holds."""
    return Undo(
        dataset_id=row.dataset_id,
        sample_key=row.sample_key,
        undoes=row.undoes,
        reviewer=row.reviewer,
        decided_at=row.decided_at,
        id=row.id,
    )
