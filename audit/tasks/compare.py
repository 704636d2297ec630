"""Train the arms of a comparison that are missing; what one leaves stands whatever becomes of the next."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError, InputError, NotFoundError, StoppedError, TrainingError
from audit.numerics import near_duplicates
from audit.numerics.arms import Material, Trained
from audit.records import comparison_plan
from audit.records.comparison import Comparison, Labels, Shared
from audit.records.comparison import Training as TrainingRecord
from audit.records.comparison_plan import Planned
from audit.records.dataset import Dataset
from audit.records.job import Job
from audit.records.progress import Report
from audit.records.test_part import FEWEST_TESTED, HELD_OUT
from audit.store import comparisons
from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace
from audit.tasks import inputs
from audit.tasks.inputs import Gathered
from audit.training.loop import Training
from audit.training.rows import Rows


def run(workspace: Workspace, job: Job, report: Report) -> Mapping[str, Any]:
    """Train what is missing of the comparison that a job names.

    Parameters
    ----------
    workspace
        Where the comparison lies.
    job
        Its arguments name the ``comparison``.
    report
        Told about every batch.

    Returns
    -------
    mapping
        ``comparison``, ``trained``, ``reused``, ``seconds``, and ``failed``: lists of arm, seed and why.

    Raises
    ------
    InputError
        If the dataset is not the one that the comparison was made for, or changed on disk.
    TrainingError
        If most images cannot be read.
    StoppedError
        If it was asked to stop; finished trainings stay.
    """
    comparison = comparisons.find(workspace, str(job.arguments["comparison"]))
    dataset = dataset_rows.find(workspace, comparison.dataset_id)
    if dataset.fingerprint != comparison.dataset_fingerprint:
        raise InputError(
            f"Dataset {dataset.name!r} is not the one that this comparison was made for: its labels or "
            "keys changed, so the two must not be mixed; compare again."
        )
    labels = comparisons.labels(workspace, comparison.id)
    truth = dataset_rows.truth(workspace, dataset.id) if dataset.has_truth else None
    made_from = comparison_plan.material(
        labels, dataset.given_labels, None if truth is None else truth.true_labels
    )
    planned = comparison_plan.plan(comparison.settings, labels, made_from, dataset.fingerprint)
    started = time.monotonic()
    gathered = inputs.gather(workspace, dataset, comparison.settings.config, report)
    if comparisons.shared(workspace, comparison.id) is None:
        report(gathered.begins, "looking for images that training and test share")
        found = _shared(gathered, labels, inputs.part(report, gathered.begins, gathered.begins))
        comparisons.note_shared(workspace, comparison.id, found)
    _refuse_too_few(workspace, comparison, gathered, labels)
    work = _Work(workspace, dataset, gathered, made_from, report)
    return {
        **work.do(comparison_plan.trainings(planned)),
        "comparison": comparison.id,
        "seconds": round(time.monotonic() - started, 3),
    }


def _refuse_too_few(
    workspace: Workspace, comparison: Comparison, gathered: Gathered, labels: Labels
) -> None:
    """Refuse before hours of training what could not show anything.

    Raises
    ------
    InputError
        If too few test images can be read and are not training images too.
    """
    readable = gathered.pixels.positions
    shared = comparisons.shared(workspace, comparison.id)
    judged = np.setdiff1d(
        readable[labels.test[readable] >= 0], () if shared is None else shared.sample
    )
    if len(judged) < FEWEST_TESTED:
        raise InputError(
            f"Only {len(judged)} test images are left: the others cannot be read, or are training images "
            f"too; name another --test, or --test {HELD_OUT}."
        )


def _shared(gathered: Gathered, labels: Labels, report: Report) -> Shared:
    positions = gathered.pixels.positions
    images = gathered.pixels.images
    tested = np.flatnonzero(labels.in_test[positions])
    trained = np.flatnonzero(labels.in_training[positions])
    said = "looking for images that training and test share"
    twins = near_duplicates.find(images[tested], images[trained], tick=lambda: report(0.0, said))
    return Shared(
        sample=tuple(map(int, positions[tested[twins.index]])),
        twin=tuple(map(int, positions[trained[twins.twin]])),
        n_exact=int(twins.is_exact.sum()),
    )


class _Work:
    """The trainings of one job, one after the other."""

    def __init__(
        self,
        workspace: Workspace,
        dataset: Dataset,
        gathered: Gathered,
        made_from: Material,
        report: Report,
    ) -> None:
        self._workspace = workspace
        self._dataset = dataset
        self._gathered = gathered
        self._made_from = made_from
        self._report = report

    def do(self, trainings: Sequence[Planned]) -> dict[str, Any]:
        known = comparisons.known_trainings(self._workspace, [one.id for one in trainings])
        missing = [one for one in trainings if one.id not in known]
        failed: list[list[Any]] = []
        begins = self._gathered.begins
        for number, one in enumerate(missing):
            part = inputs.part(
                self._report,
                begins + (1 - begins) * number / len(missing),
                begins + (1 - begins) * (number + 1) / len(missing),
            )
            try:
                self._train(one, part, f"{number + 1} of {len(missing)}")
            except (StoppedError, NotFoundError):
                raise  # asked to, or the dataset was deleted meanwhile
            except AuditError as error:
                failed.append([str(one.arm), one.seed, str(error)])
            except Exception as error:  # noqa: BLE001 - one arm must not take the others with it
                text = " ".join(str(error).split())[:300] or "no message"
                failed.append(
                    [str(one.arm), one.seed, f"Unexpected {type(error).__name__}: {text}"]
                )
        return {
            "trained": len(missing) - len(failed),
            "reused": len(known),
            "failed": failed,
        }

    def _train(self, planned: Planned, report: Report, number: str) -> None:
        trained = planned.trained if planned.source is None else self._after(planned)
        assert trained is not None
        rows = self._rows(planned, trained)
        # What cannot be read is not asked for; its prediction is missing.
        asked = np.intersect1d(planned.asked, self._gathered.pixels.positions)
        config = planned.config
        training = Training(
            config, self._gathered.inputs, rows, None, positions=self._gathered.pixels.positions
        )
        looks = comparison_plan.looks(config.epochs)
        predicted: list[NDArray[np.int32]] = []
        messages: list[str] = []
        started = time.monotonic()
        for step in training.epochs():
            report(
                step.fraction,
                f"training {number} · {planned.arm}, seed {planned.seed} · epoch {step.epoch + 1} of "
                f"{config.epochs}",
            )
            if step.message is not None:
                messages.append(step.message)
            if step.ends_epoch and step.epoch + 1 in looks:
                logits = training.predict(asked)[:, : self._dataset.n_classes]
                predicted.append(logits.argmax(axis=1).astype(np.int32))
        comparisons.add_training(
            self._workspace,
            self._dataset.id,
            TrainingRecord(
                id=planned.id,
                n_rows=len(rows),
                epochs=looks,
                sample=asked,
                predicted=np.stack(predicted),
                seconds=round(time.monotonic() - started, 3),
                messages=tuple(messages),
            ),
        )

    def _after(self, planned: Planned) -> Trained:
        assert planned.source is not None
        source = comparisons.find_training(self._workspace, planned.source.id)
        if source is None:
            raise TrainingError(
                f"It needs what the arm “{planned.source.arm}” predicts with seed {planned.seed}, and "
                "that training failed."
            )
        by_position = np.full(self._dataset.n_samples, -1, dtype=np.int32)
        by_position[source.sample] = source.predicted[-1]
        return comparison_plan.finish(planned, self._made_from, by_position[planned.sample])

    def _rows(self, planned: Planned, trained: Trained) -> Rows:
        is_readable = np.isin(planned.sample, self._gathered.pixels.positions)
        kept = trained.kept & is_readable
        label = trained.label[kept]
        if len(np.unique(label)) < 2:
            raise TrainingError(
                f"Fewer than two classes are left in the arm “{planned.arm}”: there is nothing to learn."
            )
        return Rows(
            sample=planned.sample[kept],
            assigned_label=label.astype(np.int32),
            role=np.zeros(len(label), dtype=np.int8),
            n_classes=self._dataset.n_classes,
            n_outputs=self._dataset.n_classes,
            weight=None if trained.weight is None else trained.weight[kept],
        )
