"""Scores: find the runs that a method needs, ask for them, and collect the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.detectors import catalog
from audit.detectors.parameters import ParameterKind, ParameterValue, complete
from audit.errors import InputError, NotFoundError, RefusedError
from audit.jobs import endings, queue, supervisor
from audit.records.job import Job
from audit.records.run import Probe, Run
from audit.records.scores import Scores
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store import unfinished
from audit.store.workspace import Workspace

SCORING_DEVICE = "scoring"
"""Scoring takes seconds and a queue of its own, so that it never waits behind a training."""


class Budget(StrEnum):
    """How much training methods may ask for.

    ``full`` gives each method the runs that it was made for, shared where they are the same;
    ``quick`` takes all from one run with corrupted copies, which every method accepts at a price.
    """

    FULL = "full"
    QUICK = "quick"


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


def parse_params(texts: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return settings by method from texts like ``aum.percentile=95``, each checked.

    Raises
    ------
    InputError
        If a text is no setting, its method is not among `methods`, or the value does not fit.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, is_setting, value = text.partition("=")
        method, has_method, setting = name.partition(".")
        if not is_setting or not has_method:
            raise InputError(f"A setting reads METHOD.NAME=VALUE, got {text!r}.")
        if method not in methods:
            raise InputError(
                f"{text!r} sets something of a method that is not asked for: {', '.join(methods)}."
            )
        own = found.setdefault(method, {})
        own[setting] = _value(method, setting, value)
    for method, given in found.items():
        complete(method, catalog.entry(method).parameters, given)
    return found


def _value(method: str, setting: str, text: str) -> ParameterValue:
    known = {parameter.name: parameter for parameter in catalog.entry(method).parameters}
    kind = known[setting].kind if setting in known else None
    if setting in known and known[setting].is_path and Path(text).suffix:
        return str(Path(text).expanduser().absolute())  # the worker may work in another folder
    if text == "" and kind is not None:
        return None
    if kind in (ParameterKind.WHOLE, ParameterKind.NUMBER):
        try:
            return int(text) if kind is ParameterKind.WHOLE else float(text)
        except ValueError:
            raise InputError(f"{method}.{setting} must be a number, got {text!r}.") from None
    return text


def probe_for(method: str, budget: Budget = Budget.FULL) -> Probe:
    """Return the kind of training that a method is scored on.

    Raises
    ------
    RefusedError
        If the method cannot do with what the quick budget trains.
    """
    needs = catalog.entry(method).needs
    if budget is Budget.FULL or needs.probe is Probe.CORRUPTED:
        return needs.probe
    if Probe.CORRUPTED not in needs.also:
        raise RefusedError(
            f"Method {method!r} cannot do with one run with corrupted copies; leave --budget quick out."
        )
    return Probe.CORRUPTED


def needed_probes(methods: Sequence[str], budget: Budget = Budget.FULL) -> tuple[Probe, ...]:
    """Return which kinds of training the methods need, each once: the fewest that serve them all.

    Examples
    --------
    >>> [str(probe) for probe in needed_probes(["aum", "margin", "late_margin"])]
    ['threshold', 'none']
    """
    probes: list[Probe] = []
    for name in methods:
        probe = probe_for(name, budget)
        # Planted labels are drawn from what an ordinary run predicted.
        probes += [Probe.NONE, probe] if probe is Probe.PLANTED else [probe]
    return tuple(dict.fromkeys(probes))


def requests(
    workspace: Workspace,
    references: Sequence[str],
    methods: Sequence[str],
    *,
    params: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[ScoreRequest]:
    """Return which of the named runs each method is applied to.

    A probe group is taken whole when one of its runs is named. A method that needs another kind of run
    than those named is refused. `params` are settings by method, as `parse_params` returns them.

    Raises
    ------
    RefusedError
        If the runs belong to different datasets, suit none of a method's needs, or one that is needed is
        neither sealed nor interrupted after enough epochs to score what is there.
    """
    named = [run_rows.find(workspace, reference) for reference in references]
    runs: dict[str, Run] = {}
    for run in named:
        group = run.config.probe_group
        for member in run_rows.of_group(workspace, group) if group else [run]:
            runs[member.id] = member
        base = _base_of(workspace, run)
        if base is not None:
            runs.setdefault(base.id, base)
    if len({run.dataset_id for run in runs.values()}) > 1:
        raise RefusedError("The named runs belong to different datasets; score them apart.")
    own = params or {}
    wanted = [
        replace(_request(workspace, method, list(runs.values())), params=own.get(method, {}))
        for method in methods
    ]
    for request in wanted:
        unfinished.check(workspace, request.runs)
    return wanted


def _base_of(workspace: Workspace, run: Run) -> Run | None:
    """Return the run that a run with planted labels builds on, ``None`` for other runs.

    Raises
    ------
    RefusedError
        If it was deleted.
    """
    if run.config.base_run is None:
        return None
    try:
        return run_rows.find(workspace, run.config.base_run)
    except NotFoundError as error:
        raise RefusedError(
            f"Run {run.name!r} planted labels after a run that was deleted; train both again."
        ) from error


def _request(workspace: Workspace, method: str, runs: list[Run]) -> ScoreRequest:
    needs = catalog.entry(method).needs
    probe = needs.probe
    fitting = [run for run in runs if run.config.probe is probe]
    for other in needs.also:
        if not fitting:
            fitting = [run for run in runs if run.config.probe is other]
    if not fitting:
        have = ", ".join(f"{run.name} ({run.config.probe})" for run in runs)
        raise RefusedError(
            f"Method {method!r} needs a run with probe {probe}, got {have}: "
            f"`labeltrace train DATASET --probe {probe}` makes it."
        )
    if fitting[0].config.probe is Probe.THRESHOLD:
        group = fitting[0].config.probe_group
        if any(run.config.probe_group != group for run in fitting):
            raise RefusedError(f"Method {method!r} takes the runs of one probe group, got several.")
        fitting.sort(key=lambda run: run.config.probe_part)
    elif len(fitting) > 1:
        names = ", ".join(run.name for run in fitting)
        raise RefusedError(f"Method {method!r} takes one run at a time, got {names}.")
    base = _base_of(workspace, fitting[0])
    if base is not None:
        fitting = [base, *fitting]
    return ScoreRequest(method=method, runs=tuple(fitting), params={})


def start(workspace: Workspace, wanted: Sequence[ScoreRequest]) -> Job:
    """Queue the scoring and start a worker for it."""
    job = queue.enqueue(workspace, "score", _arguments(wanted), device=SCORING_DEVICE)
    supervisor.start_waiting(workspace)
    return job


def to_follow(
    workspace: Workspace, runs: Sequence[Run], methods: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """Return by run what its job must carry so that the last one to be sealed asks for scores.

    Parameters
    ----------
    workspace
        Where the runs are.
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
        wanted = _request(workspace, method, list(runs))
        by_runs.setdefault(tuple(run.id for run in wanted.runs), []).append(wanted)
    carried: dict[str, Mapping[str, Any]] = {}
    for run_ids, wanted in by_runs.items():
        then = endings.following("score", _arguments(wanted), device=SCORING_DEVICE, after=run_ids)
        # A run with planted labels ends after the one it builds on, which carries its own.
        last = wanted[0].runs[-1]
        carriers = run_ids if last.config.base_run is None else (last.id,)
        carried |= dict.fromkeys(carriers, then)
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
    params: Mapping[str, Mapping[str, Any]] | None = None,
    axes: str | None,
    out: Path,
    force: bool,
) -> Job:
    """Queue the scoring of dynamics that were recorded elsewhere; the job writes the scores file."""
    arguments = {
        "file": str(file.absolute()),
        "axes": axes,
        "methods": list(methods),
        "params": {method: dict(own) for method, own in (params or {}).items()},
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
