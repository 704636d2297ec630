"""Training dynamics: a value per row and epoch for every signal, and what the rows are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.records.run import RunConfig

SIGNALS: tuple[str, ...] = (
    "margin",
    "given_logit",
    "best_other_logit",
    "best_other_class",
    "given_probability",
    "loss",
)
"""Signals that every run records; each is a (T, R) array, epoch-major.

``margin``, ``given_logit``, ``best_other_logit``: float32, logit units, of the assigned label and of
the largest logit among the other outputs; ``best_other_class``: int32 index of that output (the extra
output of a threshold probe is `TrainingDynamics.n_classes`); ``given_probability``: float32 in [0, 1];
``loss``: float32 cross-entropy in nats. Taken from the training-mode forward, before the update.
"""


class Role(IntEnum):
    """What a row is: a sample under its given label, or something planted by a probe."""

    GIVEN = 0
    THRESHOLD = 1
    CORRUPTED = 2
    PLANTED_UNIFORM = 3
    """A sample under a wrong label that was drawn uniformly from the other classes."""
    PLANTED_CONFUSED = 4
    """A sample under a wrong label that a network trained before took for likely."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanProbabilities:
    """The average predicted distribution of each row over the real classes, over all epochs.

    Either full, or only the largest classes where the full table would not fit the cap of memory.

    Parameters
    ----------
    classes
        Class index per row and place, (R, M) int32. Full tables have M = K and ``classes[r] = 0..K-1``.
    values
        Mean probability of that class, (R, M) float32 in [0, 1].
    is_full
        Whether all K classes are there.
    """

    classes: NDArray[np.int32]
    values: NDArray[np.float32]
    is_full: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingDynamics:
    """What one run recorded: R rows, T epochs.

    Parameters
    ----------
    run_id
        The run, or the file's name for dynamics recorded elsewhere.
    n_samples, n_classes
        N of the dataset and the number of real classes K; a threshold probe's network has K + 1
        outputs.
    sample
        Position in the dataset of each row's image, (R,) int64.
    assigned_label
        Label that each row was trained on, (R,) int32; K for threshold rows.
    role
        `Role` of each row, (R,) int8. Exactly one row per trained sample that is not ``CORRUPTED``;
        corrupted rows come on top.
    signals
        Name → (T, R) array, possibly memory-mapped; dtypes as in `SIGNALS`.
    mean_probabilities
        Average predicted distribution per row, or ``None`` where it was not recorded.
    config
        Settings of the run, or ``None`` for dynamics recorded elsewhere.
    """

    run_id: str
    n_samples: int
    n_classes: int
    sample: NDArray[np.int64]
    assigned_label: NDArray[np.int32]
    role: NDArray[np.int8]
    signals: Mapping[str, NDArray[np.generic]]
    mean_probabilities: MeanProbabilities | None = None
    config: RunConfig | None = None

    def __post_init__(self) -> None:
        n_rows = len(self.sample)
        if self.assigned_label.shape != (n_rows,) or self.role.shape != (n_rows,):
            raise InputError("Rows need one sample, one assigned label and one role each.")
        if n_rows and (self.sample.min() < 0 or self.sample.max() >= self.n_samples):
            raise InputError("Rows name samples that the dataset does not have.")
        for name, values in self.signals.items():
            if values.ndim != 2 or values.shape[1] != n_rows:
                raise InputError(
                    f"Signal {name!r} has shape {values.shape}, expected (epochs, {n_rows})."
                )
        if len({values.shape[0] for values in self.signals.values()}) > 1:
            raise InputError("All signals of a run must have the same number of epochs.")

    @property
    def n_rows(self) -> int:
        """Number of rows R."""
        return len(self.sample)

    @property
    def n_epochs(self) -> int:
        """Number of recorded epochs T."""
        return next(iter(self.signals.values())).shape[0] if self.signals else 0

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Return the positions of the rows of a role, ascending, (M,) int64."""
        return np.flatnonzero(self.role == role)

    def rows_of_samples(self) -> NDArray[np.int64]:
        """Return the row of each sample that is not a corrupted copy, (N,) int64; -1 without one."""
        rows = np.flatnonzero(self.role != Role.CORRUPTED)
        found = np.full(self.n_samples, -1, dtype=np.int64)
        found[self.sample[rows]] = rows
        return found

    def of_row(self, row: int) -> dict[str, NDArray[np.generic]]:
        """Return every signal of one row: name → value of each epoch, (T,), in memory.

        Parameters
        ----------
        row
            In 0..R-1.
        """
        return {name: np.array(values[:, row]) for name, values in self.signals.items()}
