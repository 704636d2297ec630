"""What an export would hold, before anything is written: forms, counts, changes, and where it may go."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audit.datasets import presence
from audit.datasets.names import printable
from audit.errors import AuditError, InputError, RefusedError
from audit.exchange import corrected, original, writing
from audit.exchange.corrected import Counts
from audit.exchange.manifest import Format, place_of
from audit.exchange.safe_names import DistinctNames
from audit.records.dataset import Dataset, SourceKind
from audit.records.decision import Decision, Verdict
from audit.workbench import exporting, limits, serving
from audit.workbench.shelf import Shelf

__all__ = ["Counts"]

MOST_CHANGES = 200
"""Changes in a preview."""

_MOST_ROWS = 1_000_000
_MOST_TABLE_BYTES = 200 << 20
_ENDINGS = {
    Format.CSV: ".csv",
    Format.PARQUET: ".parquet",
    Format.PATCH: ".jsonl",
    Format.FOLDER: "",
}
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of corrected labels, as a choice.

    Parameters
    ----------
    name
        As on the command line.
    title, what, when
        What it is called, what it holds, when to choose it.
    hindrance
        Why it cannot be chosen for this dataset, ``None`` where it can.
    has_links, has_cells
        Whether it can link images or copy them, and whether its cells can be guarded for spreadsheets.
    can_download
        Whether a browser can be handed it without writing it to a path.
    """

    name: str
    title: str
    what: str
    when: str
    hindrance: str | None = None
    has_links: bool = False
    has_cells: bool = False
    can_download: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A sample whose label an export changes, or that it leaves out.

    Parameters
    ----------
    sample_key, given
        The sample.
    label
        The new label, ``None`` for an excluded sample.
    reviewer
        Who decided so.
    """

    sample_key: str
    given: str | None
    label: str | None
    reviewer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an export of a dataset would hold right now.

    Parameters
    ----------
    counts
        As the manifest will say them, except that a folder of images finds out which are missing.
    label_version, last_decision
        As the manifest will say them.
    n_rows
        Samples that an export carries.
    changes
        The first of them in the order of the dataset, at most `MOST_CHANGES`.
    n_changes
        How many there are.
    """

    counts: Counts
    label_version: str
    last_decision: int | None
    n_rows: int
    changes: tuple[Change, ...]
    n_changes: int


def preview(shelf: Shelf, dataset: Dataset) -> Preview:
    """Return what an export would hold right now."""
    standing = shelf.standing(dataset)
    key = ("export", dataset.id, len(dataset.problems), standing.last_id)
    return shelf.keep(key, lambda: _preview(dataset, standing.decisions, standing.last_id or None))


def _preview(
    dataset: Dataset, decisions: dict[str, Decision], last_decision: int | None
) -> Preview:
    counts = corrected.count(dataset, decisions)
    changed = [
        decision
        for key in dataset.sample_keys
        if (decision := decisions.get(key)) is not None
        and decision.verdict in (Verdict.RELABEL, Verdict.EXCLUDE)
    ]
    return Preview(
        counts=counts,
        label_version=exporting.label_version(dataset, decisions),
        last_decision=last_decision,
        n_rows=counts.samples - counts.excluded - counts.unreadable - counts.unlabelled,
        changes=tuple(
            Change(
                sample_key=one.sample_key,
                given=one.given_label,
                label=one.label,
                reviewer=one.reviewer,
            )
            for one in changed[:MOST_CHANGES]
        ),
        n_changes=len(changed),
    )


def forms(dataset: Dataset) -> tuple[Form, ...]:
    """Return every form, those that fit the dataset and those that say why they do not."""
    is_arrays = dataset.source.kind is SourceKind.ARRAYS
    return (
        Form(
            name=Format.CSV,
            title="CSV",
            what="One row per sample: key, path, split, corrected and given label, who decided and when.",
            when="Choose it for scripts and spreadsheets.",
            has_cells=True,
            can_download=dataset.n_samples <= _MOST_ROWS,
        ),
        Form(
            name=Format.PARQUET,
            title="Parquet",
            what="The same table as one compact file of columns.",
            when="Choose it for pandas, Polars or Spark.",
            can_download=dataset.n_samples <= _MOST_ROWS,
        ),
        Form(
            name=Format.ORIGINAL,
            title="Your own table",
            what="Your file again, same columns and rows; only labels change, excluded rows go.",
            when="Choose it to train as before with the new file.",
            hindrance=_no_table(dataset),
            can_download=_is_small_table(dataset),
        ),
        Form(
            name=Format.FOLDER,
            title="Class folders",
            what=f"A folder per class, the images {'as PNG files' if is_arrays else 'linked or copied'}.",
            when="Choose it for ImageFolder and its like.",
            has_links=not is_arrays,
            can_download=False,
        ),
        Form(
            name=Format.PATCH,
            title="Patch",
            what="The decisions alone, one per line, with notes and evidence.",
            when="Choose it to hand them to somebody with the same data.",
        ),
    )


def file_name(dataset: Dataset, form: str) -> str:
    """Return the name that an export gets unless somebody says another."""
    if form == Format.ORIGINAL:
        table = original.table_of(dataset)
        wanted = f"{table.stem}-corrected{table.suffix}"
    else:
        wanted = f"{dataset.name}-corrected{_ENDINGS[Format(form)]}"
    return DistinctNames().claim(wanted, keep_extension=True)


def media_type(name: str) -> str:
    """Return the media type of an export by its file name."""
    return _MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def default_path(shelf: Shelf, dataset: Dataset, form: str) -> Path:
    """Return where an export goes unless somebody says otherwise: at home, and never in the source."""
    # Whether a place lies in the source is asked of every image's folder.
    kept = exporting.kept_from_writing(shelf.workspace)
    key = ("export place", dataset.id, dataset.name, tuple(kept), form)
    return shelf.keep(key, lambda: _default_path(dataset, form, kept))


def _default_path(dataset: Dataset, form: str, kept: Mapping[Path, str]) -> Path:
    name = file_name(dataset, form)
    places = [*serving.data_roots(), Path(os.path.expanduser("~")), Path.cwd()]  # noqa: PTH111
    for place in places:
        path = place / name
        try:
            # An export that is there already is a matter of "replace", not of the place.
            writing.check(path.with_name(f".{name}.not-there"), dataset=dataset, kept=kept)
            limits.check(path)
        except AuditError:
            continue
        return path
    return places[0] / name


def check_path(shelf: Shelf, dataset: Dataset, text: str, form: str, *, replace: bool) -> Path:
    """Return the path that somebody typed, if an export may go there.

    Parameters
    ----------
    shelf, dataset, form
        What is to be written.
    text
        As typed; ``~`` is the home of whoever runs the server.
    replace
        Whether an export that is there already may be replaced.

    Raises
    ------
    InputError
        If it is no full path.
    RefusedError
        If it lies inside the workspace, inside a source or outside the folders that this server may
        use, or if something is there that may not be replaced.
    """
    typed = text.strip()
    if not typed or "\0" in typed:
        raise InputError("Type the full path of the file or folder to write.")
    try:
        path = Path(typed).expanduser()
    except RuntimeError as error:
        raise InputError(f"{printable(typed)} names a home that is not known here.") from error
    if not path.is_absolute():
        raise InputError(
            f"{printable(typed)} is not a full path: begin it with {Path.cwd().anchor} or ~."
        )
    limits.check(path)
    if form == Format.FOLDER and path.is_file():
        raise RefusedError(f"{printable(typed)} is a file, and a folder is to be written.")
    try:
        kept = exporting.kept_from_writing(shelf.workspace)
        for target in (path,) if form == Format.FOLDER else (path, place_of(path)):
            writing.check(target, dataset=dataset, force=replace, only_ours=True, kept=kept)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{printable(typed)} cannot be written to: {reason}.") from error
    return path


def check_images(dataset: Dataset, form: str) -> str | None:
    """Return why a form cannot be written now: its images or table are away; ``None`` if it can."""
    if form not in (Format.FOLDER, Format.ORIGINAL):
        return None
    try:
        presence.check(dataset)
        if form == Format.ORIGINAL and not original.table_of(dataset).is_file():
            return f"The table {printable(str(original.table_of(dataset)))} is not there any more."
    except AuditError as error:
        return str(error)
    return None


def download(
    shelf: Shelf, dataset: Dataset, form: str, *, spreadsheet_safe: bool = False
) -> Callable[[], bytes]:
    """Return what makes the bytes of an export when a browser asks for them; nothing stays behind."""
    return partial(_made, shelf, dataset, form, spreadsheet_safe=spreadsheet_safe)


def _made(shelf: Shelf, dataset: Dataset, form: str, *, spreadsheet_safe: bool) -> bytes:
    with tempfile.TemporaryDirectory(prefix="labeltrace-") as folder:
        out = Path(folder) / "export"
        exporting.export(shelf.workspace, dataset, out, form, spreadsheet_safe=spreadsheet_safe)
        return out.read_bytes()


def _no_table(dataset: Dataset) -> str | None:
    if dataset.source.labels is not None or dataset.source.kind is SourceKind.TABLE:
        return None
    if dataset.source.kind is SourceKind.FOLDER:
        return "The labels came from folders: choose class folders."
    return "The labels came from arrays, not from a table."


def _is_small_table(dataset: Dataset) -> bool:
    if _no_table(dataset) is not None:
        return False
    try:
        return original.table_of(dataset).stat().st_size <= _MOST_TABLE_BYTES
    except OSError:
        return False
