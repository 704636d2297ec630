"""The one owner of the torchvision import.

A torchvision wheel built for CUDA beside a CPU-only torch skips its compiled operators silently and
then fails on registering fake kernels for operators that were never defined. Declaring the two
missing schemas first is enough for everything that runs in plain torch: models, transforms,
datasets. What stays unusable (``ops.nms``, ``io.decode_*``) is not used here.
"""

import importlib
import sys
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_kept_alive: list[torch.library.Library] = []
"""Torch forgets an operator's schema as soon as the library object that defined it is collected."""


def load() -> ModuleType:
    """Return torchvision, importing it at the first call.

    Raises
    ------
    RuntimeError
        If torchvision fails to import for any other reason than its missing compiled operators.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # the failed import left half of it behind
    library = torch.library.Library("torchvision", "FRAGMENT")
    _kept_alive.append(library)
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    return importlib.import_module("torchvision")
