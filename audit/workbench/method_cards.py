"""What people should know of each method before they believe it: the catalogue in words, and our figures."""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from audit.detectors import catalog
from audit.detectors.catalog import Entry
from audit.records.run import Probe
from audit.workbench.watching import LOOKS_FOR

_FILE = "figures.json"
_NUMBERS = ("no", "one", "two", "three", "four")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over several trainings: smallest, median and largest."""

    low: float
    middle: float
    high: float

    def in_words(self, form: str) -> str:
        """Return the median, and the ends where they differ.

        Parameters
        ----------
        form
            As `format` takes it, for example ``".3f"``.

        Examples
        --------
        >>> Spread(low=0.5, middle=0.6, high=0.75).in_words(".2f")
        '0.60 (0.50 – 0.75)'
        """
        low, middle, high = (format(value, form) for value in (self.low, self.middle, self.high))
        return middle if low == high else f"{middle} ({low} – {high})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a benchmark measured of a method.

    Parameters
    ----------
    labels, preset, budget
        On which labels, with which preset, and how much was spent.
    n
        Trainings with different seeds.
    n_samples, n_wrong
        Samples, and how many of their labels are wrong.
    average_precision, roc_auc, f1
        In [0, 1], higher = better; F1 of the flags is ``None`` without a cut.
    flagged_per_wrong
        Flagged ÷ wrong; ``None`` without a cut.
    """

    labels: str
    preset: str
    budget: str
    n: int
    n_samples: int
    n_wrong: int
    average_precision: Spread
    roc_auc: Spread | None
    f1: Spread | None
    flagged_per_wrong: Spread | None

    @property
    def labels_in_words(self) -> str:
        """Which labels, how many, and how many are wrong."""
        return (
            f"{self.labels}: {self.n_samples:,} samples, {self.n_wrong / self.n_samples:.1%} wrong"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One method as the Methods page shows it.

    Parameters
    ----------
    entry
        Of the catalogue.
    direction, cut, needs, cost
        In a few words each.
    figures
        What the benchmarks measured, if they did.
    """

    entry: Entry
    direction: str
    cut: str
    needs: str
    cost: str
    figures: tuple[Figure, ...]


@functools.cache
def cards() -> tuple[Card, ...]:
    """Return a card for every method of the catalogue, in its order."""
    measured = _figures()
    return tuple(
        Card(
            entry=entry,
            direction=direction(entry),
            cut="by its own cut" if entry.has_cut else "no cut, it ranks",
            needs=needs(entry),
            cost=cost(entry),
            figures=tuple(figure for name, figure in measured if name == entry.name),
        )
        for entry in catalog.CATALOG
    )


def direction(entry: Entry) -> str:
    """Return which end of the quantity is suspect.

    Examples
    --------
    >>> direction(catalog.entry("aum"))
    'low is suspect'
    """
    return f"{'low' if entry.low_is_suspect else 'high'} is suspect"


def needs(entry: Entry) -> str:
    """Return which trainings a method asks for, and which others it takes.

    Examples
    --------
    >>> needs(catalog.entry("aum"))
    'two runs with threshold rows; takes one with corrupted copies too'
    >>> needs(catalog.entry("log_ratio"))
    'one ordinary run with mean probabilities; takes one with corrupted copies too'
    """
    wanted = entry.needs
    number = _NUMBERS[wanted.n_runs] if wanted.n_runs < len(_NUMBERS) else str(wanted.n_runs)
    runs = "run" if wanted.n_runs == 1 else "runs"
    if wanted.probe is Probe.NONE:
        said = f"{number} ordinary {runs}"
    else:
        said = f"{number} {runs} with {LOOKS_FOR[wanted.probe]}"
    if wanted.mean_probabilities:
        said += " with mean probabilities" if wanted.probe is Probe.NONE else " and probabilities"
    also = [
        "an ordinary one" if probe is Probe.NONE else f"one with {LOOKS_FOR[probe]}"
        for probe in wanted.also
    ]
    return said + (f"; takes {' or '.join(also)} too" if also else "")


def cost(entry: Entry) -> str:
    """Return what a method costs.

    Examples
    --------
    >>> cost(catalog.entry("aum"))
    'about 1 training'
    """
    n_trainings = entry.cost_in_trainings
    if n_trainings == 0:
        return "nothing beside the run"
    return f"about {n_trainings:g} {'training' if n_trainings == 1 else 'trainings'}"


def _figures() -> list[tuple[str, Figure]]:
    text = resources.files("audit.workbench").joinpath(_FILE).read_text(encoding="utf-8")
    return [(values["method"], _figure(values)) for values in json.loads(text)]


def _figure(values: dict[str, Any]) -> Figure:
    return Figure(
        labels=values["labels"],
        preset=values["preset"],
        budget=values["budget"],
        n=values["n"],
        n_samples=values["samples"],
        n_wrong=values["wrong"],
        average_precision=_known(values["average_precision"]),
        roc_auc=_spread(values.get("roc_auc")),
        f1=_spread(values.get("f1")),
        flagged_per_wrong=_spread(values.get("flagged_per_wrong")),
    )


def _spread(ends: list[float] | None) -> Spread | None:
    return None if ends is None else _known(ends)


def _known(ends: list[float]) -> Spread:
    low, middle, high = ends
    return Spread(low=low, middle=middle, high=high)
