"""Short identities that sort by the second in which they were made."""

import hashlib
import secrets
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o, u, which people misread."""

_START = datetime(2025, 1, 1, tzinfo=UTC)
_BITS = 30
"""Bits of seconds (34 years) and as many of chance: twelve letters."""


def new(moment: datetime | None = None) -> str:
    """Return a new identity.

    Parameters
    ----------
    moment
        When it is made; now if not given.

    Returns
    -------
    str
        Twelve lower-case letters and digits: six of time, six of chance.

    Examples
    --------
    >>> new(datetime(2025, 1, 1, 0, 0, 33, tzinfo=UTC))[:6]
    '000011'
    """
    seconds = int(((moment or datetime.now(UTC)) - _START).total_seconds()) % (1 << _BITS)
    return encode(seconds << _BITS | secrets.randbits(_BITS))


def derived(text: str) -> str:
    """Return the identity that a text always gets, so that doing something twice does it once.

    Examples
    --------
    >>> derived("scores of run 1") == derived("scores of run 1") != derived("scores of run 2")
    True
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return encode(int.from_bytes(digest[:8]) >> (64 - 2 * _BITS))


def encode(number: int) -> str:
    """Return a number below 2**60 as twelve letters.

    Examples
    --------
    >>> encode(32)
    '000000000010'
    """
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(2 * _BITS - 5, -5, -5))
