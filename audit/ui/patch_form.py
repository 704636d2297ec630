"""Takes over patches: what they would change, where people disagree and whose decision stands there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.decision import Decision, to_iso
from audit.ui import change_list, session
from audit.ui.change_list import Choice, Line
from audit.ui.texts import plain
from audit.workbench import histories, patches
from audit.workbench.patches import Choices, Conflict, PatchPlan
from audit.workbench.receiving import NAMELESS
from audit.workbench.shelf import Shelf

_MOST_MEGABYTES = 200
_MOST_ROWS = 200
_LATER = "The later decision stands"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """Patches as a browser sent them."""

    names: tuple[str, ...]
    data: tuple[bytes, ...]


def draw(shelf: Shelf, dataset: Dataset) -> None:
    """Draw the upload of patches, what they would do, and the button that does it."""
    with st.expander("Apply patches: take over decisions from people with the same data"):
        if said := st.session_state.pop("patch-said", None):
            (st.success if said[0] else st.error)(plain(said[1]))
        files = st.file_uploader(
            "Patch files",
            type=["jsonl", "patch"],
            accept_multiple_files=True,
            key=f"patch-{dataset.id}",
            max_upload_size=_MOST_MEGABYTES,
        )
        if not files:
            st.caption(
                "They are the form “Patch” of this page or of `labeltrace export`, one or several. "
                "Nothing is stored before you have seen what they would do."
            )
            return
        sent = _Sent(
            names=tuple(file.name for file in files), data=tuple(file.getvalue() for file in files)
        )
        try:
            plan = patches.plan(shelf, dataset, *sent.data, names=sent.names)
        except AuditError as error:
            st.error(plain(str(error)))
            return
        _draw_plan(plan)
        choices = _draw_conflicts(shelf, dataset, plan) if plan.conflicts else Choices()
        must_name = bool(choices.prefer or choices.by_sample) and not session.reviewer()
        if must_name:
            st.warning(NAMELESS)
        # Not a callback: it would get the choices of the run before, without one made a moment ago.
        if st.button(
            "Apply", type="primary", disabled=not plan.new or must_name, key="patch-apply"
        ):
            _apply(shelf, dataset, sent, choices)
            st.rerun()


def _apply(shelf: Shelf, dataset: Dataset, sent: _Sent, choices: Choices) -> None:
    try:
        done = patches.apply(
            shelf,
            dataset,
            *sent.data,
            names=sent.names,
            choices=choices,
            reviewer=session.reviewer(),
        )
    except AuditError as error:
        st.session_state["patch-said"] = (False, str(error))
        return
    st.session_state.pop(_picks(dataset), None)
    what = "The patch is" if len(sent.data) == 1 else f"{len(sent.data)} patches are"
    told = f", {len(done.conflicts):,} against other people, who are told in History"
    chose = f"; you chose in {done.n_settled:,}" if done.n_settled else ""
    said = f"{what} applied: {done.n_new:,} new{told if done.conflicts else ''}{chose}."
    st.session_state["patch-said"] = (True, said)


def _draw_plan(plan: PatchPlan) -> None:
    n_held = len(plan.decisions) - len(plan.new)
    if not plan.new:
        st.info(f"All {n_held:,} decisions are recorded already: nothing is left to do.")
        return
    st.markdown(
        f"**{len(plan.new):,}** new decisions, {n_held:,} recorded already, "
        f"**{len(plan.conflicts):,}** samples on which people disagree."
    )
    contested = {conflict.sample_key for conflict in plan.conflicts}
    calm = [one for one in plan.new if one.sample_key not in contested]
    if not calm:
        return
    st.dataframe(
        [_row(one) for one in calm[:_MOST_ROWS]],
        hide_index=True,
        height="content" if len(calm) <= 8 else 320,
        key="patch-plan",
        alt="New decisions on which nobody disagrees",
    )


def _row(new: Decision) -> dict[str, str]:
    return {
        "Sample": new.sample_key,
        "Given": new.given_label or "",
        "Patch": histories.saying(new),
        "By": new.reviewer,
        "Note": new.note,
    }


def _draw_conflicts(shelf: Shelf, dataset: Dataset, plan: PatchPlan) -> Choices:
    """Draw whose decision stands, for all conflicts and for each, and return what is chosen."""
    st.markdown("**Where people disagree.** All decisions are recorded, whichever stands.")
    people = dict.fromkeys(name for conflict in plan.conflicts for name in conflict.people)
    preferred = st.selectbox(
        "Unless chosen below",
        ["", *people],
        format_func=lambda one: f"The decision of {one} stands" if one else _LATER,
        key=f"patch-prefer-{dataset.id}",
    )
    prefer = preferred or None
    known = {conflict.sample_key: conflict for conflict in plan.conflicts}
    held: dict[str, str] = st.session_state.get(_picks(dataset), {})
    picks = {key: name for key, name in held.items() if key in known and known[key].by(name)}
    n_pages = -(-len(plan.conflicts) // change_list.PER_PAGE)
    page = f"patch-conflicts-page-{dataset.id}"
    start = (min(int(st.session_state.get(page) or 1), n_pages) - 1) * change_list.PER_PAGE
    change_list.draw(
        dataset,
        shelf.positions(dataset),
        [
            _line(conflict, picks.get(conflict.sample_key), prefer)
            for conflict in plan.conflicts[start : start + change_list.PER_PAGE]
        ],
        title="Samples on which people disagree",
        key=f"patch-conflicts-{dataset.id}",
        on_choose=partial(_pick, dataset),
    )
    if n_pages > 1:
        st.pagination(n_pages, key=page)
    return Choices(prefer=prefer, by_sample=picks)


def _line(conflict: Conflict, picked: str | None, prefer: str | None) -> Line:
    stands = conflict.by(prefer or "") or conflict.later
    return Line(
        sample_key=conflict.sample_key,
        given=conflict.given_label,
        choices=tuple(
            Choice(
                name=rival.decision.reviewer,
                says=histories.saying(rival.decision),
                detail=rival.patch or "stands now",
                at=to_iso(rival.decision.decided_at),
            )
            for rival in conflict.rivals
        ),
        unless=f"{histories.saying(stands)} by {stands.reviewer}",
        chosen=picked,
    )


def _pick(dataset: Dataset, chosen: Mapping[str, str | None]) -> None:
    held: dict[str, str] = dict(st.session_state.get(_picks(dataset), {}))
    for key, name in chosen.items():
        if name is None:
            held.pop(key, None)
        else:
            held[key] = name
    st.session_state[_picks(dataset)] = held


def _picks(dataset: Dataset) -> str:
    return f"patch-picks-{dataset.id}"
