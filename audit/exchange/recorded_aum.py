"""The CSV files of the ``aum`` package.

``aum_values.csv`` (``sample_id, aum``) knows one average margin per sample: one epoch, no labels,
no classes. ``full_aum_records.csv`` knows every update: margin, both logits and both classes. A
measurement that has no row, or a row without numbers, was not recorded.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from audit.errors import InputError
from audit.exchange.recorded_signals import Recorded, distinct, missing_message
from audit.numerics import gaps
from audit.records.dynamics import Role, TrainingDynamics

VALUES, RECORDS = "aum_values.csv", "full_aum_records.csv"

_MAX_CLASSES = 100_000
"""Classes have no names here and get one each; more are a mistake in the file."""

_VALUE_COLUMNS = ("sample_id", "aum")
_MEASURED_COLUMNS = ("target_val", "other_logit", "other_val", "margin")
_RECORD_COLUMNS = ("sample_id", "num_measurements", "target_logit", *_MEASURED_COLUMNS)


def read(path: Path) -> Recorded:
    """Return the dynamics of either file, told apart by their columns.

    From ``aum_values.csv``: one epoch whose ``margin`` is the average margin; no class names, given
    labels unknown. From ``full_aum_records.csv``: ``margin``, ``given_logit``, ``best_other_logit``
    and ``best_other_class``. Samples are in the order in which they appear first. The package
    cannot say which class is a threshold sample's extra one: such rows count as given ones. It counts
    each sample's own measurements, so one that has fewer lacks the numbers that others have: the last
    ones, unless the file leaves numbers out.

    Raises
    ------
    InputError
        If the columns are others, there is no row, a value is no number, a class no index, or a
        sample has a measurement twice or none.
    """
    try:
        table = pacsv.read_csv(
            path,
            convert_options=pacsv.ConvertOptions(
                column_types={"sample_id": pa.string()}, strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise InputError(f"{path.name!r} is no CSV table: {error}.") from error
    names = set(table.column_names)
    if set(_RECORD_COLUMNS) <= names:
        return _of_records(path.name, table)
    if set(_VALUE_COLUMNS) <= names:
        return _of_values(path.name, table)
    raise InputError(
        f"{path.name!r} is no CSV of the aum package: its columns are {table.column_names}, "
        "expected sample_id and aum."
    )


def _of_values(name: str, table: pa.Table) -> Recorded:
    ids = distinct(table.column("sample_id").to_pylist(), name)
    n_samples = len(ids)
    if not n_samples:
        raise InputError(f"{name!r} holds no sample.")
    margin = _numbers(name, table, "aum").astype(np.float32)
    unknown = np.full(n_samples, -1, dtype=np.int32)
    dynamics = TrainingDynamics(
        run_id=name,
        n_samples=n_samples,
        n_classes=0,
        sample=np.arange(n_samples, dtype=np.int64),
        assigned_label=unknown,
        role=np.full(n_samples, Role.GIVEN, dtype=np.int8),
        signals={"margin": margin[None, :]},
    )
    return Recorded(
        dynamics=dynamics,
        sample_ids=ids,
        class_names=(),
        given_labels=unknown,
        is_average=True,
    )


def _of_records(name: str, table: pa.Table) -> Recorded:
    texts: list[str] = table.column("sample_id").to_pylist()
    places: dict[str, int] = {}
    sample = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
    ids = tuple(places)
    if not ids:
        raise InputError(f"{name!r} holds no measurement.")
    numbers, epoch = np.unique(_numbers(name, table, "num_measurements"), return_inverse=True)
    cells, counts = np.unique(epoch * len(ids) + sample, return_counts=True)
    if (counts > 1).any():
        one, twice = divmod(int(cells[int(counts.argmax())]), len(ids))
        raise InputError(f"{name!r}: sample {ids[twice]!r} has measurement {numbers[one]:g} twice.")
    measured = {key: _numbers(name, table, key, may_lack=True) for key in _MEASURED_COLUMNS}
    lacks = np.stack([np.isnan(values) for values in measured.values()])
    torn = lacks.any(axis=0) & ~lacks.all(axis=0)
    if torn.any():
        row = int(torn.argmax())
        raise InputError(
            f"{name!r}: row {row + 1} has no finite number in the column "
            f"{_MEASURED_COLUMNS[int(lacks[:, row].argmax())]!r}."
        )
    is_there = ~lacks.all(axis=0)
    is_missing = np.ones((len(numbers), len(ids)), dtype=np.bool_)
    is_missing[epoch[is_there], sample[is_there]] = False
    if is_missing.all(axis=0).any():
        lost = ids[int(is_missing.all(axis=0).argmax())]
        raise InputError(f"{name!r}: the sample {lost!r} has no measurement: leave it out.")

    def column(values: NDArray[np.generic]) -> NDArray[np.generic]:
        table = np.zeros(is_missing.shape, dtype=values.dtype)
        table[epoch[is_there], sample[is_there]] = values[is_there]
        return gaps.filled(table, is_missing)

    target = _classes(name, "target_logit", _numbers(name, table, "target_logit"))
    given = np.zeros(len(ids), dtype=np.int32)
    given[sample] = target
    if (given[sample] != target).any():
        changed = sample[int((given[sample] != target).argmax())]
        raise InputError(f"{name!r}: the target of sample {ids[changed]!r} changes between epochs.")
    other = column(_classes(name, "other_logit", np.where(is_there, measured["other_logit"], 0.0)))
    n_classes = int(max(target.max(), other.max())) + 1
    signals = {
        "margin": measured["margin"],
        "given_logit": measured["target_val"],
        "best_other_logit": measured["other_val"],
    }
    dynamics = TrainingDynamics(
        run_id=name,
        n_samples=len(ids),
        n_classes=n_classes,
        sample=np.arange(len(ids), dtype=np.int64),
        assigned_label=given,
        role=np.full(len(ids), Role.GIVEN, dtype=np.int8),
        signals={key: column(values).astype(np.float32) for key, values in signals.items()}
        | {"best_other_class": other},
    )
    return Recorded(
        dynamics=dynamics,
        sample_ids=ids,
        class_names=tuple(str(k) for k in range(n_classes)),
        given_labels=given,
        messages=missing_message(name, int(is_missing.sum()), is_missing.size),
    )


def _classes(name: str, column: str, values: NDArray[np.float64]) -> NDArray[np.int32]:
    is_class = (values >= 0) & (values < _MAX_CLASSES) & (values == np.floor(values))
    if not is_class.all():
        raise InputError(
            f"{name!r}: the column {column!r} holds {values[~is_class][0]:g}, expected a class "
            f"index, a whole number from 0 to {_MAX_CLASSES - 1:,}."
        )
    return values.astype(np.int32)


def _numbers(
    name: str, table: pa.Table, column: str, *, may_lack: bool = False
) -> NDArray[np.float64]:
    """Return a column; NaN where a cell is empty or NaN, which is refused unless `may_lack`."""
    try:
        values = table.column(column).cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise InputError(f"{name!r}: the column {column!r} holds what is no number.") from error
    # What float32 cannot hold would become an infinity there.
    is_finite = np.isfinite(values) & (np.abs(values) <= np.finfo(np.float32).max)
    if may_lack:
        is_finite |= np.isnan(values)
    if not is_finite.all():
        row = int(np.argmin(is_finite)) + 1
        raise InputError(f"{name!r}: row {row} has no finite number in the column {column!r}.")
    return values
