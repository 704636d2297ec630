"""Export: take the corrected labels away, in the form that suits, with counts before anything is written."""

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.ui import export_form, export_result, filters, patch_form, session, shell
from audit.ui.export_form import Options
from audit.ui.texts import plain
from audit.workbench import export_previews, export_runs, overview, wording
from audit.workbench.export_previews import Form
from audit.workbench.export_runs import Order
from audit.workbench.suspects import Filters, State

PROMPT_SECONDS = 0.5  # most exports end within this; others are watched
shelf = session.shelf()


def write(dataset: Dataset, form: Form, options: Options, typed: str, *, replace: bool) -> None:
    """Begin to write what was asked for, or keep the sentence that says why not."""
    st.session_state.pop("export-refused", None)
    asked = (dataset.id, form.name, typed)
    try:
        out = export_previews.check_path(shelf, dataset, typed, form.name, replace=replace)
        order = Order(
            form=form.name,
            out=out,
            link=options.link,
            spreadsheet_safe=options.spreadsheet_safe,
            replace=replace,
        )
        export_runs.start(shelf, dataset, order, wait=PROMPT_SECONDS)
    except AuditError as error:
        st.session_state["export-refused"] = asked, wording.on_the_page(str(error))


def warn_of_suspects(dataset: Dataset) -> None:
    """Say how many suspects nobody has decided on, and where to do it."""
    suspects = overview.card(shelf, dataset.id).suspects
    if suspects is None or not suspects.n_left:
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.warning(
        f"{suspects.n_left:,} of {suspects.n_found:,} suspects are undecided: "
        "they keep their given label in this export.",
        icon=":material/pending:",
    )
    todo = Filters(method=suspects.method, state=State.TODO, cut=suspects.cut)
    right.page_link(
        shell.page_path("review"),
        label="Review them",
        icon=":material/keyboard:",
        query_params=filters.as_address(dataset, todo),
    )


def take_away(dataset: Dataset, form: Form, *, is_busy: bool) -> None:
    """Draw options and place, and the two ways to take the labels away."""
    options = export_form.options(form)
    missing = export_previews.check_images(dataset, form.name)
    if missing is not None:
        st.warning(plain(wording.on_the_page(missing)))
    default = str(export_previews.default_path(shelf, dataset, form.name))
    typed, replace = export_form.place(default, form=form, dataset=dataset)
    with st.container(horizontal=True):
        if st.button(
            "Export",
            type="primary",
            icon=":material/save:",
            disabled=is_busy or missing is not None,
            key="export-write",
        ):
            write(dataset, form, options, typed, replace=replace)
            st.rerun()
        if form.can_download:
            name = export_previews.file_name(dataset, form.name)
            st.download_button(
                "Download only",
                export_previews.download(
                    shelf, dataset, form.name, spreadsheet_safe=options.spreadsheet_safe
                ),
                file_name=name,
                mime=export_previews.media_type(name),
                icon=":material/download:",
                on_click="ignore",
                disabled=missing is not None,
                key="export-download",
                help="The file alone, through the browser; no manifest is written beside it.",
            )
    asked, refused = st.session_state.get("export-refused", (None, ""))
    if asked == (dataset.id, form.name, typed):
        st.error(plain(refused))


st.title("Export")
dataset = session.choose_dataset()
if dataset is None:
    st.info("There is no dataset yet, so there are no labels to take away: import one first.")
    st.page_link(shell.page_path("datasets"), label="Import a dataset", icon=":material/add:")
    st.stop()
export_form.style()
preview = export_previews.preview(shelf, dataset)
with st.container(border=True):
    export_form.draw_counts(preview)
warn_of_suspects(dataset)
form = export_form.choose_form(export_previews.forms(dataset))
left, right = st.columns([3, 2], gap="large")
with left:
    begun = export_runs.last(shelf, dataset)
    take_away(
        dataset, form, is_busy=begun is not None and begun.state is export_runs.ExportState.RUNNING
    )
    export_result.draw(shelf, dataset, preview)
with right:
    export_form.draw_changes(preview)
patch_form.draw(shelf, dataset)
