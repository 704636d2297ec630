"""Where methods agree and differ on one dataset: common flags, ranks, single samples, classes, the truth.

A method without a cut of its own flags as many as the first method with one, so that nothing is decided
by the number alone; or all take the same number from the top. Everything hangs on ids of stored scores
and is made once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog
from audit.errors import InputError
from audit.numerics import agreement, metrics
from audit.numerics.agreement import Overlap
from audit.records.dataset import UNLABELLED, Dataset, Truth
from audit.store import datasets as dataset_rows
from audit.workbench import evaluating, ranking_view, suspects
from audit.workbench.flag_sets import Flags
from audit.workbench.ranking_view import Listing
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, Ranked

FEWEST = 20
"""Scored samples of a class below which its rate of flags is not judged."""

WIDEST = 0.30
"""Width of the 95 % interval above which it is not judged."""

_TOP_FRACTION = 0.1
_MOST_BY_DEFAULT = 6


class Part(StrEnum):
    """Samples that two methods flag together, or that one of them flags alone."""

    BOTH = "both"
    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Several methods' views of one dataset.

    Parameters
    ----------
    dataset, rankings
        What is compared: M rankings, in the order in which they were chosen.
    flags
        What counts as flagged, (M, N) bool.
    n_top
        How many a method takes that does not use a cut of its own.
    by_cut
        Per method, whether its own cut made its flags.
    """

    dataset: Dataset
    rankings: tuple[Ranked, ...]
    flags: NDArray[np.bool_]
    n_top: int
    by_cut: tuple[bool, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(ranking.scores.spec.name for ranking in self.rankings)

    @property
    def scores_ids(self) -> tuple[str, ...]:
        """Ids of the scores, which everything hangs on."""
        return tuple(ranking.scores_id for ranking in self.rankings)

    @property
    def n_flagged(self) -> tuple[int, ...]:
        """Samples that each method flags."""
        return tuple(int(flags.sum()) for flags in self.flags)

    def place(self, method: str) -> int:
        """Return the place of a method in this comparison."""
        return self.methods.index(method)


def offered(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the methods to compare where nobody has chosen: the main ones, if there are two of them."""
    main = [name for name in methods if catalog.entry(name).is_main]
    return tuple(main if len(main) > 1 else methods)[:_MOST_BY_DEFAULT]


def check_top(top: int | None, dataset: Dataset) -> int | None:
    """Return how many samples to take from the top of each method.

    Raises
    ------
    InputError
        If there are not so many.
    """
    if top is not None and not 1 <= top <= dataset.n_samples:
        raise InputError(
            f"top={top} is no number of samples of this dataset; it has {dataset.n_samples:,}."
        )
    return top


def compare(
    shelf: Shelf, dataset: Dataset, methods: Sequence[str], *, top: int | None = None
) -> Comparison:
    """Return several methods' flags beside each other.

    Parameters
    ----------
    shelf, dataset
        What to look at.
    methods
        Names of methods with scores, at least one.
    top
        Take so many from the top of every method; ``None`` uses a method's own cut where it has one.

    Raises
    ------
    NotFoundError
        If a method has no scores on this dataset.
    """
    rankings = tuple(suspects.ranked(shelf, dataset, method) for method in methods)
    key = ("comparison", dataset.id, tuple(ranking.scores_id for ranking in rankings), top)
    return shelf.lists.find_or_make(
        key, lambda: _compare(dataset, rankings, top), lambda made: made.flags.nbytes + 512
    )


def _compare(dataset: Dataset, rankings: tuple[Ranked, ...], top: int | None) -> Comparison:
    own = [ranking.scores.flagged if top is None else None for ranking in rankings]
    n_own = next((int(flags.sum()) for flags in own if flags is not None), 0)
    n_top = top or n_own or max(1, round(_TOP_FRACTION * dataset.n_samples))
    flags = [
        suspects.first(ranking, n_top) if cut is None else cut
        for ranking, cut in zip(rankings, own, strict=True)
    ]
    return Comparison(
        dataset=dataset,
        rankings=rankings,
        flags=np.stack(flags),
        n_top=n_top,
        by_cut=tuple(cut is not None for cut in own),
    )


def flags_in_words(comparison: Comparison) -> str:
    """Return what counts as flagged, in whole sentences."""
    cut = [
        f"{n:,} by {method}'s own cut"
        for method, n, by_cut in zip(
            comparison.methods, comparison.n_flagged, comparison.by_cut, strict=True
        )
        if by_cut
    ]
    rest = [
        method
        for method, by_cut in zip(comparison.methods, comparison.by_cut, strict=True)
        if not by_cut
    ]
    if not cut:
        of_each = "of each method" if len(rest) > 1 else f"of {rest[0]}"
        return f"Flagged are the {comparison.n_top:,} most suspicious samples {of_each}."
    said = f"Flagged are {_joined(cut)}."
    if rest:
        has = "has" if len(rest) == 1 else "have"
        said += (
            f" {_joined(rest)} {has} no cut: the {comparison.n_top:,} most suspicious are taken."
        )
    return said


def cut_at(ranking: Ranked, n_top: int) -> float | None:
    """Return the cut on a method's quantity that flags its first samples, ``None`` where none is scored.

    Samples that tie with the last of them are flagged too.
    """
    n_scored = int((ranking.ranks > 0).sum())
    if not n_scored:
        return None
    return float(ranking.scores.quantity[ranking.order[min(n_top, n_scored) - 1]])


# ---- how far they agree ----------------------------------------------------------------------------


def overlaps(comparison: Comparison) -> tuple[tuple[Overlap, ...], ...]:
    """Return the overlap of the flags of every two methods, M × M."""
    flags = comparison.flags
    return tuple(tuple(agreement.overlap(one, other) for other in flags) for one in flags)


def rank_correlations(shelf: Shelf, comparison: Comparison) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of every two methods, (M, M) float64; NaN where undefined.

    All samples count that both have scored, flagged or not.
    """
    return shelf.keep(
        ("rank correlations", comparison.scores_ids), lambda: _rank_correlations(comparison)
    )


def _rank_correlations(comparison: Comparison) -> NDArray[np.float64]:
    oriented = [suspect_values(ranking) for ranking in comparison.rankings]
    made = np.full((len(oriented), len(oriented)), np.nan)
    for row, one in enumerate(oriented):
        for column in range(row + 1):
            made[row, column] = made[column, row] = agreement.spearman(one, oriented[column])
    return made


def suspect_values(ranking: Ranked) -> NDArray[np.float64]:
    """Return a method's quantity turned so that high is suspect, (N,) float64, NaN where not scored."""
    scores = ranking.scores
    sign = -1.0 if catalog.entry(scores.spec.name).low_is_suspect else 1.0
    return sign * np.where(np.isnan(scores.suspicion), np.nan, scores.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two methods agree.

    Parameters
    ----------
    overlap
        Of their flags.
    spearman, kendall
        Rank correlations over all samples that both scored, in [-1, 1]; NaN where undefined.
    n_unscored
        Samples that one flags and the other has not scored.
    """

    overlap: Overlap
    spearman: float
    kendall: float
    n_unscored: int

    def in_words(self, first: str, second: str) -> str:
        """Return the figures as sentences."""
        said = f"{self.overlap.n_both:,} of {self.overlap.n_either:,} flagged samples are common"
        if self.overlap.n_either:
            said += f" (Jaccard {self.overlap.jaccard:.2f})"
        said += "."
        if not np.isnan(self.spearman):
            said += (
                f" Over all samples that both scored the orders correlate with Spearman's ρ = "
                f"{self.spearman:.2f} and Kendall's τ = {self.kendall:.2f}."
            )
        if self.n_unscored:
            samples, were = ("sample", "was") if self.n_unscored == 1 else ("samples", "were")
            said += (
                f" {self.n_unscored:,} {samples} that one of {first} and {second} flags {were} not "
                "scored by the other."
            )
        return said


def agree(shelf: Shelf, comparison: Comparison, first: str, second: str) -> Agreement:
    """Return how far two methods of a comparison agree."""
    at, other = comparison.place(first), comparison.place(second)
    one, two = comparison.rankings[at], comparison.rankings[other]
    spearman, kendall = shelf.keep(
        ("agreement", one.scores_id, two.scores_id),
        lambda: (
            agreement.spearman(suspect_values(one), suspect_values(two)),
            agreement.kendall(suspect_values(one), suspect_values(two)),
        ),
    )
    flags = comparison.flags[at], comparison.flags[other]
    unscored = (flags[0] & (two.ranks == 0)) | (flags[1] & (one.ranks == 0))
    return Agreement(
        overlap=agreement.overlap(*flags),
        spearman=spearman,
        kendall=kendall,
        n_unscored=int(unscored.sum()),
    )


def positions(comparison: Comparison, first: str, second: str, part: Part) -> NDArray[np.int64]:
    """Return the samples of a part, (M,) int64, most suspicious first.

    The order is that of the method that flags them; of those that both flag, the first one's.
    """
    at, other = comparison.place(first), comparison.place(second)
    one, two = comparison.flags[at], comparison.flags[other]
    wanted = {Part.BOTH: one & two, Part.FIRST: one & ~two, Part.SECOND: two & ~one}[part]
    order = comparison.rankings[other if part is Part.SECOND else at].order
    return order[wanted[order]]


def filters_of(comparison: Comparison, first: str, second: str, part: Part) -> Filters:
    """Return what shows the samples of a part on other pages: these, in the same order."""
    one, two = ((flags_of(comparison, method),) for method in (first, second))
    leader = second if part is Part.SECOND else first
    by, not_by = {Part.BOTH: (one + two, ()), Part.FIRST: (one, two), Part.SECOND: (two, one)}[part]
    return Filters(
        method=leader, cut=own_cut(comparison, leader), by=tuple(dict.fromkeys(by)), not_by=not_by
    )


def flags_of(comparison: Comparison, method: str) -> Flags:
    """Return what a method flags in a comparison."""
    by_cut = comparison.by_cut[comparison.place(method)]
    return Flags(method=method, top=None if by_cut else comparison.n_top)


def own_cut(comparison: Comparison, method: str) -> float | None:
    """Return the cut that marks what a method flags here, ``None`` where its own one does."""
    at = comparison.place(method)
    if comparison.by_cut[at]:
        return None
    return cut_at(comparison.rankings[at], comparison.n_top)


def listing(
    shelf: Shelf, comparison: Comparison, first: str, second: str, part: Part, *, page: int = 1
) -> Listing:
    """Return one page of the samples of a part, with the suggestions of the method that orders them."""
    leader = comparison.place(second if part is Part.SECOND else first)
    return ranking_view.look_at(
        shelf,
        comparison.dataset,
        positions(comparison, first, second, part),
        name=f"{comparison.scores_ids} {comparison.n_top} {comparison.by_cut} {first} {second} {part}",
        ranking=comparison.rankings[leader],
        is_flagged=comparison.flags[leader],
        page=page,
    )


# ---- the truth ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the truth says of one method, on the samples that it scored and whose truth is known.

    Parameters
    ----------
    method
        Its name.
    average_precision, roc_auc, precision_at_95_recall
        Of its order, in [0, 1], higher = better; ``None`` where all labels are right or all wrong.
    precision, recall, f1
        Of what counts as flagged in the comparison, in [0, 1]; ``None`` where nothing is known.
    """

    method: str
    average_precision: float | None
    roc_auc: float | None
    precision_at_95_recall: float | None
    precision: float | None
    recall: float | None
    f1: float | None


def judge(shelf: Shelf, comparison: Comparison) -> tuple[Judgement, ...]:
    """Return what the truth says of every method; nothing where the truth is not known."""
    truth = _truth(shelf, comparison.dataset)
    if truth is None:
        return ()
    return tuple(
        _judge(shelf, comparison, number, truth) for number in range(len(comparison.rankings))
    )


def _judge(shelf: Shelf, comparison: Comparison, number: int, truth: Truth) -> Judgement:
    dataset, ranking = comparison.dataset, comparison.rankings[number]
    figures = shelf.keep(
        ("measured", ranking.scores_id),
        lambda: evaluating.measure(dataset, truth, ranking.scores),
    )
    known = evaluating.comparable(dataset, truth) & (ranking.ranks > 0)
    wrong = (dataset.given_labels != truth.true_labels)[known]
    quality = metrics.flag_quality(comparison.flags[number][known], wrong) if len(wrong) else None
    return Judgement(
        method=ranking.scores.spec.name,
        average_precision=figures["average_precision"],
        roc_auc=figures["roc_auc"],
        precision_at_95_recall=figures["precision_at_95_recall"],
        precision=quality.precision if quality else None,
        recall=quality.recall if quality else None,
        f1=quality.f1 if quality else None,
    )


def wrong_rate(shelf: Shelf, dataset: Dataset, positions: NDArray[np.int64]) -> float | None:
    """Return the part of some samples whose label is wrong; ``None`` where no truth is known of them."""
    truth = _truth(shelf, dataset)
    if truth is None:
        return None
    known = positions[evaluating.comparable(dataset, truth)[positions]]
    if not len(known):
        return None
    return float((dataset.given_labels[known] != truth.true_labels[known]).mean())


def _truth(shelf: Shelf, dataset: Dataset) -> Truth | None:
    if not dataset.has_truth:
        return None
    return shelf.keep(
        ("truth", dataset.id), lambda: dataset_rows.truth(shelf.workspace, dataset.id)
    )


# ---- classes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassRates:
    """How many samples of each given class every method flags.

    Parameters
    ----------
    classes
        Class indices, (C,) int64: those that occur among the scored samples, those with the highest
        rate by the first method first, and those that are too small to judge last.
    n_scored, n_flagged
        Counts, (M, C) int64.
    rates, low, high
        Flagged ÷ scored and its 95 % interval (Wilson), (M, C) float64 in [0, 1], NaN for none.
    overall
        Rate over all labelled samples per method, (M,) float64.
    is_too_small
        (M, C) bool: fewer than `FEWEST` samples, or an interval wider than `WIDEST`.
    """

    classes: NDArray[np.int64]
    n_scored: NDArray[np.int64]
    n_flagged: NDArray[np.int64]
    rates: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    overall: NDArray[np.float64]
    is_too_small: NDArray[np.bool_]

    @property
    def stands_out(self) -> NDArray[np.bool_]:
        """Whether a class is flagged more than the whole, beyond chance, (M, C) bool."""
        with np.errstate(invalid="ignore"):
            return (self.low > self.overall[:, None]) & ~self.is_too_small

    @property
    def n_too_small(self) -> int:
        """Classes that some method cannot judge."""
        return int(self.is_too_small.any(axis=0).sum())


def class_rates(comparison: Comparison) -> ClassRates:
    """Return the rates of flags by given class."""
    dataset = comparison.dataset
    labels = dataset.given_labels.astype(np.int64)
    is_labelled = labels != UNLABELLED

    def counts(wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(labels[wanted & is_labelled], minlength=dataset.n_classes)

    n_scored = np.stack([counts(ranking.ranks > 0) for ranking in comparison.rankings])
    n_flagged = np.stack([counts(flags) for flags in comparison.flags])
    low, high = agreement.wilson_interval(n_flagged, n_scored)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = n_flagged / n_scored
        overall = n_flagged.sum(axis=1) / n_scored.sum(axis=1)
        is_too_small = (n_scored < FEWEST) | ~(high - low <= WIDEST)
    occurring = np.flatnonzero(n_scored.any(axis=0))
    first = np.where(np.isnan(rates[0]), -1.0, rates[0])[occurring]
    order = occurring[np.lexsort((occurring, -first, is_too_small[0][occurring]))]
    return ClassRates(
        classes=order,
        n_scored=n_scored[:, order],
        n_flagged=n_flagged[:, order],
        rates=rates[:, order],
        low=low[:, order],
        high=high[:, order],
        overall=overall,
        is_too_small=is_too_small[:, order],
    )


def too_small_in_words(rates: ClassRates) -> str | None:
    """Return the warning about classes that are too small, ``None`` where all can be judged."""
    n_classes, n_small = len(rates.classes), rates.n_too_small
    if not n_small:
        return None
    which = f"{n_small:,} of {n_classes:,} classes are" if n_classes > 1 else "The only class is"
    if n_classes > 1 and n_small == 1:
        which = f"1 of {n_classes:,} classes is"
    return (
        f"{which} too small to judge: fewer than {FEWEST} scored samples, or a 95 % interval wider than "
        f"{round(100 * WIDEST)} points. A high rate there may be chance."
    )


def _joined(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
