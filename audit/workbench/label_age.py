"""Which labels runs were trained on, and how many people have changed since."""

from collections.abc import Collection

import numpy as np

from audit.records.dataset import Dataset
from audit.records.decision import Verdict
from audit.records.label_history import GIVEN
from audit.records.run import Run
from audit.workbench import exporting
from audit.workbench.shelf import VERDICTS, Shelf

_CHANGES = [VERDICTS.index(Verdict.RELABEL), VERDICTS.index(Verdict.EXCLUDE)]


def since(shelf: Shelf, dataset: Dataset, runs: Collection[Run]) -> str | None:
    """Return how many labels were changed after those that runs were trained on, and the version now.

    Parameters
    ----------
    shelf
        Of the workspace.
    dataset
        Of the runs.
    runs
        At least one.

    Returns
    -------
    :
        The end of a sentence, as ``1,015 labels were changed since (version 3f9a61c2d0b7e455)``;
        ``None`` where nothing was changed or the runs are not of the labels as given.
    """
    if {run.label_version for run in runs} != {GIVEN}:
        return None
    standing = shelf.standing(dataset)
    n_changed = int(np.isin(standing.verdicts, _CHANGES).sum())
    if not n_changed:
        return None
    now = shelf.keep(
        ("label version", dataset.id, standing.last_id),
        lambda: exporting.label_version(dataset, standing.decisions),
    )
    were = "label was" if n_changed == 1 else "labels were"
    return f"{n_changed:,} {were} changed since (version {now})"
