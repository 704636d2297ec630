"""Images of one set that another holds too: the same pixels, or nearly the same.

A test image that is also a training image says nothing about what a network learnt. Equal pixels are
found by their digests. Nearly equal ones are found by what is left of an image without its mean grey level
and contrast, so that other brightness, other contrast, mirroring and another compression do not hide it;
another crop does.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

SIDE = 8
"""Side of the blocks' mean values that candidates are found by."""

LEAST_ALIKE, LEAST_EQUAL = 0.97, 0.98
"""Correlation of block means that makes a candidate, and of all pixels that makes a near duplicate."""

MOST_LEFT = 6.0
"""Root mean square in grey levels of what brightness and contrast do not explain: compression leaves less,
two handwritten digits of one shape leave three times as much."""

LEAST_CONTRAST = 4.0
"""Standard deviation in grey levels below which an image has nothing to be recognised by."""

_CHUNK = 512
_MOST_LIKELY = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Twins:
    """Images that another set holds too.

    Parameters
    ----------
    index
        Position in the first set, ascending, (D,) int64.
    twin
        Position in the other set of the image that is most like it, (D,) int64.
    is_exact
        Whether the two have equal pixels, (D,) bool.
    """

    index: NDArray[np.int64]
    twin: NDArray[np.int64]
    is_exact: NDArray[np.bool_]


def find(
    images: NDArray[np.uint8], others: NDArray[np.uint8], *, tick: Callable[[], object] = int
) -> Twins:
    """Return the images that another set holds too, exactly or nearly.

    Parameters
    ----------
    images, others
        (M, S, S, 3) and (N, S, S, 3) uint8, possibly memory-mapped.
    tick
        Called now and then; may raise to stop.

    Returns
    -------
    Twins
        At most one per image of the first set.

    Raises
    ------
    InputError
        If the images have different sizes.
    """
    if images.shape[1:] != others.shape[1:] or images.ndim != 4:
        raise InputError(f"Images must have one size, got {images.shape} and {others.shape}.")
    twin = exact(images, others, tick=tick)
    is_exact = twin >= 0
    left = np.flatnonzero(~is_exact)
    twin[left] = _near(images, left, others, tick)
    index = np.flatnonzero(twin >= 0)
    return Twins(index=index, twin=twin[index], is_exact=is_exact[index])


def exact(
    images: NDArray[np.uint8], others: NDArray[np.uint8], *, tick: Callable[[], object] = int
) -> NDArray[np.int64]:
    """Return for each image the first of the others with equal pixels, (M,) int64; -1 where there is none."""
    by_digest: dict[bytes, int] = {}
    for position, image in enumerate(others):
        if position % _CHUNK == 0:
            tick()
        by_digest.setdefault(_digest(image), position)
    found = [by_digest.get(_digest(image), -1) for image in images]
    return np.array(found, dtype=np.int64)


def _near(
    images: NDArray[np.uint8],
    left: NDArray[np.int64],
    others: NDArray[np.uint8],
    tick: Callable[[], object],
) -> NDArray[np.int64]:
    """Return for some images the most similar one of the others, -1 where none is near enough."""
    twin = np.full(len(left), -1, dtype=np.int64)
    if not len(left) or not len(others):
        return twin
    theirs = np.concatenate(
        [_marks(others[start : start + _CHUNK]) for start in range(0, len(others), _CHUNK)]
    )
    for start in range(0, len(left), _CHUNK):
        here = slice(start, start + _CHUNK)
        own = np.asarray(images[left[here]])
        best = np.full(len(own), LEAST_EQUAL)
        for view in (own, own[:, :, ::-1]):
            tick()
            alike = _marks(view) @ theirs.T
            for row in np.flatnonzero(alike.max(axis=1) >= LEAST_ALIKE):
                # Of a hundred lookalikes the nearest ones tell.
                likely = np.argsort(-alike[row])[:_MOST_LIKELY]
                likely = likely[alike[row, likely] >= LEAST_ALIKE]
                equal, unexplained = _likeness(view[row], others[np.sort(likely)])
                equal[unexplained > MOST_LEFT] = -1
                at = int(equal.argmax())
                if equal[at] >= best[row]:
                    best[row] = equal[at]
                    twin[start + row] = np.sort(likely)[at]
    return twin


def _marks(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return block means without mean and contrast, (M, D) float32; zeros for images without contrast."""
    side = images.shape[1]
    n_blocks = min(SIDE, side)
    bounds = np.arange(n_blocks + 1) * side // n_blocks
    values = np.asarray(images, dtype=np.float32)
    values = np.add.reduceat(values, bounds[:-1], axis=1)
    values = np.add.reduceat(values, bounds[:-1], axis=2)
    height = np.diff(bounds).astype(np.float32)
    values /= (height[:, None] * height[None, :])[None, :, :, None]
    return _standardised(values.reshape(len(values), -1))


def _standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(values).sum(axis=1, keepdims=True))
    seen = length >= LEAST_CONTRAST * np.sqrt(values.shape[1])
    return np.where(seen, values / np.maximum(length, 1e-6), 0).astype(np.float32)


def _likeness(
    one: NDArray[np.uint8], others: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the correlation of an image with others, and the grey levels that it leaves unexplained."""
    values = np.concatenate([one[None], others]).reshape(len(others) + 1, -1).astype(np.float32)
    marks = _standardised(values)
    equal = marks[1:] @ marks[0]
    deviation = values.std(axis=1)
    contrast = np.minimum(deviation[1:], deviation[0])
    return equal, contrast * np.sqrt(np.maximum(0, 1 - equal**2))


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()
