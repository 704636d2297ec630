"""Commands about corrected labels: export, apply."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.decisions import ReviewerOption, decision_record, in_words
from audit.cli.following import progress
from audit.cli.session import JsonOption, Session, printable
from audit.records.decision import Decision, to_iso
from audit.store import datasets as dataset_rows
from audit.workbench import applying, exporting, places
from audit.workbench.applying import Choices, Conflict, PatchPlan


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
    patches: Annotated[
        list[Path], typer.Argument(metavar="PATCH", help="Patches that `export` wrote.")
    ],
    only_plan: Annotated[
        bool, typer.Option("--plan", help="List where people disagree and store nothing.")
    ] = False,
    prefer: Annotated[
        str | None,
        typer.Option(
            "--prefer",
            metavar="NAME",
            help="This person’s decision stands in every conflict of theirs.",
        ),
    ] = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            "--choose",
            metavar="SAMPLE_KEY=NAME",
            help="This person’s decision stands there; repeatable.",
        ),
    ] = None,
    reviewer: ReviewerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take over the decisions of patches. Applying them again changes nothing.

    Where people disagree, the later decision stands unless you choose another; all stay in the log.
    """
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        plan = applying.plan(workspace, found, patches)
        choices = Choices(prefer=prefer, by_sample=applying.parse_choices(plan, choose or []))
        picked = applying.chosen(plan, choices)
        record = {
            "decisions": len(plan.decisions),
            "new": len(plan.new),
            "contested": [_contested(one, picked.get(one.sample_key)) for one in plan.conflicts],
        }
        if only_plan:
            _show_plan(session, plan, picked, record, as_json=as_json)
            return
        by = places.reviewer(reviewer) if picked else None
        applied = applying.carry_out(workspace, found, plan, choices, reviewer=by)
    if as_json:
        session.print_json(
            {**record, "settled": applied.n_settled, "conflicts": list(applied.conflicts)}
        )
    else:
        session.print(f"{applied.n_new} new of {applied.n_decisions} decisions")
    for sentence in applied.conflicts:
        session.say(printable(sentence))


def _show_plan(
    session: Session,
    plan: PatchPlan,
    picked: Mapping[str, Decision],
    record: Mapping[str, object],
    *,
    as_json: bool,
) -> None:
    if as_json:
        session.print_json(record)
    elif plan.conflicts:
        rows = [
            (
                conflict.sample_key,
                conflict.given_label or "–",
                rival.decision.reviewer,
                in_words(rival.decision),
                to_iso(rival.decision.decided_at),
                rival.patch or "recorded",
                "stands"
                if rival.decision is picked.get(conflict.sample_key, conflict.later)
                else "",
            )
            for conflict in plan.conflicts
            for rival in conflict.rivals
        ]
        columns = ("sample_key", "given_label", "reviewer", "decision", "decided_at", "from", "")
        session.print_table(columns, rows)
    n = len(plan.conflicts)
    session.say(
        f"{len(plan.new)} new of {len(plan.decisions)} decisions, {n} conflict{'s' * (n != 1)}; "
        "nothing is stored yet."
    )


def _contested(conflict: Conflict, picked: Decision | None) -> dict[str, object]:
    return {
        "sample_key": conflict.sample_key,
        "given_label": conflict.given_label,
        "decisions": [
            {**decision_record(rival.decision), "patch": rival.patch} for rival in conflict.rivals
        ],
        "stands": (picked or conflict.later).reviewer,
    }
