"""The trainings that a comparison stands for, each under the digest of what it is trained on."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.numerics import arms
from audit.numerics.arms import Material, Trained
from audit.records.comparison import Arm, ComparisonSettings, Labels
from audit.records.run import RunConfig

_VERSION = 1
"""Raised when the same settings train something else, so that older trainings are not taken for it."""

N_LOOKS = 10
"""How often a training looks at the test split, as evenly as its epochs allow, the last one included."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planned:
    """One training of a comparison.

    Parameters
    ----------
    arm, seed
        Which.
    id
        Digest of what is trained and predicted; equal ones are one training.
    config
        Its settings.
    trained
        What it is trained on, over the samples of `sample`; ``None`` where that needs what another
        training predicts (`source`).
    sample
        Positions in the dataset of what may be trained on, (N,) int64.
    asked
        Positions that it predicts, ascending, (P,) int64.
    source
        The training that must come first.
    """

    arm: Arm
    seed: int
    id: str
    config: RunConfig
    trained: Trained | None
    sample: NDArray[np.int64]
    asked: NDArray[np.int64]
    source: "Planned | None" = None


def material(labels: Labels, given: NDArray[np.int32], truth: NDArray[np.int32] | None) -> Material:
    """Return what arms are made from, over the samples that may be trained on.

    Parameters
    ----------
    labels
        Of the comparison.
    given, truth
        Given and true labels of every sample, (N,) int32; -1 where unknown.
    """
    own = labels.in_training
    return Material(
        given=given[own],
        selected=labels.selected[own],
        corrected=labels.corrected[own],
        truth=None if truth is None else truth[own],
    )


def plan(
    settings: ComparisonSettings, labels: Labels, made_from: Material, fingerprint: str
) -> tuple[Planned, ...]:
    """Return every arm with every seed, all arms of a seed before the next seed.

    Two of them may be one training: where people found what the truth says, ``relabelled`` is ``oracle``.
    """
    return tuple(
        _planned(arm, seed, settings, labels=labels, made_from=made_from, fingerprint=fingerprint)
        for seed in settings.seeds
        for arm in settings.arms
    )


def trainings(planned: Iterable[Planned]) -> tuple[Planned, ...]:
    """Return the different trainings that some arms need, in an order in which they can be done.

    What another one needs comes before it: ``automatic`` brings ``dropped`` with it.
    """
    ordered: dict[str, Planned] = {}
    for one in planned:
        if one.source is not None:
            ordered.setdefault(one.source.id, one.source)
        ordered.setdefault(one.id, one)
    return tuple(ordered.values())


def finish(planned: Planned, made_from: Material, predicted: NDArray[np.int32]) -> Trained:
    """Return what a training is trained on whose source has predicted.

    Parameters
    ----------
    planned, made_from
        A training with a source, and what arms are made from.
    predicted
        The source's last predictions by position in `Planned.sample`, (N,) int32.
    """
    assert planned.source is not None
    return arms.automatic(made_from, predicted)


def looks(n_epochs: int) -> tuple[int, ...]:
    """Return the numbers of finished epochs at which a training looks at the test split.

    Examples
    --------
    >>> looks(4), looks(25)
    ((1, 2, 3, 4), (2, 5, 7, 10, 12, 15, 17, 20, 22, 25))
    """
    n_looks = min(N_LOOKS, n_epochs)
    return tuple((number + 1) * n_epochs // n_looks for number in range(n_looks))


def smaller_batch(config: RunConfig, n_kept: int, n_samples: int) -> RunConfig:
    """Return settings with as many batches in an epoch although fewer samples are left.

    Jia et al. (2023), section 5.2: the batch shrinks with the data, so that every arm takes as many
    steps at the same rates.
    """
    if n_kept == n_samples or not n_samples:
        return config
    size = max(2, int(config.batch_size * n_kept / n_samples))
    # No shard may lose so much that batch-norm has nothing to learn from.
    return replace(config, batch_size=size, shards=min(config.shards, max(1, size // 2)))


def _planned(
    arm: Arm,
    seed: int,
    settings: ComparisonSettings,
    *,
    labels: Labels,
    made_from: Material,
    fingerprint: str,
) -> Planned:
    config = replace(settings.config, seed=seed)
    asked = np.flatnonzero(labels.in_test)
    source: Planned | None = None
    trained: Trained | None = None
    if arm is Arm.AUTOMATIC:
        source = _planned(
            Arm.DROPPED, seed, settings, labels=labels, made_from=made_from, fingerprint=fingerprint
        )
    elif arm is Arm.GIVEN:
        trained = arms.given(made_from)
    elif arm is Arm.DROPPED:
        trained = arms.dropped(made_from)
        # What was left out is predicted too: that is what “automatic” takes.
        asked = np.flatnonzero(labels.in_test | labels.selected)
    elif arm is Arm.RELABELLED:
        trained = arms.relabelled(made_from)
    elif arm is Arm.DOWNWEIGHTED:
        trained = arms.downweighted(made_from, settings.weight)
    else:
        trained = arms.oracle(made_from)
    if trained is not None:
        config = smaller_batch(config, int(trained.kept.sum()), len(trained.kept))
    sample = np.flatnonzero(labels.in_training)
    parts = _parts(trained, sample) if source is None else [source.id.encode()]
    return Planned(
        arm=arm,
        seed=seed,
        id=_digest(fingerprint, config, [*parts, asked.tobytes()]),
        config=config,
        trained=trained,
        sample=sample,
        asked=asked,
        source=source,
    )


def _parts(trained: Trained | None, sample: NDArray[np.int64]) -> list[bytes]:
    assert trained is not None
    kept = trained.kept
    weight = trained.weight
    return [
        sample[kept].tobytes(),
        trained.label[kept].astype(np.int32).tobytes(),
        b"" if weight is None else weight[kept].tobytes(),
    ]


def _digest(fingerprint: str, config: RunConfig, parts: Sequence[bytes]) -> str:
    facts = json.dumps([_VERSION, fingerprint, config.to_json()], sort_keys=True)
    found = hashlib.sha256(facts.encode())
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()
