"""Decisions: record, take back, and say when two people disagree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audit.errors import InputError, NotFoundError
from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Decision, Undo, Verdict
from audit.store import decisions as decision_rows
from audit.store import scores as score_rows
from audit.store.decisions import Superseded
from audit.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A recorded decision and what it replaced.

    Parameters
    ----------
    decision
        As stored.
    replaced
        Another person's decision that stood before, or ``None``.
    overruled
        Earlier decisions of this reviewer that other people have since replaced.
    """

    decision: Decision
    replaced: Decision | None
    overruled: tuple[Superseded, ...]


def decide(
    workspace: Workspace,
    dataset: Dataset,
    sample_key: str,
    verdict: Verdict,
    *,
    label: str | None = None,
    reviewer: str,
    note: str = "",
) -> Decided:
    """Record what a person decided about one sample.

    Parameters
    ----------
    workspace, dataset, sample_key
        What is decided on.
    verdict
        Keep, relabel, exclude or unsure.
    label
        The corrected class for a relabel, as a name of the dataset's classes.
    reviewer
        Who decides.
    note
        Free text.

    Raises
    ------
    NotFoundError
        If the sample or the class does not exist; names close ones.
    InputError
        If a relabel names the given label, or a keep is asked for a sample without one.
    """
    given = given_label(dataset, sample_key)
    if verdict is Verdict.RELABEL:
        label = find_class(dataset, label)
    elif verdict is Verdict.KEEP:
        if given is None:
            raise InputError(
                f"Sample {sample_key!r} has no given label to keep: relabel or exclude it."
            )
        label = given
    before = decision_rows.current(workspace, dataset.id, sample_key).get(sample_key)
    stored = decision_rows.append(
        workspace,
        [
            Decision(
                dataset_id=dataset.id,
                sample_key=sample_key,
                given_label=given,
                verdict=verdict,
                label=label,
                reviewer=reviewer,
                decided_at=datetime.now(UTC),
                note=note,
                evidence=evidence(workspace, dataset, sample_key),
            )
        ],
    )
    return Decided(
        decision=stored[0],
        replaced=before if before is not None and before.reviewer != reviewer else None,
        overruled=tuple(decision_rows.superseded_by_others(workspace, dataset.id, reviewer)),
    )


def undo(workspace: Workspace, dataset: Dataset, sample_key: str, *, reviewer: str) -> Undo:
    """Take back the decision that stands on a sample; the one before it stands again.

    Raises
    ------
    NotFoundError
        If the sample does not exist or nothing is decided on it.
    """
    given_label(dataset, sample_key)
    return decision_rows.undo(
        workspace, dataset.id, sample_key, reviewer=reviewer, at=datetime.now(UTC)
    )


def given_label(dataset: Dataset, sample_key: str) -> str | None:
    """Return a sample's given label as a class name, ``None`` when it is unlabelled.

    Raises
    ------
    NotFoundError
        If there is no such sample; names one that ends alike.
    """
    position = position_of(dataset, sample_key)
    index = int(dataset.given_labels[position])
    return None if index == UNLABELLED else dataset.class_names[index]


def position_of(dataset: Dataset, sample_key: str) -> int:
    """Return the position of a sample key.

    Raises
    ------
    NotFoundError
        If there is no such sample; names one that ends alike.
    """
    try:
        return dataset.sample_keys.index(sample_key)
    except ValueError:
        tail = sample_key.rsplit("/", 1)[-1]
        close = next((key for key in dataset.sample_keys if key.endswith(tail)), None)
        hint = f"; did you mean {close!r}?" if close else f", such as {dataset.sample_keys[0]!r}."
        raise NotFoundError(
            f"Dataset {dataset.name!r} has no sample {sample_key!r}{hint}"
        ) from None


def find_class(dataset: Dataset, name: str | None) -> str:
    """Return a class name that the dataset has.

    Raises
    ------
    NotFoundError
        If it has no such class; names some that it has.
    """
    if name in dataset.class_names:
        return str(name)
    some = ", ".join(repr(known) for known in dataset.class_names[:12])
    more = f" and {dataset.n_classes - 12} more" if dataset.n_classes > 12 else ""
    raise NotFoundError(f"Dataset {dataset.name!r} has no class {name!r}; it has {some}{more}.")


def evidence(workspace: Workspace, dataset: Dataset, sample_key: str) -> Mapping[str, Any] | None:
    """Return what the newest scores say of a sample, to be kept with a decision on it."""
    position = position_of(dataset, sample_key)
    newest = score_rows.latest(workspace, dataset.id)
    if not newest:
        return None
    said: dict[str, Any] = {}
    for method, summary in sorted(newest.items()):
        scores = score_rows.load(workspace, summary.id)
        suspicion = float(scores.suspicion[position])
        suggestion = int(scores.suggested_label[position])
        is_scored = not math.isnan(suspicion)
        said[method] = {
            "runs": list(scores.run_ids),
            "version": scores.spec.version,
            "suspicion": suspicion if is_scored else None,
            "rank": int((scores.suspicion > suspicion).sum()) + 1 if is_scored else None,
            "suggested_label": dataset.class_names[suggestion] if suggestion >= 0 else None,
        }
    return said


def standing(workspace: Workspace, dataset: Dataset, sample_key: str) -> Decision | None:
    """Return the decision that stands on a sample, or ``None`` while it is undecided."""
    return decision_rows.current(workspace, dataset.id, sample_key).get(sample_key)
