"""The sealed files of a dataset: a table of its samples, its class names, its truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from audit.records.dataset import ImportPlan, Truth
from audit.store import filing, findings

_SAMPLES = "samples.parquet"
_CLASSES = "classes.json"
_TRUTH = "truth.npy"


def write(folder: Path, plan: ImportPlan) -> None:
    """Write what a plan says about its samples.

    Parameters
    ----------
    folder
        Hidden still; the caller seals it.
    plan
        Its texts can be stored.
    """
    columns: dict[str, pa.Array] = {
        "sample_key": pa.array(plan.sample_keys, pa.large_string()),
        "given_label": pa.array(plan.given_labels, pa.int32()),
        "split": pa.array(plan.splits, pa.int8()),
    }
    # Most sources name samples by their path: a million texts need not be kept twice.
    if plan.paths != plan.sample_keys:
        columns["path"] = pa.array(plan.paths, pa.large_string())
    with (folder / _SAMPLES).open("wb") as stream:
        pq.write_table(pa.table(columns), stream, compression="zstd")
    filing.write_json(folder / _CLASSES, list(plan.class_names))
    (folder / findings.PROBLEMS).write_text(
        findings.problems_to_json(plan.problems), encoding="ascii"
    )
    if plan.truth is not None:
        filing.write_array(folder / _TRUTH, plan.truth.true_labels)


def read(folder: Path) -> dict[str, Any]:
    """Return what `write` wrote, as the fields of a `Dataset`, with the problems found since.

    A million samples take about a second.
    """
    with (folder / _SAMPLES).open("rb") as stream:
        # Threads that Arrow starts for reading can abort a short-lived process as it exits.
        table = pq.ParquetFile(stream).read(use_threads=False)
    sample_keys = _texts(table["sample_key"])
    return {
        "class_names": tuple(filing.read_json(folder / _CLASSES)),
        "sample_keys": sample_keys,
        "paths": _texts(table["path"]) if "path" in table.column_names else sample_keys,
        "given_labels": _integers(table["given_label"], np.int32),
        "splits": _integers(table["split"], np.int8),
        "problems": findings.all_problems(folder),
    }


def read_truth(folder: Path) -> Truth:
    """Return the true labels that `write` wrote."""
    return Truth(true_labels=filing.read_array(folder / _TRUTH))


def _texts(column: pa.ChunkedArray) -> tuple[Any, ...]:
    return tuple(column.to_pylist())


def _integers(column: pa.ChunkedArray, dtype: type[np.integer[Any]]) -> NDArray[Any]:
    # Not to_numpy: it imports pandas, which every command that opens a dataset would wait for.
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset :][: len(chunk)]
        for chunk in column.chunks
    ]
    return np.concatenate(parts)
