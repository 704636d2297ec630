"""Training dynamics with planted wrong labels, as a network that first generalises, then memorises.

Logits of epoch t: every sample's true class gains ``learnt(t)`` times how easy the sample is, its
assigned label gains ``memorised(t)``; all outputs get noise, some of it the same in every epoch, as
for an image that looks like another class. No network is trained.
"""

from dataclasses import dataclass, replace

import numpy as np

from audit.numerics import noise, signals
from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics
from audit.records.run import Probe, RunConfig, Schedule


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Runs of one imaginary dataset, and the truth about it."""

    runs: tuple[TrainingDynamics, ...]
    true_labels: np.ndarray
    given_labels: np.ndarray
    is_wrong: np.ndarray
    is_trained: np.ndarray


def make(
    *,
    n_samples=600,
    n_classes=5,
    n_epochs=12,
    noise_rate=0.15,
    seed=0,
    n_threshold_parts=0,
    corrupted_fraction=0.0,
    planted_fraction=0.0,
    n_untrained=0,
    shift=0.0,
    memorisation=1.5,
    table_size=None,
) -> Planted:
    """Return one plain run, the parts of a threshold probe group, or another probe's runs.

    Parameters
    ----------
    n_threshold_parts
        0 for a plain run; otherwise that many runs with disjoint threshold rows, N / (K + 1) each.
    corrupted_fraction
        Above 0: one run with so many corrupted copies per sample on top.
    planted_fraction
        Above 0: a plain run, and one in which so many samples of either kind have a planted label.
    n_untrained
        Samples at the end of the dataset that are in no run.
    shift
        Added to all logits of a row, times the row's position plus the epoch.
    memorisation
        Logits that the assigned label has gained at the last epoch.
    table_size
        Classes per row in `mean_probabilities`; ``None`` = the full table.
    """
    rng = np.random.default_rng(seed)
    true_labels = rng.integers(0, n_classes, n_samples).astype(np.int32)
    planted = noise.sym_exclude(true_labels, noise_rate, n_classes, rng)
    n_trained = n_samples - n_untrained
    easiness = rng.gamma(4.0, 0.25, n_samples)
    order = rng.permutation(n_trained)
    n_threshold = n_trained // (n_classes + 1)

    runs = []
    for part in range(2 if planted_fraction else max(n_threshold_parts, 1)):
        sample = np.arange(n_trained, dtype=np.int64)
        assigned = planted.labels[:n_trained].copy()
        role = np.full(n_trained, Role.GIVEN, dtype=np.int8)
        n_outputs = n_classes
        probe = {}
        if corrupted_fraction:
            probe = {"probe": Probe.CORRUPTED}
            copied = rng.choice(n_trained, int(corrupted_fraction * n_trained), replace=False)
            wrong = (assigned[copied] + rng.integers(1, n_classes, len(copied))) % n_classes
            sample = np.concatenate([sample, copied])
            assigned = np.concatenate([assigned, wrong]).astype(np.int32)
            role = np.concatenate([role, np.full(len(copied), Role.CORRUPTED, dtype=np.int8)])
        if planted_fraction and part == 1:
            probe = {"probe": Probe.PLANTED, "base_run": runs[0].run_id}
            n_kind = int(planted_fraction * n_trained)
            uniform, confused = order[:n_kind], order[n_kind : 2 * n_kind]
            assigned[uniform] = (assigned[uniform] + rng.integers(1, n_classes, n_kind)) % n_classes
            means = runs[0].mean_probabilities.values[confused].copy()
            means[np.arange(n_kind), assigned[confused]] = 0
            draws = np.cumsum(means, axis=1) / means.sum(axis=1, keepdims=True)
            assigned[confused] = (draws < rng.random((n_kind, 1))).sum(axis=1)
            role[uniform], role[confused] = Role.PLANTED_UNIFORM, Role.PLANTED_CONFUSED
        if n_threshold_parts:
            chosen = order[part * n_threshold : (part + 1) * n_threshold]
            assigned[chosen], role[chosen] = n_classes, Role.THRESHOLD
            n_outputs += 1
        n_rows = len(sample)
        row = np.arange(n_rows)
        looks = rng.normal(0, 1.0, (n_rows, n_outputs))
        looks[n_trained:] = looks[sample[n_trained:]]  # a copy looks like its original
        recorded, total = [], np.zeros((n_rows, n_outputs))
        for epoch in range(n_epochs):
            progress = (epoch + 1) / n_epochs
            logits = looks + rng.normal(0, 1.5, (n_rows, n_outputs))
            logits[row, true_labels[sample]] += 4 * np.sqrt(progress) * easiness[sample]
            logits[row, assigned] += memorisation * progress**2
            logits += shift * (row[:, None] + epoch)
            recorded.append(signals.of_epoch(logits, assigned))
            total += signals.probabilities(logits)
        runs.append(
            TrainingDynamics(
                run_id=f"run-{seed}-{part}",
                n_samples=n_samples,
                n_classes=n_classes,
                sample=sample,
                assigned_label=assigned,
                role=role,
                signals={name: np.stack([e[name] for e in recorded]) for name in recorded[0]},
                mean_probabilities=table(total[:, :n_classes] / n_epochs, table_size),
                config=replace(
                    config(n_epochs, seed=seed, part=part if n_threshold_parts else None), **probe
                ),
            )
        )
    return Planted(
        runs=tuple(runs),
        true_labels=true_labels,
        given_labels=planted.labels,
        is_wrong=planted.is_flipped,
        is_trained=np.arange(n_samples) < n_trained,
    )


def table(means, size=None) -> MeanProbabilities:
    """Return the full table, or the `size` largest classes of each row in falling order."""
    n_rows, n_classes = means.shape
    if size is None:
        classes = np.tile(np.arange(n_classes, dtype=np.int32), (n_rows, 1))
    else:
        classes = np.argsort(-means, axis=1, kind="stable")[:, :size].astype(np.int32)
    values = np.take_along_axis(means, classes, axis=1).astype(np.float32)
    return MeanProbabilities(classes=classes, values=values, is_full=size is None)


def config(n_epochs, *, seed=0, part=None) -> RunConfig:
    """Return settings of an imaginary run; with a part, of a threshold probe."""
    plain = RunConfig(
        preset="imaginary",
        architecture="small",
        image_size=8,
        epochs=n_epochs,
        batch_size=32,
        learning_rate=0.1,
        schedule=Schedule.CONSTANT,
        seed=seed,
    )
    if part is None:
        return plain
    return replace(plain, probe=Probe.THRESHOLD, probe_group=f"group-{seed}", probe_part=part)


def by_hand(
    margins,
    labels,
    *,
    roles=None,
    samples=None,
    run_id="run",
    n_classes=3,
    n_samples=None,
    **fields,
) -> TrainingDynamics:
    """Return dynamics with literal margins (T, R): the smallest example that can be checked."""
    margins = np.asarray(margins, dtype=np.float32)
    n_rows = margins.shape[1]
    return TrainingDynamics(
        run_id=run_id,
        n_samples=n_rows if n_samples is None else n_samples,
        n_classes=n_classes,
        sample=np.asarray(np.arange(n_rows) if samples is None else samples, dtype=np.int64),
        assigned_label=np.asarray(labels, dtype=np.int32),
        role=np.asarray(np.zeros(n_rows) if roles is None else roles, dtype=np.int8),
        signals={"margin": margins},
        **fields,
    )
