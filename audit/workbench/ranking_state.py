"""Why there is no ranking yet, and what a reader of one should know: what runs, what is outdated."""

from audit.detectors import catalog
from audit.records.dataset import Dataset
from audit.records.run import RunState
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.workbench import label_age, provisional
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Ranked


def unscored(shelf: Shelf, dataset: Dataset) -> str:
    """Return what is known of a dataset without scores: a sentence and what to do next."""
    busy = _busy(shelf, dataset)
    if busy is not None:
        return f"{busy} Its samples appear here once they are scored; Runs shows how far it is."
    runs = run_rows.all(shelf.workspace, dataset.id)
    if any(run.state is RunState.SEALED for run in runs):
        return (
            f"Dataset {dataset.name!r} has a finished run and no scores yet: score the run on Runs."
        )
    if runs:
        return (
            f"No run of dataset {dataset.name!r} has come to its end: resume one or start another "
            "on Runs."
        )
    return f"Nothing has been trained on dataset {dataset.name!r} yet: start a run on Runs."


def remarks(shelf: Shelf, dataset: Dataset, ranking: Ranked) -> tuple[str, ...]:
    """Return whole sentences about scores that something newer exists for, or will soon."""
    if ranking.provisional is not None:
        return ()
    said: list[str] = []
    spec = ranking.scores.spec
    entry = catalog.entry(spec.name)
    if spec.version < entry.version:
        said.append(
            f"These scores were made with version {spec.version} of {spec.name}, and its formula is "
            f"at version {entry.version} by now: score the run again on Runs."
        )
    runs = run_rows.all(shelf.workspace, dataset.id)
    used = [run for run in runs if run.id in ranking.scores.run_ids]
    newest = max((run.created_at for run in used), default=None)
    later = [
        run.name
        for run in runs
        if run.state is RunState.SEALED
        and run.config.probe is entry.needs.probe
        and newest is not None
        and run.created_at > newest
    ]
    if later:
        said.append(
            f"Run {later[-1]!r} is newer and {spec.name} has not scored it yet: do so on Runs."
        )
    busy = _busy(shelf, dataset)
    if busy is not None:
        said.append(f"{busy} Until it ends, this page shows the scores that there are.")
    if provisional.is_there(shelf, dataset):
        said.append(
            f"The method “{provisional.METHOD}” shows what the run in training suspects so far."
        )
    return tuple(said)


def labels_since(shelf: Shelf, dataset: Dataset, ranking: Ranked) -> str | None:
    """Return which labels scores are of, where people have changed some since; ``None`` where not."""
    if ranking.provisional is not None:
        return None
    runs = run_rows.all(shelf.workspace, dataset.id)
    since = label_age.since(shelf, dataset, [r for r in runs if r.id in ranking.scores.run_ids])
    return since and f"These scores are of the labels as given; {since}."


def is_awaited(shelf: Shelf, dataset: Dataset) -> bool:
    """Return whether a run is trained, or waits to be, from which a provisional ranking will come."""
    runs = run_rows.all(shelf.workspace, dataset.id)
    run = provisional.running(shelf, dataset) or (runs[-1] if runs else None)
    return run is not None and run.state in (RunState.QUEUED, RunState.RUNNING)


def no_provisional(shelf: Shelf, dataset: Dataset) -> str:
    """Return why there is no provisional ranking, or none any more, and what there is instead."""
    runs = run_rows.all(shelf.workspace, dataset.id)
    if not runs:
        return unscored(shelf, dataset)
    run = provisional.running(shelf, dataset) or runs[-1]
    if run.state is RunState.RUNNING:
        return (
            f"Run {run.name!r} is being trained and no epoch has finished yet: its provisional suspects "
            "appear here after the first."
        )
    if run.state is RunState.QUEUED:
        return f"Run {run.name!r} waits for its device: nothing of it can be ranked yet."
    if run.state is not RunState.SEALED:
        return (
            f"Run {run.name!r} is not being trained any more, it is {run.state}: resume it, or score what is "
            "there, on Runs."
        )
    methods = final_methods(shelf, dataset)
    if not methods:
        return (
            f"Run {run.name!r} is sealed, so there is no provisional ranking any more: its scores are being "
            "made, or can be asked for on Runs."
        )
    return (
        f"Run {run.name!r} is sealed, so there is no provisional ranking any more: its final scores are "
        f"there, by {', '.join(methods)}."
    )


def final_methods(shelf: Shelf, dataset: Dataset) -> tuple[str, ...]:
    """Return the methods whose newest scores rest on the newest run of a dataset."""
    runs = run_rows.all(shelf.workspace, dataset.id)
    latest = shelf.latest(dataset)
    return tuple(
        name
        for name in catalog.names()
        if runs and name in latest and runs[-1].id in latest[name].run_ids
    )


def _busy(shelf: Shelf, dataset: Dataset) -> str | None:
    jobs = job_rows.under_way(shelf.workspace)
    if not jobs:
        return None
    names = {run.id: run.name for run in run_rows.all(shelf.workspace, dataset.id)}
    for job in jobs:
        asked = job.arguments.get("requests", ()) if job.kind == "score" else ()
        if any(run_id in names for request in asked for run_id in request["runs"]):
            return f"Dataset {dataset.name!r} is being scored."
        if job.run_id in names:
            return f"Run {names[job.run_id]!r} is under way."
    return None
