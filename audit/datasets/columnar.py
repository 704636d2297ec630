"""Parquet as text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError

BOMB_ROWS, BOMB_RATIO = 5_000_000, 20
"""More rows than both this and so many per byte are repetitions, which pack to nothing and unpack to
all the memory; a million sorted paths take about a byte each."""


class ParquetTable:
    """A Parquet file; only the columns that are asked for are read.

    Parameters
    ----------
    file
        The table.

    Raises
    ------
    InputError
        If it is no readable Parquet file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            metadata = pq.read_metadata(file)
            schema = metadata.schema.to_arrow_schema()
        except (pa.ArrowException, ValueError) as error:
            raise InputError(f"{file} is damaged or no Parquet file: save it again.") from error
        n_bytes = file.stat().st_size
        if metadata.num_rows > max(BOMB_ROWS, BOMB_RATIO * n_bytes):
            raise InputError(
                f"{file} claims {metadata.num_rows:,} rows in {n_bytes:,} bytes, which no table of "
                "distinct paths does, and is refused: write each row once."
            )
        self.columns: tuple[str, ...] = tuple(schema.names)
        self.options: Mapping[str, str] = {
            "format": "parquet",
            "columns": json.dumps(self.columns, ensure_ascii=False),
        }
        self.warnings: tuple[str, ...] = ()

    def read(self, names: Sequence[str]) -> tuple[list[int], dict[str, list[str | None]]]:
        """Return the cells of some columns as text; nulls, NaN and blank texts are ``None``.

        Whole numbers in a floating-point column are written without a point: such a column is what
        data frames make of integers with gaps.

        Parameters
        ----------
        names
            Columns, each exactly as in `columns`.

        Returns
        -------
        tuple
            Row numbers from 1, and per column its cells.

        Raises
        ------
        InputError
            If the file is damaged, a column holds lists, structures or bytes that are no text, or
            the columns do not fit into memory.
        """
        try:
            return self._read(names)
        except MemoryError as error:
            raise InputError(
                f"{self._file} does not fit into memory: split it, or close other programs."
            ) from error

    def _read(self, names: Sequence[str]) -> tuple[list[int], dict[str, list[str | None]]]:
        try:
            table = pq.ParquetFile(self._file).read(columns=list(names), use_threads=False)
        except MemoryError:  # Arrow's own is an ArrowException as well
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{self._file} is damaged: save it again.") from error
        cells = {name: self._texts(name, table.column(name)) for name in names}
        return list(range(1, table.num_rows + 1)), cells

    def _texts(self, name: str, column: pa.ChunkedArray) -> list[str | None]:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if pa.types.is_nested(kind):
            raise InputError(
                f"{self._file}: column {name!r} holds {kind}, expected text or numbers."
            )
        if pa.types.is_floating(kind):
            return [_number(value) for value in column.to_pylist()]
        try:
            texts = column.cast(pa.string()).to_pylist()
        except pa.ArrowException as error:
            raise InputError(
                f"{self._file}: column {name!r} holds {kind} that is no text."
            ) from error
        return [text if text is not None and text.strip() else None for text in texts]


def _number(value: float | None) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - NaN is how data frames write a gap
        return None
    return str(int(value)) if value.is_integer() else repr(value)
