"""Comparisons: the same training on differently treated labels, judged on one test split."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.records.run import RunConfig


class Arm(StrEnum):
    """What is done with the labels of the selected samples before training.

    ``given`` leaves them, ``dropped`` leaves the samples out, ``relabelled`` follows what people decided,
    ``downweighted`` lets them count less, ``automatic`` takes the predictions of a network that was trained
    without them, ``oracle`` takes the true labels of all samples.
    """

    GIVEN = "given"
    DROPPED = "dropped"
    RELABELLED = "relabelled"
    DOWNWEIGHTED = "downweighted"
    AUTOMATIC = "automatic"
    ORACLE = "oracle"


class TestLabels(StrEnum):
    """Whose labels the test split is judged by."""

    __test__ = False  # no tests, whatever its name begins with

    TRUE = "true"
    GIVEN = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSettings:
    """Everything that decides what a comparison computes, beside the labels themselves.

    Parameters
    ----------
    arms
        Distinct, in the order in which they are shown.
    seeds
        Seeds of every arm, distinct.
    top
        Which samples are treated, as asked for: ``decided``, ``flagged`` or a percentage such as ``5%``.
    method, scores_id
        Whose ranking selected them; ``None`` for ``decided``.
    test
        Which samples are tested on, in words that `workbench.retraining` knows: a split, or ``held out``.
    test_labels
        Whose labels they are judged by.
    weight
        Of the selected samples in the arm ``downweighted``, in [0, 1].
    config
        Of every training; its seed is replaced by each of `seeds`.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    top: str
    method: str | None
    scores_id: str | None
    test: str
    test_labels: TestLabels
    weight: float
    config: RunConfig

    def __post_init__(self) -> None:
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise InputError("A comparison needs arms, each named once.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError("A comparison needs seeds, each once.")
        if not 0 <= self.weight <= 1:
            raise InputError(f"The weight must lie between 0 and 1, got {self.weight}.")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; `from_json` gives the same record back."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        values["arms"] = [str(arm) for arm in self.arms]
        values["seeds"] = list(self.seeds)
        values["test_labels"] = str(self.test_labels)
        values["config"] = self.config.to_json()
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings that `to_json` wrote.

        Raises
        ------
        InputError
            If a name is unknown, as in a comparison that a newer version made.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise InputError(f"Settings {unknown} of a comparison are not known to this version.")
        data = dict(values)
        data["arms"] = tuple(Arm(arm) for arm in data["arms"])
        data["seeds"] = tuple(data["seeds"])
        data["test_labels"] = TestLabels(data["test_labels"])
        data["config"] = RunConfig.from_json(data["config"])
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """The labels that a comparison begins with, frozen when it was made; by position in the dataset.

    Parameters
    ----------
    in_training
        Which samples may be trained on, (N,) bool.
    selected
        Which of them the arms treat, (N,) bool.
    corrected
        What people decided, (N,) int32: the given label where nobody did, -1 where a sample was excluded.
    in_test
        Which samples are tested on, (N,) bool.
    test
        Labels that those are judged by, (N,) int32; -1 for what is not judged.
    """

    in_training: NDArray[np.bool_]
    selected: NDArray[np.bool_]
    corrected: NDArray[np.int32]
    in_test: NDArray[np.bool_]
    test: NDArray[np.int32]

    def __post_init__(self) -> None:
        shape = self.in_training.shape
        if any(getattr(self, f.name).shape != shape for f in fields(self)):
            raise InputError("The labels of a comparison need one value per sample each.")
        if (self.in_training & self.in_test).any():
            raise InputError("A sample is either trained on or tested on.")
        if ((self.test >= 0) & ~self.in_test).any() or (self.selected & ~self.in_training).any():
            raise InputError(
                "Only what is tested on is judged, only what is trained on is selected."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison as it was asked for; what its trainings found lies beside it.

    Parameters
    ----------
    id
        Derived from everything below but `created_at`: asking again gives the same one.
    dataset_id, dataset_fingerprint, label_version, last_decision
        What it was made of; the version names the decisions that stood, the number the last event.
    settings
        What was asked for.
    n_decided
        Decisions that stood, of any verdict.
    remarks
        Whole sentences about what it was made of: shared images, classes, noise of the test labels.
    created_at
        UTC.
    """

    id: str
    dataset_id: str
    dataset_fingerprint: str
    label_version: str
    last_decision: int | None
    settings: ComparisonSettings
    n_decided: int
    remarks: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Images of the test split that are training images too; they are not judged.

    Parameters
    ----------
    sample, twin
        Positions in the dataset: of the test image, and of the training image that it equals.
    n_exact
        How many of them have equal pixels; the others are nearly equal.
    """

    sample: tuple[int, ...] = ()
    twin: tuple[int, ...] = ()
    n_exact: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """What one training of a comparison found; comparisons that train the same share it.

    Parameters
    ----------
    id
        Digest of what was trained and what was predicted.
    n_rows
        Samples it was trained on.
    epochs
        Numbers of finished epochs at which it predicted, ascending; the last one is the training's end.
    sample
        Positions that it predicted, ascending, (P,) int64.
    predicted
        Predicted labels, one row per entry of `epochs`, (E, P) int32.
    seconds
        That it took, without decoding.
    messages
        Whole sentences: what went wrong on the way.
    """

    id: str
    n_rows: int
    epochs: tuple[int, ...]
    sample: NDArray[np.int64]
    predicted: NDArray[np.int32]
    seconds: float
    messages: tuple[str, ...] = ()
