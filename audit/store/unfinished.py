"""What runs have recorded that did not come to their end: their whole epochs, read and left alone."""

from collections.abc import Sequence

from audit.errors import NotFoundError, RefusedError
from audit.records.dynamics import TrainingDynamics
from audit.records.run import Probe, Run, RunState
from audit.store import artifacts, filing, locks, recordings, references, runs
from audit.store.run_jobs import RESUMABLE
from audit.store.workspace import Workspace

FEWEST_EPOCHS = 2
"""Detectors leave out the first epoch, so that one alone says nothing."""


def n_epochs(workspace: Workspace, run: Run) -> int:
    """Return the number of whole epochs of a run that is not sealed."""
    return recordings.n_written(runs.working_folder(workspace, run.id))


def epochs_of(workspace: Workspace, among: Sequence[Run]) -> dict[str, int]:
    """Return the number of whole epochs by run id, of those runs that are not sealed."""
    return {run.id: n_epochs(workspace, run) for run in among if run.state is not RunState.SEALED}


def can_be_scored(workspace: Workspace, run: Run) -> bool:
    """Return whether `check` would let a run pass."""
    try:
        check(workspace, [run])
    except RefusedError:
        return False
    return True


def check(workspace: Workspace, wanted: Sequence[Run]) -> None:
    """Refuse to score runs together whose recordings are too short or not at rest.

    Parameters
    ----------
    workspace
        Where they are.
    wanted
        Runs that a method is to be applied to; sealed ones pass.

    Raises
    ------
    RefusedError
        If one of them waits, is being recorded or has fewer than `FEWEST_EPOCHS` whole epochs; or
        one that planted labels stands beside the run that it drew them from, and that is not sealed.
    """
    has_planted = any(run.config.probe is Probe.PLANTED for run in wanted)
    for run in wanted:
        if run.state is RunState.SEALED:
            continue
        name = references.in_a_line(run.name)
        folder = runs.working_folder(workspace, run.id)
        if run.state not in RESUMABLE or locks.is_held(folder / artifacts.LOCK):
            state = run.state if run.state not in RESUMABLE else RunState.RUNNING
            raise RefusedError(
                f"Run {name} is {state}, not sealed: wait until it is over, or cancel it to score the "
                "epochs that are there."
            )
        if has_planted and run.config.probe is not Probe.PLANTED:
            raise RefusedError(
                f"Run {name}, from which labels were planted, is {run.state}, not sealed: resume it, "
                "then the one that planted them."
            )
        n_there = n_epochs(workspace, run)
        if n_there < FEWEST_EPOCHS:
            raise RefusedError(
                f"Run {name} is {run.state}, not sealed: it has {n_there} of {run.config.epochs} epochs, "
                f"and scores need {FEWEST_EPOCHS} whole ones at least; resume it."
            )


def ended(run: Run) -> str:
    """Return how a run ended before its end, as a verb."""
    return {RunState.CANCELLED: "was cancelled", RunState.FAILED: "failed"}.get(
        run.state, "was lost"
    )


def load(workspace: Workspace, run: Run) -> TrainingDynamics:
    """Return the whole epochs of a run that is not sealed; its signals are memory-mapped.

    They stay as they are when the run goes on. Mean probabilities are not among them: until the end
    they are in the checkpoint.

    Raises
    ------
    NotFoundError
        If there is no whole epoch.
    WorkspaceError
        If a file is missing or damaged; the sentence names the run.
    """
    name = references.in_a_line(run.name)
    folder = runs.working_folder(workspace, run.id)
    n_there = recordings.n_written(folder)
    if not n_there:
        raise NotFoundError(f"Run {name} ({run.id}) has recorded no whole epoch yet.")
    with filing.reading(f"Run {name} ({run.id})", "delete it and train again"):
        meta = filing.read_json(folder / recordings.META)
        rows = recordings.read_rows(folder, meta)
        return TrainingDynamics(
            run_id=run.id,
            n_samples=rows.n_samples,
            n_classes=rows.n_classes,
            sample=rows.sample,
            assigned_label=rows.assigned_label,
            role=rows.role,
            signals={
                signal: filing.read_array(folder / f"{signal}.npy", mapped=True)[:n_there]
                for signal in meta["signals"]
            },
            config=run.config,
        )
