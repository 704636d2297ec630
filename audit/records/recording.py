"""Names inside the file of a recording that somebody else's training loop made with our recorder.

An ``.npz`` without compression and without pickled objects. Beside these arrays it holds one (T, R) array
per signal under `of_signal`.
"""

VERSION = 1
"""Raised when a reader of the version before could not use the file."""

FORMAT = "labeltrace_recording"
"""`VERSION`, an integer; a file that has it is a recording of ours."""

LABELS = "labels"
"""Label that each of the N samples was trained on, (N,) int32 in 0..K-1."""

N_CLASSES = "n_classes"
"""Number of classes K, an integer."""

KEYS = "ids"
"""Key of each sample, (N,) text, distinct; left out where samples have no name but their position."""

CLASS_NAMES = "class_names"
"""(K,) text; left out where classes have no name but their number."""

SAMPLE = "sample"
"""Position of the sample that each row is, ascending, (R,) int64; one never observed has no row."""

MEAN_CLASSES, MEAN_VALUES, MEAN_IS_FULL = "mean_classes", "mean_values", "mean_is_full"
"""The fields of `MeanProbabilities`; full tables come without their classes, 0..K-1 in each row."""

N_MISSING = "n_missing"
"""How many of the R rows each epoch did not observe, (T,) int64; their values lie between epochs."""

MESSAGES = "messages"
"""Whole sentences that belong beside whatever is made of the recording, text."""

MADE_BY = "made_by"
"""Version of labeltrace, text."""


def of_signal(name: str) -> str:
    """Return the array's name of a signal.

    Examples
    --------
    >>> of_signal("margin")
    'signal_margin'
    """
    return f"signal_{name}"
