"""History: who decided what and when, what became of it, taking back and deciding again."""

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audit.detectors import catalog
from audit.errors import NotFoundError
from audit.records.dataset import Dataset
from audit.records.decision import Decision, Undo, Verdict, to_iso
from audit.store import decisions as decision_rows
from audit.store import histories
from audit.store.decisions import Superseded, TakeBack
from audit.store.histories import Act, Sought, Told
from audit.workbench.shelf import Shelf

__all__ = ["Sought", "Superseded", "Told"]

PER_PAGE = 100
"""Decisions on one page."""

LOG_COLUMNS = (
    "number",
    "event",
    "sample_key",
    "given_label",
    "verdict",
    "label",
    "reviewer",
    "decided_at",
    "note",
    "state",
    "undoes",
    "method",
    "rank",
    "evidence",
)
"""Columns of `log_csv`."""

_BLOCK = 2048
_LONGEST_LOOK = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a person had before them; ``None`` for what was not recorded.

    Parameters
    ----------
    method, rank
        The method that ordered the samples, and the rank that it gave, from 1.
    suggested
        The suggested label, by name.
    seconds
        From painting the image to pressing the key.
    """

    method: str | None = None
    rank: int | None = None
    suggested: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person's part in a log.

    Parameters
    ----------
    reviewer
        The name.
    n_decisions, n_standing
        How many were recorded, and how many of them stand.
    seconds
        Median time of a decision, ``None`` where nobody measured it.
    n_suggested, n_agreeing
        Keeps and relabels with a suggested label before the person, and how many of them took it.
    """

    reviewer: str
    n_decisions: int
    n_standing: int
    seconds: float | None
    n_suggested: int
    n_agreeing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Part of a history.

    Parameters
    ----------
    rows
        Newest first.
    total
        Decisions that are meant, on all pages.
    number, n_pages
        Which page this is, from 1.
    """

    rows: tuple[Told, ...]
    total: int
    number: int
    n_pages: int


def page(shelf: Shelf, dataset: Dataset, sought: Sought, number: int = 1) -> HistoryPage:
    """Return a page of decisions, newest first; a number beyond the last gives the last.

    Raises
    ------
    InputError
        If the text looked for is one that no key can hold.
    """
    last_id = last_event(shelf, dataset)
    total = shelf.keep(
        ("history size", dataset.id, last_id, sought),
        lambda: histories.count(shelf.workspace, dataset.id, sought),
    )
    n_pages = max(1, -(-total // PER_PAGE))
    number = min(max(1, number), n_pages)
    start = (number - 1) * PER_PAGE
    rows = shelf.keep(
        ("history", dataset.id, last_id, sought, start),
        lambda: histories.page(shelf.workspace, dataset.id, sought, start=start, most=PER_PAGE),
    )
    return HistoryPage(rows=rows, total=total, number=number, n_pages=n_pages)


def last_event(shelf: Shelf, dataset: Dataset) -> int:
    """Return the number of the last event about a dataset, 0 before the first."""
    return decision_rows.last_id(shelf.workspace, dataset.id) or 0


def people(shelf: Shelf, dataset: Dataset) -> tuple[Person, ...]:
    """Return everyone who decided, those with the most decisions first."""
    last_id = last_event(shelf, dataset)
    key = ("history people", dataset.id, last_id)
    return shelf.keep(key, lambda: _people(shelf, dataset, last_id))


def replaced_by_others(shelf: Shelf, dataset: Dataset, reviewer: str) -> tuple[Superseded, ...]:
    """Return a person's decisions in whose place another person decided otherwise, newest first."""
    pairs = shelf.logbook(dataset).superseded_by_others(reviewer)
    return tuple(
        pair
        for pair in reversed(pairs)
        if (pair.own.verdict, pair.own.label) != (pair.standing.verdict, pair.standing.label)
    )


def take_back(shelf: Shelf, dataset: Dataset, number: int, *, reviewer: str, token: str) -> str:
    """Take one decision back and return a sentence that says so.

    Parameters
    ----------
    shelf, dataset, number
        Which decision, by its number in the log.
    reviewer
        Who takes it back.
    token
        Names this wish: what is asked twice is done once.

    Raises
    ------
    NotFoundError
        If the dataset has no decision of this number.
    RefusedError
        If somebody has taken it back already.
    """
    decision = _find(shelf, dataset, number)
    wish = TakeBack(
        dataset_id=dataset.id,
        sample_key=decision.sample_key,
        of=number,
        reviewer=reviewer,
        decided_at=datetime.now(UTC),
        client=token,
        sequence=0,
    )
    _stored(shelf, wish)
    stands = shelf.standing(dataset).decisions.get(decision.sample_key)
    whose = "Your" if decision.reviewer == reviewer else f"{decision.reviewer}’s"
    after = (
        "the sample is undecided again"
        if stands is None
        else f"{stands.reviewer}’s “{saying(stands)}” stands again"
        if stands.decided_at < decision.decided_at
        else f"{stands.reviewer}’s “{saying(stands)}” stands as before"
    )
    return f"{whose} “{saying(decision)}” on {decision.sample_key} was taken back: {after}."


def decide_again(shelf: Shelf, dataset: Dataset, number: int, *, reviewer: str, token: str) -> str:
    """Decide once more what was decided before and return a sentence that says so.

    Parameters
    ----------
    shelf, dataset, number
        Which decision to repeat, by its number in the log.
    reviewer
        Who decides now.
    token
        Names this wish: what is asked twice is done once.

    Raises
    ------
    NotFoundError
        If the dataset has no decision of this number.
    """
    decision = _find(shelf, dataset, number)
    before = shelf.standing(dataset).decisions.get(decision.sample_key)
    now = datetime.now(UTC)
    # Made anew and not copied: what was shown then was not shown now.
    again = Decision(
        dataset_id=dataset.id,
        sample_key=decision.sample_key,
        given_label=decision.given_label,
        verdict=decision.verdict,
        label=decision.label,
        reviewer=reviewer,
        # The later decision stands; a clock that goes wrong must not turn that round.
        decided_at=now if before is None else max(now, before.decided_at),
        note=decision.note,
        evidence={"repeats": number},
        client=token,
        sequence=0,
    )
    _stored(shelf, again)
    sentence = f"“{saying(again)}” stands on {again.sample_key} again, decided by {reviewer}"
    if before is None or before.reviewer == reviewer or saying(before) == saying(again):
        return f"{sentence}."
    return f"{sentence}; it replaces “{saying(before)}” by {before.reviewer}, who is told here."


def saying(decision: Decision) -> str:
    """Return a decision in a word or two: ``keep``, ``relabel to cat``."""
    if decision.verdict is Verdict.RELABEL:
        return f"relabel to {decision.label}"
    return str(decision.verdict)


def shown(evidence: Mapping[str, Any] | None) -> Shown:
    """Return what evidence says was shown; whatever it does not say, or says oddly, is ``None``.

    Evidence comes from the review page (under ``shown``, or as it is), from the terminal (by
    method: what was known) and out of other people's patches, so nothing in it is taken for granted.

    Examples
    --------
    >>> shown({"shown": {"method": "aum", "rank": 3, "ms": 1500}})
    Shown(method='aum', rank=3, suggested=None, seconds=1.5)
    >>> shown({"margin": {"rank": 7}}).rank
    7
    """
    if not isinstance(evidence, Mapping):
        return Shown()
    painted = evidence.get("shown", evidence)
    if isinstance(painted, Mapping) and isinstance(painted.get("method"), str):
        milliseconds = _number(painted.get("ms"))
        seconds = None if milliseconds is None else milliseconds / 1000
        suggested = painted.get("suggested", painted.get("suggested_label"))
        return Shown(
            method=painted["method"],
            rank=_rank(painted.get("rank")),
            suggested=suggested if isinstance(suggested, str) else None,
            seconds=seconds if seconds is not None and 0 <= seconds <= _LONGEST_LOOK else None,
        )
    for method in catalog.names():
        known = evidence.get(method)
        if isinstance(known, Mapping):
            return Shown(method=method, rank=_rank(known.get("rank")))
    return Shown()


def log_csv(shelf: Shelf, dataset: Dataset) -> bytes:
    """Return the whole log, decisions and undos in the order in which they were recorded, as CSV.

    UTF-8 with a first row of `LOG_COLUMNS`. ``state`` is ``stands``, ``replaced`` or ``undone``.
    """
    log = decision_rows.log(shelf.workspace, dataset.id)
    states = {told.decision.id: state(told) for told in histories.tell(log)}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list[str](LOG_COLUMNS), restval="", lineterminator="\n")
    writer.writeheader()
    for event in log:
        when = to_iso(event.decided_at)
        if isinstance(event, Undo):
            values: dict[str, object] = {
                "number": event.id,
                "event": "undo",
                "sample_key": event.sample_key,
                "reviewer": event.reviewer,
                "decided_at": when,
                "undoes": event.undoes,
            }
            writer.writerow(values)
            continue
        seen = shown(event.evidence)
        values = {
            "number": event.id,
            "event": "decision",
            "sample_key": event.sample_key,
            "given_label": event.given_label,
            "verdict": event.verdict,
            "label": event.label,
            "reviewer": event.reviewer,
            "decided_at": when,
            "note": event.note,
            "state": states[event.id],
            "method": seen.method,
            "rank": seen.rank,
        }
        if event.evidence is not None:
            values["evidence"] = json.dumps(event.evidence, ensure_ascii=False)
        writer.writerow(values)
    return text.getvalue().encode(errors="backslashreplace")


def state(told: Told) -> str:
    """Return what became of a decision in a word: ``stands``, ``replaced`` or ``undone``."""
    if told.undone_by is not None:
        return "undone"
    return "stands" if told.replaced_by is None else "replaced"


def _people(shelf: Shelf, dataset: Dataset, last_id: int) -> tuple[Person, ...]:
    standing = Counter(one.reviewer for one in shelf.standing(dataset).decisions.values())
    blocks = [_block(shelf, dataset, start, last_id) for start in range(0, last_id, _BLOCK)]
    counted: list[Person] = []
    for reviewer in {name for block in blocks for name in block}:
        parts = [block[reviewer] for block in blocks if reviewer in block]
        seconds = [value for part in parts for value in part.seconds]
        counted.append(
            Person(
                reviewer=reviewer,
                n_decisions=sum(part.n_decisions for part in parts),
                n_standing=standing[reviewer],
                seconds=statistics.median(seconds) if seconds else None,
                n_suggested=sum(part.n_suggested for part in parts),
                n_agreeing=sum(part.n_agreeing for part in parts),
            )
        )
    return tuple(sorted(counted, key=lambda one: (-one.n_decisions, one.reviewer)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    n_decisions: int
    seconds: tuple[float, ...]
    n_suggested: int
    n_agreeing: int


def _block(shelf: Shelf, dataset: Dataset, start: int, last_id: int) -> dict[str, _Part]:
    # A log only grows, so a full block never changes and is counted once.
    until = min(start + _BLOCK, last_id)
    # By bytes and not by number: the blocks of a long log drive nothing else off the shelf.
    return shelf.lists.find_or_make(
        ("history acts", dataset.id, start, until),
        lambda: _counted(histories.acts(shelf.workspace, dataset.id, after=start, until=until)),
        lambda parts: 256 + sum(256 + 32 * len(part.seconds) for part in parts.values()),
    )


def _counted(acts: list[Act]) -> dict[str, _Part]:
    by_person: dict[str, list[Act]] = {}
    for act in acts:
        by_person.setdefault(act.reviewer, []).append(act)
    return {reviewer: _part(own) for reviewer, own in by_person.items()}


def _part(acts: list[Act]) -> _Part:
    seen = [(act, shown(act.evidence)) for act in acts]
    answered = [
        (act, what.suggested)
        for act, what in seen
        if what.suggested is not None and act.verdict in (Verdict.KEEP, Verdict.RELABEL)
    ]
    return _Part(
        n_decisions=len(acts),
        seconds=tuple(what.seconds for _, what in seen if what.seconds is not None),
        n_suggested=len(answered),
        n_agreeing=sum(
            act.verdict is Verdict.RELABEL and act.label == suggested for act, suggested in answered
        ),
    )


def _find(shelf: Shelf, dataset: Dataset, number: int) -> Decision:
    decision = histories.find(shelf.workspace, dataset.id, number)
    if decision is None:
        raise NotFoundError(f"Dataset {dataset.name!r} has no decision number {number}.")
    return decision


def _stored(shelf: Shelf, act: Decision | TakeBack) -> None:
    (answer,) = decision_rows.record(shelf.workspace, [act])
    if isinstance(answer, Exception):
        raise answer


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _rank(value: object) -> int | None:
    number = _number(value)
    is_rank = number is not None and 1 <= number < 2**53 and number.is_integer()
    return int(number or 0) if is_rank else None
