"""Put together what the processes of one training saw, each a part of the rows.

Every process (rank) keeps values for all rows and writes those of its own shard. At the end of an epoch
one rank stands for each row, and every rank takes over its bits: afterwards all of them hold what a
single process would hold that had seen every row. A row that several ranks saw, as those that
``DistributedSampler`` repeats to make the shards equal, is taken once.

Everything here is collective: all ranks of the group call it, in the same order.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from audit.errors import TrainingError

CHUNK_BYTES = 64 * 2**20
"""Most bytes that are sent at once: what a copy for another device takes, and NCCL's own buffers."""


def running_group() -> dist.ProcessGroup | None:
    """Return the group of all processes of this training, ``None`` where there is only this one."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() < 2:
        return None
    return dist.group.WORLD


def own_rows(times_seen: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Return for which rows this rank stands: the lowest rank that saw the row, rank 0 if none did.

    Parameters
    ----------
    times_seen
        How often this rank saw each row, (R,) integer.
    group
        The ranks.

    Returns
    -------
    Tensor
        (R,) bool; each row is true on exactly one rank.
    """
    rank = dist.get_rank(group)
    claim = torch.where(times_seen > 0, rank, dist.get_world_size(group)).to(torch.int32)
    _all_reduce(claim, dist.ReduceOp.MIN, group)
    nobody = claim == dist.get_world_size(group)
    return (claim == rank) | (nobody if rank == 0 else torch.zeros_like(nobody))


def keep_own(values: Tensor, is_own: Tensor, group: dist.ProcessGroup) -> None:
    """Replace each row's values, in place, by those of the rank that stands for it, bit by bit.

    Parameters
    ----------
    values
        (R, …) of a dtype of four bytes, contiguous, of the same shape on every rank.
    is_own
        What `own_rows` returned, (R,) bool.
    group
        The ranks.
    """
    assert values.element_size() == 4, "bits are sent as int32"
    # Integers: a sum with zeros keeps every bit, also those of NaN.
    table = values.view(torch.int32).reshape(len(values), -1)
    assert table.data_ptr() == values.data_ptr(), "changed in place"
    n_at_once = max(1, CHUNK_BYTES // (4 * max(1, table.shape[1])))
    for some, own in zip(table.split(n_at_once), is_own.split(n_at_once), strict=True):
        some.masked_fill_(~own.unsqueeze(1), 0)
        _all_reduce(some, dist.ReduceOp.SUM, group)


def agree(number: int, group: dist.ProcessGroup, *, what: str) -> None:
    """Check that every rank was given the same.

    Parameters
    ----------
    number
        Stands for what must be the same, such as a checksum; in -2**62..2**62.
    group
        The ranks.
    what
        What it is, for the sentence.

    Raises
    ------
    TrainingError
        On every rank, if two of them differ.
    """
    if largest(number, group) != -largest(-number, group):
        raise TrainingError(
            f"The {dist.get_world_size(group)} processes of this training have different {what}: give "
            "each of them that of the whole dataset, in the same order."
        )


def largest(number: int, group: dist.ProcessGroup) -> int:
    """Return the largest of the numbers that the ranks gave; waits for the device."""
    held = torch.tensor([number], dtype=torch.int64)
    _all_reduce(held, dist.ReduceOp.MAX, group)
    return int(held.item())


def device_of(group: dist.ProcessGroup) -> torch.device:
    """Return a device of this process whose tensors the group can send."""
    return _meeting_place(torch.device("cpu"), group)


def _all_reduce(tensor: Tensor, op: dist.ReduceOp.RedOpType, group: dist.ProcessGroup) -> None:
    place = _meeting_place(tensor.device, group)
    if place == tensor.device:
        dist.all_reduce(tensor, op, group)
        return
    copy = tensor.to(place)
    dist.all_reduce(copy, op, group)
    tensor.copy_(copy)


def _meeting_place(device: torch.device, group: dist.ProcessGroup) -> torch.device:
    """Return where the group can send from: NCCL knows no CPU, gloo no accelerator but CUDA."""
    # Such as "cuda:nccl" or "cpu:gloo,cuda:gloo".
    kinds = [one.partition(":")[0] for one in dist.get_backend_config(group).split(",")]
    if device.type in kinds:
        return device
    if "cpu" in kinds:
        return torch.device("cpu")
    return torch.device(kinds[0])  # the one that this process has made current
