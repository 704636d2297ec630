"""What every page asks first: the shelf, who is deciding, which dataset is meant."""

from collections.abc import Callable

import streamlit as st

from audit.errors import AuditError, NotFoundError
from audit.records.dataset import Dataset
from audit.store import datasets as dataset_rows
from audit.workbench import places, serving, watching
from audit.workbench.receiving import NAMELESS
from audit.workbench.shelf import Shelf


def shelf() -> Shelf:
    """Return the shelf of the workspace that this server serves."""
    return serving.shelf()


def reviewer() -> str:
    """Return the name that this tab's decisions are recorded under; empty if nobody has said one."""
    return str(st.session_state.get("reviewer") or "").strip() or _known_name()


def _known_name() -> str:
    try:
        return places.reviewer()
    except AuditError:
        return ""  # no log-in, as in a container


def sidebar() -> None:
    """Draw what stands beside every page."""
    with st.sidebar:
        st.text_input(
            "Your name",
            value=_known_name(),
            key="reviewer",
            help="Decisions are recorded under this name.",
            persist_state="session",
        )
        if not reviewer():
            st.warning(NAMELESS)
        _jobs_under_way()


def _jobs_under_way() -> None:
    """Draw one line while jobs wait or run; it looks every five seconds then, and never otherwise."""
    is_busy = watching.indicator(shelf()) is not None
    st.fragment(_indicator, run_every=5.0 if is_busy else None)(was_busy=is_busy)


def _indicator(*, was_busy: bool) -> None:
    try:
        words = watching.indicator(shelf())
    except AuditError:
        return  # the page says it in full; this line only tells of work
    if words is not None:
        st.caption(f":material/progress_activity: {words}")
    elif was_busy:
        st.rerun()  # what ended may be what the page waits for, and nobody needs to look again


def choose_dataset(*, on_change: Callable[[], None] | None = None) -> Dataset | None:
    """Draw the choice of a dataset, kept in the address as ``dataset=``, and return the chosen one.

    Parameters
    ----------
    on_change
        Called when somebody chose another one here: what the address says of the one before is void.

    Returns
    -------
    Dataset or None
        ``None`` in a workspace without datasets; the caller says what to do then.

    Raises
    ------
    NotFoundError
        If the address names none that is there; the choice stands above the sentence.
    """
    names = [summary.name for summary in dataset_rows.all(shelf().workspace)]
    if not names:
        return None
    # The address may name an id, or a dataset that is gone; without one the last choice stays.
    asked = st.query_params.get("dataset")
    if asked is None:
        held = st.session_state.get("dataset-held")
        name = held if held in names else names[0]
    else:
        try:
            name = asked if asked in names else shelf().dataset(asked).name
        except NotFoundError:
            # Another one is not chosen for people: the next key they press may be a decision.
            st.session_state["dataset"] = None
            st.selectbox(
                "Dataset", names, key="dataset", index=None, placeholder="Choose a dataset",
                on_change=_write_address, args=(on_change,),
            )  # fmt: skip
            raise
    # Not bound to the address: Streamlit refuses to write a bound key, in `st.switch_page` too.
    st.session_state["dataset"] = name
    if asked != name:
        st.query_params["dataset"] = name
    st.session_state["dataset-held"] = st.selectbox(
        "Dataset", names, key="dataset", on_change=_write_address, args=(on_change,)
    )
    return shelf().dataset(name)


def _write_address(on_change: Callable[[], None] | None) -> None:
    st.query_params["dataset"] = st.session_state["dataset"]
    if on_change is not None:
        on_change()
