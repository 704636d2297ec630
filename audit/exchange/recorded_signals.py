"""Logits or probabilities of every epoch → training dynamics in our own form.

An entry (sample, epoch) whose values are all NaN was not recorded; it is filled in along that sample's
own epochs (`gaps.filled`), signal by signal. Mean probabilities are those of the recorded epochs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics import gaps, signals
from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics

_SUM_TOLERANCE = 1e-2  # probabilities of one sample; float16 tables of many classes are that rough


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """Dynamics recorded elsewhere, and what its samples and classes are called.

    Parameters
    ----------
    dynamics
        One row of role ``GIVEN`` per labelled sample, one of role ``CORRUPTED`` per corrupted copy.
    sample_ids
        N distinct texts, in the order of the file; copies are no samples.
    class_names
        K texts; empty where the file does not say.
    given_labels
        Class index per sample, (N,) int32, -1 where the file does not say.
    has_ids, has_class_names
        Whether the file names its samples, and its classes; otherwise their positions stand for names.
    is_average
        Whether the only epoch is an average over all of them, so that none may be skipped.
    messages
        Whole sentences that belong beside whatever is scored with it.
    """

    dynamics: TrainingDynamics
    sample_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    given_labels: NDArray[np.int32]
    has_ids: bool = True
    has_class_names: bool = False
    is_average: bool = False
    messages: tuple[str, ...] = ()


def of_logits(
    name: str,
    *,
    epochs: Iterable[NDArray[np.generic]],
    labels: NDArray[np.int64],
    sample_ids: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    copy_of: NDArray[np.int64] | None = None,
) -> Recorded:
    """Return dynamics with every signal, from logits.

    Parameters
    ----------
    name
        The file, for messages.
    epochs
        Per epoch (N, K) floating, logit units; NaN throughout where a sample was not recorded.
    labels
        (N,) integers in -1..K-1; negative = unlabelled.
    sample_ids, class_names
        Positions and ``"0"``, ``"1"``, … where they are missing.
    copy_of
        Place of the original of each corrupted copy, -1 elsewhere, (N,) int64 from
        `recorded_copies.checked`; without it there are no copies.

    Raises
    ------
    InputError
        If a logit is not finite, a sample is missing in every epoch, or the parts do not fit.
    """
    epochs_seen = _Epochs()
    rows = np.flatnonzero(labels >= 0)
    for epoch, values in enumerate(epochs):
        logits, is_missing = _checked(name, epoch, values, labels)
        logits, is_missing = logits[rows], is_missing[rows]
        own = signals.of_epoch(logits, labels[rows])
        epochs_seen.add(own, signals.probabilities(logits), is_missing)
    return _made(
        name,
        epochs=epochs_seen,
        labels=labels,
        sample_ids=sample_ids,
        class_names=class_names,
        copy_of=copy_of,
    )


def of_probabilities(
    name: str,
    *,
    epochs: Iterable[NDArray[np.generic]],
    labels: NDArray[np.int64],
    sample_ids: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    copy_of: NDArray[np.int64] | None = None,
) -> Recorded:
    """Return dynamics with ``given_probability`` and ``loss`` only: margins need logits.

    Parameters and errors are those of `of_logits`, with probabilities instead: each in [0, 1], each
    sample's summing to 1.
    """
    epochs_seen = _Epochs()
    rows = np.flatnonzero(labels >= 0)
    smallest = float(np.finfo(np.float32).tiny)  # keeps the loss finite; 87.3 nats
    for epoch, values in enumerate(epochs):
        probabilities, is_missing = _checked(name, epoch, values, labels)
        probabilities, is_missing = probabilities[rows], is_missing[rows]
        there = probabilities[~is_missing]
        if there.size and (
            there.min() < 0
            or there.max() > 1 + _SUM_TOLERANCE
            or np.abs(there.sum(axis=1) - 1).max() > _SUM_TOLERANCE
        ):
            raise InputError(
                f"{name!r}: probs of epoch {epoch} are no probabilities (each in [0, 1], "
                "each sample's summing to 1): if they are logits, name them so."
            )
        own = np.clip(probabilities[np.arange(len(rows)), labels[rows]], 0.0, 1.0)
        values_seen = {
            "given_probability": own.astype(np.float32),
            "loss": (-np.log(np.maximum(own, smallest))).astype(np.float32),
        }
        epochs_seen.add(values_seen, probabilities, is_missing)
    return _made(
        name,
        epochs=epochs_seen,
        labels=labels,
        sample_ids=sample_ids,
        class_names=class_names,
        copy_of=copy_of,
    )


def distinct(sample_ids: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the ids; raise `InputError` if one is there twice."""
    seen: set[str] = set()
    for one in sample_ids:
        if one in seen:
            raise InputError(f"{name!r}: the sample {one!r} is there twice.")
        seen.add(one)
    return tuple(sample_ids)


def missing_message(name: str, n_missing: int, n_entries: int) -> tuple[str, ...]:
    """Return what to say about entries that were filled in; nothing if there are none."""
    if not n_missing:
        return ()
    return (
        f"{n_missing:,} of {n_entries:,} entries of {name!r} (a sample in an epoch) were missing and "
        "were filled in from the same sample's epochs before and after.",
    )


class _Epochs:
    """What has been read so far, over R rows."""

    def __init__(self) -> None:
        self.signals: list[Mapping[str, NDArray[np.generic]]] = []
        self.is_missing: list[NDArray[np.bool_]] = []
        self.totals: NDArray[np.float64] | None = None

    def add(
        self,
        own: Mapping[str, NDArray[np.generic]],
        probabilities: NDArray[np.float64],
        is_missing: NDArray[np.bool_],
    ) -> None:
        """Add an epoch; what stands in the rows that are missing is not looked at."""
        self.signals.append(own)
        self.is_missing.append(is_missing)
        counted = np.where(is_missing[:, None], 0.0, probabilities)
        self.totals = counted if self.totals is None else self.totals + counted


def _checked(
    name: str, epoch: int, values: NDArray[np.generic], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return finite values, (N, K), zero in rows that are missing, and which are, (N,) bool."""
    wide = np.array(values, dtype=np.float64)
    if wide.ndim != 2 or len(wide) != len(labels) or wide.shape[1] < 2:
        raise InputError(
            f"{name!r}: epoch {epoch} has shape {wide.shape}, expected ({len(labels)}, 2 or more)."
        )
    if labels.max() >= wide.shape[1]:
        raise InputError(
            f"{name!r}: label {labels.max()} is too large for {wide.shape[1]} classes, which count "
            "from 0."
        )
    is_missing = np.asarray(np.isnan(wide).all(axis=1), dtype=np.bool_)
    is_usable = is_missing | np.isfinite(wide).all(axis=1)
    if not is_usable.all():
        raise InputError(
            f"{name!r}: sample {int(np.argmin(is_usable))} has values in epoch {epoch} that are not "
            "finite; an entry that was not recorded is NaN for every class."
        )
    wide[is_missing] = 0.0
    return wide, is_missing


def _made(
    name: str,
    *,
    epochs: _Epochs,
    labels: NDArray[np.int64],
    sample_ids: Sequence[str] | None,
    class_names: Sequence[str] | None,
    copy_of: NDArray[np.int64] | None,
) -> Recorded:
    n_places = len(labels)
    rows = np.flatnonzero(labels >= 0)
    totals = epochs.totals
    if totals is None or not len(rows):
        raise InputError(f"{name!r} holds no epoch or no labelled sample.")
    n_classes = totals.shape[1]
    ids = sample_ids or [str(place) for place in range(n_places)]
    if len(ids) != n_places:
        raise InputError(f"{name!r}: {n_places} labels need as many ids, got {len(ids)}.")
    is_copy = np.zeros(n_places, dtype=np.bool_) if copy_of is None else copy_of >= 0
    originals = np.flatnonzero(~is_copy)
    keys = distinct([ids[place] for place in originals.tolist()], name)
    sample_of = np.cumsum(~is_copy) - 1
    if copy_of is not None:
        sample_of[is_copy] = sample_of[copy_of[is_copy]]
    is_missing = np.stack(epochs.is_missing)
    n_recorded = (~is_missing).sum(axis=0)
    if not n_recorded.all():
        lost = ids[rows[int(np.argmin(n_recorded))]]
        raise InputError(
            f"{name!r}: the sample {lost!r} is missing in every epoch: leave it out, or save it with "
            "a negative label."
        )
    stacked = {key: np.stack([own[key] for own in epochs.signals]) for key in epochs.signals[0]}
    if is_missing.any():
        stacked = {key: gaps.filled(values, is_missing) for key, values in stacked.items()}
    dynamics = TrainingDynamics(
        run_id=name,
        n_samples=len(originals),
        n_classes=n_classes,
        sample=sample_of[rows].astype(np.int64),
        assigned_label=labels[rows].astype(np.int32),
        role=np.where(is_copy[rows], Role.CORRUPTED, Role.GIVEN).astype(np.int8),
        signals=stacked,
        mean_probabilities=MeanProbabilities(
            classes=np.broadcast_to(np.arange(n_classes, dtype=np.int32), totals.shape),
            values=(totals / n_recorded[:, None]).astype(np.float32),
            is_full=True,
        ),
    )
    return Recorded(
        dynamics=dynamics,
        sample_ids=keys,
        class_names=tuple(class_names or [str(k) for k in range(n_classes)]),
        given_labels=np.where(labels < 0, -1, labels)[originals].astype(np.int32),
        has_ids=sample_ids is not None,
        has_class_names=class_names is not None,
        messages=missing_message(name, int(is_missing.sum()), is_missing.size),
    )
