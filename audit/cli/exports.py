"""Commands about corrected labels: export, apply."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.following import progress
from audit.cli.session import JsonOption, Session, printable
from audit.store import datasets as dataset_rows
from audit.workbench import exporting


class Format(StrEnum):
    """What an export writes."""

    CSV = "csv"
    PARQUET = "parquet"
    PATCH = "patch"
    FOLDER = "folder"
    ORIGINAL = "original"


class Link(StrEnum):
    """How a folder export brings the images in."""

    HARD = "hard"
    SYMBOLIC = "symbolic"
    COPY = "copy"


def export(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="File, or folder for `folder`.")
    ],
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="By default what the ending of PATH says: .csv, .parquet, .jsonl (patch), or csv. "
            "original: your own table again, only labels changed. folder: a tree of class folders.",
        ),
    ] = None,
    link: Annotated[
        Link, typer.Option("--link", help="How `folder` brings the images in.")
    ] = Link.HARD,
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe",
            help="Put a quote before cells that a spreadsheet would run as a formula (csv, reversible).",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the corrected labels, and beside them a manifest that names every input."""
    chosen = str(format_) if format_ is not None else exporting.format_of(out)
    with session.workspace() as workspace, progress(session, "exporting") as report:
        found = dataset_rows.find(workspace, dataset)
        manifest = exporting.export(
            workspace,
            found,
            out,
            chosen,
            link=str(link),
            spreadsheet_safe=spreadsheet_safe,
            force=force,
            report=report,
        )
    counts = manifest["counts"]
    if as_json:
        session.print_json(manifest)
    else:
        session.print(printable(str(out)))
    session.say(", ".join(f"{name} {count}" for name, count in counts.items()))


def apply(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")],
    patch: Annotated[Path, typer.Argument(metavar="PATCH", help="A patch that `export` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Take over the decisions of a patch. Applying it again changes nothing."""
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        applied = exporting.apply(workspace, found, patch)
    if as_json:
        session.print_json(
            {
                "decisions": applied.n_decisions,
                "new": applied.n_new,
                "conflicts": list(applied.conflicts),
            }
        )
    else:
        session.print(f"{applied.n_new} new of {applied.n_decisions} decisions")
    for sentence in applied.conflicts:
        session.say(printable(sentence))
