"""Versions of labels: the points of a log, and how people name them."""

import re
import threading
from dataclasses import dataclass
from datetime import datetime

from audit.errors import InputError, NotFoundError
from audit.records.dataset import Dataset
from audit.records.decision import Decision, from_iso
from audit.records.label_history import GIVEN, LabelHistory
from audit.store import decisions as decision_rows
from audit.store.workspace import Workspace
from audit.workbench.shelf import Shelf

NOW = "now"
"""Reference to the labels after the last event."""

SHORTEST = 4
"""Digits that a reference to a version needs at least."""

_NUMBER = re.compile(r"#?(\d{1,15})", re.ASCII)
_VERSION = re.compile(r"[0-9a-f]{4,16}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPoint:
    """One set of labels, and where in the log it stood.

    Parameters
    ----------
    version
        Its name: ``given``, or 16 hexadecimal digits.
    point
        Number of the last event that counts; 0 before the first.
    decisions
        The standing decision by sample key.
    """

    version: str
    point: int
    decisions: dict[str, Decision]


def read(workspace: Workspace, dataset: Dataset) -> LabelHistory:
    """Return the versions of a dataset's labels, replayed from its log."""
    log = decision_rows.log(workspace, dataset.id)
    return LabelHistory(dataset.fingerprint, dataset.class_names, log)


def kept(shelf: Shelf, dataset: Dataset) -> LabelHistory:
    """Return the versions of a dataset's labels as of now; only new events are replayed."""
    return shelf.keep(("label history", dataset.id), lambda: _Followed(dataset)).now(shelf)


def find(workspace: Workspace, dataset: Dataset, reference: str) -> LabelPoint:
    """Return the labels that a reference names.

    Parameters
    ----------
    workspace, dataset
        Whose labels.
    reference
        ``given``; ``now``; a version or a beginning of it (at least `SHORTEST` digits) that no other
        version has: the last point that had it; the number of an event, ``#12`` or ``12``: what stood
        after it, ``#0`` before the first; or an ISO 8601 time with an offset.

        A time means what had been recorded before the first event that was decided later. Decisions
        of a patch that was applied after that event do not count then, though they were decided
        earlier: they were not known here. Those of a patch that was applied between the time and
        that event do count, because a log does not tell when a patch came.

    Raises
    ------
    NotFoundError
        If nothing answers to the reference; the sentence says what would.
    InputError
        If more than one version begins so, or a time has no offset.
    """
    return find_in(read(workspace, dataset), dataset, reference)


def find_in(history: LabelHistory, dataset: Dataset, reference: str) -> LabelPoint:
    """Return the labels that a reference names in a history that was read, as `find` does."""
    point = point_of(history, dataset, reference)
    return LabelPoint(version=history.version_at(point), point=point, decisions=history.at(point))


def point_of(history: LabelHistory, dataset: Dataset, reference: str) -> int:
    """Return the point that a reference names, as `find` reads it."""
    wanted = reference.strip()
    word = wanted.lower()
    if word == GIVEN:
        return 0
    if word == NOW:
        return history.last_point
    exact = history.last_point_of(word)
    if exact is not None:
        return exact
    fitting = _versions_that_begin(history, word)
    number = _NUMBER.fullmatch(wanted)
    if number is not None and (wanted.startswith("#") or not fitting):
        return _event(history, dataset, int(number[1]))
    if number is not None and history.find(int(number[1])) is not None:
        raise InputError(
            f"{wanted!r} is an event and the beginning of a version: write #{number[1]} for the "
            "event, or more digits of the version."
        )
    if len(fitting) > 1:
        raise InputError(
            f"{len(fitting)} versions begin with {wanted!r}: {', '.join(fitting[:3])}"
            f"{', …' * (len(fitting) > 3)}. Write more digits."
        )
    if fitting:
        return history.last_point_of(fitting[0]) or 0
    if _VERSION.fullmatch(word):
        raise NotFoundError(
            f"Dataset {dataset.name!r} never had a version {wanted!r}: "
            "`labeltrace labels log` lists those that it had."
        )
    return _before(history, _time(wanted))


def name_of(history: LabelHistory, point: int) -> str:
    """Return a name of a point that `find` understands: ``given``, ``now`` or ``#12``."""
    if not point:
        return GIVEN
    return NOW if point >= history.last_point else f"#{point}"


def _versions_that_begin(history: LabelHistory, word: str) -> list[str]:
    if not _VERSION.fullmatch(word):
        return []
    # In the order in which they came up, each once.
    return [version for version in dict.fromkeys(history.versions) if version.startswith(word)]


def _event(history: LabelHistory, dataset: Dataset, number: int) -> int:
    if number == 0 or history.find(number) is not None:
        return number
    if not history.points:
        raise NotFoundError(
            f"Dataset {dataset.name!r} has no event #{number}: nobody has decided anything yet."
        )
    raise NotFoundError(
        f"Dataset {dataset.name!r} has no event #{number}; its events lie between "
        f"#{history.points[0]} and #{history.last_point}."
    )


def _time(text: str) -> datetime:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise NotFoundError(
            f"{text!r} names no labels: expected given, now, a version (at least {SHORTEST} of its "
            "digits), the number of an event such as #12, or a time such as 2026-11-03T10:12:00Z."
        ) from error
    return from_iso(text)


def _before(history: LabelHistory, moment: datetime) -> int:
    point = 0
    for step in history.steps:
        if step.event.decided_at > moment:
            break
        point = step.number
    return point


class _Followed:
    """The newest history of one dataset; shared by all threads."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._lock = threading.Lock()
        self._history = LabelHistory(dataset.fingerprint, dataset.class_names, ())

    def now(self, shelf: Shelf) -> LabelHistory:
        with self._lock:
            fresh = shelf.logbook(self._dataset).events(len(self._history.steps))
            if fresh:
                self._history = self._history.extended(fresh)
            return self._history
