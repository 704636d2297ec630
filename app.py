"""The dashboard as an ASGI application: `streamlit run app.py`, `python app.py` or `labeltrace app`."""

import streamlit as st

from audit.api import guards, routes
from audit.ui import MAIN_SCRIPT

app = st.App(
    MAIN_SCRIPT,
    routes=routes(),
    middleware=guards(bound_to=lambda: st.get_option("server.address")),
)

if __name__ == "__main__":
    app.run()
