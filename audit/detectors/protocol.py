"""The one verb of a detector, and what it needs to be asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.records.dynamics import TrainingDynamics
from audit.records.progress import Report
from audit.records.run import Probe
from audit.records.scores import DetectorSpec, Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a detector must be given.

    Parameters
    ----------
    probe
        What must have been planted into the runs; ``none`` means an ordinary training.
    n_runs
        Number of runs to train for it: the parts of one probe group, or a single run. It answers on
        fewer, and says what is missing.
    signals
        Names of the signals that it reads.
    also
        Other probes whose runs it accepts, one run each, with a sentence on what that costs.
    mean_probabilities
        Whether it cannot answer without the average predicted distribution. Every detector uses it
        for suggested labels where it is there.
    """

    probe: Probe
    n_runs: int
    signals: tuple[str, ...] = ()
    also: tuple[Probe, ...] = ()
    mean_probabilities: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Responder:
    """A detector's answer to one sample as a function of what was recorded of it.

    Explanations change the recorded epochs and ask again.

    Parameters
    ----------
    run
        The run whose recording is changed.
    row
        The sample's row in it.
    signals
        Names of the C signals that the answer reads, in the order of the last axis below.
    answer
        Recorded values (M, T, C) floating, each signal in its own unit → suspicion (M,) float64 in
        [0, 1], higher = more likely wrong. For the row's own values it gives the suspicion that this
        run alone gives the sample.
    log_odds
        The same on the scale log(s / (1 - s)), (M,) float64, where the detector knows it better than
        the suspicion's floats say: a sigmoid near 1 hides what moves its argument.
    """

    run: TrainingDynamics
    row: int
    signals: tuple[str, ...]
    answer: Callable[[NDArray[np.floating[Any]]], NDArray[np.float64]]
    log_odds: Callable[[NDArray[np.floating[Any]]], NDArray[np.float64]] | None = None


class Detector(Protocol):
    """Anything that can say how suspicious the label of each sample is."""

    @property
    def spec(self) -> DetectorSpec:
        """Name, version and every parameter, defaults included."""
        ...

    @property
    def needs(self) -> Needs:
        """What it must be given."""
        ...

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return the suspicion of every sample of the dataset.

        Parameters
        ----------
        runs
            One run, or several of one dataset, in any order; the answer does not depend on it.
        report
            Told how far the work is; may stop it.

        Returns
        -------
        Scores
            One value per sample, higher = more likely wrong; NaN where the runs say nothing.

        Raises
        ------
        UnreliableError
            If these dynamics do not allow an answer that may be trusted.
        StoppedError
            If `report` was told to stop.
        """
        ...

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how the answer to one sample depends on its recorded epochs.

        Parameters
        ----------
        runs
            As for `score`.
        sample
            Position in the dataset.

        Raises
        ------
        UnreliableError
            If no run trained the sample under its given label, or as for `score`.
        """
        ...
