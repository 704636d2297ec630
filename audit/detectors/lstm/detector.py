"""The LSTM noise detector: sequences of a run → calibrated probability that a label is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.compute import device, lanes
from audit.detectors import catalog, evidence, pretrained
from audit.detectors.lstm import card as cards
from audit.detectors.lstm import domain, network, profile, sequences, weights
from audit.detectors.lstm.card import Card
from audit.detectors.lstm.weights import Weights
from audit.detectors.parameters import ParameterValue
from audit.detectors.protocol import Needs, Responder
from audit.errors import InputError
from audit.numerics import calibration, ranking
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Lstm:
    """Jia et al. 2023, section 3.2, with weights of ours or of the user.

    Deviations from the paper: held-out logits are calibrated by a logistic of two parameters, because a
    detector that ranks well may answer below 0.5 throughout; a fixed cut finds hardly anything on other
    data (with 10 classes instead of 100 hardly a label looks wrong), so that as many samples are flagged
    as the network itself would have labelled otherwise; weights may read the margin as a second channel.

    Parameters
    ----------
    weights
        Name of shipped weights, or path of a file with its card; ``None`` takes the shipped ones that
        suit the runs best.
    weights_digest
        Identity of card and weights (`card.identity`), so that altered weights are another detector;
        for ``None`` that of all shipped ones.
    resample
        ``linear`` brings every sequence to the length that the weights learnt from.
    cut
        ``network``: flag as many samples as `n_disagreements` counts. ``card``: where the probability
        reaches the cut that was best on the held-out noise of the weights.
    """

    weights: str | None
    weights_digest: str
    resample: str
    cut: str

    @property
    def spec(self) -> DetectorSpec:
        """Name, version and every parameter."""
        params = {
            "weights": self.weights,
            "weights_digest": self.weights_digest,
            "resample": self.resample,
            "cut": self.cut,
        }
        return DetectorSpec(name="lstm", version=catalog.entry("lstm").version, params=params)

    @property
    def needs(self) -> Needs:
        """What it must be given."""
        return catalog.entry("lstm").needs

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return the probability of a wrong label for every sample that kept its given one.

        Parameters
        ----------
        runs
            One run, or several of one dataset, whose log odds are averaged. Rows that a probe planted
            are left out.
        report
            Told a few times a second.

        Returns
        -------
        Scores
            `quantity` and `suspicion` are the same probability, at the noise rate that the weights
            learnt from (``details["weights"]``); where float64 has no digits left beside 1, neighbours
            are set apart by single steps. `threshold` is the cut on it.

        Raises
        ------
        UnreliableError
            If the runs are not of one dataset, did not record what the weights read, or hold an
            infinite value.
        InputError, NotFoundError
            If the weights are missing or damaged.
        """
        runs = evidence.ordered(runs)
        given = evidence.given_labels(runs)
        report(0.0, "LSTM noise detector, loading weights")
        loaded = self._load(runs)
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        messages: list[str] = []
        n_missing = 0
        for number, run in enumerate(runs):
            rows = run.rows(Role.GIVEN)
            messages += domain.recording_sentences(
                loaded.card, run, resample=self.resample == "linear"
            )

            def told(fraction: float, message: str, number: int = number) -> None:
                done = (number + fraction) / len(runs)
                report(done, f"LSTM noise detector, {message} of run {number + 1} of {len(runs)}")

            odds, found, missing = log_odds(
                loaded, run, rows, resample=self.resample == "linear", report=told
            )
            messages += domain.sequence_sentences(loaded.card, run, found)
            n_missing += missing
            parts.append((run.sample[rows], odds))
        mean_odds = evidence.mean_over_runs(len(given), parts)
        if n_missing:
            messages.append(
                f"{n_missing} recorded values were missing and were interpolated between the epochs "
                "beside them."
            )
        quantity = ranking.suspicion(-mean_odds)
        cut, said = _cut(loaded.card, runs, mean_odds, self.cut)
        messages += said
        flagged = mean_odds >= cut
        report(1.0, "LSTM noise detector, done")
        return Scores(
            run_ids=tuple(run.run_id for run in runs),
            spec=self.spec,
            suspicion=quantity,
            quantity_name="lstm_probability",
            quantity=quantity.copy(),
            suggested_label=evidence.suggested_labels(runs, given),
            flagged=flagged,
            threshold=float(calibration.probabilities(np.array([cut]))[0]),
            details={
                "n_scored": int((~np.isnan(quantity)).sum()),
                "weights": loaded.card.name,
                "weights_version": loaded.card.version,
                "weights_sha256": loaded.card.sha256,
                "channels": list(loaded.card.channels),
                "learnt_noise_rate": loaded.card.noise_rate,
                "n_classes": runs[0].n_classes,
                "learnt_n_classes": loaded.card.n_classes,
                "n_missing": n_missing,
            },
            messages=tuple(messages),
        )

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how a sample's probability depends on its epochs in the first run that trained it.

        Parameters, Raises
            As `Detector.responder`.
        """
        runs = evidence.ordered(runs)
        run, row = evidence.row_of(runs, sample, method="lstm")
        loaded = self._load(runs)
        names = loaded.card.channels
        sequences.of_rows(run, np.array([row]), names)  # refuses what `score` refuses
        length = loaded.card.train_length if self.resample == "linear" else None

        def own_log_odds(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            made = sequences.resampled(sequences.squashed(values, names), length)
            return loaded.card.calibration.log_odds(network.logits(loaded.network, made))

        def answer(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            return ranking.suspicion(-own_log_odds(values))

        signals = tuple(sequences.CHANNELS[name].signal for name in names)
        return Responder(run=run, row=row, signals=signals, answer=answer, log_odds=own_log_odds)

    def _load(self, runs: Sequence[TrainingDynamics]) -> Weights:
        if self.weights is not None:
            return weights.load(pretrained.resolve(self.weights))
        best = pretrained.best_fitting(pretrained.shipped_cards(), runs)
        return weights.load(pretrained.path_of(best.name))


def build(params: Mapping[str, ParameterValue]) -> Lstm:
    """Return the detector of checked parameters, its weights identified.

    Raises
    ------
    InputError, NotFoundError
        If the weights are missing or damaged, or are not those that `params` identify.
    """
    named = params["weights"]
    if named is None:
        digest = cards.identity(*pretrained.shipped_cards())
    else:
        digest = cards.identity(cards.read(pretrained.resolve(str(named))))
    if params["weights_digest"] not in (None, digest):
        raise InputError(
            f"The weights {named or 'that come with labeltrace'} are not those that the scores were made "
            "with; score the runs again."
        )
    return Lstm(
        weights=None if named is None else str(named),
        weights_digest=digest,
        resample=str(params["resample"]),
        cut=str(params["cut"]),
    )


def log_odds(
    loaded: Weights,
    run: TrainingDynamics,
    rows: NDArray[np.int64],
    *,
    resample: bool,
    report: Report,
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float32]], int]:
    """Return calibrated log odds of some rows, what is to know of their sequences, and gaps filled.

    Rows go through in blocks of `network.ROWS_PER_PASS`, as many at a time as there are cores: a million
    rows of a hundred epochs take what these blocks take, and five numbers per row.

    Parameters
    ----------
    loaded, run
        The detector, and what it reads; signals may be memory-mapped.
    rows
        (M,) int64.
    resample
        Whether to bring sequences to the weights' length.
    report
        Told a few times a second.

    Returns
    -------
    log_odds
        (M,) float64, high = suspect.
    statistics
        As `profile.statistics`, (M,) each, at the number of classes that the weights learnt from.
    n_missing
        Entries that were interpolated.
    """
    card = loaded.card
    logits = np.empty(len(rows), dtype=np.float64)
    found = {name: np.empty(len(rows), dtype=np.float32) for name in profile.STATISTICS}
    n_missing: list[int] = []

    def of_block(begin: int) -> None:
        place = slice(begin, begin + network.ROWS_PER_PASS)
        made, missing = sequences.of_rows(run, rows[place], card.channels)
        compared = domain.at_other_classes(made[:, :, 0], run.n_classes, card.n_classes)
        for name, values in profile.statistics(compared).items():
            found[name][place] = values
        if resample:
            made = sequences.resampled(made, card.train_length)
        logits[place] = network.logits(loaded.network, made)
        n_missing.append(missing)

    def look() -> None:
        done = min(len(n_missing) * network.ROWS_PER_PASS, len(rows))
        report(done / max(len(rows), 1), f"{done} of {len(rows)} rows")

    with device.one_thread():
        lanes.each(of_block, range(0, len(rows), network.ROWS_PER_PASS), look=look)
    return card.calibration.log_odds(logits), found, sum(n_missing)


def n_disagreements(runs: Sequence[TrainingDynamics], n_samples: int) -> int | None:
    """Return how many samples the network itself would have labelled otherwise.

    Counted where, averaged over all epochs, another class is more probable than the given one, in more
    than half of the runs that trained the sample under its given label.

    Returns
    -------
    int or None
        ``None`` where a run did not record mean probabilities.
    """
    parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    for run in runs:
        table, rows = run.mean_probabilities, run.rows(Role.GIVEN)
        if table is None:
            return None
        disagrees = ranking.are_outvoted(table.classes, table.values, run.assigned_label)
        parts.append((run.sample[rows], disagrees[rows].astype(np.float64)))
    return int((evidence.mean_over_runs(n_samples, parts) > 0.5).sum())


def _cut(
    card: Card, runs: Sequence[TrainingDynamics], odds: NDArray[np.float64], kind: str
) -> tuple[float, tuple[str, ...]]:
    """Return the cut on the log odds, and what is to say about it."""
    wanted = n_disagreements(runs, len(odds)) if kind == "network" else None
    if wanted is not None:
        return calibration.cut_for(odds[~np.isnan(odds)], wanted), ()
    own = float(np.log(card.threshold / (1 - card.threshold)))
    if kind == "card":
        return own, ()
    return own, (
        f"No average probabilities were recorded, so that the cut is the one of weights {card.name}, "
        "which seldom suits other data: believe the order rather than the flags.",
    )
