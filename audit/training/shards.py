"""A batch in shards: each normalised on its own, their gradients added in one order.

What comes out depends on how many shards there are, not on who computes them: threads of this process
side by side, one after the other where memory is short, or several processes. Threads of one operation
meet at a barrier after every layer; shards meet once per batch (docs/decisions/0014).
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LEAST_ROWS = 2
"""Rows that batch-norm needs to learn from."""

_Answer = TypeVar("_Answer")


class Shards:
    """Replicas of a network, one per shard, that share its weights.

    A replica has gradients and batch-norm statistics of its own; those of the first are the network's.

    Parameters
    ----------
    network
        On its device, in its memory format.
    n_shards
        How many there are.
    n_threads
        How many are computed side by side; each thread computes on ``threads_each`` cores.
    threads_each
        Threads of one operation within a shard.
    """

    def __init__(
        self, network: nn.Module, n_shards: int, *, n_threads: int = 1, threads_each: int = 1
    ) -> None:
        self.replicas = [network, *(_replica(network) for _ in range(n_shards - 1))]
        self._parameters = [list(replica.parameters()) for replica in self.replicas]
        self._n_helpers = min(n_shards, n_threads) - 1
        self._threads_each = threads_each
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self.replicas)

    def each(
        self, work: Callable[[int, nn.Module], _Answer], shards: Sequence[int]
    ) -> list[_Answer]:
        """Return what a function makes of every shard, in the order given; all have ended by then."""
        if self._n_helpers < 1 or len(shards) == 1:
            return [work(shard, self.replicas[shard]) for shard in shards]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self._n_helpers,
                thread_name_prefix="shard",
                initializer=torch.set_num_threads,
                initargs=(self._threads_each,),
            )
        # The caller's thread takes the first: one hand-over less per batch.
        later = [self._pool.submit(work, shard, self.replicas[shard]) for shard in shards[1:]]
        try:
            first = work(shards[0], self.replicas[shards[0]])
        finally:
            for one in later:
                one.exception()  # waits; a replica still at work must not be touched
        return [first, *(one.result() for one in later)]

    def add_gradients(self, shards: Sequence[int]) -> None:
        """Add the gradients of shards into the network's own, in the order of the shards."""
        for shard in sorted(shards):
            if shard == 0:
                continue
            for total, own in zip(self._parameters[0], self._parameters[shard], strict=True):
                if total.grad is None:
                    total.grad = own.grad
                elif own.grad is not None:
                    total.grad += own.grad
                own.grad = None

    def gradients(self) -> list[Tensor]:
        """Return the network's own gradients, in the order of its weights; zeros where there are none."""
        found: list[Tensor] = []
        for parameter in self._parameters[0]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            found.append(parameter.grad)
        return found

    def forget_gradients(self) -> None:
        """Drop every gradient."""
        for parameters in self._parameters:
            for parameter in parameters:
                parameter.grad = None

    def close(self) -> None:
        """End the threads; the next batch would start new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


def bounds(n_rows: int, n_shards: int) -> NDArray[np.int64]:
    """Return where the shards of a batch begin and end, sizes equal to within one row.

    Fewer than `n_shards` where a shard would have less than `LEAST_ROWS` rows.

    Examples
    --------
    >>> bounds(9, 2).tolist(), bounds(3, 2).tolist()
    ([0, 4, 9], [0, 3])
    """
    n_shards = max(1, min(n_shards, n_rows // LEAST_ROWS))
    return np.arange(n_shards + 1, dtype=np.int64) * n_rows // n_shards


def _replica(network: nn.Module) -> nn.Module:
    replica = copy.deepcopy(network)
    for own, shared in zip(replica.parameters(), network.parameters(), strict=True):
        own.data = shared.data
    return replica
