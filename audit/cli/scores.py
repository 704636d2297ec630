"""Commands about scores: score, audit, evaluate, methods."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.cli import describing
from audit.cli.datasets import (
    LabelColumnOption,
    LabelsOption,
    NameOption,
    PathColumnOption,
    SplitColumnOption,
    TruthColumnOption,
)
from audit.cli.following import follow, progress
from audit.cli.runs import (
    ArchitectureOption,
    AugmentOption,
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    EpochsOption,
    Launcher,
    LauncherOption,
    LearningRateOption,
    PrecisionOption,
    PresetOption,
    SeedOption,
    ShardsOption,
    SizeOption,
    SplitsOption,
    StopOption,
    WeightsOption,
    WorkersOption,
    parse_splits,
    parse_workers,
    run_sentence,
    titled,
)
from audit.cli.session import JsonOption, Session, printable
from audit.errors import InputError
from audit.records.dataset import Dataset
from audit.records.run import Probe, Run, RunConfig
from audit.records.scores import Scores
from audit.store import datasets as dataset_rows
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.workbench import datasets as dataset_verbs
from audit.workbench import evaluating, exporting, scoring, settling
from audit.workbench import runs as run_verbs
from audit.workbench.datasets import SourceOptions
from audit.workbench.scoring import Budget
from audit.workbench.settling import Wishes
from audit.workbench.watching import LOOKS_FOR

MethodOption = Annotated[
    list[str],
    typer.Option("--method", metavar="M[,M…]", help="Methods, as `labeltrace methods` lists them."),
]


class Axes(StrEnum):
    """Order of the axes of an array recorded elsewhere."""

    ENK = "enk"
    NEK = "nek"


BudgetOption = Annotated[
    Budget,
    typer.Option(
        "--budget",
        help="full: each method gets the runs that it was made for. quick: all methods share one run "
        "with corrupted copies, and the results say what rests on them.",
    ),
]
ParamOption = Annotated[
    list[str],
    typer.Option(
        "--param",
        metavar="METHOD.NAME=VALUE",
        help="A setting of a method instead of its default, as `labeltrace methods --json` lists them.",
    ),
]
AxesOption = Annotated[
    Axes | None,
    typer.Option(
        "--axes", help="Order of a recorded array's axes: epochs e, samples n, classes k."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]


def score(
    session: Session,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…|FILE",
            help="Runs (a probe group is taken whole), or a file of dynamics recorded elsewhere.",
        ),
    ],
    method: MethodOption,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Scores file, .csv or .parquet."),
    ] = None,
    axes: AxesOption = None,
    param: ParamOption = [],  # noqa: B006  typer copies it
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score recorded runs with one or more methods."""
    methods = scoring.parse_methods(method)
    params = scoring.parse_params(param, methods)
    if out is not None:
        exporting.check_scores_path(out, force=force)
    recorded = _recorded_file(session, targets)
    if recorded is not None:
        if out is None:
            raise typer.BadParameter("Scores of dynamics recorded elsewhere need --out FILE.")
        with session.workspace() as workspace:
            exporting.check_scores_path(out, force=force, workspace=workspace)
            job = scoring.start_file(
                workspace,
                recorded,
                methods,
                params=params,
                axes=axes and str(axes),
                out=out,
                force=force,
            )
            (ended,) = follow(session, workspace, [("scoring", job)])
        answers = (ended.result or {})["scores"]
        for answer in answers:
            for message in answer["messages"]:
                session.say(f"{answer['method']}: {message}")
        _print_summary(session, {a["method"]: a for a in answers}, out, as_json=as_json)
        return
    with session.workspace() as workspace:
        run_verbs.refresh(workspace)  # what a worker left that was killed can be scored
        wanted = scoring.requests(workspace, targets, methods, params=params)
        dataset = dataset_rows.find(workspace, wanted[0].runs[0].dataset_id)
        if out is not None:
            exporting.check_scores_path(out, force=force, dataset=dataset, workspace=workspace)
        scores = _score(session, workspace, wanted)
        if out is not None:
            exporting.write_scores(dataset, scores, out, force=force)
    summary = {name: describe_scores(dataset, s) for name, s in scores.items()}
    _print_summary(session, summary, out, as_json=as_json)


def audit(
    session: Session,
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="Folder of class folders, table or .npz."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Scores file, .csv or .parquet.")
    ],
    method: MethodOption = ["aum"],  # noqa: B006  typer copies it
    name: NameOption = None,
    labels: LabelsOption = None,
    path_column: PathColumnOption = None,
    label_column: LabelColumnOption = None,
    truth_column: TruthColumnOption = None,
    split_column: SplitColumnOption = None,
    preset: PresetOption = "quick",
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
    budget: BudgetOption = Budget.FULL,
    param: ParamOption = [],  # noqa: B006  typer copies it
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do it all: import, train what the methods need, score, write the suspects.

    What an earlier audit of the same data with the same settings has finished is used again.
    """
    methods = scoring.parse_methods(method)
    params = scoring.parse_params(param, methods)
    exporting.check_scores_path(out, force=force)
    options = SourceOptions(
        labels=labels,
        path_column=path_column,
        label_column=label_column,
        truth_column=truth_column,
        split_column=split_column,
    )
    wishes = Wishes(
        preset=preset,
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
    with progress(session, "looking at the source") as report:
        planned = dataset_verbs.plan(source, options, report)
    for line in describing.plan_lines(planned):
        session.say(line)
    with session.workspace() as workspace:
        dataset, _ = dataset_verbs.add(workspace, planned, name)
        exporting.check_scores_path(out, force=force, dataset=dataset, workspace=workspace)
        runs = _train_what_is_needed(session, workspace, dataset, methods, wishes, budget)
        wanted = scoring.requests(workspace, [run.id for run in runs], methods, params=params)
        scores = _score(session, workspace, wanted)
        dataset = dataset_rows.find(workspace, dataset.id)  # with what the runs found out
        exporting.write_scores(dataset, scores, out, force=force)
        evaluation = evaluating.evaluate(workspace, dataset) if dataset.has_truth else None
    summary = {method_name: describe_scores(dataset, s) for method_name, s in scores.items()}
    if as_json:
        session.print_json(
            {
                "dataset": {"id": dataset.id, "name": dataset.name},
                "runs": [{"id": run.id, "name": run.name} for run in runs],
                "scores": summary,
                "out": str(out),
                "evaluation": evaluation,
            }
        )
        return
    session.print(f"dataset\t{dataset.id}\t{printable(dataset.name)}")
    for run in runs:
        session.print(f"run\t{run.id}\t{printable(run.name)}")
    _print_summary(session, summary, out, as_json=False)
    if evaluation is not None:
        show_evaluation(session, evaluation)


def evaluate(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, id or its beginning.")],
    as_json: JsonOption = False,
) -> None:
    """Measure the newest scores of every method against known true labels."""
    with session.workspace() as workspace:
        found = evaluating.evaluate(workspace, dataset_rows.find(workspace, dataset))
    if as_json:
        session.print_json(found)
    else:
        show_evaluation(session, found)


def methods(session: Session, as_json: JsonOption = False) -> None:
    """List the methods that can find suspects, with what each needs."""
    columns, records = describing.methods()
    describing.show_records(session, columns, records, as_json=as_json)


def _recorded_file(session: Session, targets: list[str]) -> Path | None:
    """Return the one target that is a file of dynamics; a run of that name wins."""
    looks_like_file = [t for t in targets if Path(t).suffix in (".npz", ".csv") or Path(t).is_dir()]
    if not looks_like_file:
        return None
    with session.workspace() as workspace:
        if any(targets[0] in (run.name, run.id) for run in run_rows.all(workspace)):
            return None
    if len(targets) > 1:
        raise typer.BadParameter(
            "Score one file of recorded dynamics at a time, and no runs beside it."
        )
    path = Path(targets[0])
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}.")
    return path


def _train_what_is_needed(
    session: Session,
    workspace: Workspace,
    dataset: Dataset,
    methods: tuple[str, ...],
    wishes: Wishes,
    budget: Budget,
) -> list[Run]:
    """Return sealed runs for every kind of probe that the methods need; train those that are missing."""
    runs: list[Run] = []
    needed = {
        probe: settling.settle(dataset, replace(wishes, probe=probe))
        for probe in scoring.needed_probes(methods, budget)
    }
    session.say(_trainings_in_words(needed))
    for configs in needed.values():
        sealed = run_verbs.find_sealed(workspace, dataset, configs)
        if sealed is not None:
            session.say(f"Using {', '.join(printable(run.name) for run in sealed)} again.")
            runs += sealed
            continue
        started = run_verbs.start(workspace, dataset, configs, workers=wishes.workers)
        for run, _ in started:
            session.say(run_sentence(run))
        follow(session, workspace, titled(started))
        runs += [run_rows.find(workspace, run.id) for run, _ in started]
    return runs


def _trainings_in_words(needed: Mapping[Probe, Sequence[RunConfig]]) -> str:
    """Return how many trainings of which kind the methods take, in a sentence."""
    n_runs = sum(len(configs) for configs in needed.values())
    kinds = [
        f"{len(configs)} × {_most(configs[0])}{configs[0].epochs} epochs ({LOOKS_FOR[probe]})"
        for probe, configs in needed.items()
    ]
    return f"{n_runs} {'training' if n_runs == 1 else 'trainings'} needed: {', '.join(kinds)}."


def _most(config: RunConfig) -> str:
    return "at most " if config.stop_when_stable else ""


def _score(
    session: Session, workspace: Workspace, wanted: list[scoring.ScoreRequest]
) -> dict[str, Scores]:
    job = scoring.start(workspace, wanted)
    (ended,) = follow(session, workspace, [("scoring", job)])
    scores = scoring.collect(workspace, ended)
    for name, answer in scores.items():
        for message in answer.messages:
            session.say(f"{name}: {message}")
    return scores


def describe_scores(dataset: Dataset, scores: Scores) -> dict[str, Any]:
    """Return what a method found, as plain values."""
    scored = ~(scores.suspicion != scores.suspicion)
    return {
        "scored": int(scored.sum()),
        "unscored": dataset.n_samples - int(scored.sum()),
        "flagged": None if scores.flagged is None else int(scores.flagged.sum()),
        "threshold": scores.threshold,
        "runs": list(scores.run_ids),
        "messages": list(scores.messages),
    }


def _print_summary(
    session: Session, summary: Mapping[str, Mapping[str, Any]], out: Path | None, *, as_json: bool
) -> None:
    if as_json:
        session.print_json({"scores": summary, "out": None if out is None else str(out)})
        return
    for name, facts in summary.items():
        flagged = "no cut" if facts["flagged"] is None else f"{facts['flagged']} flagged"
        unscored = f", {facts['unscored']} not scored" if facts["unscored"] else ""
        session.print(f"{name}\t{facts['scored']} scored{unscored}\t{flagged}")
    if out is not None:
        session.say(f"Wrote {printable(str(out))}.")


def show_evaluation(session: Session, found: Mapping[str, Any]) -> None:
    """Print figures against the truth as a table."""
    session.print(
        f"{found['wrong']} of {found['samples']} given labels are wrong ({found['noise_rate']:.1%}); "
        f"flagging everything would score F1 {found['f1_flag_everything']:.3f}"
    )
    names = (
        "average_precision",
        "roc_auc",
        "precision_at_95_recall",
        "f1",
        "precision",
        "recall",
        "flagged_fraction",
    )
    rows = [
        (method, *(describing.cell(figures[name]) for name in names))
        for method, figures in found["methods"].items()
    ]
    session.print_table(("method", *names), rows)
