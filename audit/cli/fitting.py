"""The command that fits an LSTM noise detector."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.cli.following import follow
from audit.cli.runs import (
    ArchitectureOption,
    BackboneOption,
    DeviceOption,
    EpochsOption,
    PresetOption,
    SeedOption,
    SizeOption,
    WeightsOption,
    run_sentence,
    titled,
)
from audit.cli.session import JsonOption, Session, printable
from audit.records.run import Run
from audit.store import datasets as dataset_rows
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import fitting
from audit.workbench import runs as run_verbs
from audit.workbench.fitting import Plan
from audit.workbench.settling import Wishes


class Channels(StrEnum):
    """What the detector reads of every epoch."""

    Q = "q"
    Q_MARGIN = "q,margin"


def fit_lstm(
    session: Session,
    datasets: Annotated[
        list[str],
        typer.Argument(metavar="DATASET…", help="Datasets whose given labels are mostly right."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the weights.")],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="N", help="Of the weights; by default after the dataset."),
    ] = None,
    preset: PresetOption = "quick",
    epochs: EpochsOption = None,
    architecture: ArchitectureOption = None,
    backbone: BackboneOption = None,
    weights: WeightsOption = None,
    image_size: SizeOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    noise_rate: Annotated[
        float, typer.Option("--noise-rate", help="Part of the labels that is planted wrong.")
    ] = fitting.NOISE_RATE,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="WEIGHTS",
            help="Go on from these: shipped weights by name, or a file.",
        ),
    ] = None,
    channels: Annotated[
        Channels,
        typer.Option(
            "--channels",
            help="q: the given label's probability, as in the paper. q,margin: the margin as well.",
        ),
    ] = Channels.Q,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Of each training, rounded up to whole passes; by default thousands, and ten passes.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing weights.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Teach an LSTM noise detector on planted noise; write its weights and their card.

    Each dataset is trained on with planted wrong labels, unless such a run is there already. `labeltrace
    score RUN --method lstm --param lstm.weights=DIR/N.safetensors` uses what comes out.
    """
    wishes = Wishes(
        preset=preset,
        epochs=epochs,
        architecture=architecture,
        backbone=backbone,
        weights=weights,
        image_size=image_size,
        device=device,
        seed=seed,
    )
    with session.workspace() as workspace:
        named = [dataset_rows.find(workspace, reference) for reference in datasets]
        words: dict[str, Any] = {
            "--out": out,
            "--name": name,
            "--preset": preset,
            "--epochs": epochs,
            "--architecture": architecture,
            "--backbone": backbone,
            "--weights": weights,
            "--image-size": image_size,
            "--noise-rate": noise_rate if noise_rate != fitting.NOISE_RATE else None,
            "--from": start_from,
            "--channels": channels,
            "--steps": steps,
            "--seed": seed,
        }
        plan = Plan(
            out=out,
            name=name or fitting.free_name(named[0]),
            channels=tuple(channels.split(",")),
            seed=seed,
            steps=steps,
            start=fitting.start_from(start_from),
            force=force,
            command=command_line([dataset.name for dataset in named], words),
        )
        fitting.check(plan)
        runs: list[Run] = []
        for dataset in named:
            configs = fitting.recordings(dataset, wishes, noise_rate)
            sealed = fitting.find_recording(workspace, dataset, configs)
            if sealed is not None:
                session.say(f"Using {printable(sealed.name)} again.")
                runs.append(sealed)
                continue
            started = run_verbs.start(workspace, dataset, configs)
            for run, _ in started:
                session.say(run_sentence(run))
            follow(session, workspace, titled(started))
            runs += [run_rows.find(workspace, run.id) for run, _ in started]
        made = _fit(session, workspace, runs, plan)
    if as_json:
        session.print_json(made)
        return
    session.print(
        f"{printable(str(made['weights']))}\taverage precision {made['average_precision']:.3f}\t"
        f"ROC AUC {made['roc_auc']:.3f}\tF1 {made['f1']:.3f}"
    )


def command_line(datasets: list[str], options: dict[str, Any]) -> str:
    """Return the command that makes the weights again, its paths reduced to names.

    Examples
    --------
    >>> command_line(["cifar100"], {"--out": Path("/a/b"), "--epochs": None, "--seed": 0})
    'labeltrace fit-lstm cifar100 --out b --seed 0'
    """
    words = ["labeltrace", "fit-lstm", *datasets]
    for option, value in options.items():
        if value is not None:
            is_path = isinstance(value, Path) or "/" in str(value)
            text = Path(value).name or "." if is_path else str(value)
            words += [option, text]
    return shlex.join(words)


def _fit(session: Session, workspace: Workspace, runs: list[Run], plan: Plan) -> dict[str, Any]:
    job = fitting.start(workspace, runs, plan)
    (ended,) = follow(session, workspace, [(f"fitting {plan.name}", job)])
    made = dict(ended.result or {})
    return made | {"runs": [{"id": run.id, "name": run.name} for run in runs]}
