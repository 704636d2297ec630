"""Whether a run's ranking has settled, and how many epochs it took, in the words of screen and terminal."""

from collections.abc import Mapping, Sequence

from audit.numerics import stability
from audit.records.run import Run, RunState

OVERLAP, RANK_CORRELATION = stability.OVERLAP, stability.RANK_CORRELATION
LEVELS = stability.LEVELS

EXPLAINED = (
    "How far the ranking still moves: each epoch's ranking (tanh_epoch so far) beside that after half as "
    "many epochs. Overlap: of the samples that a plain cut flags now, the part that stood as high then. "
    "Rank correlation: Spearman's, over twice as many suspects. It has settled once both stay above "
    f"the dashed lines, {LEVELS[OVERLAP]:g} and {LEVELS[RANK_CORRELATION]:g}, for "
    f"{stability.IN_A_ROW} epochs in a row, after {stability.FEWEST_SHARE:.0%} of the planned ones and "
    f"{stability.FEWEST_EPOCHS} epochs at the earliest."
)
"""What the two lines mean and what the rule wants."""


def after(run: Run, curves: Sequence[Mapping[str, float]]) -> int | None:
    """Return after how many epochs a run's ranking had settled, ``None`` if it has not.

    Parameters
    ----------
    run
        Which run.
    curves
        What each of its epochs recorded, in order.
    """
    return stability.settled_after(curves, run.config.epochs)


def epochs_in_words(run: Run, n_epochs: int) -> str:
    """Return how many epochs a sealed run took: ``50 epochs``, ``settled after 23 of 50 epochs``.

    Parameters
    ----------
    run
        Sealed.
    n_epochs
        Recorded; 0 where that is not known.
    """
    planned = run.config.epochs
    if 0 < n_epochs < planned:
        return f"settled after {n_epochs} of {planned} epochs"
    return f"{planned} {'epoch' if planned == 1 else 'epochs'}"


def so_far(run: Run, curves: Sequence[Mapping[str, float]]) -> str | None:
    """Return what is known of a run's settling beside how it stands, a sentence, or ``None``.

    Parameters
    ----------
    run
        Under way or over.
    curves
        Of its whole epochs.
    """
    n_epochs = after(run, curves)
    planned = run.config.epochs
    if n_epochs is None:
        if run.state is RunState.SEALED and run.config.stop_when_stable:
            return (
                f"The ranking of run {run.name} was still moving, so it took all {planned} epochs."
            )
        return None
    if run.config.stop_when_stable:
        return None  # it has ended there, and its line says so
    return (
        f"The ranking of run {run.name} had settled after {n_epochs} of {planned} epochs, where “Stop when "
        "the ranking has settled” would have ended it."
    )
