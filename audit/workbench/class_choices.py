"""Class names to choose from: all of few, the most frequent of very many, and what a typed one may mean."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.records.dataset import Dataset
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Ranked

MOST_OFFERED = 250
"""Class names in a list that is offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Class names to offer in a list: all of them, or the most frequent ones of many.

    Parameters
    ----------
    given, suggested
        In the dataset's order where they are all, otherwise most frequent first.
    """

    given: tuple[str, ...]
    suggested: tuple[str, ...]


def choices(shelf: Shelf, dataset: Dataset, ranking: Ranked) -> Choices:
    """Return which classes to offer as filters; a browser cannot take a list of ten thousand twice."""
    names = dataset.class_names
    if len(names) <= MOST_OFFERED:
        return Choices(given=names, suggested=names)
    return Choices(
        given=offered_classes(shelf, dataset),
        suggested=shelf.keep(
            ("choices", ranking.scores_id),
            lambda: _frequent(names, ranking.scores.suggested_label),
        ),
    )


def offered_classes(shelf: Shelf, dataset: Dataset) -> tuple[str, ...]:
    """Return the classes to offer where somebody names one: all, or the most frequent of very many."""
    names = dataset.class_names
    if len(names) <= MOST_OFFERED:
        return names
    return shelf.keep(("offered", dataset.id), lambda: _frequent(names, dataset.given_labels))


def classes_like(dataset: Dataset, text: str) -> tuple[str, ...]:
    """Return the classes that a typed text may mean: that one alone, or all that contain it in any case.

    Parameters
    ----------
    dataset
        Whose classes.
    text
        As typed.
    """
    wanted = text.strip().casefold()
    same = tuple(name for name in dataset.class_names if name.casefold() == wanted)
    if len(same) == 1 or not wanted:
        return same
    return tuple(name for name in dataset.class_names if wanted in name.casefold())


def _frequent(names: tuple[str, ...], labels: NDArray[np.int32]) -> tuple[str, ...]:
    n_samples = np.bincount(labels[labels >= 0], minlength=len(names))
    first = np.argsort(-n_samples, kind="stable")[:MOST_OFFERED]
    return tuple(names[index] for index in first if n_samples[index])
