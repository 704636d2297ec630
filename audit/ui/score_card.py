"""The card of a method: what its number means, which way it points, when it fails."""

import streamlit as st

from audit.detectors import catalog
from audit.records.scores import Scores
from audit.ui.texts import plain


def draw(scores: Scores) -> None:
    """Draw the card of the method that made scores, with what it says beside them."""
    entry = catalog.entry(scores.spec.name)
    direction = "Low" if entry.low_is_suspect else "High"
    cut = "It has a cut of its own." if entry.has_cut else "It has no cut of its own."
    unit = "" if entry.quantity_unit == "none" else f" in {entry.quantity_unit}"
    failures = "\n".join(f"- {plain(failure)}" for failure in entry.known_failures)
    with st.popover(f"About {entry.name}", icon=":material/info:", width="content"):
        st.markdown(
            f"**{plain(entry.title)}**  \n{plain(entry.summary)}\n\n"
            f"{plain(entry.definition)}\n\n"
            f"**Direction.** {direction} `{entry.quantity_name}`{unit} is suspect; range "
            f"{plain(entry.quantity_range)}. {cut}\n\n"
            f"**It fails** where\n\n{failures}"
        )
        if scores.messages:
            st.markdown("**On this dataset**")
            st.markdown("\n".join(f"- {plain(message)}" for message in scores.messages))
        st.caption(plain(entry.reference))
