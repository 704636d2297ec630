"""Take decisions back together: one, all of a person, or everything after a point of the log.

A plan comes first and changes nothing. Carried out, it adds events and erases none, so it can be taken
back in its turn: everything after the point before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.errors import NotFoundError, RefusedError
from audit.records.dataset import Dataset
from audit.records.decision import Decision, Undo
from audit.records.label_history import LabelHistory, version_of
from audit.store import batches
from audit.store.workspace import Workspace
from audit.workbench import label_changes
from audit.workbench.label_changes import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPlan:
    """What taking decisions back would do.

    Parameters
    ----------
    undone
        Decisions that would be taken back, in the order of the log.
    repeated
        Decisions that stood at the point and were taken back after it: they would be decided again.
    changes
        Samples whose label would become another one, by sample key.
    seen
        Number of the last event that the plan knows of.
    version
        Version of the labels afterwards.
    """

    undone: tuple[Decision, ...]
    repeated: tuple[Decision, ...]
    changes: tuple[Change, ...]
    seen: int
    version: str

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.undone and not self.repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    """What was done.

    Parameters
    ----------
    events
        As stored, in the order of the log.
    point
        Number of the last event before them: taking back everything after it brings all back.
    version
        Version of the labels now.
    """

    events: tuple[Decision | Undo, ...]
    point: int
    version: str


def of_decision(history: LabelHistory, dataset: Dataset, number: int) -> RevertPlan:
    """Plan to take one decision back.

    Raises
    ------
    NotFoundError
        If the log holds no event of this number.
    RefusedError
        If it is an undo, or somebody has taken it back already.
    """
    step = history.find(number)
    if step is None:
        raise NotFoundError(
            f"Dataset {dataset.name!r} has no decision #{number}: "
            "`labeltrace labels log` lists those that it has."
        )
    if isinstance(step.event, Undo):
        raise RefusedError(
            f"#{number} took decision #{step.event.undoes} back and is none itself: decide again, or "
            "take back everything after the event before it."
        )
    taken = _undos(history).get(number)
    if taken is not None:
        raise RefusedError(f"{taken.reviewer} has taken decision #{number} back already.")
    return _plan(history, dataset, [step.event])


def of_person(history: LabelHistory, dataset: Dataset, reviewer: str) -> RevertPlan:
    """Plan to take back every decision of a person that nobody has taken back yet.

    Those count too that other people have replaced, so that none of them comes to stand again.

    Raises
    ------
    NotFoundError
        If the person has decided nothing here; names who has.
    """
    people = {e.reviewer: None for e in _decisions(history)}
    if reviewer not in people:
        known = ", ".join(list(people)[:12])
        raise NotFoundError(
            f"{reviewer!r} has decided nothing on {dataset.name!r}"
            + (f"; decisions are by {known}." if known else ": nobody has.")
        )
    gone = _undos(history)
    own = [e for e in _decisions(history) if e.reviewer == reviewer and e.id not in gone]
    return _plan(history, dataset, own)


def after_point(history: LabelHistory, dataset: Dataset, point: int) -> RevertPlan:
    """Plan to bring the labels back to what they were at a point of the log.

    Every decision after it is taken back, and what stood at the point and was taken back after it is
    decided again. A decision that does just that already stays, so that twice is as once.
    """
    stood = history.at(point)
    gone = _undos(history)
    now = history.at(history.last_point)
    lost = {key: one for key, one in stood.items() if one.id in gone}
    regained = {key for key, one in lost.items() if _repeats(now.get(key), one, point)}
    stays = {now[key].id for key in regained}
    later = [
        event
        for event in _decisions(history, after=point)
        if event.id not in gone and event.id not in stays
    ]
    repeated = [one for key, one in sorted(lost.items()) if key not in regained]
    return _plan(history, dataset, later, repeated)


def carry_out(
    workspace: Workspace, dataset: Dataset, plan: RevertPlan, *, reviewer: str
) -> Reverted:
    """Do what was planned, all of it or nothing.

    Parameters
    ----------
    workspace, dataset, plan
        What is taken back.
    reviewer
        Who does it.

    Raises
    ------
    RefusedError
        If there is nothing to do, or somebody has added to the log since the plan was made.
    InputError
        If the reviewer's name cannot be stored.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    if plan.is_empty:
        raise RefusedError("There is nothing to take back: the labels stand so already.")
    now = datetime.now(UTC)
    events = batches.append(
        workspace,
        dataset.id,
        after=plan.seen,
        undos=[
            Undo(
                dataset_id=dataset.id,
                sample_key=one.sample_key,
                undoes=_number(one),
                reviewer=reviewer,
                decided_at=now,
            )
            for one in plan.undone
        ],
        # A repeated decision is put beyond what stands, so the clock cannot turn it round: what
        # stood at the point is later than all that stood below it.
        decisions=[
            again(one, reviewer=reviewer, at=max(now, one.decided_at)) for one in plan.repeated
        ],
    )
    return Reverted(events=events, point=plan.seen, version=plan.version)


def again(decision: Decision, *, reviewer: str, at: datetime) -> Decision:
    """Return a decision to be made once more, by whoever makes it now."""
    return Decision(
        dataset_id=decision.dataset_id,
        sample_key=decision.sample_key,
        given_label=decision.given_label,
        verdict=decision.verdict,
        label=decision.label,
        reviewer=reviewer,
        decided_at=at,
        note=decision.note,
        # What was shown then was not shown now, so nothing else of the evidence is copied.
        evidence={"repeats": _number(decision)},
    )


def _plan(
    history: LabelHistory,
    dataset: Dataset,
    undone: Iterable[Decision],
    repeated: Iterable[Decision] = (),
) -> RevertPlan:
    taken, brought = tuple(undone), tuple(repeated)
    before = history.at(history.last_point)
    gone = {*_undos(history), *(one.id for one in taken)}
    left = [one for one in _decisions(history) if one.id not in gone]
    left.sort(key=lambda one: (one.decided_at, _number(one)))
    # In ascending order: the last one of a key stands.
    after = {one.sample_key: one for one in (*left, *brought)}
    touched = sorted({one.sample_key for one in (*taken, *brought)})
    changes = (label_changes.change_of(before.get(key), after.get(key)) for key in touched)
    return RevertPlan(
        undone=taken,
        repeated=brought,
        changes=tuple(change for change in changes if change is not None),
        seen=history.last_point,
        version=version_of(dataset.fingerprint, dataset.class_names, after.values()),
    )


def _repeats(standing: Decision | None, other: Decision, point: int) -> bool:
    return (
        standing is not None
        and _number(standing) > point
        and (standing.evidence or {}).get("repeats") == other.id
        and (standing.verdict, standing.label) == (other.verdict, other.label)
    )


def _decisions(history: LabelHistory, *, after: int = 0) -> list[Decision]:
    steps = history.between(after, history.last_point)
    return [step.event for step in steps if isinstance(step.event, Decision)]


def _undos(history: LabelHistory) -> dict[int, Undo]:
    """Return the undo of each decision that was taken back, by the decision's number."""
    return {step.event.undoes: step.event for step in history.steps if isinstance(step.event, Undo)}


def _number(decision: Decision) -> int:
    assert decision.id is not None, "recorded decisions have a number"
    return decision.id
