"""Planted labels: a cut, a noise rate and a precision, read off labels that are known to be wrong.

An ordinary run ranks the samples. A second run gives some of them wrong labels of two kinds, and how those
fare tells how the natural wrong labels fare; `numerics.planted_mixture` has the formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog, evidence
from audit.detectors.protocol import Needs, Responder
from audit.errors import UnreliableError
from audit.numerics import kinship, outvoted, planted_mixture, planting, ranking
from audit.numerics.planted_mixture import Mixture
from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores

LEAST_PLANTED = 50
"""Labels of each kind; with fewer the estimate is little more than chance."""

LEAST_SEPARATION = 0.6
"""Chance that a planted label is more suspect than a given one; 0.5 where a network learns nothing."""

WIDEST_BAND, NARROW_BAND = 1.5, 0.06
"""A band is too wide if it is wider than this part of the rate, and wider than this part of all samples."""

WORST_MISFIT = 4.0
"""Chi-squared per degree of freedom. Where the model held it stayed below 2.2."""

MOST_DEVIATIONS, MOST_TIMES = 1.5, 2.5
"""By which the band may lie below what outvoted labels say: both in standard deviations of that, which is
rough, and as a factor, because its constant was read off one kind of network."""

_CURVE_POINTS = 50


@dataclass(frozen=True, slots=True)
class Planted:
    """The detector `planted`; it has no parameters."""

    @property
    def spec(self) -> DetectorSpec:
        """Name and version."""
        return DetectorSpec(name="planted", version=catalog.entry("planted").version, params={})

    @property
    def needs(self) -> Needs:
        """What it must be given: a run with planted labels and the ordinary run that it follows."""
        return catalog.entry("planted").needs

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return ranking, flags and the estimated precision of every cut.

        Parameters
        ----------
        runs
            An ordinary run and the run with planted labels that follows it, in any order. Without
            planted labels, or where their estimate cannot be trusted, as many samples are flagged as
            have a likelier class than their own; the result says so and has no precision.
        report
            Told after each step.

        Returns
        -------
        Scores
            `quantity` is the mean of tanh(margin) over the epochs of the ordinary run, later epochs
            counting more, low = suspect. A sample is flagged where it is at most `threshold`.

        Raises
        ------
        UnreliableError
            If the runs are not of one dataset, several have planted labels, or margins are missing
            or not finite.
        """
        runs = evidence.ordered(runs)
        given = evidence.given_labels(runs)
        planted = [run for run in runs if _has_planted(run)]
        if len(planted) > 1:
            raise UnreliableError(
                f"planted takes one run with planted labels, got "
                f"{', '.join(run.run_id for run in planted)}."
            )
        ordinary = [run for run in runs if not _has_planted(run)] or planted
        report(0.0, "Planted labels, ranking")
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        for run in ordinary:
            rows = run.rows(Role.GIVEN)
            parts.append((run.sample[rows], _statistic(run)[rows]))
        quantity = evidence.mean_over_runs(len(given), parts)

        report(0.5, "Planted labels, estimating how many labels are wrong")
        mixture, why = _estimate(ordinary[0], planted, quantity)
        is_scored = ~np.isnan(quantity)
        values = np.sort(quantity[is_scored])
        n_scored = len(values)
        if mixture is not None and why is None:
            n_wanted, cut_by = round(mixture.best_depth() * n_scored), "planted labels"
        else:
            n_wanted, cut_by = _n_outvoted(ordinary[0], quantity)
        threshold = _threshold(values, n_wanted)
        # A comparison with NaN is false: samples that were not scored are not flagged.
        flagged = quantity <= threshold
        n_flagged = int(flagged.sum())

        precision, depths = None, np.zeros(0)
        if mixture is not None and why is None:
            precision = np.full(len(given), np.nan)
            depths = np.searchsorted(values, quantity[is_scored], side="right") / n_scored
            precision[is_scored] = mixture.precision(depths)
        report(1.0, "Planted labels, done")
        details: dict[str, Any] = {
            "cut_by": cut_by,
            "n_scored": n_scored,
            "flagged_fraction": n_flagged / n_scored if n_scored else 0.0,
            "n_planted": [
                sum(len(run.rows(role)) for run in planted)
                for role in (Role.PLANTED_UNIFORM, Role.PLANTED_CONFUSED)
            ],
        }
        if mixture is not None:
            details |= _to_json(mixture)
        return Scores(
            run_ids=tuple(run.run_id for run in runs),
            spec=self.spec,
            suspicion=ranking.suspicion(quantity),
            quantity_name="planted_statistic",
            quantity=quantity,
            suggested_label=evidence.suggested_labels(runs, given),
            flagged=flagged,
            threshold=threshold,
            precision=precision,
            details=details,
            messages=(
                *_coverage(given, is_scored),
                *(
                    _estimates_in_words(mixture, n_flagged, n_scored)
                    if mixture is not None and why is None
                    else (_fallback_in_words(why, cut_by, n_flagged),)
                ),
            ),
        )

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how a sample's suspicion depends on its margins in the ordinary run.

        Parameters, Raises
            As `Detector.responder`.
        """
        ordered = evidence.ordered(runs)
        ordinary = [run for run in ordered if not _has_planted(run)] or ordered
        run, row = evidence.row_of(ordinary, sample, method="planted")
        evidence.signal(run, "margin", method="planted")

        def answer(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            return ranking.suspicion(ranking.tanh_epoch(values[:, :, 0].T))

        return Responder(run=run, row=row, signals=("margin",), answer=answer)


def _has_planted(run: TrainingDynamics) -> bool:
    return bool(np.isin(run.role, (Role.PLANTED_UNIFORM, Role.PLANTED_CONFUSED)).any())


def _statistic(run: TrainingDynamics) -> NDArray[np.float64]:
    return ranking.tanh_epoch(evidence.signal(run, "margin", method="planted"))


def _estimate(
    base: TrainingDynamics,
    planted: Sequence[TrainingDynamics],
    quantity: NDArray[np.float64],
) -> tuple[Mixture | None, str | None]:
    """Return the estimate, and why it is missing or cannot be trusted, ``None`` where it can."""
    if not planted:
        return None, f"Run {base.run_id} has no planted labels to measure by"
    run = planted[0]
    table, doubts = run.mean_probabilities, base.mean_probabilities
    if run is base or table is None or doubts is None:
        return None, (
            f"The ordinary run that {run.run_id} follows is missing, or one of the two did not record "
            "mean probabilities"
        )
    statistic = _statistic(run)
    row_of = np.full(run.n_samples, -1, dtype=np.int64)
    own = base.rows(Role.GIVEN)
    row_of[base.sample[own]] = own
    is_natural = run.role == Role.GIVEN
    is_planted = np.isin(run.role, (Role.PLANTED_UNIFORM, Role.PLANTED_CONFUSED))
    is_planted &= row_of[run.sample] >= 0
    is_confused = run.role[is_planted] == Role.PLANTED_CONFUSED
    fewest = int(min(is_confused.sum(), (~is_confused).sum()))
    if fewest < LEAST_PLANTED or not is_natural.any():
        return None, (
            f"Only {fewest} labels of a kind were planted, and fewer than {LEAST_PLANTED} measure little"
        )
    separation = _chance_lower(statistic[is_planted], statistic[is_natural])
    looks_like = ranking.suggested_labels(table.classes, table.values, run.assigned_label)
    near = kinship.of_labels(
        kinship.of_classes(
            doubts.classes[own], doubts.values[own], base.assigned_label[own], run.n_classes
        ),
        looks_like,
        run.assigned_label,
    )
    before = row_of[run.sample[is_planted]]
    ranked = np.sort(quantity[~np.isnan(quantity)])
    restores, doubt = _beforehand(base, doubts, before, run.assigned_label[is_planted])
    mixture = planted_mixture.fit(
        planted_mixture.Labels(values=statistic[is_natural], kinship=near[is_natural]),
        planted_mixture.PlantedLabels(
            values=statistic[is_planted],
            kinship=near[is_planted],
            is_confused=is_confused,
            restores=restores,
            depth=np.searchsorted(ranked, quantity[run.sample[is_planted]], side="right")
            / len(ranked),
            doubt=doubt,
        ),
        rng=np.random.default_rng(0),
    )
    rows = row_of[run.sample]
    given = np.where(rows >= 0, base.assigned_label[rows], -1)
    return mixture, _distrust(mixture, separation, _expected(run, table, looks_like, given))


def _beforehand(
    base: TrainingDynamics,
    doubts: MeanProbabilities,
    rows: NDArray[np.int64],
    planted_label: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what an ordinary network thought of images before they got a planted label.

    Returns
    -------
    restores, doubt
        (M,) float64 each: the chance that the planted label undid a wrong one, should there have been
        one, and how unsure the network was of the image.
    """
    smoothing = 0.0 if base.config is None else base.config.label_smoothing
    values = planting.without_smoothing(doubts.values[rows], smoothing, base.n_classes)
    restores = planting.share_of_doubt(
        doubts.classes[rows], values, base.assigned_label[rows], planted_label
    )
    return restores, planting.doubt(values)


def _expected(
    run: TrainingDynamics,
    table: MeanProbabilities,
    looks_like: NDArray[np.int32],
    given: NDArray[np.int32],
) -> tuple[float, float]:
    """Return the noise rate that outvoted labels suggest, and its standard deviation.

    Parameters
    ----------
    run, table
        The run with planted labels and its mean probabilities.
    looks_like
        Likeliest class of each row other than its label, (R,), negative where unknown.
    given
        Label of each row's sample before any was planted, (R,), negative where unknown.
    """
    is_outvoted = ranking.are_outvoted(table.classes, table.values, run.assigned_label)
    parts = [
        float(is_outvoted[run.role == role].mean())
        for role in (Role.GIVEN, Role.PLANTED_UNIFORM, Role.PLANTED_CONFUSED)
    ]
    seen = (run.role == Role.PLANTED_UNIFORM) & (given >= 0) & (looks_like >= 0)
    # With two classes there is no class beside the planted label and the given one to disagree for.
    if run.n_classes < 3 or not seen.any():
        return 0.0, float("inf")
    return outvoted.estimate(
        outvoted=parts[0],
        outvoted_blunders=parts[1],
        outvoted_mistakes=parts[2],
        disagreed=float((looks_like != given)[seen].mean()),
        n_disagreed=int(seen.sum()),
    )


def _chance_lower(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the chance that a value of the first set is the lower one; ties count half."""
    ordered = np.sort(second)
    above = len(ordered) - np.searchsorted(ordered, first, side="right")
    not_below = len(ordered) - np.searchsorted(ordered, first, side="left")
    return float((above + not_below).mean() / (2 * len(ordered)))


def _distrust(mixture: Mixture, separation: float, expected: tuple[float, float]) -> str | None:
    """Return why an estimate cannot be trusted, or ``None``."""
    width = mixture.high - mixture.low
    if separation < LEAST_SEPARATION:
        return (
            "Planted wrong labels were learnt as easily as the given ones: the network has learnt hardly "
            "anything, or nearly all labels are wrong"
        )
    if width > max(WIDEST_BAND * mixture.rate, NARROW_BAND):
        return (
            f"Planted labels leave open how many labels are wrong, {_range(mixture)}, which is too wide "
            "to cut by"
        )
    if mixture.misfit > WORST_MISFIT:
        return "Wrong labels do not fare like the planted ones at any depth, so that these measure nothing"
    rate, deviation = expected
    if mixture.high < min(rate - MOST_DEVIATIONS * deviation, rate / MOST_TIMES):
        return (
            f"Planted labels account for {_range(mixture)} of wrong ones, but so many labels have a likelier "
            f"class than their own that about {_percent(rate)} % must be wrong: one class seems to be taken "
            "for another throughout, which single planted labels cannot imitate"
        )
    return None


def _n_outvoted(base: TrainingDynamics, quantity: NDArray[np.float64]) -> tuple[int, str]:
    """Return how many samples have a likelier class than their own, and how that was found out."""
    table = base.mean_probabilities
    if table is None:
        with np.errstate(invalid="ignore"):
            return int((quantity < 0).sum()), "sign"
    rows = base.rows(Role.GIVEN)
    is_outvoted = ranking.are_outvoted(
        table.classes[rows], table.values[rows], base.assigned_label[rows]
    )
    return int(is_outvoted.sum()), "argmax"


def _threshold(values: NDArray[np.float64], n_wanted: int) -> float:
    """Return the largest cut on ascending values that flags no more than wanted; ties stay together."""
    if not len(values):
        return 0.0
    n_whole = min(n_wanted, len(values))
    if n_whole < len(values):
        # The value at the cut may go on behind it: then none of its kind is flagged.
        n_whole = int(np.searchsorted(values, values[n_whole], side="left"))
    return float(values[n_whole - 1]) if n_whole else float(np.nextafter(values[0], -np.inf))


def _to_json(mixture: Mixture) -> dict[str, Any]:
    flagged = np.linspace(0.0, 1.0, _CURVE_POINTS + 1)[1:]
    return {
        "noise_rate": mixture.rate,
        "noise_rate_low": mixture.low,
        "noise_rate_high": mixture.high,
        "level": planted_mixture.LEVEL,
        "confused_share": mixture.confused_share,
        "misfit": mixture.misfit,
        "curve": {
            "flagged_fraction": flagged.tolist(),
            "precision": mixture.precision(flagged).tolist(),
        },
    }


def _coverage(given: NDArray[np.int32], is_scored: NDArray[np.bool_]) -> tuple[str, ...]:
    n_missing = int(((given >= 0) & ~is_scored).sum())
    return (
        (f"{n_missing} samples were not scored: the ordinary run did not train them.",)
        if n_missing
        else ()
    )


def _range(mixture: Mixture) -> str:
    return f"{_percent(mixture.low)}–{_percent(mixture.high)} %"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}" if fraction < 0.095 else f"{100 * fraction:.0f}"


def _estimates_in_words(mixture: Mixture, n_flagged: int, n_scored: int) -> tuple[str, ...]:
    said = f"About {_percent(mixture.rate)} % of the labels are wrong ({_range(mixture)})."
    if not n_flagged:
        return (said, "So few that no cut pays: nothing is flagged.")
    precision = float(mixture.precision(np.array([n_flagged / n_scored]))[0])
    n_found = precision * n_flagged
    n_missed = max(mixture.rate * n_scored - n_found, 0.0)
    return (
        said,
        f"Of the {n_flagged:,} flagged ones about {n_found:,.0f} are wrong ({precision:.0%}), and about "
        f"{n_missed:,.0f} wrong ones are not flagged.".replace("%", " %"),
    )


def _fallback_in_words(why: str | None, cut_by: str, n_flagged: int) -> str:
    how = (
        "have a class that the network thought likelier than their own on average"
        if cut_by == "argmax"
        else "lost to another class on average"
    )
    return (
        f"{why}: the cut is the plain one instead, as many samples as {how} ({n_flagged:,}), and no "
        "precision is estimated."
    )
