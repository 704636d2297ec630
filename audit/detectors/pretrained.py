"""Detector weights that come with labeltrace, and which of them suit a run. Free of torch."""

import math
from collections.abc import Sequence
from pathlib import Path

from audit.compute import shipped
from audit.detectors.lstm import card as cards
from audit.detectors.lstm.card import Card
from audit.errors import InputError, NotFoundError
from audit.records.dynamics import TrainingDynamics


def folder() -> Path:
    """Return the folder of the shipped weights; it may be empty, or missing on a bare host."""
    return shipped.folder() / "pretrained"


def shipped_cards() -> tuple[Card, ...]:
    """Return the cards of all shipped weights, by name.

    Raises
    ------
    InputError
        If one is damaged.
    """
    found = (cards.read_card(path) for path in sorted(folder().glob("*.json")))
    return tuple(sorted(found, key=lambda card: card.name))


def path_of(name: str) -> Path:
    """Return the file of shipped weights.

    Raises
    ------
    NotFoundError
        If there are none of this name; says which there are.
    """
    path = folder() / f"{name}.safetensors"
    names = [card.name for card in shipped_cards()]
    if name not in names or not path.is_file():
        raise NotFoundError(
            f"There are no shipped weights {name!r}; there are {', '.join(names) or 'none'}."
        )
    return path


def best_fitting(known: Sequence[Card], runs: Sequence[TrainingDynamics]) -> Card:
    """Return the weights that learnt from what is most like these runs.

    The same preset comes first, then the same schedule, then the nearest length (by ratio), then more
    channels, then the name. Weights whose channels a run did not record are left out. Dynamics recorded
    elsewhere have neither preset nor schedule, so that the length decides.

    Parameters
    ----------
    known
        Cards to choose among.
    runs
        At least one; the first says preset, schedule and length.

    Raises
    ------
    NotFoundError
        If none can read the runs.
    """
    first = runs[0]
    has_margins = all("margin" in run.signals for run in runs)
    usable = [card for card in known if has_margins or "margin" not in card.channels]
    if known and not usable:
        raise NotFoundError(
            f"All weights that come with labeltrace read margins, which run {first.run_id} did not record; "
            "name a file of weights that do with probabilities (lstm.weights)."
        )
    if not usable:
        raise NotFoundError(
            "No detector weights come with this installation: name a file of your own (lstm.weights), "
            "as `labeltrace fit-lstm` makes it."
        )
    preset = first.config.preset if first.config else None
    schedule = str(first.config.schedule) if first.config else None

    def distance(card: Card) -> tuple[bool, bool, float, int, str]:
        ratio = abs(math.log(max(first.n_epochs, 1) / card.train_length))
        return (
            card.preset != preset,
            card.schedule != schedule,
            ratio,
            -len(card.channels),
            card.name,
        )

    return min(usable, key=distance)


def resolve(weights: str) -> Path:
    """Return the file that a text means: shipped weights by name, or a path.

    Raises
    ------
    InputError, NotFoundError
        If there is no such file; says which shipped weights there are.
    """
    if Path(weights).suffix.lower() not in cards.SUFFIXES:
        return path_of(weights)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise InputError(f"There is no weights file {str(path)!r}.")
    return path
