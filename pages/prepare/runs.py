"""Runs: choose what to look for, start, watch, cancel, resume, score, delete."""

import streamlit as st

from audit.ui import run_form, run_panels, session, shell

st.title("Runs")
st.caption(
    "A run trains a network on the given labels and records how it learns each one. "
    "What it learns late or never is suspect."
)
shelf = session.shelf()
run_panels.watch(shelf)
dataset = run_form.draw(shelf)
if dataset is None:
    st.markdown("There is no dataset yet, and a run needs one.")
    st.page_link(shell.page_path("datasets"), label="Import a dataset", icon=":material/add:")
    st.stop()
run_panels.history(shelf, dataset.id)
