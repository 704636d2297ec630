"""Follows how far a run's ranking still moves, and says when it has settled.

Two running sums over the rows that keep their given label, however many epochs there are: up to the last
epoch, and up to half of them. What the second one lacks is read back from what the run has recorded.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.numerics import stability
from audit.numerics.stability import RunningStatistic
from audit.records.dynamics import Role


class Stability:
    """What every epoch does to the ranking; rows that a probe planted do not count.

    Parameters
    ----------
    role
        `Role` of each row, (R,) int8.
    read_margins
        Number of an epoch that was written, from 0 → its margins, (R,) floating, logit units.
    n_planned
        Epochs that the run would take.
    """

    def __init__(
        self,
        role: NDArray[np.int8],
        read_margins: Callable[[int], NDArray[np.generic]],
        *,
        n_planned: int,
    ) -> None:
        self._rows = np.flatnonzero(role == Role.GIVEN)
        self._read = read_margins
        self._n_planned = n_planned
        self._now = RunningStatistic(len(self._rows))
        self._before = RunningStatistic(len(self._rows))
        self._course: list[Mapping[str, float]] = []

    @property
    def is_settled(self) -> bool:
        """Whether the rule would end the run after the epochs so far."""
        return stability.settled_after(self._course, self._n_planned) is not None

    def restore(self, course: Sequence[Mapping[str, float]]) -> None:
        """Go on after epochs that an earlier process wrote.

        Parameters
        ----------
        course
            What each of them recorded beside its signals, from the first one on.
        """
        for epoch in range(len(course)):
            self._add(self._of(self._read(epoch)))
        self._course = list(course)

    def after_epoch(
        self, epoch: int, signals: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, float]:
        """Return how far the ranking has moved with the epoch that ends here.

        Parameters
        ----------
        epoch
            From 0; epochs come in order. Those before it have been written.
        signals
            Name → value per row, (R,); ``margin`` is read.

        Returns
        -------
        dict
            Names of `stability.LEVELS` → value; empty for the first epoch, which nothing precedes, and
            where margins are not finite.
        """
        assert epoch == self._now.n_epochs, "epochs come in order"
        self._add(self._of(signals["margin"]))
        told: dict[str, float] = {}
        if self._before.n_epochs:
            before, now = self._before.values(), self._now.values()
            if np.isfinite(now).all():
                moved = stability.movement(before, now)
                told = {
                    stability.OVERLAP: round(moved.overlap, 4),
                    stability.RANK_CORRELATION: round(moved.rank_correlation, 4),
                }
        self._course.append(told)
        return told

    def _add(self, margins: NDArray[np.float32]) -> None:
        self._now.add(margins)
        while self._before.n_epochs < self._now.n_epochs // 2:
            self._before.add(self._of(self._read(self._before.n_epochs)))

    def _of(self, margins: NDArray[np.generic]) -> NDArray[np.float32]:
        return np.asarray(margins, dtype=np.float32)[self._rows]
