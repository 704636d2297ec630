"""What a comparison trains on and what it tests on, by the splits of a dataset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.records.dataset import SPLITS, UNLABELLED, Dataset, Split

HELD_OUT = "held-out"
"""In place of a split: a part of the training samples that no arm is trained on."""

HELD_OUT_PART = 0.2

FEWEST_TESTED = 20
"""Below, not even a difference of a fifth could be shown."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Which samples are trained on and which are tested on; none is both.

    Parameters
    ----------
    in_training, in_test
        (N,) bool.
    test
        The split that is tested on, or `HELD_OUT`.
    """

    in_training: NDArray[np.bool_]
    in_test: NDArray[np.bool_]
    test: str


def parts(dataset: Dataset, asked: str | None = None) -> Parts:
    """Return what is trained on and what is tested on.

    Parameters
    ----------
    dataset
        Whose usable samples.
    asked
        ``test``, ``val`` or `HELD_OUT`; ``None`` takes the first of these that has `FEWEST_TESTED`.

    Raises
    ------
    InputError
        If there is no such part, or nothing to train on.
    """
    training = _of(dataset, Split.TRAIN)
    if training.sum() < 2:
        raise InputError(f"Dataset {dataset.name!r} has no training samples to compare with.")
    test = asked
    if test is None:
        there = [s for s in (Split.TEST, Split.VAL) if _of(dataset, s).sum() >= FEWEST_TESTED]
        test = str(there[0]) if there else HELD_OUT
    if test == HELD_OUT:
        held_out = _held_out(dataset, training)
        return Parts(in_training=training & ~held_out, in_test=held_out, test=HELD_OUT)
    if test not in [str(split) for split in SPLITS] or test == Split.TRAIN:
        raise InputError(f"--test {test!r} is unknown; expected test, val or {HELD_OUT}.")
    tested = _of(dataset, Split(test))
    if not tested.any():
        raise InputError(
            f"Dataset {dataset.name!r} has no usable samples in the split {test}: import it with a "
            f"split column, or use --test {HELD_OUT}."
        )
    return Parts(in_training=training, in_test=tested, test=test)


def _of(dataset: Dataset, split: Split) -> NDArray[np.bool_]:
    # Images that turn out to be unreadable stay in: what was trained before is not asked for anew.
    return (dataset.splits == SPLITS.index(split)) & (dataset.given_labels != UNLABELLED)


def _held_out(dataset: Dataset, training: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a fifth of the training samples of every class, always the same of one dataset."""
    rng = np.random.default_rng(int(dataset.fingerprint[:16], 16))
    held_out = np.zeros(dataset.n_samples, dtype=np.bool_)
    for index in range(dataset.n_classes):
        members = np.flatnonzero(training & (dataset.given_labels == index))
        held_out[rng.permutation(members)[: round(HELD_OUT_PART * len(members))]] = True
    return held_out
