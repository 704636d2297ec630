"""What the dashboard is recognised by: its mark, its name, and the few measures no theme option sets."""

import functools
from pathlib import Path
from urllib.parse import quote

import streamlit as st

from audit.ui.palette import LIGHT, Palette, current

_MARKS = Path(__file__).resolve().parent / "marks"

MARK = _MARKS / "mark.svg"
"""A trajectory and a point beside it; also the icon of the browser's tab."""

_ICONS = {
    "": "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",
    "datasets": "M4 7h13v13H4zM7 4h13v13M4 17l4-4 3 3 2-2 4 4",
    "runs": "M4 19h16M5 6c1 7 4 10 15 10",
    "ranking": "M4 6h16M4 12h11M4 18h6",
    "sample": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5M9 12h6M12 9v6",
    "explain": "M4 5c4 0 4 6 8 6s4-4 8-4M5 20v-3M10 20v-5M15 20v-2M20 20v-6",
    "compare": "M4 20h16M7 20V9M12 20V4M17 20v-8",
    "methods": "M6 4h12v16H6zM9 9h6M9 13h6M9 17h3",
    "review": "M3 7h18v11H3zM7 11h.01M11 11h.01M15 11h.01M8 15h8",
    "history": "M4 12a8 8 0 1 0 3-6.2M4 4v4h4M12 8v4l3 2",
    "retrain": "M4 16l5-5 4 3 7-8M15 6h5v5M4 20h16",
    "export": "M12 4v11M8 11l4 4 4-4M4 20h16",
}
"""Address of a page → path of its icon on a ground of 24 × 24."""

# One primary colour cannot both carry white text and be read as text on a dark ground; Streamlit's
# captions are too faint for small print, and its links show the focus by a shade that nobody sees.
_STYLE = """
[data-testid="stMainBlockContainer"] {
  max-width: 100rem; margin-inline: auto; padding-inline: clamp(1.25rem, 3vw, 3rem);
}
[data-testid="stMainBlockContainer"] h1 { padding-block: 0 0.35rem; letter-spacing: -0.01em; }
[data-testid="stMetricValue"], [data-testid="stMetricDelta"] { font-variant-numeric: tabular-nums; }
[data-testid="stCaptionContainer"][data-testid] { max-width: 75ch; color: FAINT; opacity: 1; }
[data-testid="stTab"][aria-selected="true"], [data-testid="stSliderThumbValue"],
[data-variant="segmented_control"][aria-checked="true"] *,
[data-variant="segmented_control"][aria-pressed="true"] *,
[data-variant="pills"][aria-checked="true"] *, [data-variant="pills"][aria-pressed="true"] * {
  color: PRIMARY_TEXT;
}
[data-testid="stSidebarNavLink"] { gap: 0.6rem; padding-block: 0.3rem; }
[data-testid="stSidebarNavLink"]::before {
  content: ""; flex: none; width: 1.1rem; height: 1.1rem; background: currentColor;
  mask: var(--icon) center / contain no-repeat;
}
a[data-testid="stSidebarNavLink"]:focus-visible, a[data-testid="stPageLink-NavLink"]:focus-visible {
  outline: 2px solid PRIMARY_TEXT; outline-offset: 1px;
}
"""


def draw() -> None:
    """Draw logo and shared style."""
    palette = current()
    st.html(_style(palette))
    st.logo(_logo(palette.ink), icon_image=str(MARK), size="large")


@functools.cache
def _style(palette: Palette) -> str:
    style = _STYLE.replace("PRIMARY_TEXT", palette.positive).replace("FAINT", palette.faint)
    icons = "".join(
        f'[data-testid="stSidebarNavLink"][href$="/{address}"] {{ --icon: url("{_icon(path)}"); }}\n'
        for address, path in _ICONS.items()
    )
    return f"<style>{style}{icons}</style>"


def _icon(path: str) -> str:
    """Return an icon as an address that holds it; only its shape counts, as a mask."""
    line = 'fill="none" stroke="#000" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path {line} d="{path}"/></svg>'
    return f"data:image/svg+xml,{quote(svg)}"


@functools.cache
def _logo(ink: str) -> str:
    """Return the logo with its letters in a colour, as an SVG document."""
    return (_MARKS / "logo.svg").read_text(encoding="utf-8").replace(LIGHT.ink, ink)
