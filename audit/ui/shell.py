"""The frame of the dashboard: list of pages, sidebar, and one sentence when a page cannot be drawn."""

import streamlit as st
from streamlit.navigation.page import Page

from audit.errors import AuditError
from audit.ui import session
from audit.workbench import serving

_PAGES = {
    "Prepare": (
        ("prepare/overview.py", "Overview", "", True),
        ("prepare/datasets.py", "Datasets", "datasets", False),
        ("prepare/runs.py", "Runs", "runs", False),
    ),
    "Find": (
        ("find/ranking.py", "Ranking", "ranking", False),
        ("find/sample.py", "Sample", "sample", False),
    ),
    "Decide": (
        ("decide/review.py", "Review", "review", False),
        ("decide/history.py", "History", "history", False),
    ),
    "Deliver": (("deliver/export.py", "Export", "export", False),),
}
"""Group → file, title, address, whether it is the first page."""


def pages() -> dict[str, list[Page]]:
    """Return the pages by group, in the order of the work."""
    folder = serving.app_folder() / "pages"
    return {
        group: [
            st.Page(folder / file, title=title, url_path=address or None, default=is_first)
            for file, title, address, is_first in entries
        ]
        for group, entries in _PAGES.items()
    }


def page_path(address: str) -> str:
    """Return the file of the page at an address, as `st.switch_page` and `st.page_link` want it.

    Parameters
    ----------
    address
        ``""`` (overview), ``"datasets"``, ``"runs"``, ``"ranking"``, ….
    """
    for entries in _PAGES.values():
        for file, _, known, _ in entries:
            if known == address:
                return str(serving.app_folder() / "pages" / file)
    raise AssertionError(f"no page at {address!r}")


def draw(page: Page) -> None:
    """Draw the sidebar and the page; what a page refuses becomes a sentence."""
    st.set_page_config(page_title=f"{page.title} · labeltrace", page_icon="🔎", layout="wide")
    try:
        session.sidebar()
        page.run()
    except AuditError as error:
        st.error(str(error))
