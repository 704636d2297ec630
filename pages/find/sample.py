"""Sample: one image, what the network made of its label, what is decided, and the form to decide it."""

import streamlit as st

from audit.errors import AuditError, NotFoundError
from audit.records.dataset import Dataset
from audit.ui import (
    filters,
    following,
    palette,
    sample_panels,
    session,
    shell,
    trajectory_plots,
)
from audit.ui.texts import plain
from audit.workbench import sample_view, suspects, trajectories
from audit.workbench.sample_view import View
from audit.workbench.suspects import Filters, Ranked
from audit.workbench.trajectories import Trajectory

shelf = session.shelf()
ARROW = ":material/arrow_forward:"


def open_sample(key: str) -> None:
    """Show another sample; for callbacks."""
    st.query_params["sample"] = key


def forget_sample() -> None:
    """Show the most suspicious sample; for callbacks."""
    for key in ("sample", "cls", "suggested"):
        st.query_params.pop(key, None)


def find_sample(dataset: Dataset, listed: Filters) -> int:
    """Return the sample that the address names, the most suspicious one if it names none."""
    asked = st.query_params.get("sample") or sample_view.first(shelf, dataset, listed)
    try:
        position = sample_view.find(shelf, dataset, asked)
    except NotFoundError as error:
        st.error(plain(str(error)))
        closest = sample_view.closest(shelf, dataset, asked)
        with st.container(horizontal=True):
            st.button(f"Open {plain(closest)}", on_click=open_sample, args=(closest,), icon=ARROW)
            st.button("Open the most suspicious sample", on_click=forget_sample)
        st.stop()
    if st.query_params.get("sample") != asked:
        open_sample(asked)
    return position


def find_trajectories(
    dataset: Dataset, position: int, ranking: Ranked | None
) -> tuple[Trajectory, ...]:
    """Return the sample's trajectories; a damaged run is told and does not hide the rest."""
    try:
        return trajectories.of_sample(shelf, dataset, position, ranking)
    except AuditError as error:
        st.error(plain(str(error)))
        return ()


def draw_left(dataset: Dataset, sample: View) -> None:
    """Draw image, labels, form and facts."""
    sample_panels.picture(dataset, sample)
    sample_panels.labels(sample)
    sample_panels.form(shelf, dataset, sample, reviewer=session.reviewer())
    sample_panels.facts(sample)


def draw_right(dataset: Dataset, sample: View, found: tuple[Trajectory, ...]) -> None:
    """Draw the trajectory in words and as a plot, the scores and the history."""
    missing = sample_view.why_no_score(shelf, dataset, sample, found)
    if missing is not None:
        st.info(plain(missing))
        if "Runs page" in missing:
            st.page_link(shell.page_path("runs"), label="Go to Runs", icon=ARROW)
    if found:
        chosen = sample_panels.choose_run(found)
        st.markdown(plain(trajectories.in_words(dataset, chosen)))
        st.plotly_chart(
            trajectory_plots.figure(dataset, chosen, palette.current()),
            key="trajectory",
            theme=None,
            config={"displayModeBar": False},
            alt=trajectories.summary(dataset, chosen),
        )
        sample_panels.remarks(chosen)
    is_explained = sample.scored_by in sample.scores
    if is_explained and sample.scored_by is not None and sample.scored_by.rank is not None:
        st.page_link(
            shell.page_path("explain"), label="Explain the suspicion", icon=ARROW,
            query_params={"dataset": dataset.name, "sample": sample.key},
        )  # fmt: skip
    if sample.scores:
        st.header("Scores")
        sample_panels.scores(sample)
    st.header("History")
    sample_panels.history(sample_view.history(shelf, dataset, sample.key))


heading = st.container(horizontal=True, vertical_alignment="bottom")
heading.title("Sample")
bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with bar, st.container(width=200):
    dataset = session.choose_dataset(on_change=forget_sample)
if dataset is None:
    st.info("There is no dataset yet: import one, or look at the demo.")
    st.page_link(shell.page_path("datasets"), label="Go to Datasets", icon=ARROW)
    st.stop()
with bar:
    methods = suspects.methods_now(shelf, dataset)
    method, notes = sample_panels.choose_method(dataset, methods)
    keys = sample_panels.finder(shelf, dataset, on_open=open_sample)
for note in notes:
    st.warning(note)
sample_panels.found(shelf, dataset, keys, on_open=open_sample)
asked = st.query_params.to_dict()
listed = sample_view.filters_of(dataset, asked, method, methods=methods)
position = find_sample(dataset, listed)
sample = sample_view.view(shelf, dataset, position, method=method, reviewer=session.reviewer())
with bar:
    st.space("stretch")
    beside = sample_view.neighbours(shelf, dataset, position, listed)
    sample_panels.steps(beside, on_open=open_sample)
with heading:
    st.markdown(sample_panels.place(beside, sample.scored_by, sample_view.in_words(listed)))
    st.page_link(
        shell.page_path("ranking"), label="Back to ranking", icon=":material/arrow_back:",
        query_params=filters.as_address(dataset, listed),
    )  # fmt: skip
ranking = suspects.ranked(shelf, dataset, method) if method else None
if ranking is not None and ranking.provisional is not None:
    following.banner(shelf, ranking.provisional, follows=False)
found = find_trajectories(dataset, position, ranking)
left, right = st.columns([5, 8], gap="large")
with left:
    draw_left(dataset, sample)
with right:
    draw_right(dataset, sample, found)
