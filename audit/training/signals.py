"""Signals of one batch on the device: logits in, one value per row out.

The torch twins of the formulas in `audit.numerics.signals`: vectorised, in float32, and without a
host sync. Threshold outputs count as a class like any other here, as in Pleiss et al. (2020).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class BatchSignals(NamedTuple):
    """One value per row of a batch, each (B,); units and ranges as in `audit.records.dynamics`."""

    margin: Tensor
    given_logit: Tensor
    best_other_logit: Tensor
    best_other_class: Tensor
    given_probability: Tensor
    loss: Tensor


def of_batch(logits: Tensor, assigned_label: Tensor) -> BatchSignals:
    """Return every signal of a batch.

    Parameters
    ----------
    logits
        (B, K) of any float dtype, logit units.
    assigned_label
        (B,) int64 in 0..K-1.

    Returns
    -------
    BatchSignals
        float32, except ``best_other_class`` int32; of several equal logits it is the lowest class.

    Examples
    --------
    >>> batch = of_batch(torch.tensor([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]]), torch.tensor([1, 0]))
    >>> batch.margin.tolist(), batch.best_other_class.tolist()
    ([-1.0, 1.0], [2, 1])
    """
    logits = logits.float()
    at = assigned_label.unsqueeze(1)
    given = logits.gather(1, at).squeeze(1)
    others = logits.scatter(1, at, -torch.inf)
    best, best_class = others.max(dim=1)
    # log(1 + e^x), so that losses below the float spacing at 1 do not become zeros and ties.
    loss = functional.softplus(torch.logsumexp(others - given.unsqueeze(1), dim=1))
    return BatchSignals(
        margin=given - best,
        given_logit=given,
        best_other_logit=best,
        best_other_class=best_class.to(torch.int32),
        given_probability=torch.exp(-loss),
        loss=loss,
    )
