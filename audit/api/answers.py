"""How routes answer: blocking work in a thread, refusals as one sentence of JSON, headers on all."""

import json
from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import Response

from audit.errors import (
    AuditError,
    InputError,
    NotFoundError,
    RefusedError,
    SampleError,
    WorkspaceError,
)

MOST_AT_ONCE = 4
"""Requests that are worked on at the same time; the rest waits its turn."""

KEPT = "private, max-age=86400, immutable"
"""For what will not change: a day, after which a file that was mended is seen."""

NOT_KEPT = "no-store"

_ON_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
_ON_PICTURES = {"Content-Security-Policy": "default-src 'none'; sandbox"}

_STATUS: tuple[tuple[type[AuditError], int], ...] = (
    (NotFoundError, 404),
    (SampleError, 422),
    (InputError, 400),
    (RefusedError, 409),
    (WorkspaceError, 503),
)

# Limiters belong to an event loop, and tests have several.
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("labeltrace routes")


def in_thread(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that makes its answer in a thread and turns refusals into sentences.

    Parameters
    ----------
    answer
        May block; what it raises on purpose decides the status.
    """

    async def endpoint(request: Request) -> Response:
        try:
            limiter = _limiter.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(MOST_AT_ONCE)
            _limiter.set(limiter)
        try:
            return await anyio.to_thread.run_sync(answer, request, limiter=limiter)
        except AuditError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            return as_json({"error": str(error)}, status=status)

    endpoint.__name__ = answer.__name__
    return endpoint


def as_json(value: object, *, status: int = 200, cache: str = NOT_KEPT) -> Response:
    """Return strict JSON; a number that JSON cannot write is a mistake of ours."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # Names of files may hold halves of surrogate pairs, which UTF-8 cannot write.
    content = text.encode("utf-8", "backslashreplace")
    return _response(content, "application/json", status=status, headers={"Cache-Control": cache})


def as_picture(data: bytes, media_type: str, *, is_complete: bool = True) -> Response:
    """Return an image, or several in one body; kept by the browser if nothing is missing."""
    cache = KEPT if is_complete else NOT_KEPT
    return _response(data, media_type, headers=_ON_PICTURES | {"Cache-Control": cache})


def as_download(data: bytes, name: str) -> Response:
    """Return a text to be saved as a file of a name that is ours."""
    disposition = f'attachment; filename="{name}"'
    headers = {"Content-Disposition": disposition, "Cache-Control": NOT_KEPT}
    return _response(data, "text/plain; charset=utf-8", headers=headers)


def _response(
    content: bytes, media_type: str, *, status: int = 200, headers: Mapping[str, str]
) -> Response:
    return Response(content, status, headers=_ON_ALL | dict(headers), media_type=media_type)
