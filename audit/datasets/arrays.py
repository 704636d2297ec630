"""Arrays in an ``.npz``: images, labels and optional names, truth, splits and keys."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.datasets import classes, fingerprint, splits, zipped
from audit.datasets.names import is_text
from audit.datasets.skipping import SkippedLog
from audit.errors import InputError
from audit.records.dataset import (
    SPLITS,
    UNLABELLED,
    ImportPlan,
    Source,
    SourceKind,
    Split,
    Truth,
)
from audit.records.progress import Report

_KNOWN = ("images", "labels", "class_names", "true_labels", "split", "sample_keys")
_MAX_UNNAMED_CLASSES = 100_000


def plan(file: Path, report: Report) -> ImportPlan:
    """Return what an import of an ``.npz`` would store.

    Parameters
    ----------
    file
        Absolute path of the file.
    report
        Is told how far the work is; may stop it.

    Raises
    ------
    InputError
        If the file is damaged, holds pickled objects, lacks an array, or an array has another
        shape, type or range than expected; names the array or the position.
    """
    report(0.0, "reading labels")
    present = zipped.names(file)
    for name in ("images", "labels"):
        if name not in present:
            held = ", ".join(present) if present else "none"
            raise InputError(f"{file} has no array {name!r}; its arrays are {held}.")
    n_samples = _n_images(file)
    columns = {name: _column(file, name, n_samples) for name in _KNOWN[1:] if name in present}
    class_names, given_labels, true_labels = _labels(file, columns)
    codes = _splits(file, columns.get("split"), n_samples)
    keys = _keys(file, columns.get("sample_keys"), n_samples)
    skipped = SkippedLog()
    for name in present:
        if name not in _KNOWN:
            skipped.add(name, f"no array of that name is known; they are {', '.join(_KNOWN)}")
    report(1.0, f"read {n_samples:,} labels")
    return ImportPlan(
        source=Source(kind=SourceKind.ARRAYS, location=str(file), root=str(file)),
        suggested_name=file.stem or "images",
        class_names=class_names,
        sample_keys=keys,
        paths=(None,) * n_samples,
        given_labels=given_labels,
        splits=codes,
        problems={},
        fingerprint=fingerprint.of_labels(class_names, keys, given_labels, codes),
        truth=None if true_labels is None else Truth(true_labels=true_labels),
        skipped=skipped.close(),
        warnings=tuple(classes.oddities(class_names, given_labels)),
    )


def _n_images(file: Path) -> int:
    shape, dtype = zipped.shape_of(file, "images")
    if dtype != np.uint8:
        raise InputError(f"{file}: array 'images' holds {dtype}, expected uint8 (0 to 255).")
    is_image = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
    if not is_image or 0 in shape:
        raise InputError(
            f"{file}: array 'images' has shape {shape}, expected (N, H, W), (N, H, W, 1), "
            "(N, H, W, 3) or (N, H, W, 4), none of them 0."
        )
    return shape[0]


def _column(file: Path, name: str, n_samples: int) -> NDArray[Any]:
    array = zipped.read(file, name)
    if array.ndim != 1 or (name != "class_names" and len(array) != n_samples):
        expected = "(K,)" if name == "class_names" else f"({n_samples},), one per image"
        raise InputError(f"{file}: array {name!r} has shape {array.shape}, expected {expected}.")
    return array


def _labels(
    file: Path, columns: dict[str, NDArray[Any]]
) -> tuple[tuple[str, ...], NDArray[np.int32], NDArray[np.int32] | None]:
    given = _indices_or_texts(file, "labels", columns["labels"])
    true = None
    if "true_labels" in columns:
        true = _indices_or_texts(file, "true_labels", columns["true_labels"])
    named = _class_names(file, columns.get("class_names"))
    if named is None:
        named = _names_found(file, given, true)
    found = _as_indices(file, "labels", given, named)
    return named, found, None if true is None else _as_indices(file, "true_labels", true, named)


def _class_names(file: Path, array: NDArray[Any] | None) -> tuple[str, ...] | None:
    if array is None:
        return None
    names = tuple(_texts(file, "class_names", array))
    counts = Counter(names)
    for position, name in enumerate(names):
        if not name.strip():
            raise InputError(f"{file}: array 'class_names' is empty at position {position}.")
        if counts[name] > 1:
            raise InputError(f"{file}: array 'class_names' holds {name!r} twice.")
    return names


def _names_found(
    file: Path,
    given: "NDArray[np.int64] | list[str | None]",
    true: "NDArray[np.int64] | list[str | None] | None",
) -> tuple[str, ...]:
    """Return the class names that labels and truth use themselves."""
    if isinstance(given, list):
        if true is not None and not isinstance(true, list):
            raise InputError(
                f"{file}: labels are text and true_labels are numbers; "
                "write both as text, or both as numbers."
            )
        return classes.sorted_names(given, true or ())
    if isinstance(true, list):
        raise InputError(
            f"{file}: labels are numbers and true_labels are text; "
            "add class_names, or write both as numbers."
        )
    highest = max(int(given.max()), UNLABELLED if true is None else int(true.max()))
    if highest >= max(_MAX_UNNAMED_CLASSES, len(given)):
        raise InputError(
            f"{file}: labels go up to {highest:,}; number the classes from 0, or give class_names."
        )
    return tuple(str(index) for index in range(highest + 1))


def _indices_or_texts(
    file: Path, name: str, array: NDArray[Any]
) -> "NDArray[np.int64] | list[str | None]":
    if array.dtype.kind in "US":
        return [text if text.strip() else None for text in _texts(file, name, array)]
    if array.dtype.kind in "iu":
        # Labels beyond int64 are out of any range; clipping keeps them so without wrapping round.
        return np.clip(array, -1, np.iinfo(np.int32).max).astype(np.int64)
    if array.dtype.kind == "f":
        odd = np.flatnonzero(~(np.isfinite(array) & (array == np.trunc(array))))
        if odd.size:
            raise InputError(
                f"{file}: array {name!r} holds {array[odd[0]]} at position {odd[0]}, "
                "expected whole numbers or text."
            )
        return np.clip(array, -1, np.iinfo(np.int32).max).astype(np.int64)
    raise InputError(f"{file}: array {name!r} holds {array.dtype}, expected integers or text.")


def _as_indices(
    file: Path,
    name: str,
    values: "NDArray[np.int64] | list[str | None]",
    class_names: tuple[str, ...],
) -> NDArray[np.int32]:
    if isinstance(values, list):
        index = set(class_names)
        for position, text in enumerate(values):
            if text is not None and text not in index:
                raise InputError(
                    f"{file}: array {name!r} holds {text!r} at position {position}, "
                    "which is not in class_names."
                )
        return classes.indices(values, class_names)
    beyond = np.flatnonzero(values >= len(class_names))
    if beyond.size:
        raise InputError(
            f"{file}: array {name!r} holds {values[beyond[0]]} at position {beyond[0]}, "
            f"but class_names names {len(class_names)} classes (0 to {len(class_names) - 1})."
        )
    return np.maximum(values, UNLABELLED).astype(np.int32)


def _splits(file: Path, array: NDArray[Any] | None, n_samples: int) -> NDArray[np.int8]:
    train = SPLITS.index(Split.TRAIN)
    if array is None:
        return np.full(n_samples, train, dtype=np.int8)
    if array.dtype.kind not in "US":
        raise InputError(f"{file}: array 'split' holds {array.dtype}, expected text.")
    texts = _texts(file, "split", array)
    known = {text: splits.code(text) if text.strip() else train for text in set(texts)}
    codes = np.empty(n_samples, dtype=np.int8)
    for position, text in enumerate(texts):
        code = known[text]
        if code is None:
            raise InputError(
                f"{file}: array 'split' holds the unknown split {text!r} at position {position}; "
                f"expected {splits.EXPECTED}."
            )
        codes[position] = code
    return codes


def _keys(file: Path, array: NDArray[Any] | None, n_samples: int) -> tuple[str, ...]:
    if array is None:
        width = len(str(n_samples - 1))
        return tuple(f"{position:0{width}d}" for position in range(n_samples))
    keys = _texts(file, "sample_keys", array)
    seen: dict[str, int] = {}
    for position, key in enumerate(keys):
        if not key.strip():
            raise InputError(f"{file}: array 'sample_keys' is empty at position {position}.")
        if key in seen:
            raise InputError(
                f"{file}: array 'sample_keys' holds {key!r} at positions {seen[key]} and "
                f"{position}; keys must be distinct."
            )
        seen[key] = position
    return tuple(keys)


def _texts(file: Path, name: str, array: NDArray[Any]) -> list[str]:
    if array.dtype.kind not in "USiu":
        raise InputError(f"{file}: array {name!r} holds {array.dtype}, expected text.")
    if array.dtype.kind == "S":
        try:
            return [bytes(text).decode() for text in array]
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: array {name!r} holds bytes that are not UTF-8.") from error
    try:
        texts = [str(text) for text in array.tolist()]
    except (ValueError, UnicodeError) as error:  # code points beyond Unicode
        raise InputError(f"{file}: array {name!r} holds text that is damaged.") from error
    if not is_text("".join(texts)):
        raise InputError(f"{file}: array {name!r} holds text that cannot be written as UTF-8.")
    return texts
