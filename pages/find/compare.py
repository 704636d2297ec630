"""Compare: where methods agree, what one flags alone, how classes fare, and the map of a run."""

from dataclasses import replace
from typing import NoReturn

import streamlit as st

from audit.errors import RefusedError
from audit.records.dataset import Dataset
from audit.ui import comparison_choice, comparison_panels, filters, session, shell
from audit.ui.comparison_choice import Choice, View
from audit.ui.texts import plain
from audit.workbench import comparing, ranking_state, suspects
from audit.workbench.comparing import Comparison, Part
from audit.workbench.ranking_view import Listing
from audit.workbench.suspects import Filters, State

shelf = session.shelf()
ARROW = ":material/arrow_forward:"


def stop(sentence: str, address: str, label: str) -> NoReturn:
    """Say what is missing and where to get it."""
    st.info(plain(sentence))
    st.page_link(shell.page_path(address), label=label, icon=ARROW)
    st.stop()


def draw_ways(dataset: Dataset, comparison: Comparison, choice: Choice) -> None:
    """Draw the ways to Review and Ranking: with the samples of the pair's part, or all that are flagged."""
    first, second = choice.first, choice.second
    if choice.view is View.FLAGS:
        what = {
            Part.FIRST: f"what only {first} flags",
            Part.BOTH: "what both flag",
            Part.SECOND: f"what only {second} flags",
        }[choice.part]
        wanted = comparing.filters_of(comparison, first, second, choice.part)
    else:
        what = f"all that {first} flags"
        wanted = Filters(
            method=first, cut=comparing.own_cut(comparison, first), state=State.FLAGGED
        )
    todo = State.TODO if wanted.state is State.FLAGGED else State.UNDECIDED
    for label, page, icon, filtered in (
        ("Review", "review", "keyboard", replace(wanted, state=todo)),
        ("Rank", "ranking", "grid_view", wanted),
    ):
        st.page_link(
            shell.page_path(page),
            label=plain(f"{label} {what}"),
            icon=f":material/{icon}:",
            query_params=filters.as_address(dataset, filtered),
        )


def draw_flags(comparison: Comparison, choice: Choice) -> Listing | None:
    """Draw how far methods agree, and return the list of what one flags alone or two together."""
    comparison_panels.agreement(shelf, comparison)
    if len(comparison.methods) > 1:
        return comparison_panels.pair(shelf, comparison, choice)
    there = suspects.methods(shelf, comparison.dataset)
    others = (
        "Choose another method above" if len(there) > 1 else "Score the run with another on Runs"
    )
    st.info(plain(f"{choice.first} stands alone here. {others} to see where two differ."))
    if len(there) == 1:
        st.page_link(shell.page_path("runs"), label="Go to Runs", icon=ARROW)
    return None


def draw_map(comparison: Comparison, choice: Choice) -> Listing | None:
    """Draw the data map, and return the list of what is chosen on it."""
    try:
        return comparison_panels.mapped(shelf, comparison, choice)
    except RefusedError as error:
        st.info(plain(f"{error} Choose another run."))
        return None


st.title("Compare")
bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with bar, st.container(width=200):
    dataset = session.choose_dataset(on_change=comparison_choice.forget)
if dataset is None:
    stop("There is no dataset yet: import one, or look at the demo.", "datasets", "Go to Datasets")
methods = suspects.methods(shelf, dataset)
if not methods:
    stop(ranking_state.unscored(shelf, dataset), "runs", "Go to Runs")
choice, wrong = comparison_choice.parse(comparison_choice.asked(), dataset, methods)
comparison = comparing.compare(shelf, dataset, choice.methods, top=choice.top)
with bar:
    with st.container(width=420):
        comparison_choice.draw_methods(methods, choice)
    comparison_choice.draw_flags(comparison, choice)
for sentence in wrong:
    st.warning(sentence)
st.caption(plain(comparing.flags_in_words(comparison)))
comparison_choice.draw_views(choice)
listed: Listing | None = None
if choice.view is View.FLAGS:
    listed = draw_flags(comparison, choice)
elif choice.view is View.CLASSES:
    comparison_panels.classes(comparison)
else:
    listed = draw_map(comparison, choice)
if listed is not None:
    opened = comparison_panels.samples(listed, reviewer=session.reviewer())
    leader = listed.ranking.scores.spec.name
    with st.container(horizontal=True):
        draw_ways(dataset, comparison, choice)
    if opened is not None:
        shown = {"dataset": dataset.name, "method": leader, "sample": opened}
        st.switch_page(shell.page_path("sample"), query_params=shown)
