"""What a person reads when a page breaks: one sentence and a next step, never a traceback."""

import logging

import streamlit as st

from audit.errors import AuditError
from audit.ui import texts
from audit.workbench import wording

_LOG = logging.getLogger(__name__)


def tell(error: Exception) -> bool:
    """Show one sentence in place of what a script or a callback could not do.

    Parameters
    ----------
    error
        What it raised. What we refuse on purpose carries its own sentence; everything else is written
        to the server's log and named by its kind.

    Returns
    -------
    bool
        True: Streamlit is to add nothing of its own.
    """
    if isinstance(error, AuditError):
        st.error(texts.plain(wording.on_the_page(str(error))))
        return True
    _LOG.error("A page broke.", exc_info=error)
    st.error(
        f"Something unexpected happened while this page was drawn ({type(error).__name__}). Nothing that "
        "was decided is lost. Reload the page; if it happens again, the server's log says where.",
        icon=":material/error:",
    )
    return True
