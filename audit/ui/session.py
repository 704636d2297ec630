"""What every page asks first: the shelf, who is deciding, which dataset is meant."""

import streamlit as st

from audit.records.dataset import Dataset
from audit.store import datasets as dataset_rows
from audit.workbench import places, serving
from audit.workbench.shelf import Shelf


def shelf() -> Shelf:
    """Return the shelf of the workspace that this server serves."""
    return serving.shelf()


def reviewer() -> str:
    """Return the name that this tab's decisions are recorded under."""
    return str(st.session_state.get("reviewer") or "").strip() or places.reviewer()


def sidebar() -> None:
    """Draw what stands beside every page."""
    with st.sidebar:
        st.text_input(
            "Your name",
            value=places.reviewer(),
            key="reviewer",
            help="Decisions are recorded under this name.",
            persist_state="session",
        )


def choose_dataset() -> Dataset | None:
    """Draw the choice of a dataset, kept in the address as ``dataset=``, and return the chosen one.

    Returns
    -------
    Dataset or None
        ``None`` in a workspace without datasets; the caller says what to do then.
    """
    names = [summary.name for summary in dataset_rows.all(shelf().workspace)]
    if not names:
        return None
    # The address may name an id, or a dataset that is gone.
    asked = st.query_params.get("dataset")
    if asked is not None and asked not in names:
        st.query_params["dataset"] = shelf().dataset(asked).name
    name = st.selectbox("Dataset", names, key="dataset", bind="query-params")
    return shelf().dataset(name)
