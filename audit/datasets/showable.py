"""Whether a browser may be given the bytes of an image as they are, told from the bytes alone.

It may where it would draw what `audit.datasets.images` decodes: the first and only picture, opaque,
not turned by a tag, of sane size and not cut off. Headers are read by hand, because this is asked for
each image that somebody looks at; whatever looks odd is decoded and encoded anew.
"""

import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 4096

# Whatever else a PNG holds (transparency, animation, EXIF, XMP) could change what a browser draws.
_PLAIN_CHUNKS = frozenset(
    [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"sBIT", b"bKGD",
     b"hIST", b"tIME", b"iCCP"]
)  # fmt: skip

_JPEG_FRAMES = frozenset([0xC0, 0xC1, 0xC2])
_JPEG_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])
_JPEG_SCAN, _JPEG_APP1 = 0xDA, 0xE1
_ORIENTATION = 0x0112

_WEBP_ODD_FLAGS = 0x10 | 0x08 | 0x04 | 0x02
"""Opacity, EXIF, XMP, animation."""


def media_type(data: bytes, side: int) -> str | None:
    """Return the media type under which bytes can be shown as they are, ``None`` if they cannot.

    Parameters
    ----------
    data
        The bytes of an image file.
    side
        Bound on width and height in pixels.

    Returns
    -------
    str or None
        ``image/jpeg``, ``image/png`` or ``image/webp``.

    Examples
    --------
    >>> media_type(b"<html>", 1024) is None
    True
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return "image/jpeg" if _is_plain_jpeg(data, side) else None
        if data.startswith(_PNG):
            return "image/png" if _is_plain_png(data, side) else None
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "image/webp" if _is_plain_webp(data, side) else None
    except (struct.error, IndexError):  # cut off inside a header
        return None
    return None


def sniff(data: bytes) -> str:
    r"""Return the media type of an encoded JPEG, PNG or WebP.

    Examples
    --------
    >>> sniff(b"\xff\xd8\xff")
    'image/jpeg'
    """
    if data.startswith(_PNG):
        return "image/png"
    return "image/webp" if data[8:12] == b"WEBP" else "image/jpeg"


def _is_plain_jpeg(data: bytes, side: int) -> bool:
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):  # cut off, or something hangs at its end
        return False
    has_frame = False
    place = 2
    while True:
        if data[place] != 0xFF:
            return False
        marker = data[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker in _JPEG_ALONE:
            place += 2
            continue
        if marker == _JPEG_SCAN:
            return has_frame
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker in _JPEG_FRAMES:
            depth, height, width, n_channels = struct.unpack_from(">BHHB", data, place + 4)
            # Four channels are inks; the height of a JPEG may be left to its end.
            if depth != 8 or n_channels not in {1, 3} or not _is_sane(width, height, side):
                return False
            has_frame = True
        elif marker == _JPEG_APP1 and not _is_upright(data[place + 4 : place + 2 + length]):
            return False
        place += 2 + length


def _is_upright(segment: bytes) -> bool:
    """Tell whether EXIF does not turn the image; XMP, which may, counts as turning if it says so."""
    if not segment.startswith(b"Exif\0\0"):
        return b"Orientation" not in segment
    tiff = segment[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return False
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (n_entries,) = struct.unpack_from(order + "H", tiff, start)
    for number in range(n_entries):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * number)
        if tag == _ORIENTATION:
            return (kind, count, value) == (3, 1, 1)
    return True


def _is_plain_png(data: bytes, side: int) -> bool:
    chunks = list(_png_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        return False
    for kind, start, end in chunks:
        if kind in _PLAIN_CHUNKS:
            continue
        # Words are harmless unless they carry EXIF or XMP.
        if kind != b"tEXt" or b"XML:" in data[start:end] or b"Raw profile" in data[start:end]:
            return False
    width, height, _, colours = struct.unpack_from(">IIBB", data, chunks[0][1])
    return colours in {0, 2, 3} and _is_sane(width, height, side)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give kind, start and end of each chunk; the last one is ``IEND`` only if nothing is missing."""
    place = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, place)
        start, end = place + 8, place + 8 + length
        if end + 4 > len(data):
            return
        yield kind, start, end
        if kind == b"IEND":
            return
        place = end + 4


def _is_plain_webp(data: bytes, side: int) -> bool:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        return False
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & _WEBP_ODD_FLAGS:
            return False
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        return _is_sane(width, height, side)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return _is_sane(width & 0x3FFF, height & 0x3FFF, side)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        is_opaque = not bits >> 28 & 1
        return is_opaque and _is_sane(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), side)
    return False


def _is_sane(width: int, height: int, side: int) -> bool:
    return 0 < width <= side and 0 < height <= side
