"""What the finished trainings of a comparison say: accuracies, differences, and sentences that hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.numerics import arms as arm_labels
from audit.numerics import paired
from audit.numerics.arms import Trained
from audit.numerics.paired import Estimate, Finding
from audit.records import comparison_plan
from audit.records.comparison import Arm, Comparison, Labels, Shared, Training
from audit.records.comparison_plan import Planned
from audit.records.dataset import Dataset
from audit.records.job import Job, JobState
from audit.records.test_part import FEWEST_TESTED
from audit.store import comparisons
from audit.store import decisions as decision_rows
from audit.workbench import retraining
from audit.workbench.shelf import Shelf

FEWEST_OF_CLASS = 20
"""Test samples of a class below which its own figures say little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One arm less another, on the same seeds and samples.

    Parameters
    ----------
    arm, base
        Which.
    estimate
        In parts of one: 0.01 is a point of accuracy.
    finding
        What it allows to say.
    """

    arm: Arm
    base: Arm
    estimate: Estimate
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """One class of the test split in one arm.

    Parameters
    ----------
    name, n_tested
        The class, and how many test samples are labelled so.
    accuracy
        Part of them that is predicted right.
    difference
        From the arm ``given``; ``None`` in that arm itself, or where it has no common seed.
    """

    name: str
    n_tested: int
    accuracy: Estimate
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmFigures:
    """What is known of one arm.

    Parameters
    ----------
    arm
        Which.
    seeds
        Those that are trained.
    n_rows, n_relabelled, n_left_out
        Samples it is trained on, how many of them under another label than given, and how many of all
        are left out; ``None`` before that is known.
    accuracy
        ``None`` before the first seed.
    classes
        By class; classes without test samples are left out.
    course
        Per look: number of finished epochs, mean, least and greatest accuracy of the seeds.
    seconds
        Of training, all seeds together.
    failed
        Seed → why it failed.
    emptied
        Names of the classes that no training sample of this arm has.
    messages
        Whole sentences from its trainings.
    """

    arm: Arm
    seeds: tuple[int, ...] = ()
    n_rows: int | None = None
    n_relabelled: int | None = None
    n_left_out: int | None = None
    accuracy: Estimate | None = None
    classes: tuple[ClassFigures, ...] = ()
    course: tuple[tuple[int, float, float, float], ...] = ()
    seconds: float = 0.0
    failed: Mapping[int, str] = field(default_factory=dict[int, str])
    emptied: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A test sample that an arm predicts otherwise than ``given`` does, by most of its seeds.

    Parameters
    ----------
    position
        In the dataset.
    label
        Class index that it is judged by.
    before, after
        Predicted class indices.
    """

    position: int
    label: int
    before: int
    after: int

    @property
    def is_won(self) -> bool:
        """Whether it is right now and was wrong before."""
        return self.after == self.label

    @property
    def is_lost(self) -> bool:
        """Whether it is wrong now and was right before."""
        return self.before == self.label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """A comparison as far as it has come.

    Parameters
    ----------
    comparison, arms
        Which, and what is known of its arms in their order.
    differences
        Of every arm from ``given``, and of those that keep samples from ``dropped``.
    verdict
        Whole sentences, the most important one first; never a bare winner.
    remarks
        Whole sentences about what it was made of.
    n_tested
        Test samples that count.
    shared
        What was left out of the test because training has it too; ``None`` before anybody has looked.
    n_trainings, n_done
        That it takes, and that are there.
    job
        The newest job for it.
    n_events_since
        Decisions and undos since it was made; it is stale if there are any.
    """

    comparison: Comparison
    arms: tuple[ArmFigures, ...]
    differences: tuple[Difference, ...]
    verdict: tuple[str, ...]
    remarks: tuple[str, ...]
    n_tested: int
    shared: Shared | None
    n_trainings: int
    n_done: int
    job: Job | None
    n_events_since: int

    @property
    def is_complete(self) -> bool:
        """Whether every training is there."""
        return self.n_done == self.n_trainings

    @property
    def is_under_way(self) -> bool:
        """Whether a job waits or works for it."""
        return self.job is not None and not self.job.is_over

    def difference(self, arm: Arm, base: Arm = Arm.GIVEN) -> Difference | None:
        """Return the difference of two arms, if it is known."""
        return next((d for d in self.differences if (d.arm, d.base) == (arm, base)), None)


def report(shelf: Shelf, dataset: Dataset, comparison: Comparison) -> Report:
    """Return what is known of a comparison.

    Raises
    ------
    WorkspaceError
        If a file of it is missing or damaged.
    """
    jobs = retraining.jobs_of(shelf, comparison)
    labels = _labels(shelf, comparison)
    trainings = _trainings(shelf, dataset, comparison)
    needed = {one.id for one in comparison_plan.trainings(trainings)}
    known = _known(shelf, trainings)
    shared = comparisons.shared(shelf.workspace, comparison.id)
    key = ("comparison figures", comparison.id, len(known), shared is None)
    figures, differences, n_tested = shelf.keep(
        key, lambda: _figures(shelf, dataset, comparison, labels, trainings)
    )
    job = jobs[-1] if jobs else None
    failed = _failures(jobs, {(one.arm, one.seed) for one in trainings if one.id not in known})
    figures = tuple(
        one if one.arm not in failed else _with_failures(one, failed[one.arm]) for one in figures
    )
    return Report(
        comparison=comparison,
        arms=figures,
        differences=differences,
        verdict=tuple(verdict(comparison, figures, differences, n_tested)),
        remarks=(*comparison.remarks, *_of_shared(shared)),
        n_tested=n_tested,
        shared=shared,
        n_trainings=len(needed),
        n_done=len(known),
        job=job,
        n_events_since=_events_since(shelf, comparison),
    )


def changed(
    shelf: Shelf, dataset: Dataset, comparison: Comparison, arm: Arm
) -> tuple[Changed, ...]:
    """Return the test samples that an arm predicts otherwise than ``given``, won ones first.

    By the prediction that most of the common seeds make, of equally many the smallest class index.
    """
    n_done = len(_known(shelf, _trainings(shelf, dataset, comparison)))
    key = ("changed predictions", comparison.id, arm, n_done)
    return shelf.keep(key, lambda: _changed(shelf, dataset, comparison, arm))


def _changed(
    shelf: Shelf, dataset: Dataset, comparison: Comparison, arm: Arm
) -> tuple[Changed, ...]:
    labels = _labels(shelf, comparison)
    trainings = _trainings(shelf, dataset, comparison)
    shared = comparisons.shared(shelf.workspace, comparison.id)
    tables = _tables(shelf, comparison, trainings, labels, shared)
    if Arm.GIVEN not in tables.predicted or arm not in tables.predicted:
        return ()
    common = sorted(set(tables.seeds[Arm.GIVEN]) & set(tables.seeds[arm]))
    if not common:
        return ()
    before = _most(tables.of(Arm.GIVEN, common), dataset.n_classes)
    after = _most(tables.of(arm, common), dataset.n_classes)
    found = [
        Changed(
            position=int(tables.tested[at]),
            label=int(tables.label[at]),
            before=int(before[at]),
            after=int(after[at]),
        )
        for at in np.flatnonzero(before != after)
    ]
    return tuple(sorted(found, key=lambda one: (not one.is_won, not one.is_lost, one.position)))


def verdict(
    comparison: Comparison,
    figures: Sequence[ArmFigures],
    differences: Sequence[Difference],
    n_tested: int,
) -> list[str]:
    """Return what the differences allow to say, in whole sentences."""
    if not differences:
        done = {one.arm for one in figures if one.accuracy is not None}
        if not done:
            return ["Nothing is trained yet."]
        lacks = "the given labels are" if Arm.GIVEN not in done else "another arm is"
        return [f"There is nothing to compare yet: {lacks} not trained."]
    if n_tested < FEWEST_TESTED:
        return [f"Only {n_tested} test images count: they are too few to show anything."]
    if any(one.finding is Finding.ONE_SEED for one in differences):
        n_seeds = len(comparison.settings.seeds)
        more = (
            "Three or more tell." if n_seeds == 1 else f"{n_seeds} were asked for: train the rest."
        )
        return [
            f"One seed names no winner: another one might turn it round. {more}",
            *map(_in_words, differences),
        ]
    told: list[str] = []
    if all(one.finding is Finding.UNCLEAR for one in differences):
        n_seeds = differences[0].estimate.n_seeds
        told = [f"No difference that these {n_seeds} seeds can show."]
    clear = [one for one in differences if one.finding is not Finding.UNCLEAR]
    unclear = [one for one in differences if one.finding is Finding.UNCLEAR]
    # What people did comes first, the upper bound last.
    rank = {Arm.RELABELLED: 0, Arm.AUTOMATIC: 1, Arm.DROPPED: 2, Arm.DOWNWEIGHTED: 3}
    for some in (clear, unclear):
        ordered = sorted(some, key=lambda one: (rank.get(one.arm, 4), one.base is not Arm.GIVEN))
        told += map(_in_words, ordered)
    return told


def _in_words(one: Difference) -> str:
    points = _points(one.estimate.value)
    span = f"{_signed(one.estimate.low)} to {_signed(one.estimate.high)}"
    arm, base = _NAMES[one.arm], _NAMES[one.base]
    beats, loses = ("beat", "lose") if one.arm is Arm.ORACLE else ("beats", "loses")
    if one.finding is Finding.BETTER:
        return f"{arm} {beats} {base.lower()} by {points} of accuracy ({span})."
    if one.finding is Finding.WORSE:
        return f"{arm} {loses} {points} of accuracy to {base.lower()} ({span})."
    if one.finding is Finding.ONE_SEED:
        return f"{arm} against {base.lower()}: {_signed(one.estimate.value)} points with one seed."
    seeds = f"these {one.estimate.n_seeds} seeds"
    return f"{arm} against {base.lower()}: no difference that {seeds} can show ({span})."


_NAMES: Mapping[Arm, str] = {
    Arm.GIVEN: "The given labels",
    Arm.DROPPED: "Dropping",
    Arm.RELABELLED: "Relabelling",
    Arm.DOWNWEIGHTED: "Downweighting",
    Arm.AUTOMATIC: "Automatic relabelling",
    Arm.ORACLE: "The true labels",
}


def _points(value: float) -> str:
    amount = f"{abs(value) * 100:.1f}"
    return f"{amount} point" if amount == "1.0" else f"{amount} points"


def _signed(value: float) -> str:
    text = f"{value * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


# ------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tables:
    """What was predicted on the samples that count, by arm: (seeds, looks, samples)."""

    tested: NDArray[np.int64]
    label: NDArray[np.int32]
    seeds: dict[Arm, list[int]]
    predicted: dict[Arm, NDArray[np.int32]]
    records: dict[Arm, list[Training]]

    def of(self, arm: Arm, seeds: Sequence[int]) -> NDArray[np.int32]:
        """Return the last predictions of some seeds, (S, M)."""
        places = [self.seeds[arm].index(seed) for seed in seeds]
        return self.predicted[arm][places, -1]


def _trainings(shelf: Shelf, dataset: Dataset, comparison: Comparison) -> tuple[Planned, ...]:
    return shelf.keep(
        ("trainings of", comparison.id, len(dataset.problems)),
        lambda: retraining.planned(shelf, dataset, comparison, _labels(shelf, comparison)),
    )


def _known(shelf: Shelf, trainings: Sequence[Planned]) -> frozenset[str]:
    needed = sorted({one.id for one in comparison_plan.trainings(trainings)})
    return comparisons.known_trainings(shelf.workspace, needed)


def _labels(shelf: Shelf, comparison: Comparison) -> Labels:
    return shelf.keep(
        ("labels of comparison", comparison.id),
        lambda: comparisons.labels(shelf.workspace, comparison.id),
    )


def _tables(
    shelf: Shelf,
    comparison: Comparison,
    trainings: Sequence[Planned],
    labels: Labels,
    shared: Shared | None,
) -> _Tables:
    records: dict[Arm, list[Training]] = {}
    seeds: dict[Arm, list[int]] = {}
    for one in trainings:
        found = comparisons.find_training(shelf.workspace, one.id)
        if found is not None:
            records.setdefault(one.arm, []).append(found)
            seeds.setdefault(one.arm, []).append(one.seed)
    tested = np.flatnonzero(labels.test >= 0)
    if shared is not None and shared.sample:
        tested = tested[~np.isin(tested, np.array(shared.sample))]
    for found in (record for own in records.values() for record in own):
        tested = np.intersect1d(tested, found.sample)  # what could not be read is in none of them
    predicted = {
        arm: np.stack([r.predicted[:, np.searchsorted(r.sample, tested)] for r in own])
        for arm, own in records.items()
    }
    return _Tables(
        tested=tested,
        label=labels.test[tested],
        seeds=seeds,
        predicted=predicted,
        records=records,
    )


def _figures(
    shelf: Shelf,
    dataset: Dataset,
    comparison: Comparison,
    labels: Labels,
    trainings: Sequence[Planned],
) -> tuple[tuple[ArmFigures, ...], tuple[Difference, ...], int]:
    shared = comparisons.shared(shelf.workspace, comparison.id)
    tables = _tables(shelf, comparison, trainings, labels, shared)
    right = {arm: predicted == tables.label for arm, predicted in tables.predicted.items()}
    differences = _differences(comparison, tables, right)
    figures = tuple(
        _of_arm(arm, shelf, dataset, trainings=trainings, labels=labels, tables=tables, right=right)
        if arm in tables.records
        else ArmFigures(arm=arm)
        for arm in comparison.settings.arms
    )
    return figures, differences, len(tables.tested)


def _differences(
    comparison: Comparison, tables: _Tables, right: Mapping[Arm, NDArray[np.bool_]]
) -> tuple[Difference, ...]:
    pairs = [(arm, Arm.GIVEN) for arm in comparison.settings.arms if arm is not Arm.GIVEN]
    pairs += [(arm, Arm.DROPPED) for arm in (Arm.RELABELLED, Arm.AUTOMATIC)]
    found = [
        _difference(arm, base, tables, right)
        for arm, base in pairs
        if arm in right and base in right
    ]
    return tuple(one for one in found if one is not None)


def _difference(
    arm: Arm,
    base: Arm,
    tables: _Tables,
    right: Mapping[Arm, NDArray[np.bool_]],
    only: NDArray[np.bool_] | None = None,
) -> Difference | None:
    common = sorted(set(tables.seeds[arm]) & set(tables.seeds[base]))
    if not common:
        return None

    def table(of: Arm) -> NDArray[np.bool_]:
        rows = right[of][[tables.seeds[of].index(seed) for seed in common], -1]
        return rows if only is None else rows[:, only]

    estimate = paired.difference(table(arm), table(base))
    return Difference(arm=arm, base=base, estimate=estimate, finding=paired.judge(estimate))


def _of_arm(
    arm: Arm,
    shelf: Shelf,
    dataset: Dataset,
    *,
    trainings: Sequence[Planned],
    labels: Labels,
    tables: _Tables,
    right: Mapping[Arm, NDArray[np.bool_]],
) -> ArmFigures:
    records, own = tables.records[arm], right[arm]
    by_look = own.mean(axis=2) if own.shape[2] else np.full(own.shape[:2], np.nan)
    course = tuple(
        (epoch, float(look.mean()), float(look.min()), float(look.max()))
        for epoch, look in zip(records[0].epochs, by_look.T, strict=True)
    )
    planned = next(one for one in trainings if one.arm is arm)
    trained = _trained(shelf, dataset, planned, labels)
    relabelled = left_out = None
    emptied: tuple[str, ...] = ()
    if trained is not None:
        given = dataset.given_labels[planned.sample]
        relabelled = int((trained.label != given)[trained.kept].sum())
        left_out = int((~trained.kept).sum())
        emptied = tuple(
            dataset.class_names[index]
            for index in arm_labels.emptied_classes(trained, given, dataset.n_classes)
        )
    return ArmFigures(
        arm=arm,
        seeds=tuple(tables.seeds[arm]),
        n_rows=records[0].n_rows,
        n_relabelled=relabelled,
        n_left_out=left_out,
        accuracy=_accuracy(own[:, -1]),
        classes=tuple(_of_classes(arm, dataset, tables, right)),
        course=course,
        seconds=sum(record.seconds for record in records),
        emptied=emptied,
        messages=tuple(dict.fromkeys(m for record in records for m in record.messages)),
    )


def _trained(shelf: Shelf, dataset: Dataset, planned: Planned, labels: Labels) -> Trained | None:
    """Return what an arm is trained on; of one that follows another, with its first seed."""
    if planned.source is None:
        return planned.trained
    source = comparisons.find_training(shelf.workspace, planned.source.id)
    if source is None:
        return None
    by_position = np.full(dataset.n_samples, -1, dtype=np.int32)
    by_position[source.sample] = source.predicted[-1]
    made_from = retraining.material(shelf, dataset, labels)
    return comparison_plan.finish(planned, made_from, by_position[planned.sample])


def _of_classes(
    arm: Arm, dataset: Dataset, tables: _Tables, right: Mapping[Arm, NDArray[np.bool_]]
) -> list[ClassFigures]:
    found: list[ClassFigures] = []
    for index, name in enumerate(dataset.class_names):
        only = tables.label == index
        if not only.any():
            continue
        has_base = arm is not Arm.GIVEN and Arm.GIVEN in right
        found.append(
            ClassFigures(
                name=name,
                n_tested=int(only.sum()),
                accuracy=_accuracy(right[arm][:, -1][:, only]),
                difference=_difference(arm, Arm.GIVEN, tables, right, only) if has_base else None,
            )
        )
    return found


def _accuracy(right: NDArray[np.bool_]) -> Estimate:
    found = paired.mean(right)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def _most(predicted: NDArray[np.int32], n_classes: int) -> NDArray[np.int64]:
    """Return the class that most seeds predict, (M,)."""
    votes = np.zeros((predicted.shape[1], n_classes), dtype=np.int32)
    for row in predicted:
        votes[np.arange(len(row)), row] += 1
    return votes.argmax(axis=1)


# ------------------------------------------------------------------------------------- what went wrong


def _failures(jobs: Sequence[Job], missing: set[tuple[Arm, int]]) -> dict[Arm, dict[int, str]]:
    """Return why trainings that are not there failed, as the newest finished job says."""
    found: dict[Arm, dict[int, str]] = {}
    done = [job for job in jobs if job.state is JobState.DONE and job.result]
    result: Mapping[str, Any] = (done[-1].result or {}) if done else {}
    for name, seed, why in result.get("failed", ()):
        arm = Arm(name)
        if (arm, seed) in missing:
            found.setdefault(arm, {})[seed] = why
    return found


def _with_failures(figures: ArmFigures, failed: Mapping[int, str]) -> ArmFigures:
    return replace(figures, failed=dict(failed))


def _of_shared(shared: Shared | None) -> list[str]:
    if shared is None:
        return ["Whether training and test share images is looked at when training begins."]
    if not shared.sample:
        return ["No test image is a training image, exactly or nearly."]
    n, n_exact = len(shared.sample), shared.n_exact
    return [
        f"{n:,} test image{'s are' if n != 1 else ' is'} in the training part too ({n_exact:,} equal, "
        f"{n - n_exact:,} nearly equal) and not counted."
    ]


def _events_since(shelf: Shelf, comparison: Comparison) -> int:
    after = comparison.last_decision or 0
    last = decision_rows.last_id(shelf.workspace, comparison.dataset_id) or 0
    if last <= after:
        return 0
    return len(decision_rows.log(shelf.workspace, comparison.dataset_id, after=after))
