"""The command that makes labels wrong on purpose: corrupt."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.cli import describing
from audit.cli.datasets import (
    LabelColumnOption,
    LabelsOption,
    PathColumnOption,
    SplitColumnOption,
    TruthColumnOption,
)
from audit.cli.following import progress
from audit.cli.runs import parse_splits
from audit.cli.session import JsonOption, Session, printable
from audit.workbench import corrupting, datasets
from audit.workbench.corrupting import Kind, Onto, Recipe
from audit.workbench.datasets import SourceOptions


def corrupt(
    session: Session,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Folder of class folders, table or .npz.")
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            "--kind",
            help="symmetric: to any other class. symmetric-include, exact: to any class, its own "
            "among them; exact takes just so many. pair: to the next class. asymmetric: by --map, or "
            "CIFAR-10's confusions. superclass: within a group. instance: by the pixels. twice: "
            "symmetric on top of symmetric.",
        ),
    ],
    rate: Annotated[float, typer.Option("--rate", help="Noise rate, 0 to 1.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help=".csv, .tsv, .parquet or .jsonl; .npz for arrays."
        ),
    ],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every random draw.")] = 0,
    second_rate: Annotated[
        float | None, typer.Option("--second-rate", help="twice: rate of the second noise.")
    ] = None,
    map_: Annotated[
        list[str], typer.Option("--map", metavar="A:B,…", help="asymmetric: class A becomes B.")
    ] = [],  # noqa: B006  typer copies it
    groups: Annotated[
        Path | None,
        typer.Option(
            "--groups",
            metavar="FILE",
            help="superclass: JSON object of class: group, or a table with the columns class, group.",
        ),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option("--group-column", metavar="C", help="superclass: column of SOURCE's table."),
    ] = None,
    standardise: Annotated[
        bool,
        typer.Option("--standardise", help="instance: bring each pixel to mean 0, variance 1."),
    ] = False,
    image_size: Annotated[
        int,
        typer.Option(
            "--image-size",
            metavar="S",
            min=1,
            help="instance: side of the squares that files and larger arrays are shrunk to.",
        ),
    ] = 32,
    splits: Annotated[
        str,
        typer.Option("--splits", metavar="S,…", help="Splits whose labels may become wrong."),
    ] = "train",
    onto: Annotated[
        Onto,
        typer.Option("--onto", help="Put noise on the labels as given, or on the true ones."),
    ] = Onto.GIVEN,
    labels: LabelsOption = None,
    path_column: PathColumnOption = None,
    label_column: LabelColumnOption = None,
    truth_column: TruthColumnOption = None,
    split_column: SplitColumnOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write labels with planted noise beside the true ones, to measure how well it is found.

    The source is never changed. FILE can be imported: it names its true labels.
    """
    options = SourceOptions(
        labels=labels,
        path_column=path_column,
        label_column=label_column,
        truth_column=truth_column,
        split_column=split_column,
    )
    recipe = Recipe(
        kind=kind,
        rate=rate,
        seed=seed,
        second_rate=second_rate,
        confusions=tuple(map_),
        groups=groups,
        group_column=group_column,
        standardise=standardise,
        image_size=image_size,
        splits=parse_splits(splits),
        onto=onto,
    )
    with progress(session, "looking at the source") as report:
        planned = datasets.plan(source, options, report)
    with session.workspace() as workspace:
        corrupting.check_out(planned, out, workspace=workspace, force=force)
        with progress(session, "making labels wrong") as report:
            made = corrupting.corrupt(planned, recipe, report)
        corrupting.write(made, out, workspace=workspace, force=force)
    told = corrupting.describe(made)
    if as_json:
        session.print_json({"out": str(out), **told})
    else:
        _show(session, told)
    for note in made.notes:
        session.say(note)
    session.say(_about_truth(planned.truth is not None, told))
    session.say(f"Wrote {printable(str(out))}. Next: labeltrace import {printable(str(out))}")


def _show(session: Session, told: Mapping[str, Any]) -> None:
    session.print(
        f"{told['moved']} of {told['samples']} labels moved: realised rate "
        f"{told['realised_rate']:.4f}, nominal {told['nominal_rate']:g}"
    )
    if "second_rate" in told:
        session.print(
            f"hidden noise: realised rate {told['hidden_realised_rate']:.4f}, nominal "
            f"{told['nominal_rate']:g}; second noise: realised rate "
            f"{told['second_realised_rate']:.4f}, nominal {told['second_rate']:g}"
        )
    session.print(
        f"{told['wrong']} of {told['samples']} labels are wrong: rate {told['wrong_rate']:.4f}"
    )
    if told["kind"] == "instance" and told["top_target_share"] is not None:
        session.print(f"{told['top_target_share']:.1%} of a class's moved labels went to one class")
    rows = [
        (name, str(one["samples"]), str(one["moved"]), describing.cell(one["realised_rate"]))
        for name, one in told["classes"].items()
    ]
    session.print_table(("class", "samples", "moved", "realised_rate"), rows)


def _about_truth(has_truth: bool, told: Mapping[str, Any]) -> str:
    if not has_truth:
        return "The source names no true labels: those as given are taken for true in true_label."
    if told["onto"] == Onto.TRUE:
        return "The source's own true labels stand in true_label, and the noise was put on them."
    return (
        "The source's own true labels stand in true_label; the noise was put on the given ones, "
        "which may have been wrong before (--onto true puts it on the true ones)."
    )
