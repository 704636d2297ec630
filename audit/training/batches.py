"""Inputs of a batch, on the device: pixels with a random view of their own, or features.

Pixels stay uint8 until the batch needs them, and there is no loader: a batch is a few index
operations on one array. Where the device cannot hold the array, the same rows are gathered on the
host from its (possibly memory-mapped) file.
"""

from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.compute import seeding
from audit.errors import InputError
from audit.records.run import Augmentation, RunConfig

DEVICE_SHARE = 0.5
"""Part of an accelerator's free memory that the inputs may take; the network needs the rest."""

N_COUNTED = 20_000
"""Most rows whose pixels are counted for mean and deviation, spread evenly over all rows."""

_CHUNK = 1024

# Pixels counted at once: counting takes eight bytes for each of them.
_PIXELS_COUNTED = 4 << 20


class Inputs(Protocol):
    """What the training loop asks for its inputs."""

    def start_epoch(self, epoch: int) -> None:
        """Draw what is random in an epoch."""
        ...

    def batch(self, rows: NDArray[np.int64], rows_on_device: Tensor) -> Tensor:
        """Return the network's inputs for rows, given on the host and on the device, (B,) each."""
        ...

    def look(self, entry: NDArray[np.int64]) -> Tensor:
        """Return the network's inputs for positions in the array of inputs, (B,); nothing is random."""
        ...


def prepare(
    inputs: NDArray[np.uint8] | NDArray[np.float32],
    entry: NDArray[np.int64],
    *,
    config: RunConfig,
    device: torch.device,
) -> Inputs:
    """Return the inputs of a run.

    Parameters
    ----------
    inputs
        Images (M, S, S, 3) uint8, possibly memory-mapped, or features (M, D) float32.
    entry
        Position in `inputs` of each row, (R,) int64.
    config
        ``augmentation``, ``image_size``, ``seed`` and ``probe_part``.
    device
        Where the network is.

    Raises
    ------
    InputError
        If the inputs have another shape or dtype, or another side than ``image_size``.
    """
    side = config.image_size
    if inputs.ndim == 2 and inputs.dtype == np.float32:
        return Features(cast("NDArray[np.float32]", inputs), entry, device=device)
    if inputs.shape[1:] == (side, side, 3) and inputs.dtype == np.uint8:
        return Images(cast("NDArray[np.uint8]", inputs), entry, config=config, device=device)
    raise InputError(
        f"Inputs must be float32 features (M, D) or uint8 images (M, {side}, {side}, 3), "
        f"got {inputs.dtype} {inputs.shape}."
    )


class Images:
    """Pixels with a random shift, and where asked for a mirror image, per row and epoch.

    Parameters
    ----------
    images
        (M, S, S, 3) uint8, RGB.
    entry
        Position in `images` of each row, (R,) int64.
    config
        ``augmentation``, ``seed`` and ``probe_part``.
    device
        Where batches are wanted.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        entry: NDArray[np.int64],
        *,
        config: RunConfig,
        device: torch.device,
    ) -> None:
        self._store = _Store(images, entry, device=device)
        self._config = config
        self._device = device
        self._n_rows = len(entry)
        mean, deviation = channel_statistics(images, entry)
        self._mean = torch.from_numpy(mean.astype(np.float32)).to(device)
        self._scale = torch.from_numpy((1 / deviation).astype(np.float32)).to(device)
        self._view: Tensor | None = None

    def start_epoch(self, epoch: int) -> None:
        """Draw every row's shift and mirror for the epoch; they depend on nothing else."""
        if self._config.augmentation is Augmentation.NONE:
            return
        self._view = draw_views(self._n_rows, epoch, self._config).to(self._device)

    def batch(self, rows: NDArray[np.int64], rows_on_device: Tensor) -> Tensor:
        """Return normalised images (B, 3, S, S) float32, channels last in memory."""
        pixels = self._store.gather(rows, rows_on_device)
        if self._view is not None:
            pixels = shift_and_mirror(pixels, self._view[rows_on_device])
        return self._normalised(pixels)

    def look(self, entry: NDArray[np.int64]) -> Tensor:
        """Return images as they are, normalised as in training, (B, 3, S, S) float32."""
        return self._normalised(self._store.at(entry))

    def _normalised(self, pixels: Tensor) -> Tensor:
        return ((pixels.float() - self._mean) * self._scale).permute(0, 3, 1, 2)


class Features:
    """Features, standardised per column over the rows; nothing is random.

    Parameters
    ----------
    features
        (M, D) float32.
    entry
        Position in `features` of each row, (R,) int64.
    device
        Where batches are wanted.
    """

    def __init__(
        self, features: NDArray[np.float32], entry: NDArray[np.int64], *, device: torch.device
    ) -> None:
        self._store = _Store(features, entry, device=device)
        total = np.zeros(features.shape[1])
        squares = np.zeros(features.shape[1])
        for start in range(0, len(entry), _CHUNK):
            chunk = features[entry[start : start + _CHUNK]].astype(np.float64)
            total += chunk.sum(axis=0)
            squares += np.square(chunk).sum(axis=0)
        mean = total / len(entry)
        deviation = np.sqrt(np.maximum(squares / len(entry) - mean**2, 0))
        # A column that never changes carries nothing; dividing by its rounding error would.
        deviation[deviation < 1e-6 * (1 + np.abs(mean))] = 1
        self._mean = torch.from_numpy(mean.astype(np.float32)).to(device)
        self._scale = torch.from_numpy((1 / deviation).astype(np.float32)).to(device)

    def start_epoch(self, epoch: int) -> None:
        """Do nothing: features have no random views."""

    def batch(self, rows: NDArray[np.int64], rows_on_device: Tensor) -> Tensor:
        """Return standardised features (B, D) float32."""
        return (self._store.gather(rows, rows_on_device) - self._mean) * self._scale

    def look(self, entry: NDArray[np.int64]) -> Tensor:
        """Return features, standardised as in training, (B, D) float32."""
        return (self._store.at(entry) - self._mean) * self._scale


class _Store:
    """The array of all inputs: resident on an accelerator where it fits, else on the host."""

    def __init__(
        self,
        array: NDArray[np.uint8] | NDArray[np.float32],
        entry: NDArray[np.int64],
        *,
        device: torch.device,
    ) -> None:
        self._array = array
        self._entry = entry
        self._device = device
        self._resident: Tensor | None = None
        if array.nbytes <= _room_on(device):
            self._resident = _moved(array, device)
            self._entry_on_device = torch.from_numpy(entry).to(device)

    def gather(self, rows: NDArray[np.int64], rows_on_device: Tensor) -> Tensor:
        """Return the inputs of rows on the device, (B, …), dtype of the array."""
        if self._resident is not None:
            return self._resident.index_select(0, self._entry_on_device[rows_on_device])
        return self._from_host(self._entry[rows])

    def at(self, entry: NDArray[np.int64]) -> Tensor:
        """Return inputs by their position in the array, on the device, (B, …), dtype of the array."""
        if self._resident is not None:
            return self._resident.index_select(0, torch.from_numpy(entry).to(self._device))
        return self._from_host(entry)

    def _from_host(self, entry: NDArray[np.int64]) -> Tensor:
        batch = torch.from_numpy(self._array[entry])
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self._device, non_blocking=True)


def _moved(array: NDArray[np.uint8] | NDArray[np.float32], device: torch.device) -> Tensor:
    """Return an array on a device, copied in parts: host memory may be smaller than the device's."""
    first = torch.from_numpy(np.array(array[:0]))
    moved = torch.empty(array.shape, dtype=first.dtype, device=device)
    for start in range(0, len(array), _CHUNK):
        part = np.array(array[start : start + _CHUNK])
        moved[start : start + len(part)] = torch.from_numpy(part).to(device)
    return moved


def _room_on(device: torch.device) -> int:
    """Return the bytes that inputs may take on a device; none on the CPU, which reads the file."""
    if device.type == "cuda":
        return int(DEVICE_SHARE * torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(DEVICE_SHARE * torch.mps.recommended_max_memory())
    return 0


def channel_statistics(
    images: NDArray[np.uint8], entry: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation per channel over the rows' pixels, in grey levels.

    Of more than `N_COUNTED` rows every n-th is counted: the mean of that many images is known to a
    fraction of a grey level, and reading all of a large file would delay the first epoch.

    Parameters
    ----------
    images
        (M, S, S, 3) uint8.
    entry
        Positions to count, repeated ones repeatedly, (R,) int64.

    Returns
    -------
    tuple of ndarray
        Means (3,) in [0, 255] and deviations (3,), at least one grey level, float64.
    """
    levels = np.arange(256, dtype=np.float64)
    counts = np.zeros((3, 256), dtype=np.int64)
    entry = entry[:: -(-len(entry) // N_COUNTED)]
    step = max(1, _PIXELS_COUNTED // (images.shape[1] * images.shape[2]))
    for start in range(0, len(entry), step):
        chunk = images[entry[start : start + step]]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    n_pixels = counts.sum(axis=1)
    mean = counts @ levels / n_pixels
    variance = counts @ levels**2 / n_pixels - mean**2
    return mean, np.sqrt(np.maximum(variance, 1.0))


def draw_views(n_rows: int, epoch: int, config: RunConfig) -> Tensor:
    """Return every row's view of an epoch: shift down, shift right, mirrored.

    Parameters
    ----------
    n_rows
        Number of rows R.
    epoch
        Epoch, counted from 0.
    config
        ``augmentation``, ``image_size``, ``seed`` and ``probe_part``.

    Returns
    -------
    Tensor
        (R, 3) int64 on the CPU: shifts in pixels, uniform in ±S/8, and 0 or 1 for the mirror.
    """
    draw = seeding.generator("cpu", config.seed, "views", config.probe_part, epoch)
    reach = config.image_size // 8
    shifts = torch.randint(-reach, reach + 1, (n_rows, 2), generator=draw)
    mirrored = torch.randint(0, 2, (n_rows, 1), generator=draw)
    if config.augmentation is not Augmentation.CROP_FLIP:
        mirrored = torch.zeros_like(mirrored)
    return torch.cat([shifts, mirrored], dim=1)


def shift_and_mirror(pixels: Tensor, view: Tensor) -> Tensor:
    """Return every image shifted by its own offset, and mirrored left to right where asked for.

    What comes in at the border is the image's own reflection, as if it had been padded by
    reflection and cropped.

    Parameters
    ----------
    pixels
        (B, S, S, 3).
    view
        (B, 3) int64 as `draw_views` returns them; shifts smaller than S.

    Returns
    -------
    Tensor
        (B, S, S, 3), dtype of `pixels`.
    """
    n, side = pixels.shape[:2]
    place = torch.arange(side, device=pixels.device)
    rows = _reflect(place + view[:, :1], side)
    columns = _reflect(place + view[:, 1:2], side)
    columns = torch.where(view[:, 2:] > 0, columns.flip(1), columns)
    flat = pixels.reshape(n * side * side, 3)
    image = torch.arange(n, device=pixels.device) * (side * side)
    at = (image[:, None] + rows * side)[:, :, None] + columns[:, None, :]
    # index_select moves whole pixels: on a CPU 30 times faster than indexing with the same numbers.
    return flat.index_select(0, at.reshape(-1)).reshape(pixels.shape)


def _reflect(place: Tensor, side: int) -> Tensor:
    place = place.abs()
    return torch.where(place >= side, 2 * (side - 1) - place, place)
