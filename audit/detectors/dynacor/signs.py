"""Margins → sign sequences, each distinct one once; rows and samples lose their order on the way.

Many rows share their sequence (always right, always wrong), and what is equal is computed once. The
distinct sequences are sorted, so that nothing that follows depends on how rows or samples are numbered.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECTION = 3
"""Epochs that are read together."""

REACH = 3
"""Epochs that three convolutions of width 3 see on either side."""

N_CODES = 1 << (SECTION + 2 * REACH)
"""Codes of a section: one bit for each of its epochs and of those in reach."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """The distinct sign sequences of a run, and how many rows have each.

    Two of them are equal where their content is.

    Parameters
    ----------
    n_epochs
        Length T of the sequences.
    packed
        Distinct sequences in ascending order, (U, ⌈T / 8⌉) uint8; epoch 0 is the highest bit, 1 means
        a margin ≥ 0.
    n_originals, n_copies
        Samples under their given label and corrupted copies with that sequence, (U,) int64.
    """

    n_epochs: int
    packed: NDArray[np.uint8]
    n_originals: NDArray[np.int64]
    n_copies: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of distinct sequences U."""
        return len(self.packed)

    @property
    def n_rows(self) -> int:
        """Number of originals and copies together."""
        return int(self.n_originals.sum() + self.n_copies.sum())

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        found = hashlib.sha256(str(self.n_epochs).encode())
        for values in (self.packed, self.n_originals, self.n_copies):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Population) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def pack(margins: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return the sign of every margin, +1 at ties, as bits.

    Kim et al. 2024, section 4.3.1, equation (1): the quantised logit difference.

    Parameters
    ----------
    margins
        (T, R) floating, logit units; may be memory-mapped, one epoch is read at a time.

    Returns
    -------
    ndarray
        (R, ⌈T / 8⌉) uint8 as in `Population.packed`; unused bits are 0.

    Examples
    --------
    >>> pack(np.array([[1.0], [-2.0], [0.0]]))
    array([[160]], dtype=uint8)
    """
    n_epochs, n_rows = margins.shape
    packed = np.zeros((n_rows, -(-n_epochs // 8)), dtype=np.uint8)
    for epoch in range(n_epochs):
        packed[:, epoch // 8] |= (margins[epoch] >= 0).astype(np.uint8) << (7 - epoch % 8)
    return packed


def populate(
    originals: NDArray[np.uint8], copies: NDArray[np.uint8], n_epochs: int
) -> tuple[Population, NDArray[np.int64]]:
    """Return the distinct sequences of a run, and which of them each original has.

    Parameters
    ----------
    originals, copies
        Sequences of the samples under their given label and of the copies, as `pack` returns them.
    n_epochs
        Their length T.

    Returns
    -------
    population
        The distinct sequences.
    place
        Position of each original's sequence among them, (M,) int64.
    """
    packed = np.concatenate([originals, copies])
    # One stable pass per byte, which numpy sorts by counting.
    order = np.lexsort(packed.T[::-1])
    in_order = packed[order]
    is_new = np.ones(len(packed), dtype=np.bool_)
    is_new[1:] = (in_order[1:] != in_order[:-1]).any(axis=1)
    place = np.empty(len(packed), dtype=np.int64)
    place[order] = np.cumsum(is_new) - 1
    distinct = in_order[is_new]
    of_originals = place[: len(originals)]
    population = Population(
        n_epochs=n_epochs,
        packed=distinct,
        n_originals=np.bincount(of_originals, minlength=len(distinct)),
        n_copies=np.bincount(place[len(originals) :], minlength=len(distinct)),
    )
    return population, of_originals


def sections(packed: NDArray[np.uint8], n_epochs: int) -> NDArray[np.int64]:
    """Return the code of every section of `SECTION` epochs.

    Parameters
    ----------
    packed
        (U, ⌈T / 8⌉) uint8 as in `Population.packed`.
    n_epochs
        Their length T.

    Returns
    -------
    ndarray
        (U, ⌈T / 3⌉) int64 in 0..511; bit j is the sign of epoch 3 s − 3 + j, 0 outside the sequence.

    Examples
    --------
    >>> sections(pack(np.array([[1.0], [-1.0], [1.0], [1.0]])), 4)
    array([[104,  13]])
    """
    n_sections = -(-n_epochs // SECTION)
    bits = np.unpackbits(packed, axis=1, count=n_epochs)
    behind = SECTION * n_sections - n_epochs + REACH
    padded = np.pad(bits, ((0, 0), (REACH, behind)))
    codes = np.zeros((len(packed), n_sections), dtype=np.int64)
    for bit in range(SECTION + 2 * REACH):
        codes |= padded[:, bit::SECTION][:, :n_sections].astype(np.int64) << bit
    return codes
