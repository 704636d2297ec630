"""Data maps: how sure, how steady and how often right a network was about each label.

Swayamdipta, Schwartz, Lourie, Wang, Hajishirzi, Smith and Choi, "Dataset Cartography", 2020, section 2.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics.arrays import Floats

AMBIGUOUS_FRACTION = 1 / 3
"""Part of the rows that counts as ambiguous; the paper selects a third by each measure too."""

SURE = 0.5
"""Mean probability from which on the rest is easy; with this or more no other label was likelier."""


class Region(IntEnum):
    """Where a row lies on the map."""

    EASY = 0
    """The network was sure of the label and steady."""
    AMBIGUOUS = 1
    """It changed its mind: among the third of the rows with the highest variability."""
    HARD = 2
    """It was steadily sure of something else: here label errors gather."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataMap:
    """The three coordinates of R rows over T epochs.

    Parameters
    ----------
    confidence
        Mean probability of the label, (R,) float64 in [0, 1]; low = suspect. Equation (1).
    variability
        Population standard deviation of that probability, (R,) float64 in [0, 0.5]. Equation (2).
    correctness
        Epochs in which the label was the most probable class, (R,) int64 in [0, T].
    n_epochs
        Number of epochs T.
    """

    confidence: NDArray[np.float64]
    variability: NDArray[np.float64]
    correctness: NDArray[np.int64]
    n_epochs: int


def data_map(probabilities: Floats, margins: Floats) -> DataMap:
    """Return confidence, variability and correctness of each row.

    Epochs are read one at a time (Welford 1962), so that memory-mapped signals are never held whole.
    A network that prefers another class by a hair (margin 0) counts as wrong.

    Parameters
    ----------
    probabilities
        Of the label, (T, R) floating in [0, 1].
    margins
        Logit of the label less the largest other one, (T, R) floating.

    Raises
    ------
    InputError
        If shapes differ or there is no epoch.

    Examples
    --------
    >>> made = data_map(np.array([[0.2], [0.6]]), np.array([[-1.0], [1.0]]))
    >>> made.confidence.round(3), made.variability.round(3), made.correctness
    (array([0.4]), array([0.2]), array([1]))
    """
    if probabilities.shape != margins.shape or probabilities.ndim != 2 or not len(probabilities):
        raise InputError(
            "A data map needs probabilities and margins of the same epochs and rows, at least one "
            f"epoch, got {probabilities.shape} and {margins.shape}."
        )
    n_rows = probabilities.shape[1]
    mean, squares = np.zeros(n_rows), np.zeros(n_rows)
    correctness = np.zeros(n_rows, dtype=np.int64)
    for number, (epoch, margin) in enumerate(zip(probabilities, margins, strict=True), start=1):
        values = epoch.astype(np.float64)
        away = values - mean
        mean += away / number
        squares += away * (values - mean)
        correctness += margin > 0
    return DataMap(
        confidence=mean,
        variability=np.sqrt(squares / len(probabilities)),
        correctness=correctness,
        n_epochs=len(probabilities),
    )


def ambiguous_from(made: DataMap) -> float:
    """Return the variability above which a row is ambiguous, in [0, 0.5]; NaN without rows."""
    if not len(made.variability):
        return float("nan")
    return float(np.quantile(made.variability, 1 - AMBIGUOUS_FRACTION))


def regions(made: DataMap) -> NDArray[np.int8]:
    """Return the region of each row, (R,) int8 codes of `Region`.

    The paper names the regions and draws no borders; ours are the third of the rows with the highest
    variability, and a mean probability of a half for the rest.

    Examples
    --------
    >>> sure = np.array([[0.9, 0.1, 0.1], [0.9, 0.1, 0.9]])
    >>> regions(data_map(sure, sure - 0.5))
    array([0, 2, 1], dtype=int8)
    """
    code = np.where(made.confidence >= SURE, Region.EASY, Region.HARD).astype(np.int8)
    code[made.variability > ambiguous_from(made)] = Region.AMBIGUOUS
    return code
