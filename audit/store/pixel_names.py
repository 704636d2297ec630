"""Names of the folders in the cache: whose pixels they hold, and at which size."""

import re

_NAME = re.compile(r"pixels-(?P<dataset_id>[0-9a-z]+)-(?P<size>[0-9]+)(-(?P<variant>[0-9a-z]+))?")


def name_of(dataset_id: str, size: int, variant: str = "") -> str:
    """Return the name of the folder with a dataset's pixels at a size, or what was made of them.

    Examples
    --------
    >>> name_of("01ab", 64)
    'pixels-01ab-64'
    """
    name = f"pixels-{dataset_id}-{size}" + (f"-{variant}" if variant else "")
    assert _NAME.fullmatch(name), "names must be recognised when a dataset is deleted"
    return name


def features_variant(backbone: str, weights_digest: str, precision: str) -> str:
    """Return the variant of `name_of` that features have: what they depend on beside the pixels.

    Examples
    --------
    >>> features_variant("resnet18", "0123456789abcdef0123", "float32")
    'resnet180123456789abcdeffloat32'
    """
    return f"{backbone}{weights_digest[:16]}{precision}"


def dataset_of(name: str) -> str | None:
    """Return the id of the dataset that a cache folder belongs to, ``None`` for foreign names.

    Examples
    --------
    >>> dataset_of("pixels-01ab-64")
    '01ab'
    """
    match = _NAME.fullmatch(name)
    return match["dataset_id"] if match else None
