"""What fixing labels is worth: arms retrained on a test split, and how well the fast estimate foretells it.

    python benchmarks/debugging.py SOURCE [--plant KIND:RATE] [--preset P] [--weights FILE]
                                   [--method tanh_epoch] [--top 10] [--seeds 3] [--stages 4]
                                   [--arms A,B,…] [--arms-preset P] [--workspace DIR] [--json FILE]
    python benchmarks/debugging.py --table FILE…

SOURCE is anything that ``labeltrace import`` takes, with true labels and a split ``test``. One ``labeltrace
audit`` ranks the training samples; a simulated reviewer looks at the first ``--top`` per cent of them, most
suspicious first, and decides by the true labels: keep or relabel. After each of ``--stages`` equal parts
``labeltrace compare`` retrains the given and the relabelled labels, after the last one all arms, and the
fast estimate (a linear head) says what it expects of the same decisions. With ``--arms-preset`` the arms are
trained otherwise than the run that ranks. Printed are the arms, the differences, and the correlation of
estimate and retraining over the stages of all files whose arms were trained alike.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from audit.records.dataset import Dataset, Split
from audit.records.decision import Decision, Verdict
from audit.records.job import Job, JobState
from audit.records.progress import silent
from audit.store import datasets as dataset_rows
from audit.store import decisions
from audit.store.workspace import Workspace
from audit.tasks import estimate_gain
from audit.workbench import gain, settling, suspects
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

ARMS = "given,dropped,relabelled,downweighted,automatic,oracle"


def main() -> None:
    """Measure, or print what was measured before."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, nargs="+")
    parser.add_argument("--table", action="store_true", help="SOURCE are results; print them")
    parser.add_argument("--plant", help="KIND:RATE as `labeltrace corrupt` knows them")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--method", default="tanh_epoch")
    parser.add_argument("--top", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--arms", default=ARMS)
    parser.add_argument("--arms-preset", help="for the arms, if not the one that ranks")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.table:
        print(as_table([json.loads(file.read_text(encoding="utf-8")) for file in options.source]))
        return
    with tempfile.TemporaryDirectory(prefix="debugging-") as folder:
        home = options.workspace or Path(folder) / "workspace"
        source = planted(options.source[0], options, Path(folder))
        found = measured(options, source, home, Path(folder))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(as_table([found]))


def planted(source: Path, options: argparse.Namespace, folder: Path) -> Path:
    """Return a source whose labels are corrupted as asked, or the source itself."""
    if options.plant is None:
        return source
    kind, rate = options.plant.split(":")
    out = folder / "planted.npz"
    labeltrace("corrupt", source, "--kind", kind, "--rate", rate, "--seed", 0, "--out", out)
    return out


def measured(options: argparse.Namespace, source: Path, home: Path, folder: Path) -> dict[str, Any]:
    """Return the stages of a review and what each was worth."""
    place = ("--workspace", home)
    training = ["--preset", options.preset]
    training += [] if options.weights is None else ["--weights", options.weights]
    training += [] if options.epochs is None else ["--epochs", options.epochs]
    arms_training = training if options.arms_preset is None else ["--preset", options.arms_preset]
    labeltrace(
        *place, "audit", source, "--name", "debugged", "--method", options.method, *training,
        "--out", folder / "suspects.csv",
    )  # fmt: skip
    with Workspace.open(home) as workspace:
        shelf = Shelf(workspace)
        dataset = shelf.dataset("debugged")
        truth = dataset_rows.truth(workspace, dataset.id)
        assert truth is not None
        ranking = suspects.ranked(shelf, dataset, options.method)
        order = ranking.order[np.isin(ranking.order, dataset.usable((Split.TRAIN,)))]
        n_looked = round(options.top / 100 * len(order))
        looked = order[:n_looked]
        wrong = truth.true_labels != dataset.given_labels
        stages: list[dict[str, Any]] = []
        parts = np.array_split(looked, options.stages)
        for number, part in enumerate(parts, start=1):
            decisions.append(workspace, [decided(dataset, at, truth.true_labels) for at in part])
            arms = options.arms if number == len(parts) else "given,relabelled"
            compared = json.loads(
                labeltrace(
                    *place, "compare", "debugged", "--arms", arms, "--top", "decided", "--seeds",
                    options.seeds, *arms_training, "--json",
                )
            )  # fmt: skip
            weights = compared["config"]["weights"]
            # A result says which file, not where somebody keeps it.
            compared["config"]["weights"] = None if weights is None else Path(weights).name
            stages.append(
                {
                    "looked": sum(len(one) for one in parts[:number]),
                    "relabelled": int(
                        wrong[looked[: sum(len(one) for one in parts[:number])]].sum()
                    ),
                    "estimate": estimated(shelf, dataset),
                    # What those see who have no run on features.
                    "estimate_as_arms": options.arms_preset
                    and estimated(shelf, dataset, preset=options.arms_preset),
                    "compare": compared,
                }
            )
        in_training = np.zeros(dataset.n_samples, dtype=np.bool_)
        in_training[dataset.usable((Split.TRAIN,))] = True
    return {
        "source": options.source[0].name,
        "plant": options.plant,
        "preset": options.preset,
        "arms_preset": options.arms_preset or options.preset,
        "method": options.method,
        "top": options.top,
        "machine": f"{os.cpu_count()} CPU cores",
        "samples": int(in_training.sum()),
        "wrong": int((wrong & in_training).sum()),
        "stages": stages,
    }


def decided(dataset: Dataset, position: int, truth: np.ndarray) -> Decision:
    """Return what a reviewer who knows the truth decides."""
    given = dataset.class_names[dataset.given_labels[position]]
    right = dataset.class_names[truth[position]]
    is_right = given == right
    return Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[position],
        given_label=given,
        verdict=Verdict.KEEP if is_right else Verdict.RELABEL,
        label=right,
        reviewer="simulated",
        decided_at=datetime.now(UTC),
    )


def estimated(shelf: Shelf, dataset: Dataset, *, preset: str | None = None) -> dict[str, Any]:
    """Return the last point of the fast estimate, and the seconds of all; as if all runs were of a preset."""
    told = gain.arguments(shelf, dataset)
    assert told is not None
    if preset is not None:
        (config,) = settling.settle(dataset, Wishes(preset=preset, device="cpu"))
        told |= {"config": config.to_json(), "threads": config.threads}
    job = Job(
        id="estimate", kind=gain.KIND, arguments=told, device="cpu", state=JobState.QUEUED,
        created_at=datetime.now(UTC),
    )  # fmt: skip
    result = estimate_gain.run(shelf.workspace, job, silent)
    return {**result["points"][-1], "seconds": result["seconds"], "seen": result["seen"]}


def as_table(reports: Sequence[dict[str, Any]]) -> str:
    """Return the arms of every report, and what the estimate was worth for each way of training."""
    lines: list[str] = []
    for found in reports:
        last = found["stages"][-1]
        planted_kind = f", planted {found['plant']}" if found["plant"] else ""
        ranked = "" if found["arms_preset"] == found["preset"] else f", ranked by {found['preset']}"
        lines += [
            f"**{found['source']}{planted_kind}**, preset {found['arms_preset']}{ranked}: "
            f"{found['wrong']:,} of {found['samples']:,} training labels wrong; the reviewer looked at "
            f"{last['looked']:,} and relabelled {last['relabelled']:,}; tested on "
            f"{last['compare']['n_tested']:,}.",
            "",
            "| arm | accuracy (95 %) | against given | seconds |",
            "| --- | --- | --- | --- |",
            *(arm_line(arm) for arm in last["compare"]["arms"]),
            "",
        ]
    for preset in dict.fromkeys(found["arms_preset"] for found in reports):
        lines += estimate_lines(preset, [one for one in reports if one["arms_preset"] == preset])
    return "\n".join(lines)


def estimate_lines(preset: str, reports: Sequence[dict[str, Any]]) -> list[str]:
    """Return how the estimate stood to the retraining over all stages of reports."""
    pairs = [
        (stage["estimate"]["gain"], difference_of(stage["compare"]))
        for found in reports
        for stage in found["stages"]
    ]
    expected, real = np.array(pairs).T
    part = np.median(expected[real != 0] / real[real != 0])
    said = f"Estimate and retraining with {preset} over {len(pairs)} stages: "
    if len(pairs) > 2:
        pearson = np.corrcoef(expected, real)[0, 1]
        spearman = stats.spearmanr(expected, real).statistic
        said += f"Pearson {pearson:.2f}, Spearman {spearman:.2f}; "
    lines = [f"{said}the estimate is {part:.2f} of the retraining's gain in the median.", ""]
    others = [found["stages"][-1].get("estimate_as_arms") for found in reports]
    if any(others):
        gains = ", ".join(f"{100 * one['gain']:+.1f} ({one['seen']})" for one in others if one)
        lines[0] += f" Without a run on features, after the whole review: {gains}."
    return lines


def arm_line(arm: dict[str, Any]) -> str:
    """Return a row of the table."""
    if arm["accuracy"] is None:
        return f"| {arm['arm']} | – | | |"
    low, high = (100 * value for value in arm["interval"])
    against = ""
    if arm["difference"] is not None:
        ends = [100 * value for value in arm["difference_interval"]]
        against = f"{100 * arm['difference']:+.2f} ({ends[0]:+.2f} to {ends[1]:+.2f})"
    return (
        f"| {arm['arm']} | {100 * arm['accuracy']:.2f} % ({low:.2f} – {high:.2f}) | {against} | "
        f"{arm['seconds']:.0f} |"
    )


def difference_of(compared: dict[str, Any]) -> float:
    """Return what relabelling gained over the given labels, in parts of one."""
    return next(arm["difference"] for arm in compared["arms"] if arm["arm"] == "relabelled")


def labeltrace(*words: object) -> str:
    """Run a command and return what it printed."""
    command = [sys.executable, "-m", "audit", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
