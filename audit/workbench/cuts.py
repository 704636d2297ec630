"""A method's quantity over a dataset, where it is cut, and what a cut flags and is worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog
from audit.errors import InputError
from audit.records.scores import Scores
from audit.workbench import suspects
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Ranked

N_BINS = 60
"""Bars of a distribution."""

_STEPS = 200
_BAND = (10.0, 99.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """A method's quantity over a dataset, and what its threshold rows did.

    Parameters
    ----------
    name, unit
        Of the quantity.
    low_is_suspect
        Direction of the quantity.
    low, high, step
        Range of the quantity, widened to whole steps, and a step that is fine enough for a cut.
    edges, counts
        Bars over the scored samples: (B + 1,) and (B,).
    threshold
        Threshold rows in the same bars, (B,) float64, or ``None`` where the method has none.
    band
        10th and 99th percentile of the threshold rows, or ``None``.
    own_cut
        The method's own cut, or ``None``.
    n_scored, n_own_flags
        Samples with a score, and those that the method flags itself.
    precision
        Estimated part of wrong labels among the samples that a cut at each edge flags, (B + 1,) float64,
        NaN where it flags none; ``None`` where the method estimates none.
    n_wrong
        Estimated number of wrong labels, or ``None``.
    """

    name: str
    unit: str
    low_is_suspect: bool
    low: float
    high: float
    step: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    threshold: NDArray[np.float64] | None
    band: tuple[float, float] | None
    own_cut: float | None
    n_scored: int
    n_own_flags: int
    precision: NDArray[np.float64] | None = None
    n_wrong: float | None = None

    @property
    def resting_cut(self) -> float:
        """Where a cut lies that nobody moved: the method's own, or where it flags next to nothing."""
        if self.own_cut is not None:
            return self.own_cut
        return self.low if self.low_is_suspect else self.high

    @property
    def n_decimals(self) -> int:
        """Decimals that show a step."""
        return max(0, -math.floor(math.log10(self.step)))


def distribution(shelf: Shelf, ranking: Ranked) -> Distribution | None:
    """Return the distribution of a method's quantity, made once; ``None`` if nothing is scored."""
    key = ("distribution", ranking.scores_id)
    return shelf.keep(key, lambda: _distribution(ranking))


def check_cut(cut: float | None, shown: Distribution | None) -> float | None:
    """Return a cut, ``None`` where it lies where the method's own cut lies or where it is off.

    Raises
    ------
    InputError
        If it is not a number within the quantity's range.
    """
    if cut is None or shown is None or cut == shown.resting_cut:
        return None
    if not shown.low <= cut <= shown.high:
        raise InputError(
            f"cut={cut:g} lies outside the range of {shown.name}, {shown.low:g} to {shown.high:g}."
        )
    return cut


def flags_in_words(ranking: Ranked, shown: Distribution, cut: float | None) -> str:
    """Return what a cut flags, and what that is estimated to be worth, in one or two sentences.

    Parameters
    ----------
    ranking, shown
        From `suspects.ranked` and `distribution`.
    cut
        ``None`` for the method's own flags.
    """
    flagged = suspects.flagged(ranking, cut)
    n_flagged = int(flagged.sum())
    part = (
        f"{n_flagged:,} {'sample' if n_flagged == 1 else 'samples'} ({_percent(n_flagged, shown)})"
    )
    worth = _worth_in_words(_precision_of(ranking.scores, flagged), n_flagged, shown)
    if cut is not None:
        return f"This cut would flag {part}.{worth}"
    if ranking.scores.flagged is None:
        return f"{ranking.scores.spec.name} has no cut of its own: move this one to flag samples."
    return f"{ranking.scores.spec.name}'s own cut flags {part}.{worth}"


def _distribution(ranking: Ranked) -> Distribution | None:
    scores = ranking.scores
    entry = catalog.entry(scores.spec.name)
    values = scores.quantity[np.isfinite(scores.quantity)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    if scores.threshold is not None and math.isfinite(scores.threshold):
        low, high = min(low, scores.threshold), max(high, scores.threshold)
    step = _round_step((high - low) / _STEPS)
    low, high = _on_step(math.floor(low / step), step), _on_step(math.ceil(high / step), step)
    edges: NDArray[np.float64] = np.linspace(low, high, N_BINS + 1, dtype=np.float64)
    threshold, band = _threshold_rows(scores.details, edges)
    return Distribution(
        name=scores.quantity_name,
        unit=entry.quantity_unit,
        low_is_suspect=entry.low_is_suspect,
        low=low,
        high=high,
        step=step,
        edges=edges,
        counts=np.histogram(values, bins=edges)[0].astype(np.int64),
        threshold=threshold,
        band=band,
        own_cut=scores.threshold,
        n_scored=len(values),
        n_own_flags=0 if scores.flagged is None else int(scores.flagged.sum()),
        precision=_precision_at(scores, edges),
        n_wrong=_n_wrong(scores, len(values)),
    )


def _precision_at(scores: Scores, edges: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if scores.precision is None:
        return None
    flags = (suspects.flagged_by(scores, cut) for cut in edges.tolist())
    return np.array([_precision_of(scores, flagged) for flagged in flags], dtype=np.float64)


def _precision_of(scores: Scores, flagged: NDArray[np.bool_]) -> float:
    """Return the estimated precision of flags that go down to a rank: that of the last one flagged."""
    if scores.precision is None or not flagged.any():
        return math.nan
    return float(np.nanmin(scores.precision[flagged]))


def _n_wrong(scores: Scores, n_scored: int) -> float | None:
    rate = scores.details.get("noise_rate")
    if scores.precision is None or not isinstance(rate, int | float):
        return None
    return float(rate) * n_scored


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1.0, 2.0, 5.0, 10.0) if power * times >= rough)


def _on_step(number: int, step: float) -> float:
    # Rounded away: 7 * 0.05 is 0.35000000000000003.
    return round(number * step, max(0, 2 - math.floor(math.log10(step))))


def _threshold_rows(
    details: Mapping[str, Any], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, tuple[float, float] | None]:
    """Return the threshold rows of all runs in common bars, and their band."""
    found = [run.get("histogram") for run in details.get("runs", ())]
    recorded = [histogram for histogram in found if histogram and sum(histogram["threshold"])]
    if not recorded:
        return None, None
    # Within a recorded bar the rows count as spread evenly.
    grid = np.unique(np.concatenate([edges, *(histogram["edges"] for histogram in recorded)]))
    below_grid, below_edges = np.zeros(len(grid)), np.zeros(len(edges))
    for histogram in recorded:
        own: NDArray[np.float64] = np.asarray(histogram["edges"], dtype=np.float64)
        below = np.concatenate([[0.0], np.cumsum(histogram["threshold"], dtype=np.float64)])
        below_grid += np.interp(grid, own, below)
        below_edges += np.interp(edges, own, below)
    total = below_grid[-1]
    rows = np.diff(below_edges)
    rows[0] += below_edges[0]
    rows[-1] += total - below_edges[-1]
    low, high = (float(np.interp(total * part / 100, below_grid, grid)) for part in _BAND)
    return rows, (low, high)


def _worth_in_words(precision: float, n_flagged: int, shown: Distribution) -> str:
    if math.isnan(precision):
        return ""
    n_found = precision * n_flagged
    said = f" About {n_found:,.0f} of them are wrong ({precision:.0%})".replace("%", " %")
    if shown.n_wrong is None:
        return said + "."
    n_missed = max(shown.n_wrong - n_found, 0.0)
    return f"{said}, and about {n_missed:,.0f} wrong labels are not flagged."


def _percent(n_flagged: int, shown: Distribution) -> str:
    return f"{n_flagged / shown.n_scored:.1%}".replace("%", " %")
