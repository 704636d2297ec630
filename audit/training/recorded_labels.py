"""The labels, keys and class names that a recording is about, checked once at its beginning."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from audit.errors import InputError

MIXED = (
    "mixed or smoothed targets (mixup, CutMix, soft labels) have no single label whose margin could be "
    "recorded: pass the integer labels of the images, or train without mixing"
)
"""Why targets of several classes are refused, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedLabels:
    """What each of N samples is trained on, and what samples and classes are called.

    Parameters
    ----------
    labels
        (N,) int32, at least 0.
    keys
        N distinct texts, or ``None`` where samples have no name but their position.
    class_names
        K distinct texts, or ``None``.
    n_classes
        K, or ``None`` where the network's outputs will tell.
    """

    labels: NDArray[np.int32]
    keys: tuple[str, ...] | None
    class_names: tuple[str, ...] | None
    n_classes: int | None

    def __len__(self) -> int:
        """Return the number of samples N."""
        return len(self.labels)

    @property
    def digest(self) -> str:
        """A checksum, hexadecimal; equal labels, keys and class names have the same."""
        sums = hashlib.sha256(self.labels.tobytes())
        for texts in (self.keys, self.class_names):
            sums.update(b"\0none" if texts is None else "\0".join(("", *texts)).encode())
        return sums.hexdigest()

    def n_outputs(self, found: int) -> int:
        """Return the number of classes K of a network, given that of its outputs.

        Raises
        ------
        InputError
            If outputs, classes and labels do not fit.
        """
        if found < 2:
            raise InputError(
                "A network with one output has no logit per class: observe "
                "torch.cat([torch.zeros_like(logits), logits], dim=1) in its place."
            )
        if self.n_classes is not None and found != self.n_classes:
            raise InputError(
                f"The network has {found} outputs, expected one for each of {self.n_classes} classes."
            )
        if self.labels.max() >= found:
            raise InputError(
                f"The largest label is {self.labels.max()}, but the network has {found} outputs, which "
                "count from 0."
            )
        return found


def checked(
    labels: ArrayLike | Tensor,
    *,
    class_names: Sequence[str] | None,
    keys: Iterable[object] | None,
    n_classes: int | None,
) -> RecordedLabels:
    """Return what a recording is about.

    Parameters
    ----------
    labels
        (N,) integers at least 0, or texts among `class_names`.
    class_names
        K distinct texts in the order of the network's outputs.
    keys
        N distinct names of the samples, made texts.
    n_classes
        K; the number of class names if they are given.

    Raises
    ------
    InputError
        If labels are mixed, unknown or negative, or the parts do not fit.
    """
    names = None if class_names is None else _distinct(class_names, "class name")
    if names is not None and n_classes not in (None, len(names)):
        raise InputError(f"{n_classes} classes need as many class names, got {len(names)}.")
    values = _as_array(labels)
    if values.ndim == 2 and values.shape[1] > 1:
        raise InputError(
            f"Labels must be one integer per sample, got shape {values.shape}: {MIXED}."
        )
    if values.ndim != 1 or not len(values):
        raise InputError(f"Labels must be one integer per sample, (N,), got shape {values.shape}.")
    if values.dtype.kind in "UT":
        places = _places(values, names)
    elif values.dtype.kind in "iu":
        places = values.astype(np.int64)
    else:
        raise InputError(
            f"Labels must be integers, or texts beside class_names, got {values.dtype}: {MIXED}."
        )
    if places.min() < 0:
        raise InputError(
            f"Label {places.min()} of sample {int(places.argmin())} is no class: leave unlabelled "
            "samples out of the labels, and do not observe them."
        )
    found = len(names) if names is not None else n_classes
    if found is not None and places.max() >= found:
        raise InputError(
            f"Label {places.max()} of sample {int(places.argmax())} is none of {found} classes, which "
            "count from 0."
        )
    texts = None if keys is None else _distinct([str(key) for key in keys], "key")
    if texts is not None and len(texts) != len(places):
        raise InputError(f"{len(places)} labels need as many keys, got {len(texts)}.")
    return RecordedLabels(
        labels=places.astype(np.int32), keys=texts, class_names=names, n_classes=found
    )


def of_batch(labels: ArrayLike | Tensor, n_rows: int) -> Tensor:
    """Return the labels of a batch, (B,) integer, as they were given and where they are.

    Raises
    ------
    InputError
        If they are mixed or smoothed, or not one per row.
    """
    found = labels if isinstance(labels, Tensor) else torch.as_tensor(labels)
    if found.ndim > 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise InputError(
            f"The labels of a batch must be integers, ({n_rows},), got {found.dtype} "
            f"{tuple(found.shape)}: {MIXED}."
        )
    if found.shape != (n_rows,):
        raise InputError(f"{n_rows} rows need as many labels, got shape {tuple(found.shape)}.")
    return found


def _as_array(labels: ArrayLike | Tensor) -> NDArray[np.generic]:
    if isinstance(labels, Tensor):
        return labels.detach().cpu().numpy()
    return np.asarray(labels)


def _places(values: NDArray[np.generic], names: tuple[str, ...] | None) -> NDArray[np.int64]:
    if names is None:
        raise InputError(
            "Labels that are texts need class_names=, in the order of the network's outputs."
        )
    place_of = {name: place for place, name in enumerate(names)}
    texts = [str(value) for value in values.tolist()]
    unknown = next((text for text in texts if text not in place_of), None)
    if unknown is not None:
        raise InputError(f"The label {unknown!r} is none of the class names: add it there.")
    return np.array([place_of[text] for text in texts], dtype=np.int64)


def _distinct(texts: Sequence[str], noun: str) -> tuple[str, ...]:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            raise InputError(f"The {noun} {text!r} is there twice: each needs its own.")
        seen.add(text)
    return tuple(texts)
