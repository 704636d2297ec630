"""Sheets of thumbnails of known samples."""

import re

from starlette.requests import Request
from starlette.responses import Response

from audit.api import answers, asking
from audit.errors import InputError
from audit.workbench import serving, thumbnails

MOST_THUMBNAILS = 100
"""Thumbnails on one sheet."""

_COLOUR = re.compile(r"[0-9a-fA-F]{6}", re.ASCII)


def sheet(request: Request) -> Response:
    """Return thumbnails in one image; see `thumbnails.sheet`."""
    shelf = serving.shelf()
    dataset = asking.dataset(shelf, request)
    positions = asking.positions(request, dataset, MOST_THUMBNAILS)
    side = asking.whole(request, "side", 96)
    drawn = thumbnails.sheet(shelf, dataset, positions, side, ground=_ground(request))
    return answers.as_picture(drawn.data, drawn.media_type, is_complete=drawn.is_complete)


def _ground(request: Request) -> tuple[int, int, int]:
    text = request.query_params.get("ground")
    if not text:
        return thumbnails.GROUND
    if not _COLOUR.fullmatch(text):
        raise InputError("ground= takes a colour as six hexadecimal digits, such as 202428.")
    red, green, blue = bytes.fromhex(text)
    return red, green, blue
