"""Devices: which one a name means, and what pays on which."""

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from audit.compute import lanes, vision
from audit.errors import InputError


def resolve(name: str) -> str:
    """Return the device that a user's word means on this machine.

    Parameters
    ----------
    name
        ``auto`` (the first accelerator, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns
    -------
    str
        ``cpu``, ``cuda:N`` or ``mps``.

    Raises
    ------
    InputError
        If the word is none of these, or this machine has no such device.

    Examples
    --------
    >>> resolve("cpu")
    'cpu'
    """
    kind, _, number = name.partition(":")
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if name == "cpu":
        return name
    if name == "mps":
        if not _has_mps():
            raise InputError(f"Device 'mps' is not there; this machine has {_known()}.")
        return name
    if kind == "cuda" and (number.isdecimal() or name == "cuda"):
        index = int(number or 0)
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            raise InputError(f"Device {name!r} is not there; this machine has {_known()}.")
        return f"cuda:{index}"
    raise InputError(f"Device {name!r} is not known; use auto, cpu, cuda, cuda:N or mps.")


def bfloat16_pays(device: str) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware, so that it is faster than float32.

    A CPU with AVX-512 but without its bfloat16 instructions emulates them and gains nothing.
    """
    if device.startswith("cuda"):
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    # Private names, but the only ones there are; where torch has none, float32 is the safe answer.
    probes = (
        getattr(torch.cpu, "_is_avx512_bf16_supported", None),
        getattr(torch.cpu, "_is_amx_tile_supported", None),
    )
    has_instructions = any(probe is not None and probe() for probe in probes)
    return has_instructions and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread inside: sums are then added in one order on every machine.

    Threads of Python that begin to compute inside keep to that too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe() -> dict[str, Any]:
    """Return what this machine offers to a training, as plain JSON values."""
    devices = [
        {
            "name": f"cuda:{index}",
            "title": torch.cuda.get_device_name(index),
            "memory_bytes": torch.cuda.get_device_properties(index).total_memory,
            "bfloat16": bfloat16_pays(f"cuda:{index}"),
        }
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    if _has_mps():
        devices.append({"name": "mps", "title": "Apple GPU", "bfloat16": bfloat16_pays("mps")})
    devices.append(
        {
            "name": "cpu",
            "title": platform.processor() or platform.machine(),
            "threads": lanes.cores(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "bfloat16": bfloat16_pays("cpu"),
        }
    )
    return {"torch": str(torch.__version__), "default": resolve("auto"), "devices": devices}


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _known() -> str:
    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if _has_mps():
        names.append("mps")
    return ", ".join(names)


def main() -> int:
    """Write `describe` and torchvision's version as a line of JSON to stdout.

    ``python -m audit.compute.device`` is how a process without torch asks.
    """
    try:
        torchvision = str(vision.load().__version__)
    except (ImportError, RuntimeError, OSError):  # missing, or built for another torch
        torchvision = None
    sys.stdout.write(json.dumps(describe() | {"torchvision": torchvision}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
