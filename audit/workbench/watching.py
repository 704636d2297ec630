"""What runs and what ran: read from rows and files, so that every process sees the same.

A launch is what somebody started at once: the two runs of a probe, say, and the plain one beside it.
`survey` reads all of them, `standing` one run closely, `facts` the rows of a table, `indicator` the
one line that stands beside every page. Only `survey` and `indicator` put things right on their way:
they notice workers that died.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from audit.detectors import catalog
from audit.detectors.protocol import Needs
from audit.jobs import logs
from audit.records.job import Job, JobState
from audit.records.run import Probe, Run, RunState
from audit.store import datasets as dataset_rows
from audit.store import dynamics as dynamics_files
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store import unfinished
from audit.store.run_jobs import RESUMABLE
from audit.workbench import estimating, runs, settled
from audit.workbench.shelf import Shelf
from audit.workbench.wording import on_the_page

_REFRESH_SECONDS = 2.0
"""Dead workers are looked for at most so often, however many tabs are open."""

_LOG_LINES = 40

LOOKS_FOR: Mapping[Probe, str] = {
    Probe.NONE: "ordinary training",
    Probe.THRESHOLD: "threshold rows",
    Probe.CORRUPTED: "corrupted copies",
    Probe.PLANTED: "planted labels",
    Probe.CONTAMINATED: "contaminated labels",
}
"""What a probe is called where there is room for two words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Runs that were started together, as their rows say.

    Parameters
    ----------
    id
        Of the launch; of the probe group or the run where it was started elsewhere.
    dataset_id, dataset
        Id and name.
    runs
        In the order in which they were started.
    jobs
        Newest job of each run, by the run's id; a run may have none yet.
    scoring
        Jobs that score these runs, oldest first.
    """

    id: str
    dataset_id: str
    dataset: str
    runs: tuple[Run, ...]
    jobs: Mapping[str, Job]
    scoring: tuple[Job, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether something of it waits or runs, its scores included."""
        return any(not job.is_over for job in (*self.jobs.values(), *self.scoring))

    @property
    def unfinished_jobs(self) -> tuple[Job, ...]:
        """The jobs that can be cancelled."""
        return tuple(j for j in (*self.jobs.values(), *self.scoring) if not j.is_over)

    @property
    def resumable(self) -> tuple[Run, ...]:
        """The runs that can go on."""
        return tuple(
            run for run in self.runs if run.state in RESUMABLE and run.config.elsewhere is None
        )

    @property
    def is_sealed(self) -> bool:
        """Whether every run is sealed."""
        return all(run.state is RunState.SEALED for run in self.runs)

    @property
    def created_at(self) -> datetime:
        """When it was started."""
        return min(run.created_at for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Every launch of a workspace, newest first, and every job that waits or runs, oldest first."""

    launches: tuple[Launch, ...]
    under_way: tuple[Job, ...]

    @property
    def watched(self) -> tuple[Launch, ...]:
        """The launches to show first: all that are under way, or else the newest."""
        return tuple(launch for launch in self.launches if launch.is_under_way) or self.launches[:1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one run stands, in the words of the screen.

    Parameters
    ----------
    run, job
        The run and its newest job.
    sentence
        What it is doing, what it waits for, or what became of it.
    fraction
        Part of the work that is done, in [0, 1].
    curves
        ``epoch``, ``loss`` (nats), ``accuracy`` ([0, 1]) of each whole epoch.
    seconds_left
        ``None`` unless it runs and can be told.
    error
        The sentence that a failed or lost run ended with.
    took
        How long the last worker of a run took that is over, in words.
    """

    run: Run
    job: Job | None
    sentence: str
    fraction: float
    curves: Sequence[Mapping[str, float]]
    seconds_left: float | None = None
    error: str | None = None
    took: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One run as a row of a table.

    Parameters
    ----------
    run, dataset
        The run, and the name of its dataset.
    epochs_done
        Whole epochs.
    seconds
        What its workers took in all; ``None`` before the first began.
    n_bytes
        On disk.
    accuracy
        Of the last epoch on the labels trained on, in [0, 1].
    """

    run: Run
    dataset: str
    epochs_done: int
    seconds: float | None
    n_bytes: int
    accuracy: float | None


class _Pace:
    """Lets one of many callers do something, at most every so often."""

    def __init__(self) -> None:
        self._next = 0.0
        self._lock = threading.Lock()

    def is_due(self, now: float) -> bool:
        with self._lock:
            if now < self._next:
                return False
            self._next = now + _REFRESH_SECONDS
            return True


class _Speeds:
    """How fast the epochs of running jobs go, since they were first looked at.

    Decoding and extracting go at another speed: what they took says nothing about the epochs.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, float]] = {}

    def left(self, job: Job, *, now: float) -> float | None:
        """Return the seconds that a job needs yet; ``None`` while too little was seen of it."""
        if not job.message.startswith("epoch "):
            return None
        began, fraction = self._first.setdefault(job.id, (now, job.fraction))
        return estimating.seconds_left(now - began, job.fraction, begun_at=fraction)


def survey(shelf: Shelf) -> Survey:
    """Return every launch as it stands now; workers that died meanwhile are noticed."""
    _refresh(shelf)
    workspace = shelf.workspace
    names = {summary.id: summary.name for summary in dataset_rows.all(workspace)}
    every_run = run_rows.all(workspace)
    every_job = job_rows.every(workspace)
    newest: dict[str, Job] = {}
    launched: dict[str, str] = {}
    for job in every_job:
        if job.run_id is not None:
            newest[job.run_id] = job
            launched.setdefault(job.run_id, str(job.arguments.get(runs.LAUNCH) or ""))
    members: dict[str, list[Run]] = {}
    for run in every_run:
        key = launched.get(run.id) or run.config.probe_group or run.id
        members.setdefault(key, []).append(run)
    scoring: dict[str, list[Job]] = {}
    owner = {run.id: key for key, group in members.items() for run in group}
    for job in every_job:
        for key in {owner[run_id] for run_id in _scored_runs(job) if run_id in owner}:
            scoring.setdefault(key, []).append(job)
    launches = [
        Launch(
            id=key,
            dataset_id=group[0].dataset_id,
            dataset=names.get(group[0].dataset_id, group[0].dataset_id),
            runs=tuple(group),
            jobs={run.id: newest[run.id] for run in group if run.id in newest},
            scoring=tuple(scoring.get(key, ())),
        )
        for key, group in members.items()
    ]
    launches.sort(key=lambda launch: (launch.created_at, launch.id), reverse=True)
    return Survey(
        launches=tuple(launches),
        under_way=tuple(job for job in every_job if not job.is_over),
    )


def standing(shelf: Shelf, found: Survey, run: Run, job: Job | None) -> Standing:
    """Return how a run stands."""
    curves = curves_of(shelf, run)
    left = None
    fraction = 1.0 if run.state is RunState.SEALED else 0.0 if job is None else job.fraction
    if run.state is RunState.SEALED:
        sentence = _sealed(run, curves)
    elif job is None or run.state is RunState.QUEUED:
        sentence = waits_for(found, job) if job is not None else "It waits for a worker."
    elif run.state is RunState.RUNNING or not job.is_over:
        sentence = _spaced(job.message)
        left = _time_left(shelf, run, job)
    else:
        kept = len(curves)
        are_kept = f"; {kept} whole {'epoch is' if kept == 1 else 'epochs are'} kept"
        sentence = job.message + (are_kept if kept else "")
    error = run_rows.error(shelf.workspace, run.id) if run.state in RESUMABLE else None
    return Standing(
        run=run,
        job=job,
        sentence=sentence,
        fraction=fraction,
        curves=curves,
        seconds_left=left,
        error=None if error is None else on_the_page(error),
        took=_took(job),
    )


def waits_for(found: Survey, job: Job) -> str:
    """Return what a queued job waits for: those before it on its device, by the run's name."""
    names = {run.id: run.name for launch in found.launches for run in launch.runs}
    before = [
        other
        for other in found.under_way
        if other.device == job.device
        and other.id != job.id
        and (other.state is JobState.RUNNING or other.created_at < job.created_at)
    ]
    if not before:
        return f"waits for a worker on {job.device}"
    first = next((other for other in before if other.state is JobState.RUNNING), before[0])
    what = f"run {names[first.run_id]}" if first.run_id in names else f"a {first.kind} job"
    more = f" and {len(before) - 1} more" if len(before) > 1 else ""
    return f"waits for {what}{more} on {job.device}"


def next_step(launch: Launch) -> str | None:
    """Return what to do about a launch that did not come to its end, a sentence, or ``None``."""
    states = {run.state for run in launch.runs}
    if launch.is_under_way or not states & RESUMABLE:
        return None
    if not launch.resumable:
        return "It was not taken over to its end: delete it, then adopt its file again."
    if RunState.FAILED in states:
        return (
            "Mend what the sentence says, then resume: it goes on from the last whole epoch. If the "
            "settings are to blame, start a new run with others."
        )
    if RunState.LOST in states:
        return "Its process ended without a word. Resume goes on from the last whole epoch."
    return (
        "Resume goes on from the last whole epoch and gives what an uninterrupted run would have."
    )


def curves_of(shelf: Shelf, run: Run) -> Sequence[Mapping[str, float]]:
    """Return ``epoch``, ``loss`` and ``accuracy`` of a run's whole epochs."""
    if run.state is RunState.SEALED:
        return shelf.keep(
            ("curves", run.id), lambda: tuple(dynamics_files.curves(shelf.workspace, run))
        )
    return dynamics_files.curves(shelf.workspace, run)


def log_tail(shelf: Shelf, job: Job) -> str:
    """Return the last lines of a job's log; empty if it wrote nothing."""
    lines = logs.tail(shelf.workspace, job.id).splitlines()
    return "\n".join(lines[-_LOG_LINES:])


def facts(shelf: Shelf, found: Survey, dataset_id: str | None = None) -> list[Facts]:
    """Return every run as a row of a table, newest first; those of one dataset if one is given."""
    taken: dict[str, float] = {}
    for job in job_rows.every(shelf.workspace):
        if job.run_id is not None and job.started_at is not None:
            ended = job.finished_at or datetime.now(UTC)
            seconds = (ended - job.started_at).total_seconds()
            taken[job.run_id] = taken.get(job.run_id, 0.0) + seconds
    sealed: dict[str, tuple[int, int, float | None]] = shelf.keep(("run facts",), dict)
    rows: list[Facts] = []
    for launch in found.launches:
        if dataset_id is not None and launch.dataset_id != dataset_id:
            continue
        for run in launch.runs:
            read = sealed.get(run.id) or _read_facts(shelf, run)
            if run.state is RunState.SEALED:
                sealed[run.id] = read
            epochs_done, n_bytes, accuracy = read
            rows.append(
                Facts(
                    run=run,
                    dataset=launch.dataset,
                    epochs_done=epochs_done,
                    seconds=taken.get(run.id),
                    n_bytes=n_bytes,
                    accuracy=accuracy,
                )
            )
    return rows


def methods_of(shelf: Shelf, launch: Launch) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the methods that a launch's runs are scored with as they are now, and those that could follow.

    Interrupted runs count with the epochs that they have: scores of fewer epochs are out of date.

    Returns
    -------
    scored : tuple of str
        In the order of the catalogue.
    fitting : tuple of str
        Not asked for yet, and their needs are met.
    """
    own = {run.id for run in launch.runs}
    own |= {run.config.base_run for run in launch.runs if run.config.base_run is not None}
    stored = score_rows.all(shelf.workspace, launch.dataset_id)
    epochs = unfinished.epochs_of(shelf.workspace, launch.runs)
    scored = {
        s.spec.name
        for s in stored
        if set(s.run_ids) <= own
        and s.id
        == score_rows.digest(
            s.run_ids, s.spec, {run_id: n for run_id, n in epochs.items() if run_id in s.run_ids}
        )
    }
    waiting = {
        str(request["method"])
        for job in launch.scoring
        if not job.is_over
        for request in job.arguments.get("requests", ())
    }
    by_probe: dict[Probe, int] = {}
    for run in launch.runs:
        if unfinished.can_be_scored(shelf.workspace, run):
            by_probe[run.config.probe] = by_probe.get(run.config.probe, 0) + 1
    fitting = tuple(
        name
        for name in catalog.names()
        if name not in scored | waiting and _is_met(catalog.entry(name).needs, by_probe)
    )
    return tuple(name for name in catalog.names() if name in scored), fitting


def _is_met(needs: Needs, by_probe: Mapping[Probe, int]) -> bool:
    """Return whether runs that can be scored, counted by probe, are what a method needs or also accepts."""
    if by_probe.get(needs.probe, 0) == needs.n_runs:
        return True
    return any(by_probe.get(probe, 0) == 1 for probe in needs.also)


def indicator(shelf: Shelf) -> str | None:
    """Return in a few words what is under way, ``None`` if nothing is.

    Examples are ``1 job running · 43 %`` and ``1 job running · 43 % · 2 waiting``.
    """
    if not job_rows.under_way(shelf.workspace):
        return None
    _refresh(shelf)
    jobs = job_rows.under_way(shelf.workspace)
    running = [job for job in jobs if job.state is JobState.RUNNING]
    n_waiting = len(jobs) - len(running)
    parts: list[str] = []
    if running:
        done = sum(job.fraction for job in running) / len(running)
        parts += [f"{_jobs(len(running))} running", _spaced(f"{done:.0%}")]
    if n_waiting:
        parts.append(f"{n_waiting} waiting" if running else f"{_jobs(n_waiting)} waiting")
    return " · ".join(parts) or None


def _spaced(words: str) -> str:
    return words.replace("%", "\N{NO-BREAK SPACE}%")


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _refresh(shelf: Shelf) -> None:
    if shelf.keep(("refresh pace",), _Pace).is_due(time.monotonic()):
        runs.refresh(shelf.workspace)


def _scored_runs(job: Job) -> set[str]:
    if job.kind != "score":
        return set()
    return {str(r) for request in job.arguments.get("requests", ()) for r in request["runs"]}


def _took(job: Job | None) -> str:
    if job is None or job.started_at is None or job.finished_at is None:
        return ""
    return f"in {estimating.in_words((job.finished_at - job.started_at).total_seconds())}"


def _sealed(run: Run, curves: Sequence[Mapping[str, float]]) -> str:
    words = settled.epochs_in_words(run, len(curves))
    last = curves[-1] if curves else {}
    # What was recorded elsewhere may know only one of them.
    words += f" · loss {last['loss']:.3f}" if "loss" in last else ""
    words += f" · accuracy {last['accuracy']:.0%}" if "accuracy" in last else ""
    return _spaced(words)


def _time_left(shelf: Shelf, run: Run, job: Job) -> float | None:
    if job.started_at is None:
        return None
    watched = shelf.keep(("speeds",), _Speeds).left(job, now=time.monotonic())
    if watched is not None:
        return watched
    elapsed = (datetime.now(UTC) - job.started_at).total_seconds()
    before = int(job.arguments.get(runs.EPOCHS_BEFORE, 0)) / run.config.epochs
    return estimating.seconds_left(elapsed, job.fraction, begun_at=before)


def _read_facts(shelf: Shelf, run: Run) -> tuple[int, int, float | None]:
    curves = dynamics_files.curves(shelf.workspace, run)
    accuracy = curves[-1].get("accuracy") if curves else None
    return len(curves), run_rows.size_on_disk(shelf.workspace, run.id), accuracy
