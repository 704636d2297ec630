"""History: who decided what and when, which versions that made; take back or decide again."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.decision import Verdict
from audit.ui import history_rows, history_table, label_compare, session, shell, take_back
from audit.ui.history_table import Wish
from audit.ui.texts import plain
from audit.workbench import histories, label_versions
from audit.workbench.histories import Sought

shelf = session.shelf()

VIEWS = {"decisions": "Decisions", "compare": "Compare two versions", "back": "Take back"}


def obey(dataset: Dataset, wishes: Sequence[Wish]) -> None:
    """Do what was pressed and keep what is to be said about it; a wish that comes twice is done once."""
    done = st.session_state.setdefault("history-done", set())
    verbs = {"undo": histories.take_back, "again": histories.decide_again}
    for wish in wishes:
        if wish.token in done:
            continue
        done.add(wish.token)
        if wish.act == "after":
            take_back.aim_at(dataset, f"#{wish.number}")
            st.session_state["history-view"] = "back"
            continue
        try:
            said = verbs[wish.act](
                shelf,
                dataset,
                wish.number,
                reviewer=session.reviewer(),
                token=f"history-{wish.token}",
            )
        except AuditError as error:
            st.session_state["history-said"] = (str(error), ":material/error:")
        else:
            st.session_state["history-said"] = (said, ":material/check:")


def sought(people: Sequence[str]) -> Sought:
    """Draw the filters and return what they mean."""
    who, what, key, only = st.columns([3, 3, 4, 3], vertical_alignment="bottom")
    verdict = what.selectbox(
        "Verdict",
        list(Verdict),
        index=None,
        placeholder="Any",
        format_func=lambda one: history_rows.WORDS[one],
        key="history-verdict",
    )
    return Sought(
        reviewer=who.selectbox(
            "Person", people, index=None, placeholder="Everybody", key="history-person"
        ),
        verdict=None if verdict is None else Verdict(verdict),
        key=key.text_input("Sample key contains", key="history-key").strip(),
        only_standing=only.toggle("Only what stands", key="history-standing"),
    )


def decisions(dataset: Dataset, people: Sequence[str]) -> str | None:
    """Draw the decisions that are sought, by page; return the key of a sample to open, if any."""
    wanted = sought(people)
    turned = f"history-page-{dataset.id}-{wanted}"
    page = histories.page(shelf, dataset, wanted, int(st.session_state.get(turned) or 1))
    st.caption(f"{page.total:,} decision{'s' * (page.total != 1)}, the newest first.")
    if not page.rows:
        st.info("No decision fits these filters: choose others to see more.")
        return None
    history = label_versions.kept(shelf, dataset)
    opened = history_table.draw(
        history_rows.rows(dataset, page.rows, history),
        key="history-table",
        on_wishes=partial(obey, dataset),
    )
    if page.n_pages > 1:
        st.pagination(page.n_pages, key=turned)
    return opened


st.title("History")
left, right = st.columns([3, 1], vertical_alignment="bottom")
with left:
    dataset = session.choose_dataset()
if dataset is None:
    st.info("There is no dataset yet, so nobody decided anything: import one first.")
    st.page_link(shell.page_path("datasets"), label="Import a dataset", icon=":material/add:")
    st.stop()
people = histories.people(shelf, dataset)
if not people:
    st.info(f"Nobody has decided anything about {plain(dataset.name)} yet.")
    st.page_link(
        shell.page_path("review"),
        label="Review its suspects",
        icon=":material/keyboard:",
        query_params={"dataset": dataset.name},
    )
    st.stop()

right.download_button(
    "Download the log",
    partial(histories.log_csv, shelf, dataset),
    file_name=f"{dataset.name}-decisions.csv",
    mime="text/csv",
    icon=":material/download:",
    width="stretch",
    on_click="ignore",
    help="Every decision and undo of this dataset as CSV, whatever the filters.",
)
if said := st.session_state.pop("history-said", None):
    st.toast(plain(said[0]), icon=said[1], duration="long")
history_rows.draw_conflicts(histories.replaced_by_others(shelf, dataset, session.reviewer()))
history_rows.draw_people(people)
st.session_state.setdefault("history-view", "decisions")
view = st.segmented_control(
    "View", list(VIEWS), required=True, format_func=lambda one: VIEWS[one], key="history-view"
)
names = [one.reviewer for one in people]
if view == "compare":
    opened = label_compare.draw(shelf, dataset)
elif view == "back":
    opened = take_back.draw(shelf, dataset, names)
else:
    opened = decisions(dataset, names)
if opened is not None:
    st.switch_page(
        shell.page_path("sample"), query_params={"dataset": dataset.name, "sample": opened}
    )
