"""The command that says what one suspicion rests on: explain."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.decisions import SampleArgument
from audit.cli.following import follow
from audit.cli.scores import ForceOption, ParamOption
from audit.cli.session import JsonOption, Session, printable
from audit.exchange import explanation_files
from audit.exchange.explanation_files import Sheet
from audit.records.run import Run
from audit.store import datasets as dataset_rows
from audit.store import runs as run_rows
from audit.store import scores as score_rows
from audit.store.workspace import Workspace
from audit.workbench import explaining, explanation_sheets, explanation_words, reviewing, scoring
from audit.workbench.shelf import Shelf


def explain(
    session: Session,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run that the method scored, by name or id.")
    ],
    sample_key: SampleArgument,
    method: Annotated[
        str, typer.Option("--method", metavar="M", help="As `labeltrace methods` lists them.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Plain values as .json, or a picture as .png."),
    ] = None,
    param: ParamOption = [],  # noqa: B006  typer copies it
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say which epochs a method's suspicion of one sample rests on, and how far to believe it.

    A method that has not scored the run yet does so first.
    """
    (name,) = scoring.parse_methods([method])[:1]
    if len(scoring.parse_methods([method])) > 1:
        raise typer.BadParameter("Explain one method at a time.")
    with session.workspace() as workspace:
        shelf = Shelf(workspace)
        found = run_rows.find(workspace, run)
        dataset = dataset_rows.find(workspace, found.dataset_id)
        position = reviewing.position_of(dataset, sample_key)
        if out is not None:
            explanation_sheets.check_path(shelf, dataset, out, force=force)
        scores_id = _scores_id(session, workspace, found, name, param)
        explaining.check(dataset, score_rows.load(workspace, scores_id), position)
        known = explaining.find(workspace, position, [scores_id])[scores_id].explanation
        if known is None:
            job = explaining.start(workspace, position, [scores_id])
            (ended,) = follow(session, workspace, [("explaining", job)])
            known = explaining.collect(ended, scores_id)
        sheet = explanation_sheets.make(shelf, dataset, known)
        if out is not None:
            explanation_sheets.write(shelf, dataset, sheet, out, force=force)
    if as_json:
        session.print_json(explanation_files.to_json(sheet))
    else:
        _print(session, sheet, with_table=out is None)
    if out is not None:
        session.say(f"Wrote {printable(str(out))}.")


def _scores_id(
    session: Session, workspace: Workspace, run: Run, method: str, param: list[str]
) -> str:
    """Return the scores to explain: the newest of the method, or those that the settings ask for."""
    known = explaining.find_scores(workspace, run, method)
    if known is not None and not param:
        return known
    params = scoring.parse_params(param, [method])
    wanted = scoring.requests(workspace, [run.id], [method], params=params)
    if known is None:
        session.say(
            f"{method} has not scored run {printable(run.name)} yet, so it does that first."
        )
    (ended,) = follow(session, workspace, [("scoring", scoring.start(workspace, wanted))])
    return str((ended.result or {})["scores"][0]["id"])


def _print(session: Session, sheet: Sheet, *, with_table: bool) -> None:
    for sentence in (sheet.sentence, sheet.finding, sheet.faithfulness, sheet.basis):
        if sentence is not None:
            session.print(printable(sentence))
    found, course = sheet.explanation, sheet.course
    if not with_table or not found.is_reliable:
        return
    rows = [
        (
            f"{first}" if first == last else f"{first}–{last}",
            f"{value:+.4f}",
            f"{sum(course.margins[first - 1 : last]) / (last - first + 1):+.2f}",
            _said(course.said[first - 1 : last]),
        )
        for (first, last), value in zip(found.blocks, found.importance, strict=True)
    ]
    session.print_table(("epochs", "importance", "margin", "network said"), rows)


def _said(names: tuple[str | None, ...]) -> str:
    """Return what was said most in a block."""
    if not names:
        return "not recorded"
    counted = sorted(set(names), key=lambda name: (-names.count(name), name or ""))
    more = f" and {len(counted) - 1} more" if len(counted) > 1 else ""
    return explanation_words.quoted(counted[0]) + more
