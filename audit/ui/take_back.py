"""Takes decisions back together: a person's, or everything after a point; the plan is shown first."""

from collections.abc import Sequence

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.label_history import LabelHistory
from audit.ui import label_compare, label_points, session
from audit.ui.texts import plain
from audit.workbench import label_changes, label_versions, reverting, wording
from audit.workbench.receiving import NAMELESS
from audit.workbench.reverting import RevertPlan
from audit.workbench.shelf import Shelf

_WHAT = {"after": "Everything after a point", "person": "All decisions of a person"}
_KIND = "back-what"


def aim_at(dataset: Dataset, point: str) -> None:
    """Choose everything after a point, by its reference, when the view is drawn next."""
    st.session_state[_KIND] = "after"
    st.session_state[_point(dataset)] = point


def draw(shelf: Shelf, dataset: Dataset, people: Sequence[str]) -> str | None:
    """Draw what can be taken back, its plan and the button; return a sample to open, if any."""
    _draw_said(dataset)
    history = label_versions.kept(shelf, dataset)
    st.session_state.setdefault(_KIND, "after")
    kind = st.segmented_control(
        "What to take back",
        list(_WHAT),
        required=True,
        format_func=lambda one: _WHAT[one],
        key=_KIND,
    )
    plan = _planned(shelf, dataset, history, people, kind=str(kind))
    if plan is None:
        return None
    if plan.is_empty:
        st.info("There is nothing to take back: the labels stand so already.")
        return None
    st.markdown(_sentence(plan))
    if not session.reviewer():
        st.warning(NAMELESS)
    st.button(
        "Take back",
        type="primary",
        icon=":material/undo:",
        disabled=not session.reviewer(),
        on_click=_carry_out,
        args=(shelf, dataset, plan),
        key="back-act",
        help="Nothing is erased: the log gets new events, and they can be taken back in their turn.",
    )
    if not plan.changes:
        return None
    label_compare.draw_flows(label_changes.flows(plan.changes), key="back-counts")
    return label_compare.draw_changes(shelf, dataset, plan.changes, key="back-changes")


def _planned(
    shelf: Shelf, dataset: Dataset, history: LabelHistory, people: Sequence[str], *, kind: str
) -> RevertPlan | None:
    key = ("revert", dataset.id, history.last_point)
    if kind == "person":
        person = st.selectbox("Person", people, key=f"back-person-{dataset.id}")
        if person is None:
            return None
        return shelf.keep(
            (*key, "person", person), lambda: reverting.of_person(history, dataset, person)
        )
    point = label_points.choose(
        "Bring the labels back to",
        history,
        dataset,
        default="given",
        key=_point(dataset),
        has_now=False,
    )
    if point is None:
        return None
    return shelf.keep(
        (*key, "after", point), lambda: reverting.after_point(history, dataset, point)
    )


def _carry_out(shelf: Shelf, dataset: Dataset, plan: RevertPlan) -> None:
    try:
        done = reverting.carry_out(shelf.workspace, dataset, plan, reviewer=session.reviewer())
    except AuditError as error:
        st.session_state[_said(dataset)] = (wording.on_the_page(str(error)), None)
        return
    n, changed = len(plan.undone), len(plan.changes)
    said = (
        f"{n:,} decision{'s were' if n != 1 else ' was'} taken back; "
        f"{changed:,} sample{'s' * (changed != 1)} changed the label."
    )
    st.session_state[_said(dataset)] = (said, f"#{done.point}" if done.point else "given")


def _draw_said(dataset: Dataset) -> None:
    if _said(dataset) not in st.session_state:
        return
    said, back_to = st.session_state[_said(dataset)]
    if back_to is None:
        st.error(plain(said))
        return
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.success(plain(said))
    right.button("Bring it back", on_click=_bring_back, args=(dataset, back_to), key="back-again")


def _bring_back(dataset: Dataset, point: str) -> None:
    st.session_state.pop(_said(dataset), None)
    aim_at(dataset, point)


def _said(dataset: Dataset) -> str:
    return f"back-said-{dataset.id}"


def _point(dataset: Dataset) -> str:
    return f"back-point-{dataset.id}"


def _sentence(plan: RevertPlan) -> str:
    n, changed = len(plan.undone), len(plan.changes)
    again = (
        f" and decides **{len(plan.repeated):,}** again that stood then" if plan.repeated else ""
    )
    return (
        f"This takes **{n:,}** decision{'s' * (n != 1)} back{again}; **{changed:,}** "
        f"sample{'s' * (changed != 1)} change{'s' * (changed == 1)} the label. "
        f"The labels are version {plan.version} then."
    )
