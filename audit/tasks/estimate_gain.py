"""Estimate what decisions are worth, fifty by fifty: a linear head on features that are there already."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError
from audit.numerics import near_duplicates, paired, patches
from audit.numerics.linear_head import OUT, LinearHead
from audit.records import test_part
from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Decision, Verdict
from audit.records.job import Job
from audit.records.label_history import LabelHistory
from audit.records.progress import Report
from audit.records.run import RunConfig
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store import pixels as pixel_store
from audit.store.workspace import Workspace
from audit.tasks import inputs
from audit.tasks.inputs import Gathered
from audit.training import features


def run(workspace: Workspace, job: Job, report: Report) -> Mapping[str, Any]:
    """Estimate the gain of the decisions of the dataset that a job names.

    Parameters
    ----------
    workspace
        Where the dataset lies.
    job
        Its arguments: ``dataset``; ``config``, whose pixels or features are looked at; ``until``, the last
        event that counts; ``every``, the decisions between two estimates; ``test``, as for a comparison.
    report
        Told what is done.

    Returns
    -------
    mapping
        ``dataset``, ``until``, ``seen`` (what the head looks at), ``n_tested``, ``accuracy`` (with the given
        labels), ``seconds``, and ``points``: ``n_decisions``, ``event``, ``accuracy``, ``gain`` with ``low``
        and ``high`` (test samples drawn anew), in parts of one.

    Raises
    ------
    InputError
        If there is too little to test on, or images changed on disk.
    """
    started = time.monotonic()
    dataset = dataset_rows.find(workspace, str(job.arguments["dataset"]))
    config = RunConfig.from_json(job.arguments["config"])
    until = int(job.arguments["until"])
    parts = test_part.parts(dataset, job.arguments.get("test"))
    gathered = inputs.gather(workspace, dataset, config, report)
    positions = gathered.pixels.positions
    training = np.flatnonzero(parts.in_training[positions])
    tested = np.flatnonzero(parts.in_test[positions])
    # What training has too would tell of itself.
    images = gathered.pixels.images
    tested = tested[near_duplicates.exact(images[tested], images[training]) < 0]
    report(gathered.begins, "looking at images")
    looks, seen = _features(workspace, dataset, gathered, config, report)
    log = [event for event in decision_rows.log(workspace, dataset.id) if (event.id or 0) <= until]
    history = LabelHistory(dataset.fingerprint, dataset.class_names, log)
    now = _labels(dataset, history.at(until))
    truth = dataset_rows.truth(workspace, dataset.id) if dataset.has_truth else None
    judged = (now if truth is None else truth.true_labels)[positions[tested]]
    tested, judged = tested[judged != UNLABELLED], judged[judged != UNLABELLED]
    if len(tested) < test_part.FEWEST_TESTED:
        raise InputError(
            f"Only {len(tested)} samples can be tested on: there is nothing to estimate by."
        )
    given = dataset.given_labels[positions[training]]
    report(gathered.begins, "fitting")
    head = LinearHead(looks[training], looks[tested], dataset.n_classes, given)
    base = (head.predict(given) == judged)[None]
    points: list[dict[str, Any]] = []
    for number, event in _milestones(log, int(job.arguments["every"])):
        report(gathered.begins + (1 - gathered.begins) * number / len(log), f"{number} decisions")
        labels = _labels(dataset, history.at(event))[positions[training]]
        right = (head.predict(labels) == judged)[None]
        gain = paired.difference(right, base)
        points.append(
            {
                "n_decisions": number,
                "event": event,
                "accuracy": float(right.mean()),
                "gain": gain.value,
                "low": gain.low,
                "high": gain.high,
            }
        )
    return {
        "dataset": dataset.id,
        "until": until,
        "seen": seen,
        "n_tested": len(tested),
        "test": parts.test,
        "accuracy": float(base.mean()),
        "points": points,
        "seconds": round(time.monotonic() - started, 3),
    }


def _features(
    workspace: Workspace, dataset: Dataset, gathered: Gathered, config: RunConfig, report: Report
) -> tuple[NDArray[np.float32], str]:
    """Return what the head looks at, (M, D): a backbone's features, or patches, made once and kept."""
    if config.architecture == "features":
        return np.asarray(gathered.inputs, dtype=np.float32), f"features of {config.backbone}"
    images = gathered.pixels.images

    def write(folder: Path) -> None:
        def tick(fraction: float) -> None:
            report(gathered.begins, f"looking at images, {fraction:.0%}")

        features.write(folder, patches.describe(images, patches.learn(images), tick=tick))

    folder = pixel_store.find_or_make(
        workspace, dataset.id, config.image_size, write=write, variant="patches1"
    )
    return features.read(folder), "random patches"


def _milestones(log: list[Any], every: int) -> list[tuple[int, int]]:
    """Return number and event after every so many decisions, and of the log's last event."""
    found: list[tuple[int, int]] = []
    n_decisions = 0
    for event in log:
        n_decisions += isinstance(event, Decision)
        if isinstance(event, Decision) and n_decisions % every == 0:
            found.append((n_decisions, event.id or 0))
    if log and (not found or found[-1][1] != log[-1].id):
        found.append((n_decisions, log[-1].id or 0))
    return found


def _labels(dataset: Dataset, standing: Mapping[str, Decision]) -> NDArray[np.int32]:
    """Return the labels that decisions make, (N,) int32, `OUT` where a sample is excluded."""
    labels = dataset.given_labels.astype(np.int32, copy=True)
    classes = {name: index for index, name in enumerate(dataset.class_names)}
    wanted = {
        key: decision
        for key, decision in standing.items()
        if decision.verdict in (Verdict.RELABEL, Verdict.EXCLUDE)
    }
    if not wanted:
        return labels
    for position, key in enumerate(dataset.sample_keys):
        decision = wanted.get(key)
        if decision is not None:
            is_out = decision.verdict is Verdict.EXCLUDE
            labels[position] = OUT if is_out else classes[str(decision.label)]
    return labels
