"""Class folders: ``root/[train|val|valid|validation|test/]class/**/image``."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.datasets import classes, fingerprint, heads, splits
from audit.datasets.names import is_text
from audit.datasets.skipping import SkippedLog
from audit.errors import InputError
from audit.records.dataset import SPLITS, ImportPlan, Source, SourceKind, Split
from audit.records.progress import Report

EXTENSIONS = frozenset({"jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"})
"""Endings of image files, in lower case; files in a folder that end otherwise are skipped."""

UNLABELLED_FOLDERS = frozenset({"_unlabeled", "_unlabelled"})
"""Class folders whose images have no given label."""

SHAPE = (
    "expected one folder per class, as in cats/1.jpg and dogs/2.jpg, or a table given by --labels"
)
"""What a folder should look like, for messages."""

_TRAIN = SPLITS.index(Split.TRAIN)
_SCAN_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The images of a class folder tree, before anything is opened.

    Parameters
    ----------
    keys
        Paths relative to the root with ``/``, in the order of their parts.
    labels
        Class name per image, ``None`` where it has none.
    splits
        Code into `SPLITS` per image.
    skipped
        What is no sample, and why.
    empty_folders
        Top-level folders without a single image.
    tables
        Files in the root that are named like tables of labels.
    """

    keys: tuple[str, ...]
    labels: tuple[str | None, ...]
    splits: tuple[int, ...]
    skipped: SkippedLog
    empty_folders: tuple[str, ...]
    tables: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Distinct names of class folders that hold images, sorted."""
        return classes.sorted_names(self.labels)


def find(root: Path, report: Report) -> Found:
    """Walk a folder and tell what its images and classes are.

    Parameters
    ----------
    root
        The folder.
    report
        Is told how many images were found; may stop the work.

    Raises
    ------
    InputError
        If the folder itself cannot be read.
    """
    skipped = SkippedLog()
    tables: list[str] = []
    keys: list[str] = []
    tops: set[str] = set()
    for key, is_folder in _walk(root, skipped):
        if is_folder:
            if "/" not in key:
                tops.add(key)
        elif _is_table(key):
            tables.append(key)
        elif key.rpartition(".")[2].lower() not in EXTENSIONS or "." not in key.rpartition("/")[2]:
            ending = Path(key).suffix or "none"
            skipped.add(key, f"not an image by its ending ({ending})")
        else:
            keys.append(key)
            if len(keys) % 1000 == 0:
                report(0.0, f"found {len(keys):,} images")
    has_splits = _has_splits(keys)
    kept: list[str] = []
    labels: list[str | None] = []
    codes: list[int] = []
    for key in keys:
        folders = key.split("/")[:-1]
        code = splits.code(folders.pop(0)) if has_splits and folders else _TRAIN
        if not folders:
            place = "the split's folder" if "/" in key else "the top folder"
            skipped.add(key, f"lies in {place} instead of a class folder")
            continue
        kept.append(key)
        labels.append(None if folders[0] in UNLABELLED_FOLDERS else folders[0])
        codes.append(_TRAIN if code is None else code)
    held = {key.partition("/")[0] for key in keys}
    return Found(
        keys=tuple(kept),
        labels=tuple(labels),
        splits=tuple(codes),
        skipped=skipped,
        empty_folders=tuple(sorted(tops - held)),
        tables=tuple(tables),
    )


def plan(root: Path, found: Found, report: Report) -> ImportPlan:
    """Return what an import of a class folder tree would store.

    Parameters
    ----------
    root
        Absolute path of the folder.
    found
        What `find` found in it, at least two classes.
    report
        Is told how many files were looked at; may stop the work.

    Raises
    ------
    InputError
        If there are fewer than two classes; says what was found and what is expected.
    """
    class_names = found.class_names
    if len(class_names) < 2:
        raise InputError(_too_few_classes(root, found))
    given_labels = classes.indices(found.labels, class_names)
    codes = np.array(found.splits, dtype=np.int8)
    problems = heads.problems_of(
        found.keys,
        root,
        lambda fraction, message: report(_SCAN_SHARE + (1 - _SCAN_SHARE) * fraction, message),
    )
    warnings = classes.oddities(class_names, given_labels)
    warnings += [f"Folder {name!r} holds no image and is no class." for name in found.empty_folders]
    if found.tables:
        named = ", ".join(found.tables)
        warnings.append(
            f"Labels are taken from the folders' names; {named} is not read: "
            "give it by --labels to take them from there."
        )
    return ImportPlan(
        source=Source(kind=SourceKind.FOLDER, location=str(root), root=str(root)),
        suggested_name=root.resolve().name or "images",
        class_names=class_names,
        sample_keys=found.keys,
        paths=found.keys,
        given_labels=given_labels,
        splits=codes,
        problems=problems,
        fingerprint=fingerprint.of_labels(class_names, found.keys, given_labels, codes),
        skipped=found.skipped.close(),
        warnings=tuple(warnings),
    )


def _walk(root: Path, skipped: SkippedLog) -> list[tuple[str, bool]]:
    """List (relative path, is it a folder) in the order of the paths' parts."""
    listed: list[tuple[str, bool]] = []
    followed: set[tuple[int, int]] = set()
    # Folders wait with the identities of those above them (a link to one of these is a cycle),
    # files with None.
    waiting: list[tuple[str, frozenset[tuple[int, int]] | None]] = [
        ("", frozenset([_identity(root)]))
    ]
    while waiting:
        key, above = waiting.pop()
        if key:
            listed.append((key, above is not None))
        if above is None:
            continue
        for entry in _entries(root, key, skipped):
            path = f"{key}/{entry.name}" if key else entry.name
            if entry.name.startswith("."):
                skipped.add(path, "hidden")
            elif not is_text(entry.name):
                skipped.add(path, "its name is not valid UTF-8: rename it")
            elif not _is_folder(entry):
                waiting.append((path, None))
            else:
                target = _identity(Path(entry.path))
                if entry.is_symlink():
                    if target in above or target in followed:
                        skipped.add(path, "a link to a folder that is read already")
                        continue
                    followed.add(target)
                waiting.append((path, above | {target}))
    return listed


def _entries(root: Path, key: str, skipped: SkippedLog) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, last name first."""
    try:
        with os.scandir(root / key) as entries:
            return sorted(entries, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        if not key:
            raise InputError(f"{root} cannot be read: {error.strerror}.") from error
        skipped.add(key, f"the folder cannot be read ({error.strerror})")
        return []


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError:  # gone since it was listed; scanning it will say so
        return (-1, -1)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_table(key: str) -> bool:
    stem, _, ending = key.lower().rpartition(".")
    return stem in {"labels", "metadata", "annotations"} and ending in {
        "csv",
        "tsv",
        "parquet",
        "jsonl",
        "json",
    }


def _has_splits(keys: list[str]) -> bool:
    """Tell whether all top-level folders with images are splits, with class folders in them."""
    tops = {key.partition("/")[0] for key in keys if "/" in key}
    if not tops or any(top.casefold() not in splits.FOLDER_NAMES for top in tops):
        return False
    # Images right in train/ and test/ and nowhere else: these are two classes of that name.
    return any(key.count("/") >= 2 for key in keys)


def _too_few_classes(root: Path, found: Found) -> str:
    if found.class_names:
        what = f"{len(found.keys):,} images of the only class {found.class_names[0]!r}"
    elif found.keys:
        what = f"{len(found.keys):,} unlabelled images and no class"
    else:
        reasons = Counter(skip.reason for skip in found.skipped.close())
        what = "no image in a class folder"
        if not reasons and not found.empty_folders:
            what = "nothing (the folder is empty)"
        elif reasons:
            reason, count = reasons.most_common(1)[0]
            what += f" ({count:,} skipped: {reason})"
    return f"{root} holds {what}; {SHAPE}."
