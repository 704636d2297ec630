"""Fit an LSTM noise detector: which runs it learns from, what must hold before, the job."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audit.detectors import pretrained
from audit.detectors.lstm import card as cards
from audit.errors import InputError, RefusedError
from audit.jobs import queue, supervisor
from audit.records.dataset import Dataset
from audit.records.job import Job
from audit.records.run import Probe, Run, RunConfig
from audit.store.workspace import Workspace
from audit.workbench import runs as run_verbs
from audit.workbench import settling
from audit.workbench.settling import Wishes

KIND = "fit_lstm"
"""Kind of the job."""

NOISE_RATE = 0.3
"""Planted by default, as for the paper's off-the-shelf detector (Jia et al. 2023, section 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A detector to be made.

    Parameters
    ----------
    out, name
        Folder and name of ``NAME.safetensors`` and ``NAME.json``.
    channels
        Inputs per epoch.
    seed
        Of the split and the trainings.
    steps
        Of each training, or ``None`` for as many as usual.
    start
        Weights to go on from: a path, or ``None``.
    force
        Whether existing weights are replaced.
    command
        How to make it again, for the card.
    """

    out: Path
    name: str
    channels: tuple[str, ...]
    seed: int
    steps: int | None
    start: Path | None
    force: bool
    command: str


def free_name(dataset: Dataset) -> str:
    """Return a name for weights that are fitted to a dataset.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> free_name(SimpleNamespace(name="My birds"))
    'lstm-my-birds'
    """
    words = re.sub(r"[^a-z0-9]+", "-", dataset.name.lower()).strip("-")
    return f"lstm-{words or 'own'}"[:64]


def check(plan: Plan) -> None:
    """Refuse early what the job would refuse after hours of training.

    Raises
    ------
    InputError
        If the name cannot be one, or the weights to go on from are missing, damaged or of other channels.
    RefusedError
        If weights of this name lie there and are not to be replaced.
    """
    if not cards.is_name(plan.name):
        raise InputError(
            f"{plan.name!r} cannot name weights: use letters, digits, dots and dashes, at most 64."
        )
    for suffix in (cards.SUFFIXES[0], ".json"):
        path = plan.out / f"{plan.name}{suffix}"
        if path.exists() and not plan.force:
            raise RefusedError(f"{str(path)!r} exists already; --force replaces it.")
    if plan.out.exists() and not plan.out.is_dir():
        raise InputError(f"{str(plan.out)!r} is no folder.")
    if plan.start is not None:
        card = cards.read(plan.start)
        if card.channels != plan.channels:
            raise InputError(
                f"Weights {card.name!r} read {','.join(card.channels)}, not {','.join(plan.channels)}; "
                "go on from them with the same channels."
            )


def start_from(text: str | None) -> Path | None:
    """Return the file that ``--from`` means: shipped weights by name, or a path."""
    return None if text is None else pretrained.resolve(text).absolute()


def recordings(dataset: Dataset, wishes: Wishes, noise_rate: float) -> tuple[RunConfig, ...]:
    """Return the settings of the run with planted noise that a detector learns from.

    Raises
    ------
    InputError
        If the noise rate is not between 0 and 1, or as `settling.settle`.
    """
    if not 0 < noise_rate < 1:
        raise InputError(f"The noise rate must lie between 0 and 1, got {noise_rate}.")
    # The probe's own rate is left open, so that a run that somebody trained with --probe is the same.
    fraction = None if noise_rate == NOISE_RATE else noise_rate
    return settling.settle(
        dataset, replace(wishes, probe=Probe.CONTAMINATED, probe_fraction=fraction)
    )


def find_recording(
    workspace: Workspace, dataset: Dataset, configs: Sequence[RunConfig]
) -> Run | None:
    """Return the sealed run with these settings, if there is one."""
    found = run_verbs.find_sealed(workspace, dataset, configs)
    return None if found is None else found[0]


def start(workspace: Workspace, runs: Sequence[Run], plan: Plan) -> Job:
    """Queue the fitting on sealed runs and start a worker if their device is free."""
    config = runs[0].config
    arguments = {
        "runs": [run.id for run in runs],
        "out": str(plan.out.absolute()),
        "name": plan.name,
        "channels": list(plan.channels),
        "seed": plan.seed,
        "steps": plan.steps,
        "start": None if plan.start is None else str(plan.start),
        "force": plan.force,
        "command": plan.command,
        "threads": config.threads,
    }
    job = queue.enqueue(workspace, KIND, arguments, device=config.device)
    supervisor.start_waiting(workspace)
    return job
