"""What a serving process keeps at hand: sealed things by their id, so that looking twice is free.

Sealed things never change, so a key that names one is always right. What may change (problems found
later, a moved root, new decisions) is part of the key. Everything handed out is shared: read it, do
not write to it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Self, TypeVar

from audit.errors import NotFoundError
from audit.records.dataset import Dataset
from audit.records.dynamics import TrainingDynamics
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store import dynamics as dynamics_files
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store import unfinished
from audit.store.scores import ScoresSummary
from audit.store.workspace import Workspace
from audit.workbench.bounded import Bounded
from audit.workbench.standings import UNDECIDED, VERDICTS, Logbook, Standing

__all__ = ["UNDECIDED", "VERDICTS", "Shelf", "Standing"]

T = TypeVar("T")

_MOST = 64
_MOST_PICTURE_BYTES = 128 << 20
_MOST_LIST_BYTES = 32 << 20


class Shelf:
    """Read access to one workspace with everything sealed kept at hand; shared by all threads.

    Parameters
    ----------
    workspace
        Open; the shelf never closes it.

    Attributes
    ----------
    pictures, lists
        Drawn pictures and lists of samples, bounded by bytes, so that browsing drives nothing else
        off the shelf.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.pictures = Bounded(_MOST_PICTURE_BYTES)
        self.lists = Bounded(_MOST_LIST_BYTES)
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._logbooks: dict[str, Logbook] = {}

    @classmethod
    def open(cls, path: Path, database_url: str | None = None) -> Self:
        """Open a workspace and an empty shelf on it."""
        return cls(Workspace.open(path, database_url=database_url))

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made under a key, making it the first time; one thread makes, others wait.

        Parameters
        ----------
        key
            Names the thing and everything that it depends on.
        make
            Makes it; what it raises is not kept.
        """
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._held:
                    return self._held[key]
            made = make()
            with self._lock:
                self._held[key] = made
                self._making.pop(key, None)
                while len(self._held) > _MOST:
                    self._held.popitem(last=False)
        return made

    def dataset(self, reference: str) -> Dataset:
        """Return a dataset by name, id or unique beginning of an id.

        Raises
        ------
        NotFoundError
            If no dataset or more than one fits.
        """
        summary = dataset_rows.find_summary(self.workspace, reference)
        key = ("dataset", summary.id, summary.name, summary.n_problems, str(summary.source))
        return self.keep(key, lambda: dataset_rows.find(self.workspace, summary.id))

    def positions(self, dataset: Dataset) -> dict[str, int]:
        """Return the position of every sample key."""
        return self.keep(("positions", dataset.id), dataset.positions)

    def classes(self, dataset: Dataset) -> dict[str, int]:
        """Return the index of every class name."""
        return self.keep(
            ("classes", dataset.id),
            lambda: {name: index for index, name in enumerate(dataset.class_names)},
        )

    def latest(self, dataset: Dataset) -> dict[str, ScoresSummary]:
        """Return what is known of the newest scores of each method; asked anew each time."""
        return score_rows.latest(self.workspace, dataset.id)

    def scores(self, scores_id: str) -> Scores:
        """Return stored scores by their id."""
        return self.keep(("scores", scores_id), lambda: score_rows.load(self.workspace, scores_id))

    def dynamics(self, run_id: str) -> TrainingDynamics:
        """Return the dynamics of a run, memory-mapped; of one that is not sealed its whole epochs.

        Raises
        ------
        NotFoundError
            If there is no such run, or it has recorded nothing.
        """
        try:
            return self.keep(
                ("dynamics", run_id),
                lambda: dynamics_files.load(self.workspace, run_rows.find(self.workspace, run_id)),
            )
        except NotFoundError:
            # What is not sealed may go on, so it is not kept.
            run = run_rows.find(self.workspace, run_id)
            return unfinished.load(self.workspace, run)

    def standing(self, dataset: Dataset, *, as_of: int | None = None) -> Standing:
        """Return the decisions that stand on a dataset.

        Parameters
        ----------
        dataset
            Whose samples.
        as_of
            Number of an event: what stood when it was the last one. ``None`` means right now.
        """
        book = self.logbook(dataset)
        return book.now() if as_of is None else book.at(as_of)

    def logbook(self, dataset: Dataset) -> Logbook:
        """Return what follows a dataset's log of decisions; it lives as long as the shelf."""
        with self._lock:
            held = self._logbooks.get(dataset.id)
        if held is not None:
            return held
        made = Logbook(self.workspace, dataset, self.positions(dataset))
        with self._lock:
            return self._logbooks.setdefault(dataset.id, made)
