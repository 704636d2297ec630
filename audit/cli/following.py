"""Progress bars with time left, and waiting for jobs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from audit.cli.session import Session, printable
from audit.errors import AuditError
from audit.jobs import queue
from audit.records.job import Job, JobState
from audit.records.progress import Report
from audit.store.workspace import Workspace
from audit.workbench import runs as run_verbs


class _TimeLeft(ProgressColumn):
    """Time left, from the fraction done and the time taken so far; steadier than a moving average."""

    def render(self, task: Task) -> Text:
        """Return ``1:23 left``, or nothing while it cannot be told."""
        if not task.elapsed or task.completed < 0.02 or task.finished:
            return Text("")
        left = int(task.elapsed * (1 - task.completed) / task.completed)
        return Text(f"{left // 60}:{left % 60:02d} left")


class _Plain:
    """Progress for a log file: a line for each tenth, and for what is said before work begins."""

    def __init__(self, session: Session, title: str) -> None:
        self._session = session
        self._title = title
        self._said: tuple[int, str] | None = None

    def __call__(self, fraction: float, message: str) -> None:
        step = (int(fraction * 10), message if fraction == 0 else "")
        if step != self._said:
            self._said = step
            self._session.say(f"{self._title}: {fraction:4.0%} {printable(message)}")


@contextmanager
def progress(session: Session, title: str) -> Iterator[Report]:
    """Show a progress bar on stderr for the length of a block; plain lines where it is no terminal.

    Yields
    ------
    Report
        To be told how far the work is.
    """
    console = session.messages
    if not console.is_terminal:
        yield _Plain(session, title)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        _TimeLeft(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Progress(*columns, console=console, transient=False) as bars:
        bar = bars.add_task(printable(title), total=1.0, message="")

        def report(fraction: float, message: str) -> None:
            bars.update(bar, completed=fraction, message=printable(message))

        yield report


def follow(
    session: Session,
    workspace: Workspace,
    jobs: Sequence[tuple[str, Job]],
    *,
    goes_on: str = "`labeltrace resume RUN`",
) -> list[Job]:
    """Wait for jobs one after the other, showing their progress; Ctrl-C cancels those still at work.

    Parameters
    ----------
    session, workspace
        Surroundings.
    jobs
        A title and a job each, in the order in which they run.
    goes_on
        What goes on with them after Ctrl-C.

    Returns
    -------
    list of Job
        As they ended, every one done.

    Raises
    ------
    AuditError
        If a job failed, was cancelled or lost; carries the sentence of the first.
    """
    ended: list[Job] = []
    try:
        for title, job in jobs:
            with progress(session, title) as report:
                ended.append(queue.follow(workspace, job.id, report))
    except KeyboardInterrupt:
        for _, job in jobs[len(ended) :]:
            _cancel(workspace, job)
        session.say(f"Stopped. What was finished is kept: {goes_on} goes on from there.")
        raise
    for (title, _), job in zip(jobs, ended, strict=True):
        if job.state is not JobState.DONE:
            reason = job.error or f"it was {job.state}"
            raise AuditError(f"{title}: {reason}")
    return ended


def _cancel(workspace: Workspace, job: Job) -> None:
    try:
        run_verbs.cancel(workspace, job.id)
    except AuditError:
        return  # it ended in the meantime
