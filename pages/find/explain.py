"""Explain: which epochs the suspicion of one sample rests on, for every method, and how far to believe it."""

from typing import NoReturn

import streamlit as st

from audit.errors import NotFoundError, RefusedError
from audit.records.dataset import Dataset
from audit.records.explanation import Explanation
from audit.ui import explain_panels, sample_panels, session, shell
from audit.ui.texts import plain
from audit.workbench import explaining, ranking_state, sample_view, suspects
from audit.workbench.suspects import Filters

shelf = session.shelf()
ARROW = ":material/arrow_forward:"


def open_sample(key: str) -> None:
    """Show another sample; for callbacks."""
    st.query_params["sample"] = key


def forget_sample() -> None:
    """Show the most suspicious sample; for callbacks."""
    for key in ("sample", "method"):
        st.query_params.pop(key, None)


def stop(sentence: str, address: str, label: str) -> NoReturn:
    """Say what is missing and where to get it."""
    st.info(plain(sentence))
    st.page_link(shell.page_path(address), label=label, icon=ARROW)
    st.stop()


def find_sample(dataset: Dataset, method: str) -> int:
    """Return the sample that the address names, the most suspicious one if it names none."""
    asked = st.query_params.get("sample")
    if asked is None:
        asked = sample_view.first(shelf, dataset, Filters(method=method))
        open_sample(asked)
    try:
        return sample_view.find(shelf, dataset, asked)
    except NotFoundError as error:
        st.error(plain(str(error)))
        closest = sample_view.closest(shelf, dataset, asked)
        with st.container(horizontal=True):
            st.button(f"Open {plain(closest)}", on_click=open_sample, args=(closest,), icon=ARROW)
            st.button("Open the most suspicious sample", on_click=forget_sample)
        st.stop()


def find_explanations(
    dataset: Dataset, position: int, methods: tuple[str, ...]
) -> list[Explanation]:
    """Draw what there is to ask for, and return the finished explanations."""
    latest = shelf.latest(dataset)
    asked: list[str] = []
    for name in methods:
        try:
            explaining.check(dataset, shelf.scores(latest[name].id), position)
            asked.append(name)
        except RefusedError as error:
            st.info(plain(str(error)))
    known = explaining.find(shelf.workspace, position, [latest[name].id for name in asked])
    found = {name: known[latest[name].id] for name in asked}
    explain_panels.ask(shelf, position, found)
    finished: list[Explanation] = []
    for name, one in found.items():
        made = one.explanation
        if made is None:
            made = explaining.stale(shelf.workspace, dataset, position, name)
            if made is not None:
                st.warning(
                    plain(
                        f"{name} has scored again since: what is shown of it explains older scores."
                    )
                )
        if made is not None:
            finished.append(made)
    return finished


heading = st.container(horizontal=True, vertical_alignment="bottom")
heading.title("Explain")
bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with bar, st.container(width=200):
    dataset = session.choose_dataset(on_change=forget_sample)
if dataset is None:
    stop("There is no dataset yet: import one, or look at the demo.", "datasets", "Go to Datasets")
scored = suspects.methods(shelf, dataset)
if not scored:
    stop(ranking_state.unscored(shelf, dataset), "runs", "Go to Runs")
with bar:
    methods, notes = explain_panels.choose_methods(scored)
    keys = sample_panels.finder(shelf, dataset, on_open=open_sample)
for note in notes:
    st.warning(note)
sample_panels.found(shelf, dataset, keys, on_open=open_sample)
position = find_sample(dataset, methods[0])
sample = sample_view.view(shelf, dataset, position, method=methods[0], reviewer=session.reviewer())
with heading:
    st.markdown(f"Sample **{plain(sample.key)}**")
    st.page_link(
        shell.page_path("sample"), label="Back to the sample", icon=":material/arrow_back:",
        query_params={"dataset": dataset.name, "sample": sample.key, "method": methods[0]},
    )  # fmt: skip
left, right = st.columns([3, 8], gap="large")
with left:
    sample_panels.picture(dataset, sample)
    sample_panels.labels(sample)
with right:
    finished = find_explanations(dataset, position, methods)
    if finished:
        explain_panels.result(shelf, dataset, finished)
