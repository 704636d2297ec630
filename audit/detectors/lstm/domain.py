"""How far a run is from what the weights learnt from, in whole sentences; nothing is scored blindly.

Length, schedule and architecture are compared as they are; the sequences themselves by three statistics,
whose distribution the card keeps, after they were brought to the card's number of classes: on ten classes
chance alone gives the given label ten times what it gives on a hundred.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.detectors.lstm.card import Card
from audit.detectors.lstm.profile import STATISTICS, Profile
from audit.records.dynamics import TrainingDynamics

FEWEST_EPOCHS = 15
"""Below, a sequence is too short to tell late learning from no learning."""

LENGTH_RATIO = 4
"""Lengths that differ by more are warned of."""

OUTSIDE_WARNING = 0.15
"""Fraction of sequences outside the middle 98 % of what was learnt from; 0.02 is what to expect."""

SHIFT_WARNING = 0.5
"""Largest distance of the two distribution functions; another noise rate alone makes at most 0.3."""


def recording_sentences(card: Card, run: TrainingDynamics, *, resample: bool) -> tuple[str, ...]:
    """Return how a run was recorded otherwise than what the weights learnt from.

    Parameters
    ----------
    card
        Of the weights.
    run
        To be scored.
    resample
        Whether its sequences are brought to the weights' own length.
    """
    said: list[str] = []
    n_epochs = run.n_epochs
    ratio = max(n_epochs, card.train_length) / max(min(n_epochs, card.train_length), 1)
    if n_epochs < FEWEST_EPOCHS:
        said.append(
            f"Run {run.run_id} has {n_epochs} epochs, and below {FEWEST_EPOCHS} the ranking is hardly "
            f"worth more than chance allows: train longer (weights {card.name} saw {card.train_length})."
        )
    elif ratio > LENGTH_RATIO and not resample:
        said.append(
            f"Run {run.run_id} has {n_epochs} epochs and weights {card.name} learnt from "
            f"{card.train_length}: more than {LENGTH_RATIO} times apart, the ranking suffers; fit weights "
            "to this length with `labeltrace fit-lstm`."
        )
    if run.config is None:
        said.append(
            f"How {run.run_id} was trained is not known; weights {card.name} learnt from "
            f"{_recipe(card.architecture, card.schedule)}, recorded in training mode."
        )
    elif (run.config.preset, str(run.config.schedule)) != (card.preset, card.schedule):
        said.append(
            f"Run {run.run_id} ({_recipe(run.config.architecture, str(run.config.schedule))}) was trained "
            f"otherwise than what weights {card.name} learnt from "
            f"({_recipe(card.architecture, card.schedule)}): the ranking may be worse than the card says."
        )
    return tuple(said)


def at_other_classes(
    probabilities: NDArray[np.float32], n_classes: int, n_other: int
) -> NDArray[np.float32]:
    """Return probabilities as they would be among another number of classes, as far above chance.

    The odds of a label are divided by the odds of chance, 1 ÷ (K - 1), which differ tenfold between 10
    and 100 classes.

    Parameters
    ----------
    probabilities
        Any shape, float32 in [0, 1].
    n_classes, n_other
        Numbers of classes K, at least 2: as they are, and as they are to be.

    Examples
    --------
    >>> at_other_classes(np.array([0.0, 0.1, 1.0], dtype=np.float32), 10, 100).round(4).tolist()
    [0.0, 0.009999999776482582, 1.0]
    """
    if n_classes == n_other:
        return probabilities
    wide = probabilities.astype(np.float64)
    moved = wide * ((n_classes - 1) / (n_other - 1))
    return (moved / (moved + (1 - wide))).astype(np.float32)


def sequence_sentences(
    card: Card, run: TrainingDynamics, found: Mapping[str, NDArray[np.float32]]
) -> tuple[str, ...]:
    """Return in which ways the sequences of a run are unlike those that the weights learnt from.

    Another number of classes is only named where the sequences differ too: detectors move from 100
    classes to 10 without harm.

    Parameters
    ----------
    card, run
        Of the weights, and what was scored.
    found
        `profile.statistics` of all its scored rows, as `at_other_classes` makes them.
    """
    strange = [
        words for name, words in STATISTICS.items() if _is_strange(card.profile, name, found[name])
    ]
    if not strange:
        return ()
    listed = (
        " and ".join(strange) if len(strange) < 3 else f"{', '.join(strange[:2])} and {strange[2]}"
    )
    if run.n_classes != card.n_classes:
        listed += f", at {run.n_classes} classes and not {card.n_classes}"
    return (
        f"The given-label probabilities of run {run.run_id} are unlike those that weights {card.name} "
        f"learnt from ({listed}): look at the first suspects before the cut is believed.",
    )


def _is_strange(profile: Profile, name: str, values: NDArray[np.float32]) -> bool:
    if not len(values):
        return False
    levels, quantiles = np.array(profile.levels), np.array(profile.quantiles[name])
    low, high = np.interp((0.01, 0.99), levels, quantiles)
    # Card values are exact floats; what was recorded is rounded to single precision.
    outside = float(((values < low - 1e-6) | (values > high + 1e-6)).mean())
    below = _fractions_below(values, quantiles)
    # Where many sequences share one value, any level from below it to above it agrees.
    shift = max(
        (max(a - level, level - b, 0.0) for level, (a, b) in zip(levels, below, strict=True)),
        default=0.0,
    )
    return outside > OUTSIDE_WARNING or shift > SHIFT_WARNING


def _fractions_below(
    values: NDArray[np.float32], places: NDArray[np.float64]
) -> Sequence[tuple[float, float]]:
    ordered = np.sort(values.astype(np.float64))
    strictly = np.searchsorted(ordered, places - 1e-6, side="left") / len(values)
    at_most = np.searchsorted(ordered, places + 1e-6, side="right") / len(values)
    return list(zip(strictly.tolist(), at_most.tolist(), strict=True))


def _recipe(architecture: str, schedule: str) -> str:
    return f"architecture {architecture}, schedule {schedule}"
