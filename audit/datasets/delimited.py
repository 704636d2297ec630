"""CSV and TSV as text, cell for cell, with all that is needed to write them again."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from audit.datasets import columns
from audit.errors import InputError

_DELIMITERS = (",", ";", "\t", "|")
_PROBED_ROWS = 50


class DelimitedTable:
    """A CSV or TSV file, read whole; every cell is the text that the file holds.

    Parameters
    ----------
    file
        The table; its first row names the columns.
    wanted
        Column names that the user gave; they help to find the delimiter.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or its quoting is broken; names the row.
    """

    def __init__(self, file: Path, wanted: Iterable[str] = ()) -> None:
        self._file = file
        text, encoding = _decoded(file)
        if not text.strip():
            raise InputError(f"{file} is empty; expected a first row that names the columns.")
        delimiter = "\t" if file.suffix.lower() in {".tsv", ".tab"} else _sniff(text, wanted)
        newline = _newline(text)
        self._records = _parse(file, text, delimiter)
        while self._records and not self._records[0]:
            raise InputError(f"{file} begins with a blank row; expected the columns' names there.")
        self.columns: tuple[str, ...] = tuple(self._records[0])
        self.options: Mapping[str, str] = {
            "format": "csv",
            "delimiter": delimiter,
            "quotechar": '"',
            "quoting": _quoting(text, self._records, delimiter, newline),
            "newline": newline,
            "final_newline": "yes" if text.endswith(("\n", "\r")) else "no",
            "encoding": encoding,
            "columns": json.dumps(self.columns, ensure_ascii=False),
        }
        self.warnings: tuple[str, ...] = ()
        if encoding == "cp1252":
            self.warnings = (f"{file.name} is not UTF-8; it was read as Windows-1252.",)

    def read(self, names: Sequence[str]) -> tuple[list[int], dict[str, list[str | None]]]:
        """Return the cells of some columns.

        Parameters
        ----------
        names
            Columns, each exactly as in `columns`.

        Returns
        -------
        tuple
            Row numbers as a spreadsheet counts them (the header is row 1, blank rows count but are
            left out), and per column its cells; a cell that is empty or blank is ``None``.

        Raises
        ------
        InputError
            If a row has more cells than the header; names the row.
        """
        places = [self.columns.index(name) for name in names]
        cells: list[list[str | None]] = [[] for _ in names]
        numbers: list[int] = []
        n_columns = len(self.columns)
        for number, record in enumerate(self._records[1:], start=2):
            if not record:
                continue
            if len(record) > n_columns and any(cell.strip() for cell in record[n_columns:]):
                raise InputError(
                    f"{self._file}: row {number} has {len(record)} cells, the header has "
                    f"{n_columns}; quote cells that hold the delimiter."
                )
            numbers.append(number)
            for column, place in zip(cells, places, strict=True):
                cell = record[place] if place < len(record) else ""
                column.append(cell if cell.strip() else None)
        return numbers, dict(zip(names, cells, strict=True))


def _decoded(file: Path) -> tuple[str, str]:
    data = file.read_bytes()
    encoding = "utf-8"
    if data.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and b"\0" not in data[:4096]:
            try:
                return data.decode("cp1252"), "cp1252"
            except UnicodeDecodeError:
                pass
        raise InputError(f"{file} is not text; save it as CSV in UTF-8.") from error


def _parse(file: Path, text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[list[str]] = []
    try:
        records.extend(reader)
    except csv.Error as error:
        raise InputError(
            f"{file}: row {len(records) + 1} cannot be read ({error}); check its quotation marks."
        ) from error
    return records


def _sniff(text: str, wanted: Iterable[str]) -> str:
    """Return the delimiter under which the head looks most like a table of images."""
    known = {columns.folded(name) for name in wanted} | columns.CANDIDATES

    def merit(delimiter: str) -> tuple[int, float, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        records: list[list[str]] = []
        try:
            for record in reader:
                if record:
                    records.append(record)
                if len(records) > _PROBED_ROWS:
                    break
        except csv.Error:
            pass
        if not records or len(records[0]) < 2:
            return (0, 0.0, 0)
        n_known = sum(columns.folded(name) in known for name in records[0])
        n_regular = sum(len(record) == len(records[0]) for record in records)
        return n_known, n_regular / len(records), len(records[0])

    return max(_DELIMITERS, key=merit)  # the first wins ties: a comma, as in a table of one column


def _newline(text: str) -> str:
    """Return what ends the first row."""
    stream = io.StringIO(text, newline="")
    lines = iter(stream)
    first = next(lines)
    while first.count('"') % 2:  # inside a quoted name
        first += next(lines, '"')
    return next((end for end in ("\r\n", "\n", "\r") if first.endswith(end)), "\n")


def _quoting(text: str, records: list[list[str]], delimiter: str, newline: str) -> str:
    """Return ``minimal`` or ``all`` if writing so gives the same text again, else ``mixed``."""
    if '"' not in text:
        return "minimal"
    minimal, quoted = io.StringIO(newline=""), io.StringIO(newline="")
    csv.writer(minimal, delimiter=delimiter, lineterminator=newline).writerows(records)
    if minimal.getvalue() in (text, text + newline):
        return "minimal"
    writer = csv.writer(quoted, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows(records)
    return "all" if quoted.getvalue() in (text, text + newline) else "mixed"
