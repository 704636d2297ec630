"""Runs: start, resume, cancel, find."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from audit import __version__
from audit.errors import NotFoundError, RefusedError
from audit.jobs import endings, queue, supervisor
from audit.jobs.launchers import choosing, torchrun
from audit.records.dataset import Dataset
from audit.records.job import Job
from audit.records.label_history import GIVEN
from audit.records.run import Probe, Run, RunConfig, RunState
from audit.store import dynamics as dynamics_files
from audit.store import ids, run_jobs
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import scoring

LAUNCH = "launch"
"""Argument of a training job: what its run was started with carries the same value."""

LAUNCHED = "launched"
"""Argument of a training job: ids of all runs that were started with its own."""

EPOCHS_BEFORE = "epochs_before"
"""Argument of a training job that resumes: epochs that were finished when it was asked for."""

_CARRIED = frozenset({endings.THEN, LAUNCH, LAUNCHED, choosing.LAUNCHER, torchrun.WORKERS})
"""Arguments that a job which resumes takes over from the interrupted one."""

_PARTS_OF_NAMES: Mapping[Probe, str] = {
    Probe.NONE: "",
    Probe.THRESHOLD: "-aum",
    Probe.CORRUPTED: "-dynacor",
    Probe.PLANTED: "-planted",
    Probe.CONTAMINATED: "-contaminated",
}

_UNDER_WAY = frozenset({RunState.QUEUED, RunState.RUNNING})

_PATIENCE = timedelta(minutes=1)
"""How old a run without a job may be before it counts as given up: its maker died in between."""


def start(
    workspace: Workspace,
    dataset: Dataset,
    configs: Sequence[RunConfig],
    *,
    methods: Sequence[str] = (),
    launch_id: str | None = None,
    workers: int | None = None,
) -> list[tuple[Run, Job]]:
    """Write the runs, queue a job for each and start a worker if the device is free.

    Parameters
    ----------
    workspace, dataset
        What is trained on.
    configs
        Settings of the runs.
    methods
        Scores to ask for as soon as the runs that they need are sealed; the worker asks, so that
        nobody has to wait for it.
    launch_id
        Kept with the jobs, under `LAUNCH`: runs that were started together carry the same one.
    workers
        Processes that train each run together, started by torchrun; ``None`` for one without it.

    Returns
    -------
    list of (Run, Job)
        In the order of the settings.
    """
    # All runs first: if we die in between, those without a job can be resumed.
    runs: list[Run] = []
    for config in configs:
        runs.append(_add(workspace, dataset, _with_base(workspace, dataset, config, runs)))
    started = enqueue_together(workspace, runs, runs, methods, launch_id=launch_id, workers=workers)
    supervisor.start_waiting(workspace)
    return started


def enqueue_together(
    workspace: Workspace,
    missing: Sequence[Run],
    runs: Sequence[Run],
    methods: Sequence[str],
    *,
    launch_id: str | None = None,
    workers: int | None = None,
) -> list[tuple[Run, Job]]:
    """Queue the jobs that runs which were started together still miss; no worker is started.

    Parameters
    ----------
    workspace
        Where the runs are.
    missing
        Those of `runs` that have no job.
    runs, methods, launch_id, workers
        All that were started, and as for `start`.
    """
    carried = scoring.to_follow(workspace, runs, methods)
    started: list[tuple[Run, Job]] = []
    for run in missing:
        notes: dict[str, Any] = {}
        if launch_id is not None:
            notes = {LAUNCH: launch_id, LAUNCHED: [run.id for run in runs]}
        if workers is not None:
            notes |= {choosing.LAUNCHER: "torchrun", torchrun.WORKERS: workers}
        if run.id in carried:
            notes[endings.THEN] = carried[run.id]
        started.append((run, enqueue(workspace, run, notes=notes)))
    return started


def _with_base(
    workspace: Workspace, dataset: Dataset, config: RunConfig, beside: Sequence[Run]
) -> RunConfig:
    """Return settings that name the run they build on: one started beside it, or one from before.

    Raises
    ------
    RefusedError
        If there is none.
    """
    if config.probe is not Probe.PLANTED or config.base_run is not None:
        return config
    ordinary = base_config(config)
    base = next((run for run in beside if run.config == ordinary), None)
    if base is None:
        known = find_sealed(workspace, dataset, [ordinary]) or find_under_way(
            workspace, dataset, [ordinary]
        )
        if known is None:
            raise RefusedError(
                "The probe “planted” follows an ordinary run with the same settings, and there is "
                f"none of {dataset.name!r}: start that one first, or both together."
            )
        base = known[0]
    return replace(config, base_run=base.id)


def base_config(config: RunConfig) -> RunConfig:
    """Return the settings of the ordinary run that a run with planted labels builds on."""
    return replace(
        config, probe=Probe.NONE, probe_group=None, probe_part=0, probe_fraction=None, base_run=None
    )


def new(dataset: Dataset, config: RunConfig, name: str) -> Run:
    """Return a run that is not stored yet."""
    return Run(
        id=ids.new(),
        name=name,
        dataset_id=dataset.id,
        dataset_fingerprint=dataset.fingerprint,
        label_version=GIVEN,
        config=config,
        code_version=__version__,
        created_at=datetime.now(UTC),
    )


def _add(workspace: Workspace, dataset: Dataset, config: RunConfig) -> Run:
    while True:
        taken = {run.name for run in run_rows.all(workspace)}
        run = new(dataset, config, free_name(dataset, config, taken))
        try:
            return run_rows.add(workspace, run)
        except RefusedError:
            # Nobody chose the name; another process that started a run just then has it.
            if run.name not in {other.name for other in run_rows.all(workspace)}:
                raise


def enqueue(
    workspace: Workspace,
    run: Run,
    *,
    resumes: bool = False,
    notes: Mapping[str, Any] | None = None,
) -> Job:
    """Queue the training of a run; with `resumes` of one that was interrupted.

    `notes` are kept with the job: what follows it, and with what it was started.
    """
    arguments = {**(notes or {}), "run": run.id, "threads": run.config.threads}
    return queue.enqueue(
        workspace,
        "train",
        arguments,
        device=run.config.device,
        run_id=run.id,
        resumes=resumes,
    )


def free_name(dataset: Dataset, config: RunConfig, taken: set[str]) -> str:
    """Return a readable name that no run has: ``digits-quick-1``, ``digits-quick-aum-2b``."""
    part = _PARTS_OF_NAMES[config.probe]
    letter = "" if config.probe is not Probe.THRESHOLD else "ab"[config.probe_part]
    stem = f"{dataset.name}-{config.preset}{part}"
    number = 1
    while any(f"{stem}-{number}{suffix}" in taken for suffix in ("", letter)):
        number += 1
    return f"{stem}-{number}{letter}"


def resume(workspace: Workspace, reference: str) -> tuple[Run, Job]:
    """Queue an interrupted run again; it goes on from its last whole epoch.

    Raises
    ------
    RefusedError
        If the run is sealed, waiting or running, or was recorded elsewhere.
    """
    refresh(workspace)
    run = run_rows.find(workspace, reference)
    if run.config.elsewhere is not None:
        raise RefusedError(
            f"Run {run.name!r} was recorded elsewhere, so there is no training to go on with here."
        )
    job = enqueue(workspace, run, resumes=True, notes=_notes_of_last_job(workspace, run))
    supervisor.start_waiting(workspace)
    return run_rows.find(workspace, run.id), job


def _notes_of_last_job(workspace: Workspace, run: Run) -> dict[str, Any]:
    """Return what the interrupted job carried, and how far the run had come."""
    notes: dict[str, Any] = {}
    for job in job_rows.every(workspace, run_id=run.id):
        notes |= {k: v for k, v in job.arguments.items() if k in _CARRIED}
    return notes | {EPOCHS_BEFORE: len(dynamics_files.curves(workspace, run))}


def cancel(workspace: Workspace, reference: str) -> Job:
    """Stop a job, waiting or running, named by its own id or by its run.

    Raises
    ------
    NotFoundError
        If neither a job nor a run answers to the reference.
    RefusedError
        If it is over already.
    """
    refresh(workspace)
    job = find_job(workspace, reference)
    if job.is_over:
        raise RefusedError(f"Job {job.id} is {job.state} already.")
    stopped = queue.request_stop(workspace, job)
    refresh(workspace)
    return stopped


def refresh(workspace: Workspace) -> None:
    """Notice workers that died, let every run say what became of its newest job, start what waits."""
    queue.reconcile(workspace)
    for run in run_rows.all(workspace):
        if run.state not in _UNDER_WAY:
            continue
        own = job_rows.every(workspace, run_id=run.id)
        if not own or own[-1].is_over:
            given_up_before = datetime.now(UTC) - _PATIENCE
            run_jobs.settle(workspace, run.id, given_up_before=given_up_before)
    # A worker that died before it claimed its job left nothing to reconcile.
    supervisor.start_waiting(workspace)


def find_job(workspace: Workspace, reference: str) -> Job:
    """Return a job by id, unique prefix, or the newest job of a run's name or id."""
    try:
        return job_rows.find(workspace, reference)
    except NotFoundError as error:
        try:
            run = run_rows.find(workspace, reference)
        except NotFoundError:
            raise error from None
    own = job_rows.every(workspace, run_id=run.id)
    if not own:
        raise NotFoundError(f"Run {run.name!r} has no job.")
    return own[-1]


def find_sealed(
    workspace: Workspace, dataset: Dataset, configs: Sequence[RunConfig]
) -> list[Run] | None:
    """Return sealed runs that were made with these very settings, or ``None``.

    For a probe group all parts must be there, from one group.
    """
    return _find_same(workspace, dataset, configs, frozenset({RunState.SEALED}))


def find_under_way(
    workspace: Workspace, dataset: Dataset, configs: Sequence[RunConfig]
) -> list[Run] | None:
    """Return runs with these very settings that wait, run or are sealed but for some, or ``None``."""
    return _find_same(workspace, dataset, configs, _UNDER_WAY | {RunState.SEALED})


def _find_same(
    workspace: Workspace,
    dataset: Dataset,
    configs: Sequence[RunConfig],
    states: frozenset[RunState],
) -> list[Run] | None:
    groups: dict[str | None, list[Run]] = {}
    known = run_rows.all(workspace, dataset.id)
    there = {None, *(run.id for run in known)}
    for run in known:
        if run.config.base_run not in there:
            continue  # what it builds on was deleted
        if run.state in states and run.dataset_fingerprint == dataset.fingerprint:
            groups.setdefault(run.config.probe_group or run.id, []).append(run)
    wanted = [replace(config, probe_group=None) for config in configs]
    # Settings that do not say yet which run they build on fit any.
    leaves_base_open = all(config.base_run is None for config in configs)
    for members in groups.values():
        members.sort(key=lambda run: run.config.probe_part)
        have = [replace(run.config, probe_group=None) for run in members]
        if leaves_base_open:
            have = [replace(config, base_run=None) for config in have]
        if have == wanted:
            return members
    return None
