"""Work in parts that know nothing of each other, side by side on the cores of this machine.

Each part is computed on one thread, so that its sums are added in one order: what comes out is the same to
the last bit on one core and on many. No part waits for another, so that all cores are taken, where a
training leaves one free (docs/decisions/0007).
"""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from audit.errors import InputError

THREADS = "LABELTRACE_THREADS"

LOOK_SECONDS = 0.1
"""How often progress is passed on, and a wish to stop is heard."""

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")

_Part = TypeVar("_Part")
_Answer = TypeVar("_Answer")


def named() -> int | None:
    """Return the number of threads that ``LABELTRACE_THREADS`` names, if it names one.

    Raises
    ------
    InputError
        If it is not a positive whole number.
    """
    text = os.environ.get(THREADS, "").strip()
    if text and (not text.isdecimal() or int(text) < 1):
        raise InputError(f"{THREADS} must be a positive whole number, got {text!r}.")
    return int(text) if text else None


def cores() -> int:
    """Return how many CPUs this process may use, at least 1; affinity and quota are respected."""
    if sys.platform == "linux":
        allowed = len(os.sched_getaffinity(0))
        try:
            quota, period = _CGROUP_LIMIT.read_text().split()
        except (OSError, ValueError):
            return max(1, allowed)
        return max(1, allowed if quota == "max" else min(allowed, int(quota) // int(period)))
    return os.cpu_count() or 1


def each(
    work: Callable[[_Part], _Answer], parts: Sequence[_Part], *, look: Callable[[], None]
) -> list[_Answer]:
    """Return what a function makes of every part, in the order of the parts.

    Parameters
    ----------
    work
        Called in a thread of its own, for as many parts at a time as there are cores, or as
        ``LABELTRACE_THREADS`` says. Only what lets go of Python's lock, as numpy and torch do while they
        compute, gains by that.
    parts
        What to work on.
    look
        Called in the caller's thread from the beginning to the end, a few times a second. What it raises
        ends the work: parts not begun are left out, those begun are waited for.

    Raises
    ------
    InputError
        As `named`.
    """
    n_lanes = max(1, min(len(parts), named() or cores()))
    with ThreadPoolExecutor(n_lanes) as pool:
        waiting = [pool.submit(work, part) for part in parts]
        try:
            is_over = False
            while not is_over:
                look()
                done, left = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_EXCEPTION)
                is_over = not left or any(one.exception() for one in done)
            return [one.result() for one in waiting]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
