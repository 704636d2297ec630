"""Explain what the scores of one sample rest on; the answers stay in the job's row."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audit.detectors import explanation, registry
from audit.errors import AuditError, StoppedError
from audit.records.dynamics import TrainingDynamics
from audit.records.job import Job
from audit.records.progress import Report
from audit.records.scores import Scores
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace
from audit.tasks import unfinished


def run(workspace: Workspace, job: Job, report: Report) -> Mapping[str, Any]:
    """Explain a sample's suspicion by each of the scores that a job names.

    Parameters
    ----------
    workspace
        Where scores and runs lie.
    job
        Its arguments: ``sample``, a position; ``scores``, ids; ``seed``.
    report
        Told how far the work is; may stop it.

    Returns
    -------
    mapping
        ``explanations``: list of ``{"scores", "explanation"}``, or ``{"scores", "error"}`` with a
        sentence where one method can say nothing, in the order asked for.

    Raises
    ------
    AuditError
        If none of them can be explained; the reason of the first.
    """
    asked = [str(scores_id) for scores_id in job.arguments["scores"]]
    answers: list[dict[str, Any]] = []
    failures: list[AuditError] = []
    for number, scores_id in enumerate(asked):

        def within(fraction: float, message: str, number: int = number) -> None:
            report((number + fraction) / len(asked), message)

        try:
            answers.append(
                {"scores": scores_id, "explanation": _explain(workspace, job, scores_id, within)}
            )
        except StoppedError:
            raise
        except AuditError as error:
            failures.append(error)
            answers.append({"scores": scores_id, "error": str(error)})
    if len(failures) == len(asked):
        raise failures[0]
    return {"explanations": answers}


def _explain(workspace: Workspace, job: Job, scores_id: str, report: Report) -> dict[str, Any]:
    scores = score_rows.load(workspace, scores_id)
    report(0.0, f"explaining {scores.spec.name}")
    detector = registry.rebuild(scores.spec)
    runs = [run_rows.find(workspace, run_id) for run_id in scores.run_ids]
    recorded = [_as_scored(unfinished.load(workspace, one), scores) for one in runs]
    responder = detector.responder(recorded, int(job.arguments["sample"]))
    found = explanation.explain(
        responder,
        scores,
        scores_id=scores_id,
        seed=int(job.arguments.get("seed", 0)),
        report=lambda fraction, message: report(fraction, f"explaining {scores.spec.name}"),
    )
    return found.to_json()


def _as_scored(recorded: TrainingDynamics, scores: Scores) -> TrainingDynamics:
    """Return what a run had recorded when it was scored: it may have gone on since."""
    n_epochs = scores.epochs.get(recorded.run_id, recorded.n_epochs)
    if n_epochs == recorded.n_epochs:
        return recorded
    signals = {name: values[:n_epochs] for name, values in recorded.signals.items()}
    return replace(recorded, signals=signals)
