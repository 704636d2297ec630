"""What makes two datasets the same: class names, sample keys, given labels and splits."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FORMAT = b"labeltrace dataset 1"


def of_labels(
    class_names: Sequence[str],
    sample_keys: Sequence[str],
    given_labels: NDArray[np.int32],
    splits: NDArray[np.int8],
) -> str:
    """Return the digest of everything but the pixels.

    Every text is written with its length before it, so that no two different datasets are the same
    string of bytes, whatever characters the names hold.

    Parameters
    ----------
    class_names
        K names; position = class index.
    sample_keys
        N keys in the order of the source.
    given_labels
        Class index per sample, (N,) integers, -1 where there is none.
    splits
        Code per sample, (N,) integers.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Examples
    --------
    >>> labels, splits = np.array([0], np.int32), np.array([0], np.int8)
    >>> of_labels(["ab", "c"], ["k"], labels, splits) == of_labels(
    ...     ["a", "bc"], ["k"], labels, splits
    ... )
    False
    """
    digest = hashlib.sha256(_FORMAT)
    for texts in (class_names, sample_keys):
        digest.update(len(texts).to_bytes(8, "little"))
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        digest.update(np.array([len(text) for text in encoded], dtype="<u8").tobytes())
        digest.update(b"".join(encoded))
    for values, kind in ((given_labels, "<i4"), (splits, "<i1")):
        digest.update(len(values).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return digest.hexdigest()
