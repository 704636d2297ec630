"""The names that people give to the parts of a dataset, folded into three."""

from audit.records.dataset import SPLITS, Split

_SYNONYMS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "dev": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}

FOLDER_NAMES = frozenset({"train", "val", "valid", "validation", "test"})
"""Top-level folders that are splits rather than classes, in lower case."""

EXPECTED = "train, val (valid, validation, dev) or test"
"""What may stand in a split column, for messages."""


def code(text: str) -> int | None:
    """Return the position in `SPLITS` that a text means, or ``None`` where it means none.

    Examples
    --------
    >>> code(" Validation "), code("fold3")
    (1, None)
    """
    split = _SYNONYMS.get(text.strip().casefold())
    return None if split is None else SPLITS.index(split)
