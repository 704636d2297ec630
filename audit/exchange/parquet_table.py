"""Edit the label column of a Parquet file: same schema, same columns, same order of rows."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError
from audit.exchange.delimited import Choose


def edit(path: Path, out: Path, *, path_column: str, label_column: str, choose: Choose) -> None:
    """Write the file again with some labels changed and some rows gone.

    A corrected label is written with the value that the file itself holds for that class in other
    rows, so that numbers, dictionaries and strings keep their type.

    Parameters
    ----------
    path, out
        The file to read and the new file to write.
    path_column, label_column
        Names of the columns that `choose` sees; the label column is changed.
    choose
        Says what a row is to say.

    Raises
    ------
    InputError
        If the file is damaged, has no such column, or its type cannot hold a corrected label.
    """
    try:
        file = pq.ParquetFile(path)
        table = file.read(use_threads=False)
    except (pa.ArrowException, ValueError) as error:
        raise InputError("The table is damaged or no Parquet file.") from error
    missing = [name for name in (path_column, label_column) if name not in table.column_names]
    if missing:
        raise InputError(f"The table has no column {missing[0]!r}, it has {table.column_names}.")
    values = table.column(label_column).to_pylist()
    said = _texts(table.column(label_column))
    written: dict[str, object] = {}
    for text, value in zip(said, values, strict=True):
        written.setdefault(text, value)
    kind = table.column(label_column).type
    kept: list[int] = []
    changed = False
    for number, where in enumerate(_texts(table.column(path_column))):
        label = choose(where, said[number])
        if label is None:
            continue
        kept.append(number)
        if label != said[number]:
            values[number] = written[label] if label in written else _value(label, kind)
            changed = True
    if changed:
        place = table.schema.get_field_index(label_column)
        field = table.schema.field(place)
        table = table.set_column(place, field, _column(values, table.column(place)))
    if len(kept) < table.num_rows:
        table = table.take(pa.array(kept, pa.int64()))
    with pq.ParquetWriter(out, table.schema, compression=_compression(file)) as writer:
        writer.write_table(table, row_group_size=_rows_per_group(file))


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Return what a column says when it is read as text; empty where it says nothing."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_floating(kind):
        # Such a column is what data frames make of integers with gaps.
        return [_number(value) for value in column.to_pylist()]
    try:
        return [text or "" for text in column.cast(pa.string()).to_pylist()]
    except pa.ArrowException as error:
        raise InputError(f"A column of type {kind} cannot be read as text.") from error


def _value(label: str, kind: pa.DataType) -> object:
    """Return a label that no row has yet as a value of the column's type."""
    try:
        return pa.scalar(label).cast(getattr(kind, "value_type", kind)).as_py()
    except pa.ArrowException as error:
        raise InputError(
            f"A label column of type {kind} cannot hold {label!r}: export as parquet instead."
        ) from error


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def _column(labels: list[object], old: pa.ChunkedArray) -> pa.Array:
    """Return the labels as an array of the old column's type."""
    kind = old.type
    if not pa.types.is_dictionary(kind):
        return pa.array(labels, kind)
    # Categories keep their order; a class that no row had is added behind them.
    known = old.unify_dictionaries().chunk(0).dictionary.to_pylist() if old.num_chunks else []
    places = {value: place for place, value in enumerate(known)}
    indices = [None if v is None else places.setdefault(v, len(places)) for v in labels]
    try:
        index_array = pa.array(indices, kind.index_type)
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(
            f"A label column of type {kind} cannot hold {len(places)} classes: export as parquet "
            "instead."
        ) from error
    values = pa.array(list(places), kind.value_type)
    return pa.DictionaryArray.from_arrays(index_array, values, ordered=kind.ordered)


def _compression(file: pq.ParquetFile) -> str:
    if file.num_row_groups == 0 or file.metadata.num_columns == 0:
        return "snappy"
    name = str(file.metadata.row_group(0).column(0).compression).lower()
    return "none" if name == "uncompressed" else name


def _rows_per_group(file: pq.ParquetFile) -> int | None:
    return max(1, file.metadata.row_group(0).num_rows) if file.num_row_groups else None
