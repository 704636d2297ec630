"""Whether a dataset's files are still where they were: a moved root is no thousand broken samples."""

from pathlib import Path

from audit.datasets import names
from audit.errors import InputError
from audit.records.dataset import Dataset


def check(dataset: Dataset) -> None:
    """Refuse work on a dataset whose root is gone, before each of its samples counts as broken.

    Raises
    ------
    InputError
        If the folder of images or the file of arrays is not there; says how to follow it.
    """
    root = Path(dataset.source.root)
    if not root.exists():
        raise InputError(
            f"The data of {names.printable(dataset.name)} is no longer at {root}: bring it back, or "
            f"follow it with `labeltrace relocate DATASET NEW_ROOT`."
        )
