"""What people decided: append-only; undo is an event of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from audit.errors import InputError


class Verdict(StrEnum):
    """What a person decided about one sample."""

    KEEP = "keep"
    RELABEL = "relabel"
    EXCLUDE = "exclude"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One recorded act.

    Parameters
    ----------
    id
        Number in the log, ``None`` before it is stored; later ones are larger.
    dataset_id, sample_key, given_label
        What was decided on; the given label is a class name, ``None`` for an unlabelled sample.
    verdict
        What was decided.
    label
        The corrected label as a class name for ``relabel``; the given label for ``keep``; ``None``
        otherwise.
    reviewer, decided_at
        Who, and when (UTC).
    note
        Free text, or empty.
    evidence
        What was known and shown: runs, detector, suspicion, rank.
    client, sequence
        Identity of the sender and its running number: what is sent twice is stored once.
    """

    dataset_id: str
    sample_key: str
    given_label: str | None
    verdict: Verdict
    label: str | None
    reviewer: str
    decided_at: datetime
    note: str = ""
    evidence: Mapping[str, Any] | None = None
    client: str | None = None
    sequence: int | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        if self.verdict is Verdict.RELABEL and self.label is None:
            raise InputError("A relabel needs the corrected label.")
        if self.verdict is Verdict.RELABEL and self.label == self.given_label:
            raise InputError(f"{self.label!r} is the given label already: use keep.")
        if self.verdict in (Verdict.EXCLUDE, Verdict.UNSURE) and self.label is not None:
            raise InputError(f"A verdict of {self.verdict} carries no label.")
        if not self.reviewer.strip():
            raise InputError("A decision needs a reviewer's name.")
        if self.decided_at.tzinfo is None:
            raise InputError("A decision's time needs a time zone.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Takes one decision back; the one before it stands again.

    Parameters
    ----------
    id
        Number in the same log as decisions, ``None`` before it is stored.
    undoes
        `Decision.id` that no longer counts.
    """

    dataset_id: str
    sample_key: str
    undoes: int
    reviewer: str
    decided_at: datetime
    id: int | None = None


def to_iso(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with ``Z`` and microseconds only where there are some.

    Examples
    --------
    >>> to_iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """Return the time that `to_iso` wrote; other offsets are converted to UTC.

    Raises
    ------
    InputError
        If the text is not an ISO 8601 time with an offset, or too early or late for UTC.

    Examples
    --------
    >>> from_iso("2026-01-02T03:04:05Z").hour
    3
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not an ISO 8601 time.") from error
    if moment.tzinfo is None:
        raise InputError(f"{text!r} has no offset; write UTC times with Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"{text!r} lies outside the years 1 to 9999 in UTC.") from error
