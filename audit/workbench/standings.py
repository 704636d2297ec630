"""The decisions that stand on a dataset, followed as the log grows instead of read anew each time."""

import bisect
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Decision, Undo, Verdict
from audit.store import decisions as decision_rows
from audit.store.decisions import Superseded
from audit.store.workspace import Workspace

UNDECIDED = -1
"""Code in `Standing.verdicts` of a sample that nobody decided on."""

VERDICTS: tuple[Verdict, ...] = (Verdict.KEEP, Verdict.RELABEL, Verdict.EXCLUDE, Verdict.UNSURE)
"""Position = code in `Standing.verdicts`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The decisions that stand on a dataset, as arrays over its samples.

    Parameters
    ----------
    last_id
        Number of the last event in the log when this was read, 0 before the first.
    decisions
        The standing decision by sample key.
    verdicts
        Code into `VERDICTS` per sample, (N,) int8, `UNDECIDED` where there is none.
    labels
        Class index after review, (N,) int32: the corrected label of a relabel, otherwise the given
        one; `UNLABELLED` where there is none.
    """

    last_id: int
    decisions: dict[str, Decision]
    verdicts: NDArray[np.int8]
    labels: NDArray[np.int32]


class Logbook:
    """Follows the log of decisions of one dataset; shared by all threads.

    Each look reads only what was appended since the look before. What it hands out is a picture of
    that moment and does not change.

    Parameters
    ----------
    workspace, dataset
        Whose log.
    positions
        Position of every sample key.
    """

    def __init__(self, workspace: Workspace, dataset: Dataset, positions: dict[str, int]) -> None:
        self._workspace = workspace
        self._dataset = dataset
        self._positions = positions
        self._classes = {name: index for index, name in enumerate(dataset.class_names)}
        self._lock = threading.Lock()
        self._events: list[Decision | Undo] = []
        self._tally = _Tally()
        self._standing = self._drawn_anew(self._tally, 0)

    def now(self) -> Standing:
        """Return what stands right now."""
        with self._lock:
            self._follow()
            return self._standing

    def at(self, event: int) -> Standing:
        """Return what stood when an event of the log was the last one.

        Parameters
        ----------
        event
            Number of an event; one beyond the last means now.
        """
        with self._lock:
            self._follow()
            if event >= self._standing.last_id:
                return self._standing
            n_before = bisect.bisect_right(self._events, event, key=_number)
            before = self._events[:n_before]
        tally = _Tally()
        tally.take(before)
        return self._drawn_anew(tally, _number(before[-1]) if before else 0)

    def history(self, sample_key: str) -> tuple[Decision, ...]:
        """Return the decisions about a sample that count, as of the last look; the last one stands.

        Asked sample by sample, so it does not look again: call `now` first.
        """
        with self._lock:
            return tuple(self._tally.counting.get(sample_key, ()))

    def find(self, number: int) -> Decision | None:
        """Return the decision of a number, taken back or not."""
        with self._lock:
            self._follow()
            place = bisect.bisect_left(self._events, number, key=_number)
            event = self._events[place] if place < len(self._events) else None
        return event if isinstance(event, Decision) and event.id == number else None

    def events(self, start: int = 0) -> list[Decision | Undo]:
        """Return the events of the log as of now, in order, without the first `start` of them."""
        with self._lock:
            self._follow()
            return self._events[start:]

    def superseded_by_others(self, reviewer: str) -> list[Superseded]:
        """Return a person's own last decisions that another person's later one replaced.

        Returns
        -------
        list of Superseded
            As `audit.store.decisions.superseded_by_others`.
        """
        with self._lock:
            self._follow()
            contested = [self._tally.counting[key] for key in self._tally.contested]
        replaced: list[Superseded] = []
        for decisions in contested:
            standing = decisions[-1]
            own = [decision for decision in decisions if decision.reviewer == reviewer]
            if own and standing.reviewer != reviewer:
                replaced.append(Superseded(own=own[-1], standing=standing))
        return sorted(replaced, key=lambda pair: pair.standing.id or 0)

    def _follow(self) -> None:
        last_id = self._standing.last_id
        fresh = decision_rows.log(self._workspace, self._dataset.id, after=last_id)
        if not fresh:
            return
        self._events.extend(fresh)
        touched = self._tally.take(fresh)
        decisions = self._standing.decisions.copy()
        verdicts, labels = self._standing.verdicts.copy(), self._standing.labels.copy()
        for key in touched:
            counting = self._tally.counting.get(key)
            if counting:
                decisions[key] = counting[-1]
            else:
                decisions.pop(key, None)
            self._draw(key, decisions.get(key), verdicts, labels)
        self._standing = Standing(
            last_id=_number(fresh[-1]), decisions=decisions, verdicts=verdicts, labels=labels
        )

    def _drawn_anew(self, tally: "_Tally", last_id: int) -> Standing:
        decisions = {key: counting[-1] for key, counting in tally.counting.items()}
        verdicts = np.full(self._dataset.n_samples, UNDECIDED, dtype=np.int8)
        labels = self._dataset.given_labels.copy()
        for key, decision in decisions.items():
            self._draw(key, decision, verdicts, labels)
        return Standing(last_id=last_id, decisions=decisions, verdicts=verdicts, labels=labels)

    def _draw(
        self,
        key: str,
        decision: Decision | None,
        verdicts: NDArray[np.int8],
        labels: NDArray[np.int32],
    ) -> None:
        position = self._positions.get(key)
        if position is None:
            return
        verdicts[position] = UNDECIDED if decision is None else VERDICTS.index(decision.verdict)
        if decision is not None and decision.verdict is Verdict.RELABEL:
            labels[position] = self._classes.get(decision.label or "", UNLABELLED)
        else:
            labels[position] = self._dataset.given_labels[position]


class _Tally:
    """Decisions that count, by key, each list in the order in which they stand."""

    def __init__(self) -> None:
        self.counting: dict[str, list[Decision]] = {}
        self.contested: set[str] = set()

    def take(self, events: Iterable[Decision | Undo]) -> set[str]:
        """Take events in the order of the log and return the keys that they touch."""
        touched: set[str] = set()
        for event in events:
            touched.add(event.sample_key)
            if isinstance(event, Decision):
                bisect.insort(self.counting.setdefault(event.sample_key, []), event, key=_order)
                continue
            left = [d for d in self.counting.get(event.sample_key, ()) if d.id != event.undoes]
            if left:
                self.counting[event.sample_key] = left
            else:
                self.counting.pop(event.sample_key, None)
        for key in touched:
            if len({decision.reviewer for decision in self.counting.get(key, ())}) > 1:
                self.contested.add(key)
            else:
                self.contested.discard(key)
        return touched


def _order(decision: Decision) -> tuple[datetime, int]:
    return decision.decided_at, _number(decision)


def _number(event: Decision | Undo) -> int:
    assert event.id is not None, "events of the log have numbers"
    return event.id
