"""What this machine has, asked without importing torch into a process that serves people."""

import functools
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import audit
from audit.compute import lanes
from audit.errors import InputError

_PATIENCE_SECONDS = 120
"""How long torch may take to import and look around; a cold disk needs half a minute."""


def threads() -> int:
    """Return the number of CPU threads that a run may use, at least 1.

    Returns
    -------
    int
        ``LABELTRACE_THREADS``, or all cores that this process may use.

    Raises
    ------
    InputError
        If ``LABELTRACE_THREADS`` is not a positive whole number.
    """
    return lanes.named() or lanes.cores()


def device(wanted: str) -> str:
    """Return the device that a run will be frozen to.

    Parameters
    ----------
    wanted
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. ``auto`` asks torch, in a process of its
        own, only where there is a sign of an accelerator.

    Returns
    -------
    str
        ``cpu``, ``cuda:N`` or ``mps``.

    Raises
    ------
    InputError
        If the wanted device is not there; says which are.
    """
    if wanted == "cpu":
        return "cpu"
    if wanted == "auto" and not may_have_accelerator():
        return "cpu"
    facts = ask_torch()
    available = tuple(str(found["name"]) for found in facts["devices"])
    if wanted == "auto":
        return str(facts["default"])
    full = "cuda:0" if wanted == "cuda" else wanted
    if full not in available:
        raise InputError(f"There is no device {wanted!r} here; there are {', '.join(available)}.")
    return full


def bfloat16_pays(on_device: str) -> bool:
    """Return whether training in bfloat16 is faster on a device (see docs/decisions/0004)."""
    if on_device == "cpu":
        return cpu_has_bfloat16()
    return any(d["name"] == on_device and d["bfloat16"] for d in ask_torch()["devices"])


def may_have_accelerator() -> bool:
    """Return whether asking torch for an accelerator is worth the seconds that it takes."""
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return is_apple or Path("/dev/nvidiactl").exists() or platform.system() == "Windows"


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 natively, as far as Linux tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@functools.cache
def ask_torch() -> Mapping[str, Any]:
    """Return what torch says of this machine, asked in a process of its own.

    Raises
    ------
    InputError
        If torch cannot be imported; carries its last line.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "audit.compute.device"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
            # -m looks here first: a folder named `audit` where somebody happens to stand is not ours.
            cwd=Path(audit.__file__).resolve().parents[1],
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"PyTorch said nothing for {_PATIENCE_SECONDS} seconds; name a device with --device cpu."
        ) from error
    lines = answer.stdout.strip().splitlines()
    if answer.returncode != 0 or not lines:
        last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InputError(f"PyTorch cannot be used here: {last}")
    return json.loads(lines[-1])
