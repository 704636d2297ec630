"""Seconds of one thread per image and epoch of every network: the table of ``workbench/estimating.py``.

    python benchmarks/speeds.py

Networks are as a run makes them, their inputs are noise, their weights are drawn; what is counted is
the processor time of one thread, the least of three repetitions, so that a busy machine changes little.
"""

import json
import os
import platform
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from audit.records.preset import ARCHITECTURES, BACKBONES
from audit.records.run import Augmentation, Precision, RunConfig
from audit.training import backbones, rows
from audit.training.loop import Training

SIDE, BACKBONE_SIDE, BATCH, N_CLASSES, N_BATCHES = 32, 128, 128, 10, 3


def main() -> None:
    """Measure and print the table as JSON."""
    torch.set_num_threads(1)
    table = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores, one thread",
        "training": {
            name: {p.value: round(training(name, p), 6) for p in Precision}
            for name in ARCHITECTURES
        },
        "extracting": {
            name: {p.value: round(extracting(name, p), 5) for p in Precision} for name in BACKBONES
        },
    }
    print(json.dumps(table, indent=2))


def training(architecture: str, precision: Precision) -> float:
    """Return seconds per row and epoch of a training on images of `SIDE` pixels, or on features."""
    config = RunConfig(
        preset="quick", architecture=architecture, image_size=SIDE, epochs=4, batch_size=BATCH,
        learning_rate=0.01, precision=precision,
        augmentation=Augmentation.NONE if architecture == "features" else Augmentation.CROP_FLIP,
    )  # fmt: skip
    n_rows = BATCH * (200 if architecture == "features" else N_BATCHES)
    rng = np.random.default_rng(0)
    inputs = (
        rng.normal(size=(n_rows, 1408)).astype(np.float32)
        if architecture == "features"
        else rng.integers(0, 255, (n_rows, SIDE, SIDE, 3), dtype=np.uint8)
    )
    labels = rng.integers(0, N_CLASSES, n_rows).astype(np.int32)
    table = rows.build(np.arange(n_rows), labels, n_classes=N_CLASSES, config=config)
    seconds = []
    began = time.process_time()
    for step in Training(config, inputs, table, lambda rows, logits: None).epochs():
        if step.ends_epoch:
            seconds.append(time.process_time() - began)
            began = time.process_time()
    return min(seconds[1:]) / n_rows  # the first epoch also warms up


def extracting(name: str, precision: Precision) -> float:
    """Return seconds per image of `BACKBONE_SIDE` pixels to extract its features."""
    network = (
        backbones.SqueezeNet(is_caffe=False) if name == "squeezenet" else backbones.ResNet(name)
    )
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randint(0, 255, (32, BACKBONE_SIDE, BACKBONE_SIDE, 3), dtype=torch.uint8)
    seconds = []
    reduced = precision is Precision.BFLOAT16
    for _ in range(4):
        began = time.process_time()
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced):
            network(images)
        seconds.append(time.process_time() - began)
    return min(seconds[1:]) / len(images)


if __name__ == "__main__":
    main()
