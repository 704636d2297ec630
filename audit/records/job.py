"""Jobs: any long verb, as a row whose state only moves along legal transitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.LOST}
    ),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.LOST: frozenset(),
}
"""Legal moves; the four ends are final. Resuming a run makes a new job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One long verb and its progress.

    Parameters
    ----------
    id
        Identity.
    kind
        ``train``, ``score``, ``explain`` or ``fit_lstm``.
    arguments
        Plain JSON values that the task understands.
    device
        What it occupies while it runs (``cpu``, ``cuda:0``); one running job per device.
    state, fraction, message
        Progress; the fraction lies in [0, 1].
    stop_requested
        Whether somebody asked it to stop.
    result
        Plain JSON values that a finished task left, or ``None``.
    error
        One sentence for a failed or lost job.
    created_at, started_at, heartbeat_at, finished_at
        UTC.
    pid
        Process that works on it.
    run_id
        The run that it works for, if it works for one.
    """

    id: str
    kind: str
    arguments: Mapping[str, Any]
    device: str
    state: JobState
    created_at: datetime
    fraction: float = 0.0
    message: str = ""
    stop_requested: bool = False
    result: Mapping[str, Any] | None = None
    error: str | None = None
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None
    finished_at: datetime | None = None
    pid: int | None = None
    run_id: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the job has reached one of its four ends."""
        return not TRANSITIONS[self.state]
