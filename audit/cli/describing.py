"""Records as lines of text, table rows and plain JSON values."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.cli.session import Session, printable
from audit.detectors import catalog
from audit.errors import NotFoundError
from audit.records.dataset import ImportPlan
from audit.records.decision import to_iso
from audit.records.job import Job
from audit.records.run import Run, RunState
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store import dynamics as dynamics_store
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace
from audit.workbench import datasets as dataset_verbs
from audit.workbench import referring, settled
from audit.workbench import runs as run_verbs
from audit.workbench.datasets import Removal

Record = Mapping[str, Any]

_SHOWN_CLASSES = 12
_SHOWN_PROBLEMS = 8


def plan_lines(planned: ImportPlan) -> list[str]:
    """Return what an import would store, in words."""
    facts = dataset_verbs.describe(planned)
    classes = sorted(facts["classes"].items(), key=lambda item: -item[1])
    named = ", ".join(f"{printable(name)} ({count})" for name, count in classes[:_SHOWN_CLASSES])
    if len(classes) > _SHOWN_CLASSES:
        named += f" and {len(classes) - _SHOWN_CLASSES} more"
    split_words = ", ".join(f"{split} {count}" for split, count in facts["splits"].items())
    lines = [
        f"{facts['samples']} samples in {len(classes)} classes from {printable(planned.source.location)}",
        f"classes: {named}",
        f"splits: {split_words}",
    ]
    if planned.truth is not None:
        lines.append("true labels: yes, kept apart for `labeltrace evaluate`")
    if facts["unlabelled"]:
        lines.append(f"unlabelled: {facts['unlabelled']} (neither trained on nor scored)")
    lines += _limited("cannot be used", [p["problem"] for p in facts["problems"]])
    lines += _limited("skipped", [f"{s.name}: {s.reason}" for s in planned.skipped])
    lines += [f"note: {printable(warning)}" for warning in planned.warnings]
    return lines


def _limited(title: str, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    lines = [f"{title}: {len(texts)}"]
    lines += [f"  {printable(text)}" for text in texts[:_SHOWN_PROBLEMS]]
    if len(texts) > _SHOWN_PROBLEMS:
        lines.append(f"  … and {len(texts) - _SHOWN_PROBLEMS} more")
    return lines


def datasets(workspace: Workspace) -> tuple[tuple[str, ...], Sequence[Record]]:
    """Return column names and a record per dataset."""
    records = [
        {
            "id": d.id,
            "name": d.name,
            "samples": d.n_samples,
            "classes": d.n_classes,
            "runs": len(run_rows.all(workspace, d.id)),
            "decided": len(decision_rows.current(workspace, d.id)),
            "created_at": to_iso(d.created_at),
        }
        for d in dataset_rows.all(workspace)
    ]
    return ("id", "name", "samples", "classes", "runs", "decided", "created_at"), records


def runs(workspace: Workspace) -> tuple[tuple[str, ...], Sequence[Record]]:
    """Return column names and a record per run."""
    run_verbs.refresh(workspace)
    names = {d.id: d.name for d in dataset_rows.all(workspace)}
    records = [
        {
            "id": run.id,
            "name": run.name,
            "dataset": names.get(run.dataset_id, run.dataset_id),
            "preset": run.config.preset,
            "probe": str(run.config.probe),
            "epochs": run.config.epochs,
            "state": str(run.state),
            "created_at": to_iso(run.created_at),
        }
        for run in run_rows.all(workspace)
    ]
    columns = ("id", "name", "dataset", "preset", "probe", "epochs", "state", "created_at")
    return columns, records


def jobs(workspace: Workspace) -> tuple[tuple[str, ...], Sequence[Record]]:
    """Return column names and a record per job."""
    run_verbs.refresh(workspace)
    records = [job_record(job) for job in job_rows.every(workspace)]
    return ("id", "kind", "device", "state", "fraction", "message", "created_at"), records


def methods() -> tuple[tuple[str, ...], Sequence[Record]]:
    """Return column names and a record per method of the catalogue."""
    records = [
        {
            "name": entry.name,
            "title": entry.title,
            "summary": entry.summary,
            "definition": entry.definition,
            "quantity": entry.quantity_name,
            "unit": entry.quantity_unit,
            "low_is_suspect": entry.low_is_suspect,
            "probe": str(entry.needs.probe),
            "runs": entry.needs.n_runs,
            "has_cut": entry.has_cut,
            "cost_in_trainings": entry.cost_in_trainings,
            "known_failures": list(entry.known_failures),
            "reference": entry.reference,
        }
        for entry in map(catalog.entry, catalog.names())
    ]
    return ("name", "summary", "probe", "runs", "has_cut"), records


def show_records(
    session: Session, columns: tuple[str, ...], records: Sequence[Record], *, as_json: bool
) -> None:
    """Print records as JSON or as a table of some of their columns."""
    if as_json:
        session.print_json(list(records))
        return
    rows = [tuple(cell(record.get(column)) for column in columns) for record in records]
    session.print_table(columns, rows)


def cell(value: object) -> str:
    """Return a value as it stands in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def anything(workspace: Workspace, reference: str) -> Record:
    """Return all that is known of a dataset, run or job.

    Raises
    ------
    NotFoundError
        If nothing, or more than one thing, answers to the reference.
    """
    run_verbs.refresh(workspace)
    kinds = (referring.DATASET, referring.RUN, referring.JOB)
    meant = referring.resolve(workspace, reference, kinds)
    if meant.kind == referring.DATASET:
        return dataset_record(workspace, meant.id)
    if meant.kind == referring.RUN:
        return run_record(workspace, run_rows.find(workspace, meant.id))
    return {"kind_of_record": "job", **job_record(job_rows.find(workspace, meant.id))}


def dataset_record(workspace: Workspace, reference: str) -> Record:
    """Return all that is known of a dataset."""
    dataset = dataset_rows.find(workspace, reference)
    decided = decision_rows.current(workspace, dataset.id)
    verdicts: dict[str, int] = {}
    for decision in decided.values():
        verdicts[str(decision.verdict)] = verdicts.get(str(decision.verdict), 0) + 1
    return {
        "kind_of_record": "dataset",
        "id": dataset.id,
        "name": dataset.name,
        "created_at": to_iso(dataset.created_at),
        "has_truth": dataset.has_truth,
        **dataset_verbs.describe(dataset),
        "runs": [
            {"id": run.id, "name": run.name, "state": str(run.state)}
            for run in run_rows.all(workspace, dataset.id)
        ],
        "scores": {
            method: {"id": s.id, "runs": list(s.run_ids), "created_at": to_iso(s.created_at)}
            for method, s in sorted(score_rows.latest(workspace, dataset.id).items())
        },
        "decided": len(decided),
        "verdicts": verdicts,
        "bytes_on_disk": dataset_rows.size_on_disk(workspace, dataset.id),
    }


def run_record(workspace: Workspace, run: Run) -> Record:
    """Return all that is known of a run, its newest loss and accuracy among it."""
    curves = dynamics_store.curves(workspace, run)
    try:
        job = job_record(run_verbs.find_job(workspace, run.id))
    except NotFoundError:
        job = None
    return {
        "kind_of_record": "run",
        "id": run.id,
        "name": run.name,
        "state": str(run.state),
        "dataset_id": run.dataset_id,
        "dataset_fingerprint": run.dataset_fingerprint,
        "label_version": run.label_version,
        "code_version": run.code_version,
        "created_at": to_iso(run.created_at),
        "sealed_at": None if run.sealed_at is None else to_iso(run.sealed_at),
        "config": run.config.known(),
        "epochs_done": len(curves),
        "outcome": _outcome(run, curves),
        "settled_after": settled.after(run, curves),
        "curves": [dict(point) for point in curves],
        "job": job,
        "bytes_on_disk": run_rows.size_on_disk(workspace, run.id),
    }


def _outcome(run: Run, curves: Sequence[Mapping[str, float]]) -> str | None:
    """Return how a sealed run ended, ``None`` for others."""
    return settled.epochs_in_words(run, len(curves)) if run.state is RunState.SEALED else None


def job_record(job: Job) -> dict[str, Any]:
    """Return all that is known of a job."""
    moments = {
        name: None if value is None else to_iso(value)
        for name, value in (
            ("created_at", job.created_at),
            ("started_at", job.started_at),
            ("heartbeat_at", job.heartbeat_at),
            ("finished_at", job.finished_at),
        )
    }
    return {
        "id": job.id,
        "kind": job.kind,
        "device": job.device,
        "state": str(job.state),
        "fraction": job.fraction,
        "message": job.message,
        "error": job.error,
        "stop_requested": job.stop_requested,
        "arguments": dict(job.arguments),
        "result": None if job.result is None else dict(job.result),
        **moments,
    }


def lines(record: Record, indent: str = "") -> list[str]:
    """Return a record as indented lines; long lists are cut and say so."""
    text: list[str] = []
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            text.append(f"{indent}{key}:")
            text += _cut(lines(value, indent + "  "), 40, indent)
        elif isinstance(value, list) and value:
            text.append(f"{indent}{key}:")
            shown = [_one_line(item) for item in value]
            text += _cut([f"{indent}  {item}" for item in shown], 20, indent)
        elif value not in ({}, []):
            text.append(f"{indent}{printable(str(key))}: {printable(_exact(value))}")
    return text


def _one_line(item: object) -> str:
    if isinstance(item, Mapping):
        return ", ".join(f"{k} {printable(_exact(v))}" for k, v in item.items())
    return printable(str(item))


def _exact(value: object) -> str:
    """Return a value with all digits that tell something: a weight decay is no 0.001."""
    return f"{value:.6g}" if isinstance(value, float) else cell(value)


def _cut(text: list[str], most: int, indent: str) -> list[str]:
    if len(text) <= most:
        return text
    return [*text[:most], f"{indent}  … and {len(text) - most} more (--json shows all)"]


def removal_sentence(what: Removal) -> str:
    """Return what a deletion takes along, in words."""
    also = ""
    if what.kind == "dataset":
        also = f" with {what.n_runs} runs and {what.n_decisions} decided samples"
    return (
        f"This deletes {what.kind} {printable(what.name)}{also}; "
        f"{what.n_bytes / 1e6:.1f} MB come back. Images are not touched."
    )
