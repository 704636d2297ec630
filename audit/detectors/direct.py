"""Statistics of an ordinary run: one value per row from its signals, no cut, nothing to fit.

Several runs of one dataset, for example with different seeds, are averaged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import evidence
from audit.detectors.catalog import Entry
from audit.detectors.parameters import ParameterValue
from audit.detectors.protocol import Needs, Responder
from audit.errors import UnreliableError
from audit.numerics import ranking
from audit.numerics.arrays import Floats
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores


@dataclass(frozen=True, slots=True)
class Direct:
    """A detector that is one formula; `catalog` describes each.

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
            values = _of_run(run, self.entry.name, self.params)
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

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how a sample's suspicion depends on its epochs in the first run that trained it.

        `log_ratio` averages the best other class of each epoch here, because only means over all epochs
        were recorded of the other classes.

        Parameters, Raises
            As `Detector.responder`.
        """
        name, params = self.entry.name, self.params
        run, row = evidence.row_of(evidence.ordered(runs), sample, method=name)
        signals = _RATIO_SIGNALS if name == "log_ratio" else ("margin",)
        for signal in signals:
            evidence.signal(run, signal, method=name)

        def quantity(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            if name == "log_ratio":
                return _log_ratio_of_epochs(values)
            return _OF_MARGINS[name](values[:, :, 0].T, params)

        return Responder(
            run=run,
            row=row,
            signals=signals,
            answer=lambda values: ranking.suspicion(quantity(values)),
            log_odds=lambda values: -quantity(values),
        )


def _margin(margins: Floats, params: Mapping[str, ParameterValue]) -> NDArray[np.float64]:
    return ranking.mean_over_epochs(margins, skip_first=_skip_first(params))


def _skip_first(params: Mapping[str, ParameterValue]) -> int:
    skip_first = params.get("skip_first", 0)
    assert isinstance(skip_first, int)
    return skip_first


def _of_run(
    run: TrainingDynamics, name: str, params: Mapping[str, ParameterValue]
) -> NDArray[np.float64]:
    """Return the statistic of every row of a run, (R,)."""
    if name == "log_ratio":
        return _log_ratio(run)
    margins = evidence.signal(run, "margin", method=name, start=_skip_first(params))
    return _OF_MARGINS[name](margins, params)


def _log_ratio(run: TrainingDynamics) -> NDArray[np.float64]:
    table = run.mean_probabilities
    if table is None:
        raise UnreliableError(
            f"log_ratio needs the average predicted distribution, which run {run.run_id} did not "
            "record."
        )
    is_broken = ~np.isfinite(table.values).all(axis=1)
    if is_broken.any():
        raise UnreliableError(
            f"Run {run.run_id} has a mean probability that is not finite (sample "
            f"{run.sample[int(is_broken.argmax())]}): its training diverged; train with a lower "
            "learning rate."
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


_OF_MARGINS: Mapping[str, Callable[[Floats, Mapping[str, ParameterValue]], NDArray[np.float64]]] = {
    "margin": _margin,
    "mixture": _margin,
    "late_margin": lambda margins, params: ranking.late_mean(margins),
    "tanh_epoch": lambda margins, params: ranking.tanh_epoch(margins),
}
"""Margins (T, R) and checked parameters → the statistic of every row, (R,)."""

_SMALLEST = 1.4e-45
"""Smallest probability above 0 that float32 records."""

_RATIO_SIGNALS = ("given_probability", "given_logit", "best_other_logit")


def _log_ratio_of_epochs(values: Floats) -> NDArray[np.float64]:
    """Return `log_ratio` of sequences (M, T, 3) of `_RATIO_SIGNALS`, (M,).

    The best other class of each epoch stands for the best one on average, which only the table of mean
    probabilities knows: where the network's favourite changes, the result is a little more suspicious.
    Its probability is the given one's times exp of the difference of their logits.
    """
    given = values[:, :, 0].astype(np.float64)
    difference = values[:, :, 2].astype(np.float64) - values[:, :, 1]
    # In logarithms, because the given one's probability may have vanished; no probability exceeds 1.
    other = np.exp(np.minimum(np.log(np.maximum(given, _SMALLEST)) + difference, 0.0))
    return ranking.log_ratio(given.mean(axis=1), other.mean(axis=1))
