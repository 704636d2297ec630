"""The course that an explanation is drawn under: one sample beside clean-looking and planted rows."""

import numpy as np

from audit.detectors import explanation as explaining
from audit.errors import RefusedError
from audit.records.dataset import Dataset
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.explanation import Course, Envelope, Explanation
from audit.records.run import Run
from audit.store import dynamics as dynamics_files
from audit.workbench import trajectories
from audit.workbench.shelf import Shelf
from audit.workbench.trajectories import Band

_PLANTED: tuple[tuple[tuple[Role, ...], str], ...] = (
    ((Role.THRESHOLD,), "threshold rows"),
    ((Role.CORRUPTED,), "corrupted copies"),
    ((Role.PLANTED_UNIFORM, Role.PLANTED_CONFUSED), "planted wrong labels"),
)


def of(shelf: Shelf, dataset: Dataset, run: Run, explanation: Explanation) -> Course:
    """Return how the run behind an explanation took up the sample's label.

    Parameters
    ----------
    shelf, dataset
        Where the sample is.
    run
        The explanation's.
    explanation
        Its scores decide which samples look clean.

    Raises
    ------
    NotFoundError
        If run or scores are gone.
    RefusedError
        If the run recorded no margins.
    WorkspaceError
        If their files are damaged.
    """
    dynamics = shelf.dynamics(run.id)
    if "margin" not in dynamics.signals:
        raise RefusedError(
            f"Run {run.name!r} recorded no margins, so there is no course to show beside what counts."
        )
    is_own = (dynamics.sample == explanation.sample) & (dynamics.role == Role.GIVEN)
    row = int(np.flatnonzero(is_own)[0])
    course = dynamics_files.read_row(shelf.workspace, dynamics, row)
    margins = course["margin"].astype(np.float64)
    label = int(dynamics.assigned_label[row])
    said: tuple[str | None, ...] = ()
    if "best_other_class" in course:
        others = course["best_other_class"]
        said = tuple(_name(dataset, k) for k in np.where(margins > 0, label, others).tolist())
    clean, planted = shelf.lists.find_or_make(
        ("explained bands", run.id, explanation.scores_id),
        lambda: _bands(shelf, dynamics, explanation.scores_id),
        lambda made: sum(24 * dynamics.n_epochs for band in made if band is not None) + 512,
    )
    return Course(
        run_id=run.id,
        run_name=run.name,
        given=dataset.class_names[label],
        margins=tuple(margins.tolist()),
        said=said,
        clean=clean,
        planted=planted,
    )


def _bands(
    shelf: Shelf, dynamics: TrainingDynamics, scores_id: str
) -> tuple[Envelope | None, Envelope | None]:
    clean = explaining.clean_looking(dynamics, shelf.scores(scores_id))
    found = _band(dynamics, clean, trajectories.CLASS_PERCENTILES)
    planted = None
    for roles, name in _PLANTED:
        rows = np.flatnonzero(np.isin(dynamics.role, roles))
        band = _band(dynamics, rows, trajectories.CLASS_PERCENTILES)
        if band is not None:
            planted = _envelope(band, name)
            break
    return None if found is None else _envelope(found, "clean-looking samples"), planted


def _band(
    dynamics: TrainingDynamics, rows: np.ndarray, percentiles: tuple[float, float, float]
) -> Band | None:
    return trajectories.band(dynamics, rows, percentiles, skip_first=0, end=dynamics.n_epochs)


def _envelope(band: Band, name: str) -> Envelope:
    return Envelope(
        name=name,
        percentiles=band.percentiles,
        low=tuple(band.low.tolist()),
        middle=tuple(band.middle.tolist()),
        high=tuple(band.high.tolist()),
        n_rows=band.n_rows,
        n_used=band.n_used,
    )


def _name(dataset: Dataset, index: int) -> str | None:
    return dataset.class_names[index] if 0 <= index < dataset.n_classes else None
