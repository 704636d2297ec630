"""Write one export: corrected labels in any form, and the manifest that names every input."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import audit
from audit.exchange import folders, manifest, original, patch, tables, writing
from audit.exchange.corrected import CorrectedLabels, resolve
from audit.exchange.folders import Link, Read
from audit.exchange.manifest import Format, Manifest
from audit.records.dataset import Dataset, SourceKind
from audit.records.decision import Decision
from audit.records.progress import Report, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How an export is written.

    Parameters
    ----------
    format
        Which form; ``original`` becomes ``folder`` for a dataset that came from a folder.
    link
        How images get into a folder.
    spreadsheet_safe
        Whether CSV cells are guarded against being run as formulas.
    force
        Whether an existing output is replaced.
    only_ours
        Whether, of existing files, only exports and empty ones are replaced.
    """

    format: Format = Format.CSV
    link: Link = Link.HARD
    spreadsheet_safe: bool = False
    force: bool = False
    only_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelState:
    """The decisions that stand, and what names them.

    Parameters
    ----------
    decisions
        Sample key → the decision that stands now.
    version
        Version of the labels that they make.
    last_decision
        Number in the log of the last act that counts, ``None`` if there is none.
    """

    decisions: Mapping[str, Decision]
    version: str
    last_decision: int | None = None


def write(
    out: Path,
    dataset: Dataset,
    state: LabelState,
    options: ExportOptions,
    *,
    created_at: datetime,
    problems: Mapping[int, str] | None = None,
    read: Read | None = None,
    kept: Mapping[Path, str] | None = None,
    report: Report = silent,
) -> Manifest:
    """Write an export and its manifest: both or neither.

    Parameters
    ----------
    out
        Where it goes: a file, or a folder for ``folder``.
    dataset, state
        What to export.
    options
        How.
    created_at
        Time for the manifest, UTC.
    problems
        Position → why a sample cannot be read, found after the import.
    read
        Gives the pixels of an array dataset for ``folder``.
    kept
        Places beside the dataset's source that nothing is written into, and what they are.
    report
        Is told how far it is.

    Raises
    ------
    RefusedError
        If `out` exists and `force` is not set, lies inside the source, or has no parent folder; if
        the user's own table changed since it was imported.
    InputError
        If the form does not fit the dataset.
    WorkspaceError
        If the disk is full or read-only.

    Returns
    -------
    Manifest
        What was written beside it.
    """
    out = Path(out)
    form = options.format
    if form is Format.ORIGINAL and dataset.source.kind is SourceKind.FOLDER:
        form = Format.FOLDER if dataset.source.labels is None else form
    labels = resolve(dataset, state.decisions, problems)
    rules: _Rules = {"force": options.force, "only_ours": options.only_ours, "kept": kept or {}}
    if form is Format.FOLDER:
        with writing.staged(out, dataset=dataset, **rules) as (stage,):
            tree = folders.write(stage, labels, link=options.link, read=read, report=report)
            made = _manifest(form, tree.labels, state, created_at, folders.digest(stage))
            made = replace(made, folder=tree.to_json())
            manifest.write(stage / folders.MANIFEST, made)
        return made
    beside = manifest.place_of(out)
    with writing.staged(out, beside, dataset=dataset, **rules) as (stage, last):
        if form is Format.CSV:
            tables.write_csv(stage, labels, spreadsheet_safe=options.spreadsheet_safe)
        elif form is Format.PARQUET:
            tables.write_parquet(stage, labels)
        elif form is Format.PATCH:
            patch.write(
                stage,
                dataset=dataset,
                decisions=state.decisions.values(),
                base_version=state.version,
                made_at=created_at,
            )
        else:
            original.write(stage, labels)
        made = _manifest(form, labels, state, created_at, writing.sha256(stage))
        manifest.write(last, made)
    return made


class _Rules(TypedDict):
    force: bool
    only_ours: bool
    kept: Mapping[Path, str]


def _manifest(
    form: Format,
    labels: CorrectedLabels,
    state: LabelState,
    created_at: datetime,
    sha256: str,
) -> Manifest:
    return Manifest(
        format=form,
        dataset=labels.dataset.name,
        dataset_fingerprint=labels.dataset.fingerprint,
        label_version=state.version,
        last_decision=state.last_decision,
        counts=labels.counts,
        created_at=created_at,
        labeltrace_version=audit.__version__,
        sha256=sha256,
    )
