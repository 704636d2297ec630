"""The command that retrains on differently treated labels and says what that was worth."""

from typing import Annotated

import typer

from audit.cli.following import follow
from audit.cli.runs import (
    ArchitectureOption,
    BackboneOption,
    DeviceOption,
    EpochsOption,
    SizeOption,
    WeightsOption,
)
from audit.cli.session import JsonOption, Session, printable
from audit.errors import InputError
from audit.records import preset as presets
from audit.records.comparison import TestLabels
from audit.workbench import estimating, retraining, retraining_json, retraining_report
from audit.workbench.retraining import Plan, Wish
from audit.workbench.retraining_report import ArmFigures, Difference, Report
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

_ARMS = (
    "given: as imported; dropped: without the selected samples; relabelled: as people decided; downweighted: "
    "the selected ones count less; automatic: the selected ones as a network predicts that never saw them; "
    "oracle: the true labels, where they are known"
)


def compare(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")],
    arms: Annotated[
        str | None,
        typer.Option("--arms", metavar="A,B,…", help=f"By default those that make sense. {_ARMS}."),
    ] = None,
    top: Annotated[
        str | None,
        typer.Option(
            "--top",
            metavar="5%|10%|flagged|decided",
            help="Samples that the arms treat; decided (relabelled or excluded) where there are some.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="M", help="Whose ranking flagged and a percentage mean."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each arm.")] = 3,
    test: Annotated[
        str | None,
        typer.Option(
            "--test",
            metavar="SPLIT",
            help=f"Split to judge on: test, val, or {retraining.HELD_OUT}, a fifth of the training samples.",
        ),
    ] = None,
    test_labels: Annotated[
        TestLabels | None,
        typer.Option(
            "--test-labels", help="Whose labels judge: the true ones where they are known."
        ),
    ] = None,
    weight: Annotated[
        float, typer.Option("--weight", help="Of the selected samples in the arm downweighted.")
    ] = retraining.DOWNWEIGHT,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="P",
            help=f"How the arms are trained: {', '.join(presets.PRESETS)}; by default as the newest run.",
        ),
    ] = None,
    epochs: EpochsOption = None,
    architecture: ArchitectureOption = None,
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    image_size: SizeOption = None,
    device: DeviceOption = "auto",
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first of the seeds.")] = 0,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Say what would be trained; nothing is started.")
    ] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="Return at once; `labeltrace list jobs` shows how far it is."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Retrain with and without the corrections and say what they were worth.

    All arms have the same seeds and schedule and are judged on a test split that is never corrected
    automatically. Asking again trains only what is missing: after a cancel, a failure, more decisions.
    """
    wish = Wish(
        arms=None if arms is None else retraining.parse_arms(arms),
        seeds=seeds,
        top=top,
        method=method,
        test=test,
        test_labels=test_labels,
        weight=weight,
        has_preset=preset is not None,
        training=Wishes(
            preset=preset or "quick",
            epochs=epochs,
            architecture=architecture,
            backbone=backbone,
            weights=weights,
            image_size=image_size,
            device=device,
            seed=seed,
        ),
    )
    with session.workspace() as workspace:
        shelf = Shelf(workspace)
        found = shelf.dataset(dataset)
        plan = retraining.plan(shelf, found, wish)
        if plan.problem is not None or plan.comparison is None:
            raise InputError(plan.problem or "There is nothing to compare.")
        session.say(what_it_takes(plan))
        if plan_only:
            for remark in plan.comparison.remarks:
                session.say(printable(remark))
            return
        comparison, job = retraining.start(shelf, plan)
        if job is not None and detach:
            session.print(job.id)
            return
        if job is not None:
            follow(session, workspace, [("comparing", job)], goes_on="the same command")
        report = retraining_report.report(shelf, shelf.dataset(found.id), comparison)
    if as_json:
        session.print_json(retraining_json.as_json(report))
    else:
        print_report(session, report)


def what_it_takes(plan: Plan) -> str:
    """Return in a sentence how many trainings there are to do, and how long they take."""
    n_all, n_missing = len(plan.trainings), len(plan.missing)
    if not n_missing:
        return f"All {n_all} trainings were made before."
    before = f", {n_all - n_missing} were made before" if n_missing < n_all else ""
    span = ""
    if plan.estimate is not None:
        span = f": {estimating.span_in_words(plan.estimate.low, plan.estimate.high)}"
    return f"{n_missing} training{'s' if n_missing != 1 else ''} to do{before}{span}."


def print_report(session: Session, report: Report) -> None:
    """Print a report as a table and sentences."""
    rows = [_row(one, report) for one in report.arms]
    columns = ("arm", "accuracy", "95 % interval", "against given", "seeds", "samples", "seconds")
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    for row in [columns, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        session.print("  ".join(cells).rstrip())
    for sentence in report.verdict:
        session.print(sentence)
    for one in report.arms:
        for seed, why in one.failed.items():
            session.say(f"{one.arm}, seed {seed}, failed: {printable(why)}")
        if one.emptied:
            names = printable(", ".join(one.emptied))
            session.say(f"{one.arm}: no training sample is left of {names}.")
        for message in one.messages:
            session.say(f"{one.arm}: {printable(message)}")
    for remark in report.remarks:
        session.say(printable(remark))
    if not report.is_complete:
        session.say(
            f"{report.n_done} of {report.n_trainings} trainings are there: the same command trains the rest."
        )


def _row(one: ArmFigures, report: Report) -> tuple[str, ...]:
    if one.accuracy is None:
        state = "failed" if one.failed else "missing"
        return (str(one.arm), state, "", "", "0", "", "")
    against = report.difference(one.arm)
    return (
        str(one.arm),
        f"{one.accuracy.value:.2%}",
        f"{one.accuracy.low:.2%} – {one.accuracy.high:.2%}",
        "" if against is None else _against(against),
        str(len(one.seeds)),
        f"{one.n_rows:,}",
        f"{one.seconds:,.0f}",
    )


def _against(one: Difference) -> str:
    value, low, high = (
        100 * part for part in (one.estimate.value, one.estimate.low, one.estimate.high)
    )
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
