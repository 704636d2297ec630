"""Take labels and scores away."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.datasets import presence
from audit.datasets.reader import SampleReader
from audit.errors import InputError
from audit.exchange import exports, scores_file, writing
from audit.exchange.exports import ExportOptions, LabelState
from audit.exchange.folders import Link
from audit.exchange.manifest import Format
from audit.records import label_history
from audit.records.dataset import Dataset, SourceKind
from audit.records.decision import Decision
from audit.records.progress import Report, silent
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store.workspace import Workspace

_FORMATS_BY_ENDING = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".jsonl": "patch",
    ".patch": "patch",
}


_WITH_IMAGES = frozenset({Format.FOLDER, Format.ORIGINAL})
"""Forms that look at the source again; the others need what is stored only."""


def format_of(out: Path) -> str:
    """Return the export format that a path's ending stands for; ``csv`` when it stands for none."""
    return _FORMATS_BY_ENDING.get(out.suffix.lower(), "csv")


def export(
    workspace: Workspace,
    dataset: Dataset,
    out: Path,
    form: str,
    *,
    link: str = "hard",
    spreadsheet_safe: bool = False,
    force: bool = False,
    only_ours: bool = False,
    report: Report = silent,
) -> dict[str, Any]:
    """Write the corrected labels as they stand now, and the manifest beside them.

    Parameters
    ----------
    workspace, dataset
        What to export.
    out
        File, or folder for ``folder``.
    form
        ``csv``, ``parquet``, ``patch``, ``folder`` or ``original``.
    link, spreadsheet_safe, force
        As on the command line.
    only_ours
        Whether `force` replaces nothing but exports.
    report
        Told how far it is.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    RefusedError
        If the output exists and may not be replaced, or lies inside the workspace or the source of a
        dataset.
    InputError
        If the data has moved and the form needs it.
    """
    options = ExportOptions(
        format=Format(form),
        link=Link(link),
        spreadsheet_safe=spreadsheet_safe,
        force=force,
        only_ours=only_ours,
    )
    if options.format in _WITH_IMAGES:
        presence.check(dataset)
    state = label_state(workspace, dataset)
    with contextlib.ExitStack() as open_files:
        read = None
        if dataset.source.kind is SourceKind.ARRAYS and options.format in _WITH_IMAGES:
            reader = SampleReader(dataset.source, dataset.paths)
            read = open_files.enter_context(reader).read_rgb
        written = exports.write(
            out,
            dataset,
            state,
            options,
            created_at=datetime.now(UTC),
            problems=dataset.problems,
            read=read,
            kept=kept_from_writing(workspace),
            report=report,
        )
    return written.to_json()


def kept_from_writing(workspace: Workspace) -> dict[Path, str]:
    """Return what no output may touch, and what it is: the workspace, and the source of every dataset.

    The folder of a table is not its source, or nobody could write beside it; the table is.
    """
    kept = {workspace.path: "the workspace"}
    url = workspace.engine.url
    if url.get_backend_name() == "sqlite" and url.database:
        kept[Path(url.database)] = "the database"
    for summary in dataset_rows.all(workspace):
        source = summary.source
        named = [source.location, *([source.labels] if source.labels else [])]
        if source.kind is not SourceKind.TABLE:
            named.append(source.root)
        kept |= dict.fromkeys(map(Path, named), "a source that was imported,")
    return kept


def label_state(workspace: Workspace, dataset: Dataset) -> LabelState:
    """Return the decisions that stand on a dataset, and the version of the labels they make."""
    # Asked first: a decision that comes in between counts as not exported yet.
    last_decision = decision_rows.last_id(workspace, dataset.id)
    current = decision_rows.current(workspace, dataset.id)
    return LabelState(
        decisions=current,
        version=label_version(dataset, current),
        last_decision=last_decision,
    )


def label_version(dataset: Dataset, decisions: Mapping[str, Decision]) -> str:
    """Return the name of a set of labels, as `audit.records.label_history.version_of`."""
    return label_history.version_of(dataset.fingerprint, dataset.class_names, decisions.values())


def check_scores_path(
    out: Path, *, force: bool, dataset: Dataset | None = None, workspace: Workspace | None = None
) -> None:
    """Refuse a scores file before any work is done for it.

    Raises
    ------
    InputError
        If its ending is neither ``.csv`` nor ``.parquet``.
    RefusedError
        If it exists without `force`, has no folder to lie in, or lies inside the dataset's source,
        the workspace or another source in it.
    """
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"{str(out)!r} must end in .csv or .parquet.")
    kept = None if workspace is None else kept_from_writing(workspace)
    writing.check(out, dataset=dataset, force=force, kept=kept)


def write_scores(dataset: Dataset, scores: Mapping[str, Scores], out: Path, *, force: bool) -> None:
    """Write a scores file, one row per sample in dataset order.

    Parameters
    ----------
    dataset
        As stored now, with the problems that a run has found.
    scores
        By method; the suggested label is that of the first.
    out, force
        Where, and whether an existing file is replaced.
    """
    samples = scores_file.of_dataset(dataset)
    scores_file.write(out, samples, list(scores.values()), dataset=dataset, force=force)
