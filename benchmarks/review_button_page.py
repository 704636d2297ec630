"""What a review page is without the station: st.image and a button with a shortcut, a rerun per decision.

It stores nothing, so it has less to do than a page that is of use.

    streamlit run benchmarks/review_button_page.py -- FOLDER
"""

import sys
from pathlib import Path

import streamlit as st


@st.cache_data
def files(folder: str) -> list[str]:
    """Return the images of a folder."""
    return sorted(str(path) for path in Path(folder).iterdir())


def keep() -> None:
    """Go on to the next image."""
    st.session_state["at"] = st.session_state.get("at", 0) + 1


at = st.session_state.get("at", 0)
file = files(sys.argv[1])[at]
st.title("Review")
st.text(f"{at + 1}: {Path(file).name}")
st.image(file, width=500)
st.button("Keep", shortcut="K", on_click=keep)
