"""Which rows of a recording are corrupted copies: ``copy_of`` in an ``.npz``, checked."""

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

ORIGINAL = -1
"""In ``copy_of``: the row is a sample of its own."""


def checked(values: NDArray[np.generic], labels: NDArray[np.int64], file: str) -> NDArray[np.int64]:
    """Return the place of each row's original, (P,) int64, `ORIGINAL` for originals themselves.

    Parameters
    ----------
    values
        As it was stored, expected (P,) integer.
    labels
        What each of the P rows was trained on; negative = unlabelled.
    file
        For messages.

    Raises
    ------
    InputError
        If the shape is another, a place is none, an original is itself a copy or unlabelled, or a copy
        has no label or the same as its original.
    """
    if values.shape != labels.shape or not np.issubdtype(values.dtype, np.integer):
        raise InputError(
            f"{file!r}: copy_of must be one integer per label, ({len(labels)},), got {values.dtype} "
            f"{values.shape}."
        )
    last = len(labels) - 1
    copy_of = values.astype(np.int64)
    wrong = (copy_of < ORIGINAL) | (copy_of > last)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InputError(
            f"{file!r}: copy_of says {values[at]} at place {at}, expected a place from 0 to {last}, or "
            f"{ORIGINAL} for an original."
        )
    if (copy_of != ORIGINAL).all():
        raise InputError(
            f"{file!r}: copy_of says that every row is a copy; {ORIGINAL} marks originals."
        )
    copies = np.flatnonzero(copy_of != ORIGINAL)
    of = copy_of[copies]
    for is_bad, sentence in (
        (copy_of[of] != ORIGINAL, "is a copy itself: name its original"),
        (labels[of] < 0, "is unlabelled, so that no label of a copy is known to be wrong"),
        (labels[copies] < 0, "but has no label itself: a copy needs a wrong one"),
        (labels[copies] == labels[of], "and has the same label: a copy needs a wrong one"),
    ):
        if is_bad.any():
            at = int(np.argmax(is_bad))
            which = "which " if sentence.startswith("is ") else ""
            raise InputError(
                f"{file!r}: place {copies[at]} is a copy of place {of[at]}, {which}{sentence}."
            )
    return copy_of
