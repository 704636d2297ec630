"""How well audits find wrong labels, how long they take and how much memory: several seeds, one command.

    python benchmarks/quality.py SOURCE --methods margin --preset quick --seeds 3
    python benchmarks/quality.py SOURCE --methods aum --preset features --weights W.npz --plant 0.1

SOURCE is anything that ``labeltrace import`` takes, with true labels; or without them and with
``--plant RATE``, which replaces that part of the labels by other classes and takes the old ones for true.
Every seed is a whole ``labeltrace audit`` in a workspace of its own: import, decoding, features, training
and scoring are in the seconds. Memory is the largest sum, over the processes of the audit, of their
proportional set sizes, sampled ten times a second.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from audit.datasets import sources
from audit.numerics import metrics, noise

FIGURES = ("average_precision", "roc_auc", "f1", "precision", "recall")


def main() -> None:
    """Run the audits and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--methods", default="margin")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plant", type=float, help="rate of labels to replace, uniformly")
    parser.add_argument("--plant-seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("rest", nargs="*", help="further flags for labeltrace audit, after --")
    args = parser.parse_args()
    results = [run(args, seed) for seed in range(args.seeds)]
    report = {
        "source": args.source.name,
        "preset": args.preset,
        "plant": args.plant,
        "n": args.seeds,
        "machine": f"{os.cpu_count()} CPU cores",
        "seeds": results,
        "summary": summary(results),
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return
    for method, figures in report["summary"].items():
        for name, (low, middle, high) in figures.items():
            print(
                f"{method:12} {name:20} {middle:10.4f}   [{low:.4f} – {high:.4f}]  n={args.seeds}"
            )


def run(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return the figures of one audit in a new workspace."""
    with tempfile.TemporaryDirectory(prefix="labeltrace-quality-") as folder:
        home = Path(folder)
        source = args.source if args.plant is None else planted(args, home)
        out = home / "scores.csv"
        command = [sys.executable, "-m", "audit", "audit", str(source), "--out", str(out), "--json"]
        command += ["--method", args.methods, "--preset", args.preset, "--seed", str(seed)]
        command += ["--workspace", str(home / "workspace"), *args.rest]
        if args.weights is not None:
            command += ["--weights", str(args.weights)]
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watch = MemoryWatch(str(home / "workspace"))
        stdout, _ = process.communicate()
        seconds = time.monotonic() - started
        peak = watch.stop()
        if process.returncode != 0:
            raise SystemExit(f"seed {seed}: labeltrace audit ended with {process.returncode}")
        found = json.loads(stdout)["evaluation"]
        figures = {
            method: values | intervals(out, source, method)
            for method, values in found["methods"].items()
        }
        return {
            "seed": seed,
            "seconds": round(seconds, 1),
            "peak_bytes": peak,
            "wrong": found["wrong"],
            "samples": found["samples"],
            "methods": figures,
        }


def intervals(scores_file: Path, source: Path, method: str) -> dict[str, Any]:
    """Return flagged ÷ wrong, and a bootstrap interval of the average precision over samples."""
    plan = sources.plan(source)
    assert plan.truth is not None, "the source needs true labels"
    with scores_file.open(encoding="utf-8", newline="") as stream:
        cells = [(r[f"{method}_suspicion"], r[f"{method}_flagged"]) for r in csv.DictReader(stream)]
    is_scored = np.array([bool(suspicion) for suspicion, _ in cells])
    suspicion = np.array([float(s or "nan") for s, _ in cells])[is_scored]
    is_wrong = (plan.given_labels != plan.truth.true_labels)[is_scored]
    low, high = metrics.bootstrap_interval(
        metrics.average_precision, suspicion, is_wrong, rng=np.random.default_rng(0)
    )
    flags = np.array([flag.lower() == "true" for _, flag in cells])[is_scored]
    return {
        "average_precision_interval": [low, high],
        "flagged_per_wrong": float(flags.sum() / is_wrong.sum())
        if any(f for _, f in cells)
        else None,
    }


def planted(args: argparse.Namespace, home: Path) -> Path:
    """Write a table with planted wrong labels, whose truth are the source's own labels."""
    plan = sources.plan(args.source)
    labels = plan.given_labels.astype(np.int64)
    wrong = noise.sym_exclude(
        labels, args.plant, len(plan.class_names), np.random.default_rng(args.plant_seed)
    )
    table = home / "planted.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "true_label"])
        for path, given, true in zip(plan.paths, wrong.labels, labels, strict=True):
            full = Path(plan.source.root, str(path)).absolute()
            writer.writerow([full, plan.class_names[given], plan.class_names[true]])
    return table


def summary(results: list[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return minimum, median and maximum over the seeds of every figure of every method."""
    table: dict[str, dict[str, tuple[float, float, float]]] = {}
    for method in results[0]["methods"]:
        rows = [
            r["methods"][method] | {k: r[k] for k in ("seconds", "peak_bytes")} for r in results
        ]
        figures = {}
        for name in (*FIGURES, "flagged_per_wrong", "seconds", "peak_bytes"):
            values = [row[name] for row in rows if row.get(name) is not None]
            if values:
                figures[name] = (min(values), float(np.median(values)), max(values))
        table[method] = figures
    return table


class MemoryWatch(threading.Thread):
    """Samples the memory of every process that works in a workspace, wherever it was started from."""

    def __init__(self, workspace: str) -> None:
        super().__init__(daemon=True)
        self._workspace = workspace
        self._over = threading.Event()
        self._peak = 0
        self.start()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._over.wait(0.1):
            self._peak = max(self._peak, self._now())

    def stop(self) -> int:
        """Return the largest sum in bytes."""
        self._over.set()
        self.join()
        return self._peak

    def _now(self) -> int:
        total = 0
        for process in psutil.process_iter():
            try:
                if any(self._workspace in word for word in process.cmdline()):
                    memory = process.memory_full_info()
                    total += getattr(memory, "pss", memory.uss)
            except psutil.Error:
                continue
        return total


if __name__ == "__main__":
    main()
