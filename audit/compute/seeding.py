"""Seeds: every random draw of a run is derived from its seed and a purpose, none is global.

Draws are stateless: what epoch e needs comes from ``(seed, purpose, e)`` alone, so a resumed run
needs no saved generator and draws what the uninterrupted one would have drawn.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return the seed of one purpose, the same on every machine and in every version.

    Parameters
    ----------
    seed
        The run's own seed.
    purpose
        What is drawn, and where that matters the epoch; order and type count.

    Returns
    -------
    int
        In 0..2**63 - 1.

    Examples
    --------
    >>> derive(0, "permutation", 1) == derive(0, "permutation", 1)
    True
    >>> derive(0, "permutation", 1) == derive(0, "permutation", 2)
    False
    """
    digest = hashlib.sha256()
    for part in (seed, *purpose):
        text = f"{'i' if isinstance(part, int) else 's'}{part}".encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def generator(device: str | torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    """Return a fresh generator on a device for one purpose."""
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


@contextmanager
def layer_seed(seed: int, *purpose: str | int) -> Iterator[None]:
    """Let layers made inside draw their first weights from one purpose's seed.

    Layers of torch and torchvision draw from torch's global CPU generator and take no other. It is
    seeded inside a fork that puts its state back, so nothing outside notices. Make layers on the
    CPU and move them afterwards: then every device starts from the same weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, *purpose))
        yield
