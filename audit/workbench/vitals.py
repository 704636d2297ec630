"""What a running job takes from this machine: memory of its process, memory of the accelerator."""

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass

import psutil

from audit.jobs import lock
from audit.records.job import Job, JobState
from audit.workbench.shelf import Shelf

_SMI_SECONDS = 2.0
"""How long ``nvidia-smi`` may take; a driver in trouble hangs for minutes."""

_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a worker takes.

    Parameters
    ----------
    memory_bytes
        Resident memory of the process; ``None`` if it runs elsewhere or is gone.
    accelerator_bytes
        Memory of the accelerator that the process holds; ``None`` where that is not known.
    """

    memory_bytes: int | None = None
    accelerator_bytes: int | None = None


def of(shelf: Shelf, job: Job) -> Vitals:
    """Return what the worker of a job takes right now; nothing for one that does not run here."""
    holder = lock.holder(shelf.workspace, job.id)
    if job.state is not JobState.RUNNING or holder is None:
        return Vitals()
    if holder.host != lock.Holder.this_process().host:
        return Vitals()
    try:
        memory = psutil.Process(holder.pid).memory_info().rss
    except psutil.Error:
        return Vitals()
    held = None
    if job.device.startswith("cuda"):
        sampler = shelf.keep(("accelerator memory",), AcceleratorMemory)
        held = sampler.of(holder.pid, now=time.monotonic())
    return Vitals(memory_bytes=memory, accelerator_bytes=held)


class AcceleratorMemory:
    """What ``nvidia-smi`` said last; asked in the background, so that nobody waits for it."""

    def __init__(self) -> None:
        self._by_pid: dict[int, int] = {}
        self._asked_at: float | None = None
        self._lock = threading.Lock()

    def of(self, pid: int, *, now: float) -> int | None:
        """Return the bytes that a process held when last asked, and ask again if that is old."""
        with self._lock:
            is_old = self._asked_at is None or now - self._asked_at > _EVERY_SECONDS
            if is_old:
                self._asked_at = now
        if is_old:
            threading.Thread(target=self._ask, name="nvidia-smi", daemon=True).start()
        return self._by_pid.get(pid)

    def _ask(self) -> None:
        program = shutil.which("nvidia-smi")
        if program is None:
            return
        query = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
        try:
            answer = subprocess.run(
                [program, *query],
                capture_output=True,
                text=True,
                check=True,
                timeout=_SMI_SECONDS,
                env=os.environ | {"LC_ALL": "C"},
            )
        except (OSError, subprocess.SubprocessError):
            return
        self._by_pid = parse(answer.stdout)


def parse(text: str) -> dict[int, int]:
    r"""Return bytes by process id from lines of ``pid, mebibytes``; other lines are passed over.

    Examples
    --------
    >>> parse("1234, 512\n99, [N/A]\n")
    {1234: 536870912}
    """
    found: dict[int, int] = {}
    for line in text.splitlines():
        pid, _, mebibytes = (part.strip() for part in line.partition(","))
        if pid.isdecimal() and mebibytes.isdecimal():
            found[int(pid)] = found.get(int(pid), 0) + (int(mebibytes) << 20)
    return found
