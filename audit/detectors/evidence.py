"""What one or several runs say together: checks, given labels, averages, suggested labels.

Several runs are read in one fixed order, so that no answer depends on the order they were named in.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from audit.errors import UnreliableError
from audit.numerics import ranking
from audit.records.dataset import UNLABELLED
from audit.records.dynamics import Role, TrainingDynamics

_DENSE_CELLS = 1 << 22
"""Size of the table in which class probabilities of several runs are added up: 32 MB."""


def ordered(runs: Sequence[TrainingDynamics]) -> tuple[TrainingDynamics, ...]:
    """Return runs of one dataset in the order of their probe part, then of their id.

    Raises
    ------
    UnreliableError
        If there is no run, one comes twice, a run holds a sample twice, or the runs are not of one
        dataset.
    """
    if not runs:
        raise UnreliableError("There is no run to score; train one first.")
    result = tuple(
        sorted(runs, key=lambda run: (run.config.probe_part if run.config else 0, run.run_id))
    )
    first = result[0]
    run_ids = [run.run_id for run in result]
    if len(set(run_ids)) < len(run_ids):
        raise UnreliableError(f"Among runs {', '.join(run_ids)} one comes twice; name each once.")
    for run in result:
        if (run.n_samples, run.n_classes) != (first.n_samples, first.n_classes):
            raise UnreliableError(
                f"Runs {first.run_id} and {run.run_id} are not of one dataset: {first.n_samples} "
                f"samples in {first.n_classes} classes, and {run.n_samples} in {run.n_classes}."
            )
        rows = np.flatnonzero(run.role != Role.CORRUPTED)
        repeated = np.flatnonzero(np.bincount(run.sample[rows], minlength=1) > 1)
        if len(repeated):
            raise UnreliableError(
                f"Run {run.run_id} holds sample {repeated[0]} more than once under its own label."
            )
    return result


def given_labels(runs: Sequence[TrainingDynamics]) -> NDArray[np.int32]:
    """Return the given label of every sample that a run trained on under it.

    Returns
    -------
    ndarray
        (N,) int32, -1 for samples that no run trained on under their given label.

    Raises
    ------
    UnreliableError
        If two runs know different given labels of one sample.
    """
    labels = np.full(runs[0].n_samples, UNLABELLED, dtype=np.int32)
    for run in runs:
        rows = run.rows(Role.GIVEN)
        samples, assigned = run.sample[rows], run.assigned_label[rows]
        known = labels[samples]
        differs = np.flatnonzero((known != UNLABELLED) & (known != assigned))
        if len(differs):
            at = differs[0]
            raise UnreliableError(
                f"Run {run.run_id} was trained on other labels than the runs beside it: sample "
                f"{samples[at]} has label {assigned[at]} there and {known[at]} elsewhere."
            )
        labels[samples] = assigned
    return labels


def signal(
    run: TrainingDynamics, name: str, *, method: str, start: int = 0, end: int | None = None
) -> NDArray[np.floating[Any]]:
    """Return a signal of a run whose epochs from `start` up to `end` are finite.

    Returns
    -------
    ndarray
        All epochs, (T, R) floating; possibly memory-mapped.

    Raises
    ------
    UnreliableError
        If the run did not record it, no epoch is left, or a value is not finite.
    """
    if name not in run.signals:
        recorded = ", ".join(sorted(run.signals)) or "nothing"
        raise UnreliableError(
            f"{method} needs the {name} of every epoch, but run {run.run_id} recorded {recorded}; "
            "margins come from logits and cannot be made from probabilities."
        )
    # The record types signals as any array; `SIGNALS` fixes floating ones for what is read here.
    values = cast("NDArray[np.floating[Any]]", run.signals[name])
    stop = len(values) if end is None else min(end, len(values))
    if start >= stop:
        raise UnreliableError(
            f"Run {run.run_id} has {stop} epochs to use and {start} are skipped, so none is left "
            f"for {method}; train longer or skip fewer."
        )
    for epoch in range(start, stop):
        is_finite = np.isfinite(values[epoch])
        if not is_finite.all():
            row = int(np.flatnonzero(~is_finite)[0])
            raise UnreliableError(
                f"Run {run.run_id} has a {name} that is not finite in epoch {epoch + 1} (sample "
                f"{run.sample[row]}): its training diverged; train with a lower learning rate."
            )
    return values


def mean_over_runs(
    n_samples: int, parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float64]]]
) -> NDArray[np.float64]:
    """Return each sample's mean over the runs that have a value for it.

    Parameters
    ----------
    n_samples
        N.
    parts
        Per run the samples it scores, (M,) int64, each once, and their values, (M,) float64.

    Returns
    -------
    ndarray
        (N,) float64; NaN for samples without a value.
    """
    total = np.zeros(n_samples, dtype=np.float64)
    n_values = np.zeros(n_samples, dtype=np.int64)
    for samples, values in parts:
        total[samples] += values
        n_values[samples] += 1
    return np.where(n_values > 0, total / np.maximum(n_values, 1), np.nan)


def suggested_labels(
    runs: Sequence[TrainingDynamics], given: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return the real class other than the given one that the runs believed in most, on average.

    Parameters
    ----------
    runs
        Those without mean probabilities are left out. A class that a shortened table does not list
        counts as 0 there.
    given
        (N,) int32 as from `given_labels`.

    Returns
    -------
    ndarray
        (N,) int32; -1 where no run says anything; never the given label.
    """
    n_samples, n_classes = runs[0].n_samples, runs[0].n_classes
    # Row of each sample's given label in each run that recorded probabilities; -1 = none.
    tables = [(run, run.mean_probabilities) for run in runs if run.mean_probabilities is not None]
    row_of = np.full((len(tables), n_samples), -1, dtype=np.int64)
    for number, (run, _) in enumerate(tables):
        rows = run.rows(Role.GIVEN)
        row_of[number, run.sample[rows]] = rows
    result = np.full(n_samples, -1, dtype=np.int32)
    wanted = np.flatnonzero((row_of >= 0).any(axis=0))
    step = max(1, _DENSE_CELLS // (n_classes + 1))
    for begin in range(0, len(wanted), step):
        samples = wanted[begin : begin + step]
        # One column beyond the classes takes what unused places hold.
        dense = np.zeros((len(samples), n_classes + 1), dtype=np.float64)
        for number, (_, table) in enumerate(tables):
            has_row = np.flatnonzero(row_of[number, samples] >= 0)
            rows = row_of[number, samples[has_row]]
            classes = table.classes[rows]
            places = np.where((classes >= 0) & (classes < n_classes), classes, n_classes)
            dense[has_row[:, None], places] += table.values[rows]
        # A sum orders the classes of one sample as their mean does.
        columns = np.broadcast_to(np.arange(n_classes), (len(samples), n_classes))
        result[samples] = ranking.suggested_labels(columns, dense[:, :n_classes], given[samples])
    return result


def row_of(
    runs: Sequence[TrainingDynamics], sample: int, *, method: str
) -> tuple[TrainingDynamics, int]:
    """Return the first run that trained a sample under its given label, and its row there.

    Raises
    ------
    UnreliableError
        If no run did.
    """
    for run in runs:
        rows = np.flatnonzero((run.sample == sample) & (run.role == Role.GIVEN))
        if len(rows):
            return run, int(rows[0])
    raise UnreliableError(
        f"No run of {', '.join(run.run_id for run in runs)} trained sample {sample} under its given "
        f"label, so that {method} has nothing to say about it."
    )


def count_planted_only(runs: Sequence[TrainingDynamics], given: NDArray[np.int32]) -> int:
    """Return how many samples were trained on in these runs, but never under their given label."""
    planted = np.unique(np.concatenate([run.sample[run.rows(Role.THRESHOLD)] for run in runs]))
    return int((given[planted] == UNLABELLED).sum())
