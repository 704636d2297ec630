"""Commands about runs: train, cancel, resume."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.following import follow
from audit.cli.session import Session, printable
from audit.records import preset as presets
from audit.records.dataset import Split
from audit.records.job import Job
from audit.records.run import Augmentation, Precision, Probe, Run
from audit.store import datasets as dataset_rows
from audit.workbench import runs as verbs
from audit.workbench import settling
from audit.workbench.settling import Wishes

_PRESETS = "; ".join(f"{p.name}: {p.purpose}" for p in presets.PRESETS.values())


class Launcher(StrEnum):
    """How a training comes to life."""

    LOCAL = "local"
    TORCHRUN = "torchrun"


PresetOption = Annotated[
    str, typer.Option("--preset", metavar="P", help=f"One fixed setting for all data. {_PRESETS}")
]
ProbeOption = Annotated[
    Probe,
    typer.Option(
        "--probe",
        help="Plant something to tell wrong labels by: threshold makes two runs for AUM.",
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Instead of the preset's.")
]
ArchitectureOption = Annotated[
    str | None,
    typer.Option(
        "--architecture",
        metavar="A",
        help=f"Instead of the preset's: {', '.join(presets.ARCHITECTURES)}.",
    ),
]
BackboneOption = Annotated[
    str | None,
    typer.Option("--backbone", metavar="B", help=f"For features: {', '.join(presets.BACKBONES)}."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of the backbone, .safetensors or .npz; otherwise torchvision's cache is looked into.",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size", metavar="S", min=8, max=1024, help="Side in pixels that the network sees."
    ),
]
AugmentOption = Annotated[
    Augmentation | None,
    typer.Option(
        "--augment",
        help="Random views; by default crops, and mirroring only for colour images that are no characters.",
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option("--precision", help="By default bfloat16 where the hardware has it."),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to train.")
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option("--batch-size", min=2, help="Rows per update, instead of the preset's."),
]
LearningRateOption = Annotated[
    float | None, typer.Option("--learning-rate", help="Peak of the rate, instead of the preset's.")
]
ShardsOption = Annotated[
    int | None,
    typer.Option(
        "--shards",
        min=1,
        help="Parts of a batch that are normalised on their own and computed side by side; by default as "
        "many as there are cores, if each has 32 rows.",
    ),
]
LauncherOption = Annotated[
    Launcher,
    typer.Option("--launcher", help="torchrun: several processes train one run together."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes for --launcher torchrun; one per GPU."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of every random draw in the run.")]
StopOption = Annotated[
    bool,
    typer.Option(
        "--stop-when-stable",
        help="Seal a run as soon as its ranking has settled, if it does before its last epoch.",
    ),
]
SplitsOption = Annotated[
    str,
    typer.Option("--splits", metavar="S,…", help="Splits to train on and score: train, val, test."),
]


def parse_workers(launcher: Launcher, workers: int | None) -> int | None:
    """Return how many processes torchrun starts; ``None`` without it.

    Raises
    ------
    typer.BadParameter
        If workers are named without torchrun.
    """
    if launcher is Launcher.TORCHRUN:
        return workers or 1
    if workers is not None:
        raise typer.BadParameter("--workers are started by --launcher torchrun: add that.")
    return None


def parse_splits(text: str) -> tuple[Split, ...]:
    """Return the splits named in a text like ``train,val``.

    Raises
    ------
    typer.BadParameter
        If one of them is no split.
    """
    try:
        return tuple(dict.fromkeys(Split(word.strip().lower()) for word in text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"{text!r} must name train, val or test.") from None


def train(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")],
    preset: PresetOption = "quick",
    probe: ProbeOption = Probe.NONE,
    epochs: EpochsOption = None,
    architecture: ArchitectureOption = None,
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    image_size: SizeOption = None,
    augment: AugmentOption = None,
    precision: PrecisionOption = None,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = None,
    learning_rate: LearningRateOption = None,
    shards: ShardsOption = None,
    launcher: LauncherOption = Launcher.LOCAL,
    workers: WorkersOption = None,
    seed: SeedOption = 0,
    splits: SplitsOption = "train",
    stop_when_stable: StopOption = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the run ids and return; training goes on.")
    ] = False,
) -> None:
    """Train a network and record how it learns each label. Prints the run ids."""
    wishes = Wishes(
        preset=preset,
        probe=probe,
        epochs=epochs,
        architecture=architecture,
        backbone=backbone,
        weights=weights,
        image_size=image_size,
        augmentation=augment,
        precision=precision,
        device=device,
        batch_size=batch_size,
        learning_rate=learning_rate,
        shards=shards,
        workers=parse_workers(launcher, workers),
        seed=seed,
        splits=parse_splits(splits),
        stop_when_stable=stop_when_stable,
    )
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        started = verbs.start(
            workspace, found, settling.settle(found, wishes), workers=wishes.workers
        )
        for run, _ in started:
            session.say(run_sentence(run))
        if not detach:
            follow(session, workspace, titled(started))
    for run, _ in started:
        session.print(run.id)
    if detach:
        session.say(
            "Training goes on in the background: `labeltrace list jobs` shows how far it is."
        )


def cancel(
    session: Session,
    reference: Annotated[
        str, typer.Argument(metavar="JOB", help="A job's id, or the name or id of a run.")
    ],
) -> None:
    """Stop a job, waiting or running; finished epochs are kept."""
    with session.workspace() as workspace:
        job = verbs.cancel(workspace, reference)
    session.say(f"Job {job.id} is {job.state}.")


def resume(
    session: Session,
    reference: Annotated[str, typer.Argument(metavar="RUN", help="Name, id or its beginning.")],
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the run id and return; training goes on.")
    ] = False,
) -> None:
    """Go on with an interrupted run from its last whole epoch. Prints the run id."""
    with session.workspace() as workspace:
        run, job = verbs.resume(workspace, reference)
        if not detach:
            follow(session, workspace, titled([(run, job)]))
    session.print(run.id)


def titled(started: list[tuple[Run, Job]]) -> list[tuple[str, Job]]:
    """Return the jobs under the names of their runs."""
    return [(run.name, job) for run, job in started]


def run_sentence(run: Run) -> str:
    """Return in a line what a run will do."""
    config = run.config
    what = (
        config.architecture
        if config.backbone is None
        else f"classifier on {config.backbone} features"
    )
    most = "at most " if config.stop_when_stable else ""
    return (
        f"{printable(run.name)}: {what}, {most}{config.epochs} epochs at {config.image_size} px, "
        f"augmentation {config.augmentation}, {config.precision} on {config.device}, "
        f"{config.threads} {'thread' if config.threads == 1 else 'threads'}, seed {config.seed}"
    )
