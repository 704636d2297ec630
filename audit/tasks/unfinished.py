"""What interrupted runs recorded, for scoring: signals from the store, means from the checkpoint."""

from collections.abc import Sequence
from dataclasses import replace

from audit.errors import WorkspaceError
from audit.records.dynamics import MeanProbabilities, TrainingDynamics
from audit.records.run import Probe, Run, RunState
from audit.records.scores import Scores
from audit.store import dynamics, unfinished
from audit.store.workspace import Workspace


def load(workspace: Workspace, run: Run) -> TrainingDynamics:
    """Return what a run recorded, all of it or what is there.

    The average predicted distribution of a run that is not sealed is that of its last checkpoint;
    where a process died between an epoch and its checkpoint it lacks that epoch.

    Raises
    ------
    NotFoundError
        If it has recorded nothing.
    WorkspaceError
        If a file is missing or damaged; the sentence names the run.
    """
    if run.state is RunState.SEALED:
        return dynamics.load(workspace, run)
    there = unfinished.load(workspace, run)
    return replace(there, mean_probabilities=_mean_probabilities(workspace, run, there))


def told(scores: Scores, runs: Sequence[Run], epochs: dict[str, int]) -> Scores:
    """Return scores that say, before anything else, what their runs lack.

    That is epochs of runs that did not come to their end, and what recordings from elsewhere say.

    Parameters
    ----------
    scores
        What a detector answered.
    runs
        What it was asked about.
    epochs
        By run id, of those that are not sealed.
    """
    sentences = tuple(
        f"Run {run.name} {unfinished.ended(run)} after {epochs[run.id]} of {run.config.epochs} epochs; "
        f"these scores rest on {epochs[run.id]}."
        for run in runs
        if run.id in epochs
    )
    for run in runs:
        if run.config.elsewhere is not None:
            sentences += run.config.elsewhere.messages
    return replace(scores, epochs=epochs, messages=(*sentences, *scores.messages))


def _mean_probabilities(
    workspace: Workspace, run: Run, there: TrainingDynamics
) -> MeanProbabilities | None:
    # Only here does scoring need torch.
    from audit.compute import weights  # noqa: PLC0415
    from audit.errors import InputError, TrainingError  # noqa: PLC0415
    from audit.training.recorder import EpochRecorder  # noqa: PLC0415
    from audit.training.rows import Rows  # noqa: PLC0415

    path = dynamics.checkpoint_path(workspace, run)
    if not path.exists():
        return None
    n_extra = 1 if run.config.probe is Probe.THRESHOLD else 0
    rows = Rows(
        sample=there.sample,
        assigned_label=there.assigned_label,
        role=there.role,
        n_classes=there.n_classes,
        n_outputs=there.n_classes + n_extra,
    )
    recorder = EpochRecorder(rows)
    try:
        tensors, _ = weights.read_tensors(path)
        prefix = "recorder."
        recorder.load_state_tensors(
            {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        )
    except (InputError, TrainingError) as error:
        raise WorkspaceError(
            f"Run {run.name!r} ({run.id}) has a damaged checkpoint: resume it from the beginning or "
            "delete it and train again."
        ) from error
    return recorder.mean_probabilities()
