"""Corrected labels as a tree of folders, one per class, by hard link, symbolic link or copy.

``<split>/<class>/<file>``, the split only where the dataset has more than one. Names are made safe
and distinct (`safe_names`); the manifest says which folder is which class. Everything is written
into a folder that was made just before, so nothing can lead out of it.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.errors import InputError, SampleError
from audit.exchange.corrected import CorrectedLabels, CorrectedRow, resolve
from audit.exchange.safe_names import DistinctNames
from audit.records.dataset import SPLITS, SourceKind
from audit.records.progress import Report, silent

MANIFEST = "manifest.json"

Read = Callable[[int], bytes | NDArray[np.uint8]]
"""Position of a sample → the bytes of a PNG file, or (H, W) or (H, W, 3) uint8."""

# What file systems answer that cannot link: other device, no links, too many links, no permission.
_CANNOT_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EACCES,
}


class Link(StrEnum):
    """How an image gets into the tree."""

    HARD = "hard"
    SYMBOLIC = "symbolic"
    COPY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What was written.

    Parameters
    ----------
    labels
        What the tree carries; images that turned out to be missing are counted as unreadable.
    folder_names
        Class → its folder's name.
    linked
        How many images were put there in which way; ``written`` are PNG files made from arrays.
    link
        What was asked for.
    """

    labels: CorrectedLabels
    folder_names: Mapping[str, str]
    link: Link
    linked: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest says about the tree."""
        return {
            "class_folders": dict(self.folder_names),
            "link": str(self.link),
            "linked": dict(self.linked),
        }


def write(
    folder: Path,
    labels: CorrectedLabels,
    *,
    link: Link,
    read: Read | None = None,
    report: Report = silent,
) -> Tree:
    """Write the tree into a new folder.

    Parameters
    ----------
    folder
        A path at which nothing is yet.
    labels
        What to write.
    link
        How; where the file system cannot link, images are copied, and `Tree.linked` says so.
    read
        Gives the pixels of an array dataset.
    report
        Is told how many images are done.

    Raises
    ------
    InputError
        If the images lie in arrays and `read` is missing.
    OSError
        If the folder cannot be written.
    """
    dataset = labels.dataset
    if dataset.source.kind is SourceKind.ARRAYS and read is None:
        raise InputError("The images of an array dataset can only be written by reading them.")
    folder.mkdir()
    split_names = [str(SPLITS[code]) for code in np.unique(dataset.splits)]
    by_split = len(split_names) > 1
    top = DistinctNames([MANIFEST])
    folder_names = {name: top.claim(name, keep_extension=False) for name in dataset.class_names}
    for parent in split_names if by_split else [""]:
        for name in folder_names.values():
            (folder / parent / name).mkdir(parents=True)
    taken: dict[tuple[str, str], DistinctNames] = {}
    linked: dict[str, int] = {}
    missing: dict[int, str] = {}
    for done, row in enumerate(labels.rows(), start=1):
        place = (str(row.split) if by_split else "", folder_names[row.label])
        name = taken.setdefault(place, DistinctNames()).claim(_file_name(row), keep_extension=True)
        target = folder.joinpath(*place, name)
        try:
            if dataset.source.kind is SourceKind.ARRAYS and read is not None:
                how = _write_png(target, read(row.position))
            else:
                how = _put(Path(dataset.source.root, row.path or ""), target, link)
        except (SampleError, FileNotFoundError, PermissionError, IsADirectoryError) as error:
            missing[row.position] = str(error)
            continue
        linked[how] = linked.get(how, 0) + 1
        if done % 256 == 0:
            report(done / len(labels.positions), "writing images")
    if missing:
        labels = resolve(dataset, labels.decisions, {**labels.problems, **missing})
    return Tree(labels=labels, folder_names=folder_names, link=link, linked=linked)


def listing(folder: Path) -> bytes:
    """Return the canonical listing of a tree, whose SHA-256 the manifest holds.

    One line per file, sorted by path: the path inside the folder as a JSON string, a tab, the size
    in bytes. Pixels are not part of it: a tree of hard links to a million photographs would
    otherwise be read whole to be exported.
    """
    lines: list[tuple[str, int]] = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            inside = path.relative_to(folder).as_posix()
            if inside != MANIFEST:
                lines.append((inside, path.stat().st_size))
    return b"".join(f"{json.dumps(path)}\t{size}\n".encode() for path, size in sorted(lines))


def digest(folder: Path) -> str:
    """Return the SHA-256 of `listing`, hexadecimal."""
    return hashlib.sha256(listing(folder)).hexdigest()


def _file_name(row: CorrectedRow) -> str:
    if row.path is None:
        return f"{row.sample_key}.png"
    # A table made on Windows may write backslashes.
    return PurePosixPath(row.path.replace("\\", "/")).name


def _put(source: Path, target: Path, link: Link) -> str:
    real = Path(os.path.realpath(source))
    if not real.is_file():
        raise SampleError(f"{str(source)!r} is not there any more.")
    try:
        if link is Link.HARD:
            target.hardlink_to(real)
            return str(link)
        if link is Link.SYMBOLIC:
            target.symlink_to(real)
            return str(link)
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
    shutil.copyfile(real, target)
    return str(Link.COPY)


def _write_png(target: Path, pixels: bytes | NDArray[np.uint8]) -> str:
    with target.open("xb") as file:
        if isinstance(pixels, bytes):
            file.write(pixels)
        else:
            Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return "written"
