"""From what a user wishes to settings that leave nothing open."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audit.datasets import pixels, presence
from audit.datasets.reader import SampleReader
from audit.errors import InputError, NotFoundError, SampleError
from audit.records import preset as presets
from audit.records.dataset import Dataset, SourceKind, Split
from audit.records.preset import Preset
from audit.records.run import Augmentation, Precision, Probe, RunConfig, Schedule
from audit.store import ids
from audit.workbench import machine

SMALLEST_SIDE, LARGEST_SIDE = 16, 64
"""Bounds in pixels of the image size that suits the data when a preset leaves it open."""

PIXELS_PER_THREAD = 50_000
"""Pixels of a shard that make another thread of one operation worth its while: 49 images of 32 pixels."""

ROWS_PER_SHARD = 32
"""Fewest rows that batch-norm is left with where a batch is shared out among cores."""

_CHARACTER = re.compile(
    r"[a-z]|\d+|[ivxlcdm]+|zero|one|two|three|four|five|six|seven|eight|nine", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a user asked for; ``None`` leaves it to the preset, the data and the machine."""

    preset: str = "quick"
    probe: Probe = Probe.NONE
    probe_fraction: float | None = None
    epochs: int | None = None
    architecture: str | None = None
    backbone: str | None = None
    weights: Path | None = None
    image_size: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    augmentation: Augmentation | None = None
    precision: Precision | None = None
    device: str = "auto"
    shards: int | None = None
    workers: int | None = None
    seed: int = 0
    splits: tuple[Split, ...] = (Split.TRAIN,)
    stop_when_stable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What a first look at some images tells: median short side in pixels, colour or grey."""

    median_short_side: int
    is_coloured: bool


def settle(
    dataset: Dataset, wishes: Wishes, *, looks: Looks | None = None
) -> tuple[RunConfig, ...]:
    """Return the settings of the runs that a wish stands for, every one frozen.

    Parameters
    ----------
    dataset
        What will be trained on.
    wishes
        Preset and what the user changed of it.
    looks
        What `look` returned for these samples, where the caller has it at hand.

    Returns
    -------
    tuple of RunConfig
        One, or two for a threshold probe (METHODS: every sample is scored by at least one of them).

    Raises
    ------
    InputError, NotFoundError
        If a setting is out of range, a name unknown, or no sample can be trained on.
    """
    preset = presets.find(wishes.preset)
    architecture = wishes.architecture or preset.architecture
    if architecture not in presets.ARCHITECTURES:
        known = ", ".join(presets.ARCHITECTURES)
        raise NotFoundError(f"There is no architecture {architecture!r}; there are {known}.")
    on_features = architecture == "features"
    backbone = (wishes.backbone or preset.backbone or "squeezenet") if on_features else None
    if backbone is not None and backbone not in presets.BACKBONES:
        known = ", ".join(presets.BACKBONES)
        raise NotFoundError(f"There is no backbone {backbone!r}; there are {known}.")
    if wishes.weights is not None and not on_features:
        raise InputError(
            f"--weights are for a frozen backbone; {architecture!r} is trained from scratch "
            "(choose --preset features)."
        )
    usable = dataset.usable(wishes.splits)
    if len(usable) < 2:
        raise InputError(
            f"Dataset {dataset.name!r} has {len(usable)} usable samples in "
            f"{' and '.join(wishes.splits)}; a training needs at least two."
        )
    looks = look(dataset, usable) if looks is None else looks
    is_probe = wishes.probe is Probe.THRESHOLD
    epochs = wishes.epochs or (preset.probe_epochs if is_probe else preset.epochs)
    device = machine.device(wishes.device)
    batch_size = wishes.batch_size or preset.batch_size
    image_size = wishes.image_size or preset.image_size or suitable_side(looks)
    threads, shards = lanes_of(architecture, batch_size, image_size, device)
    shards = wishes.shards or max(shards, wishes.workers or 1)
    _refuse_small_shards(shards, batch_size, wishes)
    config = RunConfig(
        preset=preset.name,
        architecture=architecture,
        backbone=backbone,
        weights=None if wishes.weights is None else str(wishes.weights.expanduser().absolute()),
        weights_digest=None if wishes.weights is None else file_digest(wishes.weights),
        image_size=image_size,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=wishes.learning_rate
        or (preset.probe_learning_rate if is_probe else preset.learning_rate),
        weight_decay=preset.weight_decay,
        schedule=Schedule.CONSTANT if is_probe else preset.schedule,
        warmup_epochs=min(preset.warmup_epochs, epochs / 2),
        # Drops of the rate keep their share of a shorter or longer training.
        milestones=()
        if is_probe
        else tuple(epoch * epochs / preset.epochs for epoch in preset.milestones),
        augmentation=wishes.augmentation or suitable_augmentation(dataset, preset, looks),
        label_smoothing=preset.label_smoothing,
        dropout=preset.dropout,
        precision=wishes.precision or suitable_precision(device),
        seed=wishes.seed,
        threads=threads,
        shards=shards,
        device=device,
        probe=wishes.probe,
        probe_fraction=wishes.probe_fraction,
        splits=wishes.splits,
        stop_when_stable=wishes.stop_when_stable,
    )
    return on_devices(probe_parts(config), wishes.device)


def _refuse_small_shards(shards: int, batch_size: int, wishes: Wishes) -> None:
    if shards > 1 and 2 * shards > batch_size:
        raise InputError(
            f"Batches of {batch_size} rows cannot be shared out among {shards}: each needs at least two "
            "rows; choose a larger --batch-size."
        )
    if wishes.workers is not None and shards < wishes.workers:
        raise InputError(f"{wishes.workers} workers need at least as many --shards, got {shards}.")


def on_devices(parts: Sequence[RunConfig], wanted: str) -> tuple[RunConfig, ...]:
    """Return the runs of a probe group, each on a device of its own where there are as many.

    Only where the user left the choice: ``auto`` or ``cuda`` without a number.
    """
    if len(parts) < 2 or wanted not in ("auto", "cuda") or not parts[0].device.startswith("cuda"):
        return tuple(parts)
    names = [str(d["name"]) for d in machine.ask_torch()["devices"]]
    ours = [name for name in names if name.startswith("cuda:")]
    return tuple(
        replace(part, device=ours[number % len(ours)]) for number, part in enumerate(parts)
    )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with path.expanduser().open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"Weights {str(path)!r} cannot be read: {error.strerror}.") from error


def probe_parts(config: RunConfig) -> tuple[RunConfig, ...]:
    """Return the runs of one probe group: two with disjoint threshold rows, otherwise the run itself."""
    if config.probe is not Probe.THRESHOLD:
        return (config,)
    group = ids.new()
    return tuple(replace(config, probe_group=group, probe_part=part) for part in (0, 1))


def look(dataset: Dataset, positions: np.ndarray, n_probed: int = 32) -> Looks:
    """Return what evenly spread images look like; those that cannot be read are passed over.

    Raises
    ------
    InputError
        If the data has moved, or none of them can be read; says why for the first.
    """
    spread = positions[
        np.linspace(0, len(positions) - 1, min(n_probed, len(positions))).astype(int)
    ]
    presence.check(dataset)
    sides: list[int] = []
    coloured: list[bool] = []
    first_problem: SampleError | None = None
    with SampleReader(dataset.source, dataset.paths) as reader:
        for position in spread:
            try:
                image = reader.read_rgb(int(position))
            except SampleError as error:
                first_problem = first_problem or error
                continue
            sides.append(min(image.shape[:2]))
            coloured.append(pixels.is_coloured(image))
    if not sides:
        raise InputError(
            f"None of the {len(spread)} images looked at first can be used: {first_problem} If the "
            "data was moved, `labeltrace relocate DATASET NEW_ROOT` follows it."
        )
    return Looks(
        median_short_side=int(np.median(sides)), is_coloured=float(np.mean(coloured)) > 0.05
    )


def suitable_side(looks: Looks) -> int:
    """Return the side in pixels that suits the data: its own, within bounds, a multiple of 4."""
    side = min(max(looks.median_short_side, SMALLEST_SIDE), LARGEST_SIDE)
    return -(-side // 4) * 4


def suitable_augmentation(dataset: Dataset, preset: Preset, looks: Looks) -> Augmentation:
    """Return random views that keep the labels true.

    Mirroring is left out for grey images (scans, drawings, text) and where every class is named like
    a character, because a mirrored digit or letter is another one or none.
    """
    if not preset.augments:
        return Augmentation.NONE
    named_by_user = dataset.source.kind is not SourceKind.ARRAYS or not all(
        name.isdecimal() for name in dataset.class_names
    )
    are_characters = named_by_user and all(_CHARACTER.fullmatch(n) for n in dataset.class_names)
    if looks.is_coloured and not are_characters:
        return Augmentation.CROP_FLIP
    return Augmentation.CROP


def lanes_of(architecture: str, batch_size: int, image_size: int, device: str) -> tuple[int, int]:
    """Return how many threads a training uses, and in how many shards it computes a batch.

    Shards meet once per batch and may take every core. What cores are left over then work on the
    operations of a shard, as far as there is enough of it to do; those threads meet after every layer,
    so that one core stays free (docs/decisions/0007, 0014).
    """
    cores = machine.threads()
    if device != "cpu":
        return cores, 1
    shards = max(1, min(cores, batch_size // ROWS_PER_SHARD))
    if architecture == "features":
        return cores, shards  # extraction, which takes most of the time, uses every thread
    busy = max(1, batch_size // shards * image_size**2 // PIXELS_PER_THREAD)
    each = min(busy, max(1, (cores - 1) // shards))
    return shards * each, shards


def suitable_precision(device: str) -> Precision:
    """Return bfloat16 where the hardware multiplies it natively."""
    return Precision.BFLOAT16 if machine.bfloat16_pays(device) else Precision.FLOAT32
