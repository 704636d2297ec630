"""The log of one dataset read by sample, person and time: who did what, and what stood then."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from audit.records.decision import Decision, Undo
from audit.records.label_history import LabelHistory, Step

LONGEST_PAUSE = timedelta(minutes=30)
"""Between two events of one sitting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are meant; ``None`` does not restrict.

    Parameters
    ----------
    sample_key
        The sample.
    reviewer
        Who decided or took back.
    since, until
        Times of the acts, both included.
    """

    sample_key: str | None = None
    reviewer: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, event: Decision | Undo) -> bool:
        """Return whether an event is meant."""
        return (
            (self.sample_key is None or event.sample_key == self.sample_key)
            and (self.reviewer is None or event.reviewer == self.reviewer)
            and (self.since is None or event.decided_at >= self.since)
            and (self.until is None or event.decided_at <= self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Part of a log.

    Parameters
    ----------
    steps
        The newest events that are meant, the newest (greatest number) first.
    total
        How many are meant.
    """

    steps: tuple[Step, ...]
    total: int


def excerpt(history: LabelHistory, wanted: Wanted, *, most: int) -> Excerpt:
    """Return the newest events that are meant, each with the version after it."""
    fitting = [step for step in history.steps if wanted.fits(step.event)]
    newest = tuple(reversed(fitting[max(0, len(fitting) - most) :]))
    return Excerpt(steps=newest, total=len(fitting))


def about(history: LabelHistory, sample_key: str) -> tuple[Step, ...]:
    """Return every event about a sample, the oldest first; the last one's ``after`` stands now."""
    return tuple(step for step in history.steps if step.event.sample_key == sample_key)


def undone(history: LabelHistory, event: Undo) -> Decision:
    """Return the decision that an undo took back."""
    step = history.find(event.undoes)
    assert step is not None, "the log holds what its undos took back"
    assert isinstance(step.event, Decision), "only decisions are taken back"
    return step.event


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Events that one person caused one soon after the other.

    Parameters
    ----------
    first
        The first of them.
    before
        Number of the event before it, 0 for none.
    n_events
        How many they are.
    """

    first: Step
    before: int
    n_events: int


def sittings(history: LabelHistory, *, most: int) -> tuple[Sitting, ...]:
    """Return the newest sittings, the newest first: points of the log that people remember."""
    found: list[Sitting] = []
    steps = history.steps
    end = len(steps)
    while end and len(found) < most:
        start = end - 1
        while start and _follows(steps[start - 1], steps[start]):
            start -= 1
        before = steps[start - 1].number if start else 0
        found.append(Sitting(first=steps[start], before=before, n_events=end - start))
        end = start
    return tuple(found)


def _follows(step: Step, following: Step) -> bool:
    pause = following.event.decided_at - step.event.decided_at
    return step.event.reviewer == following.event.reviewer and abs(pause) <= LONGEST_PAUSE
