"""Explanations of one sample: ask for them, find those that were made, see what is under way.

A finished explanation is the result of its job: the same scores and sample always give the same one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.detectors import catalog
from audit.errors import AuditError, NotFoundError, RefusedError
from audit.jobs import queue, supervisor
from audit.jobs.launchers import Launch, choosing
from audit.records.dataset import SPLITS, UNLABELLED, Dataset
from audit.records.explanation import Explanation
from audit.records.job import Job, JobState
from audit.records.run import Run, RunState
from audit.records.scores import Scores
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.run_jobs import RESUMABLE
from audit.store.workspace import Workspace
from audit.workbench import watching
from audit.workbench.scoring import SCORING_DEVICE
from audit.workbench.shelf import Shelf

KIND = "explain"
"""Kind of the jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of one sample under one method's scores.

    Parameters
    ----------
    scores_id
        Which scores.
    explanation
        The finished one, or ``None``.
    job
        That makes one right now, or ``None``.
    error
        Why the last attempt gave none, a sentence; ``None`` if it gave one or there was none.
    """

    scores_id: str
    explanation: Explanation | None = None
    job: Job | None = None
    error: str | None = None


def check(dataset: Dataset, scores: Scores, position: int) -> None:
    """Refuse a sample of which a method says nothing, before any work is done.

    Raises
    ------
    RefusedError
        If the method gave it no suspicion; says why and what to do.
    """
    if np.isnan(scores.suspicion[position]):
        raise RefusedError(
            f"{scores.spec.name} gave sample {dataset.sample_keys[position]!r} no suspicion that could "
            f"be explained: {_why_unscored(dataset, position)}."
        )


def find_scores(workspace: Workspace, run: Run, method: str) -> str | None:
    """Return the id of the newest scores of a method that a run took part in, ``None`` without any.

    ``None`` also for a run that was interrupted: what it has may have grown since it was scored, and
    asking for its scores again gives those that are there.

    Raises
    ------
    NotFoundError
        If the catalogue has no such method.
    RefusedError
        If the run waits or is running.
    """
    catalog.entry(method)
    if run.state in RESUMABLE:
        return None
    if run.state is not RunState.SEALED:
        raise RefusedError(
            f"Run {run.name!r} is {run.state}: there is nothing to explain before it has come to its "
            "end or was cancelled."
        )
    fitting = [
        summary.id
        for summary in score_rows.all(workspace, run.dataset_id)
        if summary.spec.name == method and run.id in summary.run_ids
    ]
    return fitting[-1] if fitting else None


def start(
    workspace: Workspace,
    position: int,
    scores_ids: Sequence[str],
    *,
    seed: int = 0,
    launch: Launch = choosing.launch,
) -> Job:
    """Queue the explanation of a sample and start a worker; the same that is under way is returned.

    Parameters
    ----------
    workspace, position
        The sample, by its position in the dataset.
    scores_ids
        Stored scores, one explanation each.
    seed
        Of the draws.
    launch
        Starts the worker.
    """
    arguments = {"sample": position, "scores": list(scores_ids), "seed": seed, "threads": 1}
    for job in job_rows.under_way(workspace):
        if job.kind == KIND and dict(job.arguments) == arguments:
            return job
    job = queue.enqueue(workspace, KIND, arguments, device=SCORING_DEVICE)
    supervisor.start_waiting(workspace, launch=launch)
    return job


def find(
    workspace: Workspace, position: int, scores_ids: Sequence[str], *, seed: int = 0
) -> Mapping[str, Found]:
    """Return what is known of a sample, by the id of the scores.

    Parameters are those of `start`. A worker that died is not noticed here: `queue.reconcile` does.
    """
    wanted = set(scores_ids)
    found = {scores_id: Found(scores_id=scores_id) for scores_id in scores_ids}
    # Oldest first, so that the newest answer stands.
    for job in job_rows.every(workspace, kind=KIND):
        if job.arguments.get("sample") != position or job.arguments.get("seed") != seed:
            continue
        for scores_id in wanted.intersection(job.arguments.get("scores", ())):
            known = found[scores_id]
            made, error = _answer(job, scores_id)
            found[scores_id] = Found(
                scores_id=scores_id,
                explanation=made or known.explanation,
                job=known.job if job.is_over else job,
                error=None if made else error or known.error,
            )
    return found


def look(shelf: Shelf, job_ids: Sequence[str]) -> tuple[Job, ...]:
    """Return how jobs stand now; workers that died meanwhile are noticed."""
    watching.indicator(shelf)
    return tuple(job_rows.find(shelf.workspace, job_id) for job_id in job_ids)


def collect(job: Job, scores_id: str) -> Explanation:
    """Return an explanation that a finished job made.

    Raises
    ------
    AuditError
        If it made none; carries the sentence.
    """
    made, error = _answer(job, scores_id)
    if made is None:
        raise AuditError(error or f"Job {job.id} explained nothing; ask for it again.")
    return made


def _answer(job: Job, scores_id: str) -> tuple[Explanation | None, str | None]:
    """Return what a job made of some scores, and why it made nothing."""
    if job.state is JobState.CANCELLED:
        return None, "It was cancelled; ask for it again."
    if job.state is not JobState.DONE:
        return None, job.error  # none while it waits or runs
    answers = (job.result or {}).get("explanations", ())
    answer = next((one for one in answers if one.get("scores") == scores_id), {})
    if "explanation" not in answer:
        return None, answer.get("error")
    try:
        return Explanation.from_json(answer["explanation"]), None
    except AuditError as error:
        return None, str(error)


def stale(workspace: Workspace, dataset: Dataset, position: int, method: str) -> Explanation | None:
    """Return the newest explanation that older scores of a method gave a sample, or ``None``.

    Scores are never changed, but newer ones of the same method may stand in their place.
    """
    older = [
        summary.id
        for summary in score_rows.all(workspace, dataset.id)
        if summary.spec.name == method
    ][:-1]
    found = find(workspace, position, older)
    made = [found[scores_id].explanation for scores_id in older]
    return next((one for one in reversed(made) if one is not None), None)


def run_of(workspace: Workspace, explanation: Explanation) -> Run:
    """Return the run whose recording was occluded.

    Raises
    ------
    NotFoundError
        If it was deleted.
    """
    try:
        return run_rows.find(workspace, explanation.run_id)
    except NotFoundError as error:
        raise NotFoundError(
            f"The run behind this explanation of {explanation.method} was deleted."
        ) from error


def _why_unscored(dataset: Dataset, position: int) -> str:
    problem = dataset.problems.get(position)
    if problem is not None:
        return f"its image cannot be used ({problem.rstrip('.')})"
    if dataset.given_labels[position] == UNLABELLED:
        return "it has no given label, so no run trained on it"
    split = SPLITS[int(dataset.splits[position])]
    return f"no run of these scores trained on it under its given label (it belongs to the {split} split)"
