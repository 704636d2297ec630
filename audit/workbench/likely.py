"""Which classes a reviewer most likely wants for a sample, in an order that can be typed by number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.dynamics import MeanProbabilities, Role
from audit.records.scores import Scores
from audit.workbench.shelf import Shelf

MOST = 9
"""Number keys on a keyboard."""

_DENSE_CELLS = 1 << 22


def classes(
    shelf: Shelf, dataset: Dataset, scores: Scores, positions: NDArray[np.int64]
) -> list[list[int]]:
    """Return the likely classes of samples.

    Parameters
    ----------
    shelf, dataset
        What is looked at.
    scores
        Whose runs are asked: the probabilities of the rows that a run trained on under the given
        label, averaged over the runs of a probe group. A class that a shortened table does not list
        counts as 0.
    positions
        The samples, (M,) int64.

    Returns
    -------
    list of list of int
        Class indices per sample. Up to nine classes: all of them in the dataset's order, so that a
        key means the same class on every image. More classes: the nine likeliest, likeliest first,
        ties by class index; where no run recorded probabilities the suggested class, the given one,
        then the dataset's order.
    """
    if dataset.n_classes <= MOST:
        return [list(range(dataset.n_classes)) for _ in positions]
    found: list[list[int]] = []
    tables = _tables(shelf, dataset, scores)
    step = max(1, _DENSE_CELLS // (dataset.n_classes + 1))
    for start in range(0, len(positions), step):
        found += _of_chunk(dataset, scores, tables, positions[start : start + step])
    return found


def _of_chunk(
    dataset: Dataset,
    scores: Scores,
    tables: Sequence[tuple[NDArray[np.int64], MeanProbabilities]],
    positions: NDArray[np.int64],
) -> list[list[int]]:
    n_classes = dataset.n_classes
    # One column beyond the classes takes what unused places of a shortened table hold.
    dense = np.zeros((len(positions), n_classes + 1), dtype=np.float64)
    is_known = np.zeros(len(positions), dtype=np.bool_)
    for row_of, table in tables:
        has_row = np.flatnonzero(row_of[positions] >= 0)
        rows = row_of[positions[has_row]]
        is_known[has_row] = True
        if table.is_full:
            dense[has_row, :n_classes] += table.values[rows]
            continue
        listed = table.classes[rows]
        places = np.where((listed >= 0) & (listed < n_classes), listed, n_classes)
        dense[has_row[:, None], places] += table.values[rows]
    # A sum orders the classes of one sample as their mean does.
    likeliest = _likeliest(dense[:, :n_classes])
    return [
        likeliest[number].tolist() if is_known[number] else _without(dataset, scores, int(position))
        for number, position in enumerate(positions)
    ]


def _likeliest(dense: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the columns of the largest values of each row; of equal ones the first comes first."""
    samples = np.arange(len(dense))
    result = np.empty((len(dense), MOST), dtype=np.int64)
    for place in range(MOST):
        # The first of equal maxima; nine passes are faster than one sorting of thousands of classes.
        result[:, place] = dense.argmax(axis=1)
        dense[samples, result[:, place]] = -1.0
    return result


def _without(dataset: Dataset, scores: Scores, position: int) -> list[int]:
    first = (int(scores.suggested_label[position]), int(dataset.given_labels[position]))
    wanted = [index for index in dict.fromkeys(first) if index >= 0]
    rest = (index for index in range(dataset.n_classes) if index not in wanted)
    while len(wanted) < MOST:
        wanted.append(next(rest))
    return wanted


def _tables(
    shelf: Shelf, dataset: Dataset, scores: Scores
) -> list[tuple[NDArray[np.int64], MeanProbabilities]]:
    found: list[tuple[NDArray[np.int64], MeanProbabilities]] = []
    for run_id in scores.run_ids:
        try:
            table = shelf.dynamics(run_id).mean_probabilities
        except AuditError:
            # Scores outlive a damaged run, and likely classes are only an offer.
            continue
        if table is not None:
            found.append((_rows(shelf, dataset, run_id), table))
    return found


def _rows(shelf: Shelf, dataset: Dataset, run_id: str) -> NDArray[np.int64]:
    """Return the row of each sample under its given label in a run, (N,) int64, -1 for none."""

    def make() -> NDArray[np.int64]:
        run = shelf.dynamics(run_id)
        row_of = np.full(dataset.n_samples, -1, dtype=np.int64)
        rows = run.rows(Role.GIVEN)
        row_of[run.sample[rows]] = rows
        return row_of

    return shelf.keep(("rows under given labels", run_id), make)
