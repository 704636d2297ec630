"""Commands about decisions: decide, undo."""

from typing import Annotated

import typer

from audit.cli.session import JsonOption, Session, printable
from audit.records.decision import Decision, Verdict, to_iso
from audit.store import datasets as dataset_rows
from audit.workbench import places, reviewing

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")
]
SampleArgument = Annotated[
    str, typer.Argument(metavar="SAMPLE_KEY", help="As the scores file names the sample.")
]
ReviewerOption = Annotated[
    str | None,
    typer.Option(
        "--reviewer", metavar="NAME", help="Who decides; LABELTRACE_REVIEWER or the log-in name."
    ),
]


def decide(
    session: Session,
    dataset: DatasetArgument,
    sample_key: SampleArgument,
    keep: Annotated[bool, typer.Option("--keep", help="The given label is right.")] = False,
    relabel: Annotated[
        str | None, typer.Option("--relabel", metavar="CLASS", help="This class is right.")
    ] = None,
    exclude: Annotated[
        bool, typer.Option("--exclude", help="No class fits: leave the sample out.")
    ] = False,
    unsure: Annotated[bool, typer.Option("--unsure", help="Somebody else should look.")] = False,
    reviewer: ReviewerOption = None,
    note: Annotated[str, typer.Option("--note", metavar="T", help="Why.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Record what a person decided about one sample. A later decision stands over an earlier one."""
    chosen = [
        verdict
        for verdict, is_chosen in (
            (Verdict.KEEP, keep),
            (Verdict.RELABEL, relabel is not None),
            (Verdict.EXCLUDE, exclude),
            (Verdict.UNSURE, unsure),
        )
        if is_chosen
    ]
    if len(chosen) != 1:
        raise typer.BadParameter("Choose one of --keep, --relabel CLASS, --exclude, --unsure.")
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        done = reviewing.decide(
            workspace,
            found,
            sample_key,
            chosen[0],
            label=relabel,
            reviewer=places.reviewer(reviewer),
            note=note,
        )
    if done.replaced is not None:
        session.say(
            f"{printable(done.replaced.reviewer)} had decided {in_words(done.replaced)} at "
            f"{to_iso(done.replaced.decided_at)}; your decision stands now, both are in the log."
        )
    for old in done.overruled:
        session.say(
            f"Note: your decision {in_words(old.own)} on {printable(old.own.sample_key)} was "
            f"replaced by {printable(old.standing.reviewer)}: {in_words(old.standing)}."
        )
    if as_json:
        session.print_json(decision_record(done.decision))
    else:
        session.print(f"{printable(sample_key)}\t{in_words(done.decision)}")


def undo(
    session: Session,
    dataset: DatasetArgument,
    sample_key: SampleArgument,
    reviewer: ReviewerOption = None,
) -> None:
    """Take back the decision that stands on a sample; the log keeps both."""
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        reviewing.undo(workspace, found, sample_key, reviewer=places.reviewer(reviewer))
        standing = reviewing.standing(workspace, found, sample_key)
    now = "undecided" if standing is None else in_words(standing)
    session.print(f"{printable(sample_key)}\t{now}")


def in_words(decision: Decision) -> str:
    """Return a decision as ``keep``, ``relabel cat``, ``exclude`` or ``unsure``."""
    if decision.verdict is Verdict.RELABEL:
        return f"relabel {printable(str(decision.label))}"
    return str(decision.verdict)


def decision_record(decision: Decision) -> dict[str, object]:
    """Return a decision as plain values."""
    return {
        "id": decision.id,
        "sample_key": decision.sample_key,
        "given_label": decision.given_label,
        "verdict": str(decision.verdict),
        "label": decision.label,
        "reviewer": decision.reviewer,
        "decided_at": to_iso(decision.decided_at),
        "note": decision.note,
    }
