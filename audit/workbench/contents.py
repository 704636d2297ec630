"""What a dataset, or the plan of one, holds: counts of classes and splits, balance, a few examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.records.dataset import SPLITS, UNLABELLED, Dataset, Split
from audit.workbench.shelf import Shelf

_UNEVEN = 3.0
"""From this ratio of the largest to the smallest class on, it is worth a sentence."""


class Order(StrEnum):
    """In which order classes are listed."""

    MOST = "most"
    FEWEST = "fewest"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contents:
    """What a dataset holds.

    Parameters
    ----------
    n_samples, n_classes
        Counts N and K.
    n_unlabelled, n_problems
        Samples without a given label; samples that are known to be unusable.
    splits
        Samples by split; splits without any are left out.
    counts
        Labelled samples by class, usable or not, (K,) int64.
    usable
        Labelled usable samples sorted by class, then by position, (M,) int64.
    starts
        Where each class begins in `usable`, (K + 1,) int64.
    """

    n_samples: int
    n_classes: int
    n_unlabelled: int
    n_problems: int
    splits: tuple[tuple[Split, int], ...]
    counts: NDArray[np.int64]
    usable: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One class as a list shows it.

    Parameters
    ----------
    name
        Of the class.
    n_samples
        With this given label.
    fraction
        Of the largest class, in [0, 1].
    examples
        Positions of some usable samples, evenly spread.
    """

    name: str
    n_samples: int
    fraction: float
    examples: tuple[int, ...]


def of(dataset: Dataset) -> Contents:
    """Return what a dataset holds."""
    labels = dataset.given_labels
    n_classes = dataset.n_classes
    is_usable = labels != UNLABELLED
    counts = np.bincount(labels[is_usable], minlength=n_classes)
    n_unlabelled = int((~is_usable).sum())
    if dataset.problems:
        is_usable[np.fromiter(dataset.problems, dtype=np.int64)] = False
    positions = np.flatnonzero(is_usable)
    usable = positions[np.argsort(labels[positions], kind="stable")]
    splits = tuple(
        (split, int((dataset.splits == code).sum()))
        for code, split in enumerate(SPLITS)
        if bool((dataset.splits == code).any())
    )
    return Contents(
        n_samples=dataset.n_samples,
        n_classes=n_classes,
        n_unlabelled=n_unlabelled,
        n_problems=len(dataset.problems),
        splits=splits,
        counts=counts.astype(np.int64),
        usable=usable,
        starts=np.searchsorted(labels[usable], np.arange(n_classes + 1)).astype(np.int64),
    )


def kept(shelf: Shelf, dataset: Dataset) -> Contents:
    """Return what a stored dataset holds, counted once."""
    return shelf.keep(("contents", dataset.id, len(dataset.problems)), lambda: of(dataset))


def class_rows(
    dataset: Dataset,
    contents: Contents,
    *,
    order: Order = Order.MOST,
    search: str = "",
    start: int = 0,
    most: int = 12,
    n_examples: int = 6,
) -> tuple[tuple[ClassRow, ...], int]:
    """Return a page of the list of classes, and how many classes the whole list has.

    Parameters
    ----------
    dataset, contents
        A dataset and what it holds.
    order
        Ties stay in the order of the classes.
    search
        Part of a class name, in any case; empty for all.
    start, most
        Which part of the list.
    n_examples
        Examples per class, at most.
    """
    names = dataset.class_names
    sought = search.casefold().strip()
    found = [index for index, name in enumerate(names) if sought in name.casefold()]
    if order is Order.NAME:
        found.sort(key=lambda index: (names[index].casefold(), names[index]))
    else:
        sign = -1 if order is Order.MOST else 1
        found.sort(key=lambda index: sign * int(contents.counts[index]))
    largest = max(1, int(contents.counts.max()))
    rows = tuple(
        ClassRow(
            name=names[index],
            n_samples=int(contents.counts[index]),
            fraction=int(contents.counts[index]) / largest,
            examples=_spread(
                contents.usable[contents.starts[index] : contents.starts[index + 1]], n_examples
            ),
        )
        for index in found[start : start + most]
    )
    return rows, len(found)


def balance(contents: Contents) -> str:
    """Return in a sentence or more how evenly the samples are spread over the classes."""
    held = contents.counts[contents.counts > 0]
    if not len(held):
        return "No sample has a label."
    smallest, largest = int(held.min()), int(held.max())
    if smallest == largest:
        text = f"Every class has {_counted(largest, 'sample')}."
    elif largest < _UNEVEN * smallest:
        text = f"The classes are about even: {smallest:,} to {largest:,} samples each."
    else:
        times = largest / smallest
        ratio = f"{times:.1f}" if times < 10 else f"{times:,.0f}"
        text = (
            f"The classes are uneven: the largest has {largest:,} samples, {ratio} times as many as "
            f"the smallest."
        )
    n_single = int((held == 1).sum())
    if n_single:
        one = n_single == 1
        text += (
            f" {_counted(n_single, 'class', 'classes')} {'has' if one else 'have'} a single sample: "
            f"no network learns {'it' if one else 'them'} from that."
        )
    n_empty = contents.n_classes - len(held)
    if n_empty:
        text += f" {_counted(n_empty, 'class', 'classes')} without a sample."
    return text


def _spread(positions: NDArray[np.int64], most: int) -> tuple[int, ...]:
    if len(positions) <= most:
        return tuple(positions.tolist())
    chosen = np.linspace(0, len(positions) - 1, most).round().astype(np.int64)
    return tuple(positions[chosen].tolist())


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def problem_rows(dataset: Dataset, most: int) -> Sequence[tuple[int, str, str]]:
    """Return position, key and reason of the first unusable samples, in the order of the dataset."""
    positions = sorted(dataset.problems)[:most]
    return [(p, dataset.sample_keys[p], dataset.problems[p]) for p in positions]
