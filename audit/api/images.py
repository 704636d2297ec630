"""Images of known samples: one, or several in one body."""

from starlette.requests import Request
from starlette.responses import Response

from audit.api import answers, asking
from audit.workbench import serving, thumbnails

MOST_IMAGES = 32
"""Images in one body."""


def image(request: Request) -> Response:
    """Return one image to look at; see `thumbnails.picture`."""
    shelf = serving.shelf()
    dataset = asking.dataset(shelf, request)
    position = asking.position(request, dataset)
    side = asking.whole(request, "side", 1024)
    found = thumbnails.picture(shelf, dataset, position, side)
    return answers.as_picture(found.data, found.media_type)


def images(request: Request) -> Response:
    """Return several images: for each its length as uint32, little-endian, then its bytes.

    A length of 0 stands for an image that cannot be shown.
    """
    shelf = serving.shelf()
    dataset = asking.dataset(shelf, request)
    positions = asking.positions(request, dataset, MOST_IMAGES)
    side = asking.whole(request, "side", 1024)
    found = thumbnails.pictures(shelf, dataset, positions, side)
    parts: list[bytes] = []
    for data in found:
        parts += [len(data or b"").to_bytes(4, "little"), data or b""]
    is_complete = None not in found
    return answers.as_picture(b"".join(parts), "application/octet-stream", is_complete=is_complete)
