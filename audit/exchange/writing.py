"""Put finished outputs in their place: whole or not at all, never into what is kept from writing.

Everything is written into a hidden sibling of the target, synced, then renamed. What hinders the
writing becomes one sentence, and the hidden sibling is removed.
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from audit.errors import AuditError, InputError, RefusedError, WorkspaceError
from audit.exchange import manifest
from audit.records.dataset import Dataset, ImportPlan, SourceKind

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk reported a fault",
}


@contextmanager
def staged(
    *targets: Path,
    dataset: Dataset | ImportPlan | None = None,
    force: bool = False,
    only_ours: bool = False,
    kept: Mapping[Path, str] | None = None,
) -> Iterator[tuple[Path, ...]]:
    """Yield a hidden sibling per target; when the body ends well they become the targets, in order.

    The body writes files, or makes folders, at the yielded paths. A folder is replaced under
    `force` only if it is an export itself (`is_export_folder`), so that no other is ever deleted.

    Parameters
    ----------
    targets
        Where the outputs go.
    dataset
        Nothing is written inside this dataset's source.
    force
        Whether existing targets are replaced.
    only_ours, kept
        As for `check`.

    Raises
    ------
    RefusedError
        If `check` refuses a target.
    WorkspaceError
        If writing fails: a full or read-only disk.
    """
    for target in targets:
        check(target, dataset=dataset, force=force, only_ours=only_ours, kept=kept)
    token = secrets.token_hex(6)
    stages = tuple(
        target.parent / f".labeltrace-{token}-{place}.partial"
        for place, target in enumerate(targets)
    )
    current = targets[0]
    try:
        yield stages
        for stage in stages:
            _sync(stage)
        for target, stage in zip(targets, stages, strict=True):
            current = target
            _put(stage, target, force=force, only_ours=only_ours)
    except AuditError:
        raise
    except OSError as error:
        raise WorkspaceError(failure(current, error)) from error
    finally:
        for stage in stages:
            _remove(stage)


def check(
    target: Path,
    *,
    dataset: Dataset | ImportPlan | None = None,
    force: bool = False,
    only_ours: bool = False,
    kept: Mapping[Path, str] | None = None,
) -> None:
    """Refuse a target before any work is done for it.

    Parameters
    ----------
    target
        Where an output is to go.
    dataset
        Nothing is written inside this dataset's source.
    force
        Whether an existing target is replaced.
    only_ours
        Whether, of existing files, only exports are replaced (`is_export_file`), and empty ones.
    kept
        Further files and folders that nothing is written into, and what each of them is.

    Raises
    ------
    RefusedError
        If the target exists and may not be replaced, lies inside what is never written to, contains
        it, or has no parent folder.
    """
    if dataset is not None:
        _check_outside(target, dataset)
    _check_kept(target, kept or {})
    if not target.name:
        raise RefusedError(f"{str(target)!r} is not a name that can be written to.")
    if not target.parent.is_dir():
        raise RefusedError(
            f"There is no folder {str(target.parent)!r} to hold {target.name!r}: make it first."
        )
    if not os.path.lexists(target):
        return
    if not force:
        raise RefusedError(f"{str(target)!r} exists already: choose another name or use --force.")
    if target.is_dir() and not target.is_symlink() and not is_export_folder(target):
        raise RefusedError(
            f"{str(target)!r} is a folder that labeltrace did not write, so --force does not "
            "replace it: choose another name."
        )
    if only_ours and not target.is_dir() and not is_export_file(target):
        raise RefusedError(
            f"{str(target)!r} exists and is not an export of labeltrace, or was changed since; "
            "choose another path or remove it yourself."
        )


def is_export_folder(folder: Path) -> bool:
    """Return whether a folder is empty or carries the manifest of an export."""
    if not any(folder.iterdir()):
        return True
    try:
        text = (folder / "manifest.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return '"labeltrace_version"' in text and '"dataset_fingerprint"' in text


def is_export_file(file: Path) -> bool:
    """Return whether a file is empty, a manifest, or what the manifest beside it names."""
    if file.is_symlink():
        return False
    try:
        if not file.stat().st_size or file.name.endswith(manifest.ENDING):
            return not file.stat().st_size or bool(manifest.read(file).sha256)
        return manifest.read(manifest.place_of(file)).sha256 == sha256(file)
    except (OSError, InputError):
        return False


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def failure(target: Path, error: OSError) -> str:
    """Return one sentence that says why a target could not be written."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return f"{str(target)!r} was not written, and no part of it was left behind: {reason}."


def _candidates(target: Path) -> tuple[Path, Path]:
    # Both the link and what it points to.
    return Path(os.path.realpath(target.parent), target.name), Path(os.path.realpath(target))


def _check_kept(target: Path, kept: Mapping[Path, str]) -> None:
    for place, what in kept.items():
        real = Path(os.path.realpath(place))
        for candidate in _candidates(target):
            if candidate == real or real in candidate.parents:
                raise RefusedError(
                    f"{str(target)!r} lies inside {what} {str(place)!r}, which is never written to: "
                    "choose a place outside it."
                )
            if candidate in real.parents:
                raise RefusedError(
                    f"{str(target)!r} holds {what} {str(place)!r}, which is never written to: "
                    "choose another place."
                )


def _check_outside(target: Path, dataset: Dataset | ImportPlan) -> None:
    places, images = _source_places(dataset)
    for candidate in _candidates(target):
        inside = next((p for p in places if candidate == p or p in candidate.parents), None)
        if inside is not None or str(candidate) in images:
            raise RefusedError(
                f"{str(target)!r} lies inside the source {str(inside or candidate)!r}, which is "
                "never written to: choose a place outside it."
            )
        held = next((p for p in places if candidate in p.parents), None)
        if held is not None:
            raise RefusedError(
                f"{str(target)!r} holds the source {str(held)!r}, which is never written to: "
                "choose another place."
            )


def _source_places(dataset: Dataset | ImportPlan) -> tuple[set[Path], set[str]]:
    """Return the real paths that make up the source: places as a whole, and single images.

    A table's own folder is not its source, or nobody could write ``scores.csv`` beside
    ``labels.csv``. The table itself is, and so are the folders of its images; of those that hold
    the table only the images themselves.
    """
    source = dataset.source
    named = [source.location, *([source.labels] if source.labels else [])]
    if source.kind is SourceKind.FOLDER:
        named.append(source.root)
    places = {Path(os.path.realpath(name)) for name in named}
    images: set[str] = set()
    if source.kind is not SourceKind.TABLE:
        return places, images
    homes = {place if place.is_dir() else place.parent for place in places}
    # Texts and os.path: there may be a million paths, and a Path of each takes seconds.
    by_folder: dict[str, list[str]] = {}
    for path in dataset.paths:
        if path is not None:
            folder, name = os.path.split(path)
            by_folder.setdefault(folder, []).append(name)
    for folder, names in by_folder.items():
        real = Path(os.path.realpath(Path(source.root, folder)))
        if any(real == home or real in home.parents for home in homes):
            images.update(f"{real}{os.sep}{name}" for name in names)
        else:
            places.add(real)
    return places, images


def _sync(path: Path) -> None:
    if path.is_dir():
        for folder, _, _ in os.walk(path):
            _sync_one(Path(folder))
    else:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    # Windows cannot open folders; there the rename alone has to do.
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(stage: Path, target: Path, *, force: bool, only_ours: bool) -> None:
    # Somebody may have made the target while the output was written.
    check(target, force=force, only_ours=only_ours)
    if target.is_dir() and not target.is_symlink() and not stage.is_dir():
        raise RefusedError(f"{str(target)!r} is a folder, and a file is to be written: remove it.")
    if not stage.is_dir() or not os.path.lexists(target):
        stage.replace(target)
    else:
        # A folder cannot be replaced in one step: the old one steps aside and is deleted last.
        aside = stage.with_suffix(".replaced")
        target.rename(aside)
        try:
            stage.rename(target)
        except OSError:
            aside.rename(target)
            raise
        _remove(aside)
    _sync_one(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
