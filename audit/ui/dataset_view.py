"""One stored dataset: what it holds, where it lies, and what can be done about it."""

import contextlib
from datetime import UTC, datetime
from html import escape

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.ui import class_list, dataset_cards, figures, import_form, palette, plan_view, steps
from audit.ui.texts import plain
from audit.workbench import contents, datasets, importing, overview
from audit.workbench.contents import Contents
from audit.workbench.datasets import Removal
from audit.workbench.overview import Card, Step
from audit.workbench.shelf import Shelf

_REFUSED = "dataset_refused"
_N_SHOWN_PROBLEMS = 8
_MOST_LISTED = 5000
_SIDE = 64


def draw(shelf: Shelf, dataset: Dataset) -> None:
    """Draw a dataset."""
    card = overview.card(shelf, dataset.id)
    holds = contents.kept(shelf, dataset)
    colours = palette.current()
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(plain(refused), icon=":material/error:")
    with st.container(border=True, key="dataset_facts"):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="large"):
            shown = plan_view.numbers(holds)
            shown += [(f"{card.n_runs:,}", "run" if card.n_runs == 1 else "runs")]
            shown += [(f"{card.n_decided:,}", "decided")]
            st.html(figures.block(figures.numbers(shown), colours))
            if card.step is not Step.FIND:
                with st.container(width=238):
                    steps.draw(card, is_first=False, key="dataset_step")
        st.html(figures.block(_facts(dataset), colours))
        _moved(shelf, dataset, card)
    _problems(dataset, holds)
    st.header("Classes")
    st.caption(plain(contents.balance(holds)))
    class_list.draw(
        dataset,
        holds,
        key=f"classes_{dataset.id}",
        sheet_of=lambda positions: figures.sheet_address(
            dataset.id, positions, class_list.SIDE, colours
        ),
    )
    st.space("small")
    if st.button("Delete dataset…", icon=":material/delete:", key="dataset_delete"):
        _delete(shelf, dataset.id)


def _facts(dataset: Dataset) -> str:
    source = dataset.source
    rows = [(plan_view.KINDS[source.kind], source.location)]
    if source.root not in (source.location,):
        rows.append(("Its images start from", source.root))
    if source.labels not in (None, source.location):
        rows.append(("Its labels stand in", str(source.labels)))
    since = dataset_cards.ago(dataset.created_at, datetime.now(UTC))
    rows.append(("Imported", f"{dataset.created_at:%d %B %Y}, {since}"))
    if dataset.has_truth:
        rows.append(("True labels", "known, and kept apart for evaluation"))
    rows.append(("Fingerprint", dataset.fingerprint))
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<dl class="lf-facts">{lines}</dl>'


def _moved(shelf: Shelf, dataset: Dataset, card: Card) -> None:
    if card.is_moved:
        st.warning(
            f"Its files are no longer at {plain(dataset.source.root)}. Decisions, runs and scores are "
            "here; images cannot be shown and nothing can be trained until the files are found.",
            icon=":material/folder_off:",
        )
    title = "Say where the files lie now" if card.is_moved else "The files have moved"
    with (
        st.expander(title, expanded=card.is_moved, icon=":material/drive_file_move:"),
        st.form("relocate_form", border=False),
    ):
        with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
            new_root = st.text_input(
                "New place",
                key="relocate_root",
                placeholder="the folder that holds the images, or the .npz file",
                help="It is accepted only if it holds the same samples under the same labels.",
            )
            sent = st.form_submit_button("Relocate", key="relocate_go")
        if sent:
            _relocate(shelf, dataset, new_root or "")


def _relocate(shelf: Shelf, dataset: Dataset, new_root: str) -> None:
    try:
        with import_form.telling("Comparing what lies there with the dataset…") as report:
            found = importing.relocate(shelf, dataset, new_root, report)
    except AuditError as error:
        st.session_state[_REFUSED] = str(error)
    else:
        st.toast(f"{plain(found.name)} now lies in {plain(found.source.location)}.")
    st.rerun()


def _problems(dataset: Dataset, holds: Contents) -> None:
    if not holds.n_problems:
        return
    colours = palette.current()
    count = holds.n_problems
    title = "1 sample cannot be used" if count == 1 else f"{count:,} samples cannot be used"
    with st.expander(title, icon=":material/broken_image:"):
        st.caption("They are left out of training and scores. Mend the files and import again.")
        rows = contents.problem_rows(dataset, _MOST_LISTED)
        shown = rows[:_N_SHOWN_PROBLEMS]
        sheet = figures.sheet_address(dataset.id, [row[0] for row in shown], _SIDE, colours)
        lines = "".join(
            f'<div class="lf-problem">{figures.tile(sheet, number, len(shown), _SIDE)}<div>'
            f'<p>{escape(key)}</p><p class="lf-faint">{escape(why)}</p></div></div>'
            for number, (_, key, why) in enumerate(shown)
        )
        st.html(figures.block(f'<div class="lf-problems">{lines}</div>', colours))
        if count > len(shown):
            st.dataframe(
                [{"Sample": key, "Why": why} for _, key, why in rows],
                hide_index=True,
                key=f"problems_{dataset.id}",
                height=320,
                alt=f"{len(rows):,} samples that cannot be used, and why",
            )
        if count > len(rows):
            st.caption(f"The first {len(rows):,} of {count:,}.")


@st.dialog("Delete this dataset?", icon=":material/delete:")
def _delete(shelf: Shelf, dataset_id: str) -> None:
    try:
        what = datasets.removal(shelf.workspace, dataset_id)
    except AuditError as error:
        st.error(plain(str(error)))
        return
    st.markdown(f"This deletes {removal_in_words(what)}")
    st.caption("Your images stay where they are, untouched. This cannot be undone.")
    with st.form("delete_form", border=False):
        typed = st.text_input(f"Type {plain(what.name)} to confirm", key="delete_name")
        size = figures.size_in_words(what.n_bytes)
        sent = st.form_submit_button(
            f"Delete and free {size}", type="primary", icon=":material/delete:", key="delete_go"
        )
    if not sent:
        return
    if typed != what.name:
        st.error(f"This is not {plain(what.name)}: nothing was deleted.")
        return
    try:
        datasets.remove(shelf.workspace, what)
    except AuditError as error:
        st.error(plain(str(error)))
        return
    st.toast(f"{plain(what.name)} is deleted; {size} came back.", icon=":material/check:")
    with contextlib.suppress(KeyError):
        del st.query_params["dataset"]
    st.session_state.pop("dataset", None)
    st.rerun()


def removal_in_words(what: Removal) -> str:
    """Return, as Markdown, what goes with a dataset and how much disk space comes back."""
    also: list[str] = []
    if what.n_runs:
        also.append("1 run" if what.n_runs == 1 else f"{what.n_runs:,} runs")
        also[-1] += " and its scores" if what.n_runs == 1 else " and their scores"
    if what.n_decisions:
        one = what.n_decisions == 1
        also.append("the decision about 1 sample" if one else _decisions(what.n_decisions))
    goes = f", {' and '.join(also)}" if also else ""
    size = figures.size_in_words(what.n_bytes)
    return f"**{plain(what.name)}**{goes}. {plain(size)} of disk space come back."


def _decisions(number: int) -> str:
    return f"the decisions about {number:,} samples"
