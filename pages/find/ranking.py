"""Ranking: suspects as a gallery, most suspicious first; filters, the cut, and where labels go astray."""

from dataclasses import replace
from functools import partial
from typing import NoReturn

import streamlit as st

from audit.records.dataset import Dataset
from audit.ui import (
    confusion,
    distribution,
    filters,
    following,
    gallery,
    layout,
    score_card,
    session,
    shell,
)
from audit.ui.texts import plain
from audit.workbench import (
    class_choices,
    cuts,
    provisional,
    ranking_state,
    ranking_view,
    suspects,
)

shelf = session.shelf()


def open_anew() -> None:
    """Regard all decisions from here on; until then a list stays what it was."""
    st.session_state.pop("ranking-as-of", None)


def stop_unscored(dataset: Dataset) -> NoReturn:
    """Say what to do before there is anything to rank."""
    st.info(plain(ranking_state.unscored(shelf, dataset)))
    st.page_link(shell.page_path("runs"), label="Go to Runs", icon=":material/arrow_forward:")
    st.stop()


layout.wide()
heading = st.container(horizontal=True, vertical_alignment="bottom")
heading.title("Ranking")
bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with bar, st.container(width=170):
    dataset = session.choose_dataset(on_change=filters.forget)
if dataset is None:
    st.info("There is no dataset yet: import one, or look at the demo.")
    st.page_link(
        shell.page_path("datasets"), label="Go to Datasets", icon=":material/arrow_forward:"
    )
    st.stop()
methods = suspects.methods_now(shelf, dataset)
if not methods:
    if ranking_state.is_awaited(shelf, dataset):
        following.wait_for_an_epoch(shelf, dataset)
    stop_unscored(dataset)
if filters.is_opened():
    open_anew()
asked = filters.asked()
is_over = asked.get("method") == provisional.METHOD not in methods
if is_over:
    following.ended(shelf, dataset)
    del asked["method"]
chosen, refusals = filters.parse(asked, dataset, methods)
ranking = suspects.ranked(shelf, dataset, chosen.method)
with bar:
    offered = class_choices.choices(shelf, dataset, ranking)
    filters.draw(dataset, methods, chosen, choices=offered)
    st.button("Clear filters", on_click=filters.clear, type="tertiary", icon=":material/close:")
shown = cuts.distribution(shelf, ranking)
cut, wrong_cut = filters.parse_cut(asked, shown)
page, wrong_page = filters.parse_page(asked)
chosen = replace(chosen, cut=cut)
listed = st.session_state.get("ranking-as-of", (None, None))
as_of = listed[1] if listed[0] == (dataset.id, chosen) else None
view = ranking_view.look(shelf, dataset, chosen, ranking=ranking, as_of=as_of, page=page)
st.session_state["ranking-as-of"] = (dataset.id, chosen), view.as_of

with heading:
    st.space("stretch")
    score_card.draw(ranking.scores)
    is_final = ranking.provisional is None
    if is_final and st.button("Review these", type="primary", icon=":material/keyboard:"):
        st.switch_page(shell.page_path("review"), query_params=filters.as_address(dataset, chosen))
if ranking.provisional is not None:
    following.banner(shelf, ranking.provisional)
filters.draw_flag_sets(chosen)
for sentence in (*refusals, *wrong_cut, *wrong_page):
    st.warning(sentence)
for sentence in ranking_state.remarks(shelf, dataset, ranking):
    st.caption(plain(sentence))

left, right = st.columns([3, 1], gap="medium")
with left:
    line = st.container(horizontal=True, vertical_alignment="center")
    with line:
        st.markdown(f":small[{plain(view.counts.in_words)}]", width="content")
        if view.counts.n_moved:
            st.button(
                "Update",
                on_click=open_anew,
                type="tertiary",
                icon=":material/refresh:",
                help=f"{view.counts.n_moved:,} samples were decided since this list was made.",
            )
        st.space("stretch")
        filters.draw_pages(view.page, view.n_pages)
    if not view.tiles:
        st.info("No sample fits these filters: choose another state or class, or clear them.")
    opened = gallery.draw(
        view,
        reviewer=session.reviewer(),
        key="gallery",
        on_turn=lambda: filters.turn_to(view.page + 1),
    )
with right, st.container(key="beside"):
    if shown is not None:
        distribution.draw(
            shown,
            shown.own_cut if cut is None else cut,
            key="distribution",
            on_cut=partial(filters.move_cut, shown),
        )
        filters.draw_cut(shown, cut)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(plain(cuts.flags_in_words(ranking, shown, cut)), width="stretch")
            if cut is not None:
                st.button("Reset", on_click=filters.reset_cut, type="tertiary")
    st.markdown("**Given → suggested**")
    confusion.draw(
        view.pairs,
        dataset.class_names,
        chosen=(chosen.cls, chosen.suggested),
        key="confusion",
        on_choose=filters.narrow,
    )
# Below: what comes and goes above the gallery would draw it anew under a hand that selects.
if since := ranking_state.labels_since(shelf, dataset, ranking):
    st.caption(plain(since))
if opened is not None:
    # With the list, so that the sample's neighbours and the way back are known there.
    listed_as = filters.as_address(dataset, chosen) | {"page": str(view.page), "sample": opened}
    st.switch_page(shell.page_path("sample"), query_params=listed_as)
