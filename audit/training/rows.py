"""Rows: which sample is trained on which label, and what a probe plants among them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.compute import seeding
from audit.errors import InputError
from audit.numerics import planting
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.run import Probe, RunConfig

MAX_THRESHOLD_FRACTION = 0.2
"""Few classes would give away too much of the data: with two, a third in each run."""

CORRUPTED_FRACTION = 0.1
"""Kim et al. (2024), section 4: copies with a wrong label per original."""

PLANTED_FRACTION, MOST_PLANTED_FRACTION = 0.06, 0.1
"""Part of the samples that the probe ``planted`` gives a wrong label, for each of its two kinds; the
larger part where the smaller one is fewer than `ENOUGH_PLANTED`."""

ENOUGH_PLANTED = 600
"""Planted labels of a kind from which an estimate hardly gains by more: 236 were too few."""

CONTAMINATED_FRACTION = 0.3
"""Jia et al. (2023), section 4: symmetric noise that the published detector learnt from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What a run trains on: R rows, and how many outputs the network needs.

    Parameters
    ----------
    sample
        Position in the dataset of each row's image, (R,) int64.
    assigned_label
        Label that each row is trained on, (R,) int32; `n_classes` for threshold rows.
    role
        `Role` of each row, (R,) int8.
    n_classes, n_outputs
        Real classes K and outputs of the network, K or K + 1.
    weight
        Of each row in the loss of its batch, (R,) float32, not negative; ``None`` where all weigh the same.
    """

    sample: NDArray[np.int64]
    assigned_label: NDArray[np.int32]
    role: NDArray[np.int8]
    n_classes: int
    n_outputs: int
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        shape = self.sample.shape
        if len(shape) != 1 or self.assigned_label.shape != shape or self.role.shape != shape:
            raise InputError("Rows need one sample, one assigned label and one role each.")
        if not shape[0]:
            raise InputError("There are no samples to train on.")
        if self.assigned_label.min() < 0 or self.assigned_label.max() >= self.n_outputs:
            raise InputError(
                f"Assigned labels must lie in 0..{self.n_outputs - 1}, got "
                f"{self.assigned_label.min()}..{self.assigned_label.max()}."
            )
        if self.weight is not None and (
            self.weight.shape != shape or not self.weight.min() >= 0 or not self.weight.max() > 0
        ):
            raise InputError("Rows need one weight each, none negative and not all zero.")

    def __len__(self) -> int:
        """Return the number of rows R."""
        return len(self.sample)


def build(
    sample: NDArray[np.int64],
    given_label: NDArray[np.int32],
    *,
    n_classes: int,
    config: RunConfig,
    base: TrainingDynamics | None = None,
) -> Rows:
    """Return the rows of a run, with what its probe plants.

    Parameters
    ----------
    sample
        Positions of the samples to train on, (N,) int64.
    given_label
        Their given labels, (N,) int32 in 0..K-1.
    n_classes
        Number of real classes K.
    config
        ``probe``, ``probe_part``, ``probe_fraction`` and ``seed`` decide what is planted. Runs of
        one probe group share the seed, so that the parts of a threshold probe are disjoint.
    base
        For the probe ``planted``: an ordinary run on the same samples and labels.

    Returns
    -------
    Rows
        The N samples in the order given; corrupted copies follow them.

    Raises
    ------
    InputError
        If there are too few samples for the probe.
    """
    given_label = np.asarray(given_label, dtype=np.int32)
    sample = np.asarray(sample, dtype=np.int64)
    role = np.full(len(sample), Role.GIVEN, dtype=np.int8)
    if config.probe is Probe.THRESHOLD:
        return _with_threshold_rows(sample, given_label, role, n_classes, config)
    if config.probe is Probe.CORRUPTED:
        return _with_corrupted_copies(sample, given_label, role, n_classes, config)
    if config.probe is Probe.PLANTED:
        return _with_planted_rows(sample, given_label, n_classes, config, base)
    if config.probe is Probe.CONTAMINATED:
        return _contaminated(sample, given_label, role, n_classes, config)
    return Rows(
        sample=sample,
        assigned_label=given_label,
        role=role,
        n_classes=n_classes,
        n_outputs=n_classes,
    )


def n_threshold_rows(n_samples: int, n_classes: int, fraction: float | None = None) -> int:
    """Return how many samples one run of a threshold probe relabels to the extra class.

    Pleiss et al. (2020), section 3.2: N / (C + 1), rounded down. Here at most
    `MAX_THRESHOLD_FRACTION` of the samples, unless a fraction is asked for.

    Examples
    --------
    >>> n_threshold_rows(45_000, 10), n_threshold_rows(300, 2), n_threshold_rows(300, 2, 0.3)
    (4090, 60, 90)
    """
    if fraction is not None:
        return math.floor(fraction * n_samples)
    return min(n_samples // (n_classes + 1), math.floor(MAX_THRESHOLD_FRACTION * n_samples))


def n_planted_rows(n_samples: int, fraction: float | None = None) -> int:
    """Return how many samples the probe ``planted`` gives a wrong label, for each of its two kinds.

    Examples
    --------
    >>> n_planted_rows(45_000), n_planted_rows(8_000), n_planted_rows(3_000)
    (2700, 600, 300)
    """
    if fraction is not None:
        return math.floor(fraction * n_samples)
    least = min(ENOUGH_PLANTED, math.floor(MOST_PLANTED_FRACTION * n_samples))
    return max(math.floor(PLANTED_FRACTION * n_samples), least)


def _with_threshold_rows(
    sample: NDArray[np.int64],
    given_label: NDArray[np.int32],
    role: NDArray[np.int8],
    n_classes: int,
    config: RunConfig,
) -> Rows:
    n_planted = n_threshold_rows(len(sample), n_classes, config.probe_fraction)
    first = config.probe_part * n_planted
    if n_planted < 1 or first + n_planted > len(sample):
        raise InputError(
            f"{len(sample)} samples of {n_classes} classes are too few for part "
            f"{config.probe_part + 1} of a threshold probe with {n_planted} threshold rows; "
            f"train with --probe none."
        )
    # One permutation for all parts of the group: consecutive stretches of it cannot overlap.
    order = np.random.default_rng(seeding.derive(config.seed, "threshold rows"))
    planted = order.permutation(len(sample))[first : first + n_planted]
    assigned_label = given_label.copy()
    assigned_label[planted] = n_classes
    role[planted] = Role.THRESHOLD
    return Rows(
        sample=sample,
        assigned_label=assigned_label,
        role=role,
        n_classes=n_classes,
        n_outputs=n_classes + 1,
    )


def _with_corrupted_copies(
    sample: NDArray[np.int64],
    given_label: NDArray[np.int32],
    role: NDArray[np.int8],
    n_classes: int,
    config: RunConfig,
) -> Rows:
    """Append copies under a label drawn uniformly from the other classes (Kim et al. 2024, 4.1).

    The paper copies a weakly altered view. A view that originals never get is an artefact that the
    network recognises, so copies get the same random views as originals here.
    """
    fraction = CORRUPTED_FRACTION if config.probe_fraction is None else config.probe_fraction
    n_planted = math.floor(fraction * len(sample))
    if not 1 <= n_planted <= len(sample):
        raise InputError(
            f"{len(sample)} samples cannot give {n_planted} corrupted copies; "
            f"train with --probe none."
        )
    rng = np.random.default_rng(seeding.derive(config.seed, "corrupted copies", config.probe_part))
    copied = rng.choice(len(sample), size=n_planted, replace=False)
    wrong = _other_labels(given_label[copied], n_classes, rng)
    return Rows(
        sample=np.concatenate([sample, sample[copied]]),
        assigned_label=np.concatenate([given_label, wrong]),
        role=np.concatenate([role, np.full(n_planted, Role.CORRUPTED, dtype=np.int8)]),
        n_classes=n_classes,
        n_outputs=n_classes,
    )


def _with_planted_rows(
    sample: NDArray[np.int64],
    given_label: NDArray[np.int32],
    n_classes: int,
    config: RunConfig,
    base: TrainingDynamics | None,
) -> Rows:
    """Give two disjoint random parts wrong labels: drawn uniformly, and drawn from a network's own doubts.

    Real wrong labels lie between the two: some are blunders, some confusions that a network makes too.
    """
    if base is None or base.mean_probabilities is None:
        raise InputError(
            "The probe “planted” draws labels from what an ordinary run predicted, and there is none "
            "with mean probabilities; train with --probe none first."
        )
    n_planted = n_planted_rows(len(sample), config.probe_fraction)
    if n_planted < 1 or 2 * n_planted > len(sample):
        raise InputError(
            f"{len(sample)} samples cannot give {n_planted} planted labels of each of two kinds; "
            f"train with --probe none."
        )
    row_of = np.full(base.n_samples, -1, dtype=np.int64)
    own = base.rows(Role.GIVEN)
    row_of[base.sample[own]] = own
    base_rows = row_of[sample]
    known = base_rows >= 0
    if not (base.assigned_label[base_rows[known]] == given_label[known]).all():
        raise InputError(f"Run {base.run_id} was trained on other labels than these.")
    rng = np.random.default_rng(seeding.derive(config.seed, "planted rows", config.probe_part))
    order = rng.permutation(len(sample))
    uniform, rest = order[:n_planted], order[n_planted:]
    assigned_label = given_label.copy()
    assigned_label[uniform] = _other_labels(given_label[uniform], n_classes, rng)
    table = base.mean_probabilities
    # Otherwise the smoothing of the targets would make every other class look equally likely.
    smoothing = 0.0 if base.config is None else base.config.label_smoothing
    values = planting.without_smoothing(table.values, smoothing, n_classes)
    role = np.full(len(sample), Role.GIVEN, dtype=np.int8)
    # In random order until enough are found: not every sample need be known to the other run.
    candidates = rest[known[rest]]
    drawn = planting.draw_confused(
        table.classes[base_rows[candidates]],
        values[base_rows[candidates]],
        given_label[candidates],
        rng,
    )
    confused = candidates[drawn >= 0][:n_planted]
    assigned_label[confused] = drawn[drawn >= 0][:n_planted]
    role[uniform] = Role.PLANTED_UNIFORM
    role[confused] = Role.PLANTED_CONFUSED
    return Rows(
        sample=sample,
        assigned_label=assigned_label,
        role=role,
        n_classes=n_classes,
        n_outputs=n_classes,
    )


def _contaminated(
    sample: NDArray[np.int64],
    given_label: NDArray[np.int32],
    role: NDArray[np.int8],
    n_classes: int,
    config: RunConfig,
) -> Rows:
    """Give a random part a second, wrong label (Jia et al. 2023, twice-contaminated: s of (u, s))."""
    fraction = CONTAMINATED_FRACTION if config.probe_fraction is None else config.probe_fraction
    n_planted = math.floor(fraction * len(sample))
    if not 1 <= n_planted < len(sample):
        raise InputError(
            f"{len(sample)} samples cannot give {n_planted} contaminated labels; "
            f"train with --probe none."
        )
    rng = np.random.default_rng(seeding.derive(config.seed, "contaminated rows", config.probe_part))
    planted = rng.choice(len(sample), size=n_planted, replace=False)
    assigned_label = given_label.copy()
    assigned_label[planted] = _other_labels(given_label[planted], n_classes, rng)
    role[planted] = Role.PLANTED_UNIFORM
    return Rows(
        sample=sample,
        assigned_label=assigned_label,
        role=role,
        n_classes=n_classes,
        n_outputs=n_classes,
    )


def _other_labels(
    given_label: NDArray[np.int32], n_classes: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return a label for each given one, drawn uniformly from the other classes, (M,) int32."""
    shift = rng.integers(1, n_classes, size=len(given_label))
    return ((given_label + shift) % n_classes).astype(np.int32)
