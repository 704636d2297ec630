"""Arms of a comparison: which samples each is trained on, under which label, and with which weight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

OUT = -1
"""In place of a label: the sample is left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What arms are made from, over the N samples that may be trained on.

    Parameters
    ----------
    given
        Given labels, (N,) int32 in 0..K-1.
    selected
        Samples that the arms treat, (N,) bool.
    corrected
        Labels that people decided, (N,) int32; the given one where nobody decided, `OUT` where a
        sample was excluded.
    truth
        True labels, (N,) int32, `OUT` where unknown; ``None`` without any.
    """

    given: NDArray[np.int32]
    selected: NDArray[np.bool_]
    corrected: NDArray[np.int32]
    truth: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What one arm is trained on.

    Parameters
    ----------
    kept
        Which of the N samples, (N,) bool.
    label
        Their labels, (N,) int32; without meaning where not kept.
    weight
        Of each sample in the loss, (N,) float32; ``None`` where all weigh the same.
    """

    kept: NDArray[np.bool_]
    label: NDArray[np.int32]
    weight: NDArray[np.float32] | None = None


def given(material: Material) -> Trained:
    """Return all samples under their given labels."""
    return Trained(kept=np.ones(len(material.given), dtype=bool), label=material.given)


def dropped(material: Material) -> Trained:
    """Return what is left without the selected samples (Pleiss et al. 2020, 4.2; Jia et al. 2023, 5.2).

    They really go: with a weight of zero they would still pass through batch-norm.
    """
    return Trained(kept=~material.selected, label=material.given)


def relabelled(material: Material) -> Trained:
    """Return all samples, of the selected ones what people decided: their label, or left out."""
    label = np.where(material.selected, material.corrected, material.given).astype(np.int32)
    return Trained(kept=label != OUT, label=label)


def downweighted(material: Material, weight: float) -> Trained:
    """Return all samples under their given labels, the selected ones with a smaller weight.

    Raises
    ------
    InputError
        If the weight does not lie in [0, 1].
    """
    if not 0 <= weight <= 1:
        raise InputError(f"The weight of suspects must lie between 0 and 1, got {weight}.")
    weights = np.where(material.selected, weight, 1).astype(np.float32)
    return Trained(
        kept=np.ones(len(material.given), dtype=bool), label=material.given, weight=weights
    )


def automatic(material: Material, predicted: NDArray[np.int32]) -> Trained:
    """Return all samples, the selected ones under what a network predicts that never saw them.

    Jia et al. (2023), section 5.4, "data debugging".

    Parameters
    ----------
    material
        What arms are made from.
    predicted
        Predictions of a network that was trained as `dropped` says, (N,) int32; read where selected.
    """
    label = np.where(material.selected, predicted, material.given).astype(np.int32)
    return Trained(kept=label != OUT, label=label)


def oracle(material: Material) -> Trained:
    """Return all samples under their true labels; those whose truth is unknown under the given one.

    Raises
    ------
    InputError
        If no truth is known.
    """
    if material.truth is None:
        raise InputError("The arm “oracle” needs true labels, and this dataset has none.")
    label = np.where(material.truth == OUT, material.given, material.truth).astype(np.int32)
    return Trained(kept=np.ones(len(label), dtype=bool), label=label)


def emptied_classes(trained: Trained, before: NDArray[np.int32], n_classes: int) -> list[int]:
    """Return the classes that some samples had before and none has any more.

    Parameters
    ----------
    trained
        What an arm is trained on.
    before
        Labels of all samples in the arm that changes nothing, (N,) int32.
    n_classes
        Number of classes K.
    """
    had = np.bincount(before, minlength=n_classes)
    has = np.bincount(trained.label[trained.kept], minlength=n_classes)
    return [int(index) for index in np.flatnonzero((had > 0) & (has == 0))]
