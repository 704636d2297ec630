"""Take over what was recorded elsewhere: a file of dynamics becomes a sealed run of a dataset.

Samples are matched by their keys, or by their position where the file has none. What does not fit is
refused with the reason, so that no sample is ever judged by another one's dynamics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError, RefusedError
from audit.exchange import recorded
from audit.exchange.recorded_signals import Recorded
from audit.records.dataset import SPLITS, Dataset, Split
from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics
from audit.records.progress import Report, silent
from audit.records.run import Elsewhere, Probe, Run, RunConfig
from audit.store import runs as run_rows
from audit.store.dynamics import SIGNAL_DTYPES, DynamicsWriter
from audit.store.recordings import SavedRows
from audit.store.workspace import Workspace
from audit.workbench import importing, limits, runs
from audit.workbench.shelf import Shelf
from audit.workbench.wording import on_the_page

_CLASS_SIGNAL = "best_other_class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A recording that became a run.

    Parameters
    ----------
    run
        Sealed.
    n_samples
        Samples of the dataset that it trained on.
    n_absent
        Samples of the same splits that could be trained on and are not in the recording.
    messages
        Whole sentences about what is missing.
    """

    run: Run
    n_samples: int
    n_absent: int
    messages: tuple[str, ...]


def adopt(
    workspace: Workspace,
    dataset: Dataset,
    file: Path,
    *,
    name: str | None = None,
    axes: str | None = None,
    report: Report = silent,
) -> Adopted:
    """Take over a recording as a sealed run, which scores and shows like one trained here.

    Parameters
    ----------
    workspace, dataset
        Where to.
    file
        Whatever `recorded.read` reads, but no averages.
    name
        Of the run; made from the dataset's by default.
    axes
        Order of the axes of an npz of logits, where its shape leaves it open.
    report
        Told epoch by epoch.

    Raises
    ------
    InputError
        If the file cannot be used.
    RefusedError
        If samples, labels or classes are not those of the dataset, or the name is taken.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    if name is not None and any(run.name == name for run in run_rows.all(workspace)):
        raise RefusedError(f"A run named {name!r} exists already: choose another name.")
    report(0.0, "reading the recorded dynamics")
    found = recorded.read(file, axes=None if axes is None else recorded.Axes(axes))
    dynamics = fitted(dataset, found, file.name)
    splits = _splits(dataset, dynamics)
    usable = dataset.usable(splits)
    n_absent = len(np.setdiff1d(usable, dynamics.sample))
    messages = found.messages
    if n_absent:
        messages += (
            f"{n_absent:,} of {len(usable):,} samples of {dataset.name!r} that could be trained on are not "
            f"in {file.name!r}.",
        )
    config = RunConfig.of_recording(
        Elsewhere(file=file.name, messages=messages),
        epochs=dynamics.n_epochs,
        probe=Probe.CORRUPTED if (dynamics.role == Role.CORRUPTED).any() else Probe.NONE,
        splits=splits,
    )
    if name is None:
        taken = {run.name for run in run_rows.all(workspace)}
        name = runs.free_name(dataset, config, taken)
    run = _seal(workspace, runs.new(dataset, config, name), dynamics, report)
    return Adopted(
        run=run,
        n_samples=int((dynamics.role == Role.GIVEN).sum()),
        n_absent=n_absent,
        messages=messages,
    )


def adopt_typed(shelf: Shelf, dataset: Dataset, typed: str, *, report: Report = silent) -> Adopted:
    """Take over the recording whose path somebody typed on a page.

    Raises
    ------
    AuditError
        As `adopt`, in the words of the page; also if the path lies outside the folders that may be read.
    """
    path = importing.path_of(typed, "recording")
    limits.check(path)
    try:
        return adopt(shelf.workspace, dataset, path, report=report)
    except InputError as error:
        raise InputError(on_the_page(str(error))) from error
    except RefusedError as error:
        raise RefusedError(on_the_page(str(error))) from error


def fitted(dataset: Dataset, found: Recorded, file: str) -> TrainingDynamics:
    """Return recorded dynamics in the samples and classes of a dataset, nothing else changed.

    Rows come in the order of the dataset, corrupted copies after them.

    Raises
    ------
    RefusedError
        If samples, labels or classes are not those of the dataset.
    """
    dynamics = found.dynamics
    if found.is_average:
        raise RefusedError(
            f"{file!r} holds one average for all epochs, and a run needs every epoch: score the file "
            "itself with `labeltrace score`, or record epoch by epoch."
        )
    class_of = _classes(dataset, found, file)
    place_of = _places(dataset, found, class_of, file)
    sample = place_of[dynamics.sample]
    order = np.lexsort((sample, dynamics.role))
    signals: dict[str, NDArray[np.generic]] = {}
    for key, values in dynamics.signals.items():
        ordered = values if _is_sorted(order) else values[:, order]
        signals[key] = class_of[ordered.astype(np.int64)] if key == _CLASS_SIGNAL else ordered
    return TrainingDynamics(
        run_id=dynamics.run_id,
        n_samples=dataset.n_samples,
        n_classes=dataset.n_classes,
        sample=sample[order],
        assigned_label=class_of[dynamics.assigned_label][order],
        role=dynamics.role[order],
        signals=signals,
        mean_probabilities=_means(dynamics.mean_probabilities, class_of, order),
    )


def _classes(dataset: Dataset, found: Recorded, file: str) -> NDArray[np.int32]:
    """Return the dataset's class of each class of the file, (K,) int32."""
    names = found.class_names
    if found.has_class_names:
        differing = sorted(set(names) ^ set(dataset.class_names))
        if differing:
            raise RefusedError(
                f"The classes of {file!r} are not those of {dataset.name!r}: {differing[0]!r} is in one "
                "of them only."
            )
        place_of = {name: place for place, name in enumerate(dataset.class_names)}
        return np.array([place_of[name] for name in names], dtype=np.int32)
    n_classes = found.dynamics.n_classes
    # A file without distributions knows only the classes that it names.
    may_lack = found.dynamics.mean_probabilities is None
    if n_classes > dataset.n_classes or (n_classes < dataset.n_classes and not may_lack):
        raise RefusedError(
            f"{file!r} has {n_classes} classes and {dataset.name!r} has {dataset.n_classes}: record with "
            "one output for each class of the dataset, in its order."
        )
    return np.arange(dataset.n_classes, dtype=np.int32)


def _places(
    dataset: Dataset, found: Recorded, class_of: NDArray[np.int32], file: str
) -> NDArray[np.int64]:
    """Return the position in the dataset of each sample of the file, (N,) int64."""
    known = found.given_labels >= 0
    labels = np.where(known, class_of[np.where(known, found.given_labels, 0)], -1)

    def differing(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.flatnonzero(known & (labels != dataset.given_labels[places]))

    candidates = (
        _by_key(dataset, found, file) if found.has_ids else _by_position(dataset, found, file)
    )
    places = next((one for one in candidates if not len(differing(one))), candidates[0])
    wrong = differing(places)
    if len(wrong):
        place = int(places[wrong[0]])
        raise RefusedError(
            f"{len(wrong):,} of {len(labels):,} labels of {file!r} are not the given labels of "
            f"{dataset.name!r}, that of {dataset.sample_keys[place]!r} first "
            f"({_named(dataset, int(labels[wrong[0]]))} instead of "
            f"{_named(dataset, int(dataset.given_labels[place]))}): they belong to other labels, or to "
            "samples in another order."
        )
    return places


def _by_key(dataset: Dataset, found: Recorded, file: str) -> list[NDArray[np.int64]]:
    position_of = dataset.positions()
    unknown = [key for key in found.sample_ids if key not in position_of]
    if unknown:
        raise RefusedError(
            f"{len(unknown):,} of {len(found.sample_ids):,} samples of {file!r} are not in "
            f"{dataset.name!r}, {unknown[0]!r} first; a "
            f"key there is like {dataset.sample_keys[0]!r}: record with the keys of the dataset, or with "
            "none in its order."
        )
    return [np.array([position_of[key] for key in found.sample_ids], dtype=np.int64)]


def _by_position(dataset: Dataset, found: Recorded, file: str) -> list[NDArray[np.int64]]:
    """Return what positions in the file may mean: all samples, or those that are trained on."""
    n_samples = len(found.sample_ids)
    meant = (
        np.arange(dataset.n_samples),
        dataset.usable(),
        np.flatnonzero(dataset.splits == SPLITS.index(Split.TRAIN)),
    )
    fitting = [places.astype(np.int64) for places in meant if len(places) == n_samples]
    if not fitting:
        raise RefusedError(
            f"{file!r} holds {n_samples:,} samples without keys, and {dataset.name!r} has "
            f"{dataset.n_samples:,}, {len(meant[1]):,} of them to train on: record with keys=, the sample "
            "keys of the dataset."
        )
    return fitting


def _named(dataset: Dataset, label: int) -> str:
    return repr(dataset.class_names[label]) if label >= 0 else "none"


def _is_sorted(order: NDArray[np.int64]) -> bool:
    return bool((np.diff(order) > 0).all())


def _means(
    means: MeanProbabilities | None, class_of: NDArray[np.int32], order: NDArray[np.int64]
) -> MeanProbabilities | None:
    if means is None:
        return None
    if means.is_full:
        # Of a full table every row names the classes in their order.
        values = means.values[order][:, np.argsort(class_of)]
        classes = np.broadcast_to(np.arange(values.shape[1], dtype=np.int32), values.shape)
    else:
        classes, values = class_of[means.classes[order]], means.values[order]
    return MeanProbabilities(classes=classes, values=values, is_full=means.is_full)


def _splits(dataset: Dataset, dynamics: TrainingDynamics) -> tuple[Split, ...]:
    there = np.unique(dataset.splits[dynamics.sample])
    return tuple(SPLITS[code] for code in there.tolist())


def _seal(workspace: Workspace, run: Run, dynamics: TrainingDynamics, report: Report) -> Run:
    rows = SavedRows(
        n_samples=dynamics.n_samples,
        n_classes=dynamics.n_classes,
        sample=dynamics.sample,
        assigned_label=dynamics.assigned_label,
        role=dynamics.role,
    )
    dtypes = {key: SIGNAL_DTYPES[key] for key in dynamics.signals}
    own = dynamics.rows(Role.GIVEN)
    with DynamicsWriter.open(workspace, run, rows, signals=dtypes) as writer:
        for epoch in range(dynamics.n_epochs):
            report(epoch / dynamics.n_epochs, f"epoch {epoch + 1} of {dynamics.n_epochs}")
            signals = {key: values[epoch] for key, values in dynamics.signals.items()}
            writer.write_epoch(epoch, signals, progress=_course(signals, own))
        report(1.0, "sealing")
        # The row comes last: if we die before, what lies there has none and is swept.
        run_rows.add(workspace, run)
        return writer.seal(dynamics.mean_probabilities)


def _course(signals: Mapping[str, NDArray[np.generic]], own: NDArray[np.int64]) -> dict[str, float]:
    """Return loss (nats) and accuracy of an epoch on the given labels, as far as they were recorded."""
    known: dict[str, float] = {}
    if "loss" in signals:
        known["loss"] = float(signals["loss"][own].astype(np.float64).mean())
    if "margin" in signals:
        known["accuracy"] = float((signals["margin"][own].astype(np.float64) > 0).mean())
    return known
