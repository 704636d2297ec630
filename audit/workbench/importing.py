"""Import as the dashboard does it: look at a typed path, keep the plan, look again before storing.

What is looked at may be limited to some folders (`audit.workbench.limits`). A plan of 50,000 files
takes seconds, so it is made once and shown; before it is stored the source is looked at again, and a
source that has changed meanwhile is shown anew instead of being stored unseen.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from audit.errors import AuditError, InputError
from audit.records.dataset import Dataset, ImportPlan
from audit.records.progress import Report, silent
from audit.store import datasets as dataset_rows
from audit.workbench import contents, datasets, limits, thumbnails
from audit.workbench.contents import Contents
from audit.workbench.datasets import SourceOptions
from audit.workbench.shelf import Shelf

_IN_THE_FORM = {
    "labels": "“Labels file”",
    "path-column": "“Path column”",
    "label-column": "“Label column”",
    "truth-column": "“Truth column”",
    "split-column": "“Split column”",
    "name": "name",
}
"""Flags of the terminal → what the form calls them."""

_FLAG = re.compile(rf"(?<![\w/.-])--({'|'.join(_IN_THE_FORM)})\b")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody typed; empty leaves it to sniffing."""

    source: str
    labels: str = ""
    path_column: str = ""
    label_column: str = ""
    truth_column: str = ""
    split_column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """A plan to be shown.

    Parameters
    ----------
    request
        What was asked for.
    plan
        What an import would store.
    known
        Name of the dataset that holds this very source already, or ``None``.
    suggested_name
        A name that no dataset has; the known one's where there is one.
    seen
        The plan as a dataset that is not stored, so that its samples can be drawn.
    holds
        What it holds.
    """

    request: Request
    plan: ImportPlan
    known: str | None
    suggested_name: str
    seen: Dataset
    holds: Contents
    token: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stored:
    """How an import ended.

    Parameters
    ----------
    dataset
        What is stored; ``None`` if the source had changed.
    is_new
        Whether it was stored by this import.
    changed
        The source as it is now, to be shown before it may be stored.
    difference
        In words, how it differs from what was shown; empty if it does not.
    """

    dataset: Dataset | None = None
    is_new: bool = False
    changed: Looked | None = None
    difference: str = ""


def look(shelf: Shelf, request: Request, report: Report = silent) -> Looked:
    """Return what an import would store; nothing is stored.

    Parameters
    ----------
    shelf
        Where it would be stored.
    request
        As typed.
    report
        Is told how far it is; may stop the work.

    Raises
    ------
    InputError
        If the source cannot be imported, in the words of the form.
    RefusedError
        If something of it lies outside the folders that may be read.
    """
    try:
        location = path_of(request.source, "source")
        labels = path_of(request.labels, "labels file") if request.labels.strip() else None
        for path in (location, labels):
            if path is not None:
                limits.check(path)
        options = SourceOptions(
            labels=labels,
            path_column=request.path_column.strip() or None,
            label_column=request.label_column.strip() or None,
            truth_column=request.truth_column.strip() or None,
            split_column=request.split_column.strip() or None,
        )
        planned = datasets.plan(location, options, report, check_paths=limits.check_paths)
        limits.check_plan(planned)
    except AuditError as error:
        raise in_the_form(error) from error
    return _looked(shelf, request, planned)


def store(shelf: Shelf, looked: Looked, name: str, report: Report = silent) -> Stored:
    """Store a plan that was shown, if the source is still what was shown.

    Parameters
    ----------
    shelf
        Where to.
    looked
        What was shown.
    name
        Name that the dataset shall have; empty for the suggested one.
    report
        Is told how far the second look is; may stop the work.

    Raises
    ------
    InputError
        If the source cannot be imported any more, or the name cannot be one.
    RefusedError
        If the name belongs to another dataset.
    """
    wanted = name.strip() or looked.suggested_name
    try:
        datasets.check_name(wanted)
    except AuditError as error:
        raise in_the_form(error) from error
    again = look(shelf, looked.request, report)
    difference = _difference(looked, again)
    if difference:
        return Stored(changed=again, difference=difference)
    try:
        dataset, is_new = datasets.add(shelf.workspace, again.plan, wanted)
    except AuditError as error:
        raise in_the_form(error) from error
    return Stored(dataset=dataset, is_new=is_new)


def relocate(shelf: Shelf, dataset: Dataset, new_root: str, report: Report = silent) -> Dataset:
    """Follow a dataset's files to a typed path, after checking that they are the same.

    Raises
    ------
    InputError
        If nothing that fits lies there.
    RefusedError
        If it is other data, or lies outside the folders that may be read.
    """
    try:
        root = path_of(new_root, "new folder")
        limits.check(root)
        return datasets.relocate(shelf.workspace, dataset.id, root, report, check=limits.check_plan)
    except AuditError as error:
        raise in_the_form(error) from error


def preview(
    shelf: Shelf,
    looked: Looked,
    positions: tuple[int, ...],
    side: int,
    ground: tuple[int, int, int],
) -> thumbnails.Encoded:
    """Return thumbnails of samples that are not stored yet, as `thumbnails.sheet` lays them out."""
    return thumbnails.sheet(shelf, looked.seen, positions, side, ground=ground)


def recent(shelf: Shelf, most: int = 3) -> tuple[str, ...]:
    """Return the sources of the datasets that were imported last, each once, the newest first."""
    found = [summary.source.location for summary in reversed(dataset_rows.all(shelf.workspace))]
    return tuple(dict.fromkeys(found))[:most]


def path_of(typed: str, what: str) -> Path:
    """Return the path that somebody typed or pasted: without quotes around it, home filled in.

    Raises
    ------
    InputError
        If it is empty or cannot be a path.

    Examples
    --------
    >>> path_of(' "/data/cats and dogs" ', "source").as_posix()
    '/data/cats and dogs'
    """
    text = typed.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if not text:
        raise InputError(f"Type the path of the {what}.")
    if len(text) > _LONGEST_PATH or _CONTROL.search(text):
        raise InputError(
            f"The {what} cannot be a path: it is too long or holds control characters."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"The {what} {text!r} names a user whom this machine does not know."
        ) from error


def in_the_form(error: AuditError) -> AuditError:
    """Return an error of the same kind whose sentence calls things as the form does."""
    return type(error)(_FLAG.sub(lambda found: _IN_THE_FORM[found[1]], str(error)))


def _looked(shelf: Shelf, request: Request, planned: ImportPlan) -> Looked:
    known = next(
        (
            summary.name
            for summary in dataset_rows.all(shelf.workspace)
            if summary.fingerprint == planned.fingerprint
            and summary.source.location == planned.source.location
        ),
        None,
    )
    seen = Dataset(
        # Not an id of a stored dataset: those have no dash.
        id=f"plan-{secrets.token_hex(8)}",
        name=planned.suggested_name,
        source=planned.source,
        class_names=planned.class_names,
        sample_keys=planned.sample_keys,
        paths=planned.paths,
        given_labels=planned.given_labels,
        splits=planned.splits,
        problems=planned.problems,
        fingerprint=planned.fingerprint,
        created_at=datetime.now(UTC),
        has_truth=planned.truth is not None,
    )
    return Looked(
        request=request,
        plan=planned,
        known=known,
        suggested_name=known or dataset_rows.free_name(shelf.workspace, planned.suggested_name),
        seen=seen,
        holds=contents.of(seen),
    )


def _difference(before: Looked, after: Looked) -> str:
    if before.plan.fingerprint != after.plan.fingerprint:
        return datasets.what_differs(before.seen, after.plan)
    if dict(before.plan.problems) != dict(after.plan.problems):
        n_before, n_after = len(before.plan.problems), len(after.plan.problems)
        return f"{n_after:,} samples cannot be used now, {n_before:,} could not when it was shown"
    return ""
