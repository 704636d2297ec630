"""Takes over what another training loop recorded: a path, a button, and what became of it."""

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.ui.import_form import telling
from audit.ui.texts import plain
from audit.workbench import adopting, limits
from audit.workbench.shelf import Shelf

_SAID = "adopt_said"


def draw(shelf: Shelf, dataset: Dataset) -> None:
    """Draw the field for a recording's path, and the button that makes a run of it."""
    said = st.session_state.pop(_SAID, None)
    with st.expander(
        "Recorded elsewhere", key="adopt", icon=":material/input:", expanded=said is not None
    ):
        if said is not None:
            (st.success if said[0] else st.error)(plain(said[1]))
        st.caption(
            "A training loop of your own becomes a run here if it was recorded: with "
            "`from audit.training import Recorder`, as an `.npz` of logits, by the aum package or by "
            "dataset cartography. Samples are matched by their keys, or by their order where the file "
            "has none; its labels must be the given labels."
        )
        if limit := limits.note():
            st.caption(plain(limit))
        with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
            typed = st.text_input(
                "Recording",
                key="adopt_file",
                placeholder="/path/to/dynamics.npz",
                icon=":material/folder_open:",
                help="A file or folder on the machine that labeltrace runs on; it is read, not changed.",
            )
            wanted = st.button(
                "Adopt",
                key="adopt_button",
                icon=":material/input:",
                help=f"Makes a run of {plain(dataset.name)} from it. Nothing is trained.",
            )
    if wanted:
        _adopt(shelf, dataset, typed or "")


def _adopt(shelf: Shelf, dataset: Dataset, typed: str) -> None:
    try:
        with telling("Reading the recording…") as report:
            done = adopting.adopt_typed(shelf, dataset, typed, report=report)
    except AuditError as error:
        st.session_state[_SAID] = (False, str(error))
    else:
        st.session_state[_SAID] = (
            True,
            " ".join(
                (
                    f"{done.run.name} is there: {done.run.config.epochs} epochs of {done.n_samples:,} "
                    "samples. Score it above.",
                    *done.messages,
                )
            ),
        )
    st.rerun()
