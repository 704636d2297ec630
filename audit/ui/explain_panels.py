"""Parts of the Explain page: which methods, asking for explanations, watching them, what they say."""

from collections.abc import Mapping, Sequence

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.explanation import Explanation
from audit.records.job import Job
from audit.ui import explain_plots, palette
from audit.ui.explain_plots import Group
from audit.ui.texts import plain
from audit.workbench import explaining, explanation_sheets, explanation_words, runs
from audit.workbench.explaining import Found
from audit.workbench.shelf import Shelf
from audit.workbench.wording import on_the_page

_METHODS = "explain-methods"
_NOTICE = "explain-notice"
_POLL_SECONDS = 1.0


def choose_methods(methods: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Draw the choice of methods, kept in the address as ``method=aum,margin``; all of them by default.

    Parameters
    ----------
    methods
        Those with scores, at least one.

    Returns
    -------
    chosen, notes
        In the order of `methods`, at least one; sentences as markdown about what the address asks for
        in vain.
    """
    asked = [name.strip() for name in st.query_params.get("method", "").split(",") if name.strip()]
    unknown = [name for name in asked if name not in methods]
    notes = [
        f"{plain(', '.join(unknown[:3])[:60])} has no scores here; there are {plain(', '.join(methods))}."
    ] * bool(unknown)
    chosen = [name for name in methods if name in asked] or list(methods)
    st.session_state[_METHODS] = chosen

    def changed() -> None:
        picked = [name for name in methods if name in st.session_state[_METHODS]]
        if picked and picked != list(methods):
            st.query_params["method"] = ",".join(picked)
        else:
            st.query_params.pop("method", None)

    st.multiselect(
        "Methods",
        methods,
        key=_METHODS,
        on_change=changed,
        help="Each is explained with its newest scores. None chosen means all.",
        width=440,
    )
    return tuple(chosen), notes


def ask(shelf: Shelf, position: int, found: Mapping[str, Found]) -> None:
    """Draw the button for what is not explained yet, its failures, or how far the work is.

    Parameters
    ----------
    shelf, position
        The sample.
    found
        By method, as `explaining.find` says of its newest scores.
    """
    notice = st.session_state.pop(_NOTICE, None)
    if notice:
        st.error(plain(on_the_page(notice)))
    jobs = {known.job.id for known in found.values() if known.job is not None}
    if jobs:
        st.fragment(_watched, run_every=_POLL_SECONDS)(shelf, tuple(sorted(jobs)))
        return
    missing = {name: known for name, known in found.items() if known.explanation is None}
    for name, known in missing.items():
        if known.error is not None:
            st.error(plain(f"{name} was not explained. {on_the_page(known.error)}"))
    if missing:
        names = " and ".join([", ".join([*missing][:-1]), [*missing][-1]][len(missing) == 1 :])
        st.markdown(
            f"{plain(names)} {'has' if len(missing) == 1 else 'have'} not explained this sample yet. "
            "Epochs are occluded at random and the method is asked again, which takes seconds, or as "
            "long as the scoring did for a method that fits itself to the run."
        )
        st.button(
            "Explain",
            type="primary",
            icon=":material/search_insights:",
            on_click=_start,
            args=(shelf, position, tuple(known.scores_id for known in missing.values())),
        )


def _start(shelf: Shelf, position: int, scores_ids: tuple[str, ...]) -> None:
    try:
        explaining.start(shelf.workspace, position, scores_ids)
    except AuditError as error:
        st.session_state[_NOTICE] = str(error)


def _watched(shelf: Shelf, job_ids: tuple[str, ...]) -> None:
    """Draw how far jobs are; look again every second, and draw the page anew when one ends."""
    try:
        jobs = explaining.look(shelf, job_ids)
    except AuditError as error:
        st.error(plain(on_the_page(str(error))))
        return
    if any(job.is_over for job in jobs):
        st.rerun()
    for job in jobs:
        with st.container(horizontal=True, vertical_alignment="center"):
            words = job.message if job.started_at is not None else "waits for a worker"
            st.progress(job.fraction, text=plain(f"{words[:1].upper()}{words[1:]}…"))
            st.button("Cancel", key=f"cancel_{job.id}", on_click=_cancel, args=(shelf, job))


def _cancel(shelf: Shelf, job: Job) -> None:
    try:
        runs.cancel(shelf.workspace, job.id)
    except AuditError as error:
        st.session_state[_NOTICE] = str(error)


def result(shelf: Shelf, dataset: Dataset, explanations: Sequence[Explanation]) -> None:
    """Draw finished explanations under one time axis, and in words.

    Parameters
    ----------
    shelf, dataset
        Whose.
    explanations
        At least one, in the order in which they are drawn.
    """
    sheets = []
    for explanation in explanations:
        try:
            sheets.append(explanation_sheets.make(shelf, dataset, explanation))
        except AuditError as error:  # a run that is gone or damaged hides nothing else
            st.error(plain(on_the_page(str(error))))
    by_run = {sheet.course.run_id: sheet.course for sheet in sheets}
    groups = [
        Group(
            course=course,
            explanations=tuple(s.explanation for s in sheets if s.course.run_id == run_id),
        )
        for run_id, course in by_run.items()
    ]
    if not groups:
        return
    for group in groups:
        whose = f"Run {plain(group.course.run_name)}: " if len(groups) > 1 else ""
        st.markdown(f"{whose}{plain(explanation_words.story(group.course))}")
    st.plotly_chart(
        explain_plots.figure(groups, palette.current()),
        key="explanations",
        theme=None,
        config={"displayModeBar": False},
        alt=explain_plots.in_words(groups),
    )
    st.caption(plain(_bands(groups)))
    for sheet in sheets:
        st.header(plain(sheet.explanation.method))
        st.markdown(plain(sheet.finding))
        if sheet.faithfulness is not None:
            st.markdown(plain(sheet.faithfulness))
        st.caption(plain(sheet.basis))
    with st.expander("Numbers"):
        for group in groups:
            st.caption(f"Run {plain(group.course.run_name)}: importance in log-odds, by epochs.")
            st.dataframe(
                explain_plots.numbers(group),
                key=f"numbers {group.course.run_id}",
                hide_index=True,
                alt=f"Table of margin and importance for {len(group.explanations[0].blocks)} blocks of "
                f"epochs in run {group.course.run_name}.",
            )


def _bands(groups: Sequence[Group]) -> str:
    told = []
    for band in (groups[0].course.clean, groups[0].course.planted):
        if band is not None:
            low, _, high = band.percentiles
            drawn = f" (drawn from {band.n_rows:,})" if band.n_used < band.n_rows else ""
            told.append(f"{low:g} to {high:g}% of {band.n_used:,} {band.name}{drawn}")
    sentence = f"Bands hold {' and '.join(told)}; dotted lines are medians. " if told else ""
    return (
        f"{sentence}A bar says what the recorded values of its epochs add to the suspicion, compared "
        "with those of clean-looking samples."
    )
