"""Cells that a spreadsheet shows as text instead of running them as a formula, and the way back."""

_QUOTE = "'"
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", _QUOTE)


def guard(text: str) -> str:
    """Return text that no spreadsheet takes for a formula; `unguard` gives the same text back.

    A single quote is put before text that begins with ``=``, ``+``, ``-``, ``@``, a tab, a line
    break, or a single quote; the last makes it reversible.

    Examples
    --------
    >>> guard("=1+1"), guard("'tis"), guard("cat")
    ("'=1+1", "''tis", 'cat')
    """
    return _QUOTE + text if text.startswith(_RISKY) else text


def unguard(text: str) -> str:
    """Return the text that `guard` was given.

    Examples
    --------
    >>> unguard(guard("'=1"))
    "'=1"
    """
    return text.removeprefix(_QUOTE)
