"""Fit an LSTM noise detector on runs with planted noise, and write its weights with their card."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audit import __version__
from audit.compute import shipped
from audit.detectors.lstm import card as cards
from audit.detectors.lstm import fitting, profile, sequences, weights
from audit.detectors.lstm.card import Card
from audit.detectors.lstm.fitting import Fitted, Material, Recipe
from audit.errors import InputError, RefusedError
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.job import Job
from audit.records.progress import Report
from audit.records.run import Run
from audit.store import datasets as dataset_rows
from audit.store import dynamics as dynamics_store
from audit.store import runs as run_rows
from audit.store.workspace import Workspace


def run(workspace: Workspace, job: Job, report: Report) -> Mapping[str, Any]:
    """Fit a detector on the runs that a job names.

    Parameters
    ----------
    workspace
        Where the runs lie.
    job
        Its arguments: ``runs`` (with the probe ``contaminated``), ``out`` and ``name`` of the weights,
        ``channels``, ``seed``, ``steps`` (of each training, or ``None``), ``start`` (weights to go on
        from, or ``None``), ``force``, ``command``.
    report
        Told after every few steps.

    Returns
    -------
    mapping
        ``name``, ``weights``, ``card`` (paths), ``average_precision``, ``roc_auc``, ``f1``,
        ``threshold``.

    Raises
    ------
    UnreliableError
        If no detector learnt to tell the planted labels apart.
    RefusedError
        If the target exists, or a run has nothing planted.
    """
    arguments = job.arguments
    torch.set_num_threads(int(arguments.get("threads", 1)))
    out, name = Path(arguments["out"]), str(arguments["name"])
    channels = tuple(str(channel) for channel in arguments["channels"])
    version = 1
    if arguments["force"]:
        version = _next_version(out, name)
    else:
        weights.refuse_existing(out, name)
    report(0.0, "reading the recorded dynamics")
    runs = [run_rows.find(workspace, str(reference)) for reference in arguments["runs"]]
    recorded = [dynamics_store.load(workspace, one) for one in runs]
    material = [_material(one, channels) for one in recorded]
    start = _start(arguments["start"], channels)
    fitted = fitting.fit(
        material,
        recipe=_recipe(arguments.get("steps"), is_tuning=start is not None),
        seed=int(arguments["seed"]),
        report=report,
        start=start,
        device=job.device,
    )
    digest = weights.write_tensors(out, name, fitted.tensors)
    card = _card(
        workspace,
        runs,
        material,
        fitted,
        name=name,
        version=version,
        channels=channels,
        seed=int(arguments["seed"]),
        command=str(arguments["command"]),
        digest=digest,
    )
    card_path = weights.write_card(out, card)
    return {
        "name": name,
        "weights": str(weights.targets(out, name)[0]),
        "card": str(card_path),
        "average_precision": card.average_precision,
        "roc_auc": card.roc_auc,
        "f1": card.f1,
        "threshold": card.threshold,
    }


def _recipe(steps: int | None, *, is_tuning: bool) -> Recipe:
    recipe = fitting.TUNING if is_tuning else fitting.STABLE
    return recipe if steps is None else replace(recipe, least_steps=steps, least_passes=1)


def _material(recorded: TrainingDynamics, channels: tuple[str, ...]) -> Material:
    """Return the sequences of all rows that kept their label or were given a uniformly drawn wrong one."""
    is_used = np.isin(recorded.role, [Role.GIVEN, Role.PLANTED_UNIFORM])
    rows = np.flatnonzero(is_used)
    is_wrong = recorded.role[rows] == Role.PLANTED_UNIFORM
    if not is_wrong.any():
        raise RefusedError(
            f"Run {recorded.run_id} has no planted wrong labels to learn from; a detector is fitted on "
            "runs with the probe contaminated."
        )
    made, _ = sequences.of_rows(recorded, rows, channels)
    return Material(sequences=made, is_wrong=is_wrong)


def _start(named: object, channels: tuple[str, ...]) -> Mapping[str, torch.Tensor] | None:
    if named is None:
        return None
    loaded = weights.load(Path(str(named)))
    if loaded.card.channels != channels:
        raise InputError(
            f"Weights {loaded.card.name!r} read {','.join(loaded.card.channels)}, not "
            f"{','.join(channels)}; go on from them with the same channels."
        )
    return dict(loaded.network.state_dict())


def _next_version(out: Path, name: str) -> int:
    _, path = weights.targets(out, name)
    try:
        return cards.read_card(path).version + 1
    except InputError:
        return 1


def _card(
    workspace: Workspace,
    runs: Sequence[Run],
    material: Sequence[Material],
    fitted: Fitted,
    *,
    name: str,
    version: int,
    channels: tuple[str, ...],
    seed: int,
    command: str,
    digest: str,
) -> Card:
    config = runs[0].config
    datasets = [dataset_rows.find(workspace, one.dataset_id) for one in runs]
    found = [profile.statistics(one.sequences[:, :, 0]) for one in material]
    return Card(
        name=name,
        version=version,
        architecture=config.architecture,
        backbone=config.backbone,
        preset=config.preset,
        schedule=str(config.schedule),
        epochs=max(one.sequences.shape[1] for one in material),
        data="; ".join(
            f"{dataset.name}: {len(one.is_wrong)} images, {dataset.n_classes} classes"
            for dataset, one in zip(datasets, material, strict=True)
        ),
        noise_kind="symmetric",
        noise_rate=float(np.concatenate([one.is_wrong for one in material]).mean()),
        n_classes=max(dataset.n_classes for dataset in datasets),
        n_sequences=sum(len(one.is_wrong) for one in material),
        train_length=max(one.sequences.shape[1] for one in material),
        channels=channels,
        seed=seed,
        commit=_commit(),
        command=command,
        average_precision=fitted.average_precision,
        roc_auc=fitted.roc_auc,
        f1=fitted.f1,
        threshold=fitted.threshold,
        calibration=fitted.calibration,
        profile=profile.of_statistics(
            {key: np.concatenate([one[key] for one in found]) for key in profile.STATISTICS}
        ),
        sha256=digest,
    )


def _commit() -> str:
    """Return the checkout's commit; without one the version that is installed."""
    git = shutil.which("git")
    folder = shipped.folder()
    if git is not None and (folder / ".git").exists():
        words = [git, "-C", str(folder), "rev-parse", "HEAD"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return f"labeltrace {__version__}"
