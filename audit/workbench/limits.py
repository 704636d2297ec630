"""Folders that the dashboard may read, where somebody limited them; the terminal is not limited.

Links are followed before a path is judged, so that a link inside a folder opens nothing outside it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from audit.datasets.names import printable
from audit.errors import RefusedError
from audit.records.dataset import ImportPlan
from audit.workbench import serving


def note() -> str | None:
    """Return a sentence about what may be read, ``None`` where nothing is limited."""
    roots = serving.data_roots()
    return f"Sources are limited to {_named(roots)}." if roots else None


def check(path: Path) -> None:
    """Refuse a path that lies outside the folders that may be read.

    Nothing is opened, and the sentence is the same whether or not something is there.

    Raises
    ------
    RefusedError
        Says which folders may be read.
    """
    roots = serving.data_roots()
    if roots and not is_inside(path, roots):
        raise RefusedError(f"{printable(str(path))} lies outside {_named(roots)}.")


def check_plan(planned: ImportPlan) -> None:
    """Refuse a plan that would read anything outside the folders that may be read.

    Raises
    ------
    RefusedError
        If the source, its table of labels or one of its images lies outside; names the first.
    """
    roots = serving.data_roots()
    if not roots:
        return
    source = planned.source
    for place in (source.location, source.root, source.labels):
        if place is not None:
            check(Path(place))
    check_paths(Path(source.root), planned.paths)


def check_paths(root: Path, paths: Sequence[str | None]) -> None:
    """Refuse images that lie outside the folders that may be read; none of them is opened.

    Raises
    ------
    RefusedError
        Names the first.
    """
    roots = serving.data_roots()
    if not roots:
        return
    outside = samples_outside(str(root), paths, roots)
    if outside:
        count = "One image lies" if len(outside) == 1 else f"{len(outside):,} images lie"
        first = printable(paths[outside[0]] or "")
        raise RefusedError(f"{count} outside {_named(roots)}: {first}.")


def is_inside(path: Path, roots: Sequence[Path]) -> bool:
    """Return whether a path, links followed, is one of some folders or lies in one.

    Parameters
    ----------
    path
        It need not exist.
    roots
        Folders, links followed already.
    """
    try:
        real = Path(os.path.realpath(path))
    except (OSError, ValueError):
        return False
    return any(real.is_relative_to(root) for root in roots)


def samples_outside(
    root: str, paths: Iterable[str | None], roots: Sequence[Path]
) -> tuple[int, ...]:
    """Return the positions of samples whose file lies outside some folders.

    Parameters
    ----------
    root
        Where relative paths start.
    paths
        Per sample; those without a file are passed over.
    roots
        As for `is_inside`.
    """
    known: dict[str, bool] = {}
    outside: list[int] = []
    for position, path in enumerate(paths):
        if path is None:
            continue
        full = os.path.join(root, path)  # noqa: PTH118 - half of the time, for each of 50,000
        folder, name = os.path.split(full)
        if name in ("", ".", "..") or os.path.islink(full):  # noqa: PTH114 - as above
            is_in = is_inside(Path(full), roots)
        else:
            # A file that is no link lies where its folder lies; folders are few.
            if folder not in known:
                known[folder] = is_inside(Path(folder), roots)
            is_in = known[folder]
        if not is_in:
            outside.append(position)
    return tuple(outside)


def _named(roots: Sequence[Path]) -> str:
    if len(roots) == 1:
        return f"the folder that this server may read, {printable(str(roots[0]))}"
    return f"the folders that this server may read, {', '.join(printable(str(r)) for r in roots)}"
