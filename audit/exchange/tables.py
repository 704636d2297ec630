r"""Corrected labels as CSV or Parquet: one row per sample, in dataset order.

Columns: `COLUMNS`. Nulls are empty cells in CSV and nulls in Parquet; all values are text. CSV is
UTF-8 with ``\n`` at the end of each row; a cell is quoted only where it must be.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError
from audit.exchange.corrected import CorrectedLabels, CorrectedRow
from audit.exchange.spreadsheet import guard, unguard
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
    write_lines(path, COLUMNS, map(_cells, labels.rows), spreadsheet_safe=spreadsheet_safe)


def write_parquet(path: Path, labels: CorrectedLabels) -> None:
    """Write the corrected labels as Parquet; every column is text.

    Raises
    ------
    InputError
        If a text cannot be written as UTF-8.
    """
    rows = [_cells(row) for row in labels.rows]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    try:
        arrays = [pa.array(list(column), pa.string()) for column in columns]
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


def write_lines(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Cells],
    *,
    spreadsheet_safe: bool = False,
) -> None:
    r"""Write rows of text as CSV, UTF-8, ``\n``; ``None`` becomes an empty cell.

    Raises
    ------
    InputError
        If a text cannot be written as UTF-8.
    """
    safe: Callable[[str], str] = guard if spreadsheet_safe else str
    with path.open("xb") as file:
        file.write((",".join(map(quoted, columns)) + "\n").encode())
        for row in rows:
            line = ",".join("" if cell is None else quoted(safe(cell)) for cell in row)
            try:
                file.write((line + "\n").encode())
            except UnicodeEncodeError as error:
                raise InputError(_not_text(error)) from error


def read_lines(path: Path, *, spreadsheet_safe: bool = False) -> tuple[list[str], list[Cells]]:
    """Return the column names and rows of a file that `write_lines` wrote.

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


def _cells(row: CorrectedRow) -> Cells:
    return (
        row.sample_key,
        row.path,
        str(row.split),
        row.label,
        row.given_label,
        str(row.verdict) if row.verdict else None,
        row.reviewer,
        to_iso(row.decided_at) if row.decided_at else None,
    )


def _not_text(error: UnicodeEncodeError) -> str:
    return f"{error.object[:80]!r} holds characters that no UTF-8 file can hold: rename that file."
