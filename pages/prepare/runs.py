"""Runs: choose what to look for, start, watch, cancel, resume, adopt, score, delete."""

import streamlit as st

from audit.ui import adopt_form, run_form, run_panels, session

st.title("Runs")
st.caption(
    "A run trains a network on the given labels and records how it learns each one. "
    "What it learns late or never is suspect."
)
shelf = session.shelf()
run_panels.watch(shelf)
dataset = run_form.draw(shelf)
if dataset is not None:
    adopt_form.draw(shelf, dataset)
    run_panels.history(shelf, dataset.id)
