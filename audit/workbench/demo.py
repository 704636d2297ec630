"""The demo: scanned digits with labels planted wrong, found again; needs no download."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.datasets import sources
from audit.errors import RefusedError
from audit.numerics import metrics, noise
from audit.records.dataset import Dataset
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace
from audit.workbench import datasets as dataset_verbs
from audit.workbench import launching
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

NAME = "digits"
N_PLANTED = 144
SEED = 20
METHOD = "margin"
"""The demo's suspects are ranked by the average margin of one plain run."""

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the demo found.

    Parameters
    ----------
    n_samples, n_planted
        Size of the dataset and number of labels planted wrong.
    found_in_top
        How many planted ones stand among the `n_planted` most suspicious samples.
    average_precision
        Of the ranking, in [0, 1].
    """

    n_samples: int
    n_planted: int
    found_in_top: int
    average_precision: float

    def to_json(self, seconds: float) -> dict[str, Any]:
        """Return the line of JSON that ``demo --no-app`` ends with."""
        return {
            "samples": self.n_samples,
            "planted": self.n_planted,
            "found_in_top": self.found_in_top,
            "average_precision": round(self.average_precision, 4),
            "seconds": round(seconds, 1),
        }


def arrays() -> Mapping[str, np.ndarray]:
    """Return the demo's data: 1,797 scans of 8×8 pixels, 144 of them under a wrong label.

    Returns
    -------
    mapping
        ``images`` (1797, 8, 8) uint8, ``labels`` and ``true_labels`` (1797,) int64, ``class_names``
        (10,) text.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - a second to import

    pixels, target = load_digits(return_X_y=True)
    scans = np.asarray(pixels, dtype=np.float64).reshape(-1, 8, 8)
    images = np.rint(scans * (255 / 16)).astype(np.uint8)
    true_labels = np.asarray(target, dtype=np.int64)
    planted = noise.plant(
        true_labels, N_PLANTED, n_classes=len(CLASS_NAMES), rng=np.random.default_rng(SEED)
    )
    return {
        "images": images,
        "labels": planted.labels.astype(np.int64),
        "true_labels": true_labels,
        "class_names": np.array(CLASS_NAMES),
    }


def dataset(workspace: Workspace, folder: Path, *, name: str | None = NAME) -> Dataset:
    """Return the demo's dataset in a workspace, made at the first call.

    Parameters
    ----------
    workspace
        The demo's own, or the one that people work in.
    folder
        Where the scans are written, as ``digits.npz``.
    name
        ``None`` takes the first of ``digits``, ``digits-2``, … that is free.
    """
    path = folder / f"{NAME}.npz"
    if not path.exists():
        partial = path.with_name(f".{path.name}.partial.npz")
        np.savez(partial, allow_pickle=False, **arrays())
        partial.replace(path)
    planned = sources.plan(path)
    found, _ = dataset_verbs.add(workspace, planned, name)
    return found


def begin(shelf: Shelf) -> Dataset:
    """Import the demo's data into the workspace that people work in, and let a worker train and score.

    Begun twice it is the same demo: nothing is imported or trained a second time.
    """
    workspace = shelf.workspace
    found = dataset(workspace, workspace.path, name=None)
    wishes = Wishes(preset="quick", device="cpu")
    launching.start(shelf, found, (METHOD,), wishes, form_id=f"demo-{found.id}")
    return found


def outcome(workspace: Workspace, found: Dataset, scores: Scores) -> Outcome:
    """Return how many of the planted labels the ranking found.

    Raises
    ------
    RefusedError
        If the dataset has lost its truth.
    """
    truth = dataset_rows.truth(workspace, found.id)
    if truth is None:
        raise RefusedError(f"The demo's dataset {found.name!r} has no truth; delete its workspace.")
    wrong = found.given_labels != truth.true_labels
    top = np.argsort(-scores.suspicion, kind="stable")[:N_PLANTED]
    return Outcome(
        n_samples=found.n_samples,
        n_planted=int(wrong.sum()),
        found_in_top=int(wrong[top].sum()),
        average_precision=metrics.average_precision(scores.suspicion, wrong),
    )
