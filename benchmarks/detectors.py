"""Every detector beside the trivial references, on labels whose truth is known; recordings are shared.

    python benchmarks/detectors.py c10.npz --preset quick --seeds 0,1,2 --json results.json
    python benchmarks/detectors.py f.npz --plant symmetric:0.2 --preset features --weights W.npz

SOURCE is anything that ``labeltrace import`` takes, with true labels; with ``--plant KIND:RATE`` its labels
are corrupted first by ``labeltrace corrupt``. Every seed is one ``labeltrace audit`` with all methods in the
workspace that ``--workspace`` names (a new one otherwise): what lies sealed there is used again, so that an
interrupted benchmark goes on where it was. Seconds are those of the jobs that trained a method's runs, and
of its scoring; a run that serves several methods counts for each. Settings are the presets', fixed before.

``--table FILE…`` prints the results of earlier calls as Markdown tables instead, ``--overview FIGURE
FILE…`` one figure of all of them side by side.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import registry
from audit.numerics import metrics
from audit.records.dynamics import Role
from audit.records.run import Probe, Run
from audit.store import datasets as dataset_rows
from audit.store import dynamics, jobs, runs, scores
from audit.store.workspace import Workspace
from audit.workbench import evaluating, scoring

METHODS = "aum,lstm,dynacor,planted,margin,late_margin,tanh_epoch,log_ratio"
FIGURES = (
    "f1", "average_precision", "roc_auc", "precision_at_95_recall", "flagged_per_wrong", "best_f1",
    "seconds",
)  # fmt: skip


def main() -> None:
    """Run the audits and print JSON, or tables of earlier results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, nargs="+")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--budget", default="full")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--plant", help="KIND:RATE as `labeltrace corrupt` knows them")
    parser.add_argument(
        "--map", help="classes for asymmetric noise, as `labeltrace corrupt` takes them"
    )
    parser.add_argument("--plant-seed", type=int, default=0)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true", help="SOURCE are results; print them")
    parser.add_argument("--overview", metavar="FIGURE", help="SOURCE are results; print one figure")
    args = parser.parse_args()
    if args.overview:
        reports = [json.loads(file.read_text(encoding="utf-8")) for file in args.source]
        print(overview(reports, args.overview))
        return
    if args.table:
        for file in args.source:
            print(table(json.loads(file.read_text(encoding="utf-8"))))
        return
    (source,) = args.source
    with tempfile.TemporaryDirectory(prefix="labeltrace-detectors-") as folder:
        home = args.workspace or Path(folder) / "workspace"
        if args.plant:
            source = planted(source, args, home.parent)
        results = [measured(args, source, home, int(seed)) for seed in args.seeds.split(",")]
    report = {
        "what": "detectors beside trivial references, on labels with known truth",
        "source": args.source[0].name,
        "planted": args.plant,
        "map": args.map,
        "preset": args.preset,
        "budget": args.budget,
        "machine": f"{os.cpu_count()} CPU cores, no GPU",
        "n": len(results),
        "seeds": results,
        "summary": summary(results),
    }
    text = json.dumps(report, indent=1)
    print(table(report))
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


def planted(source: Path, args: argparse.Namespace, folder: Path) -> Path:
    """Return the source with planted wrong labels; one made by an earlier call is the same dataset."""
    kind, _, rate = args.plant.partition(":")
    name = f"{source.stem}-{kind}-{rate}-{args.plant_seed}"
    out = folder / f"{name}{'.npz' if source.suffix == '.npz' else '.csv'}"
    if not out.exists():
        pairs = ["--map", args.map] if args.map else []
        labeltrace(
            "corrupt", str(source), "--kind", kind, "--rate", rate, "--seed", str(args.plant_seed),
            "--out", str(out), *pairs,
        )  # fmt: skip
    return out


def measured(args: argparse.Namespace, source: Path, home: Path, seed: int) -> dict[str, Any]:
    """Return the figures of one audit."""
    name = f"{source.stem}"
    words = ["--workspace", str(home), "--method", args.methods, "--preset", args.preset]
    words += ["--seed", str(seed), "--budget", args.budget, "--name", name, "--json", "--force"]
    if args.weights is not None:
        words += ["--weights", str(args.weights.absolute())]
    out = home.parent / f"{source.stem}-scores.csv"
    said = json.loads(labeltrace("audit", str(source), "--out", str(out), *words))
    with Workspace.open(home) as workspace:
        dataset = dataset_rows.find(workspace, said["dataset"]["id"])
        truth = dataset_rows.truth(workspace, dataset.id)
        assert truth is not None, "the source needs true labels"
        used = [runs.find(workspace, run["id"]) for run in said["runs"]]
        known = evaluating.comparable(dataset, truth)
        is_wrong = dataset.given_labels != truth.true_labels
        found: dict[str, Any] = {}
        for request in scoring.requests(
            workspace, [run.id for run in used], args.methods.split(",")
        ):
            detector = registry.build(request.method)
            identity = scores.digest([run.id for run in request.runs], detector.spec)
            answer = scores.load(workspace, identity)
            own = known & ~np.isnan(answer.suspicion)
            figures = dict(evaluating.measure(dataset, truth, answer))
            figures["best_f1"] = best_f1(answer.suspicion[own], is_wrong[own])
            if answer.flagged is not None:
                figures["flagged_per_wrong"] = float(
                    answer.flagged[own].sum() / max(1, is_wrong[own].sum())
                )
            if answer.precision is not None:
                figures |= stated_precision(answer.precision, answer.flagged, is_wrong, own)
            figures["seconds"] = sum(seconds_of(workspace, run) for run in request.runs)
            figures["messages"] = list(answer.messages)
            found[request.method] = figures
        plain = [r for r in used if r.config.probe is Probe.NONE] or used[:1]
        found |= references(workspace, plain[0], is_wrong, known)
    return {
        "seed": seed,
        "samples": int(known.sum()),
        "wrong": int(is_wrong[known].sum()),
        "runs": {
            run.name: {
                "seconds": seconds_of(workspace, run),
                "epochs": run.config.epochs,
                "architecture": run.config.architecture,
                "precision": str(run.config.precision),
            }
            for run in used
        },
        "methods": found,
    }


def references(
    workspace: Workspace, run: Run, is_wrong: NDArray[np.bool_], known: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return flagging everything, the mean loss and the last epoch's loss of an ordinary run."""
    recorded = dynamics.load(workspace, run)
    rows = recorded.rows(Role.GIVEN)
    rows = rows[known[recorded.sample[rows]]]
    wrong = is_wrong[recorded.sample[rows]]
    loss = recorded.signals["loss"]
    found: dict[str, Any] = {
        "flag everything": {
            "f1": metrics.f1_flag_everything(float(wrong.mean())),
            "flagged_per_wrong": float(len(wrong) / wrong.sum()),
        }
    }
    for name, values in {
        "mean loss": np.mean(loss, axis=0, dtype=np.float64)[rows],
        "last epoch's loss": np.asarray(loss[-1], dtype=np.float64)[rows],
    }.items():
        found[name] = {
            "average_precision": metrics.average_precision(values, wrong),
            "roc_auc": metrics.roc_auc(values, wrong),
            "precision_at_95_recall": metrics.precision_at_95_recall(values, wrong),
            "best_f1": best_f1(values, wrong),
            "seconds": seconds_of(workspace, run),
        }
    return found


def best_f1(suspicion: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    """Return the best F1 that any cut on a ranking reaches; ties stay together."""
    order = np.argsort(-suspicion, kind="stable")
    hits = np.cumsum(is_wrong[order])
    ends = np.flatnonzero(np.append(np.diff(suspicion[order]) != 0, True))
    return float((2 * hits[ends] / (ends + 1 + is_wrong.sum())).max())


def stated_precision(
    precision: NDArray[np.float64],
    flagged: NDArray[np.bool_] | None,
    is_wrong: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> dict[str, float]:
    """Return what a method says of the precision at its own cut, and what it is."""
    if flagged is None or not flagged[known].any():
        return {}
    inside = flagged & known
    return {
        "stated_precision": float(precision[inside].min()),
        "true_precision": float(is_wrong[inside].mean()),
    }


def seconds_of(workspace: Workspace, run: Run) -> float:
    """Return what the jobs of a run took."""
    total = 0.0
    for job in jobs.every(workspace, run_id=run.id):
        if job.started_at and job.finished_at:
            total += (job.finished_at - job.started_at).total_seconds()
    return round(total, 1)


def summary(results: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return minimum, median and maximum over the seeds of every figure of every method."""
    found: dict[str, dict[str, list[float]]] = {}
    for method in results[0]["methods"]:
        figures: dict[str, list[float]] = {}
        for name in (*FIGURES, "stated_precision", "true_precision"):
            values = [r["methods"][method].get(name) for r in results]
            values = [value for value in values if value is not None]
            if values:
                figures[name] = [min(values), float(np.median(values)), max(values)]
        found[method] = figures
    return found


def table(report: dict[str, Any]) -> str:
    """Return a report as a Markdown table: medians, and the range where there are several seeds."""
    head = f"{report['source']}"
    if report["planted"]:
        head += f", {report['planted']}"
    wrong, samples = report["seeds"][0]["wrong"], report["seeds"][0]["samples"]
    lines = [
        f"{head}: {wrong} of {samples} wrong; {report['preset']}, budget {report['budget']}, "
        f"n = {report['n']} seeds",
        "",
        "| method | F1 | AP | ROC AUC | P@95 | flagged ÷ wrong | best F1 | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method, figures in report["summary"].items():
        cells = [cell(figures.get(name), whole=name == "seconds") for name in FIGURES]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def overview(reports: list[dict[str, Any]], figure: str) -> str:
    """Return one figure of every method in every report, medians, as a Markdown table."""
    heads = [
        f"{Path(one['source']).stem}{' ' + one['planted'] if one['planted'] else ''} (n = {one['n']})"
        for one in reports
    ]
    lines = [f"| {figure} | {' | '.join(heads)} |", f"| --- {'| --- ' * len(heads)}|"]
    for method in reports[0]["summary"]:
        known = [one["summary"].get(method, {}).get(figure) for one in reports]
        if any(known):
            cells = ["–" if values is None else f"{values[1]:.3f}" for values in known]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(values: list[float] | None, *, whole: bool) -> str:
    """Return a median, and the smallest and largest value where they differ."""
    if values is None:
        return "–"
    form = "{:.0f}" if whole else "{:.3f}"
    low, middle, high = (form.format(value) for value in values)
    return middle if low == high else f"{middle} ({low} – {high})"


def labeltrace(*words: str) -> str:
    """Run the program and return what it printed."""
    command = [sys.executable, "-m", "audit", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
