"""Frozen backbones: networks pretrained on photographs, whose features a classifier learns on.

A weights file is recognised by its keys, not by its name: torchvision's own layouts, and for
SqueezeNet also the layout of the original Caffe model, which wants other pixels.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.compute import vision, weights
from audit.errors import InputError

_TORCHVISION_NAMES = {
    "squeezenet": "squeezenet1_0",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
}

# Position of each layer in torchvision's ``features``, and the squeeze and expand widths
# (Iandola et al. 2016, table 1).
_FIRES = {
    "fire2": (3, 16, 64),
    "fire3": (4, 16, 64),
    "fire4": (5, 32, 128),
    "fire5": (7, 32, 128),
    "fire6": (8, 48, 192),
    "fire7": (9, 48, 192),
    "fire8": (10, 64, 256),
    "fire9": (12, 64, 256),
}
_POOL_BEFORE = ("fire2", "fire5", "fire9")

_CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
_IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION_RGB = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A network that turns pixels into features, with its own idea of what pixels look like.

    Parameters
    ----------
    mean, deviation
        Per channel, in grey levels: what is subtracted and then divided by.
    is_bgr
        Whether blue comes first.
    n_features
        Width D of its features.
    """

    def __init__(
        self,
        *,
        mean: tuple[float, float, float],
        deviation: tuple[float, float, float],
        is_bgr: bool,
        n_features: int,
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.is_bgr = is_bgr
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (B, D) float32 of RGB pixels (B, S, S, 3) uint8."""
        pixels = pixels.flip(3) if self.is_bgr else pixels
        images = ((pixels.float() - self.mean) / self.deviation).permute(0, 3, 1, 2)
        return self.features(images)

    def features(self, images: Tensor) -> Tensor:
        """Return features (B, D) float32 of normalised images (B, 3, S, S)."""
        raise NotImplementedError


class SqueezeNet(Backbone):
    """SqueezeNet 1.0 (Iandola et al. 2016): the mean of fire7, the mean and maximum of fire9.

    Features of a middle layer beside the last ones tell look-alikes apart that ImageNet's classes
    do not; 384 + 512 + 512 = 1,408 values.
    """

    def __init__(self, *, is_caffe: bool) -> None:
        if is_caffe:
            mean, deviation = _CAFFE_MEAN_BGR, (1.0, 1.0, 1.0)
        else:
            mean, deviation = _in_grey_levels()
        super().__init__(mean=mean, deviation=deviation, is_bgr=is_caffe, n_features=1408)
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2)
        width = 96
        fires = {}
        for name, (_, squeezed, expanded) in _FIRES.items():
            fires[name] = Fire(width, squeezed, expanded)
            width = 2 * expanded
        self.fires = nn.ModuleDict(fires)
        # Caffe pools partial windows at the border; torch does so only when told to.
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def features(self, images: Tensor) -> Tensor:
        """Return features (B, 1408) float32 of normalised images (B, 3, S, S), S ≥ 32."""
        fire7, fire9 = self.maps(images)
        return torch.cat(
            [
                fire7.mean(dim=(2, 3), dtype=torch.float32),
                fire9.mean(dim=(2, 3), dtype=torch.float32),
                fire9.amax(dim=(2, 3)).float(),
            ],
            dim=1,
        )

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of fire7 (B, 384, H, W) and fire9 (B, 512, H', W')."""
        values = torch.relu(self.conv1(images))
        fire7 = values
        for name, fire in self.fires.items():
            if name in _POOL_BEFORE:
                values = self.pool(values)
            values = fire(values)
            if name == "fire7":
                fire7 = values
        return fire7, values


class Fire(nn.Module):
    """A 1×1 layer that narrows, then 1×1 and 3×3 layers side by side that widen."""

    def __init__(self, width: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, 2 · expanded, H, W)."""
        values = torch.relu(self.squeeze(values))
        return torch.relu(torch.cat([self.expand1x1(values), self.expand3x3(values)], dim=1))


class ResNet(Backbone):
    """A ResNet of torchvision up to its last average pooling."""

    def __init__(self, name: str) -> None:
        mean, deviation = _in_grey_levels()
        network: nn.Module = getattr(vision.load().models, name)(weights=None)
        assert isinstance(network.fc, nn.Linear)
        width = network.fc.in_features
        super().__init__(mean=mean, deviation=deviation, is_bgr=False, n_features=width)
        network.fc = nn.Identity()
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        """Return features (B, D) float32 of normalised images (B, 3, S, S)."""
        return self.network(images).float()


def locate(name: str, file: str | None) -> Path:
    """Return the weights file of a backbone: the one given, else one in torchvision's cache.

    Parameters
    ----------
    name
        ``squeezenet``, ``resnet18``, ``resnet34`` or ``resnet50``.
    file
        Path that the user gave, or ``None``.

    Raises
    ------
    InputError
        If the backbone is not known, or neither the file nor a cached one is there.
    """
    if name not in _TORCHVISION_NAMES:
        raise InputError(
            f"Backbone {name!r} is not known; there are {', '.join(_TORCHVISION_NAMES)}."
        )
    if file is not None:
        if not Path(file).is_file():
            raise InputError(f"There is no weights file {file!r}; check --weights.")
        return Path(file)
    models = vision.load().models
    enumeration = models.get_model_weights(_TORCHVISION_NAMES[name])
    urls = [enumeration.DEFAULT.url, *(entry.url for entry in enumeration)]
    cached = [weights.cache_folder() / url.rpartition("/")[2] for url in dict.fromkeys(urls)]
    for path in cached:
        if path.is_file():
            return path
    names = " or ".join(path.name for path in cached)
    raise InputError(
        f"There are no weights for backbone {name!r}: no --weights FILE was given and "
        f"{names} is not in {str(weights.cache_folder())!r}; download it from {urls[0]} and give "
        f"it a place there, or use a preset that needs no weights."
    )


def load(name: str, path: Path) -> Backbone:
    """Return a frozen backbone with the weights of a file, in evaluation mode on the CPU.

    Parameters
    ----------
    name
        As in `locate`.
    path
        A safetensors or npz file, or one in torchvision's cache.

    Raises
    ------
    InputError
        If the file cannot be read or holds another network.
    """
    tensors = weights.read_arrays(path)
    if name == "squeezenet":
        is_caffe = "fire2/conv1x1_1.weight" in tensors
        backbone: Backbone = SqueezeNet(is_caffe=is_caffe)
        wanted = {mine: tensors.get(theirs) for mine, theirs in _squeezenet_keys(is_caffe=is_caffe)}
    else:
        backbone = ResNet(name)
        wanted = {key: tensors.get(key.removeprefix("network.")) for key in backbone.state_dict()}
    _fill(backbone, wanted, name=name, path=path)
    return backbone.requires_grad_(requires_grad=False).eval()


def _fill(
    backbone: Backbone, wanted: Mapping[str, Tensor | None], *, name: str, path: Path
) -> None:
    state: dict[str, Tensor] = {}
    for key, mine in backbone.state_dict().items():
        tensor = wanted[key]
        if tensor is None and key.endswith("num_batches_tracked"):
            tensor = mine  # older files lack this counter, and a frozen network never reads it
        if tensor is None or tensor.shape != mine.shape:
            found = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
            raise InputError(
                f"Weights {path.name!r} are not those of {name!r}: expected shape "
                f"{tuple(mine.shape)} for {key!r}, found {found}."
            )
        state[key] = tensor.to(mine.dtype)
    backbone.load_state_dict(state)


def _squeezenet_keys(*, is_caffe: bool) -> list[tuple[str, str]]:
    """Return pairs (our key, the file's key)."""
    layers = [("conv1", "conv1" if is_caffe else "features.0")]
    for fire, (position, _, _) in _FIRES.items():
        for mine, caffe in (
            ("squeeze", "conv1x1_1"),
            ("expand1x1", "conv1x1_2"),
            ("expand3x3", "conv3x3_2"),
        ):
            theirs = f"{fire}/{caffe}" if is_caffe else f"features.{position}.{mine}"
            layers.append((f"fires.{fire}.{mine}", theirs))
    return [
        (f"{mine}.{part}", f"{theirs}.{part}")
        for mine, theirs in layers
        for part in ("weight", "bias")
    ]


def _in_grey_levels() -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    red, green, blue = (255 * value for value in _IMAGENET_MEAN_RGB)
    of_red, of_green, of_blue = (255 * value for value in _IMAGENET_DEVIATION_RGB)
    return (red, green, blue), (of_red, of_green, of_blue)
