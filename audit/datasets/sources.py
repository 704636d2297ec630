"""What a path is, and the plan of importing it; nothing is stored here."""

from dataclasses import replace
from pathlib import Path

from audit.datasets import arrays, folder, table
from audit.datasets.columns import Asked
from audit.datasets.table import CheckPaths
from audit.errors import InputError
from audit.records.dataset import ImportPlan, Source, SourceKind
from audit.records.progress import Report, silent

_ARRAYS = ".npz"
_KINDS = "a folder of images, a table (.csv, .tsv, .parquet, .jsonl) or arrays (.npz)"


def plan(
    location: Path,
    *,
    labels: Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    truth_column: str | None = None,
    split_column: str | None = None,
    report: Report = silent,
    check_paths: CheckPaths | None = None,
) -> ImportPlan:
    """Return what an import would store.

    Every file is looked at (is it there, does it begin like an image?), none is decoded.

    Parameters
    ----------
    location
        A folder, a table or an ``.npz`` file.
    labels
        Table that gives the labels of a folder's images.
    path_column, label_column, truth_column, split_column
        Columns of the table; ``None`` to find them by their names.
    report
        Is told how many files were looked at; may stop the work.
    check_paths
        Is given the root and the paths that a table lists before their files are opened.

    Raises
    ------
    InputError
        If the source cannot be imported as it is; one sentence that says what is wrong and what is
        expected.
    """
    location = _absolute(location)
    asked = Asked(path=path_column, label=label_column, truth=truth_column, split=split_column)
    flags = list(asked.by_flag())
    if location.is_dir():
        if labels is not None:
            return _of_folder_with_table(location, _absolute(labels), asked, report, check_paths)
        return _of_folder(location, asked, report, check_paths)
    _check_file(location)
    if labels is not None:
        raise InputError(
            f"--labels goes with a folder of images, but {location} is a file; leave out one."
        )
    ending = location.suffix.lower()
    if ending == _ARRAYS:
        if flags:
            raise InputError(f"{flags[0]} goes with a table, but {location} holds arrays.")
        return arrays.plan(location, report)
    if ending in table.ENDINGS:
        return table.plan(
            location,
            [location.parent],
            location=location,
            asked=asked,
            report=report,
            check_paths=check_paths,
        )
    raise InputError(f"{location} is neither of the sources that can be imported: {_KINDS}.")


def replan(source: Source, root: Path | None = None, report: Report = silent) -> ImportPlan:
    """Return the plan of importing a source again with the same options.

    Equal fingerprints mean that keys, labels and splits are the same as then.

    Parameters
    ----------
    source
        As it was imported.
    root
        Where its files lie now; ``None`` for the same place. For arrays the file or its folder. A
        table that lay in the old root is looked for in the new one, at the same place.
    report
        Is told how many files were looked at; may stop the work.

    Raises
    ------
    InputError
        If the source is not there any more, or cannot be imported now.
    """
    new_root = None if root is None else _absolute(root)
    if source.kind is SourceKind.ARRAYS:
        file = Path(source.location) if new_root is None else new_root
        if file.is_dir():
            file /= Path(source.location).name
        _check_file(file)
        return arrays.plan(file, report)
    if new_root is None:
        new_root = Path(source.root)
    _check_folder(new_root)
    if source.kind is SourceKind.FOLDER:
        return folder.plan(new_root, folder.find(new_root, report), report)
    if source.labels is None:
        raise InputError(f"{source.location} was imported from a table that is not known any more.")
    file = _moved(Path(source.labels), Path(source.root), new_root)
    was_table = source.location == source.labels
    return table.plan(
        file,
        [new_root],
        location=file if was_table else _moved(Path(source.location), Path(source.root), new_root),
        asked=Asked(
            path=source.options["path_column"],
            label=source.options["label_column"],
            truth=source.options.get("truth_column"),
            split=source.options.get("split_column"),
        ),
        report=report,
    )


def _of_folder(
    location: Path, asked: Asked, report: Report, check_paths: CheckPaths | None
) -> ImportPlan:
    flags = list(asked.by_flag())
    found = folder.find(location, report)
    if flags and len(found.tables) != 1:
        raise InputError(f"{flags[0]} goes with a table: give one by --labels.")
    if len(found.tables) == 1 and (flags or len(found.class_names) < 2):
        name = found.tables[0]
        told = (
            f"Labels are taken from {name} in the folder, because the folder's own folders "
            "are no classes."
            if not flags
            else f"Labels are taken from {name} in the folder."
        )
        plan = _of_folder_with_table(location, location / name, asked, report, check_paths)
        return _with_warning(plan, told)
    return folder.plan(location, found, report)


def _of_folder_with_table(
    location: Path, labels: Path, asked: Asked, report: Report, check_paths: CheckPaths | None
) -> ImportPlan:
    _check_file(labels)
    roots = [location, labels.parent]
    return table.plan(
        labels, roots, location=location, asked=asked, report=report, check_paths=check_paths
    )


def _with_warning(plan: ImportPlan, warning: str) -> ImportPlan:
    return replace(plan, warnings=(warning, *plan.warnings))


def _absolute(path: Path) -> Path:
    return Path(path).expanduser().absolute()


def _check_file(file: Path) -> None:
    if file.is_file():
        return
    if file.is_dir():
        raise InputError(f"{file} is a folder, expected a file.")
    if file.exists():
        raise InputError(f"{file} is no ordinary file; expected {_KINDS}.")
    raise InputError(f"{file} does not exist.")


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        problem = "is a file, expected a folder" if path.exists() else "does not exist"
        raise InputError(f"{path} {problem}.")


def _moved(path: Path, old_root: Path, new_root: Path) -> Path:
    """Return a path at the same place under the new root if it lay in the old one and is there."""
    if path.is_relative_to(old_root):
        moved = new_root / path.relative_to(old_root)
        if moved.exists():
            return moved
    return path
