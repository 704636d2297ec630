r"""Corrected labels as CSV or Parquet: one row per sample, in dataset order.

Columns: `COLUMNS`. Nulls are empty cells in CSV and nulls in Parquet; all values are text. CSV is
UTF-8 with ``\n`` at the end of each row; a cell is quoted only where it must be.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError
from audit.exchange.corrected import CorrectedLabels
from audit.exchange.spreadsheet import guard, unguard
from audit.records.dataset import SPLITS
from audit.records.decision import to_iso

COLUMNS = (
    "sample_key",
    "path",
    "split",
    "label",
    "given_label",
    "verdict",
    "reviewer",
    "decided_at",
)

Cells = tuple[str | None, ...]

_ROWS_AT_ONCE = 4096
_NEEDS_QUOTES = re.compile('[",\r\n]|^\\s|\\s$')


def write_csv(path: Path, labels: CorrectedLabels, *, spreadsheet_safe: bool = False) -> None:
    """Write the corrected labels as CSV.

    Parameters
    ----------
    path
        A new file.
    labels
        What to write.
    spreadsheet_safe
        Whether cells are guarded against being run as formulas; see `spreadsheet.guard`.

    Raises
    ------
    InputError
        If a text cannot be written as UTF-8.
    """
    write_columns(path, COLUMNS, _columns(labels), spreadsheet_safe=spreadsheet_safe)


def write_parquet(path: Path, labels: CorrectedLabels) -> None:
    """Write the corrected labels as Parquet; every column is text.

    Raises
    ------
    InputError
        If a text cannot be written as UTF-8.
    """
    try:
        arrays = [pa.array(column, pa.string()) for column in _columns(labels)]
    except UnicodeEncodeError as error:
        raise InputError(_not_text(error)) from error
    pq.write_table(pa.table(dict(zip(COLUMNS, arrays, strict=True))), path)


def read(path: Path, *, spreadsheet_safe: bool = False) -> tuple[Cells, ...]:
    """Return the rows that `write_csv` or `write_parquet` wrote, cells in the order of `COLUMNS`.

    Raises
    ------
    InputError
        If the columns are others.
    """
    if path.suffix.lower() == ".parquet":
        table = pq.ParquetFile(path).read(use_threads=False)  # threads can abort the exit
        names, rows = table.column_names, list(zip(*table.to_pydict().values(), strict=True))
    else:
        names, rows = read_lines(path, spreadsheet_safe=spreadsheet_safe)
    if tuple(names) != COLUMNS:
        raise InputError(f"{str(path)!r} has the columns {names}, expected {list(COLUMNS)}.")
    return tuple(rows)


def write_columns(
    path: Path,
    names: Sequence[str],
    columns: Sequence[Sequence[str | None]],
    *,
    spreadsheet_safe: bool = False,
) -> None:
    r"""Write columns of text as CSV, UTF-8, ``\n``; ``None`` becomes an empty cell.

    Parameters
    ----------
    path
        A new file.
    names, columns
        Of each column its name and its cells, as many as there are rows.
    spreadsheet_safe
        Whether cells are guarded; the names are not.

    Raises
    ------
    InputError
        If a text cannot be written as UTF-8.
    """
    with path.open("xb") as file:
        file.write((",".join(map(quoted, names)) + "\n").encode())
        # Column by column: a million rows would be millions of calls, one per cell.
        for start in range(0, len(columns[0]), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            cells = [_written(column[rows], safe=spreadsheet_safe) for column in columns]
            lines = "\n".join(map(",".join, zip(*cells, strict=True)))
            try:
                file.write((lines + "\n").encode())
            except UnicodeEncodeError as error:
                raise InputError(_not_text(error)) from error


def _written(column: Sequence[str | None], *, safe: bool) -> list[str]:
    """Return cells as a file holds them; those of a column that needs no quotes are looked at together."""
    cells = [cell or "" for cell in column]
    if safe:
        cells = list(map(guard, cells))
    together = "\n".join(cells)
    is_plain = (
        not any(mark in together for mark in '",\r')
        and together.count("\n") == len(cells) - 1
        and list(map(str.strip, cells)) == cells
    )
    return cells if is_plain else list(map(quoted, cells))


def read_lines(path: Path, *, spreadsheet_safe: bool = False) -> tuple[list[str], list[Cells]]:
    """Return the column names and rows of a file that `write_columns` wrote.

    Raises
    ------
    InputError
        If the file is empty, not UTF-8, or a row has another number of cells.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not UTF-8 text.") from error
    raw = iter(csv.reader(io.StringIO(text, newline="")))
    columns = next(raw, None)
    if not columns:
        raise InputError(f"{str(path)!r} is empty, expected a row of column names.")
    back: Callable[[str], str] = unguard if spreadsheet_safe else str
    rows: list[Cells] = []
    for number, row in enumerate(raw, start=1):
        if len(row) != len(columns):
            raise InputError(
                f"Row {number} of {str(path)!r} has {len(row)} cells, expected {len(columns)}."
            )
        rows.append(tuple(back(cell) if cell else None for cell in row))
    return columns, rows


def quoted(cell: str) -> str:
    """Return a CSV cell, in quotes only where it must be.

    Examples
    --------
    >>> quoted('a "b" c'), quoted("a b")
    ('"a ""b"" c"', 'a b')
    """
    if _NEEDS_QUOTES.search(cell):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _columns(labels: CorrectedLabels) -> list[list[str | None]]:
    """Return the cells of every column: a million rows are seconds as rows and a second as columns."""
    dataset, positions = labels.dataset, labels.positions.tolist()
    names = [str(split) for split in SPLITS]
    classes: tuple[str | None, ...] = (*dataset.class_names, None)  # -1 is the last one
    keys = [dataset.sample_keys[position] for position in positions]
    acts = [labels.decisions.get(key) for key in keys]
    return [
        [*keys],
        [dataset.paths[position] for position in positions],
        [names[code] for code in dataset.splits[labels.positions].tolist()],
        [classes[index] for index in labels.labels.tolist()],
        [classes[index] for index in dataset.given_labels[labels.positions].tolist()],
        [str(act.verdict) if act else None for act in acts],
        [act.reviewer if act else None for act in acts],
        [to_iso(act.decided_at) if act else None for act in acts],
    ]


def _not_text(error: UnicodeEncodeError) -> str:
    start = error.object.rfind("\n", 0, error.start) + 1
    text = error.object[start : start + 80]
    return f"{text!r} holds characters that no UTF-8 file can hold: rename that file."
