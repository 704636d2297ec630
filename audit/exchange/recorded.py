"""Training dynamics that other tools recorded: npz, the ``aum`` package, dataset cartography.

And those that our own `Recorder` recorded in somebody else's loop: an ``.npz`` too (`recorded_loop`).

``read`` decides by what the path is; each form has its own function. Nothing is unpickled.
"""

import zlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.exchange import recorded_aum, recorded_cartography, recorded_copies, recorded_loop
from audit.exchange.recorded_signals import Recorded, of_logits, of_probabilities
from audit.records import recording

BOMB_BYTES, BOMB_RATIO = 1 << 30, 200
"""Above this size an array that unpacks so many-fold is refused: recorded floats never do."""


class Axes(StrEnum):
    """Order of the axes of recorded arrays: epochs E, samples N, classes K."""

    ENK = "enk"
    NEK = "nek"


def read(path: Path, *, axes: Axes | None = None) -> Recorded:
    """Return dynamics that another tool recorded.

    Parameters
    ----------
    path
        An ``.npz`` file; ``aum_values.csv`` or ``full_aum_records.csv``; or a folder that holds one
        of the latter or ``dynamics_epoch_<e>.jsonl`` files (or ``training_dynamics`` with them).
    axes
        Order of the axes of an npz array, where its shape leaves it open.

    Raises
    ------
    InputError
        If the path is none of these, or what it holds cannot be used; one sentence.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read_folder(path)
        if path.suffix.lower() == ".npz":
            return read_npz(path, axes=axes)
        if path.suffix.lower() == ".csv":
            return recorded_aum.read(path)
    except FileNotFoundError as error:
        raise InputError(f"{str(path)!r} does not exist.") from error
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
    if not path.exists():
        raise InputError(f"{str(path)!r} does not exist.")
    raise InputError(
        f"{path.name!r} holds no recorded dynamics: expected an .npz file, a CSV of the aum "
        "package, or a folder of dynamics_epoch_<e>.jsonl files."
    )


def read_npz(path: Path, *, axes: Axes | None = None) -> Recorded:
    """Return dynamics from ``logits`` or ``probs`` and ``labels``, and what else the file says.

    A recording of our own `Recorder` says that it is one, and holds signals instead.

    Parameters
    ----------
    path
        ``logits`` or ``probs`` is (E, N, K) or (N, E, K) floating; ``labels`` (N,) integers
        (negative = unlabelled: no row) or, with ``class_names`` (K,), text; ``ids`` (N,) distinct. Where
        ``copy_of`` (N,) integer is there, it names the place of the original of each corrupted copy and
        is -1 elsewhere; copies are rows on top, no samples, and their ids are not read.
    axes
        Needed where the shape leaves the order open.

    Raises
    ------
    InputError
        If arrays are missing, hold pickled objects, or do not fit.
    """
    arrays = _arrays(path)
    if recording.FORMAT in arrays:
        return recorded_loop.of_arrays(path.name, arrays)
    kind = next((name for name in ("logits", "probs") if name in arrays), None)
    if kind is None or "labels" not in arrays:
        raise InputError(
            f"{path.name!r} holds {sorted(arrays)}, expected logits or probs, and labels."
        )
    values, labels = arrays[kind], arrays["labels"]
    if values.ndim != 3 or not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"{path.name!r}: {kind} must be floating of shape (E, N, K) or (N, E, K), "
            f"got {values.dtype} {values.shape}."
        )
    if labels.ndim != 1 or not len(labels):
        raise InputError(f"{path.name!r}: labels must be (N,), got shape {labels.shape}.")
    values = _epoch_major(values, len(labels), axes=axes, file=path.name)
    names = _texts(arrays["class_names"], "class_names") if "class_names" in arrays else None
    n_classes = values.shape[2]
    if names is not None and len(set(names)) != n_classes:
        raise InputError(f"{path.name!r}: {n_classes} classes need as many distinct class_names.")
    ids = _texts(arrays["ids"], "ids") if "ids" in arrays else None
    indices = _indices(labels, names, path.name)
    copy_of = arrays.get("copy_of")
    make = of_logits if kind == "logits" else of_probabilities
    return make(
        path.name,
        epochs=values,
        labels=indices,
        sample_ids=ids,
        class_names=names,
        copy_of=None if copy_of is None else recorded_copies.checked(copy_of, indices, path.name),
    )


def _read_folder(path: Path) -> Recorded:
    for name in (recorded_aum.RECORDS, recorded_aum.VALUES):
        if (path / name).is_file():
            return recorded_aum.read(path / name)
    for folder in (path, path / "training_dynamics"):
        if recorded_cartography.epoch_files(folder):
            return recorded_cartography.read(folder)
    raise InputError(
        f"The folder {str(path)!r} holds neither dynamics_epoch_<e>.jsonl files nor a CSV of the "
        "aum package."
    )


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    wanted = ("logits", "probs", "labels", "ids", "class_names", "copy_of")
    with path.open("rb") as file:
        if not is_zipfile(file):
            raise InputError(f"{path.name!r} is damaged or no npz file.")
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as file:
            names = file.files if recording.FORMAT in file.files else wanted
            return {name: file[name] for name in names if name in file.files}
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{path.name!r} claims more than fits into memory: save it again, or fewer epochs."
        ) from error
    except (
        ValueError,
        BadZipFile,
        EOFError,
        KeyError,
        OverflowError,  # an axis longer than any file
        RuntimeError,  # encrypted, or an unknown compression
        zlib.error,
    ) as error:
        if "Object arrays" in str(error):
            raise InputError(
                f"{path.name!r} holds pickled objects, which are never read: save plain arrays."
            ) from error
        raise InputError(f"{path.name!r} is damaged or no npz file.") from error


def _refuse_bomb(path: Path) -> None:
    with ZipFile(path) as archive:
        for member in archive.infolist():
            is_huge = member.file_size > BOMB_BYTES
            if is_huge and member.file_size > BOMB_RATIO * member.compress_size:
                raise InputError(
                    f"{path.name!r} would unpack {member.compress_size:,} bytes of "
                    f"{member.filename!r} to {member.file_size:,} and is refused as a zip bomb: "
                    "save it without compression."
                )


def _epoch_major(
    values: NDArray[np.generic], n_samples: int, *, axes: Axes | None, file: str
) -> NDArray[np.generic]:
    fits = {
        Axes.ENK: values.shape[1] == n_samples,
        Axes.NEK: values.shape[0] == n_samples,
    }
    if axes is None:
        if all(fits.values()):
            raise InputError(
                f"{file!r}: the shape {values.shape} may be (E, N, K) or (N, E, K) with "
                f"{n_samples} labels: say which with --axes enk or --axes nek."
            )
        axes = Axes.ENK if fits[Axes.ENK] else Axes.NEK
    if not fits[axes]:
        raise InputError(
            f"{file!r}: the shape {values.shape} does not fit {n_samples} labels as "
            f"{'(E, N, K)' if axes is Axes.ENK else '(N, E, K)'}."
        )
    return values if axes is Axes.ENK else values.swapaxes(0, 1)


def _texts(values: NDArray[np.generic], name: str) -> tuple[str, ...]:
    if values.ndim != 1:
        raise InputError(f"{name} must be one per place, got shape {values.shape}.")
    return tuple(str(value) for value in values.tolist())


def _indices(
    labels: NDArray[np.generic], names: Sequence[str] | None, file: str
) -> NDArray[np.int64]:
    if np.issubdtype(labels.dtype, np.integer):
        return labels.astype(np.int64)
    if labels.dtype.kind == "U" and names is not None:
        places = {name: place for place, name in enumerate(names)}
        texts = _texts(labels, "labels")
        unknown = next((text for text in texts if text not in places), None)
        if unknown is not None:
            raise InputError(f"{file!r}: the label {unknown!r} is none of its class_names.")
        return np.array([places[text] for text in texts], dtype=np.int64)
    raise InputError(
        f"{file!r}: labels must be integers, or text beside class_names, got {labels.dtype}."
    )
