"""What decisions are worth so far: estimated by a linear head after every fifty, while people decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.errors import AuditError
from audit.jobs import queue, supervisor
from audit.records.dataset import Dataset
from audit.records.decision import Decision, Undo
from audit.records.job import Job, JobState
from audit.records.run import RunConfig, RunState
from audit.store import decisions as decision_rows
from audit.store import jobs as job_rows
from audit.store import pixels as pixel_store
from audit.store import runs as run_rows
from audit.workbench import settling
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

KIND = "estimate_gain"
"""Kind of the job."""

EVERY = 50
"""Decisions between two estimates."""


CORRELATION = (
    "Over seven stages of two simulated reviews it correlated by .92 with retraining on a pretrained "
    "network's features, and said too much early on; networks trained from scratch won two to seven "
    "times as much."
)
"""What ``benchmarks/debugging.py`` measured of the estimate against the full comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The newest estimate for a dataset.

    Parameters
    ----------
    points
        In the order of the log: ``n_decisions``, ``event``, ``accuracy``, ``gain``, ``low``, ``high`` in
        parts of one.
    accuracy
        With the labels as given, in [0, 1].
    n_tested, test, seen
        On how many samples of which part, and what the linear head looks at.
    is_under_way
        Whether the next estimate is being made.
    error
        Why the last one failed, or ``None``.
    n_since
        Decisions and undos that came after the last point.
    """

    points: tuple[Mapping[str, float], ...] = ()
    accuracy: float | None = None
    n_tested: int = 0
    test: str = ""
    seen: str = ""
    is_under_way: bool = False
    error: str | None = None
    n_since: int = 0

    @property
    def is_shown(self) -> bool:
        """Whether the interval of the last point leaves zero out."""
        return bool(self.points) and (self.points[-1]["low"] > 0 or self.points[-1]["high"] < 0)

    @property
    def in_words(self) -> str:
        """The last point as a sentence."""
        if not self.points:
            return ""
        last = self.points[-1]
        value, low, high = (100 * float(last[name]) for name in ("gain", "low", "high"))
        number = int(last["n_decisions"])
        if self.is_shown:
            said = f"{value:+.1f} points of accuracy ({low:+.1f} to {high:+.1f})"
        else:
            said = (
                f"no gain that {self.n_tested:,} test samples can show ({low:+.1f} to {high:+.1f})"
            )
        return f"After {number:,} decisions: {said.replace('-', '−')}."


def look(shelf: Shelf, dataset: Dataset) -> Gain:
    """Return the newest estimate; nothing is started."""
    jobs = _jobs(shelf, dataset)
    under_way = any(not job.is_over for job in jobs)
    done = next((job for job in reversed(jobs) if job.state is JobState.DONE and job.result), None)
    newest = jobs[-1] if jobs else None
    error = newest.error if newest is not None and newest.state is JobState.FAILED else None
    if done is None or done.result is None:
        return Gain(is_under_way=under_way, error=error)
    result: Mapping[str, Any] = done.result
    return Gain(
        points=tuple(result["points"]),
        accuracy=result["accuracy"],
        n_tested=result["n_tested"],
        test=result["test"],
        seen=result["seen"],
        is_under_way=under_way,
        error=error,
        n_since=len(decision_rows.log(shelf.workspace, dataset.id, after=int(result["until"]))),
    )


def follow(shelf: Shelf, dataset: Dataset) -> Gain:
    """Return the newest estimate, and ask for the next one if fifty decisions came since.

    Raises
    ------
    WorkspaceError
        If nothing can be written.
    """
    found = look(shelf, dataset)
    if found.is_under_way:
        return found
    last = decision_rows.last_id(shelf.workspace, dataset.id)
    if last is None:
        return found
    jobs = _jobs(shelf, dataset)
    # What failed is not asked for again until as many decisions came anew.
    seen = max((int(job.arguments.get("until", 0)) for job in jobs), default=0)
    if last <= seen or not _is_due(decision_rows.log(shelf.workspace, dataset.id, after=seen)):
        return found
    return look(shelf, dataset) if ask(shelf, dataset, only_ready=True) is not None else found


def _is_due(events: list[Decision | Undo]) -> bool:
    """Return whether enough happened: fifty decisions, or one that counted was taken back."""
    n_decisions = sum(isinstance(one, Decision) for one in events)
    own = {one.id for one in events}
    took_back = any(isinstance(one, Undo) and one.undoes not in own for one in events)
    return n_decisions >= EVERY or took_back


def ask(shelf: Shelf, dataset: Dataset, *, only_ready: bool = False) -> Job | None:
    """Queue an estimate of all that is decided by now; ``None`` if there is nothing to look at.

    Parameters
    ----------
    shelf, dataset
        Whose decisions.
    only_ready
        Whether to do without where images would have to be decoded first: nobody asked for that.

    Raises
    ------
    WorkspaceError
        If nothing can be written.
    """
    wanted = arguments(shelf, dataset)
    if wanted is None:
        return None
    size = int(wanted["config"]["image_size"])
    if only_ready and pixel_store.find(shelf.workspace, dataset.id, size) is None:
        return None
    job = queue.enqueue(shelf.workspace, KIND, wanted, device="cpu")
    supervisor.start_waiting(shelf.workspace)
    return job


def arguments(shelf: Shelf, dataset: Dataset) -> dict[str, Any] | None:
    """Return what the job is told, ``None`` where nothing is decided or no image can be looked at."""
    last = decision_rows.last_id(shelf.workspace, dataset.id)
    if last is None:
        return None
    try:
        config = _config(shelf, dataset)
    except AuditError:
        return None
    return {
        "dataset": dataset.id,
        "config": config.to_json(),
        "until": last,
        "every": EVERY,
        "threads": config.threads,
    }


def _config(shelf: Shelf, dataset: Dataset) -> RunConfig:
    """Return settings whose pixels, or better features, are there already; of no run the preset's."""
    sealed = [
        run.config
        for run in run_rows.all(shelf.workspace, dataset.id)
        if run.state is RunState.SEALED and run.config.elsewhere is None
    ]
    with_features = [config for config in sealed if config.architecture == "features"]
    for config in reversed(with_features or sealed):
        return config
    (config,) = settling.settle(dataset, Wishes(preset="quick", device="cpu"))
    return config


def _jobs(shelf: Shelf, dataset: Dataset) -> list[Job]:
    return [
        job
        for job in job_rows.every(shelf.workspace, kind=KIND)
        if job.arguments.get("dataset") == dataset.id
    ]
