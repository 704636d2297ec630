"""Values that a page keeps in its address, without binding widgets to it.

Streamlit refuses to write a key of the address that a widget is bound to, in `st.switch_page` too, and it
takes a bound widget whose range changed for a new one. So widgets show what is kept here, and their
callbacks write it: all changed keys in one step, which is one step for the browser's back button.
"""

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

_HELD = "address-held"


def read(keys: Sequence[str], *, anchor: str) -> dict[str, str]:
    """Return the texts of those keys that the address has.

    Between two runs of a page the session is asked and not the browser, whose address lags behind quick
    hands; the browser's counts when the page is opened and when people go back and forth.

    Parameters
    ----------
    keys
        Of the address.
    anchor
        Key of a widget that the page always draws: where it is unknown, the page has just been opened.
    """
    context = get_script_run_ctx()
    went_back = context is not None and context.is_history_navigation
    if went_back or anchor not in st.session_state or _HELD not in st.session_state:
        st.session_state[_HELD] = {
            key: text for key in keys if (text := st.query_params.get(key)) is not None
        }
    return dict(st.session_state[_HELD])


def write(changes: Mapping[str, str | None]) -> None:
    """Set keys of the address, or remove them with ``None``; in callbacks, before the script runs."""
    held = {**st.session_state.get(_HELD, {}), **changes}
    st.session_state[_HELD] = {key: text for key, text in held.items() if text is not None}
    others = {key: text for key, text in st.query_params.to_dict().items() if key not in held}
    st.query_params.from_dict({**others, **st.session_state[_HELD]})
