"""Recordings that somebody else's training loop made with our `Recorder`: an ``.npz`` of signals."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.exchange.recorded_signals import Recorded, distinct
from audit.records import recording as names
from audit.records.dynamics import SIGNALS, MeanProbabilities, Role, TrainingDynamics


def of_arrays(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Recorded:
    """Return the dynamics of a recording.

    Parameters
    ----------
    name
        The file, for messages.
    arrays
        Everything in it, by the names in `records.recording`.

    Raises
    ------
    InputError
        If a newer version wrote it, an array is missing, or they do not fit.
    """
    version = int(_number(name, arrays, names.FORMAT))
    if version > names.VERSION:
        raise InputError(
            f"{name!r} is a recording of form {version}, and this version of labeltrace reads forms up "
            f"to {names.VERSION}: update labeltrace."
        )
    labels = _array(name, arrays, names.LABELS, "i", 1).astype(np.int32)
    n_classes = int(_number(name, arrays, names.N_CLASSES))
    sample = _array(name, arrays, names.SAMPLE, "i", 1).astype(np.int64)
    n_samples, n_rows = len(labels), len(sample)
    _check(n_samples > 0 and n_rows > 0, name, "it holds no sample that was observed")
    _check(
        bool((np.diff(sample) > 0).all()) and sample[0] >= 0 and sample[-1] < n_samples,
        name,
        f"rows must be distinct positions of {n_samples} samples, ascending",
    )
    _check(
        labels.min() >= 0 and labels.max() < n_classes,
        name,
        f"labels must lie in 0..{n_classes - 1}",
    )
    signals = {key: _signal(name, arrays, key, n_rows) for key in SIGNALS}
    others = cast("NDArray[np.int32]", signals["best_other_class"])
    _check(
        others.size and others.min() >= 0 and others.max() < n_classes,
        name,
        f"classes must lie in 0..{n_classes - 1}",
    )
    _check(len({len(values) for values in signals.values()}) == 1, name, "epochs differ in number")
    _check(len(signals["margin"]) > 0, name, "it holds no epoch")
    ids = class_names = None
    if names.KEYS in arrays:
        ids = distinct(_texts(name, arrays, names.KEYS, n_samples), name)
    if names.CLASS_NAMES in arrays:
        class_names = distinct(_texts(name, arrays, names.CLASS_NAMES, n_classes), name)
    return Recorded(
        dynamics=TrainingDynamics(
            run_id=name,
            n_samples=n_samples,
            n_classes=n_classes,
            sample=sample,
            assigned_label=labels[sample],
            role=np.full(n_rows, Role.GIVEN, dtype=np.int8),
            signals=signals,
            mean_probabilities=_mean_probabilities(name, arrays, n_rows, n_classes),
        ),
        sample_ids=ids or tuple(str(place) for place in range(n_samples)),
        class_names=class_names or tuple(str(k) for k in range(n_classes)),
        given_labels=labels,
        has_ids=ids is not None,
        has_class_names=class_names is not None,
        messages=tuple(_texts(name, arrays, names.MESSAGES)),
    )


def _mean_probabilities(
    name: str, arrays: Mapping[str, NDArray[np.generic]], n_rows: int, n_classes: int
) -> MeanProbabilities:
    values = _array(name, arrays, names.MEAN_VALUES, "f", 2).astype(np.float32, copy=False)
    is_full = bool(_number(name, arrays, names.MEAN_IS_FULL))
    if is_full:
        own = np.arange(values.shape[1], dtype=np.int32)
        classes = np.broadcast_to(own, values.shape)
    else:
        classes = _array(name, arrays, names.MEAN_CLASSES, "i", 2).astype(np.int32)
    _check(
        classes.shape == values.shape
        and len(values) == n_rows
        and (not is_full or values.shape[1] == n_classes)
        and classes.size > 0
        and classes.min() >= 0
        and classes.max() < n_classes
        and bool(np.isfinite(values).all()),
        name,
        "its mean probabilities do not fit its rows and classes",
    )
    return MeanProbabilities(classes=classes, values=values, is_full=is_full)


def _signal(
    name: str, arrays: Mapping[str, NDArray[np.generic]], key: str, n_rows: int
) -> NDArray[np.generic]:
    is_class = key == "best_other_class"
    values = _array(name, arrays, names.of_signal(key), "i" if is_class else "f", 2)
    _check(values.shape[1] == n_rows, name, f"{names.of_signal(key)} must have {n_rows} columns")
    _check(bool(np.isfinite(cast("NDArray[Any]", values)).all()), name, f"{key} is not finite")
    return values.astype(np.int32 if is_class else np.float32, copy=False)


def _array(
    name: str, arrays: Mapping[str, NDArray[np.generic]], key: str, kind: str, n_axes: int
) -> NDArray[Any]:
    _check(key in arrays, name, f"the array {key!r} is missing")
    values = arrays[key]
    _check(
        values.ndim == n_axes and values.dtype.kind == kind,
        name,
        f"{key!r} is {values.dtype} {values.shape}",
    )
    return values


def _number(name: str, arrays: Mapping[str, NDArray[np.generic]], key: str) -> int:
    _check(key in arrays, name, f"the array {key!r} is missing")
    values = arrays[key]
    _check(values.ndim == 0 and values.dtype.kind in "iub", name, f"{key!r} is no whole number")
    return int(values.item())


def _texts(
    name: str, arrays: Mapping[str, NDArray[np.generic]], key: str, n_wanted: int | None = None
) -> list[str]:
    values = _array(name, arrays, key, "U", 1)
    _check(n_wanted in (None, len(values)), name, f"{key!r} must hold {n_wanted} texts")
    return [str(value) for value in values.tolist()]


def _check(is_fine: object, name: str, reason: str) -> None:
    if not is_fine:
        raise InputError(f"{name!r} is no whole recording: {reason}; record it again.")
