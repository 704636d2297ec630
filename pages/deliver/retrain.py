"""Retrain: train with and without the corrections, and read what they were worth."""

import streamlit as st

from audit.records.comparison import Comparison
from audit.ui import figures, retrain_form, retrain_panels, session, shell
from audit.ui.texts import plain
from audit.workbench import retraining, retraining_report

shelf = session.shelf()


def choose(known: list[Comparison]) -> Comparison:
    """Draw the choice among comparisons, the newest first."""
    by_id = {one.id: one for one in known}
    wanted = st.session_state.get("retrain-shown")
    if wanted not in by_id:
        wanted = known[0].id
    if len(known) == 1:
        return known[0]
    st.session_state["retrain-chosen"] = wanted

    def keep() -> None:
        st.session_state["retrain-shown"] = st.session_state["retrain-chosen"]

    chosen = st.selectbox(
        "Comparison",
        list(by_id),
        key="retrain-chosen",
        on_change=keep,
        format_func=lambda one: retraining.title(by_id[one]),
    )
    return by_id[chosen]


st.title("Retrain")
bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with bar, st.container(width=220):
    dataset = session.choose_dataset()
if dataset is None:
    st.info("There is no dataset yet, so there is nothing to retrain on: import one first.")
    st.page_link(shell.page_path("datasets"), label="Import a dataset", icon=":material/add:")
    st.stop()
figures.style()
known = retraining.every(shelf, dataset)
if not known:
    st.markdown(
        "Train with the labels as imported and with your corrections, on the same seeds, and see what the "
        "corrections were worth on images that nobody corrected automatically."
    )
    with st.container(border=True):
        retrain_form.draw(shelf, dataset)
    st.stop()
with bar, st.container(width=460):
    comparison = choose(known)
report = retraining_report.report(shelf, dataset, comparison)
if report.n_events_since:
    st.info(
        plain(
            f"{report.n_events_since:,} decisions or undos were recorded since: compare again to count "
            "them; what was trained on the same labels is not trained twice."
        ),
        icon=":material/update:",
    )
with st.expander("Compare again", icon=":material/compare_arrows:"):
    retrain_form.draw(shelf, dataset)
retrain_panels.progress(shelf, dataset, report)
retrain_panels.verdict(report)
VIEWS = ("Course", "Classes", "Changed predictions")
view = st.segmented_control(
    "Show",
    VIEWS,
    default=VIEWS[0],
    key="retrain-view",
    required=True,
    label_visibility="collapsed",
)
if view == "Course":
    retrain_panels.course(report)
elif view == "Classes":
    retrain_panels.classes(report)
else:
    retrain_panels.changes(shelf, dataset, report)
st.divider()
for sentence in report.remarks:
    st.caption(plain(sentence))
st.caption(plain(retraining.made_of(comparison)))
