"""Small datasets and decisions made by hand."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from audit.records.dataset import SPLITS, Dataset, Source, SourceKind, Split
from audit.records.decision import Decision, Verdict

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_dataset(
    *,
    keys: Sequence[str],
    labels: Sequence[int],
    class_names: Sequence[str] = ("cat", "dog"),
    paths: Sequence[str | None] | None = None,
    splits: Sequence[str] | None = None,
    problems: Mapping[int, str] | None = None,
    source: Source | None = None,
) -> Dataset:
    return Dataset(
        id="d1",
        name="pets",
        source=source
        or Source(kind=SourceKind.FOLDER, location="/nowhere/pets", root="/nowhere/pets"),
        class_names=tuple(class_names),
        sample_keys=tuple(keys),
        paths=tuple(keys if paths is None else paths),
        given_labels=np.array(labels, dtype=np.int32),
        splits=np.array(
            [SPLITS.index(Split(s)) for s in splits or ["train"] * len(keys)], dtype=np.int8
        ),
        problems=problems or {},
        fingerprint="f" * 64,
        created_at=MOMENT,
    )


def make_decision(dataset: Dataset, key: str, verdict: str, label: str | None = None) -> Decision:
    index = int(dataset.given_labels[dataset.positions()[key]])
    given = None if index < 0 else dataset.class_names[index]
    return Decision(
        dataset_id=dataset.id,
        sample_key=key,
        given_label=given,
        verdict=Verdict(verdict),
        label=given if verdict == "keep" else label,
        reviewer="Ann",
        decided_at=MOMENT,
    )


def decide(dataset: Dataset, verdicts: Mapping[str, str]) -> dict[str, Decision]:
    plain = {"keep", "exclude", "unsure"}
    return {
        key: make_decision(dataset, key, what)
        if what in plain
        else make_decision(dataset, key, "relabel", what)
        for key, what in verdicts.items()
    }


@pytest.fixture(scope="session")
def dataset_of() -> Callable[..., Dataset]:
    return make_dataset


@pytest.fixture(scope="session")
def decided() -> Callable[[Dataset, Mapping[str, str]], dict[str, Decision]]:
    return decide


@pytest.fixture
def table_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a maker of datasets that came from a table file."""

    def make(
        name: str,
        data: bytes,
        rows: Sequence[tuple[str, str | None]],
        *,
        class_names: Sequence[str],
        **options: str,
    ) -> Dataset:
        table = tmp_path / "source" / name
        table.parent.mkdir(exist_ok=True)
        table.write_bytes(data)
        seen: dict[str, int] = {}
        keys = []
        for path, _ in rows:
            seen[path] = seen.get(path, 0) + 1
            keys.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
        return make_dataset(
            keys=keys,
            paths=[path for path, _ in rows],
            labels=[-1 if label is None else class_names.index(label) for _, label in rows],
            class_names=class_names,
            source=Source(
                kind=SourceKind.TABLE,
                location=str(table),
                root=str(table.parent),
                labels=str(table),
                options={"path_column": "path", "label_column": "label", **options},
            ),
        )

    return make
