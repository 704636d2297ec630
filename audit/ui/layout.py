"""Where things lie on a page, beyond what containers can say: fixed style sheets, no text of users."""

import streamlit as st

_SHEET = """<style>
[data-testid="stMainBlockContainer"] { padding: 3.75rem 2.2rem 3rem; }
@media (min-width: 1000px) {
  [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] .st-key-beside) {
    flex-wrap: nowrap;
  }
  [data-testid="stColumn"]:has(.st-key-beside) { flex: 0 0 clamp(17rem, 22vw, 24rem); }
  .st-key-beside { position: sticky; top: 4rem; }
  [data-testid="stColumn"]:has(.st-key-beside) [data-testid="stVerticalBlock"]:has(> .st-key-beside) {
    height: 100%;
  }
}
.st-key-beside { gap: 0.4rem; }
</style>"""


def wide() -> None:
    """Use the whole width, and keep the container with the key ``beside`` in view."""
    st.html(_SHEET)
