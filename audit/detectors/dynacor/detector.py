"""DynaCor as a detector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog, evidence
from audit.detectors.dynacor import sanity, signs
from audit.detectors.protocol import Needs, Responder
from audit.errors import UnreliableError
from audit.numerics import ranking
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import Report
from audit.records.scores import DetectorSpec, Scores

if TYPE_CHECKING:
    from audit.detectors.dynacor import fitting

CUT = 0.5
"""Kim et al. 2024, equation (4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DynaCor:
    """Noisy-cluster probability of every sample (Kim et al. 2024).

    Deviations from the paper: sums over a batch and means as in the authors' code, where the paper sums
    over all rows; both published weights of the alignment loss are tried and the copies choose, where the
    paper does not say how it chose; the validation metric reads all originals, as the paper says and the
    code does not.

    Parameters
    ----------
    skip_first
        Epochs left out at the start, ≥ 0.
    alpha
        Weight of the alignment loss; ``None`` = try 0.05 and 0.5.
    epochs, batch, learning_rate, weight_decay, seed
        Of the encoder's training, as in `fitting.Settings`.
    """

    skip_first: int = 0
    alpha: float | None = None
    epochs: int = 15
    batch: int = 1024
    learning_rate: float = 1e-5
    weight_decay: float = 1e-4
    seed: int = 0

    @property
    def spec(self) -> DetectorSpec:
        """Name, version and every parameter."""
        params = {
            "skip_first": self.skip_first,
            "alpha": self.alpha,
            "epochs": self.epochs,
            "batch": self.batch,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "seed": self.seed,
        }
        return DetectorSpec(name="dynacor", version=catalog.entry("dynacor").version, params=params)

    @property
    def needs(self) -> Needs:
        """What it must be given: one run with corrupted copies."""
        return catalog.entry("dynacor").needs

    def score(self, runs: Sequence[TrainingDynamics], report: Report) -> Scores:
        """Return the probability of the noisy cluster of every sample, and flags.

        Parameters
        ----------
        runs
            One run with corrupted copies. Several, for example with different seeds, get an encoder
            each and are averaged.
        report
            Told a few times a second.

        Returns
        -------
        Scores
            `quantity` and `suspicion` are q_noisy in [0.25, 0.75]; flagged where it exceeds 0.5. The
            details hold what the copies say and the curve of every fit.

        Raises
        ------
        UnreliableError
            If a run has no copies or no margins, a margin is not finite, no epoch is left, or the copies
            show that the two clusters have changed places.
        StoppedError
            If `report` was told to stop.
        """
        runs = evidence.ordered(runs)
        given = evidence.given_labels(runs)
        report(0.0, "DynaCor: reading the signs of all margins")
        parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        found: list[dict[str, Any]] = []
        checks: list[sanity.Sanity] = []
        for number, run in enumerate(runs):

            def within(fraction: float, message: str, number: int = number) -> None:
                report((number + fraction) / len(runs), message)

            q_noisy, health, details = self._score_run(run, within)
            parts.append((run.sample[run.rows(Role.GIVEN)], q_noisy))
            checks.append(health)
            found.append(details)
        report(1.0, "DynaCor, done")
        quantity = evidence.mean_over_runs(len(given), parts)
        flagged = quantity > CUT
        n_scored = int((~np.isnan(quantity)).sum())
        return Scores(
            run_ids=tuple(run.run_id for run in runs),
            spec=self.spec,
            suspicion=quantity,
            quantity_name="dynacor_q_noisy",
            quantity=quantity,
            suggested_label=evidence.suggested_labels(runs, given),
            flagged=flagged,
            threshold=CUT,
            details={
                "n_scored": n_scored,
                "flagged_fraction": float(flagged.sum() / n_scored) if n_scored else 0.0,
                "runs": found,
            },
            messages=tuple(sentence for check in checks for sentence in sanity.sentences(check)),
        )

    def responder(self, runs: Sequence[TrainingDynamics], sample: int) -> Responder:
        """Return how a sample's suspicion depends on its margins in the first run that trained it.

        The encoder of that run is trained again, to the same weights.

        Parameters, Raises
            As `Detector.responder`.
        """
        from audit.detectors.dynacor import fitting  # noqa: PLC0415 - imports torch

        run, row = evidence.row_of(evidence.ordered(runs), sample, method="dynacor")
        population, _ = self._population(run)
        fitted = fitting.remembered(population, self._settings())

        def answer(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            return fitted.answer(signs.pack(values[:, self.skip_first :, 0].T))

        return Responder(run=run, row=row, signals=("margin",), answer=answer)

    def _settings(self) -> "fitting.Settings":
        from audit.detectors.dynacor import fitting  # noqa: PLC0415 - imports torch

        settings = fitting.Settings(
            epochs=self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )
        return settings if self.alpha is None else settings.with_alpha(self.alpha)

    def _population(self, run: TrainingDynamics) -> tuple[signs.Population, NDArray[np.int64]]:
        """Return the run's sign sequences, and which of them each sample has."""
        if not len(run.rows(Role.CORRUPTED)):
            raise UnreliableError(_NO_COPIES.format(run=run.run_id))
        margins = evidence.signal(run, "margin", method="dynacor", start=self.skip_first)
        used = margins[self.skip_first :]
        packed = signs.pack(used)
        return signs.populate(
            packed[run.rows(Role.GIVEN)], packed[run.rows(Role.CORRUPTED)], len(used)
        )

    def _score_run(
        self, run: TrainingDynamics, report: Report
    ) -> tuple[NDArray[np.float64], sanity.Sanity, dict[str, Any]]:
        """Return q_noisy of the samples under their given label, what the copies say, and details."""
        from audit.detectors.dynacor import fitting  # noqa: PLC0415 - imports torch

        population, place = self._population(run)
        fits = fitting.fit(population, self._settings(), report)
        chosen = fitting.best(fits)
        rows, copies = run.rows(Role.GIVEN), run.rows(Role.CORRUPTED)
        margins = evidence.signal(run, "margin", method="dynacor", start=self.skip_first)
        q_noisy = chosen.q_noisy[place]
        health = sanity.measure(
            run.run_id,
            is_noisy=q_noisy > CUT,
            mean_margin=ranking.mean_over_epochs(margins, skip_first=self.skip_first)[rows],
            copies_are_noisy=np.repeat(chosen.q_noisy > CUT, population.n_copies),
            copies_are_fitted=margins[-1][copies] >= 0,
        )
        sanity.refuse_switched(health)
        details = {
            "run_id": run.run_id,
            "alpha": chosen.alpha,
            "epoch": chosen.epoch,
            "n_distinct": len(population),
            "fits": [
                {"alpha": fit.alpha, "epoch": fit.epoch, "curve": list(fit.curve)} for fit in fits
            ],
            **health.to_json(),
        }
        return q_noisy, health, details


_NO_COPIES = (
    "dynacor needs corrupted copies and run {run} has none; train with --probe corrupted, or, in a training "
    "loop of your own, add copies of a tenth of the samples under wrong labels and name the originals in "
    "the array copy_of."
)
