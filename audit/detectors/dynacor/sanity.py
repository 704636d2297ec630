"""What the corrupted copies say about an answer: nearly all of them should look wrong.

They are wrong by construction, so they measure how many wrong labels the encoder recognises; and two
clusters that changed places are noticed by them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import UnreliableError

COPIES_EXPECTED = 0.8
"""Fraction of the copies that should lie in the noisy cluster."""

COPIES_NEEDED = 0.5
"""Below, most copies look right: the clusters have changed places or are none."""

ORIGINALS_EXPECTED = (0.001, 0.7)
"""Fraction of the samples in the noisy cluster beyond which it says little."""

MEMORISED_FRACTION = 0.5
"""Of the copies; where more are predicted as their wrong label in the end, they were learnt by heart."""

FEW_COPIES = 100
"""Below, what the copies say is uncertain by several points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity:
    """How the copies and the samples of a run fared.

    Parameters
    ----------
    run_id
        The run.
    n_copies
        Number of its corrupted copies.
    copies_noisy, originals_noisy
        Fraction of the copies, and of the samples, in the noisy cluster, in [0, 1].
    margin_noisy, margin_clean
        Mean margin of the samples in either cluster, logits; ``None`` for an empty one.
    copies_fitted
        Fraction of the copies predicted as their wrong label in the last epoch, in [0, 1].
    """

    run_id: str
    n_copies: int
    copies_noisy: float
    originals_noisy: float
    margin_noisy: float | None
    margin_clean: float | None
    copies_fitted: float

    @property
    def is_switched(self) -> bool:
        """Whether the samples called wrong were learnt no worse than the others."""
        noisy, clean = self.margin_noisy, self.margin_clean
        return noisy is not None and clean is not None and noisy >= clean

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "n_copies": self.n_copies,
            "copies_noisy": self.copies_noisy,
            "originals_noisy": self.originals_noisy,
            "margin_noisy": self.margin_noisy,
            "margin_clean": self.margin_clean,
            "copies_fitted": self.copies_fitted,
        }


def measure(
    run_id: str,
    *,
    is_noisy: NDArray[np.bool_],
    mean_margin: NDArray[np.float64],
    copies_are_noisy: NDArray[np.bool_],
    copies_are_fitted: NDArray[np.bool_],
) -> Sanity:
    """Return how the copies and the samples of a run fared.

    Parameters
    ----------
    run_id
        The run.
    is_noisy, mean_margin
        Of the samples under their given label, (M,) bool and (M,) float64, logits.
    copies_are_noisy, copies_are_fitted
        Of the copies, at least one, (P,) bool: in the noisy cluster; predicted as their wrong label in
        the last epoch.
    """
    return Sanity(
        run_id=run_id,
        n_copies=len(copies_are_noisy),
        copies_noisy=float(copies_are_noisy.mean()),
        originals_noisy=float(is_noisy.mean()) if len(is_noisy) else 0.0,
        margin_noisy=float(mean_margin[is_noisy].mean()) if is_noisy.any() else None,
        margin_clean=float(mean_margin[~is_noisy].mean()) if (~is_noisy).any() else None,
        copies_fitted=float(copies_are_fitted.mean()),
    )


def refuse_switched(sanity: Sanity) -> None:
    """Refuse an answer whose clusters have changed places.

    Raises
    ------
    UnreliableError
        If most copies look right, or no more of them look wrong than of the samples, or samples that are
        called wrong were learnt no worse than the others.
    """
    if sanity.copies_noisy < COPIES_NEEDED:
        raise UnreliableError(
            f"Only {sanity.copies_noisy:.0%} of the corrupted copies of run {sanity.run_id} look wrong to "
            f"DynaCor, though all of them are: {_advice(sanity)}, or use the method margin."
        )
    if sanity.copies_noisy <= sanity.originals_noisy:
        raise UnreliableError(
            f"{sanity.originals_noisy:.0%} of the samples of run {sanity.run_id} look wrong to DynaCor and "
            f"no more of its corrupted copies, which all are: {_advice(sanity)}, or use the method margin."
        )
    if sanity.is_switched:
        raise UnreliableError(
            f"The samples of run {sanity.run_id} that DynaCor calls wrong have a mean margin of "
            f"{sanity.margin_noisy:.2f} logits and the others {sanity.margin_clean:.2f}, so its two "
            f"clusters have changed places: {_advice(sanity)}, or use the method margin."
        )


def sentences(sanity: Sanity) -> tuple[str, ...]:
    """Return what a user should know about a run: warnings, or one sentence that it is healthy."""
    run = sanity.run_id
    said: list[str] = []
    least, most = ORIGINALS_EXPECTED
    if sanity.copies_noisy < COPIES_EXPECTED:
        said.append(
            f"Only {sanity.copies_noisy:.0%} of the corrupted copies of run {run} look wrong to DynaCor, "
            f"though all of them are: real wrong labels are missed too; {_advice(sanity)}."
        )
    if sanity.originals_noisy > most:
        said.append(
            f"{sanity.originals_noisy:.0%} of the samples of run {run} are flagged, so the flags say "
            f"little: use the ranking, or {_advice(sanity)}."
        )
    if sanity.originals_noisy < least:
        said.append(
            f"Hardly any sample of run {run} is flagged ({sanity.originals_noisy:.2%}): its labels are "
            "right, or its network treats wrong ones like right ones; look at the top of the ranking."
        )
    if not said:
        said.append(
            f"Run {run} is healthy: {sanity.copies_noisy:.0%} of its corrupted copies and "
            f"{sanity.originals_noisy:.0%} of its samples look wrong."
        )
    if sanity.n_copies < FEW_COPIES:
        said.append(
            f"The clusters of run {run} rest on only {sanity.n_copies} corrupted copies and are "
            "uncertain; trust the ranking more than the flags."
        )
    return tuple(said)


def _advice(sanity: Sanity) -> str:
    if sanity.copies_fitted > MEMORISED_FRACTION:
        return f"the network has learnt {sanity.copies_fitted:.0%} of the copies by heart; train fewer epochs"
    return "the network has hardly learnt what tells classes apart; train longer"
