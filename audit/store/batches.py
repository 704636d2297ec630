"""Many events of a log stored together: all or none, and only on the log that they were meant for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from audit.errors import RefusedError
from audit.records.decision import Decision, Undo
from audit.store import decision_table, texts
from audit.store.database import decisions as table
from audit.store.workspace import Workspace


def append(
    workspace: Workspace,
    dataset_id: str,
    *,
    after: int,
    undos: Sequence[Undo] = (),
    decisions: Sequence[Decision] = (),
    then: Callable[[Sequence[Decision]], Sequence[Decision]] | None = None,
) -> tuple[Decision | Undo, ...]:
    """Store undos, then decisions, in one transaction, if nobody has added to the log meanwhile.

    Parameters
    ----------
    workspace, dataset_id
        Whose log.
    after
        Number of the last event that whoever planned this has seen, 0 for none.
    undos
        Each of a decision that no undo has taken back.
    decisions
        About this dataset, without a client: they are not looked for among those stored.
    then
        Makes further decisions of the stored ones, which have numbers by then.

    Returns
    -------
    tuple
        Everything as stored, in the order of the log.

    Raises
    ------
    InputError
        If a key, label, name or note cannot be stored.
    NotFoundError
        If the dataset does not exist.
    RefusedError
        If the log has another last event than `after`: nothing is stored then.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    texts.check(
        "text of an undo", [text for one in undos for text in (one.sample_key, one.reviewer)]
    )
    _check(decisions)
    last = sa.select(sa.func.max(table.c.id)).where(table.c.dataset_id == dataset_id)
    with workspace.writing() as connection:
        decision_table.require_datasets(connection, {dataset_id})
        if (connection.execute(last).scalar() or 0) != after:
            raise RefusedError(
                "Somebody has decided something meanwhile, so nothing was stored: look at it again."
            )
        numbers = decision_table.insert(connection, [decision_table.undo_row(one) for one in undos])
        taken = [replace(one, id=number) for one, number in zip(undos, numbers, strict=True)]
        stored = _insert(connection, decisions)
        if then is not None:
            further = then(stored)
            _check(further)
            stored = [*stored, *_insert(connection, further)]
    return (*taken, *stored)


def _check(decisions: Sequence[Decision]) -> None:
    for one in decisions:
        texts.check("text of a decision", decision_table.texts_of(one))


def _insert(connection: sa.Connection, decisions: Sequence[Decision]) -> list[Decision]:
    rows = [decision_table.decision_row(one) for one in decisions]
    numbers = decision_table.insert(connection, rows)
    return [replace(one, id=number) for one, number in zip(decisions, numbers, strict=True)]
