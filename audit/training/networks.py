"""Networks that learn the labels, each made with weights drawn from the run's seed.

Every network maps a batch to logits in float32: the last layer is kept out of reduced precision,
because a bfloat16 logit near 10 is off by up to 0.03 and margins would inherit that.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.compute import seeding, vision
from audit.errors import InputError
from audit.records.run import RunConfig

Layout = tuple[int | str, ...]
"""A small network after its pixels are stacked 2×2: widths of 3×3 layers, and where to pool."""

LAYOUTS: Mapping[str, Layout] = {
    "narrow": (32, 32, "pool", 64, 64, "pool", 128, 128),
    "small": (64, 64, "pool", 128, 128, "pool", 256, 256),
}
"""Layouts of the small networks by name."""

HIDDEN_WIDTH = 512
"""Hidden units of the classifier on features."""

SMALL_IMAGE = 64
"""Up to this side, torchvision's networks keep the resolution in their first layer."""

MIN_IMAGE = 8

_TORCHVISION = ("resnet18", "resnet34", "resnet50")


def build(config: RunConfig, *, n_outputs: int, n_features: int | None = None) -> nn.Module:
    """Return a network on the CPU with weights drawn from the run's seed and probe part.

    Parameters
    ----------
    config
        ``architecture``, ``image_size``, ``dropout``, ``seed`` and ``probe_part``.
    n_outputs
        Number of logits.
    n_features
        Width D of the inputs of ``features``; not used by the others.

    Returns
    -------
    torch.nn.Module
        Takes (B, 3, S, S), or (B, D) for ``features``; gives (B, n_outputs) float32 logits.

    Raises
    ------
    InputError
        If the architecture is not known or the image too small for it.
    """
    name = config.architecture
    with seeding.layer_seed(config.seed, "first weights", config.probe_part):
        if name == "features":
            if n_features is None:
                raise InputError("The classifier on features needs features, got images.")
            return FeatureClassifier(n_features, n_outputs, dropout=config.dropout)
        if config.image_size < MIN_IMAGE:
            raise InputError(
                f"Images of {config.image_size} pixels are too small for {name!r}; "
                f"use --image-size {MIN_IMAGE} or more."
            )
        if name in LAYOUTS:
            return SmallNetwork(n_outputs, LAYOUTS[name])
        if name == "resnet32":
            return ResNet32(n_outputs, image_size=config.image_size)
        if name in _TORCHVISION:
            return _torchvision_network(name, n_outputs, image_size=config.image_size)
    known = ", ".join((*LAYOUTS, "resnet32", *_TORCHVISION, "features"))
    raise InputError(f"Architecture {name!r} is not known; there are {known}.")


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32 whatever the network around it does."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Return (B, out_features) float32."""
        with torch.autocast(input.device.type, enabled=False):
            return functional.linear(input.float(), self.weight, self.bias)


class SeededDropout(nn.Module):
    """Dropout whose masks come from a generator of its own, seeded anew for every epoch.

    With no such state to save, a resumed run drops what the uninterrupted one would have dropped.

    Parameters
    ----------
    rate
        Probability that a value is set to zero, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._generator: torch.Generator | None = None

    def reseed(self, generator: torch.Generator) -> None:
        """Take a generator, on the device of the inputs, for the batches that follow."""
        self._generator = generator

    def forward(self, values: Tensor) -> Tensor:
        """Return the values with some set to zero and the rest scaled up, in training mode only."""
        if not self.training or self.rate == 0:
            return values
        kept = (
            torch.rand(values.shape, generator=self._generator, device=values.device) >= self.rate
        )
        return values * kept / (1 - self.rate)


class FeatureClassifier(nn.Module):
    """One hidden layer on standardised features, as the classifier of Kim et al. (2024).

    Their section 4 speaks of two hidden layers; their measurements were made with one.
    """

    def __init__(self, n_features: int, n_outputs: int, *, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, HIDDEN_WIDTH)
        self.dropout = SeededDropout(dropout)
        self.output = Float32Linear(HIDDEN_WIDTH, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, n_outputs) of features (B, D)."""
        return self.output(self.dropout(torch.relu(self.hidden(features))))


class SmallNetwork(nn.Module):
    """A quick network: 2×2 pixels stacked into channels, six 3×3 layers, global mean.

    Stacking halves the resolution before the first layer, where an ordinary network spends most of
    its time. 1,154,058 parameters for ten classes as ``small``, 291,338 as ``narrow``.

    Parameters
    ----------
    n_outputs
        Number of logits.
    layout
        Widths of its layers.
    """

    def __init__(self, n_outputs: int, layout: Layout) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3 * 4
        for item in layout:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                continue
            layers += [_conv3x3(width, item), nn.BatchNorm2d(item), nn.ReLU(inplace=True)]
            width = item
        self.layers = nn.Sequential(*layers)
        self.output = Float32Linear(width, n_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, n_outputs) of images (B, 3, S, S)."""
        odd = images.shape[-1] % 2
        if odd:
            images = functional.pad(images, (0, odd, 0, odd), mode="replicate")
        return self.output(_global_mean(self.layers(functional.pixel_unshuffle(images, 2))))


class ResNet32(nn.Module):
    """ResNet-32 for small images: 464,154 parameters for ten classes (He et al. 2016, section 4.2).

    Three stages of five basic blocks with 16, 32 and 64 channels. Images of 64 pixels and more are
    halved by the first layer, as for Tiny ImageNet in Pleiss et al. (2020).
    """

    def __init__(self, n_outputs: int, *, image_size: int = 32) -> None:
        super().__init__()
        self.stem = _conv3x3(3, 16, stride=2 if image_size >= SMALL_IMAGE else 1)
        self.stem_norm = nn.BatchNorm2d(16)
        blocks: list[nn.Module] = []
        width = 16
        for stage_width in (16, 32, 64):
            for _ in range(5):
                blocks.append(BasicBlock(width, stage_width))
                width = stage_width
        self.blocks = nn.Sequential(*blocks)
        self.output = Float32Linear(width, n_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, n_outputs) of images (B, 3, S, S)."""
        values = torch.relu_(self.stem_norm(self.stem(images)))
        return self.output(_global_mean(self.blocks(values)))


class BasicBlock(nn.Module):
    """Two 3×3 layers beside a shortcut without parameters: mean pooling, then channels of zeros."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.stride = 1 if width_in == width_out else 2
        self.n_added = width_out - width_in
        self.conv1 = _conv3x3(width_in, width_out, stride=self.stride)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = _conv3x3(width_out, width_out)
        self.norm2 = nn.BatchNorm2d(width_out)

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, width_out, H, W), halved where the width grows."""
        shortcut = values
        if self.stride > 1:
            shortcut = functional.avg_pool2d(
                values, self.stride, ceil_mode=True, count_include_pad=False
            )
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.n_added))
        values = torch.relu_(self.norm1(self.conv1(values)))
        return torch.relu_(self.norm2(self.conv2(values)) + shortcut)


def _conv3x3(width_in: int, width_out: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 layer without bias, weights normal(0, sqrt(2 / (9 · width_out)))."""
    layer = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
    nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / (9 * width_out)))
    return layer


def _global_mean(values: Tensor) -> Tensor:
    return values.mean(dim=(2, 3), dtype=torch.float32)


def _torchvision_network(name: str, n_outputs: int, *, image_size: int) -> nn.Module:
    network: nn.Module = getattr(vision.load().models, name)(weights=None)
    network.fc = Float32Linear(network.fc.in_features, n_outputs)  # type: ignore[arg-type]
    if image_size <= SMALL_IMAGE:
        # As Kim et al. (2024) for 32 pixels: the stem for photographs would leave a single pixel.
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    return network
