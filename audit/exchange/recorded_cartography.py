"""Training dynamics of dataset cartography: one JSON lines file per epoch.

``dynamics_epoch_<e>.jsonl`` from 0 upward, each line
``{"guid": …, "logits_epoch_<e>": [K numbers], "gold": class index}``.
"""

import json
import re
from collections.abc import Iterator
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
    """Return the dynamics of a folder; samples are in the order of the first epoch.

    Raises
    ------
    InputError
        If an epoch is missing, or a line does not fit; names the file and line.
    """
    files = epoch_files(folder)
    if list(files) != list(range(len(files))) or not files:
        missing = next(epoch for epoch in range(len(files) + 1) if epoch not in files)
        raise InputError(f"The folder {str(folder)!r} lacks dynamics_epoch_{missing}.jsonl.")
    first = list(_lines(files[0], 0))
    guids = distinct([guid for guid, _, _ in first], files[0].name)
    labels = np.array([gold for _, gold, _ in first], dtype=np.int64)
    return of_logits(
        folder.name,
        epochs=(_epoch(path, epoch, guids, labels) for epoch, path in files.items()),
        labels=labels,
        sample_ids=guids,
    )


def _epoch(
    path: Path, epoch: int, guids: tuple[str, ...], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    places = {guid: place for place, guid in enumerate(guids)}
    rows: list[list[float] | None] = [None] * len(guids)
    for guid, gold, logits in _lines(path, epoch):
        place = places.get(guid)
        if place is None or rows[place] is not None:
            why = "is there twice" if place is not None else "is not in the first epoch"
            raise InputError(f"{path.name!r}: the sample {guid!r} {why}.")
        if gold != labels[place]:
            raise InputError(
                f"{path.name!r}: the sample {guid!r} has gold {gold}, in the first epoch "
                f"{labels[place]}."
            )
        rows[place] = logits
    whole = [row for row in rows if row is not None]
    if len(whole) < len(rows):
        raise InputError(f"{path.name!r}: the sample {guids[rows.index(None)]!r} is missing.")
    if len({len(row) for row in whole}) != 1:
        raise InputError(f"{path.name!r}: samples have different numbers of logits.")
    # A logit beyond float32 becomes an infinity, which is refused with its sample's name.
    with np.errstate(over="ignore"):
        return np.array(whole, dtype=np.float32)


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
