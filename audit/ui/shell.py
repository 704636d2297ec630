"""The frame of the dashboard: list of pages, sidebar, and one sentence when a page cannot be drawn."""

import streamlit as st
from streamlit.navigation.page import Page

from audit.ui import brand, failing, session
from audit.workbench import serving

_PAGES = (
    ("prepare/overview.py", "Overview", ""),
    ("prepare/datasets.py", "Datasets", "datasets"),
    ("prepare/runs.py", "Runs", "runs"),
    ("find/ranking.py", "Ranking", "ranking"),
    ("find/sample.py", "Sample", "sample"),
    ("find/explain.py", "Explain", "explain"),
    ("find/compare.py", "Compare", "compare"),
    ("find/methods.py", "Methods", "methods"),
    ("decide/review.py", "Review", "review"),
    ("decide/history.py", "History", "history"),
    ("deliver/retrain.py", "Retrain", "retrain"),
    ("deliver/export.py", "Export", "export"),
)
"""File, title, address; in the order of the work.

Streamlit's groups of pages are lists that hold no list items, which screen readers stumble over; an
icon given to a page is also asked for outside, as the tab's icon. `brand` draws the icons.
"""


def pages() -> list[Page]:
    """Return the pages in the order of the work; the first is shown where no page is named."""
    folder = serving.app_folder() / "pages"
    return [
        st.Page(folder / file, title=title, url_path=address or None, default=not address)
        for file, title, address in _PAGES
    ]


def page_path(address: str) -> str:
    """Return the file of the page at an address, as `st.switch_page` and `st.page_link` want it.

    Parameters
    ----------
    address
        ``""`` (overview), ``"datasets"``, ``"runs"``, ``"ranking"``, ….
    """
    for file, _, known in _PAGES:
        if known == address:
            return str(serving.app_folder() / "pages" / file)
    raise AssertionError(f"no page at {address!r}")


def draw(page: Page) -> None:
    """Draw the sidebar and the page; what a page refuses becomes a sentence."""
    st.set_page_config(
        page_title=f"{page.title} · labeltrace", page_icon=str(brand.MARK), layout="wide"
    )
    brand.draw()
    try:
        session.sidebar()
        page.run()
    except Exception as error:  # noqa: BLE001 - the border: a sentence instead of a traceback
        failing.tell(error)
