"""Names that every common file system accepts and keeps apart."""

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 255  # bytes of UTF-8; what ext4, APFS and NTFS all hold
_FORBIDDEN = re.compile('[\x00-\x1f\x7f/\\\\:*?"<>|\ud800-\udfff]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)")


class DistinctNames:
    """Hands out safe names in one folder; no name is handed out twice.

    Names that differ only in case or in Unicode composition count as the same, because some file
    systems cannot tell them apart.

    Parameters
    ----------
    taken
        Names that are in use already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._next: dict[str, int] = {_folded(name): 2 for name in taken}

    def claim(self, name: str, *, keep_extension: bool) -> str:
        """Return a safe name like `name`, with ``-2``, ``-3``, … before the extension if taken.

        Parameters
        ----------
        name
            Any text, also empty.
        keep_extension
            Whether what follows the last dot stays at the end, as for files.

        Examples
        --------
        >>> names = DistinctNames()
        >>> [names.claim(name, keep_extension=True) for name in ("a.png", "A.png", "a/b.png", "..")]
        ['a.png', 'A-2.png', 'a_b.png', '_']
        """
        stem, extension = _split(name) if keep_extension else (name, "")
        wanted = _fit(stem, extension)
        folded = _folded(wanted)
        if folded not in self._next:
            self._next[folded] = 2
            return wanted
        while True:
            number = self._next[folded]
            self._next[folded] = number + 1
            candidate = _fit(stem, f"-{number}{extension}")
            if _folded(candidate) not in self._next:
                self._next[_folded(candidate)] = 2
                return candidate


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    extension = _FORBIDDEN.sub("_", extension).rstrip(" ")
    if not dot or not stem or not extension or len(extension.encode()) > 16:
        return name, ""
    return stem, f".{extension}"


def _fit(stem: str, ending: str) -> str:
    safe = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", stem))
    # A leading dot hides a folder from importers, and ".." would leave it.
    safe = safe.lstrip(" ")
    if safe.startswith("."):
        safe = "_" + safe.lstrip(".")
    if _RESERVED.match(safe):
        safe = "_" + safe
    room = _LONGEST - len(ending.encode())
    safe = safe.encode()[:room].decode(errors="ignore")
    if not ending:
        safe = safe.rstrip(". ")
    return (safe or "_") + ending


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
