"""Datasets: look at what an import would store, store it, delete it, follow a moved root."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.datasets import sources
from audit.datasets.table import CheckPaths
from audit.errors import InputError, RefusedError
from audit.records.dataset import SPLITS, UNLABELLED, Dataset, ImportPlan
from audit.records.progress import Report, silent
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import referring, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How to read a source, as typed by the user; ``None`` leaves it to sniffing."""

    labels: Path | None = None
    path_column: str | None = None
    label_column: str | None = None
    truth_column: str | None = None
    split_column: str | None = None


def plan(
    location: Path,
    options: SourceOptions,
    report: Report = silent,
    *,
    check_paths: CheckPaths | None = None,
) -> ImportPlan:
    """Return what an import of a source would store; nothing is stored.

    `check_paths` is given the root and the paths that a table lists before their files are opened.

    Raises
    ------
    InputError
        If the source cannot be imported; says what was found and what to do.
    """
    return sources.plan(
        location.expanduser(),
        labels=options.labels,
        path_column=options.path_column,
        label_column=options.label_column,
        truth_column=options.truth_column,
        split_column=options.split_column,
        report=report,
        check_paths=check_paths,
    )


def add(workspace: Workspace, planned: ImportPlan, name: str | None = None) -> tuple[Dataset, bool]:
    """Store a planned dataset, or return the one that is stored already.

    Parameters
    ----------
    workspace
        Where to store it.
    planned
        What `plan` returned.
    name
        A name that no dataset has; ``None`` makes one from the source's.

    Returns
    -------
    dataset : Dataset
        The stored dataset.
    is_new : bool
        False where the same source with the same labels was imported before under this name.

    Raises
    ------
    RefusedError
        If the name belongs to another dataset.
    """
    stored = {summary.name: summary for summary in dataset_rows.all(workspace)}
    wanted = check_name(name) if name is not None else planned.suggested_name
    for summary in stored.values():
        is_same = summary.fingerprint == planned.fingerprint and name in (None, summary.name)
        if is_same:
            known = dataset_rows.find(workspace, summary.id)
            if known.source.location == planned.source.location:
                return known, False
    if name is not None and wanted in stored:
        raise RefusedError(
            f"There is a dataset {wanted!r} already; choose another --name or delete it first."
        )
    number = 1
    while wanted in stored:
        number += 1
        wanted = f"{planned.suggested_name}-{number}"
    return dataset_rows.add(workspace, planned, wanted), True


def check_name(name: str) -> str:
    """Return a name if it can stand in a command line.

    Raises
    ------
    InputError
        If it is empty, longer than 100 characters, begins with a dash or holds control characters.
    """
    if (
        not name.strip()
        or len(name) > 100
        or name.startswith("-")
        or re.search(r"[\x00-\x1f\x7f]", name)
    ):
        raise InputError(
            f"{name!r} cannot be a name: 1 to 100 characters, no leading dash, no control characters."
        )
    return name


def relocate(
    workspace: Workspace,
    reference: str,
    new_root: Path,
    report: Report = silent,
    *,
    check: Callable[[ImportPlan], None] | None = None,
) -> Dataset:
    """Point a dataset to where its files lie now, after checking that they are the same.

    Parameters
    ----------
    workspace, reference, new_root
        Which dataset, and where its files lie.
    report
        Is told how many files were looked at; may stop the work.
    check
        Looks at what was found before anything is stored; what it raises stops the work.

    Raises
    ------
    RefusedError
        If keys, labels or splits under the new root differ, or files are missing there.
    """
    dataset = dataset_rows.find(workspace, reference)
    again = sources.replan(dataset.source, new_root.expanduser(), report)
    if check is not None:
        check(again)
    if again.fingerprint != dataset.fingerprint:
        raise RefusedError(
            f"{str(new_root)!r} is not the data of {dataset.name!r}: {what_differs(dataset, again)}."
        )
    newly_broken = sorted(set(again.problems) - set(dataset.problems))
    if newly_broken:
        first = again.problems[newly_broken[0]]
        raise RefusedError(
            f"{len(newly_broken)} files of {dataset.name!r} cannot be used under {str(new_root)!r}: {first}"
        )
    return dataset_rows.relocate(workspace, dataset.id, again.source)


def what_differs(dataset: Dataset, again: ImportPlan) -> str:
    """Return in words how a new look at a source differs from the dataset as imported."""
    before, after = set(dataset.sample_keys), set(again.sample_keys)
    gone, new = len(before - after), len(after - before)
    if gone or new:
        return f"{gone} samples are gone and {new} are new"
    if dataset.class_names != again.class_names:
        return "the classes differ"
    if dataset.sample_keys != again.sample_keys:
        return "the samples stand in another order"
    changed = int(np.count_nonzero(dataset.given_labels != again.given_labels))
    if changed:
        return f"{changed} given labels differ"
    return "the splits differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What deleting something takes along.

    Parameters
    ----------
    kind, name, id
        What goes.
    n_runs, n_decisions
        What goes with it.
    n_bytes
        Disk that comes back.
    """

    kind: str
    name: str
    id: str
    n_runs: int
    n_decisions: int
    n_bytes: int


def removal(workspace: Workspace, reference: str) -> Removal:
    """Return what deleting a dataset or run would take along; nothing is deleted.

    Raises
    ------
    NotFoundError
        If nothing, or more than one thing, answers to the reference.
    """
    meant = referring.resolve(workspace, reference, (referring.DATASET, referring.RUN))
    if meant.kind == referring.RUN:
        return Removal(
            kind=meant.kind,
            name=meant.name,
            id=meant.id,
            n_runs=1,
            n_decisions=0,
            n_bytes=run_rows.size_on_disk(workspace, meant.id),
        )
    return Removal(
        kind=meant.kind,
        name=meant.name,
        id=meant.id,
        n_runs=len(run_rows.all(workspace, meant.id)),
        n_decisions=len(decision_rows.current(workspace, meant.id)),
        n_bytes=dataset_rows.size_on_disk(workspace, meant.id),
    )


def remove(workspace: Workspace, what: Removal) -> None:
    """Delete what `removal` described.

    Raises
    ------
    RefusedError
        If a run of it is waiting or running.
    """
    runs.refresh(workspace)  # a worker that was killed keeps nothing
    if what.kind == "dataset":
        dataset_rows.delete(workspace, what.id)
        return
    run_rows.delete(workspace, what.id)


def describe(dataset: Dataset | ImportPlan) -> dict[str, Any]:
    """Return classes, splits, problems and counts of a dataset or plan as plain values."""
    labels = dataset.given_labels
    counts = np.bincount(labels[labels != UNLABELLED], minlength=len(dataset.class_names))
    splits: Mapping[str, int] = {
        str(split): int(np.count_nonzero(dataset.splits == code))
        for code, split in enumerate(SPLITS)
        if bool((dataset.splits == code).any())
    }
    return {
        "samples": len(dataset.sample_keys),
        "classes": {n: int(c) for n, c in zip(dataset.class_names, counts, strict=True)},
        "splits": dict(splits),
        "unlabelled": int(np.count_nonzero(labels == UNLABELLED)),
        "unusable": len(dataset.problems),
        "fingerprint": dataset.fingerprint,
        "source": {
            "kind": str(dataset.source.kind),
            "location": dataset.source.location,
            "root": dataset.source.root,
            "labels": dataset.source.labels,
        },
        "problems": [
            {"sample_key": dataset.sample_keys[p], "problem": dataset.problems[p]}
            for p in sorted(dataset.problems)
        ],
    }
