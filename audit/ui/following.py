"""What stands above a ranking that is read from a run in training, and looks for its next epoch."""

from typing import NoReturn

import streamlit as st

from audit.records.dataset import Dataset
from audit.ui import address
from audit.ui.texts import plain
from audit.workbench import provisional, ranking_state
from audit.workbench.provisional import Provisional
from audit.workbench.shelf import Shelf

_POLL_SECONDS = 2.0
_ICON = ":material/hourglass_top:"


def banner(shelf: Shelf, shown: Provisional, *, follows: bool = True) -> None:
    """Draw that a ranking is provisional; the page is drawn anew when there is another one.

    Parameters
    ----------
    shelf
        Of the workspace.
    shown
        What the page shows.
    follows
        Whether the page is drawn anew by itself.
    """
    st.fragment(_banner, run_every=_POLL_SECONDS if follows else None)(
        shelf, shown, follows=follows
    )


def _banner(shelf: Shelf, shown: Provisional, *, follows: bool) -> None:
    if follows and provisional.is_stale(shelf, shown):
        st.rerun()
    moves = " It is read anew as epochs end." if follows else ""
    st.warning(
        f"**{plain(shown.in_words)}**{moves} Suggested is what the network took for likeliest in that epoch.",
        icon=_ICON,
    )


def ended(shelf: Shelf, dataset: Dataset) -> None:
    """Say why there is no provisional ranking any more, and offer the final scores if there are some."""
    is_awaited = ranking_state.is_awaited(shelf, dataset)
    st.fragment(_why_not, run_every=_POLL_SECONDS if is_awaited else None)(
        shelf, dataset, was_awaited=is_awaited
    )
    with st.container(horizontal=True):
        for method in ranking_state.final_methods(shelf, dataset):
            st.button(
                f"Show {method}",
                key=f"final_{method}",
                on_click=address.write,
                args=({"method": method, "cut": None, "page": None},),
            )


def wait_for_an_epoch(shelf: Shelf, dataset: Dataset) -> NoReturn:
    """Say that a run has no whole epoch yet, and draw the page anew once it has one."""
    st.fragment(_why_not, run_every=_POLL_SECONDS)(shelf, dataset, was_awaited=True)
    st.stop()


def _why_not(shelf: Shelf, dataset: Dataset, *, was_awaited: bool) -> None:
    """Draw why there is no provisional ranking; the whole page once that has changed."""
    is_awaited = ranking_state.is_awaited(shelf, dataset)
    if provisional.is_there(shelf, dataset) or is_awaited != was_awaited:
        st.rerun()
    icon = _ICON if is_awaited else None
    st.info(plain(ranking_state.no_provisional(shelf, dataset)), icon=icon)
