"""Logits or probabilities of every epoch → training dynamics in our own form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics import signals
from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics

_SUM_TOLERANCE = 1e-2  # probabilities of one sample; float16 tables of many classes are that rough


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """Dynamics recorded elsewhere, and what its samples and classes are called.

    Parameters
    ----------
    dynamics
        One row of role ``GIVEN`` per labelled sample.
    sample_ids
        N distinct texts, in the order of the file.
    class_names
        K texts; empty where the file does not say.
    given_labels
        Class index per sample, (N,) int32, -1 where the file does not say.
    is_average
        Whether the only epoch is an average over all of them, so that none may be skipped.
    """

    dynamics: TrainingDynamics
    sample_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    given_labels: NDArray[np.int32]
    is_average: bool = False


def of_logits(
    name: str,
    *,
    epochs: Iterable[NDArray[np.generic]],
    labels: NDArray[np.int64],
    sample_ids: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Recorded:
    """Return dynamics with every signal, from logits.

    Parameters
    ----------
    name
        The file, for messages.
    epochs
        Per epoch (N, K) floating, logit units.
    labels
        (N,) integers in -1..K-1; negative = unlabelled.
    sample_ids, class_names
        Positions and ``"0"``, ``"1"``, … where they are missing.

    Raises
    ------
    InputError
        If a logit is not finite or the parts do not fit.
    """
    recorded: list[dict[str, NDArray[np.generic]]] = []
    totals: NDArray[np.float64] | None = None
    rows = np.flatnonzero(labels >= 0)
    for epoch, values in enumerate(epochs):
        logits = _checked(name, epoch, values, labels)[rows]
        recorded.append(signals.of_epoch(logits, labels[rows]))
        mean = signals.probabilities(logits)
        totals = mean if totals is None else totals + mean
    return _made(
        name,
        recorded=recorded,
        totals=totals,
        labels=labels,
        sample_ids=sample_ids,
        class_names=class_names,
    )


def of_probabilities(
    name: str,
    *,
    epochs: Iterable[NDArray[np.generic]],
    labels: NDArray[np.int64],
    sample_ids: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Recorded:
    """Return dynamics with ``given_probability`` and ``loss`` only: margins need logits.

    Parameters and errors are those of `of_logits`, with probabilities instead: each in [0, 1], each
    sample's summing to 1.
    """
    recorded: list[dict[str, NDArray[np.generic]]] = []
    totals: NDArray[np.float64] | None = None
    rows = np.flatnonzero(labels >= 0)
    smallest = float(np.finfo(np.float32).tiny)  # keeps the loss finite; 87.3 nats
    for epoch, values in enumerate(epochs):
        probabilities = _checked(name, epoch, values, labels)[rows]
        sums = probabilities.sum(axis=1)
        if probabilities.size and (
            probabilities.min() < 0
            or probabilities.max() > 1 + _SUM_TOLERANCE
            or np.abs(sums - 1).max() > _SUM_TOLERANCE
        ):
            raise InputError(
                f"{name!r}: probs of epoch {epoch} are no probabilities (each in [0, 1], "
                "each sample's summing to 1): if they are logits, name them so."
            )
        own = np.clip(probabilities[np.arange(len(rows)), labels[rows]], 0.0, 1.0)
        recorded.append(
            {
                "given_probability": own.astype(np.float32),
                "loss": (-np.log(np.maximum(own, smallest))).astype(np.float32),
            }
        )
        totals = probabilities if totals is None else totals + probabilities
    return _made(
        name,
        recorded=recorded,
        totals=totals,
        labels=labels,
        sample_ids=sample_ids,
        class_names=class_names,
    )


def distinct(sample_ids: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the ids; raise `InputError` if one is there twice."""
    seen: set[str] = set()
    for one in sample_ids:
        if one in seen:
            raise InputError(f"{name!r}: the sample {one!r} is there twice.")
        seen.add(one)
    return tuple(sample_ids)


def _checked(
    name: str, epoch: int, values: NDArray[np.generic], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    wide = np.asarray(values, dtype=np.float64)
    if wide.ndim != 2 or len(wide) != len(labels) or wide.shape[1] < 2:
        raise InputError(
            f"{name!r}: epoch {epoch} has shape {wide.shape}, expected ({len(labels)}, 2 or more)."
        )
    if labels.max() >= wide.shape[1]:
        raise InputError(
            f"{name!r}: label {labels.max()} is too large for {wide.shape[1]} classes, which count "
            "from 0."
        )
    finite = np.isfinite(wide).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{name!r}: sample {int(np.argmin(finite))} has values in epoch {epoch} that are not "
            "finite."
        )
    return wide


def _made(
    name: str,
    *,
    recorded: list[dict[str, NDArray[np.generic]]],
    totals: NDArray[np.float64] | None,
    labels: NDArray[np.int64],
    sample_ids: Sequence[str] | None,
    class_names: Sequence[str] | None,
) -> Recorded:
    n_samples = len(labels)
    rows = np.flatnonzero(labels >= 0)
    if totals is None or not len(rows):
        raise InputError(f"{name!r} holds no epoch or no labelled sample.")
    n_classes = totals.shape[1]
    ids = distinct(sample_ids or [str(place) for place in range(n_samples)], name)
    if len(ids) != n_samples:
        raise InputError(f"{name!r}: {n_samples} labels need as many ids, got {len(ids)}.")
    dynamics = TrainingDynamics(
        run_id=name,
        n_samples=n_samples,
        n_classes=n_classes,
        sample=rows.astype(np.int64),
        assigned_label=labels[rows].astype(np.int32),
        role=np.full(len(rows), Role.GIVEN, dtype=np.int8),
        signals={key: np.stack([epoch[key] for epoch in recorded]) for key in recorded[0]},
        mean_probabilities=MeanProbabilities(
            classes=np.broadcast_to(np.arange(n_classes, dtype=np.int32), totals.shape),
            values=(totals / len(recorded)).astype(np.float32),
            is_full=True,
        ),
    )
    return Recorded(
        dynamics=dynamics,
        sample_ids=ids,
        class_names=tuple(class_names or [str(k) for k in range(n_classes)]),
        given_labels=np.where(labels < 0, -1, labels).astype(np.int32),
    )
