"""What the Ranking page shows of a selection: tiles, counts, a distribution with its cut, pairs of classes.

Everything costs a few passes over N values at most, whatever the number of classes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog
from audit.errors import InputError
from audit.records.dataset import UNLABELLED, Dataset
from audit.records.scores import Scores
from audit.workbench import suspects
from audit.workbench.shelf import UNDECIDED, Shelf, Standing
from audit.workbench.suspects import Filters, Ranked

PAGE_SIZE = 100
"""Samples on a page; one sheet of thumbnails."""

N_BINS = 60
"""Bars of a distribution."""

MOST_OFFERED = 250
"""Class names in a list that is offered."""

MOST_PAIRS = 400
"""Pairs of classes that are listed: all there can be of 20 classes."""

_STEPS = 200
_BAND = (10.0, 99.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One sample of a gallery.

    Parameters
    ----------
    position, key
        Which sample.
    given, suggested
        Class names; ``None`` where there is none.
    suspicion, rank
        ``None`` for samples without a score.
    flagged
        By the method, or by the cut that was asked for.
    verdict, label, reviewer
        The decision that stands; ``None`` while the sample is undecided.
    decision
        Its number in the log.
    problem
        Why the sample cannot be used, or ``None``.
    """

    position: int
    key: str
    given: str | None
    suggested: str | None
    suspicion: float | None
    rank: int | None
    flagged: bool
    verdict: str | None
    label: str | None
    reviewer: str | None
    decision: int | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many samples are shown, of how many, and how many of them are flagged and undecided.

    Parameters
    ----------
    n_shown, n_flagged, n_undecided, n_unscored
        Of the selection.
    n_samples
        Of the dataset.
    n_moved
        Samples that decisions made since the list was opened would take from it or add to it.
    """

    n_shown: int
    n_samples: int
    n_flagged: int
    n_undecided: int
    n_unscored: int
    n_moved: int

    @property
    def in_words(self) -> str:
        """The counts as sentences."""
        said = (
            f"{self.n_shown:,} of {self.n_samples:,} samples, {self.n_flagged:,} flagged, "
            f"{self.n_undecided:,} undecided."
        )
        return said + (f" The last {self.n_unscored:,} have no score." if self.n_unscored else "")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How many samples of one given class are suggested to be of another, by class index."""

    given: int
    suggested: int
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The most frequent pairs of given and suggested class, and what they leave out.

    Parameters
    ----------
    top
        Most frequent first, ties by class index.
    n_others
        Number of further pairs that occur.
    """

    top: tuple[Pair, ...]
    n_others: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """One page of a list of samples.

    Parameters
    ----------
    dataset, ranking
        What is shown, by whose scores.
    name
        What tells this list from others by the same scores; another one is another list.
    page, n_pages
        Which page, from 1; there is always one.
    tiles, next_positions
        What is on it, and the positions on the page after it.
    """

    dataset: Dataset
    ranking: Ranked
    name: str
    page: int
    n_pages: int
    tiles: tuple[Tile, ...]
    next_positions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View(Listing):
    """One page of a list of suspects, with what stands beside it.

    Parameters
    ----------
    filters
        What is shown.
    as_of
        Number of the event in the log of decisions up to which the list regards them. Marks and
        counts regard all.
    counts, pairs
        Of the whole list.
    """

    filters: Filters
    as_of: int
    counts: Counts
    pairs: Pairs


def look(
    shelf: Shelf,
    dataset: Dataset,
    filters: Filters,
    *,
    ranking: Ranked,
    as_of: int | None = None,
    page: int = 1,
) -> View:
    """Return one page of the samples that a filter means.

    Parameters
    ----------
    shelf, dataset, filters
        What to look for.
    ranking
        From `suspects.ranked`.
    as_of
        From an earlier look at the same list: what was decided since takes no sample out of it, so
        that pages stay what they were. ``None`` opens the list now.
    page
        From 1; one beyond the last is the last.
    """
    standing = shelf.standing(dataset)
    as_of = standing.last_id if as_of is None else min(as_of, standing.last_id)
    shown = suspects.select(shelf, dataset, filters, as_of=as_of, ranking=ranking).positions
    listed = look_at(
        shelf,
        dataset,
        shown,
        name=f"{filters} {as_of}",
        ranking=ranking,
        is_flagged=suspects.flagged(ranking, filters.cut),
        page=page,
    )
    return View(
        dataset=dataset,
        ranking=ranking,
        name=listed.name,
        filters=filters,
        as_of=as_of,
        page=listed.page,
        n_pages=listed.n_pages,
        tiles=listed.tiles,
        next_positions=listed.next_positions,
        counts=_counts(shelf, dataset, filters, ranking=ranking, shown=shown, as_of=as_of),
        pairs=_pairs(shelf, dataset, filters, ranking, as_of),
    )


def look_at(
    shelf: Shelf,
    dataset: Dataset,
    positions: NDArray[np.int64],
    *,
    name: str,
    ranking: Ranked,
    is_flagged: NDArray[np.bool_],
    page: int = 1,
) -> Listing:
    """Return one page of certain samples, in the order that they come in.

    Parameters
    ----------
    shelf, dataset
        Whose samples.
    positions
        Which, (M,) int64.
    name
        As in `Listing`.
    ranking
        Whose ranks and suggestions the tiles show.
    is_flagged
        Which samples are marked as flagged, (N,) bool.
    page
        From 1; one beyond the last is the last.
    """
    n_pages = max(1, -(-len(positions) // PAGE_SIZE))
    page = min(max(page, 1), n_pages)
    start = (page - 1) * PAGE_SIZE
    shown = positions[start : start + PAGE_SIZE]
    return Listing(
        dataset=dataset,
        ranking=ranking,
        name=name,
        page=page,
        n_pages=n_pages,
        tiles=_tiles(dataset, ranking, is_flagged, shown, shelf.standing(dataset)),
        next_positions=tuple(positions[start + PAGE_SIZE : start + 2 * PAGE_SIZE].tolist()),
    )


def _counts(
    shelf: Shelf,
    dataset: Dataset,
    filters: Filters,
    *,
    ranking: Ranked,
    shown: NDArray[np.int64],
    as_of: int,
) -> Counts:
    standing = shelf.standing(dataset)
    n_moved = 0
    if as_of < standing.last_id:
        fresh = suspects.select(shelf, dataset, filters, ranking=ranking).positions
        n_moved = len(np.setxor1d(fresh, shown, assume_unique=True))
    return Counts(
        n_shown=len(shown),
        n_samples=dataset.n_samples,
        n_flagged=int(suspects.flagged(ranking, filters.cut)[shown].sum()),
        n_undecided=int((standing.verdicts[shown] == UNDECIDED).sum()),
        n_unscored=int((ranking.ranks[shown] == 0).sum()),
        n_moved=n_moved,
    )


def _tiles(
    dataset: Dataset,
    ranking: Ranked,
    is_flagged: NDArray[np.bool_],
    positions: NDArray[np.int64],
    standing: Standing,
) -> tuple[Tile, ...]:
    shown: list[Tile] = []
    for position in positions.tolist():
        key = dataset.sample_keys[position]
        decision = standing.decisions.get(key)
        rank = int(ranking.ranks[position])
        shown.append(
            Tile(
                position=position,
                key=key,
                given=_class_name(dataset, int(dataset.given_labels[position])),
                suggested=_class_name(dataset, int(ranking.scores.suggested_label[position])),
                suspicion=float(ranking.scores.suspicion[position]) if rank else None,
                rank=rank or None,
                flagged=bool(is_flagged[position]),
                verdict=str(decision.verdict) if decision else None,
                label=decision.label if decision else None,
                reviewer=decision.reviewer if decision else None,
                decision=decision.id if decision else None,
                problem=dataset.problems.get(position),
            )
        )
    return tuple(shown)


def distribution(shelf: Shelf, ranking: Ranked) -> Distribution | None:
    """Return the distribution of a method's quantity, made once; ``None`` if nothing is scored."""
    key = ("distribution", ranking.scores_id)
    return shelf.keep(key, lambda: _distribution(ranking))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Class names to offer in a list: all of them, or the most frequent ones of many.

    Parameters
    ----------
    given, suggested
        In the dataset's order where they are all, otherwise most frequent first.
    """

    given: tuple[str, ...]
    suggested: tuple[str, ...]


def choices(shelf: Shelf, dataset: Dataset, ranking: Ranked) -> Choices:
    """Return which classes to offer as filters; a browser cannot take a list of ten thousand twice."""
    names = dataset.class_names
    if len(names) <= MOST_OFFERED:
        return Choices(given=names, suggested=names)
    return Choices(
        given=offered_classes(shelf, dataset),
        suggested=shelf.keep(
            ("choices", ranking.scores_id),
            lambda: _frequent(names, ranking.scores.suggested_label),
        ),
    )


def offered_classes(shelf: Shelf, dataset: Dataset) -> tuple[str, ...]:
    """Return the classes to offer where somebody names one: all, or the most frequent of very many."""
    names = dataset.class_names
    if len(names) <= MOST_OFFERED:
        return names
    return shelf.keep(("offered", dataset.id), lambda: _frequent(names, dataset.given_labels))


def _frequent(names: tuple[str, ...], labels: NDArray[np.int32]) -> tuple[str, ...]:
    n_samples = np.bincount(labels[labels >= 0], minlength=len(names))
    first = np.argsort(-n_samples, kind="stable")[:MOST_OFFERED]
    return tuple(names[index] for index in first if n_samples[index])


def classes_like(dataset: Dataset, text: str) -> tuple[str, ...]:
    """Return the classes that a typed text may mean: that one alone, or all that contain it in any case.

    Parameters
    ----------
    dataset
        Whose classes.
    text
        As typed.
    """
    wanted = text.strip().casefold()
    same = tuple(name for name in dataset.class_names if name.casefold() == wanted)
    if len(same) == 1 or not wanted:
        return same
    return tuple(name for name in dataset.class_names if wanted in name.casefold())


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


def _pairs(shelf: Shelf, dataset: Dataset, filters: Filters, ranking: Ranked, as_of: int) -> Pairs:
    # Without the class filters, so that one pair can be seen beside the others.
    wide = replace(filters, cls=None, suggested=None)
    ids = tuple(one.scores_id for one in suspects.beside(shelf, dataset, filters))
    key = ("pairs", ranking.scores_id, ids, as_of, wide)
    return shelf.lists.find_or_make(
        key,
        lambda: _counted_pairs(
            dataset,
            ranking,
            suspects.select(shelf, dataset, wide, as_of=as_of, ranking=ranking).positions,
        ),
        lambda made: 128 + 96 * len(made.top),
    )


def _counted_pairs(dataset: Dataset, ranking: Ranked, shown: NDArray[np.int64]) -> Pairs:
    given = dataset.given_labels[shown].astype(np.int64)
    suggested = ranking.scores.suggested_label[shown].astype(np.int64)
    both = (given != UNLABELLED) & (suggested >= 0)
    flat = given[both] * dataset.n_classes + suggested[both]
    if dataset.n_classes**2 <= len(flat):
        table = np.bincount(flat)
        found = np.flatnonzero(table)
        n_samples = table[found]
    else:
        found, n_samples = np.unique(flat, return_counts=True)
    order = np.argsort(-n_samples, kind="stable")[:MOST_PAIRS]
    top = tuple(
        Pair(
            given=int(found[at] // dataset.n_classes),
            suggested=int(found[at] % dataset.n_classes),
            n_samples=int(n_samples[at]),
        )
        for at in order
    )
    return Pairs(top=top, n_others=len(found) - len(top))


def _class_name(dataset: Dataset, index: int) -> str | None:
    return None if index < 0 else dataset.class_names[index]
