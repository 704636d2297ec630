"""Cluster assignment and the two losses of DynaCor, over distinct sequences and how often they occur."""

import torch
from torch import Tensor

EPSILON = 1e-12
"""Smallest product of two lengths that a cosine divides by; only keeps it finite."""


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 − cos of the angle between vectors (…, D) and a vector (D,), (…) in [0, 2]."""
    lengths = first.norm(dim=-1) * second.norm(dim=-1)
    return 1 - first @ second / lengths.clamp_min(EPSILON)


def noisy_assignment(z: Tensor, noisy: Tensor, clean: Tensor) -> Tensor:
    """Return the probability of the noisy cluster, high = suspect.

    Kim et al. 2024, equation (3), with d the cosine distance: (1 + d_clean) ÷ (2 + d_noisy + d_clean).

    Parameters
    ----------
    z
        Representations, (u, D).
    noisy, clean
        Centroids, (D,).

    Returns
    -------
    Tensor
        (u,) in [0.25, 0.75].
    """
    centroids = torch.stack([noisy, clean])
    lengths = z.norm(dim=1, keepdim=True) * centroids.norm(dim=1)
    to_noisy, to_clean = (1 - z @ centroids.T / lengths.clamp_min(EPSILON)).unbind(dim=1)
    return (1 + to_clean) / (2 + to_noisy + to_clean)


def cluster_loss(q: Tensor, weight: Tensor) -> Tensor:
    """Return the mean divergence of the assignments from their own sharpened form.

    Kim et al. 2024, equations (5) and (6), as the authors' code has it: sums and mean run over the batch,
    and the target is a constant. The mean fixes the scale that alpha refers to.

    Parameters
    ----------
    q
        Probability of the noisy cluster per distinct sequence, (u,).
    weight
        Rows of the batch with that sequence, (u,).

    Returns
    -------
    Tensor
        Nats, ≥ 0.
    """
    both = torch.stack([q, 1 - q])
    with torch.no_grad():
        sharpened = both.square() / (weight * both).sum(dim=1, keepdim=True)
        target = sharpened / sharpened.sum(dim=0)
    divergence = (target * (target / both).log()).sum(dim=0)
    return (weight * divergence).sum() / weight.sum()


def alignment_loss(z: Tensor, q: Tensor, n_originals: Tensor, n_copies: Tensor) -> Tensor:
    """Return how far originals and copies that look alike lie apart, in [0, 2].

    Kim et al. 2024, equation (7), over the batch. Where one of the four groups is empty, only the noisy
    pair counts, and nothing where that is incomplete, as in the authors' code.

    Parameters
    ----------
    z, q
        Representation and probability of the noisy cluster per distinct sequence, (u, D) and (u,).
    n_originals, n_copies
        Rows of the batch with that sequence, (u,).
    """
    is_noisy = (q > 0.5).to(z.dtype)
    groups = torch.stack(
        [
            n_originals * is_noisy,
            n_copies * is_noisy,
            n_originals * (1 - is_noisy),
            n_copies * (1 - is_noisy),
        ]
    )
    sizes = groups.sum(dim=1)
    means = (groups @ z) / sizes.clamp_min(1)[:, None]
    noisy = cosine_distance(means[0], means[1])
    if bool((sizes > 0).all()):
        return (noisy + cosine_distance(means[2], means[3])) / 2
    return noisy if bool((sizes[:2] > 0).all()) else torch.zeros((), dtype=z.dtype)
