"""Dynamics → sequences: one row's recorded values along its epochs, as the network reads them.

Signals lie epoch-major and may be memory-mapped; rows are read in blocks, so that a million rows of a
hundred epochs never lie in memory at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from audit.errors import UnreliableError
from audit.numerics import gaps
from audit.numerics.arrays import Floats
from audit.records.dynamics import TrainingDynamics


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One input of the network per epoch.

    Parameters
    ----------
    signal
        The recorded signal that it is made from.
    squash
        Signal's values → values of about unit size.
    """

    signal: str
    squash: Callable[[Floats], Floats]


CHANNELS: Mapping[str, Channel] = {
    "q": Channel(signal="given_probability", squash=lambda values: values),
    # A single epoch's margin can be tens of logits; beyond 2 it says no more than its sign.
    "margin": Channel(signal="margin", squash=np.tanh),
}
"""``q`` alone is the paper's input (section 3.2): the probability of the given label, in [0, 1].
``margin`` is our addition: tanh of the margin, in [-1, 1]."""

FORMS: tuple[tuple[str, ...], ...] = (("q",), ("q", "margin"), ("margin",))
"""Inputs that a detector may have; the first is the paper's."""


def of_rows(
    run: TrainingDynamics,
    rows: NDArray[np.int64],
    channels: tuple[str, ...],
    *,
    length: int | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Return the sequences of some rows, and how many of their entries were missing.

    Parameters
    ----------
    run
        What was recorded.
    rows
        (M,) int64.
    channels
        Names in `CHANNELS`, C of them.
    length
        Epochs that every sequence is stretched or shrunk to; ``None`` = as recorded.

    Returns
    -------
    sequences
        (M, T or `length`, C) float32, finite.
    n_missing
        Entries (row, epoch) in which a signal was NaN and has been interpolated.

    Raises
    ------
    UnreliableError
        If the run did not record what a channel reads, a value is infinite, or a row has no value in any
        epoch; names epoch and sample.
    """
    parts: list[Floats] = []
    is_missing = np.zeros((run.n_epochs, len(rows)), dtype=np.bool_)
    for name in channels:
        channel = CHANNELS[name]
        raw = _signal(run, channel.signal)[:, rows]
        _refuse_infinite(run, rows, raw, channel.signal)
        own_missing = np.isnan(raw)
        is_missing |= own_missing
        parts.append(channel.squash(_filled(run, rows, raw, own_missing)))
    made = resampled(_as_network_input(np.stack(parts, axis=-1).swapaxes(0, 1)), length)
    return made, int(is_missing.sum())


def squashed(values: Floats, channels: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the sequences of raw signals (M, T, C), each in its own unit: what `of_rows` does to them."""
    is_missing = np.isnan(values)
    parts: list[Floats] = []
    for place, name in enumerate(channels):
        filled = gaps.filled(values[:, :, place].T, is_missing[:, :, place].T)
        # The type of what comes back is that of what went in.
        parts.append(CHANNELS[name].squash(cast("Floats", filled).T))
    return _as_network_input(np.stack(parts, axis=-1))


def resampled(sequences: NDArray[np.float32], length: int | None) -> NDArray[np.float32]:
    """Return sequences of another length, interpolated linearly between the epochs.

    The grid 0..T-1 is divided into `length` equal points, first and last epoch kept (Jia et al. 2023,
    footnote on interpolation, used for whole sequences). ``None`` and the own length change nothing.

    Examples
    --------
    >>> resampled(np.array([[[0.0], [1.0]]], dtype=np.float32), 3)[0, :, 0]
    array([0. , 0.5, 1. ], dtype=float32)
    """
    n_epochs = sequences.shape[1]
    if length is None or length == n_epochs:
        return sequences
    places = np.linspace(0, n_epochs - 1, length)
    left = np.minimum(places.astype(np.int64), max(n_epochs - 2, 0))
    right = np.minimum(left + 1, n_epochs - 1)
    share = (places - left)[None, :, None].astype(np.float32)
    return sequences[:, left] * (1 - share) + sequences[:, right] * share


def _as_network_input(values: Floats) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _signal(run: TrainingDynamics, name: str) -> Floats:
    if name not in run.signals:
        recorded = ", ".join(sorted(run.signals)) or "nothing"
        raise UnreliableError(
            f"lstm needs the {name} of every epoch, but run {run.run_id} recorded {recorded}."
        )
    # The record types signals as any array; `SIGNALS` fixes floating ones for what is read here.
    return cast("Floats", run.signals[name])


def _refuse_infinite(
    run: TrainingDynamics, rows: NDArray[np.int64], values: Floats, name: str
) -> None:
    is_infinite = np.isinf(values)
    if is_infinite.any():
        epoch, place = (int(index[0]) for index in np.nonzero(is_infinite))
        raise UnreliableError(
            f"Run {run.run_id} has a {name} that is infinite in epoch {epoch + 1} (sample "
            f"{run.sample[rows[place]]}): its training diverged; train with a lower learning rate."
        )


def _filled(
    run: TrainingDynamics, rows: NDArray[np.int64], values: Floats, is_missing: NDArray[np.bool_]
) -> Floats:
    if not is_missing.any():
        return values
    empty = np.flatnonzero(is_missing.all(axis=0))
    if len(empty):
        raise UnreliableError(
            f"Run {run.run_id} recorded nothing of sample {run.sample[rows[empty[0]]]} in any epoch, "
            "so that there is nothing to interpolate from; leave the sample out."
        )
    # The type of what comes back is that of what went in.
    return cast("Floats", gaps.filled(values, is_missing))
