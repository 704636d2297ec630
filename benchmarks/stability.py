"""What stopping a run as soon as its ranking has settled saves, and what it costs in average precision.

    python benchmarks/stability.py WORKSPACE… [--without NAME,…] [--json results.json]
    python benchmarks/stability.py --table [--grouped] results.json…
    python benchmarks/stability.py --cost 1000000

Reads every sealed run of some workspaces whose dataset has true labels (and runs whose planted labels are
the truth), and replays the rule of `audit.numerics.stability` on what they recorded: a run that stops
early is the first epochs of the whole run, bit for bit, because the schedule is not shortened. So nothing
is trained here. Average precision is of the wrong labels among the samples under their given label, by
``tanh_epoch`` (the default ranking), ``margin`` and ``log_ratio``, on all epochs and on those before the
stop. Only the mean probabilities of all epochs are kept, so ``log_ratio`` is made from the best other
class of every epoch here, whole and stopped alike. Overlap is that of the sets that the plain cut flags,
common ÷ either.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.detectors import registry
from audit.numerics import metrics, ranking, stability
from audit.numerics.stability import RunningStatistic
from audit.records.dataset import Dataset
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import silent
from audit.records.run import Probe, Run, RunState
from audit.store import datasets as dataset_rows
from audit.store import dynamics, runs
from audit.store.workspace import Workspace
from audit.tasks.stability import Stability
from audit.workbench import evaluating

FEWEST_WRONG = 20
"""Recordings with fewer wrong labels say nothing of average precision."""


def main() -> None:
    """Replay the rule and print a table and JSON, or the tables of earlier results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, nargs="*")
    parser.add_argument("--cost", type=int, metavar="ROWS", help="only what an epoch's check takes")
    parser.add_argument("--only", default="", help="parts of names of runs to read")
    parser.add_argument("--without", default="", help="parts of names of runs to pass over")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true", help="SOURCE are results; print them")
    parser.add_argument("--grouped", action="store_true", help="with --table: equal runs in a line")
    args = parser.parse_args()
    if args.cost:
        print(cost(args.cost))
        return
    if args.table:
        for file in args.source:
            known = json.loads(file.read_text(encoding="utf-8"))
            print(grouped(known) if args.grouped else table(known))
        return
    found: list[dict[str, Any]] = []
    of_aum: list[dict[str, Any]] = []
    for home in args.source:
        with Workspace.open(home) as workspace:
            found += [measured(*one) for one in recordings(workspace, args)]
            of_aum += pairs(workspace, args)
    report = {
        "what": "runs stopped when their ranking had settled, replayed on recorded runs",
        "rule": {
            "levels": dict(stability.LEVELS),
            "fewest_epochs": stability.FEWEST_EPOCHS,
            "fewest_share": stability.FEWEST_SHARE,
            "in_a_row": stability.IN_A_ROW,
        },
        "recordings": found,
        "aum": of_aum,
        "summary": summary(found),
    }
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def cost(n_rows: int, n_epochs: int = 12) -> str:
    """Return what checking an epoch takes of made-up margins: processor seconds, and memory on top."""
    rng = np.random.default_rng(0)
    easy = rng.normal(1.5, 3, n_rows)
    signal = [(easy + rng.normal(0, 2, n_rows)).astype(np.float32) for _ in range(n_epochs)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    follower = Stability(np.zeros(n_rows, dtype=np.int8), signal.__getitem__, n_planned=n_epochs)
    took: list[float] = []
    for epoch, margins_now in enumerate(signal):
        began = time.process_time()
        follower.after_epoch(epoch, {"margin": margins_now})
        took.append(time.process_time() - began)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"{n_rows} rows: {np.median(took):.2f} s per epoch, {more / 1024:.0f} MB more"


def recordings(
    workspace: Workspace, args: argparse.Namespace
) -> Iterator[tuple[Dataset, Run, TrainingDynamics, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Give every run that can be judged: which rows are wrong, and of which that is known, (R,) each."""
    only, without = (
        [word for word in text.split(",") if word] for text in (args.only, args.without)
    )
    for run in runs.all(workspace):
        if run.state is not RunState.SEALED or any(word in run.name for word in without):
            continue
        if only and not any(word in run.name for word in only):
            continue
        dataset = dataset_rows.find(workspace, run.dataset_id)
        truth = dataset_rows.truth(workspace, dataset.id)
        recorded = dynamics.load(workspace, run)
        if run.config.probe is Probe.CONTAMINATED:
            # The wrong labels to find are those that were planted, whatever the others are.
            wrong = recorded.role != Role.GIVEN
            known = np.ones(len(wrong), dtype=np.bool_)
            recorded = replace(recorded, role=np.full(len(wrong), Role.GIVEN, dtype=np.int8))
        elif truth is None:
            continue
        else:
            wrong = (dataset.given_labels != truth.true_labels)[recorded.sample]
            known = evaluating.comparable(dataset, truth)[recorded.sample]
        own = recorded.rows(Role.GIVEN)
        if (wrong & known)[own].sum() >= FEWEST_WRONG:
            yield dataset, run, recorded, wrong, known


def measured(
    dataset: Dataset,
    run: Run,
    recorded: TrainingDynamics,
    wrong: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> dict[str, Any]:
    """Return where the rule stops a run and what that changes."""
    course = replayed(recorded)
    n_planned = recorded.n_epochs
    n_used = stability.settled_after(course, n_planned) or n_planned
    own = recorded.rows(Role.GIVEN)
    judged = own[known[own]]
    by_method: dict[str, Any] = {}
    for method, statistic in STATISTICS.items():
        if method == "log_ratio" and "best_other_class" not in recorded.signals:
            continue
        whole, stopped = (
            metrics.average_precision(-statistic(recorded, n)[judged], wrong[judged])
            for n in (n_planned, n_used)
        )
        by_method[method] = {"whole": whole, "stopped": stopped, "lost": whole - stopped}
    flags = [ranking.tanh_epoch(margins(recorded, n))[own] < 0 for n in (n_planned, n_used)]
    either = int((flags[0] | flags[1]).sum())
    return {
        "dataset": dataset.name,
        "run": run.name,
        "preset": run.config.preset,
        "probe": str(run.config.probe),
        "schedule": str(run.config.schedule),
        "seed": run.config.seed,
        "rows": len(own),
        "wrong_fraction": float(wrong[judged].mean()),
        "epochs": n_planned,
        "stopped_after": n_used,
        "saved_fraction": 1 - n_used / n_planned,
        "average_precision": by_method,
        "flags_overlap": int((flags[0] & flags[1]).sum()) / either if either else 1.0,
    }


def pairs(workspace: Workspace, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what stopping the two parts of each threshold probe apart does to AUM and its flags."""
    groups: dict[str, list[tuple[Dataset, Run, TrainingDynamics]]] = {}
    for dataset, run, recorded, *_ in recordings(workspace, args):
        if run.config.probe is Probe.THRESHOLD and run.config.probe_group is not None:
            groups.setdefault(run.config.probe_group, []).append((dataset, run, recorded))
    found: list[dict[str, Any]] = []
    for group in groups.values():
        if len(group) < 2:
            continue
        dataset = group[0][0]
        truth = dataset_rows.truth(workspace, dataset.id)
        assert truth is not None, "recordings have truth"
        whole = [recorded for *_, recorded in group]
        used = [
            stability.settled_after(replayed(one), one.n_epochs) or one.n_epochs for one in whole
        ]
        figures = [
            evaluating.measure(dataset, truth, registry.build("aum").score(some, silent))
            for some in (whole, [first(one, n) for one, n in zip(whole, used, strict=True)])
        ]
        found.append(
            {
                "dataset": dataset.name,
                "seed": group[0][1].config.seed,
                "epochs": whole[0].n_epochs,
                "stopped_after": used,
                **{
                    name: {"whole": figures[0][name], "stopped": figures[1][name]}
                    for name in ("average_precision", "f1", "flagged_fraction")
                },
            }
        )
    return found


def first(recorded: TrainingDynamics, n_epochs: int) -> TrainingDynamics:
    """Return the first epochs of a run; its mean probabilities, of all epochs, are left out."""
    signals = {name: values[:n_epochs] for name, values in recorded.signals.items()}
    return replace(recorded, signals=signals, mean_probabilities=None)


def replayed(recorded: TrainingDynamics) -> list[dict[str, float]]:
    """Return what each epoch would have recorded of stability, by the class that training uses."""
    signal = recorded.signals["margin"]
    follower = Stability(recorded.role, lambda epoch: signal[epoch], n_planned=recorded.n_epochs)
    return [follower.after_epoch(epoch, {"margin": signal[epoch]}) for epoch in range(len(signal))]


def margins(recorded: TrainingDynamics, n_epochs: int) -> NDArray[np.float32]:
    """Return the first epochs' margins, (T, R)."""
    return np.asarray(recorded.signals["margin"][:n_epochs], dtype=np.float32)


def tanh_epoch(recorded: TrainingDynamics, n_epochs: int) -> NDArray[np.float64]:
    """Return the default ranking's statistic after so many epochs, (R,), low = suspect."""
    statistic = RunningStatistic(recorded.n_rows)
    for epoch in margins(recorded, n_epochs):
        statistic.add(epoch)
    return statistic.values()


def mean_margin(recorded: TrainingDynamics, n_epochs: int) -> NDArray[np.float64]:
    """Return the mean margin as the detector ``margin`` makes it."""
    return ranking.mean_over_epochs(margins(recorded, n_epochs), skip_first=1)


def log_ratio(recorded: TrainingDynamics, n_epochs: int) -> NDArray[np.float64]:
    """Return ``log_ratio`` from each epoch's given label and best other class."""
    given: NDArray[np.float64] = np.zeros(recorded.n_rows)
    others: NDArray[np.float64] = np.zeros((recorded.n_rows, recorded.n_classes + 1))
    rows = np.arange(recorded.n_rows)
    for epoch in range(n_epochs):
        own = np.asarray(recorded.signals["given_probability"][epoch], dtype=np.float64)
        ratio = np.exp(-np.asarray(recorded.signals["margin"][epoch], dtype=np.float64))
        given += own
        others[rows, recorded.signals["best_other_class"][epoch]] += np.minimum(own * ratio, 1.0)
    best = others[:, : recorded.n_classes].max(axis=1)
    return ranking.log_ratio(given / n_epochs, best / n_epochs)


STATISTICS = {"tanh_epoch": tanh_epoch, "margin": mean_margin, "log_ratio": log_ratio}


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how much is saved in all, and the most that is lost."""
    epochs = sum(one["epochs"] for one in found)
    used = sum(one["stopped_after"] for one in found)
    return {
        "recordings": len(found),
        "stopped": sum(one["stopped_after"] < one["epochs"] for one in found),
        "epochs": epochs,
        "epochs_used": used,
        "saved_fraction": 1 - used / epochs if epochs else 0.0,
        "lost": {
            method: {
                "median": float(np.median(losses)),
                "most": max(losses),
            }
            for method in STATISTICS
            if (
                losses := [
                    one["average_precision"][method]["lost"]
                    for one in found
                    if method in one["average_precision"]
                ]
            )
        },
    }


def grouped(report: dict[str, Any]) -> str:
    """Return a report as Markdown, a line for all runs of one kind on one dataset."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in report["recordings"]:
        groups.setdefault((one["dataset"], one["preset"], one["probe"]), []).append(one)
    lines = [
        "| labels | wrong | run | n | epochs | stopped after | saved | AP whole | lost: `tanh_epoch` "
        "| `margin` | `log_ratio` | flags common |",
        f"|{' --- |' * 12}",
    ]
    for (dataset, preset, probe), members in groups.items():
        used = [one["stopped_after"] for one in members]
        whole = [one["average_precision"]["tanh_epoch"]["whole"] for one in members]
        cells = [
            dataset,
            f"{members[0]['wrong_fraction']:.0%}",
            f"{preset}, {'ordinary' if probe == 'none' else probe}",
            str(len(members)),
            str(members[0]["epochs"]),
            span(used, "{:.0f}"),
            f"{np.mean([one['saved_fraction'] for one in members]):.0%}",
            f"{np.median(whole):.3f}",
        ]
        for method in STATISTICS:
            lost = [
                one["average_precision"][method]["lost"]
                for one in members
                if method in one["average_precision"]
            ]
            cells.append(span(lost, "{:+.3f}") if lost else "–")
        cells.append(f"{np.median([one['flags_overlap'] for one in members]):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def span(values: list[float], form: str) -> str:
    """Return the smallest and the largest of some values, one of them where they look the same."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def table(report: dict[str, Any]) -> str:
    """Return a report as Markdown, a line for each run."""

    def lost(one: dict[str, Any], method: str) -> str:
        known = one["average_precision"].get(method)
        return "–" if known is None else f"{known['lost']:+.3f}"

    lines = [
        "| run | wrong | schedule | epochs | stopped after | saved | AP whole | AP stopped | lost "
        "| lost, margin | lost, log_ratio | flags common |",
        f"|{' --- |' * 12}",
    ]
    for one in report["recordings"]:
        default = one["average_precision"]["tanh_epoch"]
        lines.append(
            f"| {one['run']} | {one['wrong_fraction']:.1%} | {one['schedule']} | {one['epochs']} "
            f"| {one['stopped_after']} | {one['saved_fraction']:.0%} | {default['whole']:.3f} "
            f"| {default['stopped']:.3f} | {lost(one, 'tanh_epoch')} | {lost(one, 'margin')} "
            f"| {lost(one, 'log_ratio')} | {one['flags_overlap']:.2f} |"
        )
    told = report["summary"]
    in_words = ", ".join(
        f"{name} {of['median']:+.3f} (most {of['most']:+.3f})" for name, of in told["lost"].items()
    )
    lines += [
        "",
        f"{told['stopped']} of {told['recordings']} runs stopped; {told['epochs_used']} of "
        f"{told['epochs']} epochs trained ({told['saved_fraction']:.0%} saved). AP lost, median: {in_words}.",
    ]
    if report.get("aum"):
        lines += [
            "",
            "| `aum`, parts stopped apart | seed | epochs | stopped after | AP whole | AP stopped | F1 whole "
            "| F1 stopped |",
            f"|{' --- |' * 8}",
        ]
    for one in report.get("aum", ()):
        average, f1 = one["average_precision"], one["f1"]
        lines.append(
            f"| {one['dataset']} | {one['seed']} | {one['epochs']} "
            f"| {', '.join(map(str, one['stopped_after']))} | {average['whole']:.3f} "
            f"| {average['stopped']:.3f} | {f1['whole']:.3f} | {f1['stopped']:.3f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
