"""The data map of a run: which samples it learnt easily, which it never settled on, which it never believed.

Computed epoch by epoch from the memory-mapped signals of a sealed run, once per run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError, RefusedError
from audit.numerics import data_maps
from audit.numerics.arrays import Floats
from audit.numerics.data_maps import DataMap, Region
from audit.records.dataset import Dataset
from audit.records.dynamics import Role
from audit.records.run import Probe, Run, RunState
from audit.store import runs as run_rows
from audit.workbench.shelf import Shelf

MOST_POINTS = 30_000
"""Points that are drawn; a browser sends each selected one back, about 130 bytes."""

_NEEDED = ("given_probability", "margin")
_USUAL = (Probe.NONE, Probe.CORRUPTED)
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mapped:
    """The samples that a run trained on under their given label, on the map.

    Parameters
    ----------
    run
        The run.
    positions
        Positions in the dataset, (R,) int64.
    made
        Their coordinates.
    regions
        Codes of `Region`, (R,) int8.
    ambiguous_from
        Variability at the border of the ambiguous region.
    n_left_out
        Samples of the dataset without a place: not trained on, planted, or not finite.
    """

    run: Run
    positions: NDArray[np.int64]
    made: DataMap
    regions: NDArray[np.int8]
    ambiguous_from: float
    n_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Which rows of a map are drawn.

    Parameters
    ----------
    rows
        Rows of `Mapped`, (P,) int64, ascending.
    n_rows, n_flagged, n_flagged_drawn
        Rows in all; flagged ones among all and among those drawn.
    """

    rows: NDArray[np.int64]
    n_rows: int
    n_flagged: int
    n_flagged_drawn: int

    @property
    def in_words(self) -> str:
        """What is drawn, as a sentence."""
        if len(self.rows) == self.n_rows:
            return f"All {self.n_rows:,} samples are drawn."
        if self.n_flagged_drawn < self.n_flagged:
            return (
                f"Drawn are {self.n_flagged_drawn:,} of the {self.n_flagged:,} flagged samples, by a "
                f"fixed draw, and none of the other {self.n_rows - self.n_flagged:,}."
            )
        return (
            f"Drawn are all {self.n_flagged:,} flagged samples and, by a fixed draw, "
            f"{len(self.rows) - self.n_flagged:,} of the other {self.n_rows - self.n_flagged:,}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """One region of a map in numbers.

    Parameters
    ----------
    region
        Which.
    n_samples, n_flagged
        Samples in it, and flagged ones among them.
    confidence, variability
        Medians, NaN where it is empty.
    """

    region: Region
    n_samples: int
    n_flagged: int
    confidence: float
    variability: float


def runs(shelf: Shelf, dataset: Dataset) -> tuple[Run, ...]:
    """Return the runs of a dataset that a map can be drawn of.

    Ordinary runs and those with corrupted copies come first, because all samples keep their label
    there; newest first otherwise.
    """
    sealed = [
        run for run in run_rows.all(shelf.workspace, dataset.id) if run.state is RunState.SEALED
    ]
    newest = sorted(sealed, key=lambda run: (run.created_at, run.id), reverse=True)
    return tuple(sorted(newest, key=lambda run: run.config.probe not in _USUAL))


def of_run(shelf: Shelf, run: Run) -> Mapped:
    """Return the data map of a run; made once.

    Raises
    ------
    RefusedError
        If the run recorded no probabilities or no margins.
    WorkspaceError
        If its files are damaged.
    """
    return shelf.keep(("data map", run.id), lambda: _of_run(shelf, run))


def _of_run(shelf: Shelf, run: Run) -> Mapped:
    dynamics = shelf.dynamics(run.id)
    missing = [name for name in _NEEDED if name not in dynamics.signals]
    if missing:
        raise RefusedError(
            f"Run {run.name!r} recorded no {' and no '.join(missing)}, so it has no data map."
        )
    probabilities, margins = (cast("Floats", dynamics.signals[name]) for name in _NEEDED)
    whole = data_maps.data_map(probabilities, margins)
    rows = dynamics.rows(Role.GIVEN)
    rows = rows[np.isfinite(whole.confidence[rows])]
    made = DataMap(
        confidence=whole.confidence[rows],
        variability=whole.variability[rows],
        correctness=whole.correctness[rows],
        n_epochs=whole.n_epochs,
    )
    return Mapped(
        run=run,
        positions=dynamics.sample[rows],
        made=made,
        regions=data_maps.regions(made),
        ambiguous_from=data_maps.ambiguous_from(made),
        n_left_out=dynamics.n_samples - len(rows),
    )


def points(mapped: Mapped, flagged: NDArray[np.bool_], *, most: int = MOST_POINTS) -> Points:
    """Return which rows to draw: every flagged one, and a fixed random draw of the others.

    Parameters
    ----------
    mapped
        The map.
    flagged
        (N,) bool, over the dataset.
    most
        Bound on the number of points; where more are flagged, a draw of them.
    """
    is_flagged = flagged[mapped.positions]
    rng = np.random.default_rng(_SEED)
    first = _drawn(np.flatnonzero(is_flagged), most, rng)
    rest = _drawn(np.flatnonzero(~is_flagged), most - len(first), rng)
    return Points(
        rows=np.sort(np.concatenate([first, rest])),
        n_rows=len(is_flagged),
        n_flagged=int(is_flagged.sum()),
        n_flagged_drawn=len(first),
    )


def _drawn(rows: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)


def region_rows(mapped: Mapped, flagged: NDArray[np.bool_]) -> tuple[RegionRow, ...]:
    """Return the regions in numbers, the one where label errors gather first."""
    is_flagged = flagged[mapped.positions]
    found: list[RegionRow] = []
    for region in (Region.HARD, Region.AMBIGUOUS, Region.EASY):
        inside = mapped.regions == region
        found.append(
            RegionRow(
                region=region,
                n_samples=int(inside.sum()),
                n_flagged=int((inside & is_flagged).sum()),
                confidence=_median(mapped.made.confidence[inside]),
                variability=_median(mapped.made.variability[inside]),
            )
        )
    return tuple(found)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def in_region(mapped: Mapped, region: Region) -> NDArray[np.int64]:
    """Return the samples of a region, (M,) int64, those that are most typical of it first.

    Hard: least confident; ambiguous: most variable; easy: most confident. Ties in dataset order.
    """
    by = {
        Region.HARD: mapped.made.confidence,
        Region.AMBIGUOUS: -mapped.made.variability,
        Region.EASY: -mapped.made.confidence,
    }[region]
    return _sorted(mapped, np.flatnonzero(mapped.regions == region), by)


def chosen(mapped: Mapped, named: Iterable[object]) -> NDArray[np.int64]:
    """Return the samples that a browser names, (M,) int64, least confident first.

    Parameters
    ----------
    mapped
        The map that they were chosen on.
    named
        Positions in the dataset; what is none, or none of this map, is left out.
    """
    bound = int(mapped.positions.max(initial=-1))
    positions = [
        value
        for value in named
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= bound
    ]
    inside = np.isin(mapped.positions, np.array(positions, dtype=np.int64))
    return _sorted(mapped, np.flatnonzero(inside), mapped.made.confidence)


def _sorted(mapped: Mapped, rows: NDArray[np.int64], by: NDArray[np.float64]) -> NDArray[np.int64]:
    positions = mapped.positions[rows]
    return positions[np.lexsort((positions, by[rows]))]


def parse_region(text: str | None) -> Region | None:
    """Return the region that a word of an address names, ``None`` for none.

    Raises
    ------
    InputError
        If there is no such region.
    """
    if not text:
        return None
    for region in Region:
        if region.name.lower() == text:
            return region
    known = ", ".join(region.name.lower() for region in Region)
    raise InputError(f"region={text!r} is unknown; there are {known}.")
