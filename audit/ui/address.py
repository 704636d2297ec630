"""Values of the address that no widget can be bound to, because their range changes with other choices.

Streamlit takes a bound widget whose range changed for a new one and seeds it from the address: the page
of another list, the cut of another method. Here such a value falls back when what it belongs to changes,
unless the address itself was changed from outside: a link, the browser's back button.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st

T = TypeVar("T")


def held(key: str, read: Callable[[str], T], default: T, *, belongs_to: Hashable) -> T:
    """Return the value of a key, the default where the address has none.

    Parameters
    ----------
    key
        In the address.
    read
        Turns the text of the address into a value.
    default
        Not written into the address.
    belongs_to
        What the value is a value of; when this changes, the value falls back to the default.
    """
    text = st.query_params.get(key)
    is_from_outside = text != st.session_state.get(f"{key}-written", ...)
    if is_from_outside:
        value = read(text) if text else default
    elif st.session_state.get(f"{key}-belongs") == belongs_to:
        value = st.session_state[f"{key}-value"]
    else:
        value = default
    st.session_state[f"{key}-belongs"] = belongs_to
    hold(key, value, default)
    return value


def hold(key: str, value: T, default: T) -> None:
    """Set the value of a key and write it into the address; also for callbacks."""
    text = None if value == default else str(value)
    if text is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != text:
        st.query_params[key] = text
    st.session_state[f"{key}-value"] = value
    st.session_state[f"{key}-written"] = text
