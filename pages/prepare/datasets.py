"""Datasets: import with the plan shown first; what each holds; follow moved files; delete."""

import streamlit as st

from audit.ui import dataset_list, dataset_view, figures, import_form, session

shelf = session.shelf()
st.title("Datasets")
figures.style()
with st.container(key="import"):
    st.header("Import")
    import_form.draw(shelf)
st.space("small")
st.header("In this workspace")
dataset_list.draw(shelf)
dataset = session.choose_dataset()
if dataset is None:
    st.info(
        "There is no dataset yet. Type the path of one above: you see what would be imported before "
        "anything is stored."
    )
else:
    dataset_view.draw(shelf, dataset)
