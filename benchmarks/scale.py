"""Many samples on paper: what labeltrace takes for ten thousand, a hundred thousand, a million of them.

    python benchmarks/scale.py [--quick] [--samples N,…] [--epochs 90] [--classes 20] [--repeat 3]
                               [--in FOLDER] [--json FILE]
    python benchmarks/scale.py --table FILE

Prints the table of ``docs/scale.md``; ``benchmarks/results/scale.json`` is a whole measurement. Everything
is made up in a temporary folder, below ``--in`` if given, and removed: images of 8 x 8 pixels, two runs of
a threshold probe whose logits are drawn and go through the real recorder batch by batch, and what the real
methods, pages, imports and exports make of that (`benchmarks/scale_parts.py`). Each measurement is a process
of its own; memory is its largest resident size, pages of mapped files that it has looked at included.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PARTS = Path(__file__).with_name("scale_parts.py")

SAMPLES, EPOCHS, N_CLASSES = (10_000, 100_000, 1_000_000), 90, 20
QUICK_SAMPLES, QUICK_EPOCHS, QUICK_CLASSES = (400, 800), 4, 20
MOST_MEGABYTES = 2000
"""Peak memory that a million samples may take."""
FEW = 20
"""Values from which a 95th percentile is given instead of the largest."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table.

    Parameters
    ----------
    name
        What `scale_parts` calls it.
    words
        What a reader calls it.
    unit
        Of its values.
    part
        What measures it.
    goal
        Largest value at the largest size that is aimed at; ``None`` where none is.
    """

    name: str
    words: str
    unit: str
    part: str
    goal: float | None = None


ROWS = (
    Row(name="epoch", words="an epoch: observed, written, synced", unit="s", part="record"),
    Row(name="observe", words="– of this, the recorder", unit="s", part="record"),
    Row(name="write", words="– of this, the disk", unit="s", part="record"),
    Row(name="seal", words="a run sealed", unit="s", part="record"),
    Row(name="run_bytes", words="a run on disk", unit="MB", part="record"),
    Row(name="read", words="one trajectory, all signals", unit="ms", part="trajectory", goal=1.0),
    Row(name="read_cold", words="– nothing of it in memory", unit="ms", part="trajectory"),
    Row(name="read_first", words="– the first of a process", unit="ms", part="trajectory"),
    Row(name="sample", words="– with bands and areas, as on Sample", unit="ms", part="trajectory"),
    Row(name="sample_first", words="– the first of its class", unit="ms", part="trajectory"),
    Row(name="aum", words="`aum` of two runs, ranked", unit="s", part="aum", goal=10.0),
    Row(name="open", words="Ranking, first list of a new process", unit="s", part="ranking"),
    Row(
        name="filter", words="Ranking, another filter, server", unit="ms", part="ranking", goal=300
    ),
    Row(name="sheet", words="Ranking, a sheet of 100 thumbnails", unit="ms", part="ranking"),
    Row(
        name="page_turn",
        words="Ranking in Chromium, from another page to its first thumbnails",
        unit="s",
        part="page",
        goal=2.0,
    ),
    Row(
        name="page", words="– by a link, in a browser that holds nothing yet", unit="s", part="page"
    ),
    Row(
        name="page_cold", words="– the same, the first visit to a new server", unit="s", part="page"
    ),
    Row(name="page_filter", words="– a filter changed, page settled", unit="ms", part="page"),
    Row(name="import_arrays", words="import of `.npz`", unit="s", part="import_arrays", goal=10.0),
    Row(
        name="import_table",
        words="import of a fifth as many files by CSV",
        unit="s",
        part="import_table",
        goal=10.0,
    ),
    Row(
        name="import_page",
        words="– on the Datasets page, which looks twice",
        unit="s",
        part="import_page",
    ),
    Row(name="export_csv", words="export `csv`", unit="s", part="export_csv", goal=15.0),
    Row(
        name="export_parquet", words="export `parquet`", unit="s", part="export_parquet", goal=15.0
    ),
    Row(name="export_patch", words="export `patch`", unit="s", part="export_patch", goal=15.0),
)

TIMES = {
    "make": 1, "import_arrays": 0, "import_table": 0, "import_page": 0, "record": 2, "trajectory": 1,
    "aum": 0, "decide": 1, "ranking": 0, "page": 1, "export_csv": 0, "export_parquet": 0,
    "export_patch": 0,
}  # fmt: skip
"""How often a part runs, in this order; 0 for as often as asked. A run has its epochs as repetitions."""


def main() -> int:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two tiny sizes")
    parser.add_argument("--samples", type=numbers)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--classes", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--parts", type=words, default=tuple(TIMES), help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="place", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print what was measured before")
    options = parser.parse_args()
    if options.table is not None:
        print(as_table(json.loads(options.table.read_text(encoding="utf-8"))["scale"]))
        return 0
    quick = options.quick
    sizes = options.samples or (QUICK_SAMPLES if quick else SAMPLES)
    epochs = options.epochs or (QUICK_EPOCHS if quick else EPOCHS)
    classes = options.classes or (QUICK_CLASSES if quick else N_CLASSES)
    place = options.place or Path(tempfile.gettempdir())
    needed = max(needed_bytes(n, epochs, classes) for n in sizes)
    free = shutil.disk_usage(place).free
    if needed > free:
        print(f"{place} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed: name another "
              "folder by --in.", file=sys.stderr)  # fmt: skip
        return 1
    table: list[dict[str, Any]] = []
    busy = load()
    for n_samples in sizes:
        with tempfile.TemporaryDirectory(prefix="scale-", dir=place) as folder:
            size = {"samples": n_samples, "epochs": epochs, "classes": classes}
            table += measured(Path(folder), size, options.parts, options.repeat)
        told = {"machine": machine(), "load": {"before": busy, "after": load()}, "scale": table}
        if options.json is not None:  # after each size: the largest one takes most of the time
            options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(as_table(table))
    return 0


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def needed_bytes(n_samples: int, epochs: int, classes: int) -> int:
    """Return the disk space that a size takes at most: runs, probabilities, images, small files, exports."""
    run = n_samples * (6 * 4 * epochs + 4 * classes + 13)
    return 2 * run + n_samples * (3 * 64 + 4096 // 5 + 400) + 100_000_000


# ------------------------------------------------------------------------------------------ measuring


def measured(
    folder: Path, size: Mapping[str, int], parts: Sequence[str], repeat: int
) -> list[dict[str, Any]]:
    """Return what every part measured at a size, a row per line of the table."""
    values: dict[str, list[tuple[float, float]]] = {}
    megabytes: dict[str, float] = {}
    loads: dict[str, list[float]] = {}
    for part, times in TIMES.items():
        if part not in parts:
            continue
        for _ in range(times or repeat):
            before = load()
            found = run(part, folder, size, repeat)
            loads[part] = [*loads.get(part, []), before, load()]
            for name, some in found["values"].items():
                values.setdefault(name, []).extend(some)
            megabytes[part] = max(megabytes.get(part, 0.0), found["megabytes"])
            print(f"{size['samples']:>9,} {part:<15} {found['megabytes']:6.0f} MB, load {before} to "
                  f"{load()}", file=sys.stderr, flush=True)  # fmt: skip
    rows = [
        {**size, "what": row.name, "unit": row.unit, **spread(values[row.name]),
         "megabytes": round(megabytes[row.part]), "load": [min(loads[row.part]), max(loads[row.part])]}
        for row in ROWS
        if row.name in values
    ]  # fmt: skip
    for one in rows:
        print(f"{one['samples']:>9,} {one['what']:<15} {cell(one)} {one['unit']}", file=sys.stderr)
    return rows


def run(part: str, folder: Path, size: Mapping[str, int], repeat: int) -> dict[str, Any]:
    """Run a part in a process of its own and return what it printed."""
    flags = [word for name, value in size.items() for word in (f"--{name}", str(value))]
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(PARTS), part, str(folder), *flags, "--repeat", str(repeat)],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def spread(spent: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return how many values there are, their median, how far they reach, and what of it was computing."""
    values = [clock for clock, _ in spent]
    return {
        "n": len(values),
        "median": figure(statistics.median(values)),
        "least": figure(min(values)),
        "most": figure(max(values)),
        "p95": figure(float(np.percentile(values, 95))),
        "processor": figure(statistics.median(processor for _, processor in spent)),
    }


def figure(value: float) -> float:
    """Return three significant digits."""
    return float(f"{value:.3g}")


def load() -> float:
    """Return how many processes wanted a core in the last minute."""
    return round(os.getloadavg()[0], 1)


def machine() -> dict[str, Any]:
    """Return the class of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "gigabytes": round(memory / 2**30),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


# ---------------------------------------------------------------------------------------------- table


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of ``docs/scale.md``: a line per thing, a column per size."""
    cells = {(row["what"], row["samples"]): row for row in rows}
    sizes = sorted({row["samples"] for row in rows})
    head = ["", *(f"{n:,} × {rows[0]['epochs']}" for n in sizes)]
    head += ["growth", "processor", "memory", "goal"]
    lines = [head, ["---"] * len(head)]
    for row in ROWS:
        own = [cells.get((row.name, n)) for n in sizes]
        found = [one for one in own if one is not None]
        if not found:
            continue
        shown = ["–" if one is None else f"{cell(one)} {row.unit}" for one in own]
        last = found[-1]
        worked = f"{plain(last['processor'])} {row.unit}" if last["processor"] else "–"
        memory = f"{last['megabytes']:,} MB"
        lines.append([row.words, *shown, growth(found), worked, memory, judged(row, last)])
    return "\n".join(f"| {' | '.join(one)} |" for one in lines)


def cell(row: Mapping[str, Any]) -> str:
    """Return a median and how far values reach: all of few, to the 95th percentile of many."""
    median, n = plain(row["median"]), row["n"]
    if n == 1:
        return median
    if n < FEW:
        return f"{median} ({plain(row['least'])} – {plain(row['most'])})"
    return f"{median} (p95 {plain(row['p95'])})"


def plain(value: float) -> str:
    """Return a figure without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def growth(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a sample takes at the largest size, in parts of what it takes at the size before."""
    if len(rows) < 2:
        return "–"
    before, last = rows[-2], rows[-1]
    return f"{last['median'] / before['median'] * before['samples'] / last['samples']:.2f}"


def judged(row: Row, largest: Mapping[str, Any]) -> str:
    """Return the goal at the largest size, and whether it is missed by what most values stay below."""
    if row.goal is None:
        return ""
    reached = largest["p95"] if largest["n"] >= FEW else largest["most"]
    told = f"{row.goal:g} {row.unit}"
    return told if reached <= row.goal else f"{told}, **missed**"


if __name__ == "__main__":
    sys.exit(main())
