"""Kill trainings at random moments and compare what becomes of them, bit for bit.

    python benchmarks/kills.py [N] [--seed S] [--quick] [--json FILE]

Four kinds of training of a small synthetic data set (a small network in float32 with random views, a
classifier with dropout on frozen features, the network in bfloat16, a probe with threshold rows) run once
undisturbed. Then others of the same settings are killed with SIGKILL, some several times: at random
moments, and when a watched file appears (while decoding, while signals or a checkpoint are written,
while sealing). After each kill the loss must be noticed and said, and the run resumed; every file of
the sealed run must be the undisturbed run's, byte for byte. The features come from a backbone with
random weights: nothing is downloaded. ``--quick`` has few images and short trainings, and no kill
falls into the seconds in which a worker starts.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from audit.jobs import lock, queue
from audit.records.job import Job, JobState
from audit.records.progress import silent
from audit.records.run import Augmentation, Precision, Probe, Run, RunState
from audit.store import artifacts, jobs
from audit.store import datasets as dataset_rows
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import datasets, runs, settling
from audit.workbench.datasets import SourceOptions
from audit.workbench.settling import Wishes

N_CLASSES, N_IMAGES, N_IMAGES_QUICK, SIDE = 4, 480, 64, 40

FEWEST_EPOCHS = 5
"""More than a kill with an aim may wait for."""

MOST_KILLS = 3
"""Of one run."""

CASES: dict[str, Wishes] = {
    "network-float32": Wishes(
        epochs=12,
        image_size=16,
        batch_size=32,
        augmentation=Augmentation.CROP_FLIP,
        precision=Precision.FLOAT32,
        device="cpu",
    ),
    "features-dropout": Wishes(
        preset="features", epochs=40, image_size=32, batch_size=16, device="cpu", seed=2
    ),
    "network-bfloat16": Wishes(
        epochs=10,
        image_size=16,
        batch_size=64,
        augmentation=Augmentation.CROP_FLIP,
        precision=Precision.BFLOAT16,
        device="cpu",
        seed=1,
    ),
    "threshold-probe": Wishes(
        probe=Probe.THRESHOLD, epochs=12, image_size=16, batch_size=32, device="cpu", seed=3
    ),
}

Moment = Callable[[], bool]
"""Looks at the files; whether now is the time."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill: what was aimed at, what was hit, how many whole epochs had to be trained again."""

    case: str
    life: int
    aim: str
    hit: str
    epochs_written: int
    epochs_to_repeat: int


@dataclass(frozen=True, kw_only=True)
class Victim:
    """One run that was killed, at its end."""

    case: str
    kills: int
    differing_files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Length:
    """Of an undisturbed life, in seconds: from claim to end, and of its epochs alone."""

    life: float
    epochs: float


class Files:
    """The files of a run as a bystander sees them, in one life of its worker."""

    def __init__(self, workspace: Workspace, run: Run) -> None:
        self._born = time.time_ns()
        self.cache = workspace.path / "cache"
        self.final = run_rows.folder(workspace, run.id)
        self.working = run_rows.working_folder(workspace, run.id)

    def drafts(self) -> set[str]:
        """Return the names of half-written checkpoints."""
        return {
            name
            for name in names(self.working)
            if name.startswith(".checkpoint") and self._is_of_now(name)
        }

    def has_begun(self) -> bool:
        """Return whether the first batch is near, or an epoch of a resumed run has been trained."""
        return self._is_of_now("margin.npy")

    def is_sealing(self) -> bool:
        """Return whether the mean probabilities were written in this life."""
        return self._is_of_now("mean_probabilities.npy")

    def is_decoding(self) -> bool:
        """Return whether pixels or features are being written."""
        return any(name.startswith(".pixels") for name in names(self.cache))

    def _is_of_now(self, name: str) -> bool:
        try:
            return (self.working / name).stat().st_mtime_ns >= self._born
        except FileNotFoundError:
            return False

    def n_written(self) -> int:
        """Return the number of epochs that the folder counts."""
        for folder in (self.working, self.final):
            if (folder / "curves.jsonl").exists():
                text = (folder / "curves.jsonl").read_text(errors="replace")
                return len({line for line in text.split("\n") if line.endswith("}")})
        return 0

    def n_checkpointed(self) -> int:
        """Return the number of epochs that the checkpoint counts, 0 without one."""
        try:
            data = (self.working / "checkpoint.safetensors").read_bytes()
        except FileNotFoundError:
            return 0
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return int(header["__metadata__"]["epochs"])


def names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []


def nth_time(n: int, sight: Callable[[], object]) -> Moment:
    """Return whether a sight has appeared for the n-th time, each another than the one before."""
    seen: list[object] = [sight()]

    def look() -> bool:
        now = sight()
        if now and now != seen[-1]:
            seen.append(now)
        return len(seen) > n

    return look


def after(seconds: float, sight: Callable[[], bool]) -> Moment:
    """Return whether so much time has passed since a sight appeared."""
    due: list[float] = []

    def look() -> bool:
        if not due and sight():
            due.append(time.monotonic() + seconds)
        return bool(due) and time.monotonic() >= due[0]

    return look


def aims(files: Files, length: Length, rng: np.random.Generator) -> dict[str, Moment]:
    """Return every way to choose a moment."""
    share = rng.uniform()
    due = time.monotonic() + share * length.life
    epoch = int(rng.integers(1, 4))
    margin = files.working / "margin.npy"
    return {
        "any": lambda: time.monotonic() >= due,
        "epochs": after(share * length.epochs, files.has_begun),
        "decoding": files.is_decoding,
        "signals": nth_time(epoch, lambda: margin.stat().st_mtime_ns if margin.exists() else 0),
        "checkpoint": nth_time(epoch, lambda: frozenset(files.drafts())),
        "sealing": files.is_sealing,
        "row": files.final.exists,
    }


AIMS = ("any", "checkpoint", "any", "signals", "decoding", "any", "sealing", "any", "row")
"""Taken in turn: about half of the kills are blind."""

AIMS_QUICK = ("checkpoint", "epochs", "signals")
"""A life of few epochs is mostly the start of its process."""

LOOK_SECONDS = 0.0005
"""A checkpoint's draft lives for some milliseconds; the worker needs the processor meanwhile."""


def strike(process: psutil.Process, is_time: Moment) -> bool:
    """Kill a process as soon as it is time; False if it ended before."""
    while not is_time():
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(LOOK_SECONDS)
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def what_was_hit(files: Files, run: Run) -> str:
    if files.final.exists():
        return "the row" if run.state is not RunState.SEALED else "after the row"
    if files.drafts():
        return "a checkpoint"
    if files.is_sealing():
        return "sealing"
    if files.n_written() > files.n_checkpointed():
        return "between signals and checkpoint"
    if files.n_written() or files.working.exists():
        return "an epoch"
    return "decoding or features" if files.is_decoding() else "start or preparation"


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def start(workspace: Workspace, source: Path, wishes: Wishes) -> tuple[Run, Job]:
    planned = datasets.plan(source, SourceOptions())
    stored, _ = datasets.add(workspace, planned)
    dataset = dataset_rows.find(workspace, stored.id)
    config = settling.settle(dataset, wishes)[0]
    (started,) = runs.start(workspace, dataset, [config])
    return started


def worker_of(workspace: Workspace, job: Job) -> psutil.Process | None:
    """Return the process that works on a job, once it has claimed it; None if it is over already."""
    until(lambda: jobs.find(workspace, job.id).state is not JobState.QUEUED, "a worker came")
    found = jobs.find(workspace, job.id)
    try:
        return None if found.pid is None or found.is_over else psutil.Process(found.pid)
    except psutil.NoSuchProcess:
        return None


def undisturbed(workspace: Workspace, source: Path, wishes: Wishes) -> tuple[Path, Length]:
    """Return the folder of a run that nobody killed, and how long it took."""
    run, job = start(workspace, source, wishes)
    ended = queue.follow(workspace, job.id, silent)
    assert ended.state is JobState.DONE, ended.error
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.result is not None
    life = (ended.finished_at - ended.started_at).total_seconds()
    length = Length(life=life, epochs=ended.result["seconds"])
    return run_rows.folder(workspace, run.id), length


def notice(workspace: Workspace, run: Run, job: Job) -> Run:
    """Look as any command does; the loss must be in both rows, with a sentence."""
    until(lambda: not lock.is_held(workspace, job.id), "the killed worker was gone")
    runs.refresh(workspace)
    run, job = run_rows.find(workspace, run.id), jobs.find(workspace, job.id)
    if run.state is RunState.SEALED:
        assert job.state is JobState.DONE, f"run sealed, job {job.state}"
        return run
    assert (run.state, job.state) == (RunState.LOST, JobState.LOST), (run.state, job.state)
    sentence = run_rows.error(workspace, run.id) or ""
    assert "ended without a word" in sentence, sentence
    assert f"labeltrace resume {run.id}" in sentence, sentence
    return run


def differing(one: Path, other: Path) -> Iterator[str]:
    """Yield the names of files that are not the same in both folders, byte for byte."""
    for name in sorted({*names(one), *names(other)} - {artifacts.LOCK}):
        here, there = one / name, other / name
        if not (here.exists() and there.exists() and here.read_bytes() == there.read_bytes()):
            yield name


def torment(
    workspace: Workspace,
    source: Path,
    case: str,
    wishes: Wishes,
    *,
    length: Length,
    turns: Iterator[str],
    n_kills: int,
    rng: np.random.Generator,
) -> tuple[Path, list[Kill]]:
    """Start a run, kill it up to so many times, resume it each time; return its sealed folder."""
    run, job = start(workspace, source, wishes)
    kills: list[Kill] = []
    while len(kills) < n_kills:
        files = Files(workspace, run)
        worker = worker_of(workspace, job)
        aim = next(turns)
        if worker is None or not strike(worker, aims(files, length, rng)[aim]):
            break  # it was faster
        until(lambda: not lock.is_held(workspace, job.id), "the killed worker was gone")  # noqa: B023
        hit = what_was_hit(files, run_rows.find(workspace, run.id))
        written, kept = files.n_written(), files.n_checkpointed()
        run = notice(workspace, run, job)
        kills.append(
            Kill(
                case=case,
                life=len(kills) + 1,
                aim=aim,
                hit=hit,
                epochs_written=written,
                epochs_to_repeat=0 if run.state is RunState.SEALED else written - kept,
            )
        )
        if run.state is RunState.SEALED:
            break
        run, job = runs.resume(workspace, run.id)
    ended = queue.follow(workspace, job.id, silent)
    assert ended.state is JobState.DONE, f"{case}: {ended.state}, {ended.error}"
    assert run_rows.find(workspace, run.id).state is RunState.SEALED
    return run_rows.folder(workspace, run.id), kills


def make_source(root: Path, n_images: int) -> None:
    """Write class folders of noisy coloured stripes, some in the wrong folder."""
    rng = np.random.default_rng(0)
    for number in range(n_images):
        kind = number % N_CLASSES
        stripes = np.sin((np.arange(SIDE) + rng.integers(SIDE)) * (0.3 + 0.2 * kind))
        image = 128 + 60 * stripes[:, None, None] + rng.normal(0, 40, (SIDE, SIDE, 3))
        image[..., kind % 3] += 25
        label = kind if rng.random() > 0.15 else int(rng.integers(N_CLASSES))
        folder = root / f"kind {label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04d}.png")


def make_weights(file: Path) -> None:
    """Write a SqueezeNet that has learnt nothing."""
    import torch  # noqa: PLC0415 - the long-lived process has no other use for it

    from audit.compute import vision, weights  # noqa: PLC0415

    torch.manual_seed(0)
    weights.write_tensors(file, vision.load().models.squeezenet1_0(weights=None).state_dict())


def settings(case: str, place: Path, *, quick: bool) -> Wishes:
    """Return what a case trains with; the features' backbone is made when it is first wanted."""
    wishes = CASES[case]
    if wishes.preset == "features":
        file = place / "squeezenet.safetensors"
        if not file.exists():
            make_weights(file)
        wishes = replace(wishes, weights=file)
    if not quick:
        return wishes
    assert wishes.epochs is not None
    return replace(wishes, epochs=max(FEWEST_EPOCHS, wishes.epochs // 3), batch_size=16)


def torment_all(
    place: Path, wanted: int, seed: int, *, quick: bool, say: Callable[[str], None]
) -> tuple[list[Kill], list[Victim]]:
    rng = np.random.default_rng(seed)
    source = place / "stripes"
    make_source(source, N_IMAGES_QUICK if quick else N_IMAGES)
    plain: dict[str, tuple[Path, Length]] = {}
    order = AIMS_QUICK if quick else AIMS
    turn = int(rng.integers(len(order)))

    def turns() -> Iterator[str]:
        nonlocal turn
        while True:
            turn += 1
            yield order[turn % len(order)]

    kills: list[Kill] = []
    victims: list[Victim] = []
    while len(kills) < wanted:
        case = tuple(CASES)[len(victims) % len(CASES)]
        wishes = settings(case, place, quick=quick)
        if case not in plain:
            with Workspace.open(place / f"plain {case}") as workspace:
                plain[case] = undisturbed(workspace, source, wishes)
            say(f"{case}: {plain[case][1].life:.1f} s undisturbed")
        # A workspace of its own each: no pixels to take over, so that decoding can be hit.
        with Workspace.open(place / f"killed {len(victims)}") as workspace:
            folder, those = torment(
                workspace,
                source,
                case,
                wishes,
                length=plain[case][1],
                turns=turns(),
                n_kills=min(int(rng.integers(1, MOST_KILLS + 1)), wanted - len(kills)),
                rng=rng,
            )
        victim = Victim(
            case=case,
            kills=len(those),
            differing_files=tuple(differing(plain[case][0], folder)),
        )
        kills += those
        victims.append(victim)
        hits = "; ".join(f"{kill.hit} after {kill.epochs_written} epochs" for kill in those)
        verdict = ", ".join(victim.differing_files) or "identical"
        say(f"{case}: killed in {hits or 'no moment, it was faster'} -> {verdict}")
    return kills, victims


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kills", type=int, nargs="?", default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few images, short trainings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every kill there")
    options = parser.parse_args()
    os.environ.setdefault("LABELTRACE_THREADS", "1")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        kills, victims = torment_all(
            Path(place), options.kills, options.seed, quick=options.quick, say=say
        )
    identical = sum(not victim.differing_files for victim in victims)
    facts = {
        "kills": len(kills),
        "runs": len(victims),
        "killed_more_than_once": sum(victim.kills > 1 for victim in victims),
        "identical": identical,
        "most_epochs_to_repeat": max((kill.epochs_to_repeat for kill in kills), default=0),
        "hit": dict(Counter(kill.hit for kill in kills)),
        "cases": dict(Counter(kill.case for kill in kills)),
        "seed": options.seed,
        "quick": options.quick,
        "seconds": round(time.monotonic() - begun, 1),
    }
    if options.json is not None:
        every = {"each": [asdict(kill) for kill in kills], "ends": [asdict(v) for v in victims]}
        options.json.write_text(json.dumps(facts | every, indent=2))
    say(
        f"{len(kills)} kills of {len(victims)} runs, all noticed, and resumed unless whole already; "
        f"{identical} of {len(victims)} sealed bit-identical to an undisturbed run; at most "
        f"{facts['most_epochs_to_repeat']} whole epoch trained again after a kill."
    )
    print(json.dumps(facts))
    return 0 if identical == len(victims) and facts["most_epochs_to_repeat"] <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
