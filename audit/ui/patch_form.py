"""Takes over a patch: what it would change and contradict is shown before it is applied."""

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.decision import Decision
from audit.ui.texts import plain
from audit.workbench import histories, patches
from audit.workbench.patches import PatchPlan
from audit.workbench.shelf import Shelf

_MOST_MEGABYTES = 200
_MOST_ROWS = 200


def draw(shelf: Shelf, dataset: Dataset) -> None:
    """Draw the upload of a patch, what it would do, and the button that does it."""
    with st.expander("Apply a patch: take over decisions from somebody with the same data"):
        if said := st.session_state.pop("patch-said", None):
            (st.success if said[0] else st.error)(plain(said[1]))
        sent = st.file_uploader(
            "Patch file",
            type=["jsonl", "patch"],
            key=f"patch-{dataset.id}",
            max_upload_size=_MOST_MEGABYTES,
        )
        if sent is None:
            st.caption(
                "It is the form “Patch” of this page or of `labeltrace export`. Nothing is stored "
                "before you have seen what it would do."
            )
            return
        data = sent.getvalue()
        try:
            plan = patches.plan(shelf, dataset, data)
        except AuditError as error:
            st.error(plain(str(error)))
            return
        _draw_plan(plan)
        st.button(
            "Apply",
            type="primary",
            disabled=not plan.new,
            on_click=_apply,
            args=(shelf, dataset, data),
            key="patch-apply",
        )


def _apply(shelf: Shelf, dataset: Dataset, data: bytes) -> None:
    try:
        done = patches.apply(shelf, dataset, data)
    except AuditError as error:
        st.session_state["patch-said"] = (False, str(error))
        return
    told = f", {len(done.conflicts):,} against other people, who are told in History"
    said = f"The patch is applied: {done.n_new:,} new{told if done.conflicts else ''}."
    st.session_state["patch-said"] = (True, said)


def _draw_plan(plan: PatchPlan) -> None:
    n_held = len(plan.decisions) - len(plan.new)
    if not plan.new:
        st.info(
            f"All {n_held:,} decisions of this patch are recorded already: nothing is left to do."
        )
        return
    st.markdown(
        f"**{len(plan.new):,}** new decisions, {n_held:,} recorded already, "
        f"**{len(plan.conflicts):,}** on samples that somebody decided otherwise."
    )
    stands = {new.sample_key: other for new, other in plan.conflicts}
    # What contradicts comes first: it is what somebody has to look at.
    ordered = sorted(plan.new, key=lambda one: one.sample_key not in stands)
    st.dataframe(
        [_row(new, stands.get(new.sample_key)) for new in ordered[:_MOST_ROWS]],
        hide_index=True,
        height="content" if len(ordered) <= 8 else 320,
        key="patch-plan",
        alt="Decisions of the patch",
    )


def _row(new: Decision, other: Decision | None) -> dict[str, str]:
    stands = ""
    if other is not None:
        # What is recorded now has the greater number, so of equal times the patch's one stands.
        becomes = "is later and stays" if other.decided_at > new.decided_at else "is replaced"
        stands = f"{histories.saying(other)} by {other.reviewer}, {becomes}"
    return {
        "Sample": new.sample_key,
        "Given": new.given_label or "",
        "Patch": histories.saying(new),
        "By": new.reviewer,
        "Stands now": stands,
        "Note": new.note,
    }
