"""The log of decisions read by page, newest first, with what became of each decision.

A page costs the same whatever the length of the log behind it: numbers are chosen first, whole rows
are read for those only, and what became of them is told by the other events of the same samples.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from audit.errors import InputError
from audit.records.decision import Decision, Undo, Verdict
from audit.store import decisions as decision_rows
from audit.store import texts
from audit.store.database import decisions as table
from audit.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which decisions to show; ``None`` and empty do not restrict.

    Parameters
    ----------
    reviewer
        Who decided.
    verdict
        What was decided.
    key
        Part of the sample key, in any case.
    only_standing
        Whether decisions that were taken back or replaced are left out.
    """

    reviewer: str | None = None
    verdict: Verdict | None = None
    key: str = ""
    only_standing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A decision and what became of it; it stands if neither of the two happened.

    Parameters
    ----------
    decision
        As stored.
    undone_by
        What took it back.
    replaced_by
        The decision about the same sample that came after it and was not taken back.
    """

    decision: Decision
    undone_by: Undo | None = None
    replaced_by: Decision | None = None

    @property
    def stands(self) -> bool:
        """Whether it is the decision that counts."""
        return self.undone_by is None and self.replaced_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is needed of a decision to count it: who, what, and what was known."""

    reviewer: str
    verdict: Verdict
    label: str | None
    evidence: Any


def count(workspace: Workspace, dataset_id: str, sought: Sought = Sought()) -> int:
    """Return how many decisions are meant."""
    query = sa.select(sa.func.count()).select_from(table).where(*_conditions(dataset_id, sought))
    with workspace.reading() as connection:
        return int(connection.execute(query).scalar_one())


def page(
    workspace: Workspace,
    dataset_id: str,
    sought: Sought = Sought(),
    *,
    start: int = 0,
    most: int = 100,
) -> tuple[Told, ...]:
    """Return decisions, the newest first (by time, then by number).

    Parameters
    ----------
    workspace, dataset_id, sought
        Which decisions.
    start, most
        Which part of them.

    Raises
    ------
    InputError
        If `sought.key` holds what no key can hold.
    """
    chosen = (
        sa.select(table.c.id)
        .where(*_conditions(dataset_id, sought))
        .order_by(table.c.decided_at.desc(), table.c.id.desc())
        .offset(start)
        .limit(most)
    )
    with workspace.reading() as connection:
        numbers = list(connection.execute(chosen).scalars())
        keys_of = sa.select(table.c.sample_key).where(table.c.id.in_(numbers)).distinct()
        keys = list(connection.execute(keys_of).scalars())
    told = {one.decision.id: one for one in tell(decision_rows.about(workspace, dataset_id, keys))}
    # A dataset that was deleted between the two looks has nothing to tell.
    return tuple(told[number] for number in numbers if number in told)


def find(workspace: Workspace, dataset_id: str, number: int) -> Decision | None:
    """Return a decision about a dataset by its number in the log, ``None`` if there is none."""
    query = sa.select(table.c.sample_key).where(
        table.c.id == number, table.c.dataset_id == dataset_id, table.c.kind == "decision"
    )
    with workspace.reading() as connection:
        key = connection.execute(query).scalar()
    events = [] if key is None else decision_rows.about(workspace, dataset_id, [key])
    return next((e for e in events if isinstance(e, Decision) and e.id == number), None)


def tell(events: list[Decision | Undo]) -> list[Told]:
    """Return what became of each decision.

    Parameters
    ----------
    events
        All that was recorded about some samples, in the order of the log.

    Returns
    -------
    list of Told
        In the order in which decisions stand: by sample, time, number.
    """
    undone = {event.undoes: event for event in events if isinstance(event, Undo)}
    ordered = sorted(
        (event for event in events if isinstance(event, Decision)),
        key=lambda one: (one.sample_key, one.decided_at, one.id or 0),
    )
    told: list[Told] = []
    following: Decision | None = None
    for decision in reversed(ordered):
        if following is not None and following.sample_key != decision.sample_key:
            following = None
        undo = undone.get(decision.id or 0)
        if undo is not None:
            told.append(Told(decision=decision, undone_by=undo))
            continue
        told.append(Told(decision=decision, replaced_by=following))
        following = decision
    told.reverse()
    return told


def acts(workspace: Workspace, dataset_id: str, *, after: int, until: int) -> list[Act]:
    """Return what is needed to count decisions, in the order of the log.

    Parameters
    ----------
    workspace, dataset_id
        Whose.
    after, until
        Numbers of events: decisions beyond the first, up to and with the second.
    """
    query = (
        sa.select(table.c.reviewer, table.c.verdict, table.c.label, table.c.evidence)
        .where(table.c.dataset_id == dataset_id, table.c.kind == "decision")
        .where(table.c.id > after, table.c.id <= until)
        .order_by(table.c.id)
    )
    with workspace.reading() as connection:
        return [
            Act(reviewer=reviewer, verdict=Verdict(verdict), label=label, evidence=evidence)
            for reviewer, verdict, label, evidence in connection.execute(query)
        ]


def _conditions(dataset_id: str, sought: Sought) -> list[sa.ColumnElement[bool]]:
    conditions = [table.c.dataset_id == dataset_id, table.c.kind == "decision"]
    if sought.reviewer is not None:
        conditions.append(table.c.reviewer == _storable("name", sought.reviewer))
    if sought.verdict is not None:
        conditions.append(table.c.verdict == str(sought.verdict))
    if sought.key:
        part = _storable("part of a key", sought.key)
        conditions.append(table.c.sample_key.icontains(part, autoescape=True))
    if sought.only_standing:
        conditions.append(_stands())
    return conditions


def _stands() -> sa.ColumnElement[bool]:
    later = table.alias("later")
    is_later = sa.or_(
        later.c.decided_at > table.c.decided_at,
        sa.and_(later.c.decided_at == table.c.decided_at, later.c.id > table.c.id),
    )
    replaced = sa.exists().where(
        later.c.dataset_id == table.c.dataset_id,
        later.c.sample_key == table.c.sample_key,
        later.c.kind == "decision",
        is_later,
        ~_undone(later),
    )
    return sa.and_(~_undone(table), ~replaced)


def _undone(rows: sa.FromClause) -> sa.ColumnElement[bool]:
    undo = table.alias()
    return sa.exists().where(undo.c.undoes == rows.c.id)


def _storable(what: str, text: str) -> str:
    try:
        texts.check(what, [text])
    except InputError as error:
        raise InputError(f"No {what} can hold {text!r}.") from error
    return text
