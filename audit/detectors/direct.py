"""Statistics of an ordinary run: one value per row from its signals, no cut, nothing to fit.

Several runs of one dataset, for example with different seeds, are averaged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.detectors import evidence
from audit.detectors.catalog import Entry
from audit.detectors.parameters import ParameterValue
from audit.detectors.protocol import Needs
from audit.errors import UnreliableError
from audit.numerics import ranking
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores


@dataclass(frozen=True, slots=True)
class Direct:
    """A detector that is one formula; `catalog` describes each, `_STATISTICS` computes it.

    Parameters
    ----------
    entry
        Its entry in the catalogue.
    params
        Every parameter, checked.
    """

    entry: Entry
    params: Mapping[str, ParameterValue]

    @property
    def spec(self) -> DetectorSpec:
        """Name, version and every parameter."""
        return DetectorSpec(
            name=self.entry.name, version=self.entry.version, params=dict(self.params)
        )

    @property
    def needs(self) -> Needs:
        """What it must be given."""
        return self.entry.needs

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return the statistic of every sample, averaged over the runs that trained on it.

        Parameters
        ----------
        runs
            One or more runs of one dataset, in any order. Samples that a probe planted elsewhere
            are read from the runs that trained them under their given label.
        report
            Told after each run.

        Returns
        -------
        Scores
            No flags; suspicion = sigmoid(-quantity).

        Raises
        ------
        UnreliableError
            If the runs are not of one dataset, lack what the formula reads, or hold values that are
            not finite.
        """
        runs = evidence.ordered(runs)
        given = evidence.given_labels(runs)
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        for number, run in enumerate(runs):
            report(number / len(runs), f"{self.entry.title}, run {number + 1} of {len(runs)}")
            rows = run.rows(Role.GIVEN)
            values = _STATISTICS[self.entry.name](run, self.params)
            parts.append((run.sample[rows], values[rows]))
        quantity = evidence.mean_over_runs(len(given), parts)
        report(1.0, f"{self.entry.title}, done")
        n_planted = evidence.count_planted_only(runs, given)
        return Scores(
            run_ids=tuple(run.run_id for run in runs),
            spec=self.spec,
            suspicion=ranking.suspicion(quantity),
            quantity_name=self.entry.quantity_name,
            quantity=quantity,
            suggested_label=evidence.suggested_labels(runs, given),
            details={"n_scored": int((~np.isnan(quantity)).sum())},
            messages=(
                (
                    f"{n_planted} samples were not scored: these runs trained them under an extra "
                    "class only; add the other part of the probe group, or use an ordinary run.",
                )
                if n_planted
                else ()
            ),
        )


def _margin(run: TrainingDynamics, params: Mapping[str, ParameterValue]) -> NDArray[np.float64]:
    skip_first = params["skip_first"]
    assert isinstance(skip_first, int)
    margins = evidence.signal(run, "margin", method="margin", start=skip_first)
    return ranking.mean_over_epochs(margins, skip_first=skip_first)


def _late_margin(
    run: TrainingDynamics, params: Mapping[str, ParameterValue]
) -> NDArray[np.float64]:
    return ranking.late_mean(evidence.signal(run, "margin", method="late_margin"))


def _tanh_epoch(run: TrainingDynamics, params: Mapping[str, ParameterValue]) -> NDArray[np.float64]:
    return ranking.tanh_epoch(evidence.signal(run, "margin", method="tanh_epoch"))


def _log_ratio(run: TrainingDynamics, params: Mapping[str, ParameterValue]) -> NDArray[np.float64]:
    table = run.mean_probabilities
    if table is None:
        raise UnreliableError(
            f"log_ratio needs the average predicted distribution, which run {run.run_id} did not "
            "record."
        )
    own, other, _ = ranking.given_and_best_other(table.classes, table.values, run.assigned_label)
    is_missing = np.isnan(own)
    if is_missing.any() and "given_probability" in run.signals:
        # A shortened table holds the largest classes only; the given one has its own signal.
        means = ranking.mean_over_epochs(
            evidence.signal(run, "given_probability", method="log_ratio")
        )
        own[is_missing] = means[is_missing]
    ratio = ranking.log_ratio(own, other)
    unknown = run.rows(Role.GIVEN)[np.isnan(ratio[run.rows(Role.GIVEN)])]
    if len(unknown):
        raise UnreliableError(
            f"Run {run.run_id} recorded too few class probabilities of sample "
            f"{run.sample[unknown[0]]} for log_ratio; use margin instead."
        )
    return ratio


_STATISTICS: Mapping[
    str, Callable[[TrainingDynamics, Mapping[str, ParameterValue]], NDArray[np.float64]]
] = {
    "margin": _margin,
    "late_margin": _late_margin,
    "tanh_epoch": _tanh_epoch,
    "log_ratio": _log_ratio,
}
