"""The log of decisions: appended, never changed; an undo is an event of its own.

Of two decisions about one sample the later stands (by time, then by number); both stay in the log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from audit.errors import AuditError, InputError, NotFoundError, RefusedError, WorkspaceError
from audit.records.decision import Decision, Undo
from audit.store import decision_table, texts
from audit.store.database import decisions as table
from audit.store.workspace import Workspace

_MOST_PER_QUERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """A decision of one person that another person's later decision replaced.

    Parameters
    ----------
    own
        What the person decided last.
    standing
        The other person's decision, which stands.
    """

    own: Decision
    standing: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """The wish to take back one certain decision, as a client sends it.

    Parameters
    ----------
    dataset_id, sample_key
        What the decision is about.
    of
        Number of the decision, or client and running number that it was sent under.
    reviewer, decided_at
        Who wishes it, and when (UTC).
    client, sequence
        As in `Decision`: what is sent twice is done once.
    """

    dataset_id: str
    sample_key: str
    of: int | tuple[str, int]
    reviewer: str
    decided_at: datetime
    client: str
    sequence: int


def record(
    workspace: Workspace, acts: Sequence[Decision | TakeBack]
) -> tuple[Decision | Undo | AuditError, ...]:
    """Store what a client did, in order and in one transaction; what it sends twice is stored once.

    An act that cannot be stored is refused alone; the others are stored.

    Parameters
    ----------
    workspace
        Where to.
    acts
        In the order in which they were done; decisions have a client and a sequence and no ``id``.

    Returns
    -------
    tuple
        Per act what is stored for it, now or since before, or why it is refused.

    Raises
    ------
    WorkspaceError
        If the disk is full, or the database is locked or cannot be written: nothing is stored then.
    """
    if not acts:
        return ()
    refused = [_unstorable(act) for act in acts]
    answers: list[Decision | Undo | AuditError] = []
    try:
        with workspace.writing() as connection:
            missing = decision_table.missing_datasets(connection, {act.dataset_id for act in acts})
            known = _by_sender(connection, acts)
            for act, reason in zip(acts, refused, strict=True):
                answer = reason or _gone(act, missing) or _store(connection, act, known)
                answers.append(answer)
    except exc.IntegrityError as error:
        # Only a database with several writers at once comes here: two tabs sent the same.
        raise WorkspaceError("The same was sent twice at once: it is sent again.") from error
    return tuple(answers)


def append(workspace: Workspace, decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """Store decisions, all or none; what a client sends twice is stored once.

    Parameters
    ----------
    workspace
        Where to.
    decisions
        In the order in which they were made; no ``id`` yet.

    Returns
    -------
    tuple of Decision
        As stored, in the same order; for one that was stored before, what was stored then.

    Raises
    ------
    InputError
        If a key, label, name or note cannot be stored.
    NotFoundError
        If a dataset does not exist.
    RefusedError
        If a client's number was used for an undo before.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    if not decisions:
        return ()
    for decision in decisions:
        texts.check("text of a decision", decision_table.texts_of(decision))
    with workspace.writing() as connection:
        decision_table.require_datasets(connection, {decision.dataset_id for decision in decisions})
        known = _by_sender(connection, decisions)
        fresh: list[Decision] = []
        for decision in decisions:
            sender = _sender(decision)
            if sender is None or sender not in known:
                fresh.append(decision)
            if sender is not None:
                # A number that occurs twice in one message is stored once, too.
                known.setdefault(sender, decision)
        numbers = decision_table.insert(
            connection, [decision_table.decision_row(decision) for decision in fresh]
        )
    stored = {
        id(decision): replace(decision, id=number)
        for decision, number in zip(fresh, numbers, strict=True)
    }
    answers: list[Decision] = []
    for decision in decisions:
        sender = _sender(decision)
        first = decision if sender is None else known[sender]
        if isinstance(first, Undo):
            raise RefusedError(
                f"Client {decision.client} has used its number {decision.sequence} for an undo."
            )
        answers.append(stored.get(id(first), first))
    return tuple(answers)


def undo(
    workspace: Workspace,
    dataset_id: str,
    sample_key: str,
    *,
    reviewer: str,
    at: datetime,
    client: str | None = None,
    sequence: int | None = None,
) -> Undo:
    """Take back the decision that stands for a sample; the one before it stands again.

    Parameters
    ----------
    workspace, dataset_id, sample_key
        The sample.
    reviewer, at
        Who, and when.
    client, sequence
        As in `Decision`: the same undo sent twice takes back one decision.

    Raises
    ------
    NotFoundError
        If no decision stands for the sample.
    RefusedError
        If a client's number was used for a decision before.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    texts.check("text of an undo", [sample_key, reviewer, client or ""])
    with workspace.writing() as connection:
        decision_table.missing_datasets(connection, {dataset_id})  # for its lock
        if client is not None and sequence is not None:
            query = sa.select(table).where(table.c.client == client, table.c.sequence == sequence)
            row = connection.execute(query).one_or_none()
            if row is not None and row.kind != decision_table.UNDO:
                raise RefusedError(
                    f"Client {client} has used its number {sequence} for a decision."
                )
            if row is not None:
                return decision_table.undo(row)
        standing = _standing(connection, dataset_id, sample_key).get(sample_key)
        if standing is None:
            raise NotFoundError(f"There is no decision about {sample_key!r} to undo.")
        assert standing.id is not None
        event = Undo(
            dataset_id=dataset_id,
            sample_key=sample_key,
            undoes=standing.id,
            reviewer=reviewer,
            decided_at=at,
        )
        try:
            (number,) = decision_table.insert(
                connection, [decision_table.undo_row(event, client, sequence)]
            )
        except exc.IntegrityError as error:
            raise RefusedError(
                f"Somebody else undid the decision about {sample_key!r} just now."
            ) from error
    return replace(event, id=number)


def log(
    workspace: Workspace, dataset_id: str, sample_key: str | None = None, *, after: int = 0
) -> list[Decision | Undo]:
    """Return what was recorded about a dataset, or one sample, in the order of the log.

    Parameters
    ----------
    workspace, dataset_id, sample_key
        What about.
    after
        Number of an event: only later ones are returned.
    """
    query = sa.select(table).where(table.c.dataset_id == dataset_id).order_by(table.c.id)
    if after:
        query = query.where(table.c.id > after)
    if sample_key is not None:
        query = query.where(table.c.sample_key == sample_key)
    with workspace.reading() as connection:
        return [decision_table.event(row) for row in connection.execute(query)]


def about(
    workspace: Workspace, dataset_id: str, sample_keys: Sequence[str]
) -> list[Decision | Undo]:
    """Return all that was recorded about some samples, in the order of the log."""
    found: list[sa.Row[Any]] = []
    with workspace.reading() as connection:
        for start in range(0, len(sample_keys), _MOST_PER_QUERY):
            query = sa.select(table).where(
                table.c.dataset_id == dataset_id,
                table.c.sample_key.in_(sample_keys[start : start + _MOST_PER_QUERY]),
            )
            found.extend(connection.execute(query))
    found.sort(key=lambda row: row.id)
    return [decision_table.event(row) for row in found]


def current(
    workspace: Workspace, dataset_id: str, sample_key: str | None = None
) -> dict[str, Decision]:
    """Return the decision that stands for each decided sample, or for one, by its key.

    Returns
    -------
    dict
        Per sample the decision with the greatest time (then number) among those not undone.
    """
    with workspace.reading() as connection:
        return _standing(connection, dataset_id, sample_key)


def last_id(workspace: Workspace, dataset_id: str) -> int | None:
    """Return the number of the last event about a dataset, ``None`` before the first."""
    query = sa.select(sa.func.max(table.c.id)).where(table.c.dataset_id == dataset_id)
    with workspace.reading() as connection:
        return connection.execute(query).scalar()


def superseded_by_others(workspace: Workspace, dataset_id: str, reviewer: str) -> list[Superseded]:
    """Return a person's own last decisions that another person's later decision replaced.

    Parameters
    ----------
    workspace, dataset_id
        The dataset.
    reviewer
        The person to be told.

    Returns
    -------
    list of Superseded
        At most one per sample, in the order in which they were replaced.
    """
    about = table.c.dataset_id == dataset_id
    by_several = (
        sa.select(table.c.sample_key)
        .where(about, table.c.kind == decision_table.DECISION)
        .group_by(table.c.sample_key)
        .having(sa.func.min(table.c.reviewer) != sa.func.max(table.c.reviewer))
    )
    with workspace.reading() as connection:
        counting = _counting(connection, dataset_id, table.c.sample_key.in_(by_several))
    standing = {decision.sample_key: decision for decision in counting}
    own = {d.sample_key: d for d in counting if d.reviewer == reviewer}
    replaced = [
        Superseded(own=decision, standing=standing[key])
        for key, decision in own.items()
        if standing[key].reviewer != reviewer
    ]
    return sorted(replaced, key=lambda pair: pair.standing.id or 0)


def _standing(
    connection: sa.Connection, dataset_id: str, sample_key: str | None = None
) -> dict[str, Decision]:
    # In ascending order: the last one of a key stays.
    is_meant = sa.true() if sample_key is None else table.c.sample_key == sample_key
    return {d.sample_key: d for d in _counting(connection, dataset_id, is_meant)}


def _counting(
    connection: sa.Connection, dataset_id: str, is_meant: sa.ColumnElement[bool]
) -> list[Decision]:
    undone = table.alias("undone")
    is_undone = sa.exists().where(undone.c.undoes == table.c.id)
    query = (
        sa.select(table)
        .where(
            table.c.dataset_id == dataset_id,
            table.c.kind == decision_table.DECISION,
            ~is_undone,
            is_meant,
        )
        .order_by(table.c.decided_at, table.c.id)
    )
    return [decision_table.decision(row) for row in connection.execute(query)]


def _store(
    connection: sa.Connection,
    act: Decision | TakeBack,
    known: dict[tuple[str, int], Decision | Undo],
) -> Decision | Undo | AuditError:
    sender = _sender(act)
    stored = None if sender is None else known.get(sender)
    if isinstance(act, Decision):
        if stored is None:
            (number,) = decision_table.insert(connection, [decision_table.decision_row(act)])
            stored = replace(act, id=number)
        elif not _is_same(act, stored):
            return _used_otherwise(act.client, act.sequence)
    else:
        target = _target(connection, act, known)
        if target is None:
            return NotFoundError("The decision to take back is not known here.")
        if stored is not None and not (isinstance(stored, Undo) and stored.undoes == target):
            return _used_otherwise(act.client, act.sequence)
        if stored is None:
            taken = sa.select(table.c.reviewer).where(table.c.undoes == target)
            by = connection.execute(taken).scalar()
            if by is not None:
                return RefusedError(f"{by} has taken this decision back already.")
            stored = _insert_undo(connection, act, target)
    if sender is not None:
        known[sender] = stored
    return stored


def _is_same(act: Decision, stored: Decision | Undo) -> bool:
    return isinstance(stored, Decision) and (
        (act.dataset_id, act.sample_key, act.verdict, act.label)
        == (stored.dataset_id, stored.sample_key, stored.verdict, stored.label)
    )


def _used_otherwise(client: str | None, sequence: int | None) -> RefusedError:
    return RefusedError(f"Client {client} has used its number {sequence} for something else.")


def _target(
    connection: sa.Connection,
    act: TakeBack,
    known: dict[tuple[str, int], Decision | Undo],
) -> int | None:
    if not isinstance(act.of, int) and act.of in known:
        found = known[act.of]
        is_meant = isinstance(found, Decision) and _about(found) == _about(act)
        return found.id if is_meant else None
    query = sa.select(table.c.id).where(
        table.c.kind == decision_table.DECISION,
        table.c.dataset_id == act.dataset_id,
        table.c.sample_key == act.sample_key,
    )
    if isinstance(act.of, int):
        query = query.where(table.c.id == act.of)
    else:
        client, sequence = act.of
        query = query.where(table.c.client == client, table.c.sequence == sequence)
    return connection.execute(query).scalar()


def _about(act: Decision | TakeBack) -> tuple[str, str]:
    return act.dataset_id, act.sample_key


def _insert_undo(connection: sa.Connection, act: TakeBack, target: int) -> Undo:
    event = Undo(
        dataset_id=act.dataset_id,
        sample_key=act.sample_key,
        undoes=target,
        reviewer=act.reviewer,
        decided_at=act.decided_at,
    )
    (number,) = decision_table.insert(
        connection, [decision_table.undo_row(event, act.client, act.sequence)]
    )
    return replace(event, id=number)


def _unstorable(act: Decision | TakeBack) -> AuditError | None:
    words = (
        decision_table.texts_of(act)
        if isinstance(act, Decision)
        else [
            act.sample_key,
            act.reviewer,
            act.client,
            *([] if isinstance(act.of, int) else act.of[:1]),
        ]
    )
    try:
        texts.check("text of a decision", words)
    except InputError as error:
        return error
    return None


def _gone(act: Decision | TakeBack, missing: set[str]) -> AuditError | None:
    if act.dataset_id not in missing:
        return None
    return NotFoundError(f"There is no dataset {act.dataset_id}: it was deleted meanwhile.")


def _by_sender(
    connection: sa.Connection, decisions: Iterable[Decision | TakeBack]
) -> dict[tuple[str, int], Decision | Undo]:
    wanted: dict[str, list[int]] = {}
    for decision in decisions:
        if decision.client is not None and decision.sequence is not None:
            wanted.setdefault(decision.client, []).append(decision.sequence)
    known: dict[tuple[str, int], Decision | Undo] = {}
    for client, numbers in wanted.items():
        for start in range(0, len(numbers), _MOST_PER_QUERY):
            query = sa.select(table).where(
                table.c.client == client,
                table.c.sequence.in_(numbers[start : start + _MOST_PER_QUERY]),
            )
            for row in connection.execute(query):
                event = decision_table.event(row)
                known[client, row.sequence] = event
    return known


def _sender(decision: Decision | TakeBack) -> tuple[str, int] | None:
    if decision.client is None or decision.sequence is None:
        return None
    return decision.client, decision.sequence
