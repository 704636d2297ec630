"""Labels that were made wrong on purpose, in the forms that can be imported again with their truth.

Images that lie in files are named by a table: path, label, true label. An ``.npz`` cannot be named
so, because its images have no paths; they are written again beside their new labels.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from audit.errors import InputError

TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
"""Endings of tables that are written."""

ARRAYS = ".npz"


def write_table(path: Path, columns: Mapping[str, Sequence[str | None]], *, ending: str) -> None:
    """Write columns of text; ``None`` becomes an empty cell, or null.

    Parameters
    ----------
    path
        A new file.
    columns
        Name → N texts.
    ending
        One of `TABLES`, which decides the format.

    Raises
    ------
    InputError
        If a text cannot be written as UTF-8.
    """
    try:
        if ending == ".parquet":
            arrays = {name: pa.array(texts, pa.string()) for name, texts in columns.items()}
            pq.write_table(pa.table(arrays), path)
            return
        rows = zip(*columns.values(), strict=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            if ending == ".jsonl":
                for row in rows:
                    line = dict(zip(columns, row, strict=True))
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                return
            delimiter = "\t" if ending == ".tsv" else ","
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{error.object[:80]!r} holds characters that no UTF-8 file can hold: rename that file."
        ) from error


def write_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays as an ``.npz`` without compression, so that its images are read in place."""
    # Given a name, numpy would add an ending to it.
    with path.open("xb") as file:
        np.savez(file, **dict(arrays))  # pyright: ignore[reportArgumentType]  names are no flags
