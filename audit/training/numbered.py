"""A dataset whose samples carry their number, so that a training step knows which rows it sees."""

from collections.abc import Mapping, Sized
from typing import Any

from torch.utils.data import Dataset

from audit.errors import InputError

ROW = "row"
"""Key, or column, of a sample's number."""


class Numbered(Dataset[Any]):
    """Gives ``(row, *sample)`` for a sample that is a tuple, and a key ``row`` to one that is a mapping.

    Parameters
    ----------
    dataset
        Maps positions to samples; wrap the training set itself, before any sampler.

    Examples
    --------
    >>> Numbered([("image", 3), ("another", 1)])[1]
    (1, 'another', 1)
    >>> Numbered([{"pixels": 0.5, "label": 3}])[0]
    {'pixels': 0.5, 'label': 3, 'row': 0}
    """

    def __init__(self, dataset: Any) -> None:  # noqa: ANN401 - whatever can be indexed
        self.dataset = dataset

    def __len__(self) -> int:
        """Return the number of samples."""
        dataset: Sized = self.dataset
        return len(dataset)

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401 - as the wrapped dataset gives it
        """Return a sample with its number.

        Raises
        ------
        InputError
            If the sample is a mapping that has a key ``row`` already.
        """
        sample = self.dataset[row]
        if isinstance(sample, Mapping):
            if ROW in sample:
                raise InputError(f"Sample {row} has a key {ROW!r} of its own: rename that one.")
            return {**sample, ROW: row}
        if isinstance(sample, tuple | list):
            return (row, *sample)
        return row, sample
