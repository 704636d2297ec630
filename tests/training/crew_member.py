"""A process that trains a few images, with others or alone, and writes what it observed.

``crew_member.py FOLDER``; every configuration is trained in turn.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from audit.records.dynamics import SIGNALS
from audit.records.run import Augmentation, RunConfig, Schedule
from audit.training import crew, loop, rows
from audit.training.recorder import EpochRecorder

N = 45
LABELS = (np.arange(N) % 3).astype(np.int32)
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
WIDE = np.random.default_rng(1).normal(size=(N, 12)).astype(np.float32)

SMALL = RunConfig(
    preset="t",
    architecture="small",
    image_size=8,
    epochs=3,
    batch_size=10,
    learning_rate=0.05,
    schedule=Schedule.ONE_CYCLE,
    augmentation=Augmentation.CROP_FLIP,
    shards=2,
)
FEATURES = RunConfig(
    preset="t",
    architecture="features",
    image_size=8,
    epochs=3,
    batch_size=10,
    learning_rate=0.05,
    dropout=0.5,
    shards=3,
)


def main() -> None:
    torch.set_num_threads(1)
    own = crew.named()
    crew.join(own, "cpu")
    for name, config, inputs in (("small", SMALL, IMAGES), ("features", FEATURES, WIDE)):
        made = rows.build(np.arange(N), LABELS, n_classes=3, config=config)
        recorder = EpochRecorder(made)
        training = loop.Training(config, inputs, made, recorder.observe, crew=own)
        epochs = [
            (recorder.end_epoch(), step.loss, step.accuracy)
            for step in training.epochs()
            if step.ends_epoch
        ]
        values = {signal: np.stack([epoch[signal] for epoch, _, _ in epochs]) for signal in SIGNALS}
        course = [(loss, accuracy) for _, loss, accuracy in epochs]
        np.savez(Path(sys.argv[1], f"{name}-{own.rank}-of-{own.size}.npz"), course=course, **values)
    crew.leave(own)


if __name__ == "__main__":
    main()
