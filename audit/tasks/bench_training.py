"""One contestant of ``labeltrace bench training``: trains an epoch whenever it is told to.

``python -m audit.tasks.bench_training`` reads a line of JSON, the contestant's settings, then one line per
epoch; it answers each with a line of JSON. A process each, so that none has another's threads.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from audit.compute import device as devices
from audit.compute import vision
from audit.records.run import Precision, RunConfig
from audit.training import networks, rows
from audit.training.loop import Training
from audit.training.recorder import EpochRecorder

N_CLASSES = 10
PRODUCT_SIDE, PRODUCTS = 2048, 4
"""Of the matrix products whose rate bounds every training."""

Epoch = Callable[[], float | None]
"""Trains one epoch; returns a figure to report instead of the images per second, if any."""


def main() -> None:
    """Answer until the input ends."""
    settings = json.loads(sys.stdin.readline())
    config = RunConfig.from_json(settings["config"])
    n_images = int(settings["images"])
    torch.set_num_threads(int(settings["threads"]))
    epoch = _CONTESTANTS[settings["name"]](config, n_images, settings)
    for _ in sys.stdin:
        began = time.perf_counter()
        figure = epoch()
        _wait(config)
        seconds = time.perf_counter() - began
        answer = {"images_per_second": n_images / seconds if figure is None else figure}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _ours(config: RunConfig, n_images: int, settings: Mapping[str, Any]) -> Epoch:
    images, labels = _data(config, n_images)
    table = rows.build(np.arange(n_images), labels, n_classes=N_CLASSES, config=config)
    notes = EpochRecorder(table, device=config.device) if settings["records"] else None
    training = Training(config, images, table, notes.observe if notes else None)
    torch.set_num_threads(training.threads_each)
    steps = training.epochs()

    def epoch() -> None:
        for step in steps:
            if step.ends_epoch:
                break
        if notes is not None:
            notes.end_epoch()

    return epoch


class _Pictures(Dataset[tuple[Tensor, int, int]]):
    """What a plain loop reads: pictures through torchvision's transforms, one by one."""

    def __init__(self, config: RunConfig, images: NDArray[np.uint8], labels: NDArray[Any]) -> None:
        transforms = vision.load().transforms
        self._images, self._labels = images, labels
        self._transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(config.image_size, padding=config.image_size // 8),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        return self._transform(self._images[row]), int(self._labels[row]), row


def _plain(config: RunConfig, n_images: int, settings: Mapping[str, Any]) -> Epoch:
    """Return the loop that most people write, with whatever keeps the margins."""
    device = torch.device(devices.resolve(config.device))
    images, labels = _data(config, n_images)
    n_workers = int(settings["loader_workers"])
    loader: DataLoader[Any] = DataLoader(
        _Pictures(config, images, labels),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=n_workers,
        persistent_workers=n_workers > 0,
        pin_memory=device.type == "cuda",
    )
    network = networks.build(config, n_outputs=N_CLASSES).to(device)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=True,
        weight_decay=config.weight_decay,
    )
    keep = _KEEPERS[settings["margins"]](n_images)
    reduced = config.precision is Precision.BFLOAT16

    def epoch() -> None:
        network.train()
        for pictures, label, row in loader:
            inputs, target = pictures.to(device), label.to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced):
                logits = network(inputs)
            loss = functional.cross_entropy(logits, target)
            keep(row, logits.detach(), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


Keep = Callable[[Tensor, Tensor, Tensor], None]


def _keep_nothing(n_images: int) -> Keep:
    del n_images
    return lambda rows, logits, labels: None


def _keep_margins(n_images: int) -> Keep:
    margins = torch.zeros(n_images)

    def keep(rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        at = labels[:, None]
        given = logits.gather(1, at)[:, 0]
        margins[rows] += (given - logits.scatter(1, at, -torch.inf).amax(1)).float().cpu()

    return keep


def _keep_with_aum(n_images: int) -> Keep:
    from aum import AUMCalculator  # noqa: PLC0415 - an extra, and slow to import

    calculator = AUMCalculator(save_dir="", compressed=True)
    del n_images

    def keep(rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        calculator.update(logits, labels, rows.tolist())

    return keep


_KEEPERS: Mapping[str, Callable[[int], Keep]] = {
    "none": _keep_nothing,
    "vectorised": _keep_margins,
    "aum": _keep_with_aum,
}


def _bound(config: RunConfig, n_images: int, settings: Mapping[str, Any]) -> Epoch:
    """Return images per second if nothing but the network's products took time, at the rate of large ones."""
    del n_images, settings
    device = torch.device(devices.resolve(config.device))
    network = networks.build(config, n_outputs=N_CLASSES)
    shape = (config.batch_size, 3, config.image_size, config.image_size)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(shape)).sum().backward()
    per_image = counter.get_total_flops() / config.batch_size
    dtype = torch.bfloat16 if config.precision is Precision.BFLOAT16 else torch.float32
    side = PRODUCT_SIDE if device.type == "cpu" else 4 * PRODUCT_SIDE
    one = torch.randn(side, side, dtype=dtype, device=device)

    def epoch() -> float:
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(one, one)
        _wait(config)
        rate = PRODUCTS * 2 * side**3 / (time.perf_counter() - began)
        return rate / per_image

    return epoch


_CONTESTANTS: Mapping[str, Callable[[RunConfig, int, Mapping[str, Any]], Epoch]] = {
    "ours": _ours,
    "plain": _plain,
    "bound": _bound,
}


def _data(config: RunConfig, n_images: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    rng = np.random.default_rng(config.seed)
    side = config.image_size
    images = rng.integers(0, 256, (n_images, side, side, 3), dtype=np.uint8)
    return images, rng.integers(0, N_CLASSES, n_images).astype(np.int32)


def _wait(config: RunConfig) -> None:
    """Wait until the device has done what it was told."""
    if config.device.startswith("cuda"):
        torch.cuda.synchronize()
    elif config.device == "mps":
        torch.mps.synchronize()


if __name__ == "__main__":
    main()
