"""Whether a threshold probe may be believed: AUM's health, in numbers and in words.

AUM fails in one way above all: trained past memorisation, the threshold rows are learnt like any
other label, their percentile rises and everything is flagged. The AUM row in table 2 of Kim et al.
2024 equals flagging everything.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.numerics.histograms import SharedHistogram, shared_histogram
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.run import RunConfig, Schedule

ALPHA_WARNING = 2.0
"""Logits. Healthy probes end near or below 1, over-trained ones between 3 and 6."""

MEMORISED_FRACTION = 0.5
"""Of the threshold rows; from here on they say nothing about labels that resist learning."""

OVERLAP_WARNING = 0.5
"""Share of the two histograms; threshold rows should overlap with wrong labels only."""

FLAGGED_WARNING = 0.5
"""Fraction of flagged samples from which flags hardly differ from flagging everything."""

FEW_THRESHOLD_ROWS = 100
"""Below, the 99th percentile rests on the one largest value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Health:
    """How a run's threshold rows fared.

    Parameters
    ----------
    run_id
        The run.
    alpha
        Its cut, logits.
    n_threshold
        Number of threshold rows.
    threshold_accuracy
        Fraction of threshold rows that were predicted as the extra class, per epoch, (T,) float64
        in [0, 1]; high = memorised.
    memorised_from
        First epoch, counted from 1, from which on that fraction stays above one half but for
        single epochs, or ``None``.
    flagged_fraction
        Flagged ÷ scored in this run, in [0, 1].
    histogram
        AUM of ordinary rows (first) and threshold rows (second).
    decay_from
        Epochs before the learning rate first falls, where that happens within the epochs used.
    """

    run_id: str
    alpha: float
    n_threshold: int
    threshold_accuracy: NDArray[np.float64]
    memorised_from: int | None
    flagged_fraction: float
    histogram: SharedHistogram | None
    decay_from: int | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, histogram and curve included."""
        shared = self.histogram
        return {
            "run_id": self.run_id,
            "alpha": self.alpha,
            "n_threshold": self.n_threshold,
            "threshold_accuracy": [float(value) for value in self.threshold_accuracy],
            "memorised_from": self.memorised_from,
            "flagged_fraction": self.flagged_fraction,
            "overlap": None if shared is None else shared.overlap,
            "histogram": None
            if shared is None
            else {
                "edges": shared.edges.tolist(),
                "given": shared.first.tolist(),
                "threshold": shared.second.tolist(),
            },
        }


def measure(
    run: TrainingDynamics,
    *,
    planted: NDArray[np.int64],
    margins: NDArray[np.floating[Any]],
    area: NDArray[np.float64],
    alpha: float,
    flagged_fraction: float,
) -> Health:
    """Return the health of a run with threshold rows.

    Parameters
    ----------
    run
        The run.
    planted
        Its threshold rows, or what stands for them, (M,) int64, at least one.
    margins
        The epochs that were used, and skipped ones before them, (T, R) floating, logits.
    area
        AUM of every row, (R,) float64, logits.
    alpha
        The run's cut, logits.
    flagged_fraction
        Flagged ÷ scored in this run, in [0, 1].
    """
    given = run.rows(Role.GIVEN)
    accuracy = np.array([(epoch[planted] > 0).mean() for epoch in margins], dtype=np.float64)
    return Health(
        run_id=run.run_id,
        alpha=alpha,
        n_threshold=len(planted),
        threshold_accuracy=accuracy,
        memorised_from=_memorised_from(accuracy),
        flagged_fraction=flagged_fraction,
        histogram=shared_histogram(area[given], area[planted]) if len(given) else None,
        decay_from=_decay_from(run.config, len(accuracy)),
    )


def sentences(health: Health) -> tuple[str, ...]:
    """Return what a user should know about a run: warnings, or one sentence that it is healthy."""
    said: list[str] = []
    overlap = health.histogram.overlap if health.histogram else 0.0
    last = float(health.threshold_accuracy[-1])
    if health.memorised_from is not None:
        before = health.memorised_from - 1
        advice = (
            f"score again with max_epochs={before} or less, or train fewer epochs"
            if before > 1
            else "train with a lower learning rate or a smaller network"
        )
        said.append(
            f"Run {health.run_id} has memorised its threshold rows: from epoch "
            f"{health.memorised_from} on most of them are predicted as the extra class "
            f"({last:.0%} in the last epoch), so its cut flags too much; {advice}."
        )
    if health.alpha > ALPHA_WARNING:
        said.append(
            f"The cut of run {health.run_id} lies at {health.alpha:.2f} logits, well above 0: the "
            "training went past memorisation and flags too much; fewer epochs help."
        )
    if overlap > OVERLAP_WARNING:
        said.append(
            f"The AUM of threshold rows and of ordinary rows overlap by {overlap:.0%} in run "
            f"{health.run_id}: it can hardly tell labels apart; train longer if accuracy is still "
            "low, shorter if threshold rows were memorised."
        )
    if health.decay_from is not None:
        said.append(
            f"The learning rate of run {health.run_id} falls after {health.decay_from} epochs, and "
            "AUM should end before its first fall; train with a constant rate."
        )
    if not said:
        said.append(
            f"Run {health.run_id} is healthy: its cut lies at {health.alpha:.2f} logits, in the "
            f"last epoch {last:.0%} of its threshold rows were predicted as the extra class, "
            f"and the AUM of threshold rows and of ordinary rows overlap by {overlap:.0%}."
        )
    if health.n_threshold < FEW_THRESHOLD_ROWS:
        said.append(
            f"The cut of run {health.run_id} rests on only {health.n_threshold} threshold rows and "
            "is uncertain; trust the ranking more than the flags."
        )
    return tuple(said)


def overall(flagged_fraction: float) -> tuple[str, ...]:
    """Return a warning where so much is flagged that the flags say little."""
    if flagged_fraction <= FLAGGED_WARNING:
        return ()
    return (
        f"{flagged_fraction:.0%} of the samples are flagged, which is close to flagging "
        "everything; use the ranking and choose a cut by looking.",
    )


def _memorised_from(accuracy: NDArray[np.float64]) -> int | None:
    # The median of three: a single dip late in a memorised training must not hide its beginning.
    padded = np.pad(accuracy, 1, mode="edge")
    smooth = np.median(np.stack([padded[:-2], accuracy, padded[2:]]), axis=0)
    is_low = np.flatnonzero(smooth <= MEMORISED_FRACTION)
    first = int(is_low[-1]) + 2 if len(is_low) else 1
    return first if first <= len(accuracy) else None


def _decay_from(config: RunConfig | None, n_epochs: int) -> int | None:
    if config is None or config.schedule is Schedule.CONSTANT:
        return None
    if config.schedule is Schedule.STEPS:
        first = min(config.milestones, default=float("inf"))
        return int(first) if first < n_epochs else None
    falls = int(np.ceil(config.warmup_epochs))
    return falls if falls < n_epochs else None
