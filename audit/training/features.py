"""Features: what a frozen backbone sees in every image, computed once before training."""

from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from audit.compute import device as devices
from audit.compute import weights
from audit.errors import InputError
from audit.records.progress import Report, silent
from audit.records.run import Precision, RunConfig
from audit.training import backbones

MIN_IMAGE = 32

_FILE = "features.npy"

# Pixels rather than images in a batch: its maps take the same memory at every size.
_PIXELS_PER_BATCH = 64 * 128 * 128


def extract(
    images: NDArray[np.uint8], config: RunConfig, report: Report = silent
) -> NDArray[np.float32]:
    """Return the features of images.

    The same images and settings give the same features on one CPU. Reduced precision is used where
    the run's own precision is reduced, which is decided by what pays when a run is made.

    Parameters
    ----------
    images
        (M, S, S, 3) uint8 RGB, possibly memory-mapped; S is ``config.image_size``, at least 32.
    config
        ``backbone``, ``weights``, ``weights_digest``, ``precision`` and ``device``.
    report
        Told after each batch.

    Returns
    -------
    ndarray
        (M, D) float32: 1,408 of SqueezeNet, 512 of ResNet-18 and -34, 2,048 of ResNet-50.

    Raises
    ------
    InputError
        If there are no weights, they do not fit or have changed since the run was made, or the
        images have another shape.
    """
    side = config.image_size
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise InputError(
            f"Images must be uint8 (M, {side}, {side}, 3), got {images.dtype} {images.shape}."
        )
    if side < MIN_IMAGE:
        raise InputError(
            f"Images of {side} pixels are too small for a backbone; use --image-size 128."
        )
    name = config.backbone or "squeezenet"
    path = backbones.locate(name, config.weights)
    if config.weights_digest is not None and weights.digest(path) != config.weights_digest:
        raise InputError(f"Weights {str(path)!r} have changed since the run was made.")
    device = torch.device(devices.resolve(config.device))
    backbone = backbones.load(name, path).to(device)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    n_images = len(images)
    features = np.empty((n_images, backbone.n_features), dtype=np.float32)
    reduced = config.precision is Precision.BFLOAT16
    size = max(1, _PIXELS_PER_BATCH // side**2)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced)
    for start in range(0, n_images, size):
        stop = min(start + size, n_images)
        with torch.inference_mode(), autocast:
            pixels = torch.from_numpy(np.array(images[start:stop])).to(device)
            features[start:stop] = backbone(pixels).cpu().numpy()
        report(stop / n_images, f"Features of {stop} of {n_images} images")
    return features


def write(folder: Path, features: NDArray[np.float32]) -> None:
    """Write features into a folder, to be read by `read`.

    Parameters
    ----------
    folder
        An empty folder.
    features
        (M, D) float32.

    Raises
    ------
    OSError
        If the disk is full or cannot be written; it carries the error number.
    """
    header = {
        "descr": npy.dtype_to_descr(features.dtype),
        "fortran_order": False,
        "shape": features.shape,
    }
    # numpy.save loses the error number of a full disk, by which it is told from a mistake.
    with (folder / _FILE).open("wb") as stream:
        npy.write_array_header_1_0(stream, header)
        stream.write(np.ascontiguousarray(features).reshape(-1).view(np.uint8).data)


def read(folder: Path) -> NDArray[np.float32]:
    """Return the features that `write` wrote, (M, D) float32, memory-mapped."""
    return np.load(folder / _FILE, mmap_mode="r", allow_pickle=False)
