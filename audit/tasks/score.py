"""Score runs with detectors and seal the answers; or score dynamics recorded elsewhere into a file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from audit.detectors import registry
from audit.errors import NotFoundError
from audit.exchange import recorded, scores_file
from audit.records.job import Job
from audit.records.progress import Report
from audit.records.run import Run
from audit.records.scores import Scores
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store import unfinished as unfinished_runs
from audit.store.workspace import Workspace
from audit.tasks import unfinished


def run(workspace: Workspace, job: Job, report: Report) -> Mapping[str, Any]:
    """Score the runs that a job names with the methods that it names.

    Parameters
    ----------
    workspace
        Where the runs lie.
    job
        Its arguments: ``requests``, a list of ``{"method", "params", "runs"}``; or ``file``,
        ``axes``, ``methods``, ``out`` and ``force`` for dynamics recorded elsewhere.
    report
        Told before each method.

    Returns
    -------
    mapping
        ``scores``: list of ``{"method", "id", "messages"}``, in the order asked for; for a file
        ``{"method", "scored", "unscored", "flagged", "threshold", "messages"}``.
    """
    if "file" in job.arguments:
        return {"scores": _score_file(job.arguments, report)}
    requests = list(job.arguments["requests"])
    answers: list[dict[str, Any]] = []
    for number, request in enumerate(requests):
        method = str(request["method"])
        report(number / len(requests), f"scoring with {method}")
        runs = [run_rows.find(workspace, str(reference)) for reference in request["runs"]]
        answers.append(_score(workspace, method, request.get("params") or {}, runs, report))
    report(1.0, "scored")
    return {"scores": answers}


def _score(
    workspace: Workspace,
    method: str,
    params: Mapping[str, Any],
    runs: Sequence[Run],
    report: Report,
) -> dict[str, Any]:
    detector = registry.build(method, params)
    unfinished_runs.check(workspace, runs)
    epochs = unfinished_runs.epochs_of(workspace, runs)
    scores_id = score_rows.digest([run.id for run in runs], detector.spec, epochs)
    try:
        stored = score_rows.load(workspace, scores_id)
    except NotFoundError:
        dynamics = [unfinished.load(workspace, run) for run in runs]
        stored = unfinished.told(detector.score(dynamics, report), runs, epochs)
        scores_id = score_rows.save(workspace, runs[0].dataset_id, stored)
    return {"method": method, "id": scores_id, "messages": list(stored.messages)}


def _score_file(arguments: Mapping[str, Any], report: Report) -> list[dict[str, Any]]:
    """Score dynamics recorded elsewhere and write the scores file."""
    report(0.0, "reading the recorded dynamics")
    axes = arguments["axes"]
    found = recorded.read(
        Path(arguments["file"]), axes=None if axes is None else recorded.Axes(axes)
    )
    answers: list[Scores] = []
    methods = list(arguments["methods"])
    for number, method in enumerate(methods):
        report(number / len(methods), f"scoring with {method}")
        own = arguments.get("params", {}).get(method, {})
        answer = registry.build(method, own).score([found.dynamics], report)
        answers.append(replace(answer, messages=(*found.messages, *answer.messages)))
    scores_file.write(
        Path(arguments["out"]),
        scores_file.of_recorded(found),
        answers,
        force=bool(arguments["force"]),
    )
    report(1.0, "scored")
    return [
        {
            "method": method,
            "scored": int((~np.isnan(answer.suspicion)).sum()),
            "unscored": int(np.isnan(answer.suspicion).sum()),
            "flagged": None if answer.flagged is None else int(answer.flagged.sum()),
            "threshold": answer.threshold,
            "messages": list(answer.messages),
        }
        for method, answer in zip(methods, answers, strict=True)
    ]
