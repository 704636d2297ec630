"""How fast this machine trains: our engine beside the loops that people write, in one measurement.

Each contestant is a process of its own (`audit.tasks.bench_training`) that trains an epoch when it is told
to. They take turns, so that whatever else the machine does meets all of them alike.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import audit
from audit.compute import lanes
from audit.errors import AuditError, InputError, NotFoundError
from audit.records import preset as presets
from audit.records.progress import Report
from audit.records.run import Augmentation, Precision, RunConfig
from audit.workbench import machine, settling

ROUNDS, IMAGES = 7, 2560
"""Epochs that are counted of each contestant, and images of each."""

IMAGE_SIZE = 32
STOCK = "resnet32"
"""Network of the stock loops, which compute in float32 whatever the hardware has."""

_PROGRAM = ("-P", "-m", "audit.tasks.bench_training")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to measure; ``None`` leaves it to the preset ``quick`` and to the machine."""

    architecture: str | None = None
    precision: Precision | None = None
    device: str = "auto"
    batch_size: int | None = None
    rounds: int = ROUNDS
    images: int = IMAGES
    loops: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A row of the table before it is measured.

    Parameters
    ----------
    name, what
        What it is called, and in a few words what it does.
    program
        ``ours``, ``plain`` or ``bound``.
    config
        Network, batch, precision.
    options
        What its program wants to know beside.
    """

    name: str
    what: str
    program: str
    config: RunConfig
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table.

    Parameters
    ----------
    name, what, architecture, precision
        As of the contestant.
    median, low, high
        Images per second: median, and the interval that holds the middle of the rounds (from the
        second lowest to the second highest of seven: 87 % for the median).
    rounds
        Every round's images per second.
    """

    name: str
    what: str
    architecture: str
    precision: str
    median: float
    low: float
    high: float
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was measured.

    Parameters
    ----------
    rows
        Contestants, in the order of measuring.
    bound
        Images per second if only the network's products took time.
    ratios
        What the rows say of each other, paired by round: name → median ratio.
    missing
        A sentence for each row that could not be measured.
    machine
        Device, cores, threads.
    """

    rows: tuple[Row, ...]
    bound: Row
    ratios: Mapping[str, float]
    missing: tuple[str, ...]
    machine: Mapping[str, Any]


def measure(wish: Wish, report: Report) -> Table:
    """Measure every contestant in turn.

    Parameters
    ----------
    wish
        What to measure.
    report
        Told about every epoch.

    Raises
    ------
    InputError, NotFoundError
        If a setting is out of range or the device not there.
    """
    config = settings(wish)
    if wish.rounds < 3:
        raise InputError(f"An interval needs at least 3 rounds, got {wish.rounds}.")
    if wish.images < 2 * config.batch_size:
        raise InputError(f"An epoch needs at least {2 * config.batch_size} images here.")
    missing: list[str] = []
    everyone = _wanted(contestants(config), wish.loops)
    if find_spec("aum") is None:
        everyone = [c for c in everyone if c.options.get("margins") != "aum"]
        missing.append("Rows with the package aum are left out: `pip install aum` brings them.")
    everyone.append(
        Contestant(
            name="bound", what="the network's products alone", program="bound", config=config
        )
    )
    found: dict[str, list[float]] = {one.name: [] for one in everyone}
    n_steps, n_done = len(everyone) * (wish.rounds + 1), 0
    running: list[tuple[Contestant, _Process]] = []
    try:
        for one in everyone:
            report(n_done / n_steps, f"starting {one.name}")
            running.append((one, _Process(one, wish.images)))
        for number in range(wish.rounds + 1):
            for one, process in running:
                what = f"round {number} of {wish.rounds}" if number else "warming up"
                report(n_done / n_steps, f"{what} · {one.name}")
                figure = process.epoch()
                n_done += 1
                if number:
                    found[one.name].append(figure)
    finally:
        for _, process in running:
            process.end()
    report(1.0, "measured")
    rows = {one.name: _row(one, found[one.name]) for one in everyone}
    bound = rows.pop("bound")
    return Table(
        rows=tuple(rows.values()),
        bound=bound,
        ratios=_ratios(rows, bound),
        missing=tuple(missing),
        machine={
            "device": config.device,
            "cores": lanes.cores(),
            "threads": config.threads,
            "shards": config.shards,
            "batch_size": config.batch_size,
            "image_size": config.image_size,
            "images": wish.images,
            "rounds": wish.rounds,
        },
    )


def _wanted(everyone: Sequence[Contestant], names: Sequence[str] | None) -> list[Contestant]:
    if names is None:
        return list(everyone)
    known = [one.name for one in everyone]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFoundError(f"There is no loop {unknown[0]!r}; there are {', '.join(known)}.")
    return [one for one in everyone if one.name in names]


def settings(wish: Wish) -> RunConfig:
    """Return the settings of our own training: those of the preset ``quick`` where nothing else is said."""
    preset = presets.find("quick")
    architecture = wish.architecture or preset.architecture
    if architecture not in presets.ARCHITECTURES or architecture == "features":
        known = ", ".join(name for name in presets.ARCHITECTURES if name != "features")
        raise InputError(f"There is no network {architecture!r} to measure; there are {known}.")
    device = machine.device(wish.device)
    batch_size = wish.batch_size or preset.batch_size
    threads, shards = settling.lanes_of(architecture, batch_size, IMAGE_SIZE, device)
    return RunConfig(
        preset=preset.name,
        architecture=architecture,
        image_size=IMAGE_SIZE,
        epochs=1_000_000,  # as many as it is asked for
        batch_size=batch_size,
        learning_rate=0.01,  # labels are drawn at random: nothing can be learnt, nothing may diverge
        weight_decay=preset.weight_decay,
        augmentation=Augmentation.CROP_FLIP,
        precision=wish.precision or settling.suitable_precision(device),
        threads=threads,
        shards=shards,
        device=device,
    )


def contestants(config: RunConfig) -> Sequence[Contestant]:
    """Return who competes: ours and the plain loops on one network, stock loops on `STOCK`."""
    stock = replace(config, architecture=STOCK, precision=Precision.FLOAT32)
    return [
        Contestant(
            name="ours",
            what="labeltrace, everything recorded",
            program="ours",
            config=config,
            options={"records": True},
        ),
        Contestant(
            name="ours_without_recording",
            what="labeltrace, nothing recorded",
            program="ours",
            config=config,
            options={"records": False},
        ),
        *(
            Contestant(name=name, what=what, program="plain", config=at, options={"margins": keeps})
            for name, what, at, keeps in (
                ("plain_loop", "PyTorch with a DataLoader", config, "none"),
                ("plain_loop_margins", "the same, margins vectorised", config, "vectorised"),
                ("plain_loop_aum", "the same, margins by the package aum", config, "aum"),
                ("stock_loop", f"PyTorch, {STOCK} in float32", stock, "none"),
                ("stock_loop_aum", "the same with the package aum", stock, "aum"),
            )
        ),
    ]


class _Process:
    """A contestant that waits for its turn."""

    def __init__(self, contestant: Contestant, n_images: int) -> None:
        self._name = contestant.name
        is_ours = contestant.program == "ours"
        threads = contestant.config.threads if is_ours else lanes.cores()
        environment = dict(os.environ)
        environment.pop("OMP_NUM_THREADS", None)
        if is_ours:  # as a worker is started
            environment |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        root = str(Path(audit.__file__).resolve().parents[1])
        old = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, old)))
        self._process = subprocess.Popen(
            [sys.executable, *_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        told = {
            "name": contestant.program,
            "config": contestant.config.to_json(),
            "images": n_images,
            "threads": threads,
            "loader_workers": min(2, lanes.cores()),
            **contestant.options,
        }
        self._say(json.dumps(told))

    def epoch(self) -> float:
        """Let it train an epoch; return its images per second."""
        self._say("epoch")
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise AuditError(
                f"The measurement of {self._name} ended early; what it said stands above."
            )
        return float(json.loads(answer)["images_per_second"])

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise AuditError(
                f"The measurement of {self._name} ended early; what it said stands above."
            ) from error


def _row(contestant: Contestant, found: Sequence[float]) -> Row:
    low, high = interval(found)
    return Row(
        name=contestant.name,
        what=contestant.what,
        architecture=contestant.config.architecture,
        precision=str(contestant.config.precision),
        median=statistics.median(found),
        low=low,
        high=high,
        rounds=tuple(found),
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval for the median: from the second lowest to the second highest value.

    Between order statistics 2 and n−1 the median lies with probability 1 − (n+1) ÷ 2^(n−1): .875 for
    n = 7. Of fewer than five values it is the whole range.

    Examples
    --------
    >>> interval([5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0]), interval([3.0, 1.0, 2.0])
    ((2.0, 6.0), (1.0, 3.0))
    """
    ordered = sorted(values)
    return (ordered[1], ordered[-2]) if len(ordered) >= 5 else (ordered[0], ordered[-1])


def _ratios(rows: Mapping[str, Row], bound: Row) -> dict[str, float]:
    """Return what the goals speak of, paired by round: what slows the machine slows both."""
    pairs = {
        "recording_slows_by": ("ours_without_recording", "ours"),
        "ours_per_plain_loop": ("ours", "plain_loop"),
        "ours_per_plain_loop_aum": ("ours", "plain_loop_aum"),
        "ours_per_stock_loop": ("ours", "stock_loop"),
        "ours_per_stock_loop_aum": ("ours", "stock_loop_aum"),
        "ours_per_bound": ("ours", "bound"),
    }
    everyone = {**rows, "bound": bound}
    found: dict[str, float] = {}
    for name, (above, below) in pairs.items():
        if above in everyone and below in everyone:
            each = [
                a / b for a, b in zip(everyone[above].rounds, everyone[below].rounds, strict=True)
            ]
            found[name] = statistics.median(each) - (1 if name == "recording_slows_by" else 0)
    return found
