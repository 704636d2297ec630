"""What can be seen in an image without any weights: how strongly it resembles patches of other images.

Coates, Ng and Lee (2011): patches are drawn at random, whitened, and every image says, quarter by quarter,
how near it comes to each of them. A linear classifier on that is far behind a trained network and takes
seconds; it is what the estimate of a gain looks at where no backbone has looked before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

SIDE = 6
"""Side of a patch in pixels."""

LARGEST_SIDE = 32
"""Images are shrunk to at most this, by means of blocks."""

_N_DRAWN = 20_000
_WHITENING = 0.1
_CHUNK = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dictionary:
    """Whitened patches to compare with.

    Parameters
    ----------
    mean, whitening
        Of normalised patches, (D,) and (D, D) float32 with D = 3 `SIDE`².
    patches
        Whitened, of unit length, (P, D) float32.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    patches: NDArray[np.float32]


def learn(images: NDArray[np.uint8], *, n_patches: int = 256, seed: int = 0) -> Dictionary:
    """Return patches drawn from images, and what whitens them.

    Parameters
    ----------
    images
        (M, S, S, 3) uint8, possibly memory-mapped; S is at least `SIDE`.
    n_patches
        Number of patches P.
    seed
        Of the draw.

    Raises
    ------
    InputError
        If the images are smaller than a patch.
    """
    if images.ndim != 4 or images.shape[1] < SIDE:
        raise InputError(f"Images must have at least {SIDE} pixels a side, got {images.shape}.")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(images), size=min(len(images), 1000), replace=False))
    small = shrunk(np.asarray(images[chosen]))
    each = -(-_N_DRAWN // len(chosen))
    image = np.repeat(np.arange(len(chosen)), each)
    row, column = rng.integers(0, small.shape[1] - SIDE + 1, size=(2, len(image)))
    at = np.arange(SIDE)
    drawn = small[
        image[:, None, None], row[:, None, None] + at[:, None], column[:, None, None] + at
    ]
    values = _normalised(drawn.reshape(len(image), -1))
    mean = values.mean(axis=0)
    covariance = np.cov(values, rowvar=False).astype(np.float64)
    size, direction = np.linalg.eigh(covariance)
    whitening = (direction / np.sqrt(np.maximum(size, 0) + _WHITENING)) @ direction.T
    whitened = (values - mean) @ whitening.astype(np.float32)
    patches = whitened[rng.choice(len(whitened), size=n_patches, replace=False)]
    length = np.linalg.norm(patches, axis=1, keepdims=True)
    return Dictionary(
        mean=mean.astype(np.float32),
        whitening=whitening.astype(np.float32),
        patches=(patches / np.maximum(length, 1e-6)).astype(np.float32),
    )


def describe(
    images: NDArray[np.uint8],
    dictionary: Dictionary,
    *,
    tick: Callable[[float], object] = float,
) -> NDArray[np.float32]:
    """Return how strongly each quarter of each image resembles each patch.

    Parameters
    ----------
    images
        (M, S, S, 3) uint8, possibly memory-mapped.
    dictionary
        From `learn`, with P patches.
    tick
        Told now and then which part is done, in [0, 1]; may raise to stop.

    Returns
    -------
    ndarray
        (M, 4P) float32, not negative.
    """
    n_patches = len(dictionary.patches)
    found = np.empty((len(images), 4 * n_patches), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        small = shrunk(np.asarray(images[start : start + _CHUNK]))
        found[start : start + _CHUNK] = _described(small, dictionary)
        tick(min(1.0, (start + _CHUNK) / len(images)))
    return found


def shrunk(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images of at most `LARGEST_SIDE` pixels, means of blocks, (M, s, s, 3) float32."""
    side = images.shape[1]
    values = np.asarray(images, dtype=np.float32)
    if side <= LARGEST_SIDE:
        return values
    bounds = np.arange(LARGEST_SIDE + 1) * side // LARGEST_SIDE
    values = np.add.reduceat(np.add.reduceat(values, bounds[:-1], axis=1), bounds[:-1], axis=2)
    width = np.diff(bounds).astype(np.float32)
    return values / (width[:, None] * width[None, :])[None, :, :, None]


def _described(small: NDArray[np.float32], dictionary: Dictionary) -> NDArray[np.float32]:
    n_images, side = small.shape[:2]
    step = 1 if side < 16 else 2
    windows = np.lib.stride_tricks.sliding_window_view(small, (SIDE, SIDE), axis=(1, 2))
    windows = windows[:, ::step, ::step].transpose(0, 1, 2, 4, 5, 3)
    n_places = windows.shape[1]
    values = _normalised(windows.reshape(n_images * n_places**2, -1))
    alike = (values - dictionary.mean) @ dictionary.whitening @ dictionary.patches.T
    alike = np.maximum(alike - alike.mean(axis=1, keepdims=True), 0)
    alike = alike.reshape(n_images, n_places, n_places, -1)
    half = max(1, n_places // 2)
    quarters = [
        alike[:, rows, columns].mean(axis=(1, 2))
        for rows in (slice(half), slice(n_places - half, None))
        for columns in (slice(half), slice(n_places - half, None))
    ]
    return np.concatenate(quarters, axis=1)


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return patches without mean and contrast; ten grey levels keep flat ones from becoming noise."""
    values = values - values.mean(axis=1, keepdims=True)
    return values / np.sqrt(values.var(axis=1, keepdims=True) + 10.0)
