"""Training runs: the frozen settings of one, and its place in the world."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from audit.errors import InputError
from audit.records.dataset import Split


class Probe(StrEnum):
    """What is planted into a run so that a detector can tell wrong labels apart.

    ``threshold`` relabels a random part to an extra class (AUM); ``corrupted`` adds copies with
    wrong labels (DynaCor); ``planted`` gives a part wrong labels of two kinds, for which it needs an
    ordinary run that came before; ``contaminated`` gives a larger part a wrong label drawn uniformly
    (what an LSTM noise detector learns from); ``none`` is an ordinary training.
    """

    NONE = "none"
    THRESHOLD = "threshold"
    CORRUPTED = "corrupted"
    PLANTED = "planted"
    CONTAMINATED = "contaminated"


class Augmentation(StrEnum):
    """Random views of an image during training; ``crop-flip`` also mirrors left and right."""

    NONE = "none"
    CROP = "crop"
    CROP_FLIP = "crop-flip"


class Schedule(StrEnum):
    """Course of the learning rate.

    All begin with a linear warm-up of `RunConfig.warmup_epochs`. ``constant`` stays,
    ``cosine`` falls to zero, ``one-cycle`` falls linearly to zero, ``steps`` multiplies by 0.1 at
    each of `RunConfig.milestones`.
    """

    CONSTANT = "constant"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"
    STEPS = "steps"


class Precision(StrEnum):
    """Arithmetic of the network's forward and backward pass; signals are always float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class RunState(StrEnum):
    """Where a run stands; ``sealed`` runs never change again, the last four can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    SEALED = "sealed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Where a run comes from that somebody else's loop trained: its settings are not known here.

    Parameters
    ----------
    file
        Name of the recording that was taken over.
    messages
        Whole sentences of the recording that belong beside its scores.
    """

    file: str
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides what a training computes; two equal ones give equal dynamics.

    Of a run that was trained elsewhere only epochs, probe and splits are known (`of_recording`).

    Parameters
    ----------
    preset
        Name of the preset that the settings came from.
    architecture
        ``small``, ``resnet32``, ``resnet18``, ``resnet34``, ``resnet50``, or ``features`` (an MLP
        on frozen features of `backbone`).
    backbone
        For ``features``: ``squeezenet``, ``resnet18``, ``resnet34`` or ``resnet50``.
    weights, weights_digest
        File of the backbone's weights and its SHA-256; both ``None`` when trained from scratch.
    image_size
        Side S in pixels of the square that the network sees.
    epochs, batch_size
        Number of epochs T and of rows in a batch B, both at least 1.
    learning_rate, momentum, weight_decay
        Of SGD with Nesterov momentum; the rate is the peak of `schedule`.
    schedule, warmup_epochs, milestones
        Course of the learning rate; milestones are epochs.
    augmentation
        Random views during training.
    label_smoothing, dropout
        In [0, 1); dropout applies to the MLP on features only.
    shards
        Parts of a batch that are normalised (batch-norm) on their own, so that threads, processes or
        devices can compute them side by side; at least 1. Rows, gradient and learning rate are those of
        the whole batch.
    precision, seed, threads, device
        Frozen when the run is made: arithmetic, seed of every random draw, CPU threads, and ``cpu``,
        ``cuda``, ``cuda:N`` or ``mps``.
    probe, probe_group, probe_part, probe_fraction
        What is planted; runs of one group share `probe_group` and differ in `probe_part` (0, 1, …).
        The fraction is the part of the rows that is planted, ``None`` for the method's own default.
    base_run
        Id of the ordinary run whose predictions some of the planted labels are drawn from; for the
        probe ``planted`` only, ``None`` until that run exists.
    splits
        Splits whose samples are trained on.
    stop_when_stable
        Whether the run ends, sealed, as soon as its ranking has settled (`numerics.stability`); `epochs`
        is the most it takes then, and the schedule is that of all of them.
    elsewhere
        Where a run comes from that was not trained here; ``None`` for our own.
    """

    preset: str
    architecture: str
    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = Schedule.CONSTANT
    warmup_epochs: float = 0.0
    milestones: tuple[float, ...] = ()
    augmentation: Augmentation = Augmentation.NONE
    label_smoothing: float = 0.0
    dropout: float = 0.0
    precision: Precision = Precision.FLOAT32
    seed: int = 0
    threads: int = 1
    shards: int = 1
    device: str = "cpu"
    backbone: str | None = None
    weights: str | None = None
    weights_digest: str | None = None
    probe: Probe = Probe.NONE
    probe_group: str | None = None
    probe_part: int = 0
    probe_fraction: float | None = None
    base_run: str | None = None
    splits: tuple[Split, ...] = (Split.TRAIN,)
    stop_when_stable: bool = False
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        for name in ("image_size", "epochs", "batch_size", "threads", "shards"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.learning_rate < 1e3:
            raise InputError(f"learning_rate must be positive, got {self.learning_rate}.")
        for name in ("momentum", "label_smoothing", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must lie in [0, 1), got {getattr(self, name)}.")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}.")
        if not self.splits:
            raise InputError("A run needs at least one split to train on.")

    @classmethod
    def of_recording(
        cls, elsewhere: Elsewhere, *, epochs: int, probe: Probe, splits: tuple[Split, ...]
    ) -> Self:
        """Return what is known of a run that was trained elsewhere; `known` leaves out the rest."""
        return cls(
            preset="recorded",
            architecture="elsewhere",
            image_size=1,
            epochs=epochs,
            batch_size=1,
            learning_rate=1.0,
            probe=probe,
            splits=splits,
            elsewhere=elsewhere,
        )

    def known(self) -> dict[str, Any]:
        """Return the settings to show, as plain JSON values: of a recorded run those that are known."""
        values = self.to_json()
        if self.elsewhere is None:
            return values
        return {name: values[name] for name in _KNOWN_OF_RECORDINGS}

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; `from_json` gives the same record back."""
        values = asdict(self)
        values["milestones"] = list(self.milestones)
        values["splits"] = [str(split) for split in self.splits]
        if self.elsewhere is None:
            del values["elsewhere"]  # as before there was one, also for older versions
        else:
            values["elsewhere"]["messages"] = list(self.elsewhere.messages)
        return {name: str(v) if isinstance(v, StrEnum) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings that `to_json` wrote; unknown names are refused.

        Raises
        ------
        InputError
            If a name is unknown, as in a run written by a newer version.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(f"Run settings {unknown} are not known to this version.")
        data = dict(values)
        data["schedule"] = Schedule(data["schedule"])
        data["augmentation"] = Augmentation(data["augmentation"])
        data["precision"] = Precision(data["precision"])
        data["probe"] = Probe(data["probe"])
        data["milestones"] = tuple(data["milestones"])
        data["splits"] = tuple(Split(split) for split in data["splits"])
        if elsewhere := data.get("elsewhere"):
            messages = tuple(elsewhere["messages"])
            data["elsewhere"] = Elsewhere(file=elsewhere["file"], messages=messages)
        return cls(**data)


_KNOWN_OF_RECORDINGS = ("preset", "architecture", "epochs", "probe", "splits", "elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training: settings, what it was trained on, and where it stands.

    Parameters
    ----------
    id, name
        Identity; the name is unique in a workspace.
    dataset_id, dataset_fingerprint
        What it is trained on.
    label_version
        Version of the labels that it is trained on; ``"given"`` are the labels as imported.
    config
        Frozen settings.
    code_version
        Version of labeltrace that made it.
    created_at, sealed_at
        UTC; not sealed while ``None``.
    state
        Where it stands.
    """

    id: str
    name: str
    dataset_id: str
    dataset_fingerprint: str
    label_version: str
    config: RunConfig
    code_version: str
    created_at: datetime
    sealed_at: datetime | None = None
    state: RunState = RunState.QUEUED
