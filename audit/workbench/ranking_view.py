"""What the Ranking page shows of a selection: tiles, counts, pairs of classes.

Everything costs a few passes over N values at most, whatever the number of classes.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.records.dataset import UNLABELLED, Dataset
from audit.workbench import suspects
from audit.workbench.shelf import UNDECIDED, Shelf, Standing
from audit.workbench.suspects import Filters, Ranked

PAGE_SIZE = 100
"""Samples on a page; one sheet of thumbnails."""

MOST_PAIRS = 400
"""Pairs of classes that are listed: all there can be of 20 classes."""


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
