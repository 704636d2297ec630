"""Overview: every dataset, how far it is, and what to do next as one button."""

import streamlit as st

from audit.ui import dataset_cards, greeting, session, shell
from audit.workbench import overview

shelf = session.shelf()
cards = overview.cards(shelf)
if cards:
    st.title("Overview")
    dataset_cards.draw(shelf, cards)
    st.page_link(shell.page_path("datasets"), label="Import another dataset", icon=":material/add:")
else:
    greeting.draw(shelf)
