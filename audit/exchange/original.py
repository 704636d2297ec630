"""The user's own table again: only the label column changed, and the rows of excluded samples gone.

Columns, order, delimiter, quoting, path text, line ends, byte order mark and encoding stay as they
are; what is not changed is copied byte for byte. Rows of unreadable samples, of unlabelled ones,
and rows that never became a sample stay as they were; the manifest counts them.
"""

from collections.abc import Mapping
from pathlib import Path

from audit.errors import InputError, RefusedError
from audit.exchange import delimited, json_table, parquet_table
from audit.exchange.corrected import CorrectedLabels, Reason
from audit.records.dataset import UNLABELLED, Dataset, SourceKind

_FORMS = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def write(out: Path, labels: CorrectedLabels) -> None:
    """Write the table again into a new file.

    Parameters
    ----------
    out
        A path at which nothing is yet.
    labels
        What to write; its dataset's source must be a table.

    Raises
    ------
    InputError
        If the source is no table, or the table cannot hold a corrected label.
    RefusedError
        If the table changed since it was imported, so that rows could not be told apart.
    """
    dataset = labels.dataset
    table = table_of(dataset)
    if not table.is_file():
        raise RefusedError(f"The table {str(table)!r} is not there any more: relocate the dataset.")
    options = dataset.source.options
    path_column, label_column = _option(options, "path_column"), _option(options, "label_column")
    form = options.get("format") or _FORMS.get(table.suffix.lower(), "csv")
    rows = _Rows(labels)
    try:
        if form == "parquet":
            parquet_table.edit(
                table,
                out,
                path_column=path_column,
                label_column=label_column,
                choose=rows.choose,
            )
        elif form in ("jsonl", "json"):
            edited = json_table.edit(
                table.read_bytes(),
                path_column=path_column,
                label_column=label_column,
                choose=rows.choose,
            )
            out.write_bytes(edited)
        else:
            edited = delimited.edit(
                table.read_bytes(),
                encoding=options.get("encoding", "utf-8"),
                delimiter=options.get("delimiter", ","),
                path_column=path_column,
                label_column=label_column,
                choose=rows.choose,
            )
            out.write_bytes(edited)
    except InputError as error:
        raise InputError(f"{table.name}: {error}") from error
    rows.check_complete(table)


def table_of(dataset: Dataset) -> Path:
    """Return the path of the table that gave the labels.

    Raises
    ------
    InputError
        If the dataset did not come from a table.
    """
    source = dataset.source
    if source.labels is not None:
        return Path(source.labels)
    if source.kind is not SourceKind.TABLE:
        raise InputError(
            f"{dataset.name!r} came from {source.kind}, not from a table: "
            "export it as csv, parquet or folder."
        )
    return Path(source.location)


class _Rows:
    """Says for every row of the table what it is to say, by the sample that it belongs to.

    A row belongs to the sample of its path and given label: the same path with another label is
    another sample, and the same row twice is one.
    """

    def __init__(self, labels: CorrectedLabels) -> None:
        dataset = labels.dataset
        self._dataset = dataset
        self._classes = set(dataset.class_names)
        self._corrected = {row.position: row.label for row in labels.rows()}
        self._gone = {one.position for one in labels.left_out if one.reason is Reason.EXCLUDED}
        self._found = [False] * dataset.n_samples
        self._positions: dict[tuple[str, str | None], int] = {}
        for position, index in enumerate(dataset.given_labels.tolist()):
            given = None if index == UNLABELLED else dataset.class_names[index]
            path = dataset.paths[position]
            if path is not None:
                self._positions.setdefault((path, given), position)

    def choose(self, path: str, said: str) -> str | None:
        """Return the label that a row is to say, or ``None`` if its sample was excluded."""
        position = self._positions.get((path, said if said in self._classes else None))
        if position is None:
            return said
        self._found[position] = True
        if position in self._gone:
            return None
        return self._corrected.get(position, said)

    def check_complete(self, table: Path) -> None:
        """Raise `RefusedError` if a sample has no row any more."""
        if not all(self._found):
            key = self._dataset.sample_keys[self._found.index(False)]
            raise RefusedError(
                f"{str(table)!r} changed since it was imported: sample {key!r} with its given "
                "label is not in it any more; import it again, or export as csv."
            )


def _option(options: Mapping[str, str], name: str) -> str:
    if name not in options:
        raise InputError(f"The dataset does not say which column is its {name}: import it again.")
    return options[name]
