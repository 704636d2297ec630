"""Why a detector suspects one sample: what each stretch of epochs adds, and how far to believe it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from audit.errors import InputError

LEAST_R_SQUARED = 0.3
"""Below this the line misses so much of the answers that its coefficients say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness:
    """Whether the epochs named as important move the answer more than others do.

    Parameters
    ----------
    blocks
        Positions of the blocks that were named, ascending.
    moved
        How far the log-odds of the suspicion move when they are occluded, nats ≥ 0.
    moved_at_random
        Mean of the same over random draws of as many blocks.
    share_less
        Fraction of the draws that move it less, in [0, 1]; high = faithful.
    n_draws
        Number of draws.
    suspicion, suspicion_at_random
        What is left when they are occluded, and on average over the draws, in [0, 1].
    """

    blocks: tuple[int, ...]
    moved: float
    moved_at_random: float
    share_less: float
    n_draws: int
    suspicion: float
    suspicion_at_random: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one method's suspicion of one sample rests on.

    Parameters
    ----------
    method, scores_id, run_id
        The method, its stored scores, and the run whose recording was occluded.
    sample
        Position in the dataset.
    signals
        What was occluded: signals of the run, all at once.
    n_epochs
        T of the run.
    blocks
        First and last epoch of each block, from 1, both included.
    importance
        What the recorded values of a block add to the log-odds of the suspicion, in place of those of
        clean-looking samples; nats; positive = they make the label look wrong.
    intercept
        The line's log-odds where every block is occluded.
    r_squared
        Of the line, weighted, ≤ 1; ``None`` where the answer does not depend on these epochs at all.
    suspicion, suspicion_occluded
        Of the recorded sequence in this run alone, and of one that is occluded entirely, in [0, 1].
    baseline_rows, baseline_label
        Number of clean-looking rows whose medians stand in, and their given label, ``None`` = any.
    n_masks, seed
        Of the draw.
    faithfulness
        ``None`` where there are too few blocks to compare.
    """

    method: str
    scores_id: str
    run_id: str
    sample: int
    signals: tuple[str, ...]
    n_epochs: int
    blocks: tuple[tuple[int, int], ...]
    importance: tuple[float, ...]
    intercept: float
    r_squared: float | None
    suspicion: float
    suspicion_occluded: float
    baseline_rows: int
    baseline_label: int | None
    n_masks: int
    seed: int
    faithfulness: Faithfulness | None

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.importance) or not self.blocks:
            raise InputError(
                f"An explanation needs one importance per block, got {len(self.importance)} for "
                f"{len(self.blocks)} blocks."
            )
        if not all(math.isfinite(value) for value in (*self.importance, self.intercept)):
            raise InputError("The importance of every block must be finite.")

    @property
    def is_reliable(self) -> bool:
        """Whether the line explains enough for its coefficients to be shown."""
        return self.r_squared is not None and self.r_squared >= LEAST_R_SQUARED

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives the same record back."""
        values = asdict(self)
        values["signals"] = list(self.signals)
        values["blocks"] = [list(block) for block in self.blocks]
        values["importance"] = list(self.importance)
        if self.faithfulness is not None:
            values["faithfulness"]["blocks"] = list(self.faithfulness.blocks)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises
        ------
        InputError
            If it was written by another version.
        """
        try:
            data = dict(values)
            data["signals"] = tuple(str(name) for name in data["signals"])
            data["blocks"] = tuple((int(first), int(last)) for first, last in data["blocks"])
            data["importance"] = tuple(float(value) for value in data["importance"])
            told: Mapping[str, Any] | None = data["faithfulness"]
            if told is not None:
                data["faithfulness"] = Faithfulness(
                    blocks=tuple(int(block) for block in told["blocks"]),
                    moved=float(told["moved"]),
                    moved_at_random=float(told["moved_at_random"]),
                    share_less=float(told["share_less"]),
                    n_draws=int(told["n_draws"]),
                    suspicion=float(told["suspicion"]),
                    suspicion_at_random=float(told["suspicion_at_random"]),
                )
            return cls(**data)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"This explanation was written by another version ({error}); explain it again."
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What rows of a kind did in each epoch.

    Parameters
    ----------
    name
        Which rows, in words.
    percentiles
        Which three, ascending, in [0, 100].
    low, middle, high
        Those of the margin, one value per epoch, logits; NaN where none is finite.
    n_rows, n_used
        Rows of the kind, and how many of them were read.
    """

    name: str
    percentiles: tuple[float, float, float]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]
    n_rows: int
    n_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one run took up one sample's label, and what others did meanwhile.

    Parameters
    ----------
    run_id, run_name
        The run.
    given
        Name of the given label, which the row was trained on.
    margins
        Logit of the given label less the largest other one, per epoch, logits; low = suspect.
    said
        Class that the network preferred in each epoch, ``None`` = the extra class of a threshold
        probe; empty where it was not recorded.
    clean
        Clean-looking samples.
    planted
        Rows that are wrong by construction, ``None`` where the run has none.
    """

    run_id: str
    run_name: str
    given: str
    margins: tuple[float, ...]
    said: tuple[str | None, ...]
    clean: Envelope | None
    planted: Envelope | None

    @property
    def n_epochs(self) -> int:
        """Number of epochs T."""
        return len(self.margins)
