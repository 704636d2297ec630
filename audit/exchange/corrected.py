"""Resolve given labels and decisions into the labels that an export carries."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from audit.errors import InputError
from audit.records.dataset import SPLITS, UNLABELLED, Dataset, Split
from audit.records.decision import Decision, Verdict


class Reason(StrEnum):
    """Why a sample is left out of an export."""

    EXCLUDED = "excluded"
    UNREADABLE = "unreadable"
    UNLABELLED = "unlabelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedRow:
    """One sample of an export.

    Parameters
    ----------
    position
        Position in the dataset.
    sample_key, path, split, given_label
        As in the dataset; the given label is a class name, ``None`` where there was none.
    label
        The corrected label, a class name.
    verdict, reviewer, decided_at
        The decision that stands, ``None`` for an undecided sample.
    """

    position: int
    sample_key: str
    path: str | None
    split: Split
    label: str
    given_label: str | None
    verdict: Verdict | None
    reviewer: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One sample that an export does not carry, and why."""

    position: int
    sample_key: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many samples an export is about; all but the first add up to it."""

    samples: int
    kept: int = 0
    relabelled: int = 0
    excluded: int = 0
    undecided: int = 0
    unsure: int = 0
    unreadable: int = 0
    unlabelled: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the counts by name, in the order of the contract."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorrectedLabels:
    """What an export carries, in dataset order, and what it leaves out.

    Parameters
    ----------
    dataset, decisions, problems
        What it was resolved from.
    rows, left_out
        Every sample is in exactly one of them.
    counts
        Numbers of the manifest.
    """

    dataset: Dataset
    decisions: Mapping[str, Decision]
    problems: Mapping[int, str]
    rows: tuple[CorrectedRow, ...]
    left_out: tuple[LeftOut, ...]
    counts: Counts


def resolve(
    dataset: Dataset,
    decisions: Mapping[str, Decision],
    problems: Mapping[int, str] | None = None,
) -> CorrectedLabels:
    """Return the labels that stand after the decisions.

    Undecided and unsure samples keep their given label. Excluded samples are left out, and so are
    unreadable ones, whatever was decided, and unlabelled ones unless a person gave them a label.

    Parameters
    ----------
    dataset
        The samples.
    decisions
        Sample key → the decision that stands now.
    problems
        Position → why a sample cannot be read, found after the import; added to the dataset's own.

    Raises
    ------
    InputError
        If a decision names a sample or class that the dataset does not have.
    """
    known = {**dataset.problems, **(problems or {})}
    counts = count(dataset, decisions, known)
    rows: list[CorrectedRow] = []
    left_out: list[LeftOut] = []
    for position, key, given, decision in _samples(dataset, decisions):
        label, outcome = _outcome(given, decision, is_readable=position not in known)
        if label is None:
            left_out.append(LeftOut(position=position, sample_key=key, reason=Reason(outcome)))
            continue
        rows.append(
            CorrectedRow(
                position=position,
                sample_key=key,
                path=dataset.paths[position],
                split=SPLITS[dataset.splits[position]],
                label=label,
                given_label=given,
                verdict=decision.verdict if decision else None,
                reviewer=decision.reviewer if decision else None,
                decided_at=decision.decided_at if decision else None,
            )
        )
    return CorrectedLabels(
        dataset=dataset,
        decisions=decisions,
        problems=known,
        rows=tuple(rows),
        left_out=tuple(left_out),
        counts=counts,
    )


def count(
    dataset: Dataset,
    decisions: Mapping[str, Decision],
    problems: Mapping[int, str] | None = None,
) -> Counts:
    """Return the counts of `resolve` without its rows: what nobody decided on is not looked at.

    Parameters
    ----------
    dataset, decisions, problems
        As for `resolve`.

    Raises
    ------
    InputError
        If a decision names a sample or class that the dataset does not have.
    """
    _check(dataset, decisions)
    known = {**dataset.problems, **(problems or {})}
    is_special = dataset.given_labels == UNLABELLED
    if known:
        is_special[np.fromiter(known, dtype=np.int64, count=len(known))] = True
    if decisions:
        positions = dataset.positions()
        is_special[[positions[key] for key in decisions]] = True
    tally = dict.fromkeys(Counts.__dataclass_fields__, 0)
    special = np.flatnonzero(is_special).tolist()
    for position in special:
        index = int(dataset.given_labels[position])
        given = None if index == UNLABELLED else dataset.class_names[index]
        decision = decisions.get(dataset.sample_keys[position])
        _, outcome = _outcome(given, decision, is_readable=position not in known)
        tally[outcome] += 1
    tally["samples"] = dataset.n_samples
    tally["undecided"] += dataset.n_samples - len(special)
    return Counts(**tally)


def _samples(
    dataset: Dataset, decisions: Mapping[str, Decision]
) -> Iterator[tuple[int, str, str | None, Decision | None]]:
    labels = dataset.given_labels.tolist()
    for position, key in enumerate(dataset.sample_keys):
        index = labels[position]
        given = None if index == UNLABELLED else dataset.class_names[index]
        yield position, key, given, decisions.get(key)


def _outcome(
    given: str | None, decision: Decision | None, *, is_readable: bool
) -> tuple[str | None, str]:
    """Return the label (``None``: left out) and the name of the count."""
    verdict = decision.verdict if decision else None
    if not is_readable:
        return None, "unreadable"
    if decision is not None and verdict is Verdict.RELABEL:
        return decision.label, "relabelled"
    if verdict is Verdict.EXCLUDE:
        return None, "excluded"
    if given is None:
        return None, "unlabelled"
    if verdict is None:
        return given, "undecided"
    return given, "kept" if verdict is Verdict.KEEP else "unsure"


def _check(dataset: Dataset, decisions: Mapping[str, Decision]) -> None:
    keys, classes = set(dataset.sample_keys), set(dataset.class_names)
    for key, decision in decisions.items():
        if key not in keys:
            raise InputError(f"A decision names {key!r}, which {dataset.name!r} does not have.")
        if decision.verdict is Verdict.RELABEL and decision.label not in classes:
            raise InputError(
                f"The decision on {key!r} gives the label {decision.label!r}, "
                f"which is no class of {dataset.name!r}."
            )
