"""What a comparison found: verdict, accuracies, course, classes, and the samples that changed."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from audit.errors import AuditError
from audit.numerics.paired import Estimate
from audit.records.comparison import Arm, Comparison
from audit.records.dataset import Dataset
from audit.ui import figures, palette, retrain_plots
from audit.ui.texts import plain
from audit.workbench import estimating, retraining, retraining_report, watching
from audit.workbench import runs as run_verbs
from audit.workbench.retraining_report import ArmFigures, Changed, Report
from audit.workbench.shelf import Shelf
from audit.workbench.wording import on_the_page

_POLL_SECONDS = 1.0
_SIDE = 96
_MOST_SHOWN = 60


def progress(shelf: Shelf, dataset: Dataset, report: Report) -> None:
    """Draw how far a comparison is while it is trained; the page is drawn anew as trainings end."""
    is_busy = report.is_under_way
    st.fragment(_progress, run_every=_POLL_SECONDS if is_busy else None)(
        shelf, dataset, report.comparison, was_busy=is_busy, n_done=report.n_done
    )


def _progress(
    shelf: Shelf, dataset: Dataset, comparison: Comparison, *, was_busy: bool, n_done: int
) -> None:
    watching.survey(shelf)  # notices a worker that died
    report = retraining_report.report(shelf, dataset, comparison)
    if report.is_under_way != was_busy or report.n_done != n_done:
        st.rerun()
    job = report.job
    if report.is_under_way and job is not None:
        left = retraining.seconds_left(job)
        said = job.message or "waits for its turn"
        until = "" if left is None else f" · {estimating.in_words(left)} left"
        st.progress(job.fraction, text=plain(f"{said}{until}"))
        st.button(
            "Cancel",
            icon=":material/stop_circle:",
            on_click=_cancel,
            args=(shelf, job.id),
            key="retrain-cancel",
            help="Finished trainings are kept.",
        )
        return
    if report.is_complete:
        return
    why = "" if job is None else f" {job.error}" if job.error else ""
    st.warning(
        plain(f"{report.n_done} of {report.n_trainings} trainings are there.{on_the_page(why)}"),
        icon=":material/error:",
    )
    st.button(
        "Train the rest",
        icon=":material/play_arrow:",
        on_click=_resume,
        args=(shelf, comparison),
        key="retrain-resume",
    )


def _resume(shelf: Shelf, comparison: Comparison) -> None:
    try:
        retraining.resume(shelf, comparison)
    except AuditError as error:
        st.session_state["retrain-said"] = str(error)


def _cancel(shelf: Shelf, job_id: str) -> None:
    try:
        run_verbs.cancel(shelf.workspace, job_id)
    except AuditError as error:
        st.session_state["retrain-said"] = str(error)


def verdict(report: Report) -> None:
    """Draw the sentences that hold, then the accuracies as a plot and a table."""
    head, *rest = report.verdict
    st.html(
        f'<p data-testid="retrain-verdict" style="font-size:1.35rem;font-weight:600;margin:0;'
        f'line-height:1.35">{escape(head)}</p>'
    )
    if rest:
        st.markdown("\n".join(f"- {plain(sentence)}" for sentence in rest))
    if not any(one.accuracy for one in report.arms):
        return
    colours = palette.current()
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="center")
    with left:
        st.plotly_chart(
            retrain_plots.accuracies(report, colours),
            key="retrain-accuracies",
            theme=None,
            config={"displayModeBar": False},
            alt=retrain_plots.accuracies_in_words(report),
        )
    right.dataframe(
        [_row(one, report) for one in report.arms],
        hide_index=True,
        key="retrain-arms-table",
        alt="Figures of every arm",
    )
    for one in report.arms:
        for seed, why in one.failed.items():
            st.error(plain(f"{one.arm}, seed {seed}, failed: {on_the_page(why)}"))
        if one.emptied:
            names = ", ".join(one.emptied)
            st.warning(plain(f"No training sample is left of {names} in the arm “{one.arm}”."))
        for message in one.messages:
            st.caption(plain(f"{one.arm}: {message}"))


def _row(one: ArmFigures, report: Report) -> dict[str, object]:
    against = report.difference(one.arm)
    estimate = one.accuracy
    return {
        "Arm": str(one.arm),
        "Accuracy": "" if estimate is None else _span(estimate, "%"),
        "Against given": "" if against is None else _span(against.estimate, ""),
        "Seeds": len(one.seeds),
        "Samples": one.n_rows,
        "Other label": one.n_relabelled,
        "Left out": one.n_left_out,
        "Seconds": round(one.seconds),
    }


def _span(estimate: Estimate, unit: str) -> str:
    """Return an estimate with its interval: of accuracies in per cent, of differences in points."""
    form = ".1f" if unit else "+.1f"
    value, low, high = (
        f"{100 * part:{form}}".replace("-", "−")
        for part in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value}{unit and ' ' + unit} ({low} {'–' if unit else 'to'} {high})"


def course(report: Report) -> None:
    """Draw the accuracy over the epochs."""
    if not any(one.course for one in report.arms):
        st.info("No training has come to its end yet.")
        return
    st.plotly_chart(
        retrain_plots.course(report.arms, palette.current()),
        key="retrain-course",
        theme=None,
        config={"displayModeBar": False},
        alt=retrain_plots.course_in_words(report.arms),
    )
    st.caption(
        "Accuracy on the test split: mean of the seeds, and from the least to the greatest of them."
    )


def classes(report: Report) -> None:
    """Draw the accuracy of every class by arm."""
    names = list(dict.fromkeys(by.name for one in report.arms for by in one.classes))
    if not names:
        st.info("No training has come to its end yet.")
        return
    rows: list[dict[str, object]] = []
    for name in names:
        row: dict[str, object] = {"Class": name}
        for one in report.arms:
            by = next((found for found in one.classes if found.name == name), None)
            if by is None:
                continue
            row["Tested"] = by.n_tested
            said = f"{by.accuracy.value:.1%}"
            if by.difference is not None:
                sure = {"better": " ▲", "worse": " ▼"}.get(str(by.difference.finding), "")
                said += f" ({100 * by.difference.estimate.value:+.1f}){sure}"
            row[str(one.arm)] = said
        rows.append(row)
    st.dataframe(rows, hide_index=True, key="retrain-classes", alt="Accuracy of every class by arm")
    few = retraining_report.FEWEST_OF_CLASS
    small = sorted({b.name for one in report.arms for b in one.classes if b.n_tested < few})
    said = (
        f" Classes with fewer than {few} test samples say little: {', '.join(small)}."
        if small
        else ""
    )
    st.caption(
        plain(
            "In brackets the difference from the given labels in points; ▲ and ▼ where its 95 % interval "
            f"leaves zero out. Of many classes some do so by chance.{said}"
        )
    )


def changes(shelf: Shelf, dataset: Dataset, report: Report) -> None:
    """Draw the test samples that an arm predicts otherwise than the given labels do."""
    arms = [one.arm for one in report.arms if one.arm is not Arm.GIVEN and one.accuracy is not None]
    if not arms:
        st.info("No other arm than the given labels is trained yet.")
        return
    arm = st.segmented_control(
        "Arm", arms, default=arms[0], key="retrain-changed", required=True,
        format_func=lambda one: str(one).capitalize(),
    )  # fmt: skip
    found = retraining_report.changed(shelf, dataset, report.comparison, Arm(arm))
    n_won, n_lost = sum(one.is_won for one in found), sum(one.is_lost for one in found)
    st.markdown(
        f"**{n_won:,}** became right, **{n_lost:,}** became wrong, "
        f"{len(found) - n_won - n_lost:,} changed from one wrong class to another."
    )
    for title, some in (
        ("Became right", [one for one in found if one.is_won]),
        ("Became wrong", [one for one in found if one.is_lost]),
    ):
        if some:
            st.markdown(f"**{title}**")
            _tiles(dataset, some[:_MOST_SHOWN])
            if len(some) > _MOST_SHOWN:
                st.caption(f"The first {_MOST_SHOWN} of {len(some):,}.")


def _tiles(dataset: Dataset, some: Sequence[Changed]) -> None:
    colours = palette.current()
    sheet = figures.sheet_address(dataset.id, [one.position for one in some], _SIDE, colours)
    cells = ""
    for number, one in enumerate(some):
        names = [dataset.class_names[at] for at in (one.before, one.after)]
        key = escape(dataset.sample_keys[one.position], quote=True)
        shown = figures.tile(sheet, number, len(some), _SIDE)
        cells += (
            f'<div style="width:{_SIDE}px" title="{key}" data-testid="retrain-tile">{shown}'
            f'<div class="lf-faint" style="overflow-wrap:anywhere;line-height:1.25">'
            f"{escape(names[0])} → {escape(names[1])}</div></div>"
        )
    st.html(
        figures.block(f'<div style="display:flex;flex-wrap:wrap;gap:10px">{cells}</div>', colours)
    )
