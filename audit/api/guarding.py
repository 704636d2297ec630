"""Who may ask: the dashboard has no log-in, so requests that a foreign page sends are turned away.

A page on another site can make a browser send requests to an address of this machine, directly or by
a name that it points here (DNS rebinding). Both show in headers that no page can forge: ``Host`` must
be a name that the dashboard goes by, and ``Origin`` must be the dashboard itself.
"""

import contextlib
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audit.workbench import listening

ALLOWED_HOSTS = "LABELTRACE_ALLOWED_HOSTS"
"""Further names that the dashboard may be called by, separated by commas."""

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HARMLESS = ("GET", "HEAD")
_OWN_SITE = ("same-origin", "none")
_POLICY = "; ".join(
    (
        # Streamlit's front end and Plotly need inline styles, blobs and generated functions.
        "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def is_loopback(address: str) -> bool:
    """Return whether an address or name means this machine and nothing else.

    Examples
    --------
    >>> [is_loopback(a) for a in ("localhost", "127.3.2.1", "::1", "0.0.0.0", "192.168.1.5")]
    [True, True, True, False, False]
    """
    if address.lower().rstrip(".") == "localhost":
        return True
    parsed = _ip(address)
    return parsed is not None and parsed.is_loopback


def warning(address: str | None) -> str | None:
    """Return what to tell whoever starts a dashboard that others can reach, ``None`` if nobody can.

    Parameters
    ----------
    address
        What the server listens on; ``None`` or empty for every address of this machine.
    """
    if address and is_loopback(address):
        return None
    return (
        f"Warning: anyone who reaches {address or 'this machine'} can read images, import paths "
        "of this machine, write exports to it and decide about labels: there is no log-in. "
        "LABELTRACE_DATA_ROOTS limits the folders that may be imported and exported to, "
        f"{ALLOWED_HOSTS} names the hosts it may be called by."
    )


def announcing(
    *, bound_to: Callable[[], str | None], port: Callable[[], int]
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Return the life of a server that says on stdout where it answers, once it does.

    When others can reach it, it says so on stderr.

    Parameters
    ----------
    bound_to
        Returns the address that the server listens on, ``None`` for all.
    port
        Returns its port.
    """

    @asynccontextmanager
    async def life(_: object) -> AsyncIterator[None]:
        address = bound_to()
        if told := warning(address):
            sys.stderr.write(f"{told}\n")
        announcer = threading.Thread(target=_say_where, args=(address or "::", port), daemon=True)
        announcer.start()
        yield

    return life


def _say_where(host: str, port: Callable[[], int]) -> None:
    number = listening.wait(host, port)
    if number is not None:
        with contextlib.suppress(OSError):  # nobody reads any more
            sys.stdout.write(f"Ready: {listening.url(host, number)}\n")
            sys.stdout.flush()


class Guard:
    """ASGI middleware that answers 403 to foreign hosts and origins, and sets security headers.

    Parameters
    ----------
    app
        What answers requests that may pass.
    bound_to
        Returns the address that the server listens on, ``None`` for all.
    """

    def __init__(self, app: ASGIApp, bound_to: Callable[[], str | None]) -> None:
        self._app = app
        self._bound_to = bound_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or a websocket's handshake, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = objection(scope, self._bound_to())
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))


def objection(scope: Scope, bound_to: str | None) -> str | None:
    """Return why a request is turned away, in a sentence; ``None`` if it may pass.

    Parameters
    ----------
    scope
        Of an HTTP request or a websocket's handshake.
    bound_to
        Address that the server listens on, ``None`` or empty for all.
    """
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    host = _split(f"//{hosts[0]}") if len(hosts) == 1 else None
    if host is None:
        return "A request needs one Host header."
    if not _is_own_name(host[0], scope, bound_to):
        return (
            "The dashboard does not answer to this host name. "
            f"Name it in {ALLOWED_HOSTS} if it is yours."
        )
    is_route = "api/" in str(scope["path"])  # the dashboard may be served under a path
    changes = scope["type"] == "websocket" or scope["method"] not in _HARMLESS
    if changes or is_route:
        for origin in headers.getlist("origin"):
            if not _is_same(origin, host):
                return "The dashboard answers its own pages only; this request came from elsewhere."
    if is_route and headers.get("sec-fetch-site", "none") not in _OWN_SITE:
        return "The dashboard answers its own pages only; this request came from another site."
    return None


def _is_own_name(name: str, scope: Scope, bound_to: str | None) -> bool:
    if is_loopback(name) or name in _named_hosts(os.environ):
        return True
    if bound_to and is_loopback(bound_to):
        return False
    if bound_to and _same_host(name, bound_to):
        return True
    own = socket.gethostname().lower()
    if name in {own, own.split(".")[0], f"{own.split('.')[0]}.local"}:
        return True
    # The address at which the connection arrived; no page can be rebound to a bare address.
    server = scope.get("server")
    return _ip(name) is not None and server is not None and _same_host(name, str(server[0]))


def _named_hosts(environment: Mapping[str, str]) -> frozenset[str]:
    named = environment.get(ALLOWED_HOSTS, "").split(",")
    parts = (_split(f"//{name.strip()}") for name in named if name.strip())
    return frozenset(part[0] for part in parts if part is not None)


def _is_same(origin: str, host: tuple[str, int | None]) -> bool:
    scheme = urlsplit(origin).scheme if "://" in origin else ""
    asked = _split(origin)
    if asked is None or scheme not in _PORTS:
        return False
    default = _PORTS[scheme]
    return asked[0] == host[0] and (asked[1] or default) == (host[1] or default)


def _split(url: str) -> tuple[str, int | None] | None:
    """Return host name in lower case and port of an address, ``None`` if it has none or another part."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return name.rstrip("."), port


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped or parsed


def _same_host(name: str, other: str) -> bool:
    one, two = _ip(name), _ip(other)
    return one == two if one is not None else name == other.lower().rstrip(".")


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


async def _refuse(reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get(
        "extensions", {}
    ):
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    answer = PlainTextResponse(reason + "\n", status_code=403, headers=dict(_HEADERS))
    await answer(scope, receive, send)
