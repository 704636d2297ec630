"""The dashboard as an ASGI application: `streamlit run app.py`, `python app.py` or `labeltrace app`."""

import contextlib

import streamlit as st

from audit.api import announcing, guards, routes
from audit.ui import MAIN_SCRIPT, failing


def address() -> str | None:
    """Return the address that the server listens on, ``None`` for all."""
    return st.get_option("server.address")


def port() -> int:
    """Return the port that the server listens on."""
    return int(st.get_option("server.port"))


app = st.App(
    MAIN_SCRIPT,
    routes=routes(),
    middleware=guards(bound_to=address),
    lifespan=announcing(bound_to=address, port=port),
    on_script_error=failing.tell,
)

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        app.run()
