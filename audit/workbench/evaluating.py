"""How good the scores are where the truth is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.errors import RefusedError
from audit.numerics import metrics
from audit.records.dataset import UNLABELLED, Dataset, Truth
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace


def evaluate(workspace: Workspace, dataset: Dataset) -> dict[str, Any]:
    """Return how well the newest scores of every method find the wrong labels.

    Returns
    -------
    dict
        ``dataset``, ``samples`` (scored by any method, with known truth), ``wrong``, ``noise_rate``,
        ``f1_flag_everything`` and ``methods``: per method `measure`.

    Raises
    ------
    RefusedError
        If the dataset has no truth, or was never scored.
    """
    truth = dataset_rows.truth(workspace, dataset.id)
    if truth is None:
        raise RefusedError(
            f"Dataset {dataset.name!r} has no true labels to evaluate against; import it with --truth-column."
        )
    newest = {
        method: score_rows.load(workspace, summary.id)
        for method, summary in score_rows.latest(workspace, dataset.id).items()
    }
    if not newest:
        raise RefusedError(
            f"Dataset {dataset.name!r} has no scores yet: `labeltrace score RUN --method M` makes some."
        )
    known = comparable(dataset, truth)
    for scores in newest.values():
        known &= ~np.isnan(scores.suspicion)
    wrong = dataset.given_labels != truth.true_labels
    noise_rate = float(wrong[known].mean()) if known.any() else 0.0
    return {
        "dataset": dataset.name,
        "samples": int(known.sum()),
        "wrong": int(wrong[known].sum()),
        "noise_rate": noise_rate,
        "f1_flag_everything": metrics.f1_flag_everything(noise_rate),
        "methods": {
            method: measure(dataset, truth, scores) for method, scores in sorted(newest.items())
        },
    }


def comparable(dataset: Dataset, truth: Truth) -> np.ndarray:
    """Return which samples have both a given and a true label, (N,) bool."""
    return (dataset.given_labels != UNLABELLED) & (truth.true_labels != UNLABELLED)


def measure(dataset: Dataset, truth: Truth, scores: Scores) -> Mapping[str, float | None]:
    """Return a method's figures against the truth; ``None`` where it has no cut or nothing is wrong.

    Returns
    -------
    mapping
        ``average_precision, roc_auc, precision_at_95_recall, f1, precision, recall,
        flagged_fraction, f1_flag_everything``, each in [0, 1].
    """
    known = comparable(dataset, truth) & ~np.isnan(scores.suspicion)
    wrong = (dataset.given_labels != truth.true_labels)[known]
    suspicion = scores.suspicion[known]
    has_both = bool(wrong.any()) and not bool(wrong.all())
    figures: dict[str, float | None] = {
        "average_precision": metrics.average_precision(suspicion, wrong) if has_both else None,
        "roc_auc": metrics.roc_auc(suspicion, wrong) if has_both else None,
        "precision_at_95_recall": (
            metrics.precision_at_95_recall(suspicion, wrong) if has_both else None
        ),
        "f1": None,
        "precision": None,
        "recall": None,
        "flagged_fraction": None,
        "f1_flag_everything": metrics.f1_flag_everything(
            float(wrong.mean()) if len(wrong) else 0.0
        ),
    }
    if scores.flagged is not None and len(wrong):
        quality = metrics.flag_quality(scores.flagged[known], wrong)
        figures |= {
            "f1": quality.f1,
            "precision": quality.precision,
            "recall": quality.recall,
            "flagged_fraction": quality.flagged_fraction,
        }
    return figures
