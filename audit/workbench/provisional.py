"""Provisional suspects: what a run that is being trained would rank now, from its whole epochs on disk.

The default ranking's statistic is kept as a running sum, so that a new epoch costs one look at that epoch.
Nothing of it is stored. A decision that is made beside it says that it was provisional, and after which
epoch. It is left alone for a while after each look, however many tabs are open, so that looking never
costs the training more than a small part of a core.
"""

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog
from audit.errors import NotFoundError
from audit.numerics import ranking
from audit.numerics.stability import RunningStatistic
from audit.records.dataset import Dataset
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.run import Run, RunState
from audit.records.scores import DetectorSpec, Scores
from audit.store import runs as run_rows
from audit.store import unfinished
from audit.workbench import ordering
from audit.workbench.shelf import Shelf

METHOD = "provisional"
"""What stands for it where a method is named; it is none of the catalogue's."""

REST_SECONDS = 5.0
"""At least so long one look at an epoch is shown before the next epoch is looked at."""

_REST_TIMES = 10.0
"""And at least so many times as long as that look took."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provisional:
    """A running run's ranking after one of its epochs.

    Parameters
    ----------
    run
        Being trained.
    n_epochs
        Whole epochs that it rests on, at least 1.
    scores
        The default ranking of these epochs, without flags. Samples that a probe planted are not scored.
        Suggested is what the network took for likeliest beside the given label in the last epoch.
    order, ranks
        As `ordering.of_scores` returns them.
    """

    run: Run
    n_epochs: int
    scores: Scores
    order: NDArray[np.int64]
    ranks: NDArray[np.int64]

    @property
    def id(self) -> str:
        """What tells it from other rankings: run and epoch."""
        return f"{METHOD}-{self.run.id}-{self.n_epochs}-of-{self.run.config.epochs}"

    @property
    def in_words(self) -> str:
        """What it is, for whoever looks at it."""
        return (
            f"Provisional: run {self.run.name}, epoch {self.n_epochs} of {self.run.config.epochs}; not "
            "final."
        )


def running(shelf: Shelf, dataset: Dataset) -> Run | None:
    """Return the newest run of a dataset that is being trained, ``None`` if none is."""
    runs = run_rows.all(shelf.workspace, dataset.id)
    return next((run for run in reversed(runs) if run.state is RunState.RUNNING), None)


def n_epochs(shelf: Shelf, run: Run) -> int:
    """Return the number of whole epochs of a run that is being trained."""
    return unfinished.n_epochs(shelf.workspace, run)


def is_there(shelf: Shelf, dataset: Dataset) -> bool:
    """Return whether a run is being trained and has a whole epoch."""
    run = running(shelf, dataset)
    return run is not None and n_epochs(shelf, run) > 0


def find(shelf: Shelf, dataset: Dataset) -> Provisional:
    """Return the ranking of the newest running run, as fresh as is worth its while.

    Raises
    ------
    NotFoundError
        If no run is being trained, or it has no whole epoch yet.
    WorkspaceError
        If its files are damaged.
    """
    run = running(shelf, dataset)
    if run is None:
        raise NotFoundError(
            f"No run of dataset {dataset.name!r} is being trained now, so there is no provisional "
            "ranking: choose a method that has scores."
        )
    follower = shelf.keep(("provisional", run.id), lambda: _Follower(run))
    return follower.look(shelf, now=time.monotonic())


def is_stale(shelf: Shelf, shown: Provisional) -> bool:
    """Return whether a page that shows a ranking should be drawn anew.

    That is when `find` would return another one by now, or the run is not being trained any more.
    """
    run = run_rows.find(shelf.workspace, shown.run.id)
    if run.state is not RunState.RUNNING:
        return True
    follower = shelf.keep(("provisional", run.id), lambda: _Follower(run))
    return follower.has_newer(shelf, shown, now=time.monotonic())


class _Follower:
    """Follows one run; shared by all threads."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._statistic: RunningStatistic | None = None
        self._latest: Provisional | None = None
        self._rests_until = 0.0

    def look(self, shelf: Shelf, *, now: float) -> Provisional:
        """Return the newest ranking, or the one before while that rests."""
        with self._lock:
            if self._latest is not None and (
                now < self._rests_until
                # None at all: it has been sealed a moment ago.
                or n_epochs(shelf, self._run) in (0, self._latest.n_epochs)
            ):
                return self._latest
            there = unfinished.load(shelf.workspace, self._run)
            self._latest = self._made(there)
            took = time.monotonic() - now
            self._rests_until = now + max(REST_SECONDS, _REST_TIMES * took)
            return self._latest

    def has_newer(self, shelf: Shelf, shown: Provisional, *, now: float) -> bool:
        """Return whether `look` would return another ranking than the one that is shown."""
        latest = self._latest
        if latest is None or latest.n_epochs != shown.n_epochs:
            return True
        return now >= self._rests_until and n_epochs(shelf, self._run) != latest.n_epochs

    def _made(self, there: TrainingDynamics) -> Provisional:
        if self._statistic is None or self._statistic.n_epochs > there.n_epochs:
            self._statistic = RunningStatistic(there.n_rows)
        for epoch in range(self._statistic.n_epochs, there.n_epochs):
            self._statistic.add(np.asarray(there.signals["margin"][epoch], dtype=np.float32))
        scores = _scores(there, self._statistic.values())
        order, ranks = ordering.of_scores(scores)
        return Provisional(
            run=self._run, n_epochs=there.n_epochs, scores=scores, order=order, ranks=ranks
        )


def _scores(there: TrainingDynamics, statistic: NDArray[np.float64]) -> Scores:
    entry = catalog.entry(catalog.DEFAULT_RANKING)
    rows = there.rows(Role.GIVEN)
    rows = rows[np.isfinite(statistic[rows])]
    samples = there.sample[rows]
    quantity = np.full(there.n_samples, np.nan)
    quantity[samples] = statistic[rows]
    suggested = np.full(there.n_samples, -1, dtype=np.int32)
    other = np.asarray(there.signals["best_other_class"][-1])[rows]
    # The extra output of a threshold probe is no class.
    suggested[samples] = np.where(other < there.n_classes, other, -1)
    return Scores(
        run_ids=(there.run_id,),
        spec=DetectorSpec(name=entry.name, version=entry.version),
        suspicion=ranking.suspicion(quantity),
        quantity_name=entry.quantity_name,
        quantity=quantity,
        suggested_label=suggested,
        epochs={there.run_id: there.n_epochs},
    )
