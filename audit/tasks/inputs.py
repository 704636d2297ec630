"""What a training on a dataset begins with: pixels or features, decoded once and checked each time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.compute import weights
from audit.datasets import pixels, presence, touched
from audit.datasets.pixels import Pixels
from audit.errors import InputError, TrainingError
from audit.records.dataset import Dataset, Split
from audit.records.progress import Report
from audit.records.run import RunConfig
from audit.store import findings, pixel_names
from audit.store import pixels as pixel_store
from audit.store.workspace import Workspace
from audit.training import backbones, features

_TRAINING_BEGINS, _TRAINING_ON_FEATURES_BEGINS = 0.1, 0.85
"""Part of the progress bar that decoding takes, and decoding and extracting features."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """The inputs of every image of a dataset that can be read.

    Parameters
    ----------
    inputs
        Images (M, S, S, 3) uint8 or features (M, D) float32, memory-mapped.
    pixels
        The decoded images and what is known of them; `Pixels.positions` are those of `inputs`.
    begins
        Part of the progress bar that is used up.
    """

    inputs: NDArray[np.uint8] | NDArray[np.float32]
    pixels: Pixels
    begins: float


def gather(workspace: Workspace, dataset: Dataset, config: RunConfig, report: Report) -> Gathered:
    """Return the inputs of every usable sample, from the cache or made now.

    Parameters
    ----------
    workspace, dataset
        Whose images.
    config
        ``image_size``, ``architecture``, ``backbone``, ``weights``, ``precision``, ``device``, ``threads``.
    report
        Told what is done, for a progress bar that training goes on with.

    Raises
    ------
    InputError
        If images or weights changed on disk since they were first read.
    TrainingError
        If most images cannot be read.
    """
    begins = _TRAINING_BEGINS
    decoded = pixels_of(workspace, dataset, config, part(report, 0.0, begins))
    if config.architecture != "features":
        return Gathered(inputs=decoded.images, pixels=decoded, begins=begins)
    variant = features_variant_of(config)
    if pixel_store.find(workspace, dataset.id, config.image_size, variant=variant) is None:
        begins = _TRAINING_ON_FEATURES_BEGINS
    extracting = part(report, _TRAINING_BEGINS, begins)
    found = _features_of(workspace, dataset, config, decoded, extracting)
    return Gathered(inputs=found, pixels=decoded, begins=begins)


def part(report: Report, begin: float, end: float) -> Report:
    """Return a report for a part of the work, from one fraction of the whole to another."""

    def of_part(fraction: float, message: str) -> None:
        report(begin + (end - begin) * fraction, message)

    return of_part


def pixels_of(workspace: Workspace, dataset: Dataset, config: RunConfig, report: Report) -> Pixels:
    """Return the decoded images of every usable sample, from the cache or made now."""

    def write(folder: Path) -> None:
        presence.check(dataset)  # it may have moved while the job waited
        made = pixels.decode(
            dataset,
            dataset.usable(tuple(Split)),
            size=config.image_size,
            folder=folder,
            threads=config.threads,
            report=report,
        )
        _refuse_if_mostly_unreadable(dataset, made)
        _check_bytes(workspace, dataset, made.content_digests)

    folder = pixel_store.find_or_make(workspace, dataset.id, config.image_size, write=write)
    decoded = pixels.load(folder)
    _check_files(workspace, dataset, decoded, folder, report)
    if decoded.problems:
        # Every time: the process that sealed the pixels may have died before it came here.
        findings.record_problems(workspace, dataset.id, decoded.problems)
    return decoded


def _refuse_if_mostly_unreadable(dataset: Dataset, decoded: Pixels) -> None:
    """Refuse rather than remember a problem per image where most cannot be read.

    A folder that is not mounted today would otherwise be left out of every later run.

    Raises
    ------
    TrainingError
        If more than half of the images could not be read; says why for the first.
    """
    n_bad = len(decoded.problems)
    if n_bad > len(decoded.positions):
        first = decoded.problems[min(decoded.problems)]
        raise TrainingError(
            f"{n_bad} of {n_bad + len(decoded.positions)} images of {dataset.name!r} could not be read "
            f"(is a disk missing?), the first because: {first}"
        )


def _check_files(
    workspace: Workspace, dataset: Dataset, decoded: Pixels, folder: Path, report: Report
) -> None:
    """Refuse images whose files changed since their pixels were decoded.

    Raises
    ------
    InputError
        If an image's bytes are not those of an earlier run.
    """
    found = touched.find(dataset, np.sort(decoded.positions), folder, report)
    if found.n_touched:
        _check_bytes(workspace, dataset, found.content_digests)
        touched.keep(folder, found.states)


def _check_bytes(workspace: Workspace, dataset: Dataset, digests: NDArray[np.uint8]) -> None:
    """Store digests of the bytes; refuse bytes that changed since they were first read.

    Raises
    ------
    InputError
        If an image's bytes are not those of an earlier run.
    """
    changed = findings.record_content_digests(workspace, dataset.id, digests)
    if len(changed):
        first = dataset.sample_keys[int(changed[0])]
        raise InputError(
            f"{len(changed)} images of {dataset.name!r} changed on disk since an earlier run, "
            f"{first!r} first; import the source again under a new name."
        )


def features_variant_of(config: RunConfig) -> str:
    """Return what features depend on beside the pixels: backbone, weights, precision."""
    name = config.backbone or "squeezenet"
    path = backbones.locate(name, config.weights)
    digest = weights.digest(path)
    # Asked here as well: features of the new weights may lie there from another run.
    if config.weights_digest is not None and digest != config.weights_digest:
        raise InputError(
            f"Weights {str(path)!r} have changed since the run was made: put the old "
            "file back, or start a new run."
        )
    return pixel_names.features_variant(name, digest, config.precision)


def _features_of(
    workspace: Workspace, dataset: Dataset, config: RunConfig, decoded: Pixels, report: Report
) -> np.ndarray:
    """Return the features of every decoded image, from the cache or extracted now."""

    def write(folder: Path) -> None:
        features.write(folder, features.extract(decoded.images, config, report))

    folder = pixel_store.find_or_make(
        workspace, dataset.id, config.image_size, write=write, variant=features_variant_of(config)
    )
    return features.read(folder)
