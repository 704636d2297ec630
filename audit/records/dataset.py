"""Datasets as labeltrace knows them: keys, given labels, splits and where the pixels lie.

`Source` says where a dataset came from, `ImportPlan` what an import would store, `Dataset` what is
stored. `Truth` is a type of its own, so that no detector can be handed it by accident.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

UNLABELLED = -1
"""The given label of a sample that has none."""


class Split(StrEnum):
    """The part of a dataset that a sample belongs to; only ``train`` is trained on and scored."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


SPLITS: tuple[Split, ...] = (Split.TRAIN, Split.VAL, Split.TEST)
"""Position = code in `Dataset.splits`."""


class SourceKind(StrEnum):
    """The three shapes of source that can be imported."""

    FOLDER = "folder"
    TABLE = "table"
    ARRAYS = "arrays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a dataset came from, and how its table was read.

    Parameters
    ----------
    kind
        Shape of the source.
    location
        Absolute path of what was imported: the folder, the table or the ``.npz`` file.
    root
        Absolute path of the folder that relative sample paths start from; for arrays the file itself.
    labels
        Absolute path of the table that gives the labels, where there is one.
    options
        How the table was read: ``path_column``, ``label_column``, ``truth_column``,
        ``split_column``, ``delimiter``, ``encoding``, ``newline``, … as text.
    """

    kind: SourceKind
    location: str
    root: str
    labels: str | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """True labels, known only in benchmarks; never handed to a detector.

    Parameters
    ----------
    true_labels
        Class index per sample, (N,) int32; `UNLABELLED` where the truth is not known.
    """

    true_labels: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something in the source that does not become a sample, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportPlan:
    """What an import would store, shown before anything is stored.

    Parameters
    ----------
    source
        Where it comes from.
    suggested_name
        A name made from the source's file name.
    class_names
        Distinct, K ≥ 2; position = class index.
    sample_keys
        N distinct texts, in the order of the source.
    paths
        Per sample the path as the source writes it (relative to ``source.root`` or absolute);
        ``None`` throughout for arrays.
    given_labels
        Class index per sample, (N,) int32, `UNLABELLED` where there is none.
    splits
        Code into `SPLITS` per sample, (N,) int8.
    problems
        Position of a sample → one sentence that says why it cannot be used (zero bytes, missing,
        not an image, …). Unlabelled samples are not listed here.
    fingerprint
        Digest of class names, keys, given labels and splits, hexadecimal.
    truth
        True labels where the source has them.
    skipped
        What does not become a sample.
    warnings
        Whole sentences about what looks odd but does not hinder.
    """

    source: Source
    suggested_name: str
    class_names: tuple[str, ...]
    sample_keys: tuple[str, ...]
    paths: tuple[str | None, ...]
    given_labels: NDArray[np.int32]
    splits: NDArray[np.int8]
    problems: Mapping[int, str]
    fingerprint: str
    truth: Truth | None = None
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_samples(self.class_names, self.sample_keys, self.given_labels, self.splits)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """An imported dataset; never changes. A changed folder is a new fingerprint.

    Parameters
    ----------
    id, name
        Identity; the name is unique in a workspace.
    source, class_names, sample_keys, paths, given_labels, splits, problems, fingerprint
        As in `ImportPlan`.
    created_at
        When it was imported, UTC.
    has_truth
        Whether true labels are stored beside it.
    """

    id: str
    name: str
    source: Source
    class_names: tuple[str, ...]
    sample_keys: tuple[str, ...]
    paths: tuple[str | None, ...]
    given_labels: NDArray[np.int32]
    splits: NDArray[np.int8]
    problems: Mapping[int, str]
    fingerprint: str
    created_at: datetime
    has_truth: bool = False

    def __post_init__(self) -> None:
        check_samples(self.class_names, self.sample_keys, self.given_labels, self.splits)

    @property
    def n_samples(self) -> int:
        """Number of samples N, usable or not."""
        return len(self.sample_keys)

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.class_names)

    def positions(self) -> dict[str, int]:
        """Map every sample key to its position; made anew at each call."""
        return {key: position for position, key in enumerate(self.sample_keys)}

    def usable(self, splits: tuple[Split, ...] = (Split.TRAIN,)) -> NDArray[np.int64]:
        """Return positions of samples that can be trained on: labelled, no known problem.

        Parameters
        ----------
        splits
            The splits to take.

        Returns
        -------
        ndarray
            Ascending positions, (R,) int64.
        """
        wanted = np.isin(self.splits, [SPLITS.index(split) for split in splits])
        wanted &= self.given_labels != UNLABELLED
        if self.problems:
            wanted[np.fromiter(self.problems, dtype=np.int64, count=len(self.problems))] = False
        return np.flatnonzero(wanted)


def check_samples(
    class_names: tuple[str, ...],
    sample_keys: tuple[str, ...],
    given_labels: NDArray[np.int32],
    splits: NDArray[np.int8],
) -> None:
    """Check that names, keys, labels and splits belong together.

    Raises
    ------
    InputError
        If there are fewer than two classes, no samples, repeated names or keys, or arrays whose
        shape or range does not fit.
    """
    if len(class_names) < 2:
        named = f"only {class_names[0]!r}" if class_names else "none"
        raise InputError(f"A dataset needs at least two classes, found {named}.")
    if len(set(class_names)) != len(class_names):
        raise InputError("Class names must be distinct.")
    if not sample_keys:
        raise InputError("A dataset needs at least one sample, found none.")
    if len(set(sample_keys)) != len(sample_keys):
        raise InputError("Sample keys must be distinct.")
    n_samples = len(sample_keys)
    if given_labels.shape != (n_samples,) or splits.shape != (n_samples,):
        raise InputError(
            f"{n_samples} samples need as many labels and splits, "
            f"got {given_labels.shape} and {splits.shape}."
        )
    if given_labels.min() < UNLABELLED or given_labels.max() >= len(class_names):
        raise InputError(f"Label indices must lie in -1..{len(class_names) - 1}.")
