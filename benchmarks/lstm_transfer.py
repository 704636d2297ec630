"""The LSTM noise detector off the shelf, fine-tuned and fitted on the spot, beside the margin.

    python benchmarks/lstm_transfer.py c10.npz --preset features --weights W.npz --from lstm-features
    python benchmarks/lstm_transfer.py f.npz --plant symmetric:0.2 --preset quick --from lstm-quick

SOURCE is anything that ``labeltrace import`` takes, with true labels, which nothing but the figures sees;
``--plant KIND:RATE`` corrupts its labels first. ``labeltrace fit-lstm`` plants noise of its own into the
given labels, wrong ones included, and trains once for both kinds of fitting. Workspace and files lie in
the folder that ``--folder`` names, where an interrupted benchmark goes on; a temporary one otherwise.
"""

import argparse
import csv
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import detectors
import numpy as np

from audit.numerics import metrics
from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace


def main() -> None:
    """Fit, score, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--from", dest="start", default="lstm-quick", help="weights to go on from")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--plant", help="KIND:RATE as `labeltrace corrupt` knows them")
    parser.add_argument(
        "--map", help="classes for asymmetric noise, as `labeltrace corrupt` takes them"
    )
    parser.add_argument("--plant-seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labeltrace-lstm-") as temporary:
        folder = args.folder or Path(temporary)
        source = detectors.planted(args.source, args, folder) if args.plant else args.source
        results = [measured(args, source, folder, int(seed)) for seed in args.seeds.split(",")]
    report = {
        "what": "the LSTM noise detector off the shelf, fine-tuned and fitted from nothing",
        "source": args.source.name,
        "planted": args.plant,
        "preset": args.preset,
        "from": args.start,
        "machine": f"{os.cpu_count()} CPU cores, no GPU",
        "n": len(results),
        "seeds": results,
    }
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measured(args: argparse.Namespace, source: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Return the figures of one seed."""
    home = ["--workspace", str(folder / "workspace")]
    setting = ["--preset", args.preset, "--seed", str(seed), *home]
    if args.weights is not None:
        setting += ["--weights", str(args.weights.absolute())]
    out = folder / f"{source.stem}-{seed}.csv"
    said = json.loads(
        detectors.labeltrace(
            "audit",
            str(source),
            "--method",
            "margin,lstm",
            "--name",
            source.stem,
            "--out",
            str(out),
            "--json",
            "--force",
            *setting,
        )
    )
    (run,) = (one["id"] for one in said["runs"])
    found = {"margin": figures(out, "margin", folder, said["dataset"]["id"])}
    found["off the shelf"] = figures(out, "lstm", folder, said["dataset"]["id"])
    for name, words in {"fine-tuned": ["--from", args.start], "own": []}.items():
        stem = f"{source.stem}-{seed}-{name}"
        fitted = folder / f"{stem}.safetensors"
        if not fitted.exists():
            channels = ["--channels", "q,margin"]
            detectors.labeltrace(
                "fit-lstm", source.stem, "--out", str(folder), "--name", stem, *words, *channels,
                *setting,
            )  # fmt: skip
        detectors.labeltrace(
            "score", run, "--method", "lstm", "--param", f"lstm.weights={fitted}",
            "--out", str(out), "--force", *home,
        )  # fmt: skip
        found[name] = figures(out, "lstm", folder, said["dataset"]["id"])
    return {"seed": seed, "methods": found}


def figures(file: Path, method: str, folder: Path, dataset_id: str) -> dict[str, float]:
    """Return how well the scores in a file rank and cut."""
    with Workspace.open(folder / "workspace") as workspace:
        dataset = dataset_rows.find(workspace, dataset_id)
        truth = dataset_rows.truth(workspace, dataset.id)
    assert truth is not None, "the source needs true labels"
    place = {key: number for number, key in enumerate(dataset.sample_keys)}
    with file.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row[f"{method}_suspicion"]]
    at = np.array([place[row["sample_key"]] for row in rows])
    suspicion = np.array([float(row[f"{method}_suspicion"]) for row in rows])
    wrong = (dataset.given_labels != truth.true_labels)[at]
    found = {
        "average_precision": metrics.average_precision(suspicion, wrong),
        "roc_auc": metrics.roc_auc(suspicion, wrong),
        "best_f1": detectors.best_f1(suspicion, wrong),
    }
    flags = [row[f"{method}_flagged"] for row in rows]
    if all(flags):
        flagged = np.array([flag == "True" for flag in flags])
        found["f1"] = metrics.flag_quality(flagged, wrong).f1
        found["flagged_per_wrong"] = float(flagged.sum() / max(1, wrong.sum()))
    return found


def table(report: dict[str, Any]) -> str:
    """Return a report as a Markdown table: medians, and the range where there are several seeds."""
    names = ("average_precision", "roc_auc", "best_f1", "f1", "flagged_per_wrong")
    head = f"{report['source']}{', ' + report['planted'] if report['planted'] else ''}"
    lines = [
        f"{head}: {report['preset']}, from {report['from']}, n = {report['n']} seeds",
        "",
        "| weights | AP | ROC AUC | best F1 | F1 | flagged ÷ wrong |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method in report["seeds"][0]["methods"]:
        cells: list[str] = []
        for name in names:
            values = [one["methods"][method].get(name) for one in report["seeds"]]
            known = [value for value in values if value is not None]
            spread = [min(known), float(np.median(known)), max(known)] if known else None
            cells.append(detectors.cell(spread, whole=False))
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
