"""Letters for pictures: Pillow's own font, and the system's for what it lacks (Chinese, Cyrillic, …).

Nothing is drawn as an empty box: letters that no font here has are written as code points, ``[U+732B]``.
"""

import functools
import itertools
import re
import shutil
import subprocess
import unicodedata
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
"""As Pillow loads it."""

_OWN = None
"""Stands for the font that Pillow brings along."""

_KNOWN = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSans-Regular.ttc",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "msyh.ttc",
    "YuGothM.ttc",
    "malgun.ttf",
    "seguisym.ttf",
)
"""Files with many letters, as Linux, macOS and Windows have them; Pillow looks in the usual folders."""

_MOST_ASKED, _PATIENCE_S = 32, 5.0
_UNDEFINED = "\U0010ffff"
_REPLACED = str.maketrans({"²": "2"})
"""What Pillow's font cannot draw, and stands in our own sentences."""


@dataclass(frozen=True, slots=True)
class _Face:
    """A font file, and which of the fonts in it."""

    path: str
    index: int


def drawable(text: str) -> str:
    """Return a text in letters that can be drawn here; others become code points in brackets."""
    made: list[str] = []
    for is_drawn, letters in itertools.groupby(_clean(text), key=lambda one: _finds(one)[0]):
        run = "".join(letters)
        made.append(run if is_drawn else f"[U+{' '.join(f'{ord(one):04X}' for one in run)}]")
    return "".join(made)


def lacking(text: str) -> str:
    """Return the letters of a text that no font here can draw, each once, in their order."""
    return "".join(dict.fromkeys(one for one in _clean(text) if not _finds(one)[0]))


def _clean(text: str) -> str:
    """Return a text without what no font draws: control characters, and accents apart from letters."""
    composed = unicodedata.normalize("NFC", text).translate(_REPLACED)
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in composed
    )


def pieces(text: str, size: int) -> list[tuple[str, Font]]:
    """Return a text of `drawable` letters in parts, each with the font that has all its letters.

    Parameters
    ----------
    text
        One line.
    size
        Of the letters in pixels.
    """
    return [
        ("".join(letters), _font(face, size))
        for face, letters in itertools.groupby(text, key=lambda one: _finds(one)[1])
    ]


def length(text: str, size: int) -> float:
    """Return how wide a text is, in pixels."""
    return sum(font.getlength(part) for part, font in pieces(text, size))


def baseline(size: int, anchor: str) -> float:
    """Return how far the line that letters stand on lies below an anchor, in pixels.

    Parameters
    ----------
    size
        Of the letters in pixels.
    anchor
        ``a`` = top of the tallest letters, ``m`` = their middle; of Pillow's own font, so that fonts can be
        mixed in a line.
    """
    font = _font(_OWN, size)
    return font.getbbox("x", anchor=f"l{anchor}")[3] - font.getbbox("x", anchor="ls")[3]


@functools.lru_cache(maxsize=4096)
def _finds(letter: str) -> tuple[bool, _Face | None]:
    """Return whether some font has a letter, and which: Pillow's own for choice."""
    if letter.isspace() or _has(_OWN, letter):
        return True, _OWN
    for face in _known_faces():
        if _has(face, letter):
            return True, face
    asked = _asked(letter)
    if asked is not None and _has(asked, letter):
        return True, asked
    return False, _OWN


def _has(face: _Face | None, letter: str) -> bool:
    # A font draws every letter that it lacks in the same way, and a code point that is none too.
    return _look(face, letter) != _look(face, _UNDEFINED)


def _look(face: _Face | None, letter: str) -> bytes:
    paper = Image.new("L", (96, 96))
    ImageDraw.Draw(paper).text((24, 24), letter, fill=255, font=_font(face, 32))
    return paper.tobytes()


@functools.cache
def _known_faces() -> tuple[_Face, ...]:
    found = [_Face(name, 0) for name in _KNOWN]
    return tuple(face for face in found if _is_there(face))


def _is_there(face: _Face) -> bool:
    try:
        _font(face, 32)
    except OSError:
        return False
    return True


_ASKED: dict[str, _Face | None] = {}


def _asked(letter: str) -> _Face | None:
    """Return the font that fontconfig names for a letter, if there is fontconfig; asked seldom."""
    if letter not in _ASKED and len(_ASKED) < _MOST_ASKED:
        _ASKED[letter] = _ask(letter)
    return _ASKED.get(letter)


def _ask(letter: str) -> _Face | None:
    program = shutil.which("fc-match")
    if program is None:
        return None
    try:
        answer = subprocess.run(
            [program, "--format=%{index} %{file}", f":charset={ord(letter):x}:scalable=true"],
            capture_output=True,
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    found = re.fullmatch(r"([0-9]{1,3}) (.+)", answer.stdout.strip())
    face = None if found is None else _Face(found[2], int(found[1]))
    return face if face is not None and _is_there(face) else None


@functools.lru_cache(maxsize=256)
def _font(face: _Face | None, size: int) -> Font:
    if face is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(face.path, size, index=face.index)
