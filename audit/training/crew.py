"""The processes that train one network together: who computes which shards, and how they add up.

Once per batch every process adds its gradients to those of the others, and beside them, in the same
message, the logits of its rows. So each has the logits of every row, once per epoch whatever the
number of processes, and takes the same step; only the first writes anything down.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from audit.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The place of this process among those that train together.

    Parameters
    ----------
    rank
        Its number, from 0.
    size
        How many there are.
    local_rank
        Its number among those on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def share_of(self, n_shards: int) -> range:
        """Return the shards of a batch that this process computes, equal to within one.

        Examples
        --------
        >>> Crew(rank=1, size=2).share_of(5)
        range(2, 5)
        """
        return range(n_shards * self.rank // self.size, n_shards * (self.rank + 1) // self.size)

    def device(self, named: str) -> str:
        """Return the device of this process: on accelerators each has one of its own."""
        return f"cuda:{self.local_rank}" if self.size > 1 and named.startswith("cuda") else named

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace float32 tensors by their sums over all processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        begin = 0
        for tensor in tensors:
            tensor.copy_(flat[begin : begin + tensor.numel()].view_as(tensor))
            begin += tensor.numel()


_PATIENCE = timedelta(days=1)
"""How long processes wait for each other: the first may have images to decode or features to extract. If
one dies, torchrun ends the others."""

ALONE = Crew()
"""A process that trains by itself."""


def named() -> Crew:
    """Return the crew that ``torchrun`` put this process into: `ALONE` without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        return ALONE
    rank = int(os.environ["RANK"])
    return Crew(rank=rank, size=size, local_rank=int(os.environ.get("LOCAL_RANK", rank)))


def join(crew: Crew, device: str) -> None:
    """Meet the other processes of a crew; once, before the first batch.

    Parameters
    ----------
    crew
        What `named` returned.
    device
        ``cpu`` or ``cuda…``: they talk through gloo or NCCL.

    Raises
    ------
    TrainingError
        If this build of torch cannot, or the others do not come.
    """
    if crew.size == 1:
        return
    backend = "nccl" if device.startswith("cuda") else "gloo"
    try:
        if backend == "nccl":
            torch.cuda.set_device(crew.local_rank)
        distributed.init_process_group(
            backend, rank=crew.rank, world_size=crew.size, timeout=_PATIENCE
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"The {crew.size} processes of this training could not meet through {backend}: {error}"
        ) from error


def agreed(crew: Crew, value: int) -> int:
    """Return the leader's whole number to every process."""
    if crew.size == 1:
        return value
    # As a tensor: objects would travel pickled.
    tensor = torch.tensor([value], dtype=torch.int64, device=_meeting_place(crew))
    distributed.broadcast(tensor, src=0)
    return int(tensor.item())


def agree(crew: Crew, content: bytes) -> None:
    """Look whether every process begins with the same.

    Raises
    ------
    TrainingError
        If one of them has other content than the leader.
    """
    digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1
    if agreed(crew, digest) != digest:
        raise TrainingError(
            f"Process {crew.rank} of {crew.size} found other rows than the first one: do all of them "
            "work in the same workspace?"
        )


def _meeting_place(crew: Crew) -> str:
    return f"cuda:{crew.local_rank}" if distributed.get_backend() == "nccl" else "cpu"


def leave(crew: Crew) -> None:
    """Part from the other processes."""
    if crew.size > 1 and distributed.is_initialized():
        distributed.destroy_process_group()
