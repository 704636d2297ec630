"""Gather what the benchmarks measured of each method into the file that the Methods page shows.

    python benchmarks/method_figures.py [--check]

Reads the results of ``quality.py`` and ``detectors.py`` in ``benchmarks/results`` and writes
``audit/workbench/figures.json``, which a wheel carries. Of several results on the same labels with the
same preset the one with the most seeds counts, of equal ones the last by name. ``--check`` only says
whether the file is up to date.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from audit.detectors import catalog

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FIGURES = ROOT / "audit" / "workbench" / "figures.json"

TITLES = {
    "c10.npz": "CIFAR-10, human labels (aggregate)",
    "c10agg.npz": "CIFAR-10, human labels (aggregate)",
    "c10-aggregate.npz": "CIFAR-10, human labels (aggregate)",
    "c10-random1.npz": "CIFAR-10, human labels (one person each)",
    "fashion.npz": "Fashion-MNIST",
    "labels.csv": "Clothing photographs",
}
"""Sources by file name, as people know them; others are shown by their file name."""

KEPT = ("average_precision", "roc_auc", "f1", "flagged_per_wrong")


def main() -> None:
    """Write the file, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    made = as_text(gather(RESULTS))
    if not options.check:
        FIGURES.write_text(made, encoding="utf-8")
    elif FIGURES.read_text(encoding="utf-8") != made:
        sys.exit(f"{FIGURES.name} is not up to date: run python benchmarks/method_figures.py")


def gather(folder: Path) -> list[dict[str, Any]]:
    """Return the figures of every method of the catalogue that a folder of results has measured."""
    best: dict[tuple[str, ...], dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        report = json.loads(file.read_text(encoding="utf-8"))
        if not is_quality(report):
            continue
        for method, figures in report["summary"].items():
            if method not in catalog.names() or "average_precision" not in figures:
                continue
            found = figure(file.name, report, method, figures)
            key = tuple(str(found[name]) for name in ("method", "labels", "preset", "budget"))
            if key not in best or found["n"] >= best[key]["n"]:
                best[key] = found
    order = {method: place for place, method in enumerate(catalog.names())}
    return sorted(best.values(), key=lambda f: (order[f["method"]], f["labels"], f["preset"]))


def is_quality(report: object) -> bool:
    """Return whether a result measures methods against the truth, seed by seed."""
    return (
        isinstance(report, dict)
        and {"source", "preset", "n", "seeds", "summary"} <= set(report)
        and all({"wrong", "samples", "methods"} <= set(seed) for seed in report["seeds"])
    )


def figure(
    file: str, report: dict[str, Any], method: str, figures: dict[str, Any]
) -> dict[str, Any]:
    """Return one method's figures of one result."""
    seed = report["seeds"][0]
    return {
        "method": method,
        "labels": labels(report),
        "preset": report["preset"],
        "budget": report.get("budget", "full"),
        "n": report["n"],
        "samples": seed["samples"],
        "wrong": seed["wrong"],
        "file": file,
        **{name: figures[name] for name in KEPT if name in figures},
    }


def labels(report: dict[str, Any]) -> str:
    """Return which labels were looked at: the source, and what was planted into it."""
    said = TITLES.get(report["source"], report["source"])
    planted = report.get("plant") or report.get("planted")
    if isinstance(planted, float):
        return f"{said}, {100 * planted:g} % planted"
    if planted:
        kind, _, rate = str(planted).partition(":")
        return f"{said}, {kind} noise planted at {100 * float(rate):g} %"
    return said


def as_text(figures: list[dict[str, Any]]) -> str:
    """Return the content of the file, one figure a line."""
    lines = ",\n".join(" " + json.dumps(figure, ensure_ascii=False) for figure in figures)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    main()
