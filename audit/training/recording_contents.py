"""What a recording's file holds and says beside its signals."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from audit import __version__
from audit.records import recording as names
from audit.records.dynamics import MeanProbabilities
from audit.training.gap_recorder import GapRecorder
from audit.training.recorded_labels import RecordedLabels
from audit.training.recording_draft import Progress

_N_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was recorded.

    Parameters
    ----------
    path
        The file.
    n_samples, n_rows, n_epochs
        Samples that labels were given for, those of them that were observed, and finished epochs.
    n_missing
        Number of entries (a sample in an epoch) among the rows that were not observed and lie on a
        line between the same sample's epochs before and after.
    messages
        Whole sentences that say so; they stand in the file too.
    """

    path: Path
    n_samples: int
    n_rows: int
    n_epochs: int
    n_missing: int
    messages: tuple[str, ...]


def with_epoch(before: Progress, recorder: GapRecorder) -> Progress:
    """Return how far a recording is after the epoch that a recorder just ended."""
    notes = before.notes
    if recorder.n_not_finite:
        notes += (
            f"In epoch {before.n_epochs + 1} the logits of {recorder.n_not_finite:,} of "
            f"{len(before.was_seen):,} samples were not finite; these entries count as not observed.",
        )
    return replace(
        before,
        n_missing=(*before.n_missing, int(recorder.is_missing.sum())),
        notes=notes,
        was_seen=before.was_seen | ~recorder.is_missing,
        n_outputs=recorder.n_outputs,
    )


def messages(
    about: RecordedLabels, progress: Progress, n_unended: int, group: dist.ProcessGroup | None
) -> tuple[str, ...]:
    """Return whole sentences about what is missing in a recording.

    Parameters
    ----------
    about
        What it is about.
    progress
        All of it.
    n_unended
        Number of rows that were observed after the last finished epoch.
    group
        Of the processes, ``None`` where there is one.
    """
    found = list(progress.notes)
    if progress.n_gaps:
        n_entries = progress.n_epochs * int(progress.was_seen.sum())
        found.append(
            f"{progress.n_gaps:,} of {n_entries:,} entries (a sample in an epoch) were not observed and "
            "were filled in from the same sample's epochs before and after."
        )
    never = np.flatnonzero(~progress.was_seen)
    if len(never):
        some = [
            str(row) if about.keys is None else repr(about.keys[row])
            for row in never[:_N_NAMED].tolist()
        ]
        found.append(
            f"{len(never):,} of {len(about):,} samples were never observed and are left out "
            f"({', '.join(some)}{', …' if len(never) > _N_NAMED else ''})."
        )
    if n_unended:
        where = "" if group is None else " by the first process"
        found.append(
            f"The last {n_unended:,} rows observed{where} are left out, because the epoch that they "
            "belong to was not ended."
        )
    return tuple(found)


def arrays(
    about: RecordedLabels,
    progress: Progress,
    mean: MeanProbabilities,
    sentences: tuple[str, ...],
) -> dict[str, NDArray[np.generic]]:
    """Return everything in a recording's file but the signals, by the names in `records.recording`.

    Parameters
    ----------
    about, progress
        What it is about, and all of it.
    mean
        Mean probabilities of all N samples.
    sentences
        As `messages` returned them.
    """
    was_seen = progress.was_seen
    made: dict[str, NDArray[np.generic]] = {
        names.FORMAT: np.array(names.VERSION),
        names.MADE_BY: np.array(__version__),
        names.LABELS: about.labels,
        names.N_CLASSES: np.array(progress.n_outputs),
        names.SAMPLE: np.flatnonzero(was_seen),
        names.MEAN_VALUES: mean.values[was_seen],
        names.MEAN_IS_FULL: np.array(mean.is_full),
        names.N_MISSING: np.array(progress.n_missing) - progress.n_never,
        names.MESSAGES: np.array(sentences, dtype=np.str_),
    }
    if not mean.is_full:
        made[names.MEAN_CLASSES] = mean.classes[was_seen]
    if about.keys is not None:
        made[names.KEYS] = np.array(about.keys, dtype=np.str_)
    if about.class_names is not None:
        made[names.CLASS_NAMES] = np.array(about.class_names, dtype=np.str_)
    return made
