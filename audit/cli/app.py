"""The command that opens the dashboard, and what it shares with the demo: one server, in this process.

The server runs in the process of the command, so that whatever ends the command ends the server too.
"""

import contextlib
import errno
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from audit.cli.session import Session
from audit.errors import InputError, NotFoundError, RefusedError
from audit.workbench import listening, places, serving

PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]
HostOption = Annotated[
    str, typer.Option("--host", help="Address to listen on. Others than 127.0.0.1 let others in.")
]
NoBrowserOption = Annotated[
    bool, typer.Option("--no-browser", help="Do not open the dashboard in a browser.")
]

DEFAULT_PORT = 8501
DEFAULT_HOST = "127.0.0.1"


def app(
    session: Session,
    port: PortOption = DEFAULT_PORT,
    host: HostOption = DEFAULT_HOST,
    no_browser: NoBrowserOption = False,
) -> None:
    """Open the dashboard: launch runs, look at suspects, decide by keyboard, export labels."""
    check_address(host, port)
    with session.workspace():
        pass  # what is wrong with the workspace is said here, not on every page
    serve(session.workspace_path, port=port, host=host, opens_browser=not no_browser)


def check_address(host: str, port: int) -> None:
    """Look whether a server could listen at an address.

    Raises
    ------
    RefusedError
        If the port is taken or may not be used.
    InputError
        If this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except PermissionError as error:
        raise RefusedError(
            f"Port {port} may not be used by this user: choose one above 1023 with --port."
        ) from error
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"This machine has no address {host!r}: choose another with --host."
            ) from error
        raise _taken(port) from error


def serve(workspace_path: Path, *, port: int, host: str, opens_browser: bool) -> NoReturn:
    """Serve the dashboard on a workspace until the process is told to end.

    Parameters
    ----------
    workspace_path
        What is shown.
    port, host
        Where to listen.
    opens_browser
        Whether to show the dashboard once it answers.

    Raises
    ------
    KeyboardInterrupt
        At Ctrl-C, after the server has ended.
    SystemExit
        At SIGTERM, likewise; code 0.
    RefusedError
        If something took the port in the meantime.
    """
    folder = serving.app_folder()
    os.environ[places.WORKSPACE] = str(workspace_path)
    signal.signal(signal.SIGTERM, _end)
    # The web server's own account of its start and end is no news to whoever started it.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno >= logging.WARNING)
    # Streamlit reads the settings that lie beside the script it believes to run.
    sys.argv = [str(folder / "app.py")]
    loaded = _load(folder / "app.py")
    settings = {
        "server.port": port,
        "server.address": host,
        "server.headless": True,
        "server.baseUrlPath": "",
        "logger.hideWelcomeMessage": True,
    }
    if opens_browser and _has_screen():
        threading.Thread(target=_open_browser, args=(host, loaded.port), daemon=True).start()
    try:
        loaded.app.run(config=settings)
    except SystemExit as error:
        if error.code == 1:
            raise _taken(port) from error
        raise
    raise SystemExit(0)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise SystemExit(0)


def _load(script: Path) -> Any:  # noqa: ANN401  a script, not a module that could be imported
    """Run ``app.py`` and return it as a module."""
    spec = importlib.util.spec_from_file_location("labeltrace_app", script)
    if spec is None or spec.loader is None:
        raise NotFoundError(f"{str(script)!r} cannot be loaded: install labeltrace again.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _open_browser(host: str, port: Callable[[], int]) -> None:
    """Show the dashboard in a browser once it answers."""
    number = listening.wait(host, port)
    if number is not None:
        with contextlib.suppress(Exception):
            webbrowser.open(listening.url(listening.reached_at(host), number))


def _has_screen() -> bool:
    """Return whether a browser would open beside the terminal, not in it."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform != "linux" or any(os.environ.get(name) for name in screens)


def _taken(port: int) -> RefusedError:
    return RefusedError(
        f"Port {port} is taken: choose another with --port, or let --port 0 find a free one."
    )
