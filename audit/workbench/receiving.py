"""What a browser sends of decisions: checked, stored in order, acknowledged, refused one by one.

A browser keeps what it sends until it is acknowledged or refused, and sends it again. So everything
here may come twice, late, or broken, and nothing that comes may hinder what comes with it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from audit.errors import AuditError, InputError, NotFoundError, WorkspaceError
from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Decision, Undo, Verdict, from_iso
from audit.store import decisions as decision_rows
from audit.store.decisions import TakeBack
from audit.workbench.shelf import Shelf

MOST_ENTRIES = 1000
"""Entries of one message that are looked at; the rest stays in the browser and is sent again."""

LONGEST_NOTE = 2000
"""Characters of a note."""

NAMELESS = "Enter your name to decide: decisions are recorded under it."
"""What a person without a name is told."""

OLDEST = timedelta(days=30)
"""An older time is not believed."""

_LONGEST_KEY, _LONGEST_SHOWN = 4096, 512
_MOST_SEQUENCE = 2**53
_MOST_TOLD = 20
_ID = re.compile(r"[0-9a-z]{1,64}", re.ASCII)
_CLIENT = re.compile(r"[0-9A-Za-z_.:-]{1,64}", re.ASCII)

_SHOWN_NUMBERS = ("position", "suspicion", "rank", "ms", "decided")
_SHOWN_TEXTS = ("given", "suggested", "method", "scores_id", "painted_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An entry that will never be stored, and why.

    Parameters
    ----------
    client, sequence
        Whose entry, as far as that can be read.
    index
        Its place in the message.
    reason
        One sentence.
    """

    client: str | None
    sequence: int | None
    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two people decided on one sample: both are told.

    Parameters
    ----------
    own
        The reviewer's own decision.
    other
        The other person's.
    own_stands
        Whether the own one replaced the other; otherwise the other replaced the own.
    """

    own: Decision
    other: Decision
    own_stands: bool

    @property
    def agrees(self) -> bool:
        """Whether both decided the same."""
        return (self.own.verdict, self.own.label) == (self.other.verdict, self.other.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of a message.

    Parameters
    ----------
    acks
        Client → sequences that are stored, now or since before.
    refused
        Entries that leave the browser unstored.
    conflicts
        What was replaced by this message, then the reviewer's own last decisions that other people
        replaced, newest first; at most twenty of each.
    numbers
        Client and sequence → number of the event in the log.
    problem
        Why nothing could be stored, as one sentence; what is not acknowledged is sent again.
    """

    acks: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    refused: tuple[Refused, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    numbers: Mapping[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, for the browser."""
        return {
            "acks": {client: list(sequences) for client, sequences in self.acks.items()},
            "refused": [
                {"client": r.client, "seq": r.sequence, "index": r.index, "reason": r.reason}
                for r in self.refused
            ],
            "conflicts": [_conflict_to_json(conflict) for conflict in self.conflicts],
            "numbers": [
                {"client": client, "seq": sequence, "id": number}
                for (client, sequence), number in self.numbers.items()
            ],
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class _Checked:
    index: int
    dataset: Dataset
    act: Decision | TakeBack


def receive(shelf: Shelf, entries: object, *, reviewer: str, now: datetime) -> Received:
    """Store what a browser sends and say what became of each entry; never raises for what it holds.

    Parameters
    ----------
    shelf
        Of the workspace.
    entries
        From the browser, not to be trusted: a list of entries, or an object with one under
        ``entries``.
    reviewer
        Who decides; the browser is not asked.
    now
        The moment, UTC. The browser's own time of a decision counts if it lies in the thirty days
        before.

    Returns
    -------
    Received
        Every entry is acknowledged, refused, or left for the next time.
    """
    assert now.tzinfo is not None, "times carry a zone"
    if isinstance(entries, Mapping):
        entries = cast("Mapping[object, object]", entries).get("entries")
    if entries is None:
        return Received()
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes | bytearray):
        return Received(problem="What the browser sent is no list of decisions: reload the page.")
    if entries and not reviewer.strip():
        # Not refused one by one: they wait in the browser until there is a name.
        return Received(problem=NAMELESS)
    reader = _Reader(shelf, reviewer, now)
    checked: list[_Checked] = []
    refused: list[Refused] = []
    try:
        for index, entry in enumerate(entries[:MOST_ENTRIES]):
            try:
                checked.append(reader.read(index, entry))
            except WorkspaceError:
                raise
            except AuditError as error:
                refused.append(_refused(index, entry, error))
        stored = decision_rows.record(shelf.workspace, [part.act for part in checked])
    except WorkspaceError as error:
        return Received(refused=tuple(refused), problem=str(error))
    acks: dict[str, list[int]] = {}
    numbers: dict[tuple[str, int], int] = {}
    for part, answer in zip(checked, stored, strict=True):
        client, sequence = part.act.client, part.act.sequence
        assert client is not None, "entries without a client are refused"
        assert sequence is not None, "entries without a number are refused"
        if isinstance(answer, AuditError):
            refused.append(
                Refused(client=client, sequence=sequence, index=part.index, reason=str(answer))
            )
            continue
        assert answer.id is not None, "what is stored has a number"
        acks.setdefault(client, []).append(sequence)
        numbers[client, sequence] = answer.id
    return Received(
        acks={client: tuple(dict.fromkeys(sequences)) for client, sequences in acks.items()},
        refused=tuple(sorted(refused, key=lambda one: one.index)),
        conflicts=_conflicts_or_none(shelf, checked, stored, reviewer),
        numbers=numbers,
    )


class _Reader:
    """Turns entries into acts, or refuses them; looks each dataset up once per message."""

    def __init__(self, shelf: Shelf, reviewer: str, now: datetime) -> None:
        self._shelf = shelf
        self._reviewer = reviewer
        self._now = now
        self._datasets: dict[str, Dataset] = {}
        self._last_of_key: dict[tuple[str, str], datetime] = {}

    def read(self, index: int, entry: object) -> _Checked:
        """Return a checked entry.

        Raises
        ------
        InputError, NotFoundError
            If it cannot be stored, whatever happens later.
        """
        if not isinstance(entry, Mapping):
            raise InputError("This is no decision.")
        values = cast("Mapping[str, object]", entry)
        client, sequence = _sender(values)
        dataset = self._dataset(values.get("dataset"))
        key = _text(values, "key", _LONGEST_KEY)
        position = self._shelf.positions(dataset).get(key)
        if position is None:
            raise NotFoundError(f"Dataset {dataset.name!r} has no sample {key!r}.")
        kind = values.get("kind")
        if kind == "undo":
            act: Decision | TakeBack = TakeBack(
                dataset_id=dataset.id,
                sample_key=key,
                of=_of(values.get("of")),
                reviewer=self._reviewer,
                decided_at=self._moment(values),
                client=client,
                sequence=sequence,
            )
        elif kind == "decide":
            verdict, label = self._verdict(dataset, position, values)
            shown = _shown(values.get("shown"))
            act = Decision(
                dataset_id=dataset.id,
                sample_key=key,
                given_label=_given(dataset, position),
                verdict=verdict,
                label=label,
                reviewer=self._reviewer,
                decided_at=self._in_turn(dataset, key, client, shown, self._moment(values)),
                note=_note(values.get("note")),
                evidence={"shown": shown} if shown else None,
                client=client,
                sequence=sequence,
            )
        else:
            raise InputError("Only decisions and undos can be sent.")
        return _Checked(index, dataset, act)

    def _dataset(self, dataset_id: object) -> Dataset:
        if not isinstance(dataset_id, str) or not _ID.fullmatch(dataset_id):
            raise InputError("A decision needs the id of its dataset.")
        if dataset_id not in self._datasets:
            found = self._shelf.dataset(dataset_id)
            if found.id != dataset_id:
                raise NotFoundError(f"There is no dataset with the id {dataset_id!r}.")
            self._datasets[dataset_id] = found
            self._shelf.logbook(found).now()
        return self._datasets[dataset_id]

    def _verdict(
        self, dataset: Dataset, position: int, values: Mapping[str, object]
    ) -> tuple[Verdict, str | None]:
        word = values.get("verdict")
        if not isinstance(word, str) or word not in tuple(Verdict):
            raise InputError(f"A verdict is one of {', '.join(Verdict)}.")
        verdict, given = Verdict(word), _given(dataset, position)
        if verdict is Verdict.RELABEL:
            label = _text(values, "label", _LONGEST_KEY)
            if label not in self._shelf.classes(dataset):
                raise NotFoundError(f"Dataset {dataset.name!r} has no class {label!r}.")
            return (Verdict.KEEP, given) if label == given else (verdict, label)
        if verdict is Verdict.KEEP:
            if given is None:
                raise InputError("This sample has no given label to keep: relabel or exclude it.")
            return verdict, given
        return verdict, None

    def _moment(self, values: Mapping[str, object]) -> datetime:
        """Return the browser's time if it can be believed, otherwise now."""
        text = values.get("at")
        if not isinstance(text, str) or len(text) > 64:
            return self._now
        try:
            moment = from_iso(text)
        except InputError:
            return self._now
        return moment if self._now - OLDEST <= moment <= self._now else self._now

    def _in_turn(
        self,
        dataset: Dataset,
        key: str,
        client: str,
        shown: Mapping[str, object],
        moment: datetime,
    ) -> datetime:
        """Return a time not before that of what this person had decided, or seen decided, before.

        The later decision stands; a clock that was set back must not turn that round.
        """
        earlier = [self._last_of_key.get((dataset.id, key), moment)]
        for decision in self._shelf.logbook(dataset).history(key):
            is_own = decision.reviewer == self._reviewer and decision.client == client
            if is_own or decision.id == shown.get("decided"):
                earlier.append(decision.decided_at)
        in_turn = max(moment, min(max(earlier), self._now))
        self._last_of_key[dataset.id, key] = in_turn
        return in_turn


def _sender(values: Mapping[str, object]) -> tuple[str, int]:
    client, sequence = values.get("client"), values.get("seq")
    if not isinstance(client, str) or not _CLIENT.fullmatch(client):
        raise InputError("A decision needs the id of its sender.")
    if not _is_sequence(sequence):
        raise InputError("A decision needs the running number of its sender.")
    return client, cast("int", sequence)


def _of(value: object) -> int | tuple[str, int]:
    if isinstance(value, Mapping):
        values = cast("Mapping[str, object]", value)
        number = values.get("id")
        if _is_sequence(number):
            return cast("int", number)
        if "client" in values:
            return _sender(values)
    raise InputError("An undo needs to name the decision that it takes back.")


def _text(values: Mapping[str, object], name: str, longest: int) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value or len(value) > longest:
        raise InputError(f"A decision needs a {name} of 1 to {longest} characters.")
    return value


def _note(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError("A note is text.")
    if len(value) > LONGEST_NOTE:
        raise InputError(f"A note has at most {LONGEST_NOTE} characters, this one {len(value)}.")
    return value.strip()


def _shown(value: object) -> dict[str, object]:
    """Return what was on the screen, as far as it can be believed; it is not worth a refusal."""
    if not isinstance(value, Mapping):
        return {}
    values = cast("Mapping[str, object]", value)
    found: dict[str, object] = {}
    for name in _SHOWN_NUMBERS:
        number = values.get(name)
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if is_number and abs(cast("float", number)) < _MOST_SEQUENCE:  # false for NaN
            found[name] = number
    for name in _SHOWN_TEXTS:
        text = values.get(name)
        if isinstance(text, str) and len(text) <= _LONGEST_SHOWN and _is_storable(text):
            found[name] = text
    return found


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_sequence(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_SEQUENCE


def _given(dataset: Dataset, position: int) -> str | None:
    index = int(dataset.given_labels[position])
    return None if index == UNLABELLED else dataset.class_names[index]


def _refused(index: int, entry: object, error: AuditError) -> Refused:
    values = cast("Mapping[str, object]", entry) if isinstance(entry, Mapping) else {}
    client, sequence = values.get("client"), values.get("seq")
    return Refused(
        client=client[:64] if isinstance(client, str) else None,
        sequence=cast("int", sequence) if _is_sequence(sequence) else None,
        index=index,
        reason=str(error),
    )


def _conflicts_or_none(
    shelf: Shelf,
    checked: Sequence[_Checked],
    stored: Sequence[Decision | Undo | AuditError],
    reviewer: str,
) -> tuple[Conflict, ...]:
    # What is stored is acknowledged, even if nobody can say any more whom it met.
    try:
        return _conflicts(shelf, checked, stored, reviewer)
    except AuditError:
        return ()


def _conflicts(
    shelf: Shelf,
    checked: Sequence[_Checked],
    stored: Sequence[Decision | Undo | AuditError],
    reviewer: str,
) -> tuple[Conflict, ...]:
    found: list[Conflict] = []
    datasets = {part.dataset.id: part.dataset for part in checked}
    for dataset in datasets.values():
        shelf.logbook(dataset).now()
    for part, answer in zip(checked, stored, strict=True):
        if not isinstance(answer, Decision):
            continue
        history = shelf.logbook(part.dataset).history(answer.sample_key)
        if len(history) > 1 and history[-1].id == answer.id and history[-2].reviewer != reviewer:
            found.append(Conflict(own=history[-1], other=history[-2], own_stands=True))
    replaced = {conflict.own.id: conflict for conflict in found[-_MOST_TOLD:]}
    told = list(replaced.values())
    for dataset in datasets.values():
        by_others = shelf.logbook(dataset).superseded_by_others(reviewer)
        told += [
            Conflict(own=pair.own, other=pair.standing, own_stands=False)
            for pair in reversed(by_others[-_MOST_TOLD:])
        ]
    return tuple(told)


def _conflict_to_json(conflict: Conflict) -> dict[str, Any]:
    return {
        "dataset": conflict.own.dataset_id,
        "key": conflict.own.sample_key,
        "own_stands": conflict.own_stands,
        "agrees": conflict.agrees,
        "own": _decision_to_json(conflict.own),
        "other": _decision_to_json(conflict.other),
    }


def _decision_to_json(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "verdict": str(decision.verdict),
        "label": decision.label,
        "reviewer": decision.reviewer,
    }
