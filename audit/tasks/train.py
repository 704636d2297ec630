"""Train a run and seal its dynamics; go on from the last whole epoch when it was interrupted.

Order of work: pixels (decoded once per dataset and size), features where the network wants them, rows,
then epochs. After each epoch its signals are on disk before the checkpoint that counts it, so that a kill
at any moment loses at most the epoch it fell into.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.compute import weights
from audit.errors import (
    AuditError,
    InputError,
    NotFoundError,
    RefusedError,
    StoppedError,
    TrainingError,
)
from audit.records.dynamics import TrainingDynamics
from audit.records.job import Job
from audit.records.progress import Report
from audit.records.run import Probe, Run, RunState
from audit.store import datasets as dataset_rows
from audit.store import dynamics
from audit.store import runs as run_rows
from audit.store.dynamics import DynamicsWriter
from audit.store.recordings import SavedRows
from audit.store.workspace import Workspace
from audit.tasks import inputs
from audit.tasks.stability import Stability
from audit.training import crew as crews
from audit.training import rows
from audit.training.crew import Crew
from audit.training.loop import Training
from audit.training.recorder import EpochRecorder
from audit.training.rows import Rows


def run(workspace: Workspace, job: Job, report: Report) -> Mapping[str, Any]:
    """Train the run that a job names.

    Parameters
    ----------
    workspace
        Where the run lies.
    job
        Its arguments name the ``run``.
    report
        Told about every batch.

    Returns
    -------
    mapping
        ``run``, ``epochs``, ``planned_epochs``, ``seconds``, ``images_per_second``.

    Raises
    ------
    TrainingError, InputError
        If the run cannot be trained; the run's state says so too.
    StoppedError
        If it was asked to stop; the run can be resumed.
    """
    record = run_rows.find(workspace, str(job.arguments["run"]))
    sealed = {"run": record.id, "already_sealed": True}
    try:
        run_rows.set_state(workspace, record.id, RunState.RUNNING)
    except RefusedError:  # its process died between sealing and saying so
        return sealed
    try:
        return _train(workspace, record, report)
    except StoppedError:
        if _lies_sealed(workspace, record, RunState.CANCELLED, None):
            return sealed
        raise
    except Exception as error:
        if _lies_sealed(workspace, record, RunState.FAILED, _sentence(error, job)):
            return sealed
        raise


def _lies_sealed(workspace: Workspace, record: Run, state: RunState, error: str | None) -> bool:
    """Store how the run ended; return whether its dynamics lie sealed in spite of it."""
    try:
        run_rows.set_state(workspace, record.id, state, error=error)
    except RefusedError:
        return True
    except AuditError:
        # A full disk or a busy database: what happened before it must not be hidden by it. The
        # job's row says it, or its lock is free, and the run follows its job at the next look.
        return False
    return False


def _sentence(error: Exception, job: Job) -> str:
    if isinstance(error, AuditError):
        return str(error)
    text = " ".join(str(error).split())[:300] or "no message"
    return f"Unexpected {type(error).__name__}: {text}; the log of job {job.id} says where."


def follow(workspace: Workspace, job: Job) -> None:
    """Train the run that a job names as one of a crew that another process leads; write nothing down.

    Parameters
    ----------
    workspace, job
        As for `run`.

    Raises
    ------
    TrainingError, InputError
        If the run cannot be trained.
    """
    crew = crews.named()
    record = run_rows.find(workspace, str(job.arguments["run"]))
    # The leader comes when pixels, features and rows are ready.
    crews.join(crew, record.config.device)
    ready = _prepare(workspace, record, lambda fraction, message: None)
    training, first_epoch = _training(ready, record, None, crew)
    for step in training.epochs(first_epoch):
        if step.ends_epoch and record.config.stop_when_stable and crews.agreed(crew, 0):
            break
    crews.leave(crew)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ready:
    """What a training begins with."""

    inputs: NDArray[np.uint8] | NDArray[np.float32]
    positions: NDArray[np.int64]
    table: Rows
    saved: SavedRows
    begins: float
    checkpoint: Path


def _train(workspace: Workspace, record: Run, report: Report) -> Mapping[str, Any]:
    crew = crews.named()
    ready = _prepare(workspace, record, report)
    notes = EpochRecorder(ready.table, device=crew.device(record.config.device))
    with DynamicsWriter.open(workspace, record, ready.saved) as writer:
        crews.join(crew, record.config.device)
        training, first_epoch = _training(ready, record, notes, crew)
        read_margins = partial(writer.read_epoch, name="margin")
        told = _record(
            writer,
            training,
            notes,
            record,
            inputs.part(report, ready.begins, 1.0),
            first_epoch=first_epoch,
            stability=Stability(ready.table.role, read_margins, n_planned=record.config.epochs),
            crew=crew,
        )
    crews.leave(crew)
    return told


def _training(
    ready: _Ready, record: Run, notes: EpochRecorder | None, crew: Crew
) -> tuple[Training, int]:
    """Return a training as the last checkpoint left it, if there is one, and its first epoch to do."""
    crews.agree(crew, ready.table.assigned_label.tobytes() + ready.table.sample.tobytes())
    tensors: Mapping[str, torch.Tensor] | None = None
    metadata: Mapping[str, str] = {}
    if ready.checkpoint.exists():
        tensors, metadata = weights.read_tensors(ready.checkpoint)
    training = Training(
        record.config,
        ready.inputs,
        ready.table,
        None if notes is None else notes.observe,
        positions=ready.positions,
        # As many as an interrupted run had to split its batches into.
        n_shards=int(metadata["shards"]) if "shards" in metadata else None,
        crew=crew,
    )
    if tensors is not None:
        training.load_state_tensors(_under("training.", tensors))
        if notes is not None:
            notes.load_state_tensors(_under("recorder.", tensors))
    torch.set_num_threads(training.threads_each)
    return training, crews.agreed(crew, int(metadata.get("epochs", 0)))


def _prepare(workspace: Workspace, record: Run, report: Report) -> _Ready:
    config = record.config
    torch.set_num_threads(config.threads)
    dataset = dataset_rows.find(workspace, record.dataset_id)
    if dataset.fingerprint != record.dataset_fingerprint:
        raise InputError(
            f"Dataset {dataset.name!r} is not the one that run {record.name!r} was made for."
        )

    gathered = inputs.gather(workspace, dataset, config, report)
    decoded = gathered.pixels
    # A resumed run keeps its rows, also where another run has met a problem in the meantime.
    begun = dynamics.saved_rows(workspace, record)
    wanted = dataset.usable(config.splits) if begun is None else np.unique(begun.sample)
    trained = np.intersect1d(decoded.positions, wanted)
    if len(trained) < 2:
        why = next(iter(decoded.problems.values()), "there are none")
        raise TrainingError(f"Fewer than two images of {dataset.name!r} could be read: {why}")
    table = rows.build(
        trained,
        dataset.given_labels[trained],
        n_classes=dataset.n_classes,
        config=config,
        base=_base(workspace, record),
    )
    return _Ready(
        inputs=gathered.inputs,
        positions=decoded.positions,
        table=table,
        saved=SavedRows(
            n_samples=dataset.n_samples,
            n_classes=dataset.n_classes,
            sample=table.sample,
            assigned_label=table.assigned_label,
            role=table.role,
        ),
        begins=gathered.begins,
        checkpoint=dynamics.checkpoint_path(workspace, record),
    )


def _base(workspace: Workspace, record: Run) -> TrainingDynamics | None:
    """Return what the run recorded that this one builds on, if it builds on one.

    Raises
    ------
    TrainingError
        If that run is not sealed, or was deleted.
    """
    config = record.config
    if config.probe is not Probe.PLANTED:
        return None
    if config.base_run is None:
        raise TrainingError(f"Run {record.name!r} plants labels after no run; start it again.")
    try:
        base = run_rows.find(workspace, config.base_run)
    except NotFoundError as error:
        raise TrainingError(
            f"Run {record.name!r} plants labels that another run thought likely, and that run was "
            "deleted: start both again."
        ) from error
    if base.state is not RunState.SEALED:
        raise TrainingError(
            f"Run {record.name!r} plants labels that run {base.name!r} thinks likely, which is "
            f"{base.state}: resume that one first, then this one."
        )
    return dynamics.load(workspace, base)


def _record(
    writer: DynamicsWriter,
    training: Training,
    notes: EpochRecorder,
    record: Run,
    report: Report,
    *,
    first_epoch: int,
    stability: Stability,
    crew: Crew,
) -> Mapping[str, Any]:
    """Train the epochs that are missing, write each as it ends, seal."""
    config = record.config
    n_epochs = first_epoch
    stability.restore(writer.read_curves(first_epoch))
    started = time.monotonic()
    n_seen = 0
    said = ""
    messages: list[str] = []
    for step in training.epochs(first_epoch):
        report(
            step.fraction,
            f"epoch {step.epoch + 1} of {config.epochs}{said}",
        )
        if step.message is not None:
            messages.append(step.message)
            report(step.fraction, step.message)
        if step.loss is None or step.accuracy is None:
            continue
        said = f" · loss {step.loss:.3f} · accuracy {step.accuracy:.0%}"
        signals = notes.end_epoch()
        n_seen += len(signals["margin"])
        course = {"loss": step.loss, "accuracy": step.accuracy}
        course |= stability.after_epoch(step.epoch, signals)
        writer.write_epoch(step.epoch, signals, progress=course)
        n_epochs = step.epoch + 1
        if config.stop_when_stable and crews.agreed(crew, int(stability.is_settled)):
            break
        if n_epochs < config.epochs:
            _keep_checkpoint(writer, training, notes, record, n_epochs)
    report(1.0, "sealing")
    seconds = time.monotonic() - started
    writer.seal(notes.mean_probabilities(), n_epochs=n_epochs)
    return {
        "run": record.id,
        "epochs": n_epochs,
        "planned_epochs": config.epochs,
        "seconds": round(seconds, 3),
        "images_per_second": round(n_seen / seconds, 1) if n_seen else None,
        "messages": messages,
    }


def _keep_checkpoint(
    writer: DynamicsWriter, training: Training, notes: EpochRecorder, record: Run, n_epochs: int
) -> None:
    tensors = {f"training.{name}": t for name, t in training.state_tensors().items()}
    tensors |= {f"recorder.{name}": t for name, t in notes.state_tensors().items()}
    weights.write_tensors(
        writer.checkpoint_path,
        tensors,
        {"epochs": str(n_epochs), "run": record.id, "shards": str(training.n_shards)},
    )


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
