"""What a job's end leaves behind: words that say what became of it, and the job that follows it.

A job that works for a run may carry, under `THEN`, a job to ask for once every run that it waits
for is sealed: scores of a probe group, say. Whoever writes the end of a job asks for it first, under
an id that is derived from what is asked: two workers that seal the last two runs at one moment, or a
worker that dies right after, ask for the same row.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from audit.errors import NotFoundError
from audit.records.job import Job, JobState
from audit.records.run import RunState
from audit.store import ids, jobs, runs
from audit.store.workspace import Workspace

THEN = "then"
"""Name of the argument that holds what `following` returned."""


def following(
    kind: str, arguments: Mapping[str, Any], *, device: str, after: Iterable[str]
) -> Mapping[str, Any]:
    """Return, as plain JSON values, a job to be asked for once some runs are sealed.

    Parameters
    ----------
    kind, arguments, device
        As for `queue.enqueue`.
    after
        Ids of the runs, every one of which must be sealed.
    """
    return {
        "kind": kind,
        "arguments": dict(arguments),
        "device": device,
        "after": sorted(after),
    }


def ask_for_what_follows(workspace: Workspace, job: Job) -> str | None:
    """Queue the job that a job carries, if every run that it waits for is sealed by now.

    Returns
    -------
    str or None
        Id of the queued job, also if another process queued it before; ``None`` if there is none or
        a run is missing.
    """
    then = job.arguments.get(THEN)
    if not then or not all(_is_sealed(workspace, run_id) for run_id in then["after"]):
        return None
    identity = ids.derived(json.dumps(then, sort_keys=True))
    jobs.insert_once(
        workspace,
        Job(
            id=identity,
            kind=then["kind"],
            arguments=then["arguments"],
            device=then["device"],
            state=JobState.QUEUED,
            created_at=datetime.now(UTC),
        ),
    )
    return identity


def words(job: Job, state: JobState, result: Mapping[str, Any] | None = None) -> str:
    """Return in a few words what became of a job.

    Parameters
    ----------
    job
        As it was last: its message says what it was doing.
    state
        The end that it came to.
    result
        What a finished task left.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> job = Job(
    ...     id="1",
    ...     kind="train",
    ...     arguments={},
    ...     device="cpu",
    ...     state=JobState.RUNNING,
    ...     created_at=datetime(2025, 1, 1, tzinfo=UTC),
    ...     message="epoch 3 of 9 · loss 0.412",
    ... )
    >>> words(job, JobState.DONE, {"epochs": 9, "seconds": 61.2})
    'sealed after 9 epochs'
    >>> words(job, JobState.DONE, {"epochs": 5, "planned_epochs": 9, "seconds": 34.0})
    'settled after 5 of 9 epochs'
    >>> words(job, JobState.CANCELLED)
    'stopped in epoch 3 of 9'
    """
    if state is JobState.DONE:
        return _done(job, result or {})
    if job.state is JobState.QUEUED or not job.message:
        return f"{state.value} before it began"
    doing = job.message.partition(" · ")[0]
    verb = "stopped" if state is JobState.CANCELLED else state.value
    if doing.startswith("epoch "):
        return f"{verb} in {doing}"
    link = "while" if doing.partition(" ")[0].endswith("ing") else "at"
    return f"{verb} {link} {doing[0].lower()}{doing[1:]}"


def _done(job: Job, result: Mapping[str, Any]) -> str:
    if job.kind == "train":
        epochs, planned = result.get("epochs"), result.get("planned_epochs")
        if epochs is not None and planned is not None and epochs < planned:
            return f"settled after {epochs} of {planned} epochs"
        return "sealed" if epochs is None else f"sealed after {epochs} epochs"
    if job.kind == "score":
        methods = ", ".join(str(answer["method"]) for answer in result.get("scores", ()))
        return f"scored with {methods}" if methods else "scored"
    return _OTHERS.get(job.kind, lambda _: "done")(result)


def _compared(result: Mapping[str, Any]) -> str:
    n_failed = len(result.get("failed", ()))
    failed = f", {n_failed} failed" if n_failed else ""
    return f"compared: {result.get('trained', 0)} trained, {result.get('reused', 0)} reused{failed}"


_OTHERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "compare": _compared,
    "estimate_gain": lambda result: (
        f"estimated what {len(result.get('points', ()))} stages of decisions are worth"
    ),
    "fit_lstm": lambda result: f"fitted {result.get('name', 'a detector')}",
    "explain": lambda _: "explained",
}


def _is_sealed(workspace: Workspace, run_id: str) -> bool:
    try:
        return runs.find(workspace, run_id).state is RunState.SEALED
    except NotFoundError:
        return False  # deleted meanwhile
