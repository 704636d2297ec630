"""One sample as the Sample page shows it: facts, scores, neighbours, history, and how keys are found."""

import bisect
import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from audit.detectors import catalog
from audit.errors import InputError, NotFoundError
from audit.records.dataset import SPLITS, UNLABELLED, Dataset
from audit.records.decision import Decision, Undo, Verdict
from audit.records.run import RunState
from audit.store import decisions as decision_rows
from audit.store import runs as run_rows
from audit.workbench import flag_sets, provisional, suspects
from audit.workbench.flag_sets import Flags
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, Ranked
from audit.workbench.trajectories import Trajectory

MOST_FOUND = 8
"""Keys that a search offers."""

_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodScore:
    """What one method says of one sample.

    Parameters
    ----------
    method, title
        Name and words of the catalogue.
    scores_id
        Which stored scores.
    suspicion, rank, quantity
        ``None`` where the sample was not scored; rank from 1, most suspicious first.
    n_scored
        Samples with a score.
    flagged
        ``None`` where the method has no cut.
    quantity_name, quantity_unit, low_is_suspect
        The method's own value and its direction.
    cut
        On the quantity, or ``None``.
    suggested
        Class name, or ``None``.
    """

    method: str
    title: str
    scores_id: str
    suspicion: float | None
    rank: int | None
    quantity: float | None
    n_scored: int
    flagged: bool | None
    quantity_name: str
    quantity_unit: str
    low_is_suspect: bool
    cut: float | None
    suggested: str | None

    def as_shown(self) -> dict[str, object]:
        """Return what is recorded beside a decision that was made while this was on the screen."""
        return {
            "method": self.method,
            "scores_id": self.scores_id,
            "suspicion": self.suspicion,
            "rank": self.rank,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a sample's history.

    Parameters
    ----------
    at, reviewer
        When (UTC), and who.
    what
        What was done, as a sentence's middle: ``relabelled it ‘boot’``.
    note
        Free text, or empty.
    stands, is_undone
        Whether it is the decision that counts, and whether it was taken back.
    """

    at: datetime
    reviewer: str
    what: str
    note: str = ""
    stands: bool = False
    is_undone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One sample with everything that does not depend on a run.

    Parameters
    ----------
    position, key, path, split, problem
        As in `Dataset`; ``problem`` is ``None`` for samples that can be used.
    given, suggested
        Class names; the suggestion is that of the method that was asked for, or else of the first
        that has one.
    scores
        Per method with scores, in the catalogue's order.
    scored_by
        The entry of `scores` of the method that was asked for, ``None`` without scores; what a running
        run says of it where that was asked for, which is not among `scores`.
    standing
        The decision that counts, or ``None``.
    overruled
        This reviewer's last decision, where another person's stands instead; otherwise ``None``.
    """

    position: int
    key: str
    path: str | None
    split: str
    problem: str | None
    given: str | None
    suggested: str | None
    scores: tuple[MethodScore, ...]
    scored_by: MethodScore | None
    standing: Decision | None
    overruled: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Where a sample stands in a list, and who stands beside it.

    Parameters
    ----------
    before, after
        Sample keys, ``None`` at the ends.
    place
        From 1; ``None`` if the sample is not in the list.
    n_listed
        Samples in the list.
    """

    before: str | None
    after: str | None
    place: int | None
    n_listed: int


def filters_of(
    dataset: Dataset,
    asked: Mapping[str, str],
    method: str | None,
    *,
    methods: Sequence[str] = (),
) -> Filters:
    """Return the list of the Ranking page that an address came from; what means nothing is left out.

    Parameters
    ----------
    dataset
        Whose classes.
    asked
        The address: ``cls``, ``suggested``, ``state``, ``cut``, ``by``, ``not_by``.
    method
        Already chosen.
    methods
        Those that have scored the dataset.
    """
    known = {name: asked[name] for name in ("cls", "suggested") if asked.get(name)}
    known = {name: value for name, value in known.items() if value in dataset.class_names}
    try:
        state = suspects.parse_state(asked.get("state"))
    except InputError:
        state = suspects.State.ALL
    try:
        cut = float(asked.get("cut", "nan"))
    except ValueError:
        cut = math.nan
    flags: dict[str, tuple[Flags, ...]] = {}
    for name in ("by", "not_by"):
        with contextlib.suppress(InputError, NotFoundError):
            flags[name] = flag_sets.parse(asked.get(name), dataset, methods)
    return Filters(
        method=method,
        state=state,
        cut=cut if math.isfinite(cut) else None,
        by=flags.get("by", ()),
        not_by=flags.get("not_by", ()),
        **known,
    )


def in_words(filters: Filters) -> str:
    """Return the filters of a list in a few words, empty if nothing is left out."""
    said = [
        f"{what} ‘{name}’"
        for what, name in (("given", filters.cls), ("suggested", filters.suggested))
        if name is not None
    ]
    if filters.state is not suspects.State.ALL:
        said.append(f"state {filters.state}")
    if by_flags := flag_sets.in_words(filters.by, filters.not_by):
        said.append(by_flags)
    return ", ".join(said)


def find(shelf: Shelf, dataset: Dataset, key: str) -> int:
    """Return the position of a sample key.

    Raises
    ------
    NotFoundError
        If there is none; names the key that is most alike.
    """
    position = shelf.positions(dataset).get(key)
    if position is None:
        shown = key if len(key) <= _LONGEST_TEXT else key[:_LONGEST_TEXT] + "…"
        raise NotFoundError(
            f"Dataset {dataset.name!r} has no sample {shown!r}; the closest key is "
            f"{closest(shelf, dataset, key)!r}."
        )
    return position


def closest(shelf: Shelf, dataset: Dataset, key: str) -> str:
    """Return the key that begins or ends most like a text; one that contains it goes first."""
    found, _ = search(shelf, dataset, key)
    if found and key.strip():
        return found[0]
    key = key[:_LONGEST_TEXT]
    forward = shelf.keep(("keys in order", dataset.id), lambda: sorted(dataset.sample_keys))
    backward = shelf.keep(
        ("keys from behind", dataset.id), lambda: sorted(k[::-1] for k in dataset.sample_keys)
    )
    alike = [
        *((_n_common(key, near), near) for near in _around(forward, key)),
        *((_n_common(key[::-1], near), near[::-1]) for near in _around(backward, key[::-1])),
    ]
    return max(alike, key=lambda pair: (pair[0], pair[1]))[1]


def search(
    shelf: Shelf, dataset: Dataset, text: str, *, most: int = MOST_FOUND
) -> tuple[list[str], int]:
    """Return sample keys that contain a text, in any case, and how many there are in all.

    Parameters
    ----------
    shelf, dataset
        Whose keys.
    text
        What somebody typed.
    most
        Keys that are returned: the text itself, then keys that end with it, then others in the order
        of the dataset.
    """
    wanted = text.strip().casefold()
    if not wanted or len(wanted) > _LONGEST_TEXT:
        return [], 0
    folded: tuple[str, ...] = shelf.keep(
        ("keys folded", dataset.id), lambda: tuple(key.casefold() for key in dataset.sample_keys)
    )
    at = [position for position, key in enumerate(folded) if wanted in key]
    at.sort(
        key=lambda position: (folded[position] != wanted, not folded[position].endswith(wanted))
    )
    return [dataset.sample_keys[position] for position in at[:most]], len(at)


def view(
    shelf: Shelf, dataset: Dataset, position: int, *, method: str | None, reviewer: str
) -> View:
    """Return what is known and decided about a sample.

    Parameters
    ----------
    shelf, dataset, position
        The sample.
    method
        Whose suggestion and score lead; ``None`` for none.
    reviewer
        Who is looking.
    """
    key = dataset.sample_keys[position]
    scores = tuple(
        _score(shelf, dataset, name, position) for name in suspects.methods(shelf, dataset)
    )
    leading = next((score for score in scores if score.method == method), None)
    if method == provisional.METHOD:
        leading = _score(shelf, dataset, method, position)
    ordered = [leading, *scores] if leading else scores
    history = shelf.logbook(dataset).history(key) if shelf.standing(dataset) else ()
    standing = history[-1] if history else None
    own = [decision for decision in history if decision.reviewer == reviewer]
    return View(
        position=position,
        key=key,
        path=dataset.paths[position],
        split=str(SPLITS[int(dataset.splits[position])]),
        problem=dataset.problems.get(position),
        given=_name(dataset, int(dataset.given_labels[position])),
        suggested=next((score.suggested for score in ordered if score.suggested), None),
        scores=scores,
        scored_by=leading,
        standing=standing,
        overruled=own[-1] if own and standing and standing.reviewer != reviewer else None,
    )


def neighbours(shelf: Shelf, dataset: Dataset, position: int, filters: Filters) -> Neighbours:
    """Return who stands before and after a sample in the list that filters mean.

    A sample that is not in the list, for example because it has been decided meanwhile, has the
    neighbours of the place where it would stand.

    Parameters
    ----------
    shelf, dataset, position
        The sample.
    filters
        The list; without scores, the order of the dataset.
    """
    if filters.method is None:
        listed = np.arange(dataset.n_samples)
        places = listed
    else:
        ranking = suspects.ranked(shelf, dataset, filters.method)
        listed = suspects.select(shelf, dataset, filters).positions
        places = np.empty(dataset.n_samples, dtype=np.int64)
        places[ranking.order] = np.arange(dataset.n_samples)
    at = int(np.searchsorted(places[listed], places[position]))
    is_listed = at < len(listed) and int(listed[at]) == position
    after = at + 1 if is_listed else at
    return Neighbours(
        before=dataset.sample_keys[listed[at - 1]] if at > 0 else None,
        after=dataset.sample_keys[listed[after]] if after < len(listed) else None,
        place=at + 1 if is_listed else None,
        n_listed=len(listed),
    )


def first(shelf: Shelf, dataset: Dataset, filters: Filters) -> str:
    """Return the most suspicious sample of a list, of all samples if the list is empty."""
    if filters.method is None:
        return dataset.sample_keys[0]
    listed = suspects.select(shelf, dataset, filters).positions
    if not len(listed):
        listed = suspects.ranked(shelf, dataset, filters.method).order
    return dataset.sample_keys[int(listed[0])]


def history(shelf: Shelf, dataset: Dataset, key: str) -> tuple[Event, ...]:
    """Return what was decided and taken back about a sample, newest first."""
    log = decision_rows.log(shelf.workspace, dataset.id, key)
    undone = {event.undoes for event in log if isinstance(event, Undo)}
    standing = shelf.standing(dataset).decisions.get(key)
    by_number = {event.id: event for event in log if isinstance(event, Decision)}
    events: list[Event] = []
    for event in reversed(log):
        if isinstance(event, Decision):
            events.append(
                Event(
                    at=event.decided_at,
                    reviewer=event.reviewer,
                    what=done(event),
                    note=event.note,
                    stands=standing is not None and event.id == standing.id,
                    is_undone=event.id in undone,
                )
            )
            continue
        taken = by_number.get(event.undoes)
        whose = "their own" if taken and taken.reviewer == event.reviewer else "another person's"
        events.append(
            Event(
                at=event.decided_at,
                reviewer=event.reviewer,
                what=f"took back {whose} decision"
                + (f" ({done(taken)} by {taken.reviewer})" if taken else ""),
            )
        )
    return tuple(events)


def done(decision: Decision) -> str:
    """Return what a decision did, in words: ``relabelled ‘sandal’ as ‘boot’``."""
    given = f"‘{decision.given_label}’" if decision.given_label else "no label"
    return {
        Verdict.KEEP: f"kept {given}",
        Verdict.RELABEL: f"relabelled {given} as ‘{decision.label}’",
        Verdict.EXCLUDE: "excluded it",
        Verdict.UNSURE: "was unsure",
    }[decision.verdict]


def why_no_score(
    shelf: Shelf, dataset: Dataset, sample: View, trajectories: Sequence[Trajectory]
) -> str | None:
    """Return why a sample has no score or trajectory, with the next step; ``None`` if it has both.

    Parameters
    ----------
    shelf, dataset, sample
        The sample.
    trajectories
        Those of its method's runs.
    """
    score = sample.scored_by
    if score is not None and score.rank is not None:
        return None
    if sample.problem is not None:
        return "It cannot be read, so no run trained on it and no method scores it."
    if sample.given is None:
        return "It has no given label, so no run trained on it: relabel it to give it one."
    return _why_unscored(score, trajectories) or _why_untrained(shelf, dataset, sample)


def _why_unscored(score: MethodScore | None, trajectories: Sequence[Trajectory]) -> str | None:
    if not trajectories:
        return None
    if score is None:
        return "Its run has not been scored yet: score it on the Runs page."
    if all(trajectory.is_planted for trajectory in trajectories):
        return (
            f"Every run of {score.method} planted it as a threshold row, so it has no "
            f"{score.quantity_name}: choose another method, or train once more with another seed."
        )
    return f"{score.title} gave it no score."


def _why_untrained(shelf: Shelf, dataset: Dataset, sample: View) -> str:
    runs = run_rows.all(shelf.workspace, dataset.id)
    states = {run.state for run in runs}
    if RunState.SEALED in states:
        if all(sample.split not in run.config.splits for run in runs):
            return (
                f"It belongs to the {sample.split} split, and no run trained on that: it is here "
                "to compare with and has neither score nor trajectory."
            )
        return "The run behind this method did not train on it."
    if states & {RunState.RUNNING, RunState.QUEUED}:
        return "A run is being trained: scores and the trajectory appear here once it is finished."
    if states:
        return "No run is finished yet: resume one or start another on the Runs page."
    return "No run has been trained on this dataset yet: start one on the Runs page."


def _score(shelf: Shelf, dataset: Dataset, method: str, position: int) -> MethodScore:
    ranking: Ranked = suspects.ranked(shelf, dataset, method)
    scores, entry = ranking.scores, catalog.entry(ranking.scores.spec.name)
    rank = int(ranking.ranks[position])
    n_scored: Any = shelf.keep(("n scored", ranking.scores_id), lambda: int(ranking.ranks.max()))
    return MethodScore(
        method=method,
        title=entry.title if ranking.provisional is None else ranking.provisional.in_words,
        scores_id=ranking.scores_id,
        suspicion=float(scores.suspicion[position]) if rank else None,
        rank=rank or None,
        quantity=float(scores.quantity[position]) if rank else None,
        n_scored=n_scored,
        flagged=None if scores.flagged is None else bool(scores.flagged[position]),
        quantity_name=scores.quantity_name,
        quantity_unit=entry.quantity_unit,
        low_is_suspect=entry.low_is_suspect,
        cut=scores.threshold,
        suggested=_name(dataset, int(scores.suggested_label[position])),
    )


def _name(dataset: Dataset, index: int) -> str | None:
    return None if index == UNLABELLED else dataset.class_names[index]


def _around(ordered: Sequence[str], text: str) -> Sequence[str]:
    at = bisect.bisect_left(ordered, text)
    return ordered[max(at - 1, 0) : at + 1]


def _n_common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
