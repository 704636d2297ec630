"""Runs that are under way, and all there were: cards, curves, logs, and what can be done about them.

`watch` looks every second while something waits or runs and not at all otherwise; `history` is the
table of all runs with a card for the chosen one. Both read; what acts are callbacks of buttons.
"""

from collections.abc import Callable

import streamlit as st

from audit.errors import AuditError
from audit.records.job import Job, JobState
from audit.records.run import RunState
from audit.ui import figures, palette, run_plots, run_rows, shell
from audit.ui.texts import plain
from audit.workbench import (
    datasets,
    estimating,
    label_age,
    launching,
    provisional,
    settled,
    vitals,
    watching,
)
from audit.workbench.shelf import Shelf
from audit.workbench.watching import Launch, Standing, Survey
from audit.workbench.wording import on_the_page

_POLL_SECONDS = 1.0
_NOTICE = "runs_notice"
_SEEN = "runs_seen"
"""Launches that this tab saw at work: their curves stay open when they end."""


def watch(shelf: Shelf) -> None:
    """Draw the launches that are under way, or the newest; looks again while something is."""
    is_busy = any(launch.is_under_way for launch in watching.survey(shelf).watched)
    run_every = _POLL_SECONDS if is_busy else None
    st.fragment(_watched, run_every=run_every)(shelf, was_busy=is_busy)


def _watched(shelf: Shelf, *, was_busy: bool) -> None:
    try:
        found = watching.survey(shelf)
        if any(launch.is_under_way for launch in found.watched) != was_busy:
            # Before anything is drawn: what is drawn twice swallows a click in between.
            st.rerun()
        notice = st.session_state.pop(_NOTICE, None)
        if notice:
            st.error(plain(notice))
        for launch in found.watched:
            _card(shelf, found, launch, place="now")
    except AuditError as error:
        st.error(plain(on_the_page(str(error))))


def _card(shelf: Shelf, found: Survey, launch: Launch, *, place: str) -> None:
    standings = [watching.standing(shelf, found, r, launch.jobs.get(r.id)) for r in launch.runs]
    colours = palette.current()
    key = f"{place}_{launch.id}"
    if launch.is_under_way:
        st.session_state.setdefault(_SEEN, set()).add(launch.id)
    with st.container(border=True, key=f"card_{key}"):
        head, actions = st.columns([3, 2], vertical_alignment="center")
        with head:
            st.markdown(f"**{plain(launch.dataset)}** · {_purpose(launch)}{_scored(shelf, launch)}")
        with (
            actions,
            st.container(horizontal=True, horizontal_alignment="right", key=f"run_actions_{key}"),
        ):
            _actions(shelf, launch, key)
        shown = [job for job in launch.scoring if not job.is_over]
        failed, _ = _failed_scores(shelf, launch)
        st.html(run_rows.lines(standings, (*failed, *shown), colours))
        if advice := watching.next_step(launch):
            st.caption(advice)
        _facts(shelf, launch, standings)
        if any(standing.curves for standing in standings):
            was_seen = launch.id in st.session_state.get(_SEEN, set())
            with st.expander(
                "Loss, accuracy and stability", expanded=was_seen or place == "chosen"
            ):
                st.plotly_chart(
                    run_plots.course(standings, colours),
                    key=f"course_{key}",
                    theme=None,
                    config={"displayModeBar": False},
                    alt=run_plots.course_in_words(standings),
                )
                _stability(standings)
        _log(shelf, launch, key)


def _purpose(launch: Launch) -> str:
    probes = dict.fromkeys(watching.LOOKS_FOR[run.config.probe] for run in launch.runs)
    presets = dict.fromkeys(
        "recorded elsewhere" if run.config.elsewhere else run.config.preset for run in launch.runs
    )
    return f"{plain(' and '.join(presets))} · {plain(' and '.join(probes))}"


def _scored(shelf: Shelf, launch: Launch) -> str:
    if launch.is_under_way:
        return ""
    scored, _ = watching.methods_of(shelf, launch)
    if not launch.is_sealed:
        so_far = f" · scored so far with {plain(' and '.join(scored))}"
        return so_far if scored else ""
    return f" · scored with {plain(' and '.join(scored))}" if scored else " · not scored yet"


def _failed_scores(shelf: Shelf, launch: Launch) -> tuple[tuple[Job, ...], list[str]]:
    if launch.is_under_way:
        return (), []
    return launching.failed_scores(launch, watching.methods_of(shelf, launch)[1])


def _actions(shelf: Shelf, launch: Launch, key: str) -> None:
    if launch.is_under_way:
        _suspects_so_far(shelf, launch, key)
        st.button(
            "Cancel",
            key=f"cancel_{key}",
            icon=":material/stop_circle:",
            help="Stops it within two seconds. Whole epochs are kept, and it can be resumed.",
            on_click=_act,
            args=(launching.cancel, shelf, launch),
        )
        return
    scored, fitting = watching.methods_of(shelf, launch)
    if launch.resumable:
        st.button(
            "Resume",
            key=f"resume_{key}",
            icon=":material/resume:",
            type="primary",
            help="Goes on from the last whole epoch.",
            on_click=_act,
            args=(launching.resume, shelf, launch),
        )
    _, missing = _failed_scores(shelf, launch)
    if missing:
        st.button(
            "Score again",
            key=f"again_{key}",
            icon=":material/refresh:",
            type="primary",
            help=f"Asks for {' and '.join(missing)} once more; nothing is trained.",
            on_click=_act,
            args=(launching.score, shelf, launch, tuple(missing)),
        )
    if fitting:
        title = "Score with…" if launch.is_sealed else "Score what is there…"
        with st.popover(title, key=f"more_{key}"):
            chosen = st.multiselect(
                "Methods",
                fitting,
                default=None if scored else fitting[:1],
                key=f"methods_{key}",
                help="Scoring reads what the runs recorded and takes seconds."
                if launch.is_sealed
                else "Scoring reads the whole epochs that were recorded and takes seconds. A run that "
                "is resumed can be scored again.",
            )
            st.button(
                "Score",
                key=f"score_{key}",
                disabled=not chosen,
                on_click=_act,
                args=(launching.score, shelf, launch, tuple(chosen)),
            )
    if scored and st.button(
        "Open ranking",
        key=f"open_{key}",
        type="primary",
        icon=":material/arrow_forward:",
        help=f"Scored with {', '.join(scored)}.",
    ):
        asked = {"dataset": launch.dataset, "method": scored[0]}
        st.switch_page(shell.page_path("ranking"), query_params=asked)


def _suspects_so_far(shelf: Shelf, launch: Launch, key: str) -> None:
    running = [run for run in launch.runs if run.state is RunState.RUNNING]
    if not any(provisional.n_epochs(shelf, run) for run in running):
        return
    if st.button(
        "Suspects so far",
        key=f"provisional_{key}",
        icon=":material/hourglass_top:",
        help="What the run in training would rank now; it moves with every epoch.",
    ):
        asked = {"dataset": launch.dataset, "method": provisional.METHOD}
        st.switch_page(shell.page_path("ranking"), query_params=asked)


def _act(verb: Callable[..., None], *arguments: object) -> None:
    """Run a verb of a button; what it refuses is said where the buttons are."""
    try:
        verb(*arguments)
    except AuditError as error:
        st.session_state[_NOTICE] = on_the_page(str(error))
    st.rerun()  # the whole page at once: what was done concerns all of it


def _facts(shelf: Shelf, launch: Launch, standings: list[Standing]) -> None:
    for run in launch.runs:
        if run.config.elsewhere is not None:
            told = (f"Taken over from {run.config.elsewhere.file}.", *run.config.elsewhere.messages)
            st.caption(plain(" ".join(told)))
    if launch.is_sealed and (since := _labels_since(shelf, launch)):
        said = f"Trained on the labels as given; {since}. Retrain says what that is worth."
        st.caption(plain(said))
    running = [s for s in standings if s.job is not None and s.job.state is JobState.RUNNING]
    for standing in running:
        assert standing.job is not None
        config = standing.run.config
        taken = vitals.of(shelf, standing.job)
        parts = [
            config.device,
            f"{config.threads} {'thread' if config.threads == 1 else 'threads'}",
        ]
        if taken.memory_bytes is not None:
            parts.append(f"{figures.size_in_words(taken.memory_bytes)} of memory")
        if taken.accelerator_bytes is not None:
            parts.append(f"{figures.size_in_words(taken.accelerator_bytes)} on the accelerator")
        st.caption(plain(" · ".join(parts)))


def _labels_since(shelf: Shelf, launch: Launch) -> str | None:
    try:
        return label_age.since(shelf, shelf.dataset(launch.dataset_id), launch.runs)
    except AuditError:
        return None  # a run can be looked at and deleted whatever became of its dataset


def _stability(standings: list[Standing]) -> None:
    """Say which rankings have settled, and what that means to who asks."""
    said = [settled.so_far(standing.run, standing.curves) for standing in standings]
    words = " ".join(plain(sentence) for sentence in said if sentence)
    st.caption(words or "Stability of the ranking", help=settled.EXPLAINED)


def _log(shelf: Shelf, launch: Launch, key: str) -> None:
    jobs = [job for job in launch.jobs.values() if job.started_at is not None]
    jobs += [job for job in launch.scoring if job.error is not None][-1:]
    tails = {job.id: watching.log_tail(shelf, job) for job in jobs}
    said = [job for job in jobs if tails[job.id]]
    if not said:
        return
    job = said[-1]
    with st.expander("Log", key=f"log_{key}"):
        st.code(tails[job.id], language=None, height=180, wrap_lines=True)
        st.link_button("Whole log", f"/api/jobs/{job.id}/log", icon=":material/download:")


def history(shelf: Shelf, dataset_id: str) -> None:
    """Draw the table of all runs, a card for the chosen one, and what deleting it gives back."""
    found = watching.survey(shelf)
    head, choice = st.columns([2, 1], vertical_alignment="center")
    head.header("All runs")
    with choice, st.container(horizontal=True, horizontal_alignment="right"):
        wants_all = st.segmented_control(
            "Runs of",
            ("this dataset", "all datasets"),
            default="this dataset",
            key="runs_of",
            required=True,
            label_visibility="collapsed",
        )
    only = None if wants_all == "all datasets" else dataset_id
    facts = watching.facts(shelf, found, only)
    if not facts:
        st.caption("No run yet. Choose what to look for above and start one.")
        return
    rows = [
        {
            "Run": fact.run.name,
            "Dataset": fact.dataset,
            "Planted": watching.LOOKS_FOR[fact.run.config.probe],
            "Preset": fact.run.config.preset,
            "State": str(fact.run.state),
            "Epochs": _epochs(fact),
            "Took": None if fact.seconds is None else estimating.in_words(fact.seconds),
            "Accuracy": fact.accuracy,
            "On disk": fact.n_bytes,
            "Started": fact.run.created_at,
        }
        for fact in facts
    ]
    chosen = st.dataframe(
        rows,
        key=f"runs_{only}",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_order=[c for c in rows[0] if only is None or c != "Dataset"],
        column_config={
            "Run": st.column_config.TextColumn(width="medium"),
            "Accuracy": st.column_config.NumberColumn(
                format="percent", help="Of the last epoch, on the labels trained on."
            ),
            "On disk": st.column_config.NumberColumn(format="bytes"),
            "Started": st.column_config.DatetimeColumn(format="calendar"),
        },
        alt=f"Table of {len(rows)} runs, newest first.",
    )
    picked = [row for row in chosen["selection"]["rows"] if row < len(facts)]
    if not picked:
        st.caption("Choose a row to see its curves and settings, score it further or delete it.")
        return
    _chosen(shelf, found, facts[picked[0]])


def _epochs(fact: watching.Facts) -> str:
    planned = fact.run.config.epochs
    has_settled = fact.run.state is RunState.SEALED and 0 < fact.epochs_done < planned
    return f"{fact.epochs_done} of {planned}" + (", settled" if has_settled else "")


def _chosen(shelf: Shelf, found: Survey, fact: watching.Facts) -> None:
    launch = next(x for x in found.launches if fact.run.id in {run.id for run in x.runs})
    if launch.is_under_way:
        st.caption("It is under way: it is shown at the top of this page.")
        return
    if launch not in found.watched:
        _card(shelf, found, launch, place="chosen")
    settings, removal = st.columns([3, 1], vertical_alignment="top")
    with settings, st.expander(f"Settings of {plain(fact.run.name)}"):
        st.json(fact.run.config.known(), expanded=True)
    with removal:
        _delete(shelf, fact)


def _delete(shelf: Shelf, fact: watching.Facts) -> None:
    what = datasets.removal(shelf.workspace, fact.run.id)
    size = figures.size_in_words(what.n_bytes)
    with st.popover("Delete run…", icon=":material/delete:", width="stretch"):
        partner = "" if fact.run.config.probe_group is None else " Its other half stays."
        st.markdown(
            f"**{plain(what.name)}**, what it recorded and every score made from it go; "
            f"{plain(size)} come back. Decisions stay.{partner}"
        )
        st.button(
            f"Delete and free {size}",
            key=f"delete_{what.id}",
            type="primary",
            on_click=_act,
            args=(datasets.remove, shelf.workspace, what),
        )
