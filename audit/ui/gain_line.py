"""What the decisions are worth so far, beside the progress of a review: a line that opens into a plot."""

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.ui import palette, retrain_plots, shell
from audit.ui.texts import plain
from audit.workbench import gain
from audit.workbench.gain import CORRELATION, EVERY, Gain
from audit.workbench.shelf import Shelf

_POLL_SECONDS = 4.0


def draw(shelf: Shelf, dataset: Dataset) -> None:
    """Draw the newest estimate; looks every few seconds whether there is another one."""
    st.fragment(_draw, run_every=_POLL_SECONDS)(shelf, dataset)


def _draw(shelf: Shelf, dataset: Dataset) -> None:
    try:
        found = gain.follow(shelf, dataset)
    except AuditError:
        return  # what people decide is stored elsewhere; this only says what it is worth
    with st.popover(_label(found), icon=":material/trending_up:", key="gain-line", width="stretch"):
        if not found.points:
            st.markdown(
                f"**What decisions are worth.** After every {EVERY} of them a linear classifier on what "
                "networks or patches see of the images is fitted to the labels as they are then, and "
                "judged on samples that it has not learnt from."
            )
            if found.is_under_way:
                st.caption("The first estimate is being made.")
            if found.error:
                st.caption(plain(found.error))
            return
        st.markdown(plain(found.in_words))
        if found.n_since:
            more = "the next estimate is being made" if found.is_under_way else "not counted yet"
            st.caption(f"{found.n_since:,} decisions and undos came since: {more}.")
        st.plotly_chart(
            retrain_plots.gain(found.points, palette.current(), height=220),
            key="gain-plot",
            theme=None,
            config={"displayModeBar": False},
            alt=plain(f"Estimated gain by number of decisions. {found.in_words}"),
        )
        st.caption(
            plain(
                f"Points of accuracy against the labels as given ({found.accuracy or 0:.1%}), by a linear "
                f"classifier on {found.seen}, {found.n_tested:,} samples tested ({found.test}); the band "
                "is the 95 % interval for other test samples. An estimate in seconds, not a retraining. "
                f"{CORRELATION}"
            )
        )
        st.page_link(
            shell.page_path("retrain"),
            label="Retrain and compare",
            icon=":material/arrow_forward:",
            query_params={"dataset": dataset.name},
        )


def _label(found: Gain) -> str:
    if not found.points:
        return "Gain …" if found.is_under_way else "Gain"
    last = found.points[-1]
    value = f"{100 * float(last['gain']):+.1f}".replace("-", "−")
    return f"Gain {value}" if found.is_shown else "Gain: none shown"
