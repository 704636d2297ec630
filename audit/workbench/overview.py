"""How far every dataset is, and what to do about it next; cheap enough to be asked every second.

Nothing of a dataset is loaded unless somebody decided on it or its scores are new; what was counted
stays at hand until another decision, another answer of a method or another problem comes in.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path

import numpy as np

from audit.detectors import catalog
from audit.records.decision import Verdict
from audit.records.job import Job, JobState
from audit.records.run import RunState
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.datasets import DatasetSummary
from audit.store.run_jobs import RESUMABLE
from audit.store.scores import ScoresSummary
from audit.workbench import export_runs, suspects, watching, wording
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State
from audit.workbench.watching import Launch, Survey

TOP_SHARE = 0.05
"""Share of the scored samples that counts as suspects of a method that ranks and has no cut."""

_TALLY_BYTES = 600
_N_FIRST = 6


class Step(IntEnum):
    """What to do next about a dataset; smaller is more urgent."""

    EXPLAIN = 0
    """A run failed and there is nothing to review."""
    FIND = 1
    """Its files are no longer where they were, and nothing goes on without them."""
    REVIEW = 2
    EXPORT = 3
    SCORE = 4
    TRAIN = 5
    WATCH = 6
    LOOK = 7
    """Nothing is suspected and nothing decided."""
    DONE = 8
    """Every suspect is decided and every decision exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """What a method suspects.

    Parameters
    ----------
    method
        Its name.
    n_found, n_left
        Suspects, and how many of them nobody decided on.
    cut
        ``None`` for the method's own flags; otherwise the quantity at the end of the top
        `TOP_SHARE`, in the quantity's unit.
    first
        Positions of the most suspicious ones that nobody decided on.
    """

    method: str
    n_found: int
    n_left: int
    cut: float | None = None
    first: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something of a dataset that waits or runs.

    Parameters
    ----------
    name, sentence
        What, and what it is doing.
    fraction
        Part that is done, in [0, 1].
    seconds_left
        ``None`` where that cannot be told.
    """

    name: str
    sentence: str
    fraction: float
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One dataset at a glance.

    Parameters
    ----------
    id, name
        Identity.
    n_samples, n_classes, n_unlabelled, n_problems, n_runs
        Counts.
    suspects
        What the first method of the catalogue that has scores suspects, ``None`` without scores.
    verdicts
        Samples by the verdict that stands.
    last_activity
        When something was last imported, trained, scored or decided (UTC).
    work
        What waits or runs.
    troubles
        Whole sentences about what went wrong.
    is_moved
        Whether its files are gone from where they were.
    n_since_export
        Decisions that are newer than the last export of this server; ``None`` without one.
    step
        What to do next.
    """

    id: str
    name: str
    n_samples: int
    n_classes: int
    n_unlabelled: int
    n_problems: int
    n_runs: int
    suspects: Suspects | None
    verdicts: Mapping[Verdict, int]
    last_activity: datetime
    work: tuple[Work, ...]
    troubles: tuple[str, ...]
    is_moved: bool
    n_since_export: int | None
    step: Step

    @property
    def n_decided(self) -> int:
        """Samples that somebody decided on."""
        return sum(self.verdicts.values())

    @property
    def n_left(self) -> int:
        """Suspects that nobody decided on."""
        return 0 if self.suspects is None else self.suspects.n_left


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    suspects: Suspects | None
    verdicts: Mapping[Verdict, int]
    last_decided: datetime | None


def cards(shelf: Shelf) -> tuple[Card, ...]:
    """Return a card per dataset, the most urgent first, then the most recently touched."""
    found = watching.survey(shelf)
    drawn = [_card(shelf, found, summary) for summary in dataset_rows.all(shelf.workspace)]
    return tuple(sorted(drawn, key=lambda c: (c.step, -c.last_activity.timestamp(), c.name)))


def is_busy(drawn: Sequence[Card]) -> bool:
    """Return whether something waits or runs."""
    return any(card.work for card in drawn)


def card(shelf: Shelf, dataset_id: str) -> Card:
    """Return the card of one dataset.

    Raises
    ------
    NotFoundError
        If there is no such dataset.
    """
    found = watching.survey(shelf)
    return _card(shelf, found, dataset_rows.find_summary(shelf.workspace, dataset_id))


def top_cut(scores: Scores, share: float = TOP_SHARE) -> float | None:
    """Return the cut that makes suspects of a share of the scored samples, and of ties with the last.

    Parameters
    ----------
    scores
        Of a method that ranks.
    share
        In (0, 1]; the number of samples is rounded up.

    Returns
    -------
    float or None
        In the unit of the method's quantity; ``None`` if no sample was scored.
    """
    known = scores.quantity[~np.isnan(scores.quantity)]
    if not len(known):
        return None
    if not catalog.entry(scores.spec.name).low_is_suspect:
        known = -known
    nth = min(len(known), math.ceil(share * len(known))) - 1
    value = float(np.partition(known, nth)[nth])
    return value if catalog.entry(scores.spec.name).low_is_suspect else -value


def _card(shelf: Shelf, found: Survey, summary: DatasetSummary) -> Card:
    workspace = shelf.workspace
    launches = [launch for launch in found.launches if launch.dataset_id == summary.id]
    latest = score_rows.latest(workspace, summary.id)
    method = next((name for name in catalog.names() if name in latest), None)
    tally = _tally(shelf, summary, latest.get(method or ""))
    is_moved = not Path(summary.source.root).exists()
    failure = _failure(shelf, launches)
    work = tuple(_work(shelf, found, launches))
    troubles = [failure] if failure else []
    if is_moved:
        troubles.append(f"Its files are no longer at {summary.source.root}.")
    moments = [summary.created_at, *(scores.created_at for scores in latest.values())]
    moments += [run.sealed_at or run.created_at for launch in launches for run in launch.runs]
    moments += [job.finished_at for x in launches for job in x.jobs.values() if job.finished_at]
    if tally.last_decided is not None:
        moments.append(tally.last_decided)
    runs = [run for launch in launches for run in launch.runs]
    n_since_export = _since_export(shelf, summary) if tally.verdicts else None
    return Card(
        id=summary.id,
        name=summary.name,
        n_samples=summary.n_samples,
        n_classes=summary.n_classes,
        n_unlabelled=summary.n_unlabelled,
        n_problems=summary.n_problems,
        n_runs=len(runs),
        suspects=tally.suspects,
        verdicts=tally.verdicts,
        last_activity=max(moments),
        work=work,
        troubles=tuple(troubles),
        is_moved=is_moved,
        n_since_export=n_since_export,
        step=_step(
            tally,
            is_exported=n_since_export == 0,
            is_working=bool(work),
            is_moved=is_moved,
            has_failed=failure is not None,
            has_sealed=any(run.state is RunState.SEALED for run in runs),
        ),
    )


def _step(
    tally: _Tally,
    *,
    is_exported: bool,
    is_working: bool,
    is_moved: bool,
    has_failed: bool,
    has_sealed: bool,
) -> Step:
    n_left = 0 if tally.suspects is None else tally.suspects.n_left
    by_need = (
        (is_moved and (n_left > 0 or tally.suspects is None), Step.FIND),
        (n_left > 0, Step.REVIEW),
        (is_working, Step.WATCH),
        (has_failed and tally.suspects is None, Step.EXPLAIN),
        (bool(tally.verdicts) and is_exported, Step.DONE),
        (bool(tally.verdicts), Step.EXPORT),
        (tally.suspects is not None, Step.LOOK),
        (has_sealed, Step.SCORE),
    )
    return next((step for is_due, step in by_need if is_due), Step.TRAIN)


def _tally(shelf: Shelf, summary: DatasetSummary, known: ScoresSummary | None) -> _Tally:
    last_id = decision_rows.last_id(shelf.workspace, summary.id)
    key = ("tally", summary.id, known and known.id, last_id, summary.n_problems)
    return shelf.lists.find_or_make(
        key, lambda: _counted(shelf, summary, known, last_id), lambda _: _TALLY_BYTES
    )


def _counted(
    shelf: Shelf, summary: DatasetSummary, known: ScoresSummary | None, last_id: int | None
) -> _Tally:
    decisions = {}
    if last_id is not None:
        decisions = shelf.standing(shelf.dataset(summary.id)).decisions
    counts = Counter(decision.verdict for decision in decisions.values())
    return _Tally(
        suspects=None
        if known is None
        else _suspects(shelf, summary, known, is_decided=bool(decisions)),
        verdicts={verdict: counts[verdict] for verdict in Verdict if counts[verdict]},
        last_decided=max((d.decided_at for d in decisions.values()), default=None),
    )


def _suspects(
    shelf: Shelf, summary: DatasetSummary, known: ScoresSummary, *, is_decided: bool
) -> Suspects:
    method = known.spec.name
    scores = shelf.scores(known.id)
    cut = None if scores.flagged is not None else top_cut(scores)
    if scores.flagged is None and cut is None:
        return Suspects(method=method, n_found=0, n_left=0)
    if not is_decided and not summary.n_problems:
        # Nothing of the dataset need be loaded.
        chosen = np.flatnonzero(suspects.flagged_by(scores, cut))
        by = scores.quantity[chosen]
        by = by if catalog.entry(method).low_is_suspect else -by
        left = chosen[np.argsort(by, kind="stable")]
        n_found = len(left)
    else:
        dataset = shelf.dataset(summary.id)
        ranking = suspects.ranked_by(shelf, dataset, known.id)
        found, todo = (
            suspects.select(
                shelf, dataset, Filters(method=method, state=state, cut=cut), ranking=ranking
            )
            for state in (State.FLAGGED, State.TODO)
        )
        left, n_found = todo.positions, len(found.positions)
    first = tuple(left[:_N_FIRST].tolist())
    return Suspects(method=method, n_found=n_found, n_left=len(left), cut=cut, first=first)


def _since_export(shelf: Shelf, summary: DatasetSummary) -> int | None:
    dataset = shelf.dataset(summary.id)
    exported = export_runs.last_done(shelf, dataset)
    if exported is None or exported.manifest is None:
        return None
    upto = exported.manifest["last_decision"] or 0
    standing = shelf.standing(dataset)
    if standing.last_id <= upto:
        return 0
    newer = sum((decision.id or 0) > upto for decision in standing.decisions.values())
    return max(1, newer)  # what was taken back is a change, too


def _failure(shelf: Shelf, launches: Sequence[Launch]) -> str | None:
    """Return a sentence about the newest launch if it did not come to its end, ``None`` otherwise."""
    if not launches or launches[0].is_under_way:
        return None
    newest = launches[0]
    for run in newest.runs:
        if run.state in RESUMABLE:
            error = wording.on_the_page(run_rows.error(shelf.workspace, run.id) or "")
            told = {
                RunState.CANCELLED: "was cancelled before its end",
                RunState.LOST: "lost its process",
            }.get(run.state, "failed")
            return f"Run {run.name} {told}{f': {error}' if error else '.'}"
    last = newest.scoring[-1] if newest.scoring else None
    if last is not None and last.state in (JobState.FAILED, JobState.LOST):
        error = last.error or "the process ended without a word."
        return f"Its scores failed: {wording.on_the_page(error)}"
    return None


def _work(shelf: Shelf, found: Survey, launches: Sequence[Launch]) -> list[Work]:
    work: list[Work] = []
    for launch in launches:
        for run in launch.runs:
            job = launch.jobs.get(run.id)
            if job is None or job.is_over:
                continue
            standing = watching.standing(shelf, found, run, job)
            work.append(
                Work(
                    name=run.name,
                    sentence=standing.sentence,
                    fraction=standing.fraction,
                    seconds_left=standing.seconds_left,
                )
            )
        work += [_scoring(found, job) for job in launch.scoring if not job.is_over]
    return work


def _scoring(found: Survey, job: Job) -> Work:
    methods = ", ".join(str(request["method"]) for request in job.arguments.get("requests", ()))
    waits = job.state is JobState.QUEUED
    return Work(
        name=f"scores: {methods}",
        sentence=watching.waits_for(found, job) if waits else job.message,
        fraction=job.fraction,
    )
