"""Training dynamics of dataset cartography: one JSON lines file per epoch.

``dynamics_epoch_<e>.jsonl`` from 0 upward, each line
``{"guid": …, "logits_epoch_<e>": [K numbers], "gold": class index}``. A sample without a line was not
recorded in that epoch.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.exchange.recorded_signals import Recorded, distinct, of_logits

_MAX_CLASS = 2**31 - 1
"""Class indices are int32."""

_FILE = re.compile(r"dynamics_epoch_([0-9]+)\.jsonl")


def epoch_files(folder: Path) -> dict[int, Path]:
    """Return the files of a folder by epoch, ascending; empty if there is no such folder."""
    if not folder.is_dir():
        return {}
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        match = _FILE.fullmatch(path.name)
        if match:
            found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def read(folder: Path) -> Recorded:
    """Return the dynamics of a folder; samples are in the order in which they appear first.

    Raises
    ------
    InputError
        If an epoch is missing, or a line does not fit; names the file and line.
    """
    files = epoch_files(folder)
    if list(files) != list(range(len(files))) or not files:
        missing = next(epoch for epoch in range(len(files) + 1) if epoch not in files)
        raise InputError(f"The folder {str(folder)!r} lacks dynamics_epoch_{missing}.jsonl.")
    try:
        return _read(folder.name, files, _golds({0: files[0]}))
    except _LaterSampleError:
        # Rare, and it takes reading every file twice.
        return _read(folder.name, files, _golds(files))


class _LaterSampleError(Exception):
    """A sample has no line in the first epoch."""


def _golds(files: Mapping[int, Path]) -> dict[str, int]:
    """Return the class index of every sample in the files, in the order of its first line."""
    golds: dict[str, int] = {}
    for epoch, path in files.items():
        own = [(guid, gold) for guid, gold, _ in _lines(path, epoch)]
        distinct([guid for guid, _ in own], path.name)
        for guid, gold in own:
            golds.setdefault(guid, gold)
    return golds


def _read(name: str, files: Mapping[int, Path], golds: Mapping[str, int]) -> Recorded:
    places = {guid: place for place, guid in enumerate(golds)}
    labels = np.array(list(golds.values()), dtype=np.int64)
    n_logits = next((len(logits) for _, _, logits in _lines(files[0], 0)), 0)
    return of_logits(
        name,
        epochs=(_epoch(path, epoch, places, labels, n_logits) for epoch, path in files.items()),
        labels=labels,
        sample_ids=tuple(golds),
    )


def _epoch(
    path: Path,
    epoch: int,
    places: Mapping[str, int],
    labels: NDArray[np.int64],
    n_logits: int,
) -> NDArray[np.float32]:
    rows: list[list[float] | None] = [None] * len(places)
    for guid, gold, logits in _lines(path, epoch):
        place = places.get(guid)
        if place is None:
            raise _LaterSampleError
        if rows[place] is not None:
            raise InputError(f"{path.name!r}: the sample {guid!r} is there twice.")
        if gold != labels[place]:
            raise InputError(
                f"{path.name!r}: the sample {guid!r} has gold {gold}, in an earlier epoch "
                f"{labels[place]}."
            )
        if len(logits) != n_logits:
            raise InputError(
                f"{path.name!r}: the sample {guid!r} has {len(logits)} logits, the first one has "
                f"{n_logits}."
            )
        rows[place] = logits
    missing = [np.nan] * n_logits
    # A logit beyond float32 becomes an infinity, which is refused with its sample's name.
    with np.errstate(over="ignore"):
        return np.array([missing if row is None else row for row in rows], dtype=np.float32)


def _lines(path: Path, epoch: int) -> Iterator[tuple[str, int, list[float]]]:
    key = f"logits_epoch_{epoch}"
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line.decode())
                guid, gold, logits = values["guid"], values["gold"], values[key]
                yield str(guid), _index(gold), [float(x) for x in cast("list[float]", logits)]
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                raise InputError(
                    f"Line {number} of {path.name!r} is not "
                    f'{{"guid": …, "{key}": [numbers], "gold": class index}}.'
                ) from error


def _index(gold: object) -> int:
    if not isinstance(gold, int) or isinstance(gold, bool) or not 0 <= gold <= _MAX_CLASS:
        raise ValueError(gold)
    return gold
