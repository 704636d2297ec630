"""Take over other people's decisions from patches, and settle those on which people disagree.

Nothing is lost in a conflict: all decisions are recorded, the later one stands, and whoever chooses
another decides it again under their own name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from audit.errors import AuditError, InputError, NotFoundError, RefusedError
from audit.exchange import patch
from audit.records.dataset import Dataset
from audit.records.decision import Decision, Undo, to_iso
from audit.store import batches
from audit.store import decisions as decision_rows
from audit.store.workspace import Workspace
from audit.workbench import histories

_MOST_NAMED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One person's decision on a sample that somebody decided otherwise.

    Parameters
    ----------
    decision
        As recorded, or as a patch says it.
    patch
        Name of the patch; ``None`` for what stands already.
    """

    decision: Decision
    patch: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A sample on which patches, or a patch and what stands, disagree between different people.

    Parameters
    ----------
    sample_key, given_label
        The sample.
    rivals
        One per person, by time: the last one stands unless somebody chooses another.
    """

    sample_key: str
    given_label: str | None
    rivals: tuple[Rival, ...]

    @property
    def later(self) -> Decision:
        """What stands unless somebody chooses another."""
        return self.rivals[-1].decision

    @property
    def people(self) -> tuple[str, ...]:
        """Who disagrees, by time."""
        return tuple(rival.decision.reviewer for rival in self.rivals)

    def by(self, reviewer: str) -> Decision | None:
        """Return the decision of a person, ``None`` if they take no part."""
        return next((r.decision for r in self.rivals if r.decision.reviewer == reviewer), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPlan:
    """What applying patches would do.

    Parameters
    ----------
    decisions
        All of the patches, patch by patch, sorted by sample key.
    new
        Those that the log does not hold, each once.
    conflicts
        Where people disagree, by sample key.
    seen
        Number of the last event that the plan knows of, 0 for none.
    """

    decisions: tuple[Decision, ...]
    new: tuple[Decision, ...]
    conflicts: tuple[Conflict, ...]
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Whose decisions stand where people disagree; without a choice the later one does.

    Parameters
    ----------
    prefer
        A person whose decision stands in every conflict that they take part in.
    by_sample
        Person by sample key; goes before `prefer`.
    """

    prefer: str | None = None
    by_sample: Mapping[str, str] = field(default_factory=dict[str, str])


NO_CHOICES = Choices()
"""The later decision stands in every conflict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What applying patches did.

    Parameters
    ----------
    n_decisions, n_new
        Decisions in the patches, and how many of them the log did not hold yet.
    n_settled
        Conflicts in which somebody chose.
    conflicts
        A sentence per sample on which people disagree.
    """

    n_decisions: int
    n_new: int
    n_settled: int
    conflicts: tuple[str, ...]


def plan(
    workspace: Workspace,
    dataset: Dataset,
    paths: Sequence[Path],
    names: Sequence[str] | None = None,
) -> PatchPlan:
    """Return what applying patches would do; nothing is stored.

    Parameters
    ----------
    workspace, dataset
        Where to.
    paths
        The patches.
    names
        What to call them; their file names by default.

    Raises
    ------
    RefusedError
        If a patch is for other data or other classes.
    InputError
        If one cannot be read; names the line.
    """
    log = decision_rows.log(workspace, dataset.id)
    undone = {event.undoes for event in log if isinstance(event, Undo)}
    standing = _standing([e for e in log if isinstance(e, Decision) and e.id not in undone])
    seen = {_identity(e) for e in log if isinstance(e, Decision) and e.id not in undone}
    decisions: list[Decision] = []
    new: list[tuple[Decision, str]] = []
    for path, name in zip(paths, names or [path.name for path in paths], strict=True):
        for decision in _read(path, dataset, name if len(paths) > 1 else None):
            decisions.append(decision)
            if _identity(decision) not in seen:
                seen.add(_identity(decision))
                new.append((decision, name))
    return PatchPlan(
        decisions=tuple(decisions),
        new=tuple(decision for decision, _ in new),
        conflicts=_conflicts(new, standing),
        seen=log[-1].id or 0 if log else 0,
    )


def chosen(planned: PatchPlan, choices: Choices) -> dict[str, Decision]:
    """Return the decision that somebody chose, by sample key; the other conflicts are left out.

    Raises
    ------
    NotFoundError
        If a choice names a sample without a conflict, or a person who takes no part; says who does.
        Where nobody disagrees at all, choices are void.
    """
    if not planned.conflicts:
        return {}
    by_key = {conflict.sample_key: conflict for conflict in planned.conflicts}
    found: dict[str, Decision] = {}
    if choices.prefer is not None:
        for conflict in planned.conflicts:
            preferred = conflict.by(choices.prefer)
            if preferred is not None:
                found[conflict.sample_key] = preferred
        if not found:
            people = dict.fromkeys(name for c in planned.conflicts for name in c.people)
            raise NotFoundError(
                f"{choices.prefer!r} takes part in no conflict; those who do are {_named(people)}."
            )
    for key, reviewer in choices.by_sample.items():
        if key not in by_key:
            raise NotFoundError(
                f"Nobody disagrees on {key!r}; there are conflicts on {_named(by_key)}."
            )
        decision = by_key[key].by(reviewer)
        if decision is None:
            raise NotFoundError(
                f"{reviewer!r} takes no part in the conflict on {key!r}, which is between "
                f"{_named(by_key[key].people)}."
            )
        found[key] = decision
    return found


def carry_out(
    workspace: Workspace,
    dataset: Dataset,
    planned: PatchPlan,
    choices: Choices = NO_CHOICES,
    *,
    reviewer: str | None = None,
) -> Applied:
    """Record the new decisions of patches, and decide again what was chosen; all or nothing.

    Parameters
    ----------
    workspace, dataset, planned
        What is taken over.
    choices
        Whose decisions stand.
    reviewer
        Who chooses; not asked for where nothing is chosen.

    Raises
    ------
    NotFoundError
        If a choice fits no conflict.
    InputError
        If something is chosen and nobody says who chooses.
    RefusedError
        If somebody has added to the log since the plan was made.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    picked = chosen(planned, choices)
    if picked and not (reviewer or "").strip():
        raise InputError("Say who chooses: a choice is recorded under a name.")
    now = datetime.now(UTC)

    def settle(stored: Sequence[Decision]) -> list[Decision]:
        numbers = {_identity(one): one.id for one in stored}
        return [
            _settled(conflict, picked[conflict.sample_key], numbers, by=str(reviewer), now=now)
            for conflict in planned.conflicts
            if conflict.sample_key in picked
        ]

    if planned.new:
        batches.append(
            workspace, dataset.id, after=planned.seen, decisions=planned.new, then=settle
        )
    return Applied(
        n_decisions=len(planned.decisions),
        n_new=len(planned.new),
        n_settled=len(picked),
        conflicts=tuple(
            _sentence(conflict, picked.get(conflict.sample_key), str(reviewer))
            for conflict in planned.conflicts
        ),
    )


def parse_choices(planned: PatchPlan, texts: Sequence[str]) -> dict[str, str]:
    """Return what ``SAMPLE_KEY=NAME`` means; both may hold ``=`` where a conflict makes it clear.

    Raises
    ------
    InputError
        If a text has no ``=``.
    """
    rivals = {conflict.sample_key: conflict.people for conflict in planned.conflicts}
    parsed: dict[str, str] = {}
    for text in texts:
        places = [place for place, letter in enumerate(text) if letter == "="]
        if not places:
            raise InputError(f"{text!r} chooses nothing: write SAMPLE_KEY=NAME.")
        splits = [(text[:place], text[place + 1 :]) for place in places]
        fitting = [(key, name) for key, name in splits if name in rivals.get(key, ())]
        key, name = (fitting or splits)[-1]
        parsed[key] = name
    return parsed


def _read(path: Path, dataset: Dataset, name: str | None) -> tuple[Decision, ...]:
    try:
        return patch.read(path, dataset).decisions
    except AuditError as error:
        if name is None:
            raise
        kind = RefusedError if isinstance(error, RefusedError) else InputError
        raise kind(f"{name}: {error}") from error


def _conflicts(
    new: Sequence[tuple[Decision, str]], standing: Mapping[str, Decision]
) -> tuple[Conflict, ...]:
    by_key: dict[str, list[Rival]] = {}
    for decision, name in new:
        by_key.setdefault(decision.sample_key, []).append(Rival(decision=decision, patch=name))
    conflicts: list[Conflict] = []
    for key, fresh in sorted(by_key.items()):
        # What is recorded has the smaller number, so of equal times the patch's one is later; the
        # sort keeps the order of the patches, in which they get their numbers.
        held = [Rival(decision=standing[key], patch=None)] if key in standing else []
        ordered = sorted([*held, *fresh], key=lambda rival: rival.decision.decided_at)
        of_people: dict[str, Rival] = {}
        for rival in ordered:
            of_people.pop(rival.decision.reviewer, None)
            of_people[rival.decision.reviewer] = rival
        said = {(r.decision.verdict, r.decision.label) for r in of_people.values()}
        if len(said) > 1:
            rivals = tuple(of_people.values())
            given = rivals[0].decision.given_label
            conflicts.append(Conflict(sample_key=key, given_label=given, rivals=rivals))
    return tuple(conflicts)


def _settled(
    conflict: Conflict,
    decision: Decision,
    numbers: Mapping[tuple[object, ...], int | None],
    *,
    by: str,
    now: datetime,
) -> Decision:
    settles = [rival.decision.id or numbers[_identity(rival.decision)] for rival in conflict.rivals]
    return Decision(
        dataset_id=decision.dataset_id,
        sample_key=decision.sample_key,
        given_label=decision.given_label,
        verdict=decision.verdict,
        label=decision.label,
        reviewer=by,
        # The later decision stands; a clock that goes wrong must not turn that round.
        decided_at=max(now, conflict.later.decided_at),
        note=decision.note,
        evidence={"settles": settles},
    )


def _sentence(conflict: Conflict, picked: Decision | None, by: str) -> str:
    said = ", ".join(
        f"{rival.decision.reviewer} decided {histories.saying(rival.decision)} "
        f"at {to_iso(rival.decision.decided_at)}"
        for rival in conflict.rivals
    )
    if picked is None:
        return (
            f"{conflict.sample_key}: {said}; the later one, by {conflict.later.reviewer}, stands."
        )
    return f"{conflict.sample_key}: {said}; {by} chose that of {picked.reviewer}, which stands."


def _standing(counting: list[Decision]) -> dict[str, Decision]:
    # In ascending order: the last one of a key stays.
    ordered = sorted(counting, key=lambda one: (one.decided_at, one.id or 0))
    return {decision.sample_key: decision for decision in ordered}


def _identity(decision: Decision) -> tuple[object, ...]:
    """Return what makes two decisions the same act."""
    return (
        decision.sample_key,
        decision.verdict,
        decision.label,
        decision.reviewer,
        to_iso(decision.decided_at),
    )


def _named(names: Mapping[str, object] | Sequence[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return ", ".join(map(repr, listed[:_MOST_NAMED])) + more
