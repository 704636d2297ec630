"""Two Gaussians on the average margin: a cut for an ordinary run, at no cost.

The baseline "Avg.Encoder" of Kim et al. 2024, table 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audit.detectors.catalog import Entry
from audit.detectors.direct import Direct
from audit.detectors.parameters import ParameterValue
from audit.detectors.protocol import Needs, Responder
from audit.errors import UnreliableError
from audit.numerics import mixtures
from audit.records.dynamics import TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores


@dataclass(frozen=True, slots=True)
class Mixture:
    """The average margin with a cut between two Gaussians.

    Deviation from the paper: it flags what belongs to the lower Gaussian with a probability above one
    half, which includes the highest margins where the lower one is the wider; here a sample is flagged
    below the point between both means where the probability is one half.

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
        return self._average.spec

    @property
    def needs(self) -> Needs:
        """What it must be given."""
        return self.entry.needs

    @property
    def _average(self) -> Direct:
        return Direct(self.entry, self.params)

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return the average margin of every sample, and flags.

        Parameters
        ----------
        runs, report
            As for the average margin alone, `Direct.score`.

        Returns
        -------
        Scores
            `threshold` is the margin at which both Gaussians are equally likely; both are in the details.

        Raises
        ------
        UnreliableError
            As `Direct.score`; also if all samples have one average margin.
        """
        scores = self._average.score(runs, report)
        is_scored = ~np.isnan(scores.quantity)
        # Sorted: else the random starts would depend on how samples are numbered.
        values = np.sort(scores.quantity[is_scored])
        if not len(values) or values[0] == values[-1]:
            raise UnreliableError(
                f"All samples of run {', '.join(scores.run_ids)} have the same average margin, so that "
                "mixture finds no two groups; use the method margin."
            )
        seed = self.params["seed"]
        assert isinstance(seed, int)
        fit = mixtures.two_gaussians(values, seed=seed)
        cut = mixtures.cut(fit)
        flagged = is_scored & (scores.quantity < cut)
        fraction = float(flagged.sum() / len(values))
        return replace(
            scores,
            flagged=flagged,
            threshold=cut,
            details={
                **scores.details,
                "flagged_fraction": fraction,
                "means": fit.means.tolist(),
                "standard_deviations": np.sqrt(fit.variances).tolist(),
                "weights": fit.weights.tolist(),
            },
            messages=(
                *scores.messages,
                f"{fraction:.0%} of the samples lie below the cut at {cut:.2f} logits; where few labels are "
                "wrong, the lower Gaussian describes hard samples and several times too many are flagged.",
            ),
        )

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how a sample's suspicion depends on its margins; the cut plays no part.

        Parameters, Raises
            As `Detector.responder`.
        """
        return self._average.responder(runs, sample)
