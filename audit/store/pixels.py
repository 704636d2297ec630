"""Where decoded pixels of a dataset are kept between runs; a cache that may go at any moment."""

from collections.abc import Callable
from pathlib import Path

from audit.errors import RefusedError
from audit.store import artifacts
from audit.store.pixel_names import dataset_of, name_of
from audit.store.workspace import Workspace


def find(workspace: Workspace, dataset_id: str, size: int, *, variant: str = "") -> Path | None:
    """Return the folder that holds a dataset's pixels at a size, or ``None``.

    Parameters
    ----------
    workspace, dataset_id
        The dataset.
    size
        Side in pixels of the square images.
    variant
        What was made of the pixels, in digits and small letters: features of a backbone, say. Empty
        for the pixels themselves.
    """
    folder = _folder(workspace, dataset_id, size, variant)
    return folder if folder.is_dir() else None


def find_or_make(
    workspace: Workspace,
    dataset_id: str,
    size: int,
    *,
    write: Callable[[Path], object],
    variant: str = "",
) -> Path:
    """Return the folder that holds a dataset's pixels at a size; written if it is not there.

    Two processes may write at once; whoever is first publishes, the other uses that.

    Parameters
    ----------
    workspace, dataset_id, size, variant
        As in `find`.
    write
        Writes its files into the folder that it is given.

    Raises
    ------
    WorkspaceError
        If the disk is full or cannot be written.
    """
    final = _folder(workspace, dataset_id, size, variant)
    if final.is_dir():
        return final
    with artifacts.making(final.parent, final.name, private=True) as making:
        write(making.folder)
        try:
            making.seal()
        except RefusedError:
            # Lost the race: theirs was made from the same dataset at the same size.
            assert final.is_dir()
    return final


def discard(workspace: Workspace, dataset_id: str) -> None:
    """Remove the pixels of a dataset at every size."""
    for folder in _folders(workspace, dataset_id):
        artifacts.remove(folder)


def size_on_disk(workspace: Workspace, dataset_id: str) -> int:
    """Return the disk space in bytes of a dataset's pixels at every size."""
    return sum(artifacts.disk_size(folder) for folder in _folders(workspace, dataset_id))


def _folder(workspace: Workspace, dataset_id: str, size: int, variant: str) -> Path:
    return workspace.path / "cache" / name_of(dataset_id, size, variant)


def _folders(workspace: Workspace, dataset_id: str) -> list[Path]:
    cache = workspace.path / "cache"
    return [folder for folder in cache.iterdir() if dataset_of(folder.name) == dataset_id]
