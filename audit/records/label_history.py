"""Labels as versions: what stood after each event of a log, and the name of every set of labels.

A version names what was changed on which data: equal relabels and excludes of equal data have equal
versions, whoever decided them and in whatever order. It is made from a sum, so that the version after
each event of a log costs the same, however many decisions stand.
"""

import bisect
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.records.decision import Decision, Undo, Verdict

GIVEN = "given"
"""Version of the labels that a dataset came with."""

_MODULUS = 1 << 256
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of a sample's label.

    Parameters
    ----------
    label
        Name of the class that it has now; ``None`` for an excluded or an unlabelled sample.
    is_excluded
        Whether the sample is left out.
    """

    label: str | None
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a log, and what it changed.

    Parameters
    ----------
    event
        As stored, with its number.
    before, after
        The decision that stands on the event's sample before and after it; ``None`` for none.
    version
        Of the labels after it.
    """

    event: Decision | Undo
    before: Decision | None
    after: Decision | None
    version: str

    @property
    def number(self) -> int:
        """Number of the event in the log."""
        return _number(self.event)

    @property
    def changes_label(self) -> bool:
        """Whether the label of the event's sample became another one."""
        return _act(self.before) != _act(self.after)


class LabelHistory:
    """A log of decisions replayed: what stood after every event, and the version that this makes.

    Parameters
    ----------
    fingerprint, class_names
        Of the dataset.
    events
        Decisions and undos in the order of their numbers.
    going_on
        What `extended` goes on from.

    Attributes
    ----------
    steps
        What each event changed, in the order of the log.
    versions
        The version after each event.
    points
        The number of each event, ascending.

    Examples
    --------
    >>> LabelHistory("ab12", ["cat", "dog"], []).version_at(0)
    'given'
    """

    def __init__(
        self,
        fingerprint: str,
        class_names: Sequence[str],
        events: Iterable[Decision | Undo],
        *,
        going_on: "tuple[_Replay, tuple[Step, ...]] | None" = None,
    ) -> None:
        self._facts = fingerprint, tuple(class_names)
        self._replay, steps = going_on or (_Replay(*self._facts), ())
        self.steps: tuple[Step, ...] = (*steps, *map(self._replay.step, events))
        self.versions: tuple[str, ...] = tuple(step.version for step in self.steps)
        self.points: tuple[int, ...] = tuple(step.number for step in self.steps)
        self._last_points = {GIVEN: 0, **dict(zip(self.versions, self.points, strict=True))}

    def extended(self, events: Iterable[Decision | Undo]) -> "LabelHistory":
        """Return the history with later events added to it; this one stays as it is.

        Only the new events are replayed, unless this history was extended before. Not for several
        threads at once.
        """
        if self._replay.n_events == len(self.steps):
            return LabelHistory(*self._facts, events, going_on=(self._replay, self.steps))
        return LabelHistory(*self._facts, [*(step.event for step in self.steps), *events])

    @property
    def last_point(self) -> int:
        """Number of the last event, 0 before the first."""
        return self.points[-1] if self.points else 0

    def find(self, number: int) -> Step | None:
        """Return what the event of a number changed, ``None`` if the log has no such event."""
        place = bisect.bisect_left(self.points, number)
        is_there = place < len(self.points) and self.points[place] == number
        return self.steps[place] if is_there else None

    def until(self, point: int) -> tuple[Step, ...]:
        """Return the steps whose numbers are at most `point`."""
        return self.steps[: bisect.bisect_right(self.points, point)]

    def between(self, low: int, high: int) -> tuple[Step, ...]:
        """Return the steps whose numbers are beyond `low` and at most `high`."""
        start, end = (bisect.bisect_right(self.points, point) for point in (low, high))
        return self.steps[start:end]

    def at(self, point: int) -> dict[str, Decision]:
        """Return what stood when only events up to a number had been recorded.

        Parameters
        ----------
        point
            Number of an event; 0 is before the first, one beyond the last means now.

        Returns
        -------
        dict
            The standing decision by sample key.
        """
        standing: dict[str, Decision] = {}
        for step in self.until(point):
            if step.after is None:
                standing.pop(step.event.sample_key, None)
            else:
                standing[step.event.sample_key] = step.after
        return standing

    def version_at(self, point: int) -> str:
        """Return the version of what stood at a point, as `at` counts it."""
        steps = bisect.bisect_right(self.points, point)
        return self.versions[steps - 1] if steps else GIVEN

    def last_point_of(self, version: str) -> int | None:
        """Return the last point at which the labels had a version, ``None`` if they never had it.

        ``given`` has at least point 0, before the first event.
        """
        return self._last_points.get(version)


def version_of(fingerprint: str, class_names: Sequence[str], decisions: Iterable[Decision]) -> str:
    """Return the version of the labels that standing decisions make: ``given``, or 16 hex digits.

    Parameters
    ----------
    fingerprint, class_names
        Of the dataset.
    decisions
        What stands, at most one decision per sample; only relabels and excludes count.

    Examples
    --------
    >>> version_of("ab12", ["cat", "dog"], [])
    'given'
    """
    total = _Sum(fingerprint, class_names)
    for decision in decisions:
        total.replace(None, decision)
    return total.version()


def effect(decision: Decision | None, given_label: str | None) -> Effect:
    """Return what becomes of a label.

    Parameters
    ----------
    decision
        What stands on the sample, ``None`` for nothing.
    given_label
        The label that the sample came with, by name.
    """
    if decision is not None and decision.verdict is Verdict.RELABEL:
        return Effect(decision.label)
    if decision is not None and decision.verdict is Verdict.EXCLUDE:
        return Effect(None, is_excluded=True)
    return Effect(given_label)


class _Replay:
    """What a log has led to so far."""

    def __init__(self, fingerprint: str, class_names: Sequence[str]) -> None:
        self.n_events = 0
        self._sum = _Sum(fingerprint, class_names)
        self._counting: dict[str, list[Decision]] = {}
        self._by_number: dict[int, Decision] = {}

    def step(self, event: Decision | Undo) -> Step:
        """Take the next event and return what it changed."""
        self.n_events += 1
        own = self._counting.setdefault(event.sample_key, [])
        before = own[-1] if own else None
        if isinstance(event, Decision):
            self._by_number[_number(event)] = event
            bisect.insort(own, event, key=_order)
        else:
            undone = self._by_number[event.undoes]
            del own[bisect.bisect_left(own, _order(undone), key=_order)]
        after = own[-1] if own else None
        self._sum.replace(before, after)
        return Step(event, before, after, self._sum.version())


class _Sum:
    """The acts that stand as one number that grows and shrinks with them."""

    def __init__(self, fingerprint: str, class_names: Sequence[str]) -> None:
        # All but the sum stays the same, so its part of the digest is computed once.
        facts = json.dumps([fingerprint, list(class_names)], ensure_ascii=True)
        self._head = hashlib.sha256(facts[:-1].encode())
        self._total = 0
        self._n_acts = 0

    def replace(self, old: Decision | None, new: Decision | None) -> None:
        """Take what stood on a sample out and what stands now in."""
        before, after = _act(old), _act(new)
        if before == after:
            return
        if before is not None:
            self._total = (self._total - _digest(before)) % _MODULUS
            self._n_acts -= 1
        if after is not None:
            self._total = (self._total + _digest(after)) % _MODULUS
            self._n_acts += 1

    def version(self) -> str:
        """Return the name of what stands."""
        if not self._n_acts:
            return GIVEN
        whole = self._head.copy()
        whole.update(f', "{self._total:064x}"]'.encode())
        return whole.hexdigest()[:_DIGITS]


def _act(decision: Decision | None) -> tuple[str, str, str | None] | None:
    if decision is None or decision.verdict not in (Verdict.RELABEL, Verdict.EXCLUDE):
        return None
    return decision.sample_key, str(decision.verdict), decision.label


def _digest(act: tuple[str, str, str | None]) -> int:
    text = json.dumps(act, ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def _order(decision: Decision) -> tuple[datetime, int]:
    return decision.decided_at, _number(decision)


def _number(event: Decision | Undo) -> int:
    assert event.id is not None, "events of the log have numbers"
    return event.id
