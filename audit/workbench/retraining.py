"""Retrain and compare: what a comparison is made of, checked and estimated before it is started."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError, InputError, RefusedError
from audit.jobs import queue, supervisor
from audit.records import comparison_plan, test_part
from audit.records.comparison import Arm, Comparison, ComparisonSettings, Labels, TestLabels
from audit.records.comparison_plan import Planned
from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Verdict
from audit.records.job import Job
from audit.records.run import Probe, RunConfig, RunState
from audit.records.test_part import FEWEST_TESTED, HELD_OUT
from audit.store import comparisons, ids
from audit.store import datasets as dataset_rows
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.workbench import estimating, exporting, launching, settling, suspects
from audit.workbench.estimating import Estimate
from audit.workbench.settling import Wishes
from audit.workbench.shelf import UNDECIDED, VERDICTS, Shelf, Standing

KIND = "compare"
"""Kind of the job."""

DOWNWEIGHT = 0.2
"""Weight of suspects in the arm ``downweighted``, for which no paper gives one."""

_EXCLUDED, _RELABELLED = VERDICTS.index(Verdict.EXCLUDE), VERDICTS.index(Verdict.RELABEL)
_TRAINING_BEGINS = 0.1
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user asked for; ``None`` leaves it to what is there.

    Parameters
    ----------
    arms, seeds
        Which arms, and how many seeds each.
    top
        ``decided``, ``flagged`` or a percentage such as ``5%``.
    method
        Whose ranking ``flagged`` and a percentage mean.
    test
        A split, or `HELD_OUT`.
    test_labels
        Whose labels the test split is judged by.
    weight
        Of suspects in the arm ``downweighted``.
    training
        How the arms are trained; its preset counts if `has_preset`, else that of the newest run.
    """

    arms: tuple[Arm, ...] | None = None
    seeds: int = 3
    top: str | None = None
    method: str | None = None
    test: str | None = None
    test_labels: TestLabels | None = None
    weight: float = DOWNWEIGHT
    training: Wishes = field(default_factory=Wishes)
    has_preset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What a comparison would be.

    Parameters
    ----------
    dataset
        Of what.
    comparison, labels
        As it would be stored; ``None`` if there is a problem.
    trainings
        All of them, those that `automatic` needs included, each once.
    known
        Ids of those that were made before.
    estimate
        How long the missing ones take; ``None`` where nothing is known.
    problem
        One sentence that says what is wrong, or ``None``.
    """

    dataset: Dataset
    comparison: Comparison | None = None
    labels: Labels | None = None
    trainings: tuple[Planned, ...] = ()
    known: frozenset[str] = frozenset()
    estimate: Estimate | None = None
    problem: str | None = None

    @property
    def missing(self) -> tuple[Planned, ...]:
        """The trainings that were not made yet."""
        return tuple(one for one in self.trainings if one.id not in self.known)


def parse_arms(text: str) -> tuple[Arm, ...]:
    """Return the arms that a text names, separated by commas.

    Raises
    ------
    InputError
        If one is unknown or stands twice.

    Examples
    --------
    >>> [str(arm) for arm in parse_arms("given, dropped")]
    ['given', 'dropped']
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in list(Arm)]
    if unknown:
        raise InputError(f"There is no arm {unknown[0]!r}; there are {', '.join(Arm)}.")
    if not names:
        raise InputError(f"Name at least one arm: {', '.join(Arm)}.")
    if len(set(names)) != len(names):
        raise InputError("Each arm may be named once.")
    return tuple(Arm(name) for name in names)


def parse_top(text: str) -> float | None:
    """Return the percentage that a text means, ``None`` for ``decided`` and ``flagged``.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> parse_top("5%"), parse_top("flagged")
    (5.0, None)
    """
    if text in ("decided", "flagged"):
        return None
    match = _PERCENT.fullmatch(text.strip())
    percent = float(match[1]) if match else 0.0
    if not 0 < percent < 100:
        raise InputError(
            f"--top {text!r} is unknown; expected decided, flagged or a percentage such as 5%."
        )
    return percent


def plan(shelf: Shelf, dataset: Dataset, wish: Wish) -> Plan:
    """Return what a comparison would be made of, or what is wrong with the wish; nothing is stored."""
    try:
        comparison, labels = _made(shelf, dataset, wish)
    except AuditError as error:
        return Plan(dataset=dataset, problem=str(error))
    trainings = comparison_plan.trainings(planned(shelf, dataset, comparison, labels))
    known = comparisons.known_trainings(shelf.workspace, [one.id for one in trainings])
    missing = [one.config for one in trainings if one.id not in known]
    return Plan(
        dataset=dataset,
        comparison=comparison,
        labels=labels,
        trainings=trainings,
        known=known,
        estimate=_estimate(shelf, dataset, missing),
    )


def planned(
    shelf: Shelf, dataset: Dataset, comparison: Comparison, labels: Labels
) -> tuple[Planned, ...]:
    """Return every arm of a comparison with every seed."""
    made_from = material(shelf, dataset, labels)
    fingerprint = comparison.dataset_fingerprint
    return comparison_plan.plan(comparison.settings, labels, made_from, fingerprint)


def material(shelf: Shelf, dataset: Dataset, labels: Labels) -> comparison_plan.Material:
    """Return what the arms of a comparison are made from."""
    return comparison_plan.material(labels, dataset.given_labels, truth(shelf, dataset))


def truth(shelf: Shelf, dataset: Dataset) -> NDArray[np.int32] | None:
    """Return the true labels, (N,) int32 with -1 where unknown; ``None`` without any."""
    if not dataset.has_truth:
        return None
    found = dataset_rows.truth(shelf.workspace, dataset.id)
    return None if found is None else found.true_labels


def start(shelf: Shelf, plan: Plan) -> tuple[Comparison, Job | None]:
    """Store a planned comparison and queue what is missing of it.

    Returns
    -------
    tuple
        The comparison, and its job; ``None`` where all was trained before.

    Raises
    ------
    InputError
        If the plan has a problem.
    """
    if plan.comparison is None or plan.labels is None:
        raise InputError(plan.problem or "There is nothing to compare.")
    stored = comparisons.add(shelf.workspace, plan.comparison, plan.labels)
    if not plan.missing and comparisons.shared(shelf.workspace, stored.id) is not None:
        return stored, None
    return stored, resume(shelf, stored)


def resume(shelf: Shelf, comparison: Comparison) -> Job:
    """Queue what is missing of a comparison, unless a job is at it already."""
    under_way = [job for job in jobs_of(shelf, comparison) if not job.is_over]
    if under_way:
        return under_way[-1]
    config = comparison.settings.config
    job = queue.enqueue(
        shelf.workspace,
        KIND,
        {
            "comparison": comparison.id,
            "dataset": comparison.dataset_id,
            "threads": config.threads,
        },
        device=config.device,
    )
    supervisor.start_waiting(shelf.workspace)
    return job


def jobs_of(shelf: Shelf, comparison: Comparison) -> tuple[Job, ...]:
    """Return the jobs that worked or work on a comparison, oldest first."""
    return tuple(
        job
        for job in job_rows.every(shelf.workspace, kind=KIND)
        if job.arguments.get("comparison") == comparison.id
    )


def find(shelf: Shelf, dataset: Dataset, reference: str | None = None) -> Comparison | None:
    """Return a comparison of a dataset by its id or the beginning of it; the newest for ``None``.

    Raises
    ------
    NotFoundError
        If none or several ids begin so.
    """
    if reference is not None:
        return comparisons.find(shelf.workspace, reference)
    known = comparisons.all(shelf.workspace, dataset.id)
    return known[-1] if known else None


def every(shelf: Shelf, dataset: Dataset) -> list[Comparison]:
    """Return the comparisons of a dataset, the newest first."""
    return comparisons.all(shelf.workspace, dataset.id)[::-1]


def training_wishes(shelf: Shelf, dataset: Dataset) -> Wishes:
    """Return how arms are trained if nobody says otherwise: as the newest run of the dataset."""
    for run in reversed(run_rows.all(shelf.workspace, dataset.id)):
        config = run.config
        if run.state is not RunState.SEALED or config.elsewhere is not None:
            continue
        usual = Wishes(
            preset=config.preset,
            architecture=config.architecture,
            backbone=config.backbone,
            weights=None if config.weights is None else Path(config.weights),
            image_size=config.image_size,
            augmentation=config.augmentation,
        )
        if config.probe is Probe.THRESHOLD:
            return usual  # such a run has epochs and a rate of its own
        return replace(
            usual,
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
        )
    return Wishes()


def seconds_left(job: Job) -> float | None:
    """Return the seconds that a running comparison needs yet, ``None`` while it cannot be told."""
    if job.started_at is None or not job.message.startswith("training "):
        return None
    elapsed = (datetime.now(UTC) - job.started_at).total_seconds()
    # What decoding may take stands before; where it was done before, it took no time.
    return estimating.seconds_left(elapsed, job.fraction, begun_at=_TRAINING_BEGINS)


def title(comparison: Comparison) -> str:
    """Return a comparison in a line: when, which samples, which arms."""
    settings = comparison.settings
    what = settings.top if settings.method is None else f"{settings.top} by {settings.method}"
    n_seeds = len(settings.seeds)
    return (
        f"{comparison.created_at:%d %b %Y, %H:%M} UTC · {what} · {len(settings.arms)} arms, "
        f"{n_seeds} seed{'s' if n_seeds != 1 else ''}"
    )


def made_of(comparison: Comparison) -> str:
    """Return a sentence that names what a comparison was made of."""
    config = comparison.settings.config
    return (
        f"Label version {comparison.label_version}, {comparison.n_decided:,} decisions; preset "
        f"{config.preset}, {config.epochs} epochs, batches of {config.batch_size}, on {config.device}; "
        f"comparison {comparison.id}."
    )


# ---------------------------------------------------------------------------------------- what it is


def _made(shelf: Shelf, dataset: Dataset, wish: Wish) -> tuple[Comparison, Labels]:
    workspace = shelf.workspace
    state = exporting.label_state(workspace, dataset)
    standing = shelf.standing(dataset, as_of=state.last_decision or 0)
    true_labels = truth(shelf, dataset)
    changes = np.isin(standing.verdicts, [_EXCLUDED, _RELABELLED])
    top = wish.top or ("decided" if changes.any() else _default_top(shelf, dataset))
    found = test_part.parts(dataset, wish.test)
    in_training, in_test, test = found.in_training, found.in_test, found.test
    selected, method, scores_id = _selected(
        shelf, dataset, standing, top, wish=wish, in_training=in_training
    )
    arms = wish.arms or _default_arms(changes & selected)
    _check_arms(arms, dataset, changes & selected, true_labels, top)
    if wish.seeds < 1:
        raise InputError(f"A comparison needs at least one seed, got {wish.seeds}.")
    test_labels = wish.test_labels or (TestLabels.GIVEN if true_labels is None else TestLabels.TRUE)
    labels = Labels(
        in_training=in_training,
        selected=selected,
        corrected=_corrected(standing),
        in_test=in_test,
        test=np.where(in_test, _judged_by(test_labels, standing, true_labels), UNLABELLED).astype(
            np.int32
        ),
    )
    n_judged = int((labels.test >= 0).sum())
    if n_judged < FEWEST_TESTED:
        raise InputError(
            f"Only {n_judged} samples can be tested on, and {FEWEST_TESTED} are the fewest that can "
            f"show anything: name another --test, or --test {HELD_OUT}."
        )
    wishes = wish.training
    if not wish.has_preset:
        wishes = _filled(wishes, training_wishes(shelf, dataset))
    usable_key = (dataset.id, dataset.source.root, len(dataset.problems), wishes.splits)
    usable = dataset.usable(wishes.splits)
    # Under the key of the form that starts runs: a page asks at every touch.
    looks = None
    if len(usable) >= 2:
        looks = shelf.keep(("looks", *usable_key), lambda: settling.look(dataset, usable))
    (config,) = settling.settle(dataset, wishes, looks=looks)
    settings = ComparisonSettings(
        arms=arms,
        seeds=tuple(range(config.seed, config.seed + wish.seeds)),
        top=top,
        method=method,
        scores_id=scores_id,
        test=test,
        test_labels=test_labels,
        weight=wish.weight,
        config=config,
    )
    n_decided = int((standing.verdicts != UNDECIDED).sum())
    comparison = Comparison(
        id=_identity(dataset, state.version, settings, labels),
        dataset_id=dataset.id,
        dataset_fingerprint=dataset.fingerprint,
        label_version=state.version,
        last_decision=state.last_decision,
        settings=settings,
        n_decided=n_decided,
        remarks=tuple(_remarks(dataset, settings, labels, standing)),
        created_at=datetime.now(UTC),
    )
    return comparison, labels


def _filled(wishes: Wishes, usual: Wishes) -> Wishes:
    """Return wishes with what they leave open taken from usual ones."""
    if wishes.architecture is not None and wishes.architecture != usual.architecture:
        # Weights, rates and epochs of another network are no help.
        return replace(
            wishes, preset=usual.preset, image_size=wishes.image_size or usual.image_size
        )
    names = [f.name for f in fields(Wishes) if getattr(wishes, f.name) is None]
    return replace(wishes, preset=usual.preset, **{name: getattr(usual, name) for name in names})


def _default_top(shelf: Shelf, dataset: Dataset) -> str:
    if not suspects.methods(shelf, dataset):
        raise RefusedError(
            f"Nobody decided anything about {dataset.name!r} and nothing ranks it: train and score a "
            "run, or decide about some samples first."
        )
    return "flagged" if suspects.flagged(suspects.ranked(shelf, dataset)).any() else "10%"


def _default_arms(changes: NDArray[np.bool_]) -> tuple[Arm, ...]:
    by_people = (Arm.RELABELLED,) if changes.any() else ()
    return (Arm.GIVEN, Arm.DROPPED, *by_people, Arm.AUTOMATIC)


def _check_arms(
    arms: Sequence[Arm],
    dataset: Dataset,
    changes: NDArray[np.bool_],
    true_labels: NDArray[np.int32] | None,
    top: str,
) -> None:
    if Arm.ORACLE in arms and true_labels is None:
        raise RefusedError(
            f"The arm “oracle” takes the true labels, and {dataset.name!r} has none: leave it out."
        )
    if Arm.RELABELLED in arms and not changes.any():
        where = "" if top == "decided" else f" of the samples that --top {top} selects"
        raise RefusedError(
            f"The arm “relabelled” follows what people decided, and nobody relabelled or excluded "
            f"any{where}: decide first, or leave it out."
        )


def _selected(
    shelf: Shelf,
    dataset: Dataset,
    standing: Standing,
    top: str,
    *,
    wish: Wish,
    in_training: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], str | None, str | None]:
    """Return the samples that the arms treat, (N,) bool, and whose scores chose them."""
    percent = parse_top(top)
    method = scores_id = None
    if top == "decided":
        selected = np.isin(standing.verdicts, [_EXCLUDED, _RELABELLED])
    else:
        ranking = suspects.ranked(shelf, dataset, wish.method)
        if ranking.provisional is not None:
            raise RefusedError("A run that is still being trained cannot choose samples yet.")
        method, scores_id = ranking.method, ranking.scores_id
        if percent is None:
            selected = suspects.flagged(ranking)
            if not selected.any():
                raise RefusedError(
                    f"The method {method} flags nothing here: choose another --method, or a percentage "
                    "such as --top 5%."
                )
        else:
            order = ranking.order[in_training[ranking.order] & (ranking.ranks[ranking.order] > 0)]
            selected = np.zeros(dataset.n_samples, dtype=np.bool_)
            selected[order[: round(percent / 100 * int(in_training.sum()))]] = True
    selected = selected & in_training
    if not selected.any():
        raise RefusedError(
            f"--top {top} selects none of the training samples, so that all arms would be the same."
        )
    return selected, method, scores_id


def _corrected(standing: Standing) -> NDArray[np.int32]:
    labels = standing.labels.astype(np.int32, copy=True)
    labels[standing.verdicts == _EXCLUDED] = UNLABELLED
    return labels


def _judged_by(
    test_labels: TestLabels, standing: Standing, true_labels: NDArray[np.int32] | None
) -> NDArray[np.int32]:
    if test_labels is TestLabels.GIVEN:
        return _corrected(standing)
    if true_labels is None:
        raise RefusedError("There are no true labels to test by: use the given ones.")
    return true_labels


def _remarks(
    dataset: Dataset, settings: ComparisonSettings, labels: Labels, standing: Standing
) -> list[str]:
    n_judged = int((labels.test >= 0).sum())
    where = (
        f"a fifth of the training samples, held out of every arm ({n_judged:,})"
        if settings.test == HELD_OUT
        else f"the {n_judged:,} samples of the split {settings.test}"
    )
    remarks: list[str] = []
    if settings.test_labels is TestLabels.TRUE:
        remarks.append(f"Judged on {where}, by their true labels.")
    else:
        n_reviewed = int((labels.in_test & (standing.verdicts != UNDECIDED)).sum())
        by = f"{n_reviewed:,} of them reviewed by people" if n_reviewed else "none of them reviewed"
        remarks.append(
            f"Judged on {where}, by their given labels, {by}; they are never corrected automatically. "
            "Wrong labels among them make differences smaller, and favour the given labels where test and "
            "training share the same mistakes."
        )
    n_selected = int(labels.selected.sum())
    what = {
        "decided": "that people relabelled or excluded",
        "flagged": f"that {settings.method} flags",
    }.get(settings.top, f"that {settings.method} suspects most ({settings.top})")
    remarks.append(f"The arms treat the {n_selected:,} training samples {what}.")
    if settings.top != "decided" and Arm.RELABELLED in settings.arms:
        n_decided = int((labels.selected & (standing.verdicts != UNDECIDED)).sum())
        remarks.append(
            f"People decided about {n_decided:,} of these; the others keep their given label in the arm "
            "“relabelled”."
        )
    return remarks


def _identity(dataset: Dataset, version: str, settings: ComparisonSettings, labels: Labels) -> str:
    """Return an id that the same comparison has whenever it is asked for."""
    found = hashlib.sha256()
    facts: Mapping[str, object] = settings.to_json()
    found.update(json.dumps([dataset.id, dataset.fingerprint, version, facts]).encode())
    for array in (labels.in_training, labels.selected, labels.corrected, labels.test):
        found.update(array.tobytes())
    return ids.derived(found.hexdigest())


def _estimate(shelf: Shelf, dataset: Dataset, configs: Sequence[RunConfig]) -> Estimate | None:
    if not configs:
        return Estimate(low=0.0, high=0.0)
    amount = launching.amount_of(shelf, dataset, configs[0])
    runs = [run for run in run_rows.all(shelf.workspace) if run.state is RunState.SEALED]
    known = estimating.paces(runs, job_rows.every(shelf.workspace))
    return estimating.expect(configs, amount, known)
