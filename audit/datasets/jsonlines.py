"""JSON lines, and JSON files that hold one list of objects, as text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.errors import InputError


class JsonTable:
    """A file of JSON objects; numbers are the text that the file holds.

    Parameters
    ----------
    file
        The table: an object per line, or one list of objects.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or holds something else than objects; names the line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        data = file.read_bytes()
        has_mark = data.startswith(b"\xef\xbb\xbf")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not UTF-8: save it again as UTF-8.") from error
        is_list = text.lstrip()[:1] == "["
        self._rows = list(_listed(file, text) if is_list else _lines(file, text))
        if not self._rows:
            raise InputError(f"{file} is empty; expected a JSON object per line.")
        self.columns: tuple[str, ...] = tuple(
            dict.fromkeys(name for _, row in self._rows for name in row)
        )
        self.options: Mapping[str, str] = {
            "format": "json" if is_list else "jsonl",
            "encoding": "utf-8-sig" if has_mark else "utf-8",
            "newline": "\r\n" if "\r\n" in text[: text.find("\n") + 1] else "\n",
            "final_newline": "yes" if text.endswith("\n") else "no",
            "columns": json.dumps(self.columns),
        }
        self.warnings: tuple[str, ...] = ()

    def read(self, names: Sequence[str]) -> tuple[list[int], dict[str, list[str | None]]]:
        """Return the cells of some columns as text; null, absent and blank ones are ``None``.

        Parameters
        ----------
        names
            Columns, each as in `columns`.

        Returns
        -------
        tuple
            Row numbers (lines of the file, or places in the list, from 1), and per column
            its cells.

        Raises
        ------
        InputError
            If a cell holds a list or an object; names the row.
        """
        cells: dict[str, list[str | None]] = {name: [] for name in names}
        for number, row in self._rows:
            for name in names:
                cells[name].append(self._text(number, name, row.get(name)))
        return [number for number, _ in self._rows], cells

    def _text(self, number: int, name: str, value: object) -> str | None:
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return value if value.strip() else None
        raise InputError(
            f"{self._file}: {name!r} in row {number} is a list or an object, expected text."
        )


def _lines(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _object(file, number, _loaded(file, f"row {number}", line))


def _listed(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in enumerate(_loaded(file, "the list", text), start=1):
        yield number, _object(file, number, value)


def _loaded(file: Path, place: str, text: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        # Numbers stay as they are written: 1.0 and 1 are two class names.
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: {place} is not valid JSON ({error}).") from error


def _object(file: Path, number: int, value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise InputError(f'{file}: row {number} is not a JSON object such as {{"path": …}}.')
