"""What an empty workspace says: what labeltrace does, and two ways to begin."""

import streamlit as st

from audit.errors import AuditError
from audit.ui import palette, shell
from audit.ui.palette import Palette
from audit.ui.texts import plain
from audit.workbench import demo
from audit.workbench.shelf import Shelf

_STYLE = """<style>
.lg { color: var(--lg-ink); line-height: 1.55; }
.lg p { margin: 0; }
.lg-lead { font-size: 1.22rem; max-width: 34rem; }
.lg ol { margin: 1.4rem 0 0; padding: 0; list-style: none; display: grid; gap: .45rem; }
.lg li { display: flex; gap: .8rem; }
.lg li b { min-width: 4.6rem; font-weight: 600; }
.lg li span { color: var(--lg-faint); }
[class*="st-key-way_"] { padding: 1.35rem 1.5rem; }
</style>"""

_CALM = (
    "M40 128 C90 108 120 66 190 52 S330 38 420 34",
    "M40 132 C100 120 150 90 220 78 S350 62 420 58",
    "M40 126 C80 104 130 84 200 60 S340 52 420 46",
    "M40 134 C110 126 170 104 240 92 S360 80 420 74",
)
_SUSPECT = "M40 130 C80 138 120 168 180 182 S300 178 340 150 S400 116 420 104"


def draw(shelf: Shelf) -> None:
    """Draw the greeting, the demo and the way to an import."""
    colours = palette.current()
    st.html(_STYLE)
    words, picture = st.columns([1.15, 1], gap="large", vertical_alignment="center")
    words.title("Welcome to labeltrace")
    words.html(_block(_WORDS, colours))
    with picture:
        st.image(_picture(colours), width="stretch", alt=_PICTURED)
        st.caption("How far the network prefers the given label, epoch by epoch.")
    st.space("small")
    demo_way, own_way = st.columns(2, gap="medium")
    with demo_way.container(border=True, key="way_demo", height="stretch"):
        st.header("See it at work")
        st.markdown(
            f"1,797 scanned digits, {demo.N_PLANTED} of them under a wrong label on purpose. "
            "Import, training and scores take about a minute on this machine; nothing is downloaded."
        )
        if st.button("Start the demo", type="primary", icon=":material/play_arrow:", key="demo"):
            _begin(shelf)
    with own_way.container(border=True, key="way_import", height="stretch"):
        st.header("Use your own images")
        st.markdown(
            "A folder with one folder per class, a table of paths and labels, or an `.npz` file. "
            "You see what would be imported before anything is stored, and images stay where they are."
        )
        if st.button("Import a dataset", icon=":material/add:", key="import"):
            st.switch_page(shell.page_path("datasets"))


def _begin(shelf: Shelf) -> None:
    try:
        with st.spinner("Making the digits and starting a worker…"):
            demo.begin(shelf)
    except AuditError as error:
        st.error(plain(str(error)))
        return
    st.rerun()


_PICTURED = (
    "Margins during a training: four right labels are learnt at once and stay above zero, a wrong one "
    "falls below zero before it is memorised."
)

_WORDS = """
<p class="lg-lead">labeltrace finds the images whose labels are probably wrong: it watches a network
learn them, and the labels that it resists are the suspects. You decide about each with one key.</p>
<ol>
<li><b>Import</b><span>Point at your images. Nothing is copied or changed.</span></li>
<li><b>Train</b><span>A small network learns the labels, here, in its own process.</span></li>
<li><b>Review</b><span>The most suspicious come first: keep, relabel, exclude.</span></li>
<li><b>Export</b><span>Take the corrected labels away, with who decided what.</span></li>
</ol>"""


def _picture(colours: Palette) -> str:
    calm = "".join(
        f'<path d="{d}" fill="none" stroke="{colours.positive}" stroke-width="2" opacity=".55"/>'
        for d in _CALM
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="440" height="220" viewBox="0 0 440 220"
 font-family="sans-serif">
<line x1="40" y1="130" x2="424" y2="130" stroke="{colours.faint}" stroke-width="1"
 stroke-dasharray="2 4"/>
<clipPath id="below"><rect x="40" y="130" width="400" height="90"/></clipPath>
<path d="{_SUSPECT} L420 130 L40 130 Z" fill="{colours.negative}" opacity=".15" clip-path="url(#below)"/>
{calm}
<path d="{_SUSPECT}" fill="none" stroke="{colours.negative}" stroke-width="3"
 stroke-linecap="round"/>
<circle cx="180" cy="182" r="5" fill="{colours.negative}"/>
<text x="193" y="201" font-size="13" fill="{colours.negative}">a wrong label</text>
<text x="300" y="24" font-size="13" fill="{colours.positive}">right labels</text>
<text x="32" y="134" font-size="12" text-anchor="end" fill="{colours.faint}">0</text>
</svg>"""


def _block(body: str, colours: Palette) -> str:
    return f'<div class="lg" style="--lg-ink:{colours.ink};--lg-faint:{colours.faint}">{body}</div>'
