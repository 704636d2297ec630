"""Resolve given labels and decisions into the labels that an export carries."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

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
    positions, labels
        Of the M samples that it carries, ascending, (M,) int64, and their corrected labels as class
        indices, (M,) int32.
    left_out
        All other samples.
    counts
        Numbers of the manifest.
    """

    dataset: Dataset
    decisions: Mapping[str, Decision]
    problems: Mapping[int, str]
    positions: NDArray[np.int64]
    labels: NDArray[np.int32]
    left_out: tuple[LeftOut, ...]
    counts: Counts

    def rows(self) -> Iterator[CorrectedRow]:
        """Yield the samples that the export carries, one by one."""
        dataset = self.dataset
        for position, label in zip(self.positions.tolist(), self.labels.tolist(), strict=True):
            key = dataset.sample_keys[position]
            decision = self.decisions.get(key)
            yield CorrectedRow(
                position=position,
                sample_key=key,
                path=dataset.paths[position],
                split=SPLITS[dataset.splits[position]],
                label=dataset.class_names[label],
                given_label=_given(dataset, position),
                verdict=decision.verdict if decision else None,
                reviewer=decision.reviewer if decision else None,
                decided_at=decision.decided_at if decision else None,
            )


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
    classes = {name: index for index, name in enumerate(dataset.class_names)}
    labels = dataset.given_labels.copy()
    is_carried = np.ones(dataset.n_samples, dtype=np.bool_)
    left_out: list[LeftOut] = []
    tally = _no_counts()
    for position, label, outcome in _special(dataset, decisions, known):
        tally[outcome] += 1
        if label is None:
            is_carried[position] = False
            key = dataset.sample_keys[position]
            left_out.append(LeftOut(position=position, sample_key=key, reason=Reason(outcome)))
        else:
            labels[position] = classes[label]
    positions = np.flatnonzero(is_carried)
    return CorrectedLabels(
        dataset=dataset,
        decisions=decisions,
        problems=known,
        positions=positions,
        labels=labels[positions],
        left_out=tuple(left_out),
        counts=_counts(dataset, tally),
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
    known = {**dataset.problems, **(problems or {})}
    tally = _no_counts()
    for _, _, outcome in _special(dataset, decisions, known):
        tally[outcome] += 1
    return _counts(dataset, tally)


def _special(
    dataset: Dataset, decisions: Mapping[str, Decision], problems: Mapping[int, str]
) -> Iterator[tuple[int, str | None, str]]:
    """Yield position and `_outcome` of all samples but those that simply keep their given label."""
    _check_labels(dataset, decisions)
    is_special = dataset.given_labels == UNLABELLED
    if problems:
        is_special[np.fromiter(problems, dtype=np.int64, count=len(problems))] = True
    if decisions:
        positions = dataset.positions()
        for key in decisions:
            if key not in positions:
                raise InputError(f"A decision names {key!r}, which {dataset.name!r} does not have.")
            is_special[positions[key]] = True
    for position in np.flatnonzero(is_special).tolist():
        decision = decisions.get(dataset.sample_keys[position])
        given = _given(dataset, position)
        yield position, *_outcome(given, decision, is_readable=position not in problems)


def _no_counts() -> dict[str, int]:
    return dict.fromkeys(Counts.__dataclass_fields__, 0)


def _counts(dataset: Dataset, tally: dict[str, int]) -> Counts:
    """Return the counts, given those of the special samples."""
    n_others = dataset.n_samples - sum(tally.values())
    return Counts(
        **tally | {"samples": dataset.n_samples, "undecided": tally["undecided"] + n_others}
    )


def _given(dataset: Dataset, position: int) -> str | None:
    index = int(dataset.given_labels[position])
    return None if index == UNLABELLED else dataset.class_names[index]


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


def _check_labels(dataset: Dataset, decisions: Mapping[str, Decision]) -> None:
    classes = set(dataset.class_names)
    for key, decision in decisions.items():
        if decision.verdict is Verdict.RELABEL and decision.label not in classes:
            raise InputError(
                f"The decision on {key!r} gives the label {decision.label!r}, "
                f"which is no class of {dataset.name!r}."
            )
