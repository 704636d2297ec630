"""Names of files and classes as they can be stored and shown."""

import re

# Control characters and the two line separators; direction marks and emoji joiners stay.
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(name: str) -> str:
    r"""Return a name in one line of valid text, for messages.

    Line ends and other control characters are escaped, bytes that are no UTF-8 become ``\xNN``.

    Examples
    --------
    >>> printable("caf\udce9.jpg"), printable("a\nb")
    ('caf\\xe9.jpg', 'a\\nb')
    """
    if not is_text(name):
        way = "surrogateescape" if _is_escaped(name) else "surrogatepass"
        name = name.encode("utf-8", way).decode("utf-8", "backslashreplace")
    return _UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def is_text(name: str) -> bool:
    """Tell whether a name can be written as UTF-8, which names of undecodable bytes cannot."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_escaped(name: str) -> bool:
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in name)
