"""How sequences are distributed: what a card keeps of those that weights learnt from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

LEVELS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""Of the quantiles that a card keeps."""

STATISTICS: Mapping[str, str] = {
    "mean": "average",
    "last": "end value",
    "roughness": "change from epoch to epoch",
}
"""Statistic of a sequence of given-label probabilities → its name in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How sequences are distributed.

    Parameters
    ----------
    levels
        Ascending, from 0 to 1.
    quantiles
        Per name in `STATISTICS` the quantile of every level, ascending, each in [0, 1].
    """

    levels: tuple[float, ...]
    quantiles: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        rows = [self.levels, *self.quantiles.values()]
        is_whole = set(self.quantiles) == set(STATISTICS) and len({len(r) for r in rows}) == 1
        if not is_whole or any(list(r) != sorted(r) for r in rows) or self.levels[0] < 0:
            raise InputError("A profile needs ascending levels and as many ascending quantiles.")
        if max(r[-1] for r in rows) > 1 or min(r[0] for r in rows) < 0:
            raise InputError("Levels and quantiles of probabilities lie in [0, 1].")

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain JSON values."""
        return {"levels": list(self.levels)} | {n: list(q) for n, q in self.quantiles.items()}


def statistics(probabilities: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return every statistic of sequences of given-label probabilities.

    Parameters
    ----------
    probabilities
        (N, T) float32 in [0, 1].

    Returns
    -------
    dict
        Name → (N,) float32 in [0, 1]; the roughness is the mean absolute change, 0 for one epoch.

    Examples
    --------
    >>> found = statistics(np.array([[0.0, 0.5, 0.0, 1.0]], dtype=np.float32))
    >>> [round(float(found[name][0]), 3) for name in STATISTICS]
    [0.375, 1.0, 0.667]
    """
    steps = np.abs(np.diff(probabilities, axis=1))
    rough = steps.mean(axis=1) if steps.shape[1] else np.zeros(len(probabilities))
    found = {
        "mean": probabilities.mean(axis=1),
        "last": probabilities[:, -1],
        "roughness": rough,
    }
    return {name: np.clip(v, 0, 1).astype(np.float32) for name, v in found.items()}


def of_statistics(found: Mapping[str, NDArray[np.float32]]) -> Profile:
    """Return the distribution of `statistics`."""
    table = {n: np.quantile(v.astype(np.float64), LEVELS) for n, v in found.items()}
    return Profile(
        levels=LEVELS,
        # Interpolation may break the order by a rounding.
        quantiles={n: tuple(np.maximum.accumulate(q).tolist()) for n, q in table.items()},
    )
