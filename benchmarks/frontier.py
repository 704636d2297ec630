"""What a second of the processor buys: average precision of recipes at equal budgets.

    python benchmarks/frontier.py SOURCE [--recipes R,…] [--budgets 60,120,300] [--images N] [--json FILE]
    python benchmarks/frontier.py --table FILE…

SOURCE is a dataset with true labels. A recipe gets as many epochs as fit into the budget at the speed of
its first batches; its schedule is stretched over them. Seconds are those of one processor core, training
and, for ``features``, extraction included, so that a busy machine changes little. With ``--json`` results
are appended one by one, so that a measurement that was cut off can be gone on with.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from audit.datasets import sources
from audit.datasets.reader import SampleReader
from audit.numerics import metrics, ranking
from audit.records import preset as presets
from audit.records.run import Augmentation, Precision, RunConfig, Schedule
from audit.training import features, networks, rows
from audit.training.loop import Training
from audit.training.recorder import EpochRecorder

PROBED = 4
"""Batches whose time tells how many epochs fit; one more warms up."""

SHALLOW = (48, 48, "pool", 96, 96)
NARROW, SMALL = networks.LAYOUTS["narrow"], networks.LAYOUTS["small"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network with everything that is not the number of epochs."""

    architecture: str = "small"
    layout: tuple[int | str, ...] = SMALL
    side: int = 32
    schedule: Schedule = Schedule.ONE_CYCLE
    rate: float = 0.2
    smoothing: float = 0.1
    augments: bool = True


RECIPES: Mapping[str, Recipe] = {
    "small": Recipe(),
    "narrow": Recipe(layout=NARROW),
    "shallow": Recipe(layout=SHALLOW),
    "small-24px": Recipe(side=24),
    "narrow-24px": Recipe(layout=NARROW, side=24),
    "narrow-constant": Recipe(layout=NARROW, schedule=Schedule.CONSTANT, rate=0.1),
    "narrow-unaugmented": Recipe(layout=NARROW, augments=False),
    "narrow-sharp": Recipe(layout=NARROW, smoothing=0.0),
    "resnet32": Recipe(architecture="resnet32", rate=0.1),
    "features": Recipe(architecture="features"),
}


def main() -> None:
    """Measure recipes at budgets, or print the table of what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--recipes", default="small,narrow,narrow-24px")
    parser.add_argument("--budgets", default="60,120,300")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--weights", type=Path, help="SqueezeNet's, for features")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.table:
        print(as_table([one for file in options.table for one in read(file)]))
        return
    if options.source is None:
        parser.error("name a SOURCE, or --table FILE")
    data = load(options.source, options.images)
    for budget in map(float, options.budgets.split(",")):
        for name in options.recipes.split(","):
            found = measure(name, budget, data, options)
            print(json.dumps(found), file=sys.stderr, flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps([*read(options.json), found], indent=1) + "\n")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Images as they lie in the source, given labels, and which of them are wrong."""

    name: str
    images: Sequence[NDArray[np.uint8]]
    labels: NDArray[np.int32]
    is_wrong: NDArray[np.bool_]
    n_classes: int
    is_coloured: bool


def load(source: Path, n_images: int) -> Data:
    """Return the first images of a source whose true labels are known."""
    plan = sources.plan(source)
    assert plan.truth is not None, "the source needs true labels"
    n = min(n_images, len(plan.given_labels))
    with SampleReader(plan.source, plan.paths) as reader:
        images = [reader.read_rgb(position) for position in range(n)]
    labels = plan.given_labels[:n].astype(np.int32)
    return Data(
        name=source.stem,
        images=images,
        labels=labels,
        is_wrong=labels != plan.truth.true_labels[:n],
        n_classes=len(plan.class_names),
        is_coloured=any(np.ptp(image, axis=2).max() > 30 for image in images[:50]),
    )


def resized(data: Data, side: int) -> NDArray[np.uint8]:
    """Return every image as a square of so many pixels, (N, S, S, 3)."""
    shrunk = [
        np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
        for image in data.images
    ]
    return np.stack(shrunk)


def measure(name: str, budget: float, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """Train a recipe for so many seconds of one core; return what it found."""
    recipe = RECIPES[name]
    networks.LAYOUTS = {"small": recipe.layout}
    torch.set_num_threads(1)
    n = len(data.labels)
    spent = 0.0
    config = settings(recipe, data, options)
    inputs: NDArray[Any] = resized(data, config.image_size)
    if recipe.architecture == "features":
        began = time.process_time()
        inputs = features.extract(inputs, config, lambda fraction, message: None)
        spent = time.process_time() - began
    table = rows.build(np.arange(n), data.labels, n_classes=data.n_classes, config=config)
    per_epoch = probed(config, inputs, table)
    n_epochs = max(2, round((budget - spent) / per_epoch))
    if recipe.architecture == "features":
        n_epochs = min(n_epochs, presets.find("features").epochs)
    config = replace(config, epochs=n_epochs, warmup_epochs=min(config.warmup_epochs, n_epochs / 5))
    notes = EpochRecorder(table)
    training = Training(config, inputs, table, notes.observe)
    began = time.process_time()
    margins = [notes.end_epoch()["margin"] for step in training.epochs() if step.ends_epoch]
    spent += time.process_time() - began
    margin = np.stack(margins)
    return {
        "data": data.name,
        "images": n,
        "wrong": round(float(data.is_wrong.mean()), 4),
        "recipe": name,
        "budget": budget,
        "seconds": round(spent, 1),
        "epochs": n_epochs,
        "seed": options.seed,
        "average_precision": {
            "tanh_epoch": round(of(-ranking.tanh_epoch(margin), data), 4),
            "margin": round(of(-margin.mean(axis=0), data), 4),
        },
        "machine": f"{platform.machine()}, one core of {os.cpu_count()}",
    }


def of(suspicion: NDArray[Any], data: Data) -> float:
    return metrics.average_precision(suspicion, data.is_wrong)


def settings(recipe: Recipe, data: Data, options: argparse.Namespace) -> RunConfig:
    """Return the settings of a recipe but for its epochs; two shards, as two cores compute them."""
    on_features = recipe.architecture == "features"
    preset = presets.find("features" if on_features else "quick")
    view = Augmentation.CROP_FLIP if data.is_coloured else Augmentation.CROP
    return RunConfig(
        preset=preset.name,
        architecture=recipe.architecture,
        backbone=preset.backbone,
        weights=None if options.weights is None or not on_features else str(options.weights),
        image_size=128 if on_features else recipe.side,
        epochs=1,
        batch_size=128,
        learning_rate=preset.learning_rate if on_features else recipe.rate,
        weight_decay=preset.weight_decay,
        schedule=preset.schedule if on_features else recipe.schedule,
        warmup_epochs=preset.warmup_epochs,
        augmentation=view if recipe.augments and not on_features else Augmentation.NONE,
        label_smoothing=preset.label_smoothing if on_features else recipe.smoothing,
        dropout=preset.dropout,
        precision=Precision.FLOAT32,
        shards=2,
        seed=options.seed,
    )


def probed(config: RunConfig, inputs: NDArray[Any], table: rows.Rows) -> float:
    """Return the processor's seconds of an epoch, from its first batches."""
    notes = EpochRecorder(table)
    steps = Training(config, inputs, table, notes.observe).epochs()
    next(steps)
    began = time.process_time()
    for _ in range(PROBED):
        step = next(steps)
    return (time.process_time() - began) / PROBED * step.n_batches


def read(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text()) if file.exists() else []


def as_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return a table per dataset: recipes down, budgets across, AP and epochs in the cells."""
    lines: list[str] = []
    for data in dict.fromkeys(one["data"] for one in found):
        own = [one for one in found if one["data"] == data]
        budgets = sorted({one["budget"] for one in own})
        head = ["recipe", *(f"{budget:.0f} s" for budget in budgets)]
        lines += [f"{data}: {own[0]['images']:,} images, {own[0]['wrong']:.1%} wrong", ""]
        lines += [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
        for recipe in dict.fromkeys(one["recipe"] for one in own):
            cells = [
                cell([o for o in own if (o["recipe"], o["budget"]) == (recipe, b)]) for b in budgets
            ]
            lines.append(f"| {recipe} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def cell(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return "–"
    values = sorted(one["average_precision"]["tanh_epoch"] for one in found)
    spread = "" if len(values) == 1 else f" ({values[0]:.3f} – {values[-1]:.3f})"
    return f"{np.median(values):.3f}{spread}, {found[0]['epochs']} epochs"


if __name__ == "__main__":
    main()
