"""The parts of ``benchmarks/scale.py``: each makes or measures one thing in a process of its own.

    python benchmarks/scale_parts.py PART FOLDER --samples N --classes K --epochs T [--repeat R]

Prints one JSON object: what was measured → its values, and the largest resident size of the process. Parts
build on each other in the order of `PARTS`. What only prepares a measurement is not timed.
"""

import argparse
import gc
import importlib.util
import json
import mmap
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from audit.numerics import noise
from audit.records.decision import Decision, Verdict
from audit.records.progress import silent
from audit.records.run import Probe, Run, RunConfig, RunState, Schedule
from audit.store import datasets as dataset_rows
from audit.store import decisions as decision_rows
from audit.store import ids
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace
from audit.workbench import (
    class_choices,
    cuts,
    datasets,
    exporting,
    importing,
    ranking_state,
    ranking_view,
    suspects,
    thumbnails,
    trajectories,
)
from audit.workbench.datasets import SourceOptions
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State

ROOT = Path(__file__).resolve().parents[1]

SIDE, NOISE_RATE, BATCH = 8, 0.1, 512
ONE_FILE_IN = 5
"""Samples per small file that the import of a table meets: 200,000 beside a million samples."""
ONE_DECISION_IN = 100
LEARNT, MEMORISED, EVERY_EPOCH = 4.0, 2.5, 1.0
"""Logits gained by the true class and by the assigned one until the last epoch, and the noise of each."""
N_READS, N_COLD_READS, N_FILTERS, N_SHEETS = 200, 20, 25, 20

Spent = tuple[float, float]
"""On the clock and of the processor, in seconds or milliseconds; 0 for a processor that was not watched."""

Values = dict[str, list[Spent]]


def main() -> None:
    """Run one part and print what it measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    values = PARTS[options.part](options)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    megabytes = [most for most, _ in values.pop("megabytes", [(own, 0.0)])]
    print(json.dumps({"values": values, "megabytes": max(megabytes)}))


class Watch:
    """Seconds on the clock and of the processor since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def seconds(self) -> Spent:
        """Return both in seconds."""
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]

    def milliseconds(self) -> Spent:
        """Return both in milliseconds."""
        seconds, processor = self.seconds()
        return 1000 * seconds, 1000 * processor


def seconds_of(act: Callable[[], object]) -> Spent:
    """Return the seconds that an act takes."""
    watch = Watch()
    act()
    return watch.seconds()


def milliseconds_of(act: Callable[[], object]) -> Spent:
    """Return the milliseconds that an act takes."""
    watch = Watch()
    act()
    return watch.milliseconds()


def workspace_in(folder: Path) -> Path:
    return folder / "workspace"


# ---------------------------------------------------------------------------------- sources, imports


def make(options: argparse.Namespace) -> Values:
    """Write images of a few pixels: arrays of all samples, and files with a table of a fifth of them."""
    rng = np.random.default_rng(options.samples)
    n, k = options.samples, options.classes
    true_labels = rng.integers(0, k, n).astype(np.int32)
    labels = noise.sym_exclude(true_labels, NOISE_RATE, k, rng).labels
    images = rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(
        options.folder / "many.npz",
        images=images,
        labels=labels.astype(np.int64),
        true_labels=true_labels.astype(np.int64),
        class_names=np.array(class_names(k)),
    )
    files = options.folder / "files"
    lines = ["path,label"]
    for number in range(n // ONE_FILE_IN):
        name = f"{number // 1000:04}/{number:07}.ppm"
        if number % 1000 == 0:
            (files / name).parent.mkdir(parents=True)
        header = f"P6 {SIDE} {SIDE} 255\n".encode()
        (files / name).write_bytes(header + images[number].tobytes())
        lines.append(f"{name},class {labels[number]:03}")
    (files / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {}


def class_names(n_classes: int) -> list[str]:
    return [f"class {index:03}" for index in range(n_classes)]


def import_arrays(options: argparse.Namespace) -> Values:
    """Import all samples; the first import stays."""
    return {"import_arrays": [_imported(options, options.folder / "many.npz", "many")]}


def import_table(options: argparse.Namespace) -> Values:
    """Import a table of a fifth of the samples, each a file of its own."""
    table = options.folder / "files" / "labels.csv"
    return {"import_table": [_imported(options, table, "files")]}


def import_page(options: argparse.Namespace) -> Values:
    """Import the same as the Datasets page does: look, show, look again, store."""
    shelf = Shelf.open(workspace_in(options.folder))
    request = importing.Request(source=str(options.folder / "files" / "labels.csv"))
    watch = Watch()
    stored = importing.store(shelf, importing.look(shelf, request), "files by page")
    took = watch.seconds()
    assert stored.dataset is not None
    datasets.remove(shelf.workspace, datasets.removal(shelf.workspace, "files by page"))
    return {"import_page": [took]}


def _imported(options: argparse.Namespace, source: Path, name: str) -> Spent:
    with Workspace.open(workspace_in(options.folder)) as workspace:
        names = {summary.name for summary in dataset_rows.all(workspace)}
        own = name if name not in names else f"{name} again"

        def act() -> None:
            datasets.add(workspace, datasets.plan(source, SourceOptions()), own)

        seconds = seconds_of(act)
        if own != name:
            datasets.remove(workspace, datasets.removal(workspace, own))
    return seconds


# ------------------------------------------------------------------------------- recording, scoring


def record(options: argparse.Namespace) -> Values:
    """Record the next run of a threshold probe at full rate; what makes up the logits is not timed."""
    import torch  # noqa: PLC0415 - a third of a second and 200 MB that the other parts do not pay

    from audit.store.dynamics import DynamicsWriter  # noqa: PLC0415
    from audit.store.recordings import SavedRows  # noqa: PLC0415
    from audit.training import rows  # noqa: PLC0415
    from audit.training.recorder import EpochRecorder  # noqa: PLC0415

    torch.set_num_threads(1)
    drawing = torch.Generator().manual_seed(options.samples)
    took: Values = {"observe": [], "write": [], "epoch": []}
    with Workspace.open(workspace_in(options.folder)) as workspace:
        dataset = dataset_rows.find(workspace, "many")
        part = len(run_rows.all(workspace, dataset.id))
        config = _config(options, part)
        used = dataset.usable()
        table = rows.build(
            used, dataset.given_labels[used], n_classes=options.classes, config=config
        )
        run = run_rows.add(workspace, _run(dataset.id, dataset.fingerprint, config, part))
        saved = SavedRows(
            n_samples=dataset.n_samples,
            n_classes=dataset.n_classes,
            sample=table.sample,
            assigned_label=table.assigned_label,
            role=table.role,
        )
        with np.load(options.folder / "many.npz") as source:
            truth = torch.from_numpy(source["true_labels"][table.sample].astype(np.int64))
        assigned = torch.from_numpy(table.assigned_label.astype(np.int64))
        del dataset
        gc.collect()
        noises = EVERY_EPOCH * torch.randn((16, BATCH, table.n_outputs), generator=drawing)
        easiness = torch.rand(len(table), generator=drawing) + 0.5
        notes = EpochRecorder(table)
        with DynamicsWriter.open(workspace, run, saved) as writer:
            for epoch in range(options.epochs):
                progress = (epoch + 1) / options.epochs
                observing: list[Spent] = []
                order = torch.randperm(len(table), generator=drawing)
                for number, batch in enumerate(order.split(BATCH)):
                    logits = noises[(7 * epoch + number) % len(noises), : len(batch)].clone()
                    at = torch.arange(len(batch))
                    logits[at, truth[batch]] += LEARNT * progress**0.5 * easiness[batch]
                    logits[at, assigned[batch]] += MEMORISED * progress**2
                    watch = Watch()
                    notes.observe(batch, logits)
                    observing.append(watch.seconds())
                watch = Watch()
                signals = notes.end_epoch()
                writer.write_epoch(epoch, signals, progress={"loss": 1.0, "accuracy": 0.5})
                took["write"].append(watch.seconds())
                took["observe"].append(added(observing))
                took["epoch"].append(added([*observing, took["write"][-1]]))
            took["seal"] = [seconds_of(lambda: writer.seal(notes.mean_probabilities()))]
        took["run_bytes"] = [(run_rows.size_on_disk(workspace, run.id) / 1e6, 0.0)]
    return took


def added(parts: list[Spent]) -> Spent:
    clock, processor = (sum(some) for some in zip(*parts, strict=True))
    return clock, processor


def _config(options: argparse.Namespace, part: int) -> RunConfig:
    return RunConfig(
        preset="quick",
        architecture="small",
        image_size=SIDE,
        epochs=options.epochs,
        batch_size=BATCH,
        learning_rate=0.1,
        schedule=Schedule.CONSTANT,
        probe=Probe.THRESHOLD,
        probe_group="scale",
        probe_part=part,
    )


def _run(dataset_id: str, fingerprint: str, config: RunConfig, part: int) -> Run:
    return Run(
        id=ids.new(),
        name=f"made-up-{part}",
        dataset_id=dataset_id,
        dataset_fingerprint=fingerprint,
        label_version="given",
        config=config,
        code_version="0",
        created_at=datetime.now(UTC),
        state=RunState.RUNNING,
    )


def aum(options: argparse.Namespace) -> Values:
    """Score both runs with ``aum``; the scores are kept the first time."""
    from audit.detectors import registry  # noqa: PLC0415
    from audit.store import dynamics  # noqa: PLC0415

    with Workspace.open(workspace_in(options.folder)) as workspace:
        found = run_rows.all(workspace)
        watch = Watch()
        scores = registry.build("aum").score(
            [dynamics.load(workspace, run) for run in found], silent
        )
        order = np.argsort(scores.quantity, kind="stable")
        took = watch.seconds()
        assert len(order) == int(np.isfinite(scores.quantity).sum()), scores.messages
        score_rows.save(workspace, found[0].dataset_id, scores)
    return {"aum": [took]}


def trajectory(options: argparse.Namespace) -> Values:
    """Read everything that a run recorded of one sample: from memory, and with nothing in memory."""
    shelf = Shelf.open(workspace_in(options.folder))
    run = run_rows.all(shelf.workspace)[0]
    dynamics = shelf.dynamics(run.id)
    drawn = np.random.default_rng(0).integers(0, options.samples, 2 * N_READS).tolist()

    def read(position: int) -> None:
        values = trajectories.recorded(shelf, run.id, position)
        assert values is not None
        assert all(len(course) == options.epochs for course in values.values())

    took: Values = {"read_first": [milliseconds_of(lambda: read(0))]}
    took["read_cold"] = []
    for position in drawn[:N_COLD_READS]:
        for signal in dynamics.signals.values():
            _forget(signal)
        took["read_cold"].append(milliseconds_of(lambda at=position: read(at)))
    for signal in dynamics.signals.values():
        np.asarray(signal).sum()
    took["read"] = [milliseconds_of(lambda at=at: read(at)) for at in drawn[:N_READS]]
    # The first one of a class also draws its band.
    first, again = (
        [milliseconds_of(lambda at=at: trajectories.of_run(shelf, run, at)) for at in drawn[:50]]
        for _ in range(2)
    )
    took["sample_first"], took["sample"] = first[:1], again
    return took


def _forget(signal: Any) -> None:  # noqa: ANN401 - a memory-mapped array
    """Take a file's pages out of this process and out of the memory of the machine."""
    signal._mmap.madvise(mmap.MADV_DONTNEED)  # noqa: SLF001
    descriptor = os.open(signal.filename, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def decide(options: argparse.Namespace) -> Values:
    """Decide about one sample in a hundred, spread over all."""
    verdicts = (Verdict.KEEP, Verdict.RELABEL, Verdict.EXCLUDE, Verdict.UNSURE)
    with Workspace.open(workspace_in(options.folder)) as workspace:
        dataset = dataset_rows.find(workspace, "many")
        made: list[Decision] = []
        for number, at in enumerate(range(0, dataset.n_samples, ONE_DECISION_IN)):
            verdict = verdicts[number % len(verdicts)]
            given = int(dataset.given_labels[at])
            labels = {Verdict.KEEP: given, Verdict.RELABEL: (given + 1) % dataset.n_classes}
            made.append(
                Decision(
                    dataset_id=dataset.id,
                    sample_key=dataset.sample_keys[at],
                    given_label=dataset.class_names[given],
                    verdict=verdict,
                    label=dataset.class_names[labels[verdict]] if verdict in labels else None,
                    reviewer="Ann",
                    decided_at=datetime.now(UTC),
                    evidence={"method": "aum", "suspicion": 0.5, "rank": number},
                )
            )
        decision_rows.append(workspace, made)
    return {}


# ------------------------------------------------------------------------------------ Ranking, export


def ranking(options: argparse.Namespace) -> Values:
    """Ask what the Ranking page asks, in a process that knows nothing yet, then with other filters."""
    shelf = Shelf.open(workspace_in(options.folder))
    took: Values = {
        "open": [seconds_of(lambda: _page(shelf, Filters()))],
        "filter": [],
        "sheet": [],
    }
    ranked = suspects.ranked(shelf, shelf.dataset("many"))
    low, high = np.quantile(ranked.scores.quantity, [0.01, 0.2])
    for filters in _changes(options.classes, float(low), float(high)):
        watch = Watch()
        view = _page(shelf, filters)
        took["filter"].append(watch.milliseconds())
        positions = [tile.position for tile in view.tiles]
        if positions and len(took["sheet"]) < N_SHEETS:
            watch = Watch()
            thumbnails.sheet(shelf, view.dataset, positions, 128)
            took["sheet"].append(watch.milliseconds())
    return took


def _changes(n_classes: int, low: float, high: float) -> Iterator[Filters]:
    names = class_names(n_classes)
    for number in range(min(N_FILTERS, n_classes)):
        yield Filters(cls=names[number])
        yield Filters(suggested=names[-1 - number])
        yield Filters(cut=low + (high - low) * number / N_FILTERS)
    for state in State:
        yield Filters(state=state)
        yield Filters(state=state, cls=names[0])


def _page(shelf: Shelf, filters: Filters) -> ranking_view.View:
    """Ask in the order of ``pages/find/ranking.py``, all that costs more than drawing."""
    dataset = shelf.dataset("many")
    methods = suspects.methods(shelf, dataset)
    ranked = suspects.ranked(shelf, dataset, methods[0])
    class_choices.choices(shelf, dataset, ranked)
    shown = cuts.distribution(shelf, ranked)
    view = ranking_view.look(shelf, dataset, filters, ranking=ranked)
    ranking_state.remarks(shelf, dataset, ranked)
    assert shown is not None
    cuts.flags_in_words(ranked, shown, filters.cut)
    return view


def page(options: argparse.Namespace) -> Values:
    """Open the real page in Chromium, first on a server that was just started, and change filters."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    pages, conftest = load(ROOT / "benchmarks/ranking_page.py"), load(ROOT / "tests/conftest.py")
    took: Values = {
        "page_cold": [],
        "page": [],
        "page_turn": [],
        "page_filter": [],
        "megabytes": [],
    }
    classes = iter(class_names(options.classes))
    with sync_playwright() as playwright:
        browser = pages.launch(playwright)
        for number in range(options.repeat):
            server = conftest.Server(workspace_in(options.folder))
            server.start()
            try:
                opened = pages.open_lists(browser, server.url, classes)
                took["page_cold"].append((opened / 1000, 0.0))
                if number == options.repeat - 1:
                    for _ in range(2 * options.repeat):
                        opened = pages.open_lists(browser, server.url, classes)
                        took["page"].append((opened / 1000, 0.0))
                        took["page_turn"].append((pages.come_over(browser, server.url) / 1000, 0.0))
                    changed = pages.change(browser, server.url, classes, options.repeat)
                    took["page_filter"] = [(ms, 0.0) for kind in changed.values() for ms in kind]
                took["megabytes"].append((_largest_megabytes(server.process.pid), 0.0))
            finally:
                server.kill()
        browser.close()
    return took


def _largest_megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def load(path: Path) -> ModuleType:
    """Return a module of the tests or of another benchmark, which are no packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def export(options: argparse.Namespace) -> Values:
    """Export all samples in the form that the part's name says, into a new file."""
    form = options.part.removeprefix("export_")
    out = options.folder / f"labels.{form}"
    for file in (out, out.with_name(out.name + ".manifest.json")):
        file.unlink(missing_ok=True)
    with Workspace.open(workspace_in(options.folder)) as workspace:
        watch = Watch()
        exporting.export(workspace, dataset_rows.find(workspace, "many"), out, form)
        return {options.part: [watch.seconds()]}


PARTS: dict[str, Callable[[argparse.Namespace], Values]] = {
    "make": make,
    "import_arrays": import_arrays,
    "import_table": import_table,
    "import_page": import_page,
    "record": record,
    "trajectory": trajectory,
    "aum": aum,
    "decide": decide,
    "ranking": ranking,
    "page": page,
    "export_csv": export,
    "export_parquet": export,
    "export_patch": export,
}
"""Every part by its name, in the order in which they build on each other."""


if __name__ == "__main__":
    main()
