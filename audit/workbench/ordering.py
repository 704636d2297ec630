"""The order that scores give the samples of a dataset, most suspicious first."""

import numpy as np
from numpy.typing import NDArray

from audit.detectors import catalog
from audit.records.scores import Scores


def of_scores(scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of all samples and the rank of each.

    Returns
    -------
    order
        Positions of all N samples, most suspicious first, ties in dataset order, unscored last, (N,)
        int64.
    ranks
        Rank of each sample from 1, (N,) int64; 0 for samples without a score.
    """
    is_scored = ~np.isnan(scores.suspicion)
    # The quantity orders more finely than suspicion, which saturates in its sigmoid.
    low_is_suspect = catalog.entry(scores.spec.name).low_is_suspect
    by = np.where(low_is_suspect, scores.quantity, -scores.quantity)
    order = np.argsort(np.where(is_scored, by, np.inf), kind="stable").astype(np.int64)
    ranks = np.zeros(len(order), dtype=np.int64)
    n_scored = int(is_scored.sum())
    ranks[order[:n_scored]] = np.arange(1, n_scored + 1)
    return order, ranks
