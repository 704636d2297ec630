"""Class names to indices, and what looks odd about them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.records.dataset import UNLABELLED


def sorted_names(*columns: Iterable[str | None]) -> tuple[str, ...]:
    """Return the distinct texts of all columns, sorted as plain strings; ``None`` is no class.

    Examples
    --------
    >>> sorted_names(["1", "01", None], ["1", "x"])
    ('01', '1', 'x')
    """
    names: set[str | None] = set()
    names.update(*columns)
    names.discard(None)
    return tuple(sorted(name for name in names if name is not None))


def indices(labels: Sequence[str | None], class_names: Sequence[str]) -> NDArray[np.int32]:
    """Return the class index of each label, (N,) int32, `UNLABELLED` for ``None``."""
    index: dict[str | None, int] = {name: i for i, name in enumerate(class_names)}
    index[None] = UNLABELLED
    return np.fromiter((index[label] for label in labels), dtype=np.int32, count=len(labels))


def oddities(class_names: Sequence[str], given_labels: NDArray[np.int32]) -> list[str]:
    """Return sentences about classes that are probably not meant so.

    Parameters
    ----------
    class_names
        K names.
    given_labels
        (N,) int32 in -1..K-1.
    """
    warnings: list[str] = []
    alike: dict[str, list[str]] = defaultdict(list)
    for name in class_names:
        alike["".join(name.split()).casefold()].append(name)
    pairs = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if pairs:
        warnings.append(f"Some class names differ only by case or spaces: {_shortened(pairs)}.")
    sizes = np.bincount(given_labels[given_labels >= 0], minlength=len(class_names))
    for size, words in ((1, "a single image"), (0, "no image with that given label")):
        names = [repr(class_names[i]) for i in np.flatnonzero(sizes == size).tolist()]
        if names:
            subject = "One class has" if len(names) == 1 else f"{len(names):,} classes have"
            warnings.append(f"{subject} {words}: {_shortened(names)}.")
    return warnings


def _shortened(texts: Sequence[str], n_shown: int = 5) -> str:
    shown = ", ".join(texts[:n_shown])
    return shown if len(texts) <= n_shown else f"{shown} and {len(texts) - n_shown:,} more"
