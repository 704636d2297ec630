"""The scores file: what detectors say about every sample, as Parquet or CSV, and the way back.

Columns: `BASE_COLUMNS`, then per method ``<method>_suspicion``, ``<method>_flagged``, the method's
own quantity under its own name and, where it estimates one, ``<method>_precision``. Rows are in
dataset order; nulls are empty cells in CSV.
``problem`` says why a sample could not be used; one of a split that was not trained on could have
been, so it has none, only no suspicion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from audit.errors import InputError
from audit.exchange import writing
from audit.exchange.recorded_signals import Recorded
from audit.exchange.tables import read_lines, write_columns
from audit.records.dataset import SPLITS, UNLABELLED, Dataset
from audit.records.scores import Scores

BASE_COLUMNS = ("sample_key", "path", "split", "given_label", "suggested_label", "problem")

UNLABELLED_PROBLEM = "Unlabelled: it has no given label that could be wrong."
"""What `problem` says of a sample without a given label that no method scored."""

_SUSPICION, _FLAGGED, _PRECISION = "_suspicion", "_flagged", "_precision"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredSamples:
    """The samples that a scores file is about.

    Parameters
    ----------
    sample_keys
        N distinct texts.
    paths, splits, given_labels
        N texts or ``None`` each; the given label is a class name.
    class_names
        Position = class index of `Scores.suggested_label`.
    problems
        Position → why the sample could not be used.
    """

    sample_keys: Sequence[str]
    paths: Sequence[str | None]
    splits: Sequence[str | None]
    given_labels: Sequence[str | None]
    class_names: Sequence[str]
    problems: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodColumns:
    """What a scores file says for one method.

    Parameters
    ----------
    suspicion
        (N,) float64 in [0, 1], higher = more likely wrong, NaN where not scored.
    flagged
        (N,) bool, or ``None`` where the method has no cut.
    quantity_name, quantity
        The method's own value, (N,) float64, NaN where not scored.
    precision
        Estimated fraction of wrong labels among the samples at least as suspect, (N,) float64 in
        [0, 1], NaN where not scored, or ``None`` where the method estimates none.
    """

    suspicion: NDArray[np.float64]
    flagged: NDArray[np.bool_] | None
    quantity_name: str
    quantity: NDArray[np.float64]
    precision: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoresFile:
    """A scores file that was read; N rows in the order of the file."""

    sample_keys: tuple[str, ...]
    paths: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    given_labels: tuple[str | None, ...]
    suggested_labels: tuple[str | None, ...]
    problems: tuple[str | None, ...]
    methods: Mapping[str, MethodColumns]


def of_dataset(dataset: Dataset, problems: Mapping[int, str] | None = None) -> ScoredSamples:
    """Return a dataset's samples; `problems` found after the import are added to its own."""
    names = dataset.class_names
    return ScoredSamples(
        sample_keys=dataset.sample_keys,
        paths=dataset.paths,
        splits=[str(SPLITS[code]) for code in dataset.splits.tolist()],
        given_labels=[None if i == UNLABELLED else names[i] for i in dataset.given_labels.tolist()],
        class_names=names,
        problems={**dataset.problems, **(problems or {})},
    )


def of_recorded(recorded: Recorded) -> ScoredSamples:
    """Return the samples of dynamics that were recorded elsewhere: no paths, no splits."""
    n_samples = len(recorded.sample_ids)
    names = recorded.class_names
    return ScoredSamples(
        sample_keys=recorded.sample_ids,
        paths=[None] * n_samples,
        splits=[None] * n_samples,
        given_labels=[None if i < 0 else names[i] for i in recorded.given_labels.tolist()],
        class_names=names,
        problems={},
    )


def write(
    out: Path,
    samples: ScoredSamples,
    scores: Sequence[Scores],
    *,
    dataset: Dataset | None = None,
    force: bool = False,
) -> None:
    """Write a scores file.

    Parameters
    ----------
    out
        Ends in ``.csv`` or ``.parquet``.
    samples
        What the scores are about.
    scores
        One per method; the suggested label is that of the first.
    dataset
        Nothing is written inside this dataset's source.
    force
        Whether an existing file is replaced.

    Raises
    ------
    InputError
        If the ending is another, there are no scores, two share a column, or they do not fit.
    RefusedError
        If `out` exists and `force` is not set, lies inside the source, or has no parent folder.
    WorkspaceError
        If the disk is full or read-only.
    """
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"A scores file ends in .csv or .parquet, got {out.name!r}.")
    columns = _columns(samples, scores)
    with writing.staged(out, dataset=dataset, force=force) as (stage,):
        if suffix == ".parquet":
            pq.write_table(pa.table(columns), stage)
        else:
            texts = [_texts(column) for column in columns.values()]
            write_columns(stage, list(columns), texts)


def read(path: Path) -> ScoresFile:
    """Return what a scores file says.

    Raises
    ------
    InputError
        If the file cannot be read or has other columns.
    """
    try:
        columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"The scores file {str(path)!r} cannot be read: {error}.") from error
    names = list(columns)
    refusal = InputError(f"{str(path)!r} is not a scores file: its columns are {names}.")
    if tuple(names[: len(BASE_COLUMNS)]) != BASE_COLUMNS:
        raise refusal
    methods: dict[str, MethodColumns] = {}
    rest = names[len(BASE_COLUMNS) :]
    while rest:
        if len(rest) < 3:
            raise refusal
        suspicion, flagged, quantity, *rest = rest
        method = suspicion.removesuffix(_SUSPICION)
        if suspicion != method + _SUSPICION or flagged != method + _FLAGGED:
            raise refusal
        precision = rest.pop(0) if rest and rest[0] == method + _PRECISION else None
        flags = columns[flagged]
        try:
            methods[method] = MethodColumns(
                suspicion=_floats(columns[suspicion]),
                flagged=None
                if any(flag is None for flag in flags)
                else np.array([flag in (True, "True", "true") for flag in flags], dtype=np.bool_),
                quantity_name=quantity,
                quantity=_floats(columns[quantity]),
                precision=None if precision is None else _floats(columns[precision]),
            )
        except ValueError as error:
            raise InputError(f"{str(path)!r}: {method} holds what is no number.") from error
    base = {
        name: tuple(None if v is None else str(v) for v in columns[name]) for name in BASE_COLUMNS
    }
    return ScoresFile(
        sample_keys=tuple(key or "" for key in base["sample_key"]),
        paths=base["path"],
        splits=base["split"],
        given_labels=base["given_label"],
        suggested_labels=base["suggested_label"],
        problems=base["problem"],
        methods=methods,
    )


def _columns(samples: ScoredSamples, scores: Sequence[Scores]) -> dict[str, pa.Array]:
    if not scores:
        raise InputError("A scores file needs the scores of at least one method.")
    n_samples = len(samples.sample_keys)
    columns = {
        "sample_key": pa.array(samples.sample_keys, pa.string()),
        "path": pa.array(samples.paths, pa.string()),
        "split": pa.array(samples.splits, pa.string()),
        "given_label": pa.array(samples.given_labels, pa.string()),
        "suggested_label": pa.array(_suggestions(samples, scores[0]), pa.string()),
        "problem": pa.array(_problems(samples, scores), pa.string()),
    }
    for one in scores:
        method = one.spec.name
        if one.suspicion.shape != (n_samples,):
            raise InputError(f"{method} scored {len(one.suspicion)} samples, expected {n_samples}.")
        new = {
            method + _SUSPICION: _nullable(one.suspicion),
            method + _FLAGGED: pa.nulls(n_samples, pa.bool_())
            if one.flagged is None
            else pa.array(one.flagged, pa.bool_()),
            one.quantity_name: _nullable(one.quantity),
        }
        if one.precision is not None:
            new[method + _PRECISION] = _nullable(one.precision)
        for name, column in new.items():
            if name in columns:
                raise InputError(f"Two columns of the scores file would be named {name!r}.")
            columns[name] = column
    return columns


def _suggestions(samples: ScoredSamples, first: Scores) -> list[str | None]:
    given = samples.given_labels
    names = samples.class_names
    indices: list[int] = first.suggested_label.tolist()
    texts = [None if i < 0 else str(names[i]) for i in indices]
    return [None if text == given[i] else text for i, text in enumerate(texts)]


def _problems(samples: ScoredSamples, scores: Sequence[Scores]) -> list[str | None]:
    known = samples.problems
    problems = [known.get(i) for i in range(len(samples.sample_keys))]
    # Recordings may know samples without knowing their labels: a scored one has no problem.
    is_unscored = np.all([np.isnan(one.suspicion) for one in scores], axis=0)
    for position in np.flatnonzero(is_unscored).tolist():
        if samples.given_labels[position] is None:
            problems[position] = problems[position] or UNLABELLED_PROBLEM
    return problems


def _nullable(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values.astype(np.float64), pa.float64(), mask=np.isnan(values))


def _texts(column: pa.Array) -> list[str | None]:
    return [v if v is None or isinstance(v, str) else str(v) for v in column.to_pylist()]


def _floats(values: Sequence[object]) -> NDArray[np.float64]:
    return np.array([np.nan if v is None else float(str(v)) for v in values], dtype=np.float64)


def _read_parquet(path: Path) -> dict[str, list[object]]:
    return pq.ParquetFile(path).read(use_threads=False).to_pydict()


def _read_csv(path: Path) -> dict[str, list[object]]:
    names, rows = read_lines(path)
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
