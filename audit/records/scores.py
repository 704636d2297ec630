"""What a detector says about every sample of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec:
    """A detector with its settings.

    Parameters
    ----------
    name
        As in the catalogue: ``aum``, ``margin``, ….
    version
        Raised whenever the formula changes, so that a stored score says which formula made it.
    params
        Settings as plain JSON values.
    """

    name: str
    version: int
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """A detector's answer, one value per sample of the dataset (not per row).

    Parameters
    ----------
    run_ids
        Runs that it was made from.
    spec
        The detector.
    suspicion
        (N,) float64 in [0, 1], higher = more likely wrong; NaN for samples that were not scored.
    quantity_name, quantity
        The method's own value under its own name, (N,) float64, NaN where not scored; see the
        catalogue for its direction and unit (``aum``: logit units, low = suspect).
    flagged
        (N,) bool, or ``None`` where the method has no cut. Samples not scored are not flagged.
    threshold
        The cut on `quantity`, or ``None``.
    suggested_label
        (N,) int32 class index, -1 where there is none; never equal to the given label.
    precision
        Estimated fraction of wrong labels among the samples at least as suspect as this one, (N,)
        float64 in [0, 1], NaN where not scored; ``None`` where the method estimates none.
    details
        Health indicators and curves as plain JSON values.
    messages
        Whole sentences that a user should read beside the result.
    epochs
        Run id → number of whole epochs that were there, for runs that had not come to their end; empty
        where all had.
    """

    run_ids: tuple[str, ...]
    spec: DetectorSpec
    suspicion: NDArray[np.float64]
    quantity_name: str
    quantity: NDArray[np.float64]
    suggested_label: NDArray[np.int32]
    flagged: NDArray[np.bool_] | None = None
    threshold: float | None = None
    precision: NDArray[np.float64] | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    messages: tuple[str, ...] = ()
    epochs: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        shape = self.suspicion.shape
        if self.suspicion.ndim != 1:
            raise InputError(f"Suspicion must be one value per sample, got shape {shape}.")
        for name in ("quantity", "suggested_label", "flagged", "precision"):
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise InputError(f"{name} has shape {values.shape}, expected {shape}.")
        scored = self.suspicion[~np.isnan(self.suspicion)]
        if scored.size and (scored.min() < 0 or scored.max() > 1):
            raise InputError("Suspicion must lie in [0, 1].")
        if self.flagged is not None and bool(self.flagged[np.isnan(self.suspicion)].any()):
            raise InputError("A sample that was not scored cannot be flagged.")
