"""Running sums of predicted probabilities per row: full where memory allows, top classes beyond."""

import numpy as np
import torch
from torch import Tensor

from audit.records.dynamics import MeanProbabilities

N_TOP = 16
"""Classes kept per row where the full table would not fit."""


class FullSums:
    """The sum of every class, (R, K) float32.

    Parameters
    ----------
    n_rows, n_classes
        Rows R and real classes K.
    device
        Where the probabilities are.
    """

    def __init__(self, n_rows: int, n_classes: int, *, device: torch.device) -> None:
        self._sums = torch.zeros((n_rows, n_classes), device=device)
        self._times = torch.zeros(n_rows, dtype=torch.int32, device=device)
        self._one = torch.ones(1, dtype=torch.int32, device=device)

    def add(self, rows: Tensor, probabilities: Tensor, counted: Tensor | None = None) -> None:
        """Add the probabilities (B, K) of rows (B,), all of them or those `counted`, (B,) bool."""
        times = self._one.expand(len(rows))
        if counted is not None:
            times = counted.to(torch.int32)
            probabilities = torch.where(counted.unsqueeze(1), probabilities, 0.0)
        self._sums.index_add_(0, rows, probabilities)
        self._times.index_add_(0, rows, times)

    def mean(self) -> MeanProbabilities:
        """Return the average over what was added; zeros for a row that was never seen."""
        means = (self._sums / self._times.clamp(min=1).unsqueeze(1)).cpu().numpy()
        classes = np.arange(means.shape[1], dtype=np.int32)
        return MeanProbabilities(
            classes=np.broadcast_to(classes, means.shape), values=means, is_full=True
        )

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that hold everything."""
        return {"sums": self._sums, "times": self._times}


class TopSums:
    """The sums of the likeliest `N_TOP` classes of each row, found while adding.

    A class that is kept gets every probability of its row. Another one displaces the smallest sum
    that is kept as soon as a single probability of it is larger; what it had gathered before is
    lost. So each sum is at most the true one, and exact for a class that was kept from the start.

    Parameters
    ----------
    n_rows, n_classes
        Rows R and real classes K.
    device
        Where the probabilities are.
    """

    def __init__(self, n_rows: int, n_classes: int, *, device: torch.device) -> None:
        self._n_kept = min(N_TOP, n_classes)
        shape = (n_rows, self._n_kept)
        # Distinct from the start, so that a class never stands in two places.
        first = torch.arange(self._n_kept, dtype=torch.int32, device=device)
        self._classes = first.repeat(n_rows, 1)
        self._sums = torch.zeros(shape, device=device)
        self._times = torch.zeros(n_rows, dtype=torch.int32, device=device)
        self._one = torch.ones(1, dtype=torch.int32, device=device)

    def add(self, rows: Tensor, probabilities: Tensor, counted: Tensor | None = None) -> None:
        """Add the probabilities (B, K) of rows (B,), all of them or those `counted`, (B,) bool.

        A row that is there several times has the same probabilities in each place, and is counted
        in one of them at most.
        """
        times = self._one.expand(len(rows)) if counted is None else counted.to(torch.int32)
        kept = self._classes[rows].to(torch.int64)
        sums = self._sums[rows] + probabilities.gather(1, kept)
        others = probabilities.scatter(1, kept, -1.0)
        new_sums, new = others.topk(self._n_kept, dim=1)
        sums, place = torch.cat([sums, new_sums], dim=1).topk(self._n_kept, dim=1)
        classes = torch.cat([kept, new], dim=1).gather(1, place)
        self._sums.index_copy_(0, rows, sums)
        self._classes.index_copy_(0, rows, classes.to(torch.int32))
        self._times.index_add_(0, rows, times)

    def mean(self) -> MeanProbabilities:
        """Return the averages of the kept classes, largest first; never more than the true ones."""
        values, place = self._sums.sort(dim=1, descending=True, stable=True)
        classes = self._classes.gather(1, place)
        means = values / self._times.clamp(min=1).unsqueeze(1)
        return MeanProbabilities(
            classes=classes.cpu().numpy(), values=means.cpu().numpy(), is_full=False
        )

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that hold everything."""
        return {"sums": self._sums, "classes": self._classes, "times": self._times}
