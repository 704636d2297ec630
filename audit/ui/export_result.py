"""What came of an export: how far it is, where it lies, how to take it away, or why it failed."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from audit.records.dataset import Dataset
from audit.ui.texts import plain
from audit.workbench import export_previews, export_runs, wording
from audit.workbench.export_previews import Preview
from audit.workbench.export_runs import ExportState, Outcome
from audit.workbench.shelf import Shelf


def draw(shelf: Shelf, dataset: Dataset, preview: Preview) -> bool:
    """Draw the export of a dataset that was begun last, and return whether it is being written.

    Parameters
    ----------
    shelf, dataset
        Whose export.
    preview
        What an export would hold now: an older one is called old.
    """
    outcome = export_runs.last(shelf, dataset)
    if outcome is None:
        return False
    is_running = outcome.state is ExportState.RUNNING
    st.fragment(_watch, run_every=1.0 if is_running else None)(shelf, dataset, preview, is_running)
    return is_running


def _watch(shelf: Shelf, dataset: Dataset, preview: Preview, was_running: bool) -> None:  # noqa: FBT001
    outcome = export_runs.last(shelf, dataset)
    if outcome is None:
        return
    if outcome.state is ExportState.RUNNING:
        _draw_progress(shelf, dataset, outcome)
        return
    if was_running:
        st.rerun()  # the button to export waits, and nobody needs to look again
    if outcome.state is ExportState.DONE:
        _draw_done(outcome, preview)
    elif outcome.state is ExportState.STOPPED:
        st.info("The export was stopped; what it had written is gone again.")
    else:
        st.error(plain(wording.on_the_page(outcome.problem or "The export failed.")))


def _draw_progress(shelf: Shelf, dataset: Dataset, outcome: Outcome) -> None:
    bar, button = st.columns([5, 1], vertical_alignment="bottom")
    doing = f"{outcome.message}, {outcome.fraction:.0%}" if outcome.fraction else outcome.message
    bar.progress(outcome.fraction, f"Writing {plain(str(outcome.order.out))}: {doing}.")
    button.button(
        "Stop", on_click=export_runs.stop, args=(shelf, dataset), key="export-stop", width="stretch"
    )


def _draw_done(outcome: Outcome, preview: Preview) -> None:
    manifest = outcome.manifest or {}
    with st.container(border=True, key="export-done"):
        st.markdown(
            ":material/check_circle: **Written.** The manifest beside it names every input."
        )
        st.code(f"{outcome.order.out}\n{export_runs.manifest_path(outcome.order)}", language=None)
        if _is_old(manifest, preview):
            st.warning("Labels have changed since then: export again to take the new ones along.")
        with st.container(horizontal=True, vertical_alignment="center"):
            if outcome.takeaway_name is not None:
                st.download_button(
                    "Download what was written",
                    partial(export_runs.takeaway, outcome.order),
                    file_name=outcome.takeaway_name,
                    mime=export_previews.media_type(outcome.takeaway_name),
                    icon=":material/download:",
                    on_click="ignore",
                    key="export-takeaway",
                )
            else:
                st.caption("It is too large for a download: take it from its path.")
        with st.expander("Manifest"):
            st.json(dict(manifest))


def _is_old(manifest: Mapping[str, Any], preview: Preview) -> bool:
    """Return whether labels have changed since an export, whatever made its version's name."""
    is_other = manifest.get("label_version") != preview.label_version
    return is_other and manifest.get("last_decision") != preview.last_decision
