"""Flag sets: samples that some methods flag and others do not, as an address writes them.

``by=aum&not_by=margin:144`` is what aum flags by its own cut and is not among the 144 most suspicious of
margin. A method without a cut of its own takes a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.detectors import catalog
from audit.errors import InputError, NotFoundError
from audit.records.dataset import Dataset

_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What one method flags.

    Parameters
    ----------
    method
        Its name.
    top
        So many from the top, ``None`` for the method's own cut.
    """

    method: str
    top: int | None = None

    @property
    def in_words(self) -> str:
        """Whose flags these are, in a few words."""
        return self.method if self.top is None else f"{self.method} (first {self.top:,})"


def parse(text: str | None, dataset: Dataset, methods: Sequence[str]) -> tuple[Flags, ...]:
    """Return the flags that a list in an address names, each once; none for no text.

    Parameters
    ----------
    text
        ``METHOD`` or ``METHOD:NUMBER``, separated by commas.
    dataset, methods
        What the numbers are of, and which methods have scored it.

    Raises
    ------
    NotFoundError
        If a method is not known, or has not scored the dataset.
    InputError
        If a number is none of the dataset's samples, or is missing where a method has no cut.
    """
    parts = (text or "").split(",", 2 * len(catalog.names()))
    return tuple(dict.fromkeys(_parse(part, dataset, methods) for part in parts if part))


def _parse(part: str, dataset: Dataset, methods: Sequence[str]) -> Flags:
    name, colon, number = part.partition(":")
    if name not in methods:
        what = f"has not scored {dataset.name} yet" if name in catalog.names() else "is no method"
        raise NotFoundError(f"{_shown(name)} {what}; there are {', '.join(methods)}.")
    if not colon:
        if not catalog.entry(name).has_cut:
            raise InputError(f"{name} has no cut of its own: say of how many, as in {name}:100.")
        return Flags(method=name)
    is_whole = number.isascii() and number.isdigit() and len(number) < 10
    if not is_whole or not 1 <= int(number) <= dataset.n_samples:
        raise InputError(
            f"{_shown(part)} takes a number of samples from 1 to {dataset.n_samples:,}."
        )
    return Flags(method=name, top=int(number))


def as_text(flags: Sequence[Flags]) -> str | None:
    """Return flags as `parse` reads them, ``None`` for none."""
    texts = (one.method if one.top is None else f"{one.method}:{one.top}" for one in flags)
    return ",".join(texts) or None


def in_words(by: Sequence[Flags], not_by: Sequence[Flags]) -> str:
    """Return which samples are meant, in a few words; empty for all.

    Examples
    --------
    >>> in_words([Flags(method="aum")], [Flags(method="margin", top=144)])
    'flagged by aum, not by margin (first 144)'
    """
    flagged = " and ".join(one.in_words for one in by)
    spared = " or ".join(one.in_words for one in not_by)
    if not spared:
        return flagged and f"flagged by {flagged}"
    return f"flagged by {flagged}, not by {spared}" if flagged else f"not flagged by {spared}"


def _shown(text: str) -> str:
    return f"“{text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'}”"
