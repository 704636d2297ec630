"""The form that asks for a source, shows what an import would store, and stores it."""

import contextlib
from collections.abc import Iterator

import streamlit as st

from audit.errors import AuditError
from audit.records.progress import Report
from audit.ui import plan_view
from audit.ui.texts import plain
from audit.workbench import importing, limits
from audit.workbench.importing import Looked, Request, Stored
from audit.workbench.shelf import Shelf

_PLAN = "import_plan"
_REFUSED = "import_refused"
_CHANGED = "import_changed"
_DONE = "import_done"
_FIELDS = ("source", "labels", "path_column", "label_column", "truth_column", "split_column")

_SHAPES = (
    "A folder with one folder per class, a table of paths and labels (CSV, TSV, Parquet, JSON lines) or "
    "an `.npz` file, on the machine that labeltrace runs on. Images are never copied, moved or changed."
)


def draw(shelf: Shelf) -> None:
    """Draw the form and, once a source was looked at, its plan."""
    if _ask():
        _look(shelf)
    if refused := st.session_state.get(_REFUSED):
        st.error(plain(refused), icon=":material/error:")
    looked: Looked | None = st.session_state.get(_PLAN)
    if looked is None:
        _recent(shelf)
        return
    if difference := st.session_state.get(_CHANGED):
        st.warning(
            f"The source has changed since its plan was shown: {plain(difference)}. Nothing was "
            "stored; below stands what it holds now.",
            icon=":material/sync_problem:",
        )
    name = plan_view.draw(shelf, looked)
    if name is not None:
        _store(shelf, looked, name)


def discard() -> None:
    """Forget the plan and what was said about it."""
    for key in (_PLAN, _REFUSED, _CHANGED):
        st.session_state.pop(key, None)


def _ask() -> bool:
    """Draw the fields and return whether they were sent."""
    if st.session_state.pop(_DONE, False):
        for field in _FIELDS:
            st.session_state[_key(field)] = ""
    with st.form("import_form", border=False):
        with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
            st.text_input(
                "Source",
                key=_key("source"),
                placeholder="/path/to/a/folder, a table or an .npz file",
                icon=":material/folder_open:",
                persist_state="session",
            )
            sent = st.form_submit_button(
                "Show plan",
                key="import_show",
                type="primary",
                help="Looks at the source and stores nothing.",
            )
        st.caption(_SHAPES)
        if limit := limits.note():
            st.caption(plain(limit))
        with st.expander("Options", key="import_options", icon=":material/tune:"):
            st.text_input(
                "Labels file",
                key=_key("labels"),
                placeholder="a table with the labels of the images in the folder",
                help="Only for a folder whose own folders are no classes.",
                persist_state="session",
            )
            columns = st.columns(4)
            for column, (label, field, told) in zip(columns, _COLUMNS, strict=True):
                column.text_input(
                    label,
                    key=_key(field),
                    placeholder="found by its name",
                    help=told,
                    persist_state="session",
                )
    return sent


_COLUMNS = (
    ("Path column", "path_column", "Column of the table that names the image."),
    ("Label column", "label_column", "Column with the given label."),
    ("Truth column", "truth_column", "Column with the true label, for benchmarks only."),
    ("Split column", "split_column", "Column with train, val or test."),
)


def _look(shelf: Shelf) -> None:
    discard()
    typed = {field: str(st.session_state.get(_key(field)) or "") for field in _FIELDS}
    try:
        with telling("Looking at the source…") as report:
            st.session_state[_PLAN] = importing.look(shelf, Request(**typed), report)
    except AuditError as error:
        st.session_state[_REFUSED] = str(error)


def _store(shelf: Shelf, looked: Looked, name: str) -> None:
    st.session_state.pop(_REFUSED, None)
    try:
        with telling("Looking whether the source is still the same, and storing it…") as report:
            stored = importing.store(shelf, looked, name, report)
    except AuditError as error:
        st.session_state[_REFUSED] = str(error)
        st.rerun()
    _tell(stored)
    st.rerun()


def _tell(stored: Stored) -> None:
    if stored.dataset is None:
        st.session_state[_PLAN] = stored.changed
        st.session_state[_CHANGED] = stored.difference
        return
    discard()
    said = "is imported" if stored.is_new else "is there already: nothing was stored a second time"
    st.toast(f"{plain(stored.dataset.name)} {said}.", icon=":material/check:", duration="long")
    st.session_state[_DONE] = True
    st.query_params["dataset"] = stored.dataset.name
    st.session_state["dataset"] = stored.dataset.name


def _recent(shelf: Shelf) -> None:
    sources = importing.recent(shelf)
    if not sources:
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="import_recent"
    ):
        st.caption("Imported last", width="content")
        for number, source in enumerate(sources):
            st.button(
                plain(_shortened(source)),
                key=f"import_recent_{number}",
                type="tertiary",
                help=f"Put {plain(source)} into the form.",
                on_click=_fill,
                args=(source,),
            )


def _fill(source: str) -> None:
    st.session_state[_key("source")] = source


def _shortened(path: str, most: int = 44) -> str:
    return path if len(path) <= most else f"…{path[-most:]}"


@contextlib.contextmanager
def telling(what: str) -> Iterator[Report]:
    """Show how far a slow verb is while it works; a click elsewhere stops it.

    Parameters
    ----------
    what
        Said before the verb says something itself.
    """
    place = st.empty()
    bar = place.progress(0.0, text=what)

    def report(fraction: float, message: str) -> None:
        bar.progress(
            min(max(fraction, 0.0), 1.0), text=plain(f"{message[:1].upper()}{message[1:]}")
        )

    try:
        yield report
    finally:
        place.empty()


def _key(field: str) -> str:
    return f"import_{field}"
