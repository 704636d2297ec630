"""Tables of paths and labels: CSV, TSV, Parquet, JSON lines; all values are text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from audit.datasets import classes, columns, fingerprint, heads, splits
from audit.datasets.columnar import ParquetTable
from audit.datasets.columns import Asked, Columns
from audit.datasets.delimited import DelimitedTable
from audit.datasets.jsonlines import JsonTable
from audit.datasets.names import is_text
from audit.datasets.skipping import SkippedLog
from audit.errors import InputError
from audit.records.dataset import SPLITS, ImportPlan, Source, SourceKind, Split, Truth
from audit.records.progress import Report

_DELIMITED = frozenset({".csv", ".tsv", ".tab", ".txt"})
_PARQUET = frozenset({".parquet", ".pq"})
_JSON = frozenset({".jsonl", ".ndjson", ".json"})

ENDINGS = _DELIMITED | _PARQUET | _JSON
"""Endings of files that are read as tables, in lower case."""

CheckPaths = Callable[[Path, Sequence[str | None]], None]
"""Takes the root of relative paths and all paths that a table lists; raises to refuse them."""

_TRAIN = SPLITS.index(Split.TRAIN)


class TableFile(Protocol):
    """A table of text, whatever its format."""

    columns: tuple[str, ...]
    options: Mapping[str, str]
    warnings: tuple[str, ...]

    def read(self, names: Sequence[str]) -> tuple[list[int], dict[str, list[str | None]]]:
        """Return row numbers and, per column, cells as text; ``None`` where a cell is empty."""
        ...


class Key(NamedTuple):
    """What one row of a table becomes.

    Parameters
    ----------
    sample_key
        The sample; ``None`` for a row without a path.
    is_new
        Whether the row makes the sample; ``False`` where it repeats an earlier row.
    first_row
        Index of the row that made the sample, or of the first row with its path.
    """

    sample_key: str | None
    is_new: bool
    first_row: int


def open_file(file: Path, wanted: Sequence[str] = ()) -> TableFile:
    """Open a table by its ending.

    Parameters
    ----------
    file
        The table.
    wanted
        Column names that the user gave; they help to find the delimiter.

    Raises
    ------
    InputError
        If it is missing, unreadable or damaged, or has an unknown ending.
    """
    ending = file.suffix.lower()
    try:
        if ending in _DELIMITED:
            return DelimitedTable(file, wanted)
        if ending in _PARQUET:
            return ParquetTable(file)
        if ending in _JSON:
            return JsonTable(file)
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist.") from error
    except IsADirectoryError as error:
        raise InputError(f"{file} is a folder, expected a table.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error
    raise InputError(f"{file} is no table; expected one of {', '.join(sorted(ENDINGS))}.")


def plan(
    table: Path,
    roots: Sequence[Path],
    *,
    location: Path,
    asked: Asked,
    report: Report,
    check_paths: CheckPaths | None = None,
) -> ImportPlan:
    """Return what an import of a table would store.

    Parameters
    ----------
    table
        Absolute path of the table.
    roots
        Folders that relative paths may start from, the preferred one first; the one under which
        more files exist is taken.
    location
        Absolute path of what the user named: the table, or the folder that it belongs to.
    asked
        Columns that the user named.
    report
        Is told how many files were looked at; may stop the work.
    check_paths
        Is given the root and the listed paths before any of the files is opened; may refuse them.

    Raises
    ------
    InputError
        If the table cannot be read, a column is missing or ambiguous, a split is unknown, or there
        are fewer than two classes.
    """
    opened = open_file(table, tuple(asked.by_flag().values()))
    chosen = columns.choose(str(table), opened.columns, asked)
    numbers, cells = opened.read(chosen.names())
    report(0.0, f"read {len(numbers):,} rows")
    rows = _Rows(table, chosen, numbers, cells)
    class_names = classes.sorted_names(rows.labels, rows.truths or ())
    if len(class_names) < 2:
        raise InputError(_too_few_classes(table, chosen, class_names, rows))
    given_labels = classes.indices(rows.labels, class_names)
    codes = np.array(rows.codes, dtype=np.int8)
    root = _best_root(rows.paths, roots)
    if check_paths is not None:
        check_paths(root, rows.paths)
    warnings = [*opened.warnings, *rows.warnings, *classes.oddities(class_names, given_labels)]
    problems = heads.problems_of(rows.paths, root, report)
    if len(problems) == len(rows.paths):
        warnings.append(
            f"None of the {len(rows.paths):,} files can be used; paths of column {chosen.path!r} "
            f"start from {root}: check --path-column, or whether they lack a folder or an ending."
        )
    if root != roots[0]:
        warnings.append(f"Paths in {table.name} start from {root}, not from {roots[0]}.")
    return ImportPlan(
        source=Source(
            kind=SourceKind.TABLE,
            location=str(location),
            root=str(root),
            labels=str(table),
            options={**opened.options, **_column_options(chosen)},
        ),
        suggested_name=(table.stem if location == table else location.resolve().name) or "images",
        class_names=class_names,
        sample_keys=tuple(rows.keys),
        paths=tuple(rows.paths),
        given_labels=given_labels,
        splits=codes,
        problems=problems,
        fingerprint=fingerprint.of_labels(class_names, rows.keys, given_labels, codes),
        truth=None
        if rows.truths is None
        else Truth(true_labels=classes.indices(rows.truths, class_names)),
        skipped=rows.skipped.close(),
        warnings=tuple(warnings),
    )


def row_keys(paths: Sequence[str | None], labels: Sequence[str | None]) -> list[Key]:
    """Return what every row becomes.

    A path's first row has the path as its key; a later row with another label gets ``path#2`` (the
    next free number); a later row with a label that the path has already repeats that sample.

    Parameters
    ----------
    paths, labels
        Cells per row; ``None`` where empty.

    Examples
    --------
    >>> [key.sample_key for key in row_keys(["a", "a", "a", None], ["x", "y", "x", "x"])]
    ['a', 'a#2', 'a', None]
    """
    taken = set(paths)
    first: dict[str, int] = {}
    made: dict[tuple[str, str | None], tuple[str, int]] = {}
    counts: dict[str, int] = {}
    keys: list[Key] = []
    for row, (path, label) in enumerate(zip(paths, labels, strict=True)):
        if path is None or not is_text(path):
            keys.append(Key(sample_key=None, is_new=False, first_row=row))
            continue
        known = made.get((path, label))
        if known is not None:
            keys.append(Key(sample_key=known[0], is_new=False, first_row=known[1]))
            continue
        sample_key = path
        if path in first:
            number = counts.get(path, 1) + 1
            while f"{path}#{number}" in taken:
                number += 1
            counts[path] = number
            sample_key = f"{path}#{number}"
            taken.add(sample_key)
        made[path, label] = sample_key, row
        keys.append(Key(sample_key=sample_key, is_new=True, first_row=first.setdefault(path, row)))
    return keys


class _Rows:
    """The rows that become samples, column by column."""

    def __init__(
        self,
        table: Path,
        chosen: Columns,
        numbers: Sequence[int],
        cells: Mapping[str, list[str | None]],
    ) -> None:
        self._table = table
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.labels: list[str | None] = []
        self.codes: list[int] = []
        self.truths: list[str | None] | None = None if chosen.truth is None else []
        self.skipped = SkippedLog()
        self.warnings: list[str] = []
        paths, labels = cells[chosen.path], cells[chosen.label]
        truths = None if chosen.truth is None else cells[chosen.truth]
        given_splits = None if chosen.split is None else cells[chosen.split]
        contradictions: list[str] = []
        n_without_split = 0
        for row, key in enumerate(row_keys(paths, labels)):
            path, number = paths[row], numbers[row]
            if key.sample_key is None or path is None:
                reason = "has no path" if path is None else "has a path that is not valid text"
                self.skipped.add(f"row {number}", f"the row {reason}")
                continue
            code = _TRAIN if given_splits is None else self._code(number, given_splits[row])
            if not key.is_new:
                reason = f"row {number} repeats row {numbers[key.first_row]}"
                self.skipped.add(path, reason)
                continue
            if key.first_row != row:
                contradictions.append(f"{path!r} (rows {numbers[key.first_row]} and {number})")
            if given_splits is not None and given_splits[row] is None:
                n_without_split += 1
            self.keys.append(key.sample_key)
            self.paths.append(path)
            self.labels.append(self._class(number, labels[row]))
            self.codes.append(code)
            if self.truths is not None and truths is not None:
                self.truths.append(self._class(number, truths[row]))
        self._warn(contradictions, n_without_split)

    def _code(self, number: int, text: str | None) -> int:
        if text is None:
            return _TRAIN
        code = splits.code(text)
        if code is None:
            raise InputError(
                f"{self._table}: row {number} has the unknown split {text!r}; "
                f"expected {splits.EXPECTED}; --split-column names another column."
            )
        return code

    def _class(self, number: int, text: str | None) -> str | None:
        if text is not None and not is_text(text):
            raise InputError(f"{self._table}: row {number} has a label that is not valid text.")
        return text

    def _warn(self, contradictions: Sequence[str], n_without_split: int) -> None:
        if contradictions:
            shown = ", ".join(contradictions[:3]) + (", …" if len(contradictions) > 3 else "")
            self.warnings.append(
                f"The same path stands with another label in {len(contradictions):,} later "
                f"{'row' if len(contradictions) == 1 else 'rows'}, which became a sample named "
                f"like path#2: {shown}."
            )
        if n_without_split:
            self.warnings.append(f"Rows without a split count as train: {n_without_split:,}.")


def _best_root(paths: Sequence[str], roots: Sequence[Path]) -> Path:
    """Return the root under which most files exist; the first wins ties."""
    distinct = list(dict.fromkeys(roots))
    if len(distinct) == 1:
        return distinct[0]
    return max(distinct, key=lambda root: sum(_exists(root, path) for path in paths))


def _exists(root: Path, path: str) -> bool:
    try:
        return (root / path).exists()
    except (OSError, ValueError):
        return False


def _column_options(chosen: Columns) -> dict[str, str]:
    options = {"path_column": chosen.path, "label_column": chosen.label}
    if chosen.truth is not None:
        options["truth_column"] = chosen.truth
    if chosen.split is not None:
        options["split_column"] = chosen.split
    return options


def _too_few_classes(table: Path, chosen: Columns, class_names: Sequence[str], rows: _Rows) -> str:
    if not rows.keys:
        return f"{table} has no row with a path in column {chosen.path!r}."
    found = f"only {class_names[0]!r}" if class_names else "none"
    return (
        f"{table}: a dataset needs at least two classes, column {chosen.label!r} holds {found}; "
        "--label-column names another column."
    )
