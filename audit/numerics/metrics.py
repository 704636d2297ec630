"""How well suspicion and flags find wrong labels; positive always means "the label is wrong".

Only for benchmarks, where the truth is known. Samples that were not scored are the caller's to
leave out. Equal suspicions are one step of every curve, never ordered by position.
"""

# scikit-learn carries no types; what comes out of it is typed where it is returned.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

Metric = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]
"""Suspicion (N,) and is_wrong (N,) → one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagQuality:
    """What flags are worth.

    Parameters
    ----------
    f1, precision, recall
        In [0, 1], higher = better; 0 where they are not defined (nothing flagged, nothing wrong).
    flagged_fraction
        Flagged ÷ all, in [0, 1].
    flagged_ratio
        Flagged ÷ wrong, ≥ 0; 1 = as many as there are. NaN where nothing is wrong.
    """

    f1: float
    precision: float
    recall: float
    flagged_fraction: float
    flagged_ratio: float


def average_precision(suspicion: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    """Return the sum of (R_n - R_{n-1}) P_n over falling suspicion, without interpolation.

    This is what Jia et al. 2023 call mAP.

    Parameters
    ----------
    suspicion
        (N,) float64, higher = more likely wrong.
    is_wrong
        (N,) bool.

    Returns
    -------
    float
        In [0, 1], higher = better; the noise rate is what a random order reaches. NaN if no
        label is wrong.

    Raises
    ------
    InputError
        If shapes differ, there are no samples, or a suspicion is NaN.

    Examples
    --------
    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True])).__round__(4)
    0.8333
    """
    _check(suspicion, is_wrong)
    if not is_wrong.any():
        return float("nan")
    from sklearn import metrics as sklearn_metrics  # noqa: PLC0415 - a second to import

    return float(sklearn_metrics.average_precision_score(is_wrong, suspicion))


def roc_auc(suspicion: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    """Return the chance that a wrong label is more suspicious than a right one; ties count half.

    Parameters and errors are those of `average_precision`.

    Returns
    -------
    float
        In [0, 1], higher = better, 0.5 = random order. NaN if all labels are wrong, or none.

    Examples
    --------
    >>> roc_auc(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.5
    """
    _check(suspicion, is_wrong)
    if is_wrong.all() or not is_wrong.any():
        return float("nan")
    from sklearn import metrics as sklearn_metrics  # noqa: PLC0415 - a second to import

    return float(sklearn_metrics.roc_auc_score(is_wrong, suspicion))


def precision_at_95_recall(suspicion: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    """Return the precision at the largest cut on suspicion that finds 95 % of the wrong labels.

    Jia et al. 2023, "Precision@95". Parameters and errors are those of `average_precision`.

    Returns
    -------
    float
        In [0, 1], higher = better. NaN if no label is wrong.

    Examples
    --------
    >>> precision_at_95_recall(
    ...     np.array([0.9, 0.8, 0.1, 0.0]), np.array([True, False, True, False])
    ... ).__round__(4)
    0.6667
    """
    _check(suspicion, is_wrong)
    if not is_wrong.any():
        return float("nan")
    from sklearn import metrics as sklearn_metrics  # noqa: PLC0415 - a second to import

    precision, recall, cuts = sklearn_metrics.precision_recall_curve(is_wrong, suspicion)
    # Cuts ascend and recall falls; the last entry of the curve (recall 0) belongs to no cut.
    return float(precision[np.flatnonzero(recall[: len(cuts)] >= 0.95)[-1]])


def flag_quality(flagged: NDArray[np.bool_], is_wrong: NDArray[np.bool_]) -> FlagQuality:
    """Return F1, precision, recall and amount of flags.

    Parameters
    ----------
    flagged, is_wrong
        (N,) bool.

    Returns
    -------
    FlagQuality
        See there for ranges.

    Raises
    ------
    InputError
        If shapes differ or there are no samples.

    Examples
    --------
    >>> flag_quality(np.array([True, True, False]), np.array([True, False, False])).precision
    0.5
    """
    if flagged.shape != is_wrong.shape or not len(flagged):
        raise InputError(
            f"Flags and truth need the same samples, got {flagged.shape}, {is_wrong.shape}."
        )
    n_flagged, n_wrong = int(flagged.sum()), int(is_wrong.sum())
    n_hits = int((flagged & is_wrong).sum())
    return FlagQuality(
        f1=2 * n_hits / (n_flagged + n_wrong) if n_flagged + n_wrong else 0.0,
        precision=n_hits / n_flagged if n_flagged else 0.0,
        recall=n_hits / n_wrong if n_wrong else 0.0,
        flagged_fraction=n_flagged / len(flagged),
        flagged_ratio=n_flagged / n_wrong if n_wrong else float("nan"),
    )


def f1_flag_everything(noise_rate: float) -> float:
    """Return the F1 of flagging every sample, 2η / (1 + η): the reference beside every F1.

    Parameters
    ----------
    noise_rate
        Fraction η of wrong labels, in [0, 1].

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> f1_flag_everything(0.25)
    0.4
    """
    return 2 * noise_rate / (1 + noise_rate)


def bootstrap_interval(
    metric: Metric,
    suspicion: NDArray[np.float64],
    is_wrong: NDArray[np.bool_],
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of a metric over samples.

    It says how much the figure would vary with other samples of the same kind, not with another
    training; several seeds say that. Resamples where the metric is not defined are left out.

    Parameters
    ----------
    metric
        For example `average_precision`.
    suspicion, is_wrong
        As there.
    rng
        Decides which samples are drawn.
    n_resamples
        Number of resamples, ≥ 1.
    level
        Coverage, in (0, 1).

    Returns
    -------
    tuple
        Lower and upper end; both NaN if the metric is not defined on any resample.

    Raises
    ------
    InputError
        As `average_precision`, or if `n_resamples` or `level` is out of range.

    Examples
    --------
    >>> values, truth = np.linspace(0, 1, 200), np.arange(200) >= 100
    >>> low, high = bootstrap_interval(
    ...     roc_auc, values, truth, rng=np.random.default_rng(0), n_resamples=20
    ... )
    >>> round(low, 6), round(high, 6)
    (1.0, 1.0)
    """
    _check(suspicion, is_wrong)
    if n_resamples < 1 or not 0 < level < 1:
        raise InputError(
            "A bootstrap needs at least one resample and a level in (0, 1), "
            f"got {n_resamples} and {level}."
        )
    n_samples = len(suspicion)
    figures = np.empty(n_resamples)
    for number in range(n_resamples):
        drawn = rng.integers(0, n_samples, n_samples)
        figures[number] = metric(suspicion[drawn], is_wrong[drawn])
    figures = figures[~np.isnan(figures)]
    if not len(figures):
        return float("nan"), float("nan")
    low, high = np.percentile(figures, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _check(suspicion: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> None:
    if suspicion.shape != is_wrong.shape or suspicion.ndim != 1 or not len(suspicion):
        raise InputError(
            "Suspicion and truth need the same samples, at least one, "
            f"got {suspicion.shape} and {is_wrong.shape}."
        )
    if np.isnan(suspicion).any():
        raise InputError("Samples that were not scored (NaN) must be left out before measuring.")
