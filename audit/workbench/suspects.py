"""Suspects: which samples a filter means, in which order, and how many there are of each kind.

The order is by the method's own quantity, which tells apart what suspicion rounds together: most
suspicious first, ties in dataset order; samples without a score come last. Everything is a handful of
array operations, so that a filter answers in milliseconds at 50,000 samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog
from audit.errors import InputError, NotFoundError
from audit.records.dataset import Dataset
from audit.records.scores import Scores
from audit.store import scores as score_rows
from audit.workbench import ordering, provisional
from audit.workbench.flag_sets import Flags
from audit.workbench.provisional import Provisional
from audit.workbench.shelf import UNDECIDED, VERDICTS, Shelf


class State(StrEnum):
    """Which samples to show, by what is known or decided about them."""

    ALL = "all"
    UNDECIDED = "undecided"
    DECIDED = "decided"
    FLAGGED = "flagged"
    TODO = "todo"
    """Flagged and undecided: what is left to review."""
    KEPT = "keep"
    RELABELLED = "relabel"
    EXCLUDED = "exclude"
    UNSURE = "unsure"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What to show; ``None`` does not restrict.

    Parameters
    ----------
    method
        Whose scores order the samples.
    cls, suggested
        Given and suggested class, by name.
    state
        Known or decided.
    cut
        A cut on the method's own quantity that decides what is flagged, in the quantity's unit;
        ``None`` for the method's own flags.
    by, not_by
        Methods all of which flag a sample, and methods none of which does, whatever the method that
        orders.
    """

    method: str | None = None
    cls: str | None = None
    suggested: str | None = None
    state: State = State.ALL
    cut: float | None = None
    by: tuple[Flags, ...] = ()
    not_by: tuple[Flags, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """One method's view of a dataset, made once per stored scores.

    Parameters
    ----------
    scores_id, scores
        Where it comes from.
    provisional
        The run and epoch that it was read from where nothing is stored, because the run is still being
        trained; ``None`` for stored scores.
    order
        Positions of all N samples, most suspicious first, unscored last, (N,) int64.
    ranks
        Rank of each sample from 1, (N,) int64; 0 for samples without a score.
    """

    scores_id: str
    scores: Scores
    order: NDArray[np.int64]
    ranks: NDArray[np.int64]
    provisional: Provisional | None = None

    @property
    def method(self) -> str:
        """What it is called in addresses and in the evidence of decisions."""
        return provisional.METHOD if self.provisional is not None else self.scores.spec.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The samples that a filter means.

    Parameters
    ----------
    positions
        Positions, most suspicious first, (M,) int64.
    n_flagged, n_undecided
        How many of them are flagged, and how many nobody decided on.
    """

    positions: NDArray[np.int64]
    n_flagged: int
    n_undecided: int


def methods(shelf: Shelf, dataset: Dataset) -> tuple[str, ...]:
    """Return the methods that have scores on a dataset, the main ones first."""
    latest = shelf.latest(dataset)
    return tuple(name for name in catalog.names() if name in latest)


def methods_now(shelf: Shelf, dataset: Dataset) -> tuple[str, ...]:
    """Return `methods`, and `provisional.METHOD` after them while a run is trained and has an epoch."""
    names = methods(shelf, dataset)
    return (*names, provisional.METHOD) if provisional.is_there(shelf, dataset) else names


def ranked(shelf: Shelf, dataset: Dataset, method: str | None = None) -> Ranked:
    """Return a dataset's samples as a method orders them.

    Parameters
    ----------
    shelf, dataset
        What to look at.
    method
        Name of a method with scores, or `provisional.METHOD`; ``None`` takes the first of the catalogue
        that has scores.

    Raises
    ------
    NotFoundError
        If the method, or any method at all, has no scores on this dataset, or no run is being trained.
    """
    if method == provisional.METHOD:
        return _provisional(provisional.find(shelf, dataset))
    latest = shelf.latest(dataset)
    if method is None:
        method = next((name for name in catalog.names() if name in latest), None)
    if method is None or method not in latest:
        there = f"there are {', '.join(latest)}" if latest else "train and score a run first"
        raise NotFoundError(
            f"Dataset {dataset.name!r} has no scores{f' of {method!r}' if method else ''}: {there}."
        )
    scores_id = latest[method].id
    return shelf.keep(("ranked", scores_id), lambda: _ranked(shelf, scores_id))


def ranked_by(shelf: Shelf, dataset: Dataset, scores_id: str) -> Ranked:
    """Return a dataset's samples as certain scores order them, newest or not.

    Raises
    ------
    NotFoundError
        If the dataset has no such scores.
    """
    if all(known.id != scores_id for known in score_rows.all(shelf.workspace, dataset.id)):
        raise NotFoundError(f"Dataset {dataset.name!r} has no scores with this id any more.")
    return shelf.keep(("ranked", scores_id), lambda: _ranked(shelf, scores_id))


def _ranked(shelf: Shelf, scores_id: str) -> Ranked:
    scores = shelf.scores(scores_id)
    order, ranks = ordering.of_scores(scores)
    return Ranked(scores_id=scores_id, scores=scores, order=order, ranks=ranks)


def _provisional(found: Provisional) -> Ranked:
    return Ranked(
        scores_id=found.id,
        scores=found.scores,
        order=found.order,
        ranks=found.ranks,
        provisional=found,
    )


def flagged(ranking: Ranked, cut: float | None = None) -> NDArray[np.bool_]:
    """Return which samples are flagged, by the method itself or by a cut on its quantity, (N,) bool.

    Parameters
    ----------
    ranking
        From `ranked`.
    cut
        In the quantity's unit; samples on the suspect side of it, and on it, are flagged. ``None``
        gives the method's own flags, all false for a method without a cut.
    """
    return flagged_by(ranking.scores, cut)


def flagged_by(scores: Scores, cut: float | None = None) -> NDArray[np.bool_]:
    """Return which samples some scores flag, (N,) bool; as `flagged`, without an order."""
    if cut is None:
        if scores.flagged is None:
            return np.zeros(len(scores.quantity), dtype=np.bool_)
        return scores.flagged
    with np.errstate(invalid="ignore"):
        if catalog.entry(scores.spec.name).low_is_suspect:
            return scores.quantity <= cut
        return scores.quantity >= cut


def first(ranking: Ranked, n_samples: int) -> NDArray[np.bool_]:
    """Return which samples are the first of a ranking, (N,) bool; never one without a score."""
    return (ranking.ranks > 0) & (ranking.ranks <= n_samples)


def beside(
    shelf: Shelf, dataset: Dataset, filters: Filters, scores_ids: Sequence[str] = ()
) -> tuple[Ranked, ...]:
    """Return the views of all methods whose flags a filter names, each method once, in its order.

    Parameters
    ----------
    shelf, dataset, filters
        What to look for.
    scores_ids
        Which scores of these methods to take; the newest if not given.

    Raises
    ------
    NotFoundError
        If a method has no scores, or the dataset has none with such an id of that method.
    """
    named = dict.fromkeys(flags.method for flags in (*filters.by, *filters.not_by))
    if not scores_ids:
        return tuple(ranked(shelf, dataset, method) for method in named)
    found = tuple(ranked_by(shelf, dataset, scores_id) for scores_id in scores_ids[: len(named)])
    if [one.scores.spec.name for one in found] != list(named):
        raise NotFoundError(f"These scores of dataset {dataset.name!r} are of other methods.")
    return found


def select(
    shelf: Shelf,
    dataset: Dataset,
    filters: Filters,
    *,
    as_of: int | None = None,
    ranking: Ranked | None = None,
    others: Sequence[Ranked] | None = None,
) -> Selection:
    """Return the samples that a filter means, most suspicious first.

    Parameters
    ----------
    shelf, dataset, filters
        What to look for.
    as_of
        Number of an event in the log of decisions: later events are not regarded, so that a list that
        is read page by page stays what it was. ``None`` regards all.
    ranking
        Whose order and flags to take; the newest scores of the filters' method if not given.
    others
        From `beside`; the newest scores if not given.

    Raises
    ------
    NotFoundError
        If the method has no scores, or there is no such class.
    """
    ranking = ranking or ranked(shelf, dataset, filters.method)
    verdicts = verdicts_at(shelf, dataset, as_of)
    is_flagged = flagged(ranking, filters.cut)
    keeps = _by_state(dataset, filters.state, verdicts, is_flagged)
    if filters.cls is not None:
        keeps &= dataset.given_labels == class_index(dataset, filters.cls)
    if filters.suggested is not None:
        keeps &= ranking.scores.suggested_label == class_index(dataset, filters.suggested)
    if filters.by or filters.not_by:
        keeps &= _by_flags(filters, beside(shelf, dataset, filters) if others is None else others)
    if ranking.provisional is not None:
        keeps &= ranking.ranks > 0  # what the run planted, or does not train, has no place in it
    positions = ranking.order[keeps[ranking.order]]
    return Selection(
        positions=positions,
        n_flagged=int(is_flagged[positions].sum()),
        n_undecided=int((verdicts[positions] == UNDECIDED).sum()),
    )


def _by_flags(filters: Filters, others: Sequence[Ranked]) -> NDArray[np.bool_]:
    views = {ranking.scores.spec.name: ranking for ranking in others}

    def flags_of(flags: Flags) -> NDArray[np.bool_]:
        view = views[flags.method]
        return flagged(view) if flags.top is None else first(view, flags.top)

    keeps = np.ones(len(others[0].ranks), dtype=np.bool_)
    for flags in filters.by:
        keeps &= flags_of(flags)
    for flags in filters.not_by:
        keeps &= ~flags_of(flags)
    return keeps


def verdicts_at(shelf: Shelf, dataset: Dataset, as_of: int | None = None) -> NDArray[np.int8]:
    """Return verdict codes as they stood at an event of the log, (N,) int8; now for ``None``."""
    standing = shelf.standing(dataset)
    if as_of is None or as_of >= standing.last_id:
        return standing.verdicts
    # The log only grows: what stood at an event never changes.
    key = ("standing", dataset.id, as_of)
    return shelf.keep(key, lambda: shelf.logbook(dataset).at(as_of)).verdicts


def _by_state(
    dataset: Dataset, state: State, verdicts: NDArray[np.int8], is_flagged: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    has_problem = np.zeros(dataset.n_samples, dtype=np.bool_)
    if dataset.problems:
        has_problem[np.fromiter(dataset.problems, dtype=np.int64)] = True
    if state is State.PROBLEM:
        return has_problem
    is_undecided = verdicts == UNDECIDED
    by_state = {
        State.ALL: np.ones(dataset.n_samples, dtype=np.bool_),
        State.UNDECIDED: is_undecided,
        State.DECIDED: ~is_undecided,
        State.FLAGGED: is_flagged,
        State.TODO: is_flagged & is_undecided,
        **{State(str(verdict)): verdicts == code for code, verdict in enumerate(VERDICTS)},
    }
    return by_state[state] & ~has_problem


def class_index(dataset: Dataset, name: str) -> int:
    """Return the index of a class.

    Raises
    ------
    NotFoundError
        If the dataset has no class of this name.
    """
    try:
        return dataset.class_names.index(name)
    except ValueError:
        raise NotFoundError(f"Dataset {dataset.name!r} has no class {name!r}.") from None


def parse_state(text: str | None, default: State = State.ALL) -> State:
    """Return the state that a word of an address means, the default for none.

    Raises
    ------
    InputError
        If the word is unknown; says which there are.
    """
    if not text:
        return default
    try:
        return State(text)
    except ValueError:
        raise InputError(f"state={text!r} is unknown; there are {', '.join(State)}.") from None
