"""Workspaces as a finished audit leaves them, made in a second: real files and rows, imaginary dynamics.

Images and labels are real and are imported; the runs' signals come from `planted`, and the scores are
what the real detectors make of them. No network is trained.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from audit.datasets import sources
from audit.detectors import catalog, registry
from audit.records.dataset import Dataset
from audit.records.progress import silent
from audit.records.run import Run, RunState
from audit.store import datasets, dynamics, ids, runs, scores
from audit.store.recordings import SavedRows
from audit.store.workspace import Workspace


def images(n_samples, side=12, seed=7):
    """Return images whose colour and a mark tell them apart, (n, side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 70, (n_samples, side, side, 3), dtype=np.uint8)
    pictures[np.arange(n_samples), :, :, np.arange(n_samples) % 3] += 120
    return pictures


def stage(
    planted,
    workspace: Workspace,
    folder: Path,
    *,
    name="staged",
    n_samples=120,
    n_classes=5,
    n_epochs=12,
    side=12,
    noise_rate=0.15,
    methods=("aum", "margin"),
    class_names=None,
    seed=0,
    n_unlabelled=0,
) -> Dataset:
    """Import a dataset of arrays and give it sealed runs and scores.

    Parameters
    ----------
    planted
        The module ``tests/planted.py``.
    workspace, folder
        Where it goes, and where the ``.npz`` is written.
    methods
        ``aum`` stages a probe group of two runs, any other method one plain run.
    """
    n_trained = n_samples - n_unlabelled
    common = {
        "n_samples": n_trained,
        "n_classes": n_classes,
        "n_epochs": n_epochs,
        "noise_rate": noise_rate,
        "seed": seed,
    }
    made = planted.make(**common)
    labels = np.concatenate([made.given_labels, np.full(n_unlabelled, -1)])
    truth = np.concatenate([made.true_labels, np.full(n_unlabelled, -1)])
    names = class_names or [f"class {chr(97 + k)}" for k in range(n_classes)]
    file = folder / f"{name}.npz"
    np.savez(
        file,
        images=images(n_samples, side),
        labels=labels.astype(np.int64),
        true_labels=truth.astype(np.int64),
        class_names=np.array(names),
    )
    dataset = datasets.add(workspace, sources.plan(file), name)
    for probe in dict.fromkeys(catalog.entry(method).needs.probe for method in methods):
        is_probe = str(probe) == "threshold"
        parts = planted.make(**common, n_threshold_parts=2).runs if is_probe else made.runs
        sealed = [_seal(workspace, dataset, part, number) for number, part in enumerate(parts)]
        for method in methods:
            if catalog.entry(method).needs.probe is probe:
                detector = registry.build(method, {})
                scores.save(workspace, dataset.id, detector.score(sealed, silent))
    return dataset


def interrupt(workspace: Workspace, run: Run, *, n_epochs=5, state=RunState.CANCELLED, name=None):
    """Return a run like a sealed one that ended after some epochs; the sealed one goes.

    There is no network behind it, so that it has no checkpoint and cannot be resumed.
    """
    recorded = dynamics.load(workspace, run)
    signals = {key: np.array(values) for key, values in recorded.signals.items()}
    runs.delete(workspace, run.id)
    again = replace(run, id=ids.new(), name=name or run.name, state=state, sealed_at=None)
    again = replace(again, config=replace(run.config, epochs=recorded.n_epochs))
    runs.add(workspace, again)
    rows = SavedRows(
        sample=recorded.sample,
        assigned_label=recorded.assigned_label,
        role=recorded.role,
        n_samples=recorded.n_samples,
        n_classes=recorded.n_classes,
    )
    with dynamics.DynamicsWriter.open(workspace, again, rows) as writer:
        for epoch in range(n_epochs):
            values = {key: signal[epoch] for key, signal in signals.items()}
            loss = float(values["loss"].mean())
            writer.write_epoch(epoch, values, progress={"loss": loss, "accuracy": 0.5})
    return again


def _seal(workspace: Workspace, dataset: Dataset, recorded, part: int):
    run_id = ids.new()
    letter = "" if recorded.config.probe_group is None else "ab"[part]
    run = runs.add(
        workspace,
        Run(
            id=run_id,
            name=f"{dataset.name}-{recorded.config.probe}-1{letter}",
            dataset_id=dataset.id,
            dataset_fingerprint=dataset.fingerprint,
            label_version="given",
            config=replace(recorded.config, preset="quick", image_size=16),
            code_version="0",
            created_at=datetime.now(UTC),
        ),
    )
    rows = SavedRows(
        sample=recorded.sample,
        assigned_label=recorded.assigned_label,
        role=recorded.role,
        n_samples=dataset.n_samples,
        n_classes=dataset.n_classes,
    )
    with dynamics.DynamicsWriter.open(workspace, run, rows) as writer:
        for epoch in range(recorded.n_epochs):
            values = {name: signal[epoch] for name, signal in recorded.signals.items()}
            loss = float(values["loss"].mean())
            writer.write_epoch(
                epoch,
                values,
                progress={"loss": loss, "accuracy": float((values["margin"] > 0).mean())},
            )
        return dynamics.load(workspace, writer.seal(recorded.mean_probabilities))
