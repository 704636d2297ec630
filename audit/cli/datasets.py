"""Commands about datasets: import, list, show, delete, relocate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from audit.cli import describing
from audit.cli.following import progress
from audit.cli.session import JsonOption, Session, printable
from audit.errors import RefusedError
from audit.records.dataset import ImportPlan
from audit.workbench import datasets as verbs
from audit.workbench.datasets import SourceOptions

LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Table with the labels of the images in SOURCE."),
]
PathColumnOption = Annotated[
    str | None, typer.Option("--path-column", metavar="C", help="Column that names the image.")
]
LabelColumnOption = Annotated[
    str | None, typer.Option("--label-column", metavar="C", help="Column with the given label.")
]
TruthColumnOption = Annotated[
    str | None,
    typer.Option("--truth-column", metavar="C", help="Column with the true label, for benchmarks."),
]
SplitColumnOption = Annotated[
    str | None, typer.Option("--split-column", metavar="C", help="Column with train, val or test.")
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="N", help="Name in the workspace; made from SOURCE by default."),
]


def import_(
    session: Session,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of class folders, table (CSV, TSV, Parquet, JSON lines) or .npz.",
        ),
    ],
    name: NameOption = None,
    labels: LabelsOption = None,
    path_column: PathColumnOption = None,
    label_column: LabelColumnOption = None,
    truth_column: TruthColumnOption = None,
    split_column: SplitColumnOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be imported; store nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at a source and remember its keys, labels and splits. Images stay where they are."""
    options = SourceOptions(
        labels=labels,
        path_column=path_column,
        label_column=label_column,
        truth_column=truth_column,
        split_column=split_column,
    )
    with progress(session, "looking at the source") as report:
        planned = verbs.plan(source, options, report)
    if plan:
        if as_json:
            session.print_json(plan_as_json(planned))
        else:
            for line in describing.plan_lines(planned):
                session.print(line)
        return
    for line in describing.plan_lines(planned):
        session.say(line)
    with session.workspace() as workspace:
        dataset, is_new = verbs.add(workspace, planned, name)
    if not is_new:
        session.say(f"This source was imported before, as {dataset.name!r}.")
    if as_json:
        session.print_json({"id": dataset.id, "name": dataset.name, **plan_as_json(planned)})
    else:
        session.print(f"{dataset.id}\t{printable(dataset.name)}")
    session.say(f"Next: labeltrace train {printable(dataset.name)}")


def list_(
    session: Session,
    what: Annotated[
        str, typer.Argument(metavar="datasets|runs|jobs|methods", help="What to list.")
    ],
    as_json: JsonOption = False,
) -> None:
    """List datasets, runs, jobs or methods."""
    listings = {
        "datasets": describing.datasets,
        "runs": describing.runs,
        "jobs": describing.jobs,
    }
    if what == "methods":
        columns, records = describing.methods()
    elif what in listings:
        with session.workspace() as workspace:
            columns, records = listings[what](workspace)
    else:
        raise typer.BadParameter(f"{what!r} is none of datasets, runs, jobs, methods.")
    describing.show_records(session, columns, records, as_json=as_json)


def show(
    session: Session,
    reference: Annotated[
        str, typer.Argument(metavar="DATASET|RUN|JOB", help="A name, an id or its beginning.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a dataset, a run or a job."""
    with session.workspace() as workspace:
        record = describing.anything(workspace, reference)
    if as_json:
        session.print_json(record)
    else:
        for line in describing.lines(record):
            session.print(line)


def delete(
    session: Session,
    reference: Annotated[
        str, typer.Argument(metavar="DATASET|RUN", help="A name, an id or its beginning.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget a dataset or run and give its disk space back. Images are never touched."""
    with session.workspace() as workspace:
        what = verbs.removal(workspace, reference)
        session.say(describing.removal_sentence(what))
        if not yes and not session.confirm("Delete?"):
            raise RefusedError("Nothing was deleted; --yes deletes without asking.")
        verbs.remove(workspace, what)
    session.say(f"Deleted {what.kind} {printable(what.name)}.")


def relocate(
    session: Session,
    reference: Annotated[
        str, typer.Argument(metavar="DATASET", help="A name, an id or its beginning.")
    ],
    new_root: Annotated[Path, typer.Argument(metavar="NEW_ROOT", help="Where the data lies now.")],
) -> None:
    """Follow data that was moved, after checking that it is the same data."""
    with session.workspace() as workspace, progress(session, "comparing") as report:
        dataset = verbs.relocate(workspace, reference, new_root, report)
    session.print(f"{dataset.id}\t{printable(dataset.name)}")
    session.say(f"{printable(dataset.name)} now lies in {printable(dataset.source.location)}.")


def plan_as_json(planned: ImportPlan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "suggested_name": planned.suggested_name,
        **verbs.describe(planned),
        "has_truth": planned.truth is not None,
        "skipped": [{"name": s.name, "reason": s.reason} for s in planned.skipped],
        "warnings": list(planned.warnings),
    }
