"""Queues for review: which samples, in which order, with all that is shown beside them, by page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import RefusedError
from audit.records.dataset import Dataset
from audit.records.decision import Decision
from audit.workbench import likely, provisional, suspects
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, Ranked, State

MOST = 200
"""Samples on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a queue.

    Parameters
    ----------
    dataset_id
        Whose samples.
    as_of
        Number of the event up to which decisions were regarded when the queue was opened; the same
        number gives the same list on every page.
    scores_id, method
        What ordered it; where the filters name other methods' flags, the ids of these scores follow,
        separated by commas.
    total
        Samples in the whole queue.
    n_decided
        Samples that were left out of a queue of undecided ones because they were decided before it
        was opened; 0 for any other queue.
    start
        Place of the first item.
    items
        In order, as plain JSON values.
    """

    dataset_id: str
    as_of: int
    scores_id: str
    method: str
    total: int
    n_decided: int
    start: int
    items: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "dataset": self.dataset_id,
            "as_of": self.as_of,
            "scores_id": self.scores_id,
            "method": self.method,
            "total": self.total,
            "n_decided": self.n_decided,
            "start": self.start,
            "items": list(self.items),
        }


def page(
    shelf: Shelf,
    dataset: Dataset,
    filters: Filters,
    *,
    as_of: int | None = None,
    scores_id: str | None = None,
    start: int = 0,
    count: int = 50,
) -> Page:
    """Return a part of the queue that filters mean.

    Parameters
    ----------
    shelf, dataset, filters
        What to review.
    as_of
        From an earlier page of the same queue; ``None`` opens it.
    scores_id
        From an earlier page, so that scores made since do not change the order; ``None`` takes the
        newest of the method.
    start, count
        Which part, at most `MOST` samples.

    Raises
    ------
    RefusedError
        If the dataset has no scores at all.
    NotFoundError
        If the method, class or score is not known.
    """
    if filters.method == provisional.METHOD:
        raise RefusedError(
            "A provisional ranking moves with every epoch and is not reviewed: wait until the run is sealed "
            "and scored."
        )
    if not shelf.latest(dataset):
        raise RefusedError(
            f"Dataset {dataset.name!r} has no scores yet: train and score a run first."
        )
    rankings = _rankings(shelf, dataset, filters, scores_id)
    ranking = rankings[0]
    standing = shelf.standing(dataset)
    as_of = standing.last_id if as_of is None else min(as_of, standing.last_id)
    positions = _positions(shelf, dataset, filters, rankings, as_of)
    shown = positions[start : start + min(count, MOST)]
    return Page(
        dataset_id=dataset.id,
        as_of=as_of,
        scores_id=",".join(one.scores_id for one in rankings),
        method=ranking.scores.spec.name,
        total=len(positions),
        n_decided=_n_decided(shelf, dataset, filters, rankings, as_of),
        start=start,
        items=tuple(_items(shelf, dataset, ranking, shown, cut=filters.cut)),
    )


def items(
    shelf: Shelf, dataset: Dataset, filters: Filters, positions: Sequence[int]
) -> list[dict[str, Any]]:
    """Return what a queue says of certain samples, in the order that was asked."""
    ranking = suspects.ranked(shelf, dataset, filters.method)
    chosen = np.array(positions, dtype=np.int64)
    return _items(shelf, dataset, ranking, chosen, cut=filters.cut)


def _rankings(
    shelf: Shelf, dataset: Dataset, filters: Filters, scores_id: str | None
) -> tuple[Ranked, ...]:
    """Return what orders a queue, then the views of the methods whose flags it goes by."""
    if scores_id is None:
        ranking = suspects.ranked(shelf, dataset, filters.method)
        return ranking, *suspects.beside(shelf, dataset, filters)
    first, *others = scores_id.split(",")
    ranking = suspects.ranked_by(shelf, dataset, first)
    return ranking, *suspects.beside(shelf, dataset, filters, others)


def _positions(
    shelf: Shelf,
    dataset: Dataset,
    filters: Filters,
    rankings: tuple[Ranked, ...],
    as_of: int,
) -> NDArray[np.int64]:
    ranking, *others = rankings
    ids = tuple(one.scores_id for one in rankings)

    def select() -> NDArray[np.int64]:
        found = suspects.select(
            shelf, dataset, filters, as_of=as_of, ranking=ranking, others=others
        )
        return found.positions

    return shelf.lists.find_or_make(
        ("queue", dataset.id, ids, filters, as_of),
        select,
        lambda positions: positions.nbytes + 256,
    )


def _n_decided(
    shelf: Shelf,
    dataset: Dataset,
    filters: Filters,
    rankings: tuple[Ranked, ...],
    as_of: int,
) -> int:
    whole = {State.UNDECIDED: State.ALL, State.TODO: State.FLAGGED}.get(filters.state)
    if whole is None:
        return 0
    without = replace(filters, state=whole)
    n_all, n_left = (
        len(_positions(shelf, dataset, wanted, rankings, as_of)) for wanted in (without, filters)
    )
    return n_all - n_left


def _items(
    shelf: Shelf,
    dataset: Dataset,
    ranking: Ranked,
    positions: NDArray[np.int64],
    *,
    cut: float | None,
) -> list[dict[str, Any]]:
    scores, decisions = ranking.scores, shelf.standing(dataset).decisions
    is_flagged = suspects.flagged(ranking, cut)[positions].tolist()
    given = dataset.given_labels[positions].tolist()
    suggested = scores.suggested_label[positions].tolist()
    suspicion = scores.suspicion[positions].tolist()
    ranks = ranking.ranks[positions].tolist()
    offers = likely.classes(shelf, dataset, scores, positions)
    found: list[dict[str, Any]] = []
    for number, position in enumerate(positions.tolist()):
        key = dataset.sample_keys[position]
        is_scored = not math.isnan(suspicion[number])
        value = suspicion[number] if is_scored else None
        rank = ranks[number] if ranks[number] > 0 else None
        index = suggested[number]
        found.append(
            {
                "position": position,
                "key": key,
                "given": given[number],
                "suggested": index,
                "likely": offers[number],
                "suspicion": value,
                "rank": rank,
                "flagged": is_flagged[number],
                "decided": _decided(shelf, dataset, decisions.get(key)),
                "shown": {
                    "method": scores.spec.name,
                    "scores_id": ranking.scores_id,
                    "suspicion": value,
                    "rank": rank,
                    "suggested": dataset.class_names[index] if index >= 0 else None,
                },
            }
        )
    return found


def _decided(shelf: Shelf, dataset: Dataset, decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "id": decision.id,
        "verdict": str(decision.verdict),
        "label": shelf.classes(dataset).get(decision.label or ""),
        "reviewer": decision.reviewer,
        "note": decision.note,
    }
