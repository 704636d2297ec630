"""Where a dashboard listens: its address in words, and whether this process's own server answers there."""

import http
import http.client
import time
from collections.abc import Callable

import psutil

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not bound to
_PAUSE = 0.05  # seconds between two looks


def url(host: str, port: int) -> str:
    """Return the address of a server for a browser.

    Examples
    --------
    >>> url("127.0.0.1", 8501), url("::1", 80)
    ('http://127.0.0.1:8501', 'http://[::1]:80')
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reached_at(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on `host`."""
    return _EVERY_ADDRESS.get(host, host)


def wait(host: str, port: Callable[[], int], *, seconds: float = 60.0) -> int | None:
    """Wait until this process's server answers and return its port.

    Parameters
    ----------
    host
        What it listens on.
    port
        Returns the port as far as it is known; it may change while the server starts.
    seconds
        How long to wait at most.

    Returns
    -------
    int or None
        ``None`` if it does not answer in time, or something else listens there.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        number = port()
        if _is_ours(number) and _answers(reached_at(host), number):
            return number
        time.sleep(_PAUSE)
    return None


def _is_ours(port: int) -> bool:
    connections = psutil.Process().net_connections(kind="tcp")
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
