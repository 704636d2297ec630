"""Trajectories: how the network took up one sample's label, epoch by epoch, and what was usual.

One sample's row is read from the memory-mapped dynamics at each look; what other rows did is computed
once per run from at most `MOST_ROWS` of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from audit.numerics import ranking
from audit.records.dataset import Dataset
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.run import Probe, Run, RunState
from audit.store import dynamics as dynamics_files
from audit.store import runs as run_rows
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Ranked

MOST_ROWS = 2000
"""Rows that stand for a class or for the threshold rows; more are thinned out evenly by a fixed draw."""

CLASS_PERCENTILES = (10.0, 50.0, 90.0)
"""Of the margins of a class's rows, per epoch."""

THRESHOLD_PERCENTILES = (10.0, 50.0, 99.0)
"""Of the margins of the threshold rows, per epoch; AUM's cut is a 99th percentile too."""

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Epochs in a row in which the network said the same.

    Parameters
    ----------
    said
        Class index; the number of classes K stands for a threshold probe's extra class.
    first, last
        Epochs from 1, both included.
    """

    said: int
    first: int
    last: int

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """What the rows of a kind did in one run.

    Parameters
    ----------
    percentiles
        Which three, ascending, in [0, 100].
    low, middle, high
        Those of the margins of each epoch, (T,) float64, logits; NaN where no margin is finite.
    areas
        Mean margin of each row over the epochs that count, ascending, (M,) float64, logits.
    n_rows, n_used
        Rows of the kind, and how many of them were read.
    """

    percentiles: tuple[float, float, float]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]
    areas: NDArray[np.float64]
    n_rows: int
    n_used: int

    def share_above(self, area: float) -> float:
        """Return the fraction of the other rows whose mean margin is larger, in [0, 1]; high = suspect.

        Parameters
        ----------
        area
            Mean margin of one of the rows, logits.
        """
        # Two ways to add up the same numbers differ in the last digits.
        n_above = len(self.areas) - np.searchsorted(self.areas, area + 1e-9 * max(1.0, abs(area)))
        n_others = len(self.areas) - (self.n_used == self.n_rows)
        return float(n_above / max(n_others, 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """One sample in one run of T epochs.

    Parameters
    ----------
    run_id, run_name
        The run.
    part, n_parts
        Which part of how many of a probe group, from 0; ``0, 1`` for a run of its own.
    role
        `Role.GIVEN`, or what the sample was planted as.
    label
        Class index that the row was trained on; K where it was planted as a threshold row.
    margins
        Logit of that label less the largest other one, (T,) float64, logits; low = suspect.
    running
        Mean margin up to each epoch, (T,) float64, logits; NaN in epochs that do not count.
    area
        Its last value, ``None`` where no epoch counts or a margin is not finite.
    skip_first, end
        Epochs that the method leaves out at the start, and the first that it leaves out at the end.
    own_logits, other_logits
        Of the label and of the best other output, (T,) float64, or ``None`` if not recorded.
    others
        Class index of the best other output, (T,) int32, or ``None`` if not recorded.
    segments
        What the network said in each epoch; empty if not recorded.
    class_band
        The rows of the same given label, ``None`` where the sample was planted.
    threshold_band
        The rows that are wrong by construction in this run, ``None`` where it has none.
    planted_rows
        What those rows are called: threshold rows, corrupted copies, planted labels.
    cut
        The run's own cut on the mean margin, or ``None``.
    """

    run_id: str
    run_name: str
    part: int
    n_parts: int
    role: Role
    label: int
    margins: NDArray[np.float64]
    running: NDArray[np.float64]
    area: float | None
    skip_first: int
    end: int
    own_logits: NDArray[np.float64] | None = None
    other_logits: NDArray[np.float64] | None = None
    others: NDArray[np.int32] | None = None
    segments: tuple[Segment, ...] = ()
    class_band: Band | None = None
    threshold_band: Band | None = None
    planted_rows: str = "threshold rows"
    cut: float | None = None

    @property
    def n_epochs(self) -> int:
        """Number of epochs T."""
        return len(self.margins)

    @property
    def n_agreed(self) -> int:
        """Number of epochs in which the network preferred the label to every other output."""
        return int((self.margins > 0).sum())

    @property
    def is_planted(self) -> bool:
        """Whether the sample was trained under a label that was planted here."""
        return self.role is not Role.GIVEN


PLANTED_ROWS: Mapping[Probe, str] = {
    Probe.THRESHOLD: "threshold rows",
    Probe.CORRUPTED: "corrupted copies",
    Probe.PLANTED: "planted labels",
    Probe.CONTAMINATED: "contaminated labels",
}
"""What the rows that are wrong by construction are called."""


def of_sample(
    shelf: Shelf, dataset: Dataset, position: int, ranked: Ranked | None
) -> tuple[Trajectory, ...]:
    """Return a sample's trajectories in the runs that a score was made from.

    Parameters
    ----------
    shelf, dataset, position
        The sample.
    ranked
        The score; ``None`` takes the runs of the newest sealed training and leaves out epoch 1, as the
        detectors do by default.

    Returns
    -------
    tuple of Trajectory
        In the order of the probe group's parts; runs that did not train on the sample are left out.

    Raises
    ------
    WorkspaceError
        If a run's files are damaged.
    """
    if ranked is None:
        runs = newest_sealed(shelf, dataset)
        params: Mapping[str, Any] = {"skip_first": 1}
        cuts: dict[str, float] = {}
        ranked_epochs: Mapping[str, int] = {}
    else:
        scores = ranked.scores
        runs = sorted(
            (_run(shelf, run_id) for run_id in scores.run_ids),
            key=lambda run: (run.config.probe_part, run.id),
        )
        params = scores.spec.params
        ranked_epochs = scores.epochs
        parts = scores.details.get("runs", ()) if scores.spec.name == "aum" else ()
        cuts = {run["run_id"]: run["alpha"] for run in parts}
    found: list[Trajectory] = []
    for run in runs:
        # A run that went on has more epochs by now than it was scored on.
        ends = [n for n in (params.get("max_epochs"), ranked_epochs.get(run.id)) if n is not None]
        trajectory = of_run(
            shelf,
            run,
            position,
            skip_first=params.get("skip_first") or 0,
            end=min(ends, default=None),
            n_parts=len(runs) if run.config.probe_group else 1,
            cut=cuts.get(run.id),
        )
        if trajectory is not None:
            found.append(trajectory)
    return tuple(found)


def newest_sealed(shelf: Shelf, dataset: Dataset) -> list[Run]:
    """Return the runs of the newest finished training: one, or the sealed parts of a probe group."""
    sealed = [
        run for run in run_rows.all(shelf.workspace, dataset.id) if run.state is RunState.SEALED
    ]
    if not sealed:
        return []
    group = sealed[-1].config.probe_group
    if group is None:
        return sealed[-1:]
    parts = [run for run in sealed if run.config.probe_group == group]
    return sorted(parts, key=lambda run: (run.config.probe_part, run.id))


def of_run(
    shelf: Shelf,
    run: Run,
    position: int,
    *,
    skip_first: int = 1,
    end: int | None = None,
    n_parts: int = 1,
    cut: float | None = None,
) -> Trajectory | None:
    """Return a sample's trajectory in a sealed run, ``None`` if the run did not train on it.

    Parameters
    ----------
    shelf, run, position
        Sample and run.
    skip_first, end
        Epochs that do not count at the start, and the first that does not count any more.
    n_parts, cut
        As in `Trajectory`.
    """
    dynamics = shelf.dynamics(run.id)
    row = _row_of(shelf, dynamics, position)
    if row is None or "margin" not in dynamics.signals:
        return None
    course = dynamics_files.read_row(shelf.workspace, dynamics, row)
    label = int(dynamics.assigned_label[row])
    role = Role(int(dynamics.role[row]))
    margins = course["margin"].astype(np.float64)
    end = dynamics.n_epochs if end is None else min(end, dynamics.n_epochs)
    running = running_mean(margins, skip_first=skip_first, end=end)
    area = float(running[end - 1]) if skip_first < end else float("nan")
    other = course["best_other_class"].astype(np.int32) if "best_other_class" in course else None
    return Trajectory(
        run_id=run.id,
        run_name=run.name,
        part=run.config.probe_part,
        n_parts=n_parts,
        role=role,
        label=label,
        margins=margins,
        running=running,
        area=area if np.isfinite(area) else None,
        skip_first=skip_first,
        end=end,
        own_logits=_floats(course, "given_logit"),
        other_logits=_floats(course, "best_other_logit"),
        others=other,
        segments=() if other is None else run_lengths(np.where(margins > 0, label, other)),
        class_band=None
        if role is not Role.GIVEN
        else band_of(shelf, run.id, label=label, skip_first=skip_first, end=end),
        threshold_band=band_of(shelf, run.id, label=None, skip_first=skip_first, end=end),
        planted_rows=PLANTED_ROWS.get(run.config.probe, "planted labels"),
        cut=cut,
    )


def recorded(shelf: Shelf, run_id: str, position: int) -> Mapping[str, NDArray[np.generic]] | None:
    """Return all that a run recorded of a sample, ``None`` if the run did not train on it.

    Parameters
    ----------
    shelf, run_id, position
        Sample and run.

    Returns
    -------
    mapping or None
        Name → value of each epoch, (T,), as in `SIGNALS`.
    """
    dynamics = shelf.dynamics(run_id)
    row = _row_of(shelf, dynamics, position)
    return None if row is None else dynamics_files.read_row(shelf.workspace, dynamics, row)


def running_mean(margins: NDArray[np.float64], *, skip_first: int, end: int) -> NDArray[np.float64]:
    """Return the mean up to each epoch over the epochs that count.

    Pleiss et al. 2020, figure 6.

    Parameters
    ----------
    margins
        (T,) float64, logits.
    skip_first, end
        Epochs before and from which on nothing counts.

    Returns
    -------
    ndarray
        (T,) float64, logits; NaN in epochs that do not count.

    Examples
    --------
    >>> running_mean(np.array([9.0, 1.0, 3.0, 5.0, 9.0]), skip_first=1, end=4)
    array([nan,  1.,  2.,  3., nan])
    """
    result = np.full(len(margins), np.nan, dtype=np.float64)
    if skip_first < end:
        means = ranking.running_mean(margins[:, None], skip_first=skip_first, end=end)
        result[skip_first:end] = means[:, 0]
    return result


def run_lengths(said: Sequence[int] | NDArray[np.generic]) -> tuple[Segment, ...]:
    """Return epochs in a row with the same value as one segment each.

    Examples
    --------
    >>> [(part.said, part.first, part.last) for part in run_lengths([4, 4, 2, 4])]
    [(4, 1, 2), (2, 3, 3), (4, 4, 4)]
    """
    values = np.asarray(said, dtype=np.int64)
    if not len(values):
        return ()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1])
    ends = np.concatenate([starts[1:], [len(values)]])
    return tuple(
        Segment(said=int(values[start]), first=int(start) + 1, last=int(end))
        for start, end in zip(starts, ends, strict=True)
    )


def signed_areas(
    margins: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a margin's course as two areas, above and below zero, that meet where it crosses zero.

    Parameters
    ----------
    margins
        (T,) float64, logits.

    Returns
    -------
    epochs, above, below
        (T + crossings,) float64 each: epochs from 1 with the crossings between them, and the margin
        where it is positive and where it is negative, 0 elsewhere.

    Examples
    --------
    >>> epochs, above, below = signed_areas(np.array([-1.0, 3.0]))
    >>> epochs.tolist(), above.tolist(), below.tolist()
    ([1.0, 1.25, 2.0], [0.0, 0.0, 3.0], [-1.0, 0.0, 0.0])
    """
    epochs = np.arange(1, len(margins) + 1, dtype=np.float64)
    left, right = margins[:-1], margins[1:]
    at = np.flatnonzero(np.sign(left) * np.sign(right) < 0)
    crossings = epochs[at] + left[at] / (left[at] - right[at])
    epochs = np.insert(epochs, at + 1, crossings)
    values = np.insert(margins, at + 1, 0.0)
    return epochs, np.maximum(values, 0.0), np.minimum(values, 0.0)


def band_of(
    shelf: Shelf, run_id: str, *, label: int | None, skip_first: int, end: int
) -> Band | None:
    """Return what rows of a run did, made once; ``None`` if there are none.

    Parameters
    ----------
    shelf, run_id
        A sealed run.
    label
        Class index: the rows that were trained on it as their given label. ``None``: the rows that
        are wrong by construction.
    skip_first, end
        Which epochs count in the rows' mean margin.
    """

    def make() -> Band | None:
        dynamics = shelf.dynamics(run_id)
        if label is None:
            return band(dynamics, np.flatnonzero(dynamics.role != Role.GIVEN), THRESHOLD_PERCENTILES,
                        skip_first=skip_first, end=end)  # fmt: skip
        is_own = (dynamics.role == Role.GIVEN) & (dynamics.assigned_label == label)
        return band(dynamics, np.flatnonzero(is_own), CLASS_PERCENTILES,
                    skip_first=skip_first, end=end)  # fmt: skip

    # By bytes and not by number: bands of thousands of classes drive nothing else off the shelf.
    return shelf.lists.find_or_make(
        ("band", run_id, label, skip_first, end),
        make,
        lambda made: 256 if made is None else 3 * made.low.nbytes + made.areas.nbytes + 512,
    )


def band(
    dynamics: TrainingDynamics,
    rows: NDArray[np.int64],
    percentiles: tuple[float, float, float],
    *,
    skip_first: int,
    end: int,
) -> Band | None:
    """Return percentiles of the margins of rows per epoch, and their mean margins.

    Parameters
    ----------
    dynamics
        Of the run; one epoch is read at a time.
    rows
        Which rows, ascending, (M,) int64; of more than `MOST_ROWS` a fixed draw of as many.
    percentiles
        Three, ascending, in [0, 100].
    skip_first, end
        Which epochs count in the mean.
    """
    if not len(rows):
        return None
    used = rows
    if len(rows) > MOST_ROWS:
        drawn = np.random.default_rng(0).choice(len(rows), MOST_ROWS, replace=False)
        used = rows[np.sort(drawn)]
    margins = cast("NDArray[np.floating[Any]]", dynamics.signals["margin"])
    course = np.full((3, dynamics.n_epochs), np.nan, dtype=np.float64)
    total = np.zeros(len(used), dtype=np.float64)
    for epoch in range(dynamics.n_epochs):
        values = margins[epoch][used].astype(np.float64)
        finite = values[np.isfinite(values)]
        if len(finite):
            course[:, epoch] = np.percentile(finite, percentiles)
        if skip_first <= epoch < end:
            total += values
    areas = total / max(end - skip_first, 1)
    return Band(
        percentiles=percentiles,
        low=course[0],
        middle=course[1],
        high=course[2],
        areas=np.sort(areas[np.isfinite(areas)]) if skip_first < end else np.empty(0),
        n_rows=len(rows),
        n_used=len(used),
    )


def class_name(dataset: Dataset, index: int) -> str:
    """Return the name of an output of the network in quotes, shortened to fit a sentence."""
    if not 0 <= index < dataset.n_classes:
        return "the extra class"
    name = dataset.class_names[index]
    return f"‘{name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + '…'}’"


def in_words(dataset: Dataset, trajectory: Trajectory) -> str:
    """Return in one or two sentences how the network took up a sample's label.

    Parameters
    ----------
    dataset
        For the names of the classes.
    trajectory
        From `of_run`.
    """
    if not np.isfinite(trajectory.margins).all():
        at = int(np.flatnonzero(~np.isfinite(trajectory.margins))[0]) + 1
        return f"The training diverged: from epoch {at} on its margins are no numbers."
    if trajectory.is_planted:
        how = (
            "as a threshold row: it was trained on an extra class that is wrong for every image"
            if trajectory.role is Role.THRESHOLD
            else f"under the wrong label {class_name(dataset, trajectory.label)}"
        )
        return (
            f"This run planted the sample {how}, so the curve shows how a wrong label is learnt and "
            "says nothing about the given one."
        )
    return " ".join((_agreement(dataset, trajectory), *_standing(dataset, trajectory)))


def summary(dataset: Dataset, trajectory: Trajectory) -> str:
    """Return in numbers what the plot of a trajectory shows, for those who do not see it."""
    margins = trajectory.margins
    said = [
        f"Margin of {class_name(dataset, trajectory.label)} per epoch: {margins[0]:.2f} logits in "
        f"epoch 1, {margins[-1]:.2f} in epoch {len(margins)}, above zero in {trajectory.n_agreed} of "
        f"{len(margins)}."
    ]
    if trajectory.area is not None:
        said.append(f"Mean up to the last epoch that counts: {trajectory.area:.2f}.")
    if trajectory.cut is not None:
        said.append(f"Cut: {trajectory.cut:.2f}.")
    for what, found in (
        ("rows of this class", trajectory.class_band),
        (trajectory.planted_rows, trajectory.threshold_band),
    ):
        if found is not None:
            low, _, high = found.percentiles
            said.append(
                f"Last epoch of the {what}, {low:g} to {high:g} percentile: {found.low[-1]:.2f} to "
                f"{found.high[-1]:.2f}, median {found.middle[-1]:.2f}."
            )
    if trajectory.segments:
        told = [
            f"{class_name(dataset, part.said)} in epoch{_span(part)}"
            for part in trajectory.segments[:12]
        ]
        more = len(trajectory.segments) - len(told)
        said.append(f"The network said {', '.join(told)}{f' and {more} more' if more else ''}.")
    return " ".join(said)


def thinned(trajectory: Trajectory) -> str | None:
    """Return which bands rest on a draw of the rows, as a sentence, ``None`` if all rows were read."""
    told = [
        f"{found.n_used:,} of {found.n_rows:,} {what}"
        for what, found in (
            ("rows of this class", trajectory.class_band),
            (trajectory.planted_rows, trajectory.threshold_band),
        )
        if found is not None and found.n_used < found.n_rows
    ]
    return f"Bands from {' and '.join(told)}, drawn once." if told else None


def _agreement(dataset: Dataset, trajectory: Trajectory) -> str:
    n_epochs, n_agreed = trajectory.n_epochs, trajectory.n_agreed
    given = class_name(dataset, trajectory.label)
    if n_agreed == n_epochs:
        return f"The network agreed with the given label {given} {_of_epochs(n_epochs, n_epochs)}."
    rival, n_rival = _rival(dataset, trajectory)
    if n_agreed == 0:
        return (
            f"The network preferred {rival} {_of_epochs(n_rival, n_epochs)} and never learnt the "
            f"given label {given}."
        )
    if trajectory.margins[-1] > 0:
        # The last agreement begins after the last epoch in which another class was preferred.
        mostly = "" if n_rival == n_epochs - n_agreed else "mostly "
        since = int(np.flatnonzero(trajectory.margins <= 0)[-1]) + 2
        return (
            f"The network agreed with the given label {given} {_of_epochs(n_agreed, n_epochs)}, "
            f"without a break since epoch {since}; otherwise it {mostly}preferred {rival}."
        )
    return (
        f"The network preferred {rival} {_of_epochs(n_rival, n_epochs)}; it agreed with the given "
        f"label {given} {_of_epochs(n_agreed, n_epochs)}, but not at the end."
    )


def _standing(dataset: Dataset, trajectory: Trajectory) -> tuple[str, ...]:
    area, own = trajectory.area, trajectory.class_band
    if area is None:
        return ()
    compared: list[str] = []
    if trajectory.cut is not None:
        side = "at or below" if area <= trajectory.cut else "above"
        compared.append(f"lies {side} this run's cut of {trajectory.cut:.2f}")
    if own is not None and len(own.areas) > 1:
        given = class_name(dataset, trajectory.label)
        compared.append(f"is lower than that of {_of_others(own.share_above(area))} given {given}")
    if not compared:
        return (f"Its average margin is {area:.2f} logits.",)
    return (f"Its average margin of {area:.2f} logits {' and '.join(compared)}.",)


def _rival(dataset: Dataset, trajectory: Trajectory) -> tuple[str, int]:
    """Return the class that was preferred to the label most often, and in how many epochs."""
    n_against = trajectory.n_epochs - trajectory.n_agreed
    if trajectory.others is None:
        return "another class", n_against
    against = trajectory.others[trajectory.margins <= 0]
    index, n_rival = min(Counter(against.tolist()).items(), key=lambda pair: (-pair[1], pair[0]))
    return class_name(dataset, index), n_rival


def _of_epochs(n: int, total: int) -> str:
    if total == 1:
        return "in its only epoch"
    return f"in all {total} epochs" if n == total else f"in {n} of {total} epochs"


def _of_others(share: float) -> str:
    if share in (0.0, 1.0):
        return "all other samples" if share else "no other sample"
    return f"{min(max(round(share * 100), 1), 99)}% of the other samples"


def _span(part: Segment) -> str:
    return f" {part.first}" if part.first == part.last else f"s {part.first} to {part.last}"


def _floats(course: Mapping[str, NDArray[np.generic]], name: str) -> NDArray[np.float64] | None:
    return course[name].astype(np.float64) if name in course else None


def _row_of(shelf: Shelf, dynamics: TrainingDynamics, position: int) -> int | None:
    # A look through a million rows takes longer than reading one; rows are fixed as a run begins.
    key = ("rows of samples", dynamics.run_id)
    row = int(shelf.keep(key, dynamics.rows_of_samples)[position])
    return None if row < 0 else row


def _run(shelf: Shelf, run_id: str) -> Run:
    return shelf.keep(("run", run_id), lambda: run_rows.find(shelf.workspace, run_id))
