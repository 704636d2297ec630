"""Area under the margin with threshold samples (Pleiss et al. 2020).

Each run of a probe group gives a random part of the samples an extra class, for which all of them
are wrong by construction: labels that are learnt no more easily than these are suspects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import aum_health, catalog, evidence
from audit.detectors.protocol import Needs, Responder
from audit.errors import UnreliableError
from audit.numerics import ranking
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Aum:
    """AUM's quantity, cut and health.

    Deviations from the paper, section 3: the first epoch is left out, as in the authors' code; the
    cut is a linearly interpolated percentile and flags ``<=``; a sample that both runs score is
    flagged only where both flag it (the paper is silent, the authors' code does the same).

    Parameters
    ----------
    skip_first
        Epochs left out at the start, ≥ 0.
    max_epochs
        Epochs used from the start, ≥ 1; ``None`` = all.
    percentile
        Of the threshold rows' AUM, in [0, 100].
    combine
        ``and``: flagged in every run that scores the sample; ``or``: in any; ``first``: in the
        first.
    """

    skip_first: int = 1
    max_epochs: int | None = None
    percentile: float = 99.0
    combine: str = "and"

    @property
    def spec(self) -> DetectorSpec:
        """Name, version and every parameter."""
        params = {
            "skip_first": self.skip_first,
            "max_epochs": self.max_epochs,
            "percentile": self.percentile,
            "combine": self.combine,
        }
        return DetectorSpec(name="aum", version=catalog.entry("aum").version, params=params)

    @property
    def needs(self) -> Needs:
        """What it must be given: the two parts of one threshold probe group."""
        return catalog.entry("aum").needs

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return AUM and flags of every sample, with the health of each run in words.

        Parameters
        ----------
        runs
            The parts of one threshold probe group, in any order. With one part alone the samples
            that it planted are not scored. One run with corrupted copies is taken too: the copies
            stand for threshold rows, and a message says what that means. Runs recorded elsewhere
            may lack both: they are ranked and get no cut.
        report
            Told after each run.

        Returns
        -------
        Scores
            `quantity` is the mean AUM over the runs in which a sample kept its label; `threshold`
            is the mean of the runs' cuts alpha, each of which is in ``details["runs"]`` and alone
            decides the flags of its run.

        Raises
        ------
        UnreliableError
            If the runs are not parts of one group of one dataset, have no threshold rows or no
            margins, hold values that are not finite, or no epoch is left.
        """
        runs = evidence.ordered(runs)
        if all(run.config is None and not len(planted_rows(run)) for run in runs):
            return self._rank_only(runs)
        _check_group(runs)
        given = evidence.given_labels(runs)
        n_samples = len(given)

        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        healths: list[aum_health.Health] = []
        n_flags = np.zeros(n_samples, dtype=np.int64)
        n_scores = np.zeros(n_samples, dtype=np.int64)
        first_flag = np.zeros(n_samples, dtype=np.bool_)
        for number, run in enumerate(runs):
            report(number / len(runs), f"Area under the margin, run {number + 1} of {len(runs)}")
            margins = evidence.signal(
                run, "margin", method="aum", start=self.skip_first, end=self.max_epochs
            )
            area = ranking.mean_over_epochs(
                margins, skip_first=self.skip_first, end=self.max_epochs
            )
            rows, planted = run.rows(Role.GIVEN), planted_rows(run)
            samples = run.sample[rows]
            alpha = float(np.percentile(area[planted], self.percentile))
            is_flagged = area[rows] <= alpha
            first_flag[samples] |= is_flagged & (n_scores[samples] == 0)
            n_scores[samples] += 1
            n_flags[samples] += is_flagged
            parts.append((samples, area[rows]))
            healths.append(
                aum_health.measure(
                    run,
                    planted=planted,
                    margins=margins[: self.max_epochs],
                    area=area,
                    alpha=alpha,
                    flagged_fraction=float(is_flagged.mean()) if len(rows) else 0.0,
                )
            )
        report(1.0, "Area under the margin, done")

        quantity = evidence.mean_over_runs(n_samples, parts)
        flagged = {
            "and": (n_scores > 0) & (n_flags == n_scores),
            "or": n_flags > 0,
            "first": first_flag,
        }[self.combine]
        n_scored = int((n_scores > 0).sum())
        flagged_fraction = float(flagged.sum() / n_scored) if n_scored else 0.0
        details: dict[str, Any] = {
            "threshold": "mean of the runs' alphas; each run's own alpha decides its flags",
            "alphas": [health.alpha for health in healths],
            "n_scored": n_scored,
            "flagged_fraction": flagged_fraction,
            "runs": [health.to_json() for health in healths],
        }
        return Scores(
            run_ids=tuple(run.run_id for run in runs),
            spec=self.spec,
            suspicion=ranking.suspicion(quantity),
            quantity_name="aum",
            quantity=quantity,
            suggested_label=evidence.suggested_labels(runs, given),
            flagged=flagged,
            threshold=float(np.mean([health.alpha for health in healths])),
            details=details,
            messages=(
                *_coverage(runs, given),
                *(_ON_COPIES.format(run=run.run_id) for run in runs if not _has_threshold(run)),
                *(sentence for health in healths for sentence in aum_health.sentences(health)),
                *aum_health.overall(flagged_fraction),
            ),
        )

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how a sample's suspicion depends on its margins in the first run that scores it.

        Parameters, Raises
            As `Detector.responder`.
        """
        run, row = evidence.row_of(evidence.ordered(runs), sample, method="aum")
        start = self.skip_first if run.n_epochs > 1 else 0
        evidence.signal(run, "margin", method="aum", start=start, end=self.max_epochs)

        def area(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            return ranking.mean_over_epochs(
                values[:, :, 0].T, skip_first=start, end=self.max_epochs
            )

        return Responder(
            run=run,
            row=row,
            signals=("margin",),
            answer=lambda values: ranking.suspicion(area(values)),
            log_odds=lambda values: -area(values),
        )

    def _rank_only(self, runs: tuple[TrainingDynamics, ...]) -> Scores:
        """Return AUM without a cut, for dynamics recorded elsewhere without threshold rows.

        A recording of one epoch (such as a table of finished AUM values) keeps that epoch.
        """
        given = evidence.given_labels(runs)
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        for run in runs:
            start = self.skip_first if run.n_epochs > 1 else 0
            margins = evidence.signal(run, "margin", method="aum", start=start, end=self.max_epochs)
            area = ranking.mean_over_epochs(margins, skip_first=start, end=self.max_epochs)
            rows = run.rows(Role.GIVEN)
            parts.append((run.sample[rows], area[rows]))
        quantity = evidence.mean_over_runs(len(given), parts)
        return Scores(
            run_ids=tuple(run.run_id for run in runs),
            spec=self.spec,
            suspicion=ranking.suspicion(quantity),
            quantity_name="aum",
            quantity=quantity,
            suggested_label=evidence.suggested_labels(runs, given),
            messages=(
                "The recording has no threshold rows, so its samples are ranked by AUM but none is "
                "flagged.",
            ),
        )


_ON_COPIES = (
    "Run {run} has no threshold rows: its cut rests on corrupted copies, whose wrong labels are those "
    "of real classes and are learnt more easily. Two runs with the threshold probe give AUM's own cut."
)


def planted_rows(run: TrainingDynamics) -> NDArray[np.int64]:
    """Return the rows that are wrong by construction: threshold rows, or else corrupted copies, (M,)."""
    return run.rows(Role.THRESHOLD if _has_threshold(run) else Role.CORRUPTED)


def _has_threshold(run: TrainingDynamics) -> bool:
    return bool((run.role == Role.THRESHOLD).any())


def _check_group(runs: tuple[TrainingDynamics, ...]) -> None:
    for run in runs:
        if not len(planted_rows(run)):
            raise UnreliableError(
                f"aum needs threshold rows and run {run.run_id} has none; train with the threshold "
                "probe, or use the method margin for this run."
            )
    if len(runs) > 1 and not all(_has_threshold(run) for run in runs):
        raise UnreliableError(
            f"Runs {', '.join(run.run_id for run in runs)} are not all parts of one threshold probe; "
            "score a run with corrupted copies alone."
        )
    groups = {run.config.probe_group if run.config else None for run in runs}
    if len(groups) > 1:
        raise UnreliableError(
            f"Runs {', '.join(run.run_id for run in runs)} belong to different probe groups; score "
            "the parts of one group together."
        )
    parts = [run.config.probe_part for run in runs if run.config]
    if len(set(parts)) < len(parts):
        raise UnreliableError(
            f"Runs {', '.join(run.run_id for run in runs)} hold the same part of their probe group "
            "twice; every part plants other samples."
        )


def _coverage(runs: tuple[TrainingDynamics, ...], given: NDArray[np.int32]) -> tuple[str, ...]:
    n_unscored = evidence.count_planted_only(runs, given)
    if not n_unscored:
        return ()
    if len(runs) == 1:
        return (
            f"Only one part of the probe group was scored: the {n_unscored} samples that run "
            f"{runs[0].run_id} planted have no AUM; score it together with the other part.",
        )
    return (
        f"{n_unscored} samples were planted in every run and have no AUM; the parts of a probe "
        "group should plant different samples.",
    )
