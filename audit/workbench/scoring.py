"""Scores: find the runs that a method needs, ask for them, and collect the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.detectors import catalog
from audit.errors import NotFoundError, RefusedError
from audit.jobs import endings, queue, supervisor
from audit.records.job import Job
from audit.records.run import Probe, Run, RunState
from audit.records.scores import Scores
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace

SCORING_DEVICE = "scoring"
"""Scoring takes seconds and a queue of its own, so that it never waits behind a training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """One method on the runs that it needs."""

    method: str
    runs: tuple[Run, ...]
    params: Mapping[str, Any]


def parse_methods(texts: Sequence[str]) -> tuple[str, ...]:
    """Return method names from ``--method aum,margin --method late_margin``, in order, once each.

    Raises
    ------
    NotFoundError
        If the catalogue has no such method; says which it has.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        catalog.entry(name)
    if not names:
        raise NotFoundError("Name at least one method; `labeltrace methods` lists them.")
    return tuple(dict.fromkeys(names))


def needed_probes(methods: Sequence[str]) -> tuple[Probe, ...]:
    """Return which kinds of training the methods need, each once: the fewest that serve them all."""
    return tuple(dict.fromkeys(catalog.entry(name).needs.probe for name in methods))


def requests(
    workspace: Workspace, references: Sequence[str], methods: Sequence[str]
) -> list[ScoreRequest]:
    """Return which of the named runs each method is applied to.

    A probe group is taken whole when one of its runs is named. A method that needs another kind of run
    than those named is refused.

    Raises
    ------
    RefusedError
        If the runs belong to different datasets, are not sealed, or suit none of a method's needs.
    """
    named = [run_rows.find(workspace, reference) for reference in references]
    runs: dict[str, Run] = {}
    for run in named:
        group = run.config.probe_group
        for member in run_rows.of_group(workspace, group) if group else [run]:
            runs[member.id] = member
    if len({run.dataset_id for run in runs.values()}) > 1:
        raise RefusedError("The named runs belong to different datasets; score them apart.")
    for run in runs.values():
        if run.state is not RunState.SEALED:
            raise RefusedError(
                f"Run {run.name!r} is {run.state}, not sealed: it has no dynamics yet."
            )
    return [_request(method, list(runs.values())) for method in methods]


def _request(method: str, runs: list[Run]) -> ScoreRequest:
    probe = catalog.entry(method).needs.probe
    fitting = [run for run in runs if run.config.probe is probe]
    if not fitting:
        have = ", ".join(f"{run.name} ({run.config.probe})" for run in runs)
        raise RefusedError(
            f"Method {method!r} needs a run with probe {probe}, got {have}: "
            f"`labeltrace train DATASET --probe {probe}` makes it."
        )
    if probe is Probe.THRESHOLD:
        group = fitting[0].config.probe_group
        if any(run.config.probe_group != group for run in fitting):
            raise RefusedError(f"Method {method!r} takes the runs of one probe group, got several.")
        fitting.sort(key=lambda run: run.config.probe_part)
    elif len(fitting) > 1:
        names = ", ".join(run.name for run in fitting)
        raise RefusedError(f"Method {method!r} takes one run at a time, got {names}.")
    return ScoreRequest(method=method, runs=tuple(fitting), params={})


def start(workspace: Workspace, wanted: Sequence[ScoreRequest]) -> Job:
    """Queue the scoring and start a worker for it."""
    job = queue.enqueue(workspace, "score", _arguments(wanted), device=SCORING_DEVICE)
    supervisor.start_waiting(workspace)
    return job


def to_follow(runs: Sequence[Run], methods: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return by run what its job must carry so that the last one to be sealed asks for scores.

    Parameters
    ----------
    runs
        Started together and not sealed yet.
    methods
        Each is applied to those of the runs that suit its needs.

    Returns
    -------
    dict
        Run id → plain values for `endings.THEN`; a run that no method needs is left out. Methods that
        take the same runs are asked for in one job.

    Raises
    ------
    RefusedError
        If no run suits a method.
    """
    by_runs: dict[tuple[str, ...], list[ScoreRequest]] = {}
    for method in methods:
        wanted = _request(method, list(runs))
        by_runs.setdefault(tuple(run.id for run in wanted.runs), []).append(wanted)
    carried: dict[str, Mapping[str, Any]] = {}
    for run_ids, wanted in by_runs.items():
        then = endings.following("score", _arguments(wanted), device=SCORING_DEVICE, after=run_ids)
        carried |= dict.fromkeys(run_ids, then)
    return carried


def _arguments(wanted: Sequence[ScoreRequest]) -> dict[str, Any]:
    return {
        "requests": [
            {"method": r.method, "params": dict(r.params), "runs": [run.id for run in r.runs]}
            for r in wanted
        ],
        "threads": 1,
    }


def start_file(
    workspace: Workspace,
    file: Path,
    methods: Sequence[str],
    *,
    axes: str | None,
    out: Path,
    force: bool,
) -> Job:
    """Queue the scoring of dynamics that were recorded elsewhere; the job writes the scores file."""
    arguments = {
        "file": str(file.absolute()),
        "axes": axes,
        "methods": list(methods),
        "out": str(out.absolute()),
        "force": force,
        "threads": 1,
    }
    job = queue.enqueue(workspace, "score", arguments, device=SCORING_DEVICE)
    supervisor.start_waiting(workspace)
    return job


def collect(workspace: Workspace, job: Job) -> dict[str, Scores]:
    """Return the answers of a finished scoring job by method, in the order asked for."""
    answers = (job.result or {})["scores"]
    return {str(a["method"]): score_rows.load(workspace, str(a["id"])) for a in answers}
