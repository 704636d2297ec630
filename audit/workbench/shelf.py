"""What a serving process keeps at hand: sealed things by their id, so that looking twice is free.

Sealed things never change, so a key that names one is always right. What may change (problems found
later, a moved root, new decisions) is part of the key. Everything handed out is shared: read it, do
not write to it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Decision, Verdict
from audit.records.dynamics import TrainingDynamics
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store import dynamics as dynamics_files
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.scores import ScoresSummary
from audit.store.workspace import Workspace

T = TypeVar("T")

UNDECIDED = -1
"""Code in `Standing.verdicts` of a sample that nobody decided on."""

VERDICTS: tuple[Verdict, ...] = (Verdict.KEEP, Verdict.RELABEL, Verdict.EXCLUDE, Verdict.UNSURE)
"""Position = code in `Standing.verdicts`."""

_MOST = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The decisions that stand on a dataset, as arrays over its samples.

    Parameters
    ----------
    last_id
        Number of the last event in the log when this was read, 0 before the first.
    decisions
        The standing decision by sample key.
    verdicts
        Code into `VERDICTS` per sample, (N,) int8, `UNDECIDED` where there is none.
    labels
        Class index after review, (N,) int32: the corrected label of a relabel, otherwise the given
        one; `UNLABELLED` where there is none.
    """

    last_id: int
    decisions: dict[str, Decision]
    verdicts: NDArray[np.int8]
    labels: NDArray[np.int32]


class Shelf:
    """Read access to one workspace with everything sealed kept at hand; shared by all threads.

    Parameters
    ----------
    workspace
        Open; the shelf never closes it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

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

    def latest(self, dataset: Dataset) -> dict[str, ScoresSummary]:
        """Return what is known of the newest scores of each method; asked anew each time."""
        return score_rows.latest(self.workspace, dataset.id)

    def scores(self, scores_id: str) -> Scores:
        """Return stored scores by their id."""
        return self.keep(("scores", scores_id), lambda: score_rows.load(self.workspace, scores_id))

    def dynamics(self, run_id: str) -> TrainingDynamics:
        """Return the dynamics of a sealed run, memory-mapped.

        Raises
        ------
        NotFoundError
            If there is no such run, or it is not sealed.
        """
        return self.keep(
            ("dynamics", run_id),
            lambda: dynamics_files.load(self.workspace, run_rows.find(self.workspace, run_id)),
        )

    def standing(self, dataset: Dataset) -> Standing:
        """Return the decisions that stand on a dataset right now."""
        last_id = decision_rows.last_id(self.workspace, dataset.id) or 0
        return self.keep(
            ("standing", dataset.id, last_id), lambda: self._standing(dataset, last_id)
        )

    def _standing(self, dataset: Dataset, last_id: int) -> Standing:
        decisions = decision_rows.current(self.workspace, dataset.id)
        verdicts = np.full(dataset.n_samples, UNDECIDED, dtype=np.int8)
        labels = dataset.given_labels.copy()
        positions = self.positions(dataset)
        classes = {name: index for index, name in enumerate(dataset.class_names)}
        for key, decision in decisions.items():
            position = positions.get(key)
            if position is None:
                continue
            verdicts[position] = VERDICTS.index(decision.verdict)
            if decision.verdict is Verdict.RELABEL:
                labels[position] = classes.get(decision.label or "", UNLABELLED)
        return Standing(last_id=last_id, decisions=decisions, verdicts=verdicts, labels=labels)
