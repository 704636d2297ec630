"""Seconds and memory that every method takes to score what was recorded; trainings are not counted.

    python benchmarks/costs.py [--quick] [--methods M,…] [--threads 1,2] [--repeat 3] [--json FILE]

Prints the README's table; ``benchmarks/results/costs.json`` is a whole measurement.

Recordings are made up as a network that first generalises and then memorises leaves them: ten classes, a
tenth of the labels wrong, threshold rows, corrupted copies and planted labels where a method needs them,
in files that are read memory-mapped as those of a run are. Each measurement is a process of its own, from
the call of the method to its scores, what it imports included. Beside the seconds on the clock stand
those of the processor, which a busy machine changes less; memory is the largest resident size of the
whole process, pages of the recording that it has looked at included.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.compute import lanes
from audit.detectors import catalog, registry
from audit.numerics import noise, signals
from audit.records.dynamics import MeanProbabilities, TrainingDynamics
from audit.records.progress import silent
from audit.records.run import Probe, RunConfig, Schedule

N_CLASSES, NOISE_RATE = 10, 0.1
LOOKS, EVERY_EPOCH, LEARNT, MEMORISED = 0.9, 0.7, 4.0, 2.5
"""Logits: of a look that stays, of the noise of an epoch, gained by the true class, by the assigned one.
With these, sequences of signs repeat about as often as in recordings of photographs."""

KEPT = ("margin", "given_logit", "best_other_logit", "given_probability")
_ROWS_AT_ONCE = 100_000


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is scored, and with what."""

    samples: int
    epochs: int
    methods: tuple[str, ...]
    once: bool = False
    """Whether it takes so long that it is measured only once."""


SIZES = (
    Size(samples=50_000, epochs=30, methods=catalog.names()),
    Size(samples=50_000, epochs=200, methods=catalog.names()),
    Size(samples=1_000_000, epochs=100, methods=("aum", "lstm"), once=True),
)
QUICK_SIZES = (Size(samples=1_200, epochs=16, methods=catalog.names()),)


def main() -> None:
    """Measure every method at every size and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one small size")
    parser.add_argument("--methods", type=words, default=catalog.names())
    parser.add_argument("--threads", type=words, default=("1", "2"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    table: list[dict[str, Any]] = []
    busy = load()
    for size in QUICK_SIZES if options.quick else SIZES:
        chosen = [method for method in size.methods if method in options.methods]
        with tempfile.TemporaryDirectory(prefix="costs-") as folder:
            probes = dict.fromkeys(catalog.entry(method).needs.probe for method in chosen)
            for probe in probes:
                record(Path(folder) / probe, size, probe)
            for method in chosen:
                recorded = Path(folder) / catalog.entry(method).needs.probe
                for threads in map(int, options.threads):
                    n = 1 if size.once else options.repeat
                    row = repeated(method, recorded, threads=threads, n=n)
                    table.append({"samples": size.samples, "epochs": size.epochs, **row})
                    print(line(table[-1]), file=sys.stderr, flush=True)
    told = {"machine": machine(), "load": {"before": busy, "after": load()}, "costs": table}
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(as_table(table))


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


# ------------------------------------------------------------------------------------------ measuring


def measure(method: str, folder: Path) -> dict[str, float]:
    """Score a recording in this process; return seconds, megabytes, and what was flagged."""
    runs = read(folder)
    began, worked = time.perf_counter(), time.process_time()
    scores = registry.build(method).score(runs, silent)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    assert int(np.isfinite(scores.suspicion).sum()) == runs[0].n_samples, scores.messages
    return {"seconds": seconds, "processor_seconds": worked, "megabytes": peak_megabytes()}


def peak_megabytes() -> float:
    """Return the largest resident size that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says includes the parent's size at the fork.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def repeated(method: str, folder: Path, *, threads: int, n: int) -> dict[str, Any]:
    """Measure a method several times, each in a process of its own; return medians and spread."""
    words = [sys.executable, __file__, "--one", method, str(folder)]
    # As workers are started: several threads each compute on one.
    own = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", lanes.THREADS: str(threads)}
    found: list[dict[str, float]] = []
    for _ in range(n):
        done = subprocess.run(
            words, env=os.environ | own, stdout=subprocess.PIPE, text=True, check=True
        )
        found.append(json.loads(done.stdout))
    seconds = [one["seconds"] for one in found]
    return {
        "method": method,
        "threads": threads,
        "n": n,
        "seconds": round(statistics.median(seconds), 2),
        "least": round(min(seconds), 2),
        "most": round(max(seconds), 2),
        "processor_seconds": round(min(one["processor_seconds"] for one in found), 2),
        "megabytes": round(max(one["megabytes"] for one in found)),
    }


def load() -> float:
    """Return how many processes wanted a core in the last minute."""
    return round(os.getloadavg()[0], 1)


def machine() -> dict[str, Any]:
    """Return the class of this machine."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['method']:<12}{size_of(row):>16}  {row['threads']} threads  {row['seconds']:8.2f} s "
        f"({row['least']:.2f} to {row['most']:.2f}; processor {row['processor_seconds']:.2f} s)  "
        f"{row['megabytes']:5} MB"
    )


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what the README shows: a line per size, a column per method, at the most threads."""
    rows = at_most_threads(rows)
    cells = {(size_of(row), row["method"]): cell(row) for row in rows}
    methods = [method for method in catalog.names() if any(m == method for _, m in cells)]
    head = ["samples × epochs", *(f"`{method}`" for method in methods)]
    body = [
        [size, *(cells.get((size, method), "–") for method in methods)]
        for size in dict.fromkeys(size_of(row) for row in rows)
    ]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(words)} |" for words in lines)


def sentence(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    """Return what a method's card in ``docs/methods.md`` says."""
    own = [row for row in at_most_threads(rows) if row["method"] == method]
    told = "; ".join(f"{size_of(row)} in {cell(row)}" for row in own)
    return f"Scoring on {own[0]['threads']} cores: {told}."


def at_most_threads(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    most = max(row["threads"] for row in rows)
    return [row for row in rows if row["threads"] == most]


def size_of(row: Mapping[str, Any]) -> str:
    return f"{row['samples']:,} × {row['epochs']}"


def cell(row: Mapping[str, Any]) -> str:
    return f"{row['seconds']:.1f} s, {row['megabytes']:,} MB"


# ---------------------------------------------------------------------------------------- recordings


def record(folder: Path, size: Size, probe: Probe) -> None:
    """Write made-up runs of a probe: a folder each, an array a file, as runs are stored."""
    # Only here: it brings torch, whose memory a method that computes without it must not be charged.
    from audit.training import rows as training_rows  # noqa: PLC0415

    rng = np.random.default_rng(size.epochs)
    true_labels = rng.integers(0, N_CLASSES, size.samples).astype(np.int32)
    given = noise.sym_exclude(true_labels, NOISE_RATE, N_CLASSES, rng).labels.astype(np.int32)
    easiness = rng.gamma(4.0, 0.25, size.samples).astype(np.float32)
    base: TrainingDynamics | None = None
    for number in range(2 if probe in (Probe.THRESHOLD, Probe.PLANTED) else 1):
        table = training_rows.build(
            np.arange(size.samples),
            given,
            n_classes=N_CLASSES,
            config=settings(size.epochs, probe, number),
            base=base,
        )
        sample, assigned, role = table.sample, table.assigned_label, table.role
        target = folder / str(number)
        target.mkdir(parents=True)
        np.save(target / "sample.npy", sample)
        np.save(target / "assigned.npy", assigned)
        np.save(target / "role.npy", role)
        shape = (size.epochs, len(sample))
        opened = {
            name: np.lib.format.open_memmap(target / f"{name}.npy", "w+", np.float32, shape)
            for name in KEPT
        }
        means = np.zeros((len(sample), N_CLASSES), np.float32)
        # Rows in blocks, so that a million of them never lie in memory at once.
        for begin in range(0, len(sample), _ROWS_AT_ONCE):
            block = slice(begin, begin + _ROWS_AT_ONCE)
            labels = (true_labels[sample[block]], assigned[block])
            course = imagine(*labels, easiness[sample[block]], size.epochs, table.n_outputs, rng)
            for epoch, logits in enumerate(course):
                for name, values in signals.of_epoch(logits, assigned[block]).items():
                    if name in KEPT:
                        opened[name][epoch, block] = values
                means[block] += signals.probabilities(logits)[:, :N_CLASSES] / size.epochs
        for array in opened.values():
            array.flush()
        np.save(target / "means.npy", means)
        every = np.arange(N_CLASSES, dtype=np.int32)
        np.save(target / "classes.npy", np.tile(every, (len(sample), 1)))
        (target / "run.json").write_text(
            json.dumps({"probe": probe, "epochs": size.epochs, "part": number})
        )
        base = read(folder)[0]


def imagine(
    true_labels: NDArray[np.int32],
    assigned: NDArray[np.int32],
    easiness: NDArray[np.float32],
    n_epochs: int,
    n_outputs: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.floating[Any]]]:
    """Yield every epoch's logits, (rows, outputs): the true class is learnt, then the assigned one."""
    shape, row = (len(assigned), n_outputs), np.arange(len(assigned))
    looks = LOOKS * rng.standard_normal(shape, np.float32)
    for epoch in range(n_epochs):
        progress = (epoch + 1) / n_epochs
        logits = looks + EVERY_EPOCH * rng.standard_normal(shape, np.float32)
        logits[row, true_labels] += LEARNT * np.sqrt(progress) * easiness
        logits[row, assigned] += MEMORISED * progress**2
        yield logits


def settings(n_epochs: int, probe: Probe, part: int) -> RunConfig:
    """Return the settings of a run of a probe."""
    config = RunConfig(
        preset="quick",
        architecture="small",
        image_size=32,
        epochs=n_epochs,
        batch_size=128,
        learning_rate=0.1,
        schedule=Schedule.CONSTANT,
    )
    if probe is Probe.THRESHOLD:
        return replace(config, probe=probe, probe_group="g", probe_part=part)
    if probe is Probe.CORRUPTED:
        return replace(config, probe=probe)
    if probe is Probe.PLANTED and part:
        return replace(config, probe=probe, base_run="run-0")
    return config


def read(folder: Path) -> list[TrainingDynamics]:
    """Return the runs of a probe, their signals and probabilities memory-mapped."""
    found: list[TrainingDynamics] = []
    for target in sorted(folder.iterdir()):
        told = json.loads((target / "run.json").read_text())
        probe = Probe(told["probe"])
        config = settings(told["epochs"], probe, told["part"])
        sample = np.load(target / "sample.npy")
        mapped = {
            name: np.load(target / f"{name}.npy", mmap_mode="r")
            for name in (*KEPT, "means", "classes")
        }
        found.append(
            TrainingDynamics(
                run_id=f"run-{target.name}",
                n_samples=int(sample.max()) + 1,
                n_classes=N_CLASSES,
                sample=sample,
                assigned_label=np.load(target / "assigned.npy"),
                role=np.load(target / "role.npy"),
                signals={name: mapped[name] for name in KEPT},
                mean_probabilities=MeanProbabilities(
                    classes=mapped["classes"], values=mapped["means"], is_full=True
                ),
                config=config,
            )
        )
    return found


if __name__ == "__main__":
    main()
