"""Any image file to RGB, RGB to the square that a network sees or the size that people look at."""

import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Imported by name, so that threads never race to register them.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from audit.datasets.names import printable
from audit.errors import SampleError

FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
"""What Pillow may try; its readers of PostScript, Photoshop, … are never offered a file."""

MAX_PIXELS = 178_956_970
"""Larger images are refused: twice Pillow's own threshold, and 0.5 GB of RGB."""

MAX_FILE_BYTES = 2 << 30
"""Larger files are not read."""

_LARGE_PIXELS = 40_000_000
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Several threads may decode at once, but only one of them an image of hundreds of megabytes.
_large = threading.Lock()


def open_rgb(data: bytes | Path, *, name: str | None = None) -> NDArray[np.uint8]:
    """Return an image as RGB, whatever its file holds.

    Transparency is laid over white; 16-bit values keep their upper 8 bits; floating-point values
    are stretched from their minimum to their maximum; EXIF rotation is applied; of an animation the
    first frame counts.

    Parameters
    ----------
    data
        The bytes of an image file, or its path.
    name
        What messages call it; the path, or ``The image``.

    Returns
    -------
    ndarray
        (H, W, 3) uint8.

    Raises
    ------
    SampleError
        If it cannot be read, is no image of a known format, is truncated or damaged, or has more
        than `MAX_PIXELS` pixels; one sentence that begins with the name.
    """
    name = name or (printable(str(data)) if isinstance(data, Path) else "The image")
    with _decoding(name), _opened(_bytes_of(data, name), name) as image, _turn_for(image):
        return np.array(_to_rgb(_upright(image)), dtype=np.uint8)


def open_square(data: bytes, size: int, *, name: str = "The image") -> NDArray[np.uint8]:
    """Return an image as an RGB square: `open_rgb` and `fit_square`, faster for large JPEGs.

    JPEGs are decoded at the smallest of 1, 1/2, 1/4, 1/8 that leaves the short side at least twice
    as long as `size`, so values differ by a few of 255 from the long way.

    Parameters
    ----------
    data
        The bytes of an image file.
    size
        Side S of the square in pixels, at least 1.
    name
        What messages call it.

    Returns
    -------
    ndarray
        (S, S, 3) uint8.

    Raises
    ------
    SampleError
        As `open_rgb`.
    """
    with _decoding(name), _opened(data, name) as image:
        image.draft(None, (2 * size, 2 * size))
        with _turn_for(image):
            return _square(_to_rgb(_upright(image)), size)


def open_within(data: bytes, side: int, *, name: str = "The image") -> NDArray[np.uint8]:
    """Return an image as RGB, whole, scaled down until its longer side is at most `side`.

    As `open_rgb` and `fit_within`, faster for large JPEGs: they are decoded at the smallest of 1,
    1/2, 1/4, 1/8 that leaves twice as many pixels per side as are wanted.

    Parameters
    ----------
    data
        The bytes of an image file.
    side
        Bound on the longer side in pixels, at least 1.
    name
        What messages call it.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, upright.

    Raises
    ------
    SampleError
        As `open_rgb`.
    """
    with _decoding(name), _opened(data, name) as image:
        scale = min(1.0, 2 * side / max(image.size))
        image.draft(None, (int(image.width * scale), int(image.height * scale)))
        with _turn_for(image):
            return np.array(_within(_to_rgb(_upright(image)), side), dtype=np.uint8)


def short_side(data: bytes | Path, *, name: str | None = None) -> int:
    """Return the length of the shorter side in pixels; reads the header only.

    Raises
    ------
    SampleError
        As `open_rgb`, but damaged pixels go unnoticed.
    """
    name = name or (printable(str(data)) if isinstance(data, Path) else "The image")
    with _decoding(name), _opened(_bytes_of(data, name), name) as image:
        return min(image.size)


def fit_square(rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the centre square of an image, scaled.

    The centre square is as large as the short side allows; what sticks out on the long side is cut
    off equally at both ends (the odd pixel at the far end). It is scaled with a triangle filter
    whose width grows with the reduction (no aliasing), after box averaging where the reduction is
    large. An image that has the wanted size already comes back unchanged.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    size
        Side S of the square in pixels, at least 1.

    Returns
    -------
    ndarray
        (S, S, 3) uint8.

    Examples
    --------
    >>> fit_square(np.full((4, 6, 3), 7, dtype=np.uint8), 2).tolist()
    [[[7, 7, 7], [7, 7, 7]], [[7, 7, 7], [7, 7, 7]]]
    """
    return _square(Image.fromarray(rgb), size)


def fit_within(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image scaled down until its longer side is at most `side`; never scaled up.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    side
        Bound on the longer side in pixels, at least 1.

    Examples
    --------
    >>> fit_within(np.full((4, 8, 3), 7, dtype=np.uint8), 4).shape
    (2, 4, 3)
    """
    if max(rgb.shape[:2]) <= side:
        return rgb
    return np.array(_within(Image.fromarray(rgb), side), dtype=np.uint8)


def rgb_of_array(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one image of an array dataset as RGB.

    Parameters
    ----------
    values
        uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); the fourth channel is opacity and
        is laid over white.

    Returns
    -------
    ndarray
        (H, W, 3) uint8.
    """
    if values.ndim == 3 and values.shape[2] == 4:
        return np.array(_over_white(Image.fromarray(np.ascontiguousarray(values))))
    if values.ndim == 2:
        values = values[:, :, np.newaxis]
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), order="C")


def _bytes_of(data: bytes | Path, name: str) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        _check_file(data.stat(), name)
        return data.read_bytes()
    except SampleError:
        raise
    except FileNotFoundError as error:
        raise SampleError(f"{name} does not exist.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SampleError(f"{name} cannot be read: {reason}.") from error


def _check_file(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):  # a pipe might never end
        raise SampleError(f"{name} cannot be read: it is no ordinary file.")
    if status.st_size > MAX_FILE_BYTES:
        raise SampleError(f"{name} is larger than 2 GiB: make it smaller.")


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    if not data:
        raise SampleError(f"{name} is empty (0 bytes): copy the file again.")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise SampleError(
            f"{name} is not an image of a known format (JPEG, PNG, BMP, PPM, TIFF, WebP) "
            "or its header is damaged."
        ) from error
    with image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise SampleError(_bomb(name, f" ({width} × {height})"))
        if not width or not height:
            raise SampleError(f"{name} has no pixels ({width} × {height}): replace it.")
        yield image


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Answer everything that Pillow raises on a damaged or hostile file with one sentence."""
    try:
        with _quiet():
            yield
    except SampleError:
        raise
    except Image.DecompressionBombError as error:
        raise SampleError(_bomb(name)) from error
    except MemoryError as error:
        raise SampleError(f"{name} does not fit into memory: make it smaller.") from error
    except Exception as error:  # a crafted header can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        if "truncated" in reason.lower() or isinstance(error, EOFError):
            text = f"{name} is truncated, its image data end too early: copy the file again."
        else:
            text = f"{name} is damaged and cannot be decoded ({reason[:120]}): copy the file again."
        raise SampleError(text) from error


def _bomb(name: str, size: str = "") -> str:
    return (
        f"{name} is refused as a decompression bomb: it claims more than {MAX_PIXELS:,} "
        f"pixels{size}; make it smaller."
    )


def _turn_for(image: Image.Image) -> AbstractContextManager[object]:
    return _large if image.width * image.height > _LARGE_PIXELS else nullcontext()


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged metadata must not cost the image
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    # TIFF is turned by Pillow itself while loading; the tag is removed then.
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "I":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bits(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    if values.min() >= 0 and values.max() <= 0xFFFF:
        return (values >> 8).astype(np.uint8)
    return _stretched(values)


def _stretched(values: NDArray[np.float32] | NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return values mapped from their finite range to 0..255; what is not finite becomes 0."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = float(values[finite].min()), float(values[finite].max())
    if low == high:
        return np.zeros(values.shape, dtype=np.uint8)
    scaled = (np.where(finite, values, low).astype(np.float64) - low) * (255.0 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def _over_white(rgba: Image.Image) -> Image.Image:
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if side == size:
        return np.array(image.crop(box), dtype=np.uint8)
    scaled = image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.array(scaled, dtype=np.uint8)


def _within(image: Image.Image, side: int) -> Image.Image:
    longest = max(image.size)
    if longest <= side:
        return image
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


class _Quiet:
    """Hold back Pillow's warnings while at least one thread decodes.

    Warning filters belong to the process: if each thread saved and restored them, one could restore
    what another had changed. So the first one in saves them and the last one out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._saved = warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._saved.__exit__(None, None, None)


_quietness = _Quiet()


@contextmanager
def _quiet() -> Iterator[None]:
    _quietness.enter()
    try:
        yield
    finally:
        _quietness.leave()
