"""The log of one dataset read by sample, person and time: who did what, and what stood then."""

from dataclasses import dataclass
from datetime import datetime

from audit.records.decision import Decision, Undo
from audit.records.label_history import LabelHistory, Step


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
