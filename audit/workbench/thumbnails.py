"""Pictures for people: one to look at, several in one answer, and sheets of thumbnails."""

import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from audit.datasets import images, presence, showable
from audit.datasets.reader import SampleReader
from audit.errors import InputError, SampleError
from audit.records.dataset import Dataset, SourceKind
from audit.workbench.shelf import Shelf

SHORTEST, LONGEST = 32, 2048
"""Bounds on the longer side of a picture in pixels."""

COLUMNS = 10
"""Thumbnails in a row of a sheet."""

SMALLEST_TILE, LARGEST_TILE = 16, 256
"""Bounds on the side of a thumbnail in pixels."""

GROUND = (128, 128, 128)
"""What surrounds thumbnails that are not square: as far from a light page as from a dark one."""

_NEVER_HELD = 1 << 62
_PASSED_BYTES = 512 * 1024
_TINY, _TINY_TILE = 128, 64
_PICTURE_QUALITY, _SHEET_QUALITY = 90, 85


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image file in memory.

    Parameters
    ----------
    data
        Its bytes.
    media_type
        ``image/jpeg``, ``image/png`` or ``image/webp``.
    is_complete
        Whether nothing had to be left out; only then may it be kept for long.
    """

    data: bytes
    media_type: str
    is_complete: bool = True


def picture(shelf: Shelf, dataset: Dataset, position: int, side: int) -> Encoded:
    """Return one sample as a picture to look at, upright and over white, never scaled up.

    Parameters
    ----------
    shelf, dataset, position
        The sample.
    side
        Bound on its longer side in pixels; kept within `SHORTEST` and `LONGEST`. A small file that
        a browser draws as we would is handed out as it is.

    Raises
    ------
    SampleError
        If the image cannot be read or decoded, or all of the dataset's files are gone; says which.
    """
    side = min(max(side, SHORTEST), LONGEST)
    return _picture(shelf, dataset, _opened(shelf, dataset), position, side)


def pictures(
    shelf: Shelf, dataset: Dataset, positions: Sequence[int], side: int
) -> tuple[bytes | None, ...]:
    """Return several samples as `picture` does, ``None`` for those that cannot be shown."""
    side = min(max(side, SHORTEST), LONGEST)
    found: list[bytes | None] = []
    for position in positions:
        try:
            reader = _opened(shelf, dataset)
            found.append(_picture(shelf, dataset, reader, position, side).data)
        except SampleError:
            found.append(None)
    return tuple(found)


def sheet(
    shelf: Shelf,
    dataset: Dataset,
    positions: Sequence[int],
    side: int,
    *,
    ground: tuple[int, int, int] = GROUND,
) -> Encoded:
    """Return thumbnails in one image, `COLUMNS` in a row, row by row in the order that was asked.

    Parameters
    ----------
    shelf, dataset, positions
        The samples, at least one.
    side
        Side of each thumbnail in pixels; kept within `SMALLEST_TILE` and `LARGEST_TILE`. Images are
        shown whole, small ones enlarged by a whole number of times.
    ground
        Colour around them, red, green and blue.

    Returns
    -------
    Encoded
        PNG where all images or thumbnails are tiny, otherwise JPEG. Not complete where a thumbnail is
        a placeholder.
    """
    side = min(max(side, SMALLEST_TILE), LARGEST_TILE)
    states = _states(dataset, positions)
    key = ("sheet", dataset.id, dataset.source.root, side, ground, tuple(positions), tuple(states))

    def find(number: int) -> _Thumbnail | None:
        try:
            reader = _opened(shelf, dataset)
            return _thumbnail(shelf, dataset, reader, (positions[number], *states[number]), side)
        except SampleError:
            return None

    return shelf.pictures.find_or_make(
        key,
        lambda: _sheet([find(number) for number in range(len(positions))], side, ground),
        lambda made: len(made.data) + 64 * len(positions) if made.is_complete else _NEVER_HELD,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Thumbnail:
    rgb: NDArray[np.uint8]
    is_tiny: bool


def _sheet(
    thumbnails: Sequence[_Thumbnail | None], side: int, ground: tuple[int, int, int]
) -> Encoded:
    n_rows = -(-len(thumbnails) // COLUMNS)
    canvas = np.empty((n_rows * side, COLUMNS * side, 3), dtype=np.uint8)
    canvas[:] = ground
    for number, thumbnail in enumerate(thumbnails):
        rgb = _placeholder(side, ground) if thumbnail is None else thumbnail.rgb
        height, width = rgb.shape[:2]
        top = number // COLUMNS * side + (side - height) // 2
        left = number % COLUMNS * side + (side - width) // 2
        canvas[top : top + height, left : left + width] = rgb
    is_tiny = all(thumbnail is None or thumbnail.is_tiny for thumbnail in thumbnails)
    data = _png(canvas) if is_tiny else _jpeg(canvas, _SHEET_QUALITY)
    return Encoded(data, showable.sniff(data), is_complete=None not in thumbnails)


def _thumbnail(
    shelf: Shelf,
    dataset: Dataset,
    reader: SampleReader,
    sample: tuple[int, int, int],
    side: int,
) -> _Thumbnail:
    """Return the thumbnail of a sample, given as its position and the state of its file."""
    position = sample[0]

    def make() -> _Thumbnail:
        if dataset.source.kind is SourceKind.ARRAYS:
            rgb = images.fit_within(reader.read_rgb(position), side)
        else:
            name = reader.name(position)
            rgb = images.open_within(reader.read_bytes(position), side, name=name)
        is_tiny = side <= _TINY_TILE or max(rgb.shape[:2]) < side
        return _Thumbnail(_enlarged(rgb, side), is_tiny)

    key = ("thumbnail", dataset.id, dataset.source.root, sample, side)
    return shelf.pictures.find_or_make(key, make, lambda made: made.rgb.nbytes + 256)


def _enlarged(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    times = side // max(rgb.shape[:2])
    return rgb if times < 2 else rgb.repeat(times, axis=0).repeat(times, axis=1)


def _placeholder(side: int, ground: tuple[int, int, int]) -> NDArray[np.uint8]:
    ink = tuple(value + 64 if value < 128 else value - 64 for value in ground)
    tile = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(tile)
    near, far = side // 3, side - side // 3
    draw.line([(near, near), (far, far)], fill=ink, width=max(1, side // 32))
    draw.line([(near, far), (far, near)], fill=ink, width=max(1, side // 32))
    return np.array(tile, dtype=np.uint8)


def _picture(
    shelf: Shelf, dataset: Dataset, reader: SampleReader, position: int, side: int
) -> Encoded:
    if dataset.source.kind is SourceKind.ARRAYS:
        return _encoded(images.fit_within(reader.read_rgb(position), side))
    data = reader.read_bytes(position)
    media_type = showable.media_type(data, side) if len(data) <= _PASSED_BYTES else None
    if media_type is not None:
        return Encoded(data, media_type)
    (state,) = _states(dataset, [position])
    key = ("picture", dataset.id, dataset.source.root, position, state, side)
    return shelf.pictures.find_or_make(
        key,
        lambda: _encoded(images.open_within(data, side, name=reader.name(position))),
        lambda made: len(made.data) + 256,
    )


def _encoded(rgb: NDArray[np.uint8]) -> Encoded:
    data = _png(rgb) if max(rgb.shape[:2]) <= _TINY else _jpeg(rgb, _PICTURE_QUALITY)
    return Encoded(data, showable.sniff(data))


def _png(rgb: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    # Runs of equal bytes are all that enlarged pixels need, and quick to find.
    Image.fromarray(rgb).save(stream, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return stream.getvalue()


def _jpeg(rgb: NDArray[np.uint8], quality: int) -> bytes:
    stream = io.BytesIO()
    # Thinned colour would bleed from one thumbnail of a sheet into the next.
    Image.fromarray(rgb).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def _opened(shelf: Shelf, dataset: Dataset) -> SampleReader:
    """Return a reader of the dataset as its files are now.

    Raises
    ------
    SampleError
        If they are gone, or arrays are others than were imported.
    """
    is_arrays = dataset.source.kind is SourceKind.ARRAYS
    # Arrays that were written anew are opened anew: a map of a file that shrank ends the process.
    state = _state(dataset.source.root) if is_arrays else None
    key = ("reader", dataset.id, dataset.source.root, state)
    try:
        presence.check(dataset)
        return shelf.keep(key, lambda: SampleReader(dataset.source, dataset.paths))
    except InputError as error:
        raise SampleError(str(error)) from error


def _states(dataset: Dataset, positions: Sequence[int]) -> list[tuple[int, int]]:
    root = dataset.source.root
    if dataset.source.kind is SourceKind.ARRAYS:
        return [_state(root)] * len(positions)
    return [_state(Path(root, dataset.paths[position] or "")) for position in positions]


def _state(path: str | Path) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a hundred per sheet, and half of the time
    except (OSError, ValueError):
        return -1, -1
    return status.st_size, status.st_mtime_ns
