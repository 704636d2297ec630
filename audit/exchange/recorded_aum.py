"""The CSV files of the ``aum`` package.

``aum_values.csv`` (``sample_id, aum``) knows one average margin per sample: one epoch, no labels,
no classes. ``full_aum_records.csv`` knows every update: margin, both logits and both classes.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from audit.errors import InputError
from audit.exchange.recorded_signals import Recorded, distinct
from audit.records.dynamics import Role, TrainingDynamics

VALUES, RECORDS = "aum_values.csv", "full_aum_records.csv"

_MAX_CLASSES = 100_000
"""Classes have no names here and get one each; more are a mistake in the file."""

_VALUE_COLUMNS = ("sample_id", "aum")
_RECORD_COLUMNS = (
    "sample_id",
    "num_measurements",
    "target_logit",
    "target_val",
    "other_logit",
    "other_val",
    "margin",
)


def read(path: Path) -> Recorded:
    """Return the dynamics of either file, told apart by their columns.

    From ``aum_values.csv``: one epoch whose ``margin`` is the average margin; no class names, given
    labels unknown. From ``full_aum_records.csv``: ``margin``, ``given_logit``, ``best_other_logit``
    and ``best_other_class``. Samples are in the order in which they appear first. The package
    cannot say which class is a threshold sample's extra one: such rows count as given ones.

    Raises
    ------
    InputError
        If the columns are others, there is no row, a value is no number, a class no index, or
        samples have different numbers of measurements.
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
    counts = np.bincount(sample, minlength=len(ids))
    n_epochs = int(counts[0]) if len(counts) else 0
    odd = np.flatnonzero(counts != n_epochs)
    if len(odd):
        raise InputError(
            f"{name!r}: the sample {ids[odd[0]]!r} has {counts[odd[0]]} measurements, "
            f"{ids[0]!r} has {n_epochs}: every sample needs one per epoch."
        )
    if not n_epochs:
        raise InputError(f"{name!r} holds no measurement.")
    order = np.lexsort((_numbers(name, table, "num_measurements"), sample))

    def column(key: str) -> NDArray[np.float64]:
        return _numbers(name, table, key)[order].reshape(len(ids), n_epochs).T

    target, other = (_classes(name, k, column(k)) for k in ("target_logit", "other_logit"))
    if (target != target[0]).any():
        changed = int(np.flatnonzero((target != target[0]).any(axis=0))[0])
        raise InputError(f"{name!r}: the target of sample {ids[changed]!r} changes between epochs.")
    given = target[0]
    n_classes = int(max(target.max(), other.max())) + 1
    dynamics = TrainingDynamics(
        run_id=name,
        n_samples=len(ids),
        n_classes=n_classes,
        sample=np.arange(len(ids), dtype=np.int64),
        assigned_label=given,
        role=np.full(len(ids), Role.GIVEN, dtype=np.int8),
        signals={
            "margin": column("margin").astype(np.float32),
            "given_logit": column("target_val").astype(np.float32),
            "best_other_logit": column("other_val").astype(np.float32),
            "best_other_class": other,
        },
    )
    return Recorded(
        dynamics=dynamics,
        sample_ids=ids,
        class_names=tuple(str(k) for k in range(n_classes)),
        given_labels=given,
    )


def _classes(name: str, column: str, values: NDArray[np.float64]) -> NDArray[np.int32]:
    is_class = (values >= 0) & (values < _MAX_CLASSES) & (values == np.floor(values))
    if not is_class.all():
        raise InputError(
            f"{name!r}: the column {column!r} holds {values[~is_class][0]:g}, expected a class "
            f"index, a whole number from 0 to {_MAX_CLASSES - 1:,}."
        )
    return values.astype(np.int32)


def _numbers(name: str, table: pa.Table, column: str) -> NDArray[np.float64]:
    try:
        values = table.column(column).cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise InputError(f"{name!r}: the column {column!r} holds what is no number.") from error
    # What float32 cannot hold would become an infinity there.
    is_finite = np.isfinite(values) & (np.abs(values) <= np.finfo(np.float32).max)
    if not is_finite.all():
        row = int(np.argmin(is_finite)) + 1
        raise InputError(f"{name!r}: row {row} has no finite number in the column {column!r}.")
    return values
