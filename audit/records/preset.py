"""Presets: training settings named by what they are for, one fixed setting for all data.

``docs/decisions/0003-presets.md`` says how the numbers were chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from audit.errors import NotFoundError
from audit.records.run import Schedule

ARCHITECTURES: tuple[str, ...] = (
    "narrow",
    "small",
    "resnet32",
    "resnet18",
    "resnet34",
    "resnet50",
    "features",
)
"""Networks that can be trained; ``features`` is an MLP on a frozen backbone."""

BACKBONES: tuple[str, ...] = ("squeezenet", "resnet18", "resnet34", "resnet50")
"""Frozen backbones of ``features``; all need weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Settings of a training before the dataset and the machine are known.

    Parameters
    ----------
    name, purpose
        What a user types, and when to choose it.
    architecture, backbone
        As in `RunConfig`.
    image_size
        Side in pixels, or ``None`` for a side that suits the data (16 to 64 pixels).
    epochs, probe_epochs
        Of an ordinary run, and of each run with threshold rows (which has no drop of the rate).
    batch_size, learning_rate, probe_learning_rate, weight_decay
        Of SGD with Nesterov momentum 0.9.
    schedule, warmup_epochs, milestones
        Of an ordinary run; threshold probes use the same warm-up and then a constant rate.
    augments
        Whether random views are used; which ones depends on the data.
    label_smoothing, dropout
        In [0, 1).
    """

    name: str
    purpose: str
    architecture: str
    image_size: int | None
    epochs: int
    probe_epochs: int
    batch_size: int
    learning_rate: float
    probe_learning_rate: float
    weight_decay: float
    schedule: Schedule
    warmup_epochs: float = 0.0
    milestones: tuple[float, ...] = ()
    augments: bool = True
    label_smoothing: float = 0.0
    dropout: float = 0.0
    backbone: str | None = None


_ALL = (
    Preset(
        name="quick",
        purpose="A small network from scratch: drawings, scans, any image without weights at hand.",
        architecture="narrow",
        image_size=None,
        epochs=50,
        probe_epochs=30,
        batch_size=128,
        learning_rate=0.2,
        probe_learning_rate=0.1,
        weight_decay=5e-4,
        schedule=Schedule.ONE_CYCLE,
        warmup_epochs=2,
        label_smoothing=0.1,
    ),
    Preset(
        name="features",
        purpose="Photographs: a classifier on the features of a pretrained network; minutes, not hours.",
        architecture="features",
        backbone="squeezenet",
        image_size=128,
        epochs=20,
        probe_epochs=16,
        batch_size=128,
        learning_rate=0.01,
        probe_learning_rate=0.01,
        weight_decay=5e-4,
        schedule=Schedule.COSINE,
        augments=False,
        label_smoothing=0.2,
        dropout=0.7,
    ),
    Preset(
        name="aum-paper",
        purpose="ResNet-32 as in the AUM paper, 150 epochs before the first drop; meant for a GPU.",
        architecture="resnet32",
        image_size=32,
        epochs=150,
        probe_epochs=150,
        batch_size=64,
        learning_rate=0.1,
        probe_learning_rate=0.1,
        weight_decay=1e-4,
        schedule=Schedule.CONSTANT,
    ),
    Preset(
        name="plain-200",
        purpose="ResNet-32 for 200 epochs with drops at 100 and 150, as in the LSTM noise detector's paper.",
        architecture="resnet32",
        image_size=32,
        epochs=200,
        probe_epochs=100,
        batch_size=128,
        learning_rate=0.1,
        probe_learning_rate=0.1,
        weight_decay=1e-4,
        schedule=Schedule.STEPS,
        milestones=(100, 150),
    ),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}
"""All presets by name."""


def find(name: str) -> Preset:
    """Return the preset of a name.

    Raises
    ------
    NotFoundError
        If there is none; says which exist.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise NotFoundError(
            f"There is no preset {name!r}; there are {', '.join(PRESETS)}."
        ) from None
