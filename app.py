"""The dashboard as an ASGI application: `streamlit run app.py`, `python app.py` or `labeltrace app`."""

import streamlit as st

from audit.api import announcing, guards, routes
from audit.ui import MAIN_SCRIPT


def address() -> str | None:
    """Return the address that the server listens on, ``None`` for all."""
    return st.get_option("server.address")


app = st.App(
    MAIN_SCRIPT,
    routes=routes(),
    middleware=guards(bound_to=address),
    lifespan=announcing(bound_to=address),
)

if __name__ == "__main__":
    app.run()
