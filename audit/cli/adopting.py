"""The command about what was recorded elsewhere: adopt."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.following import progress
from audit.cli.scores import AxesOption
from audit.cli.session import JsonOption, Session, printable
from audit.store import datasets as dataset_rows
from audit.workbench import adopting


def adopt(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="What a Recorder wrote, an .npz of logits or probs, the aum package's "
            "full_aum_records.csv, or a folder of dataset cartography.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="N", help="Of the run; made from the dataset's by default."),
    ] = None,
    axes: AxesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take over what another training loop recorded as a run of a dataset. Prints the run id.

    Samples are matched by their keys, or by position where the file has none; labels and classes must be
    those of the dataset.
    """
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        with progress(session, "taking over the recording") as report:
            adopted = adopting.adopt(
                workspace, found, file, name=name, axes=axes and str(axes), report=report
            )
    run = adopted.run
    session.say(
        f"{printable(run.name)}: {run.config.epochs} epochs of {adopted.n_samples:,} samples of "
        f"{printable(found.name)}"
    )
    for message in adopted.messages:
        session.say(printable(message))
    if as_json:
        session.print_json(
            {
                "id": run.id,
                "name": run.name,
                "epochs": run.config.epochs,
                "samples": adopted.n_samples,
                "absent": adopted.n_absent,
                "messages": list(adopted.messages),
            }
        )
    else:
        session.print(run.id)
    session.say(f"Next: labeltrace score {printable(run.name)} --method margin")
