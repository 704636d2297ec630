"""From what a form says to runs that train: checked, settled, estimated, started once.

`plan` answers while somebody still types; `start` is told the identity of the form, so that a double
click starts what it describes a single time.
"""

import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audit.datasets import presence
from audit.detectors import catalog
from audit.errors import AuditError, InputError, RefusedError
from audit.records.dataset import Dataset, SourceKind
from audit.records.job import Job, JobState
from audit.records.run import Probe, Run, RunConfig, RunState
from audit.store import ids, pixel_names, unfinished
from audit.store import jobs as job_rows
from audit.store import pixels as pixel_store
from audit.store import runs as run_rows
from audit.workbench import estimating, runs, scoring, serving, settling, watching
from audit.workbench.estimating import Amount, Estimate
from audit.workbench.scoring import Budget
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf
from audit.workbench.watching import Launch
from audit.workbench.wording import on_the_page

_starting = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The runs of one kind that methods need.

    Parameters
    ----------
    methods
        That will score them.
    configs
        Settled settings of each.
    sealed
        Runs that were made with these very settings before, or ``None``.
    under_way
        Runs with these very settings that are not all sealed yet, or ``None``.
    """

    methods: tuple[str, ...]
    configs: tuple[RunConfig, ...]
    sealed: tuple[Run, ...] | None = None
    under_way: tuple[Run, ...] | None = None

    @property
    def same(self) -> tuple[Run, ...]:
        """Runs with these very settings, sealed or on their way to it."""
        return self.sealed or self.under_way or ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a form stands for.

    Parameters
    ----------
    dataset, parts
        What is trained, and on what; no parts if there is a problem.
    problem
        One sentence that says what is wrong, or ``None``.
    estimate
        Of what will be trained; ``None`` where nothing is known.
    waits_for
        What has to end before it begins, a few words, or ``None``.
    """

    dataset: Dataset
    parts: tuple[Part, ...] = ()
    problem: str | None = None
    estimate: Estimate | None = None
    waits_for: str | None = None

    @property
    def to_train(self) -> tuple[Part, ...]:
        """The parts that are trained on start: what is neither sealed nor on its way to it.

        All of them where all are sealed: who asks for that wants them again.
        """
        return self.parts if self.is_sealed else tuple(p for p in self.parts if not p.same)

    @property
    def is_sealed(self) -> bool:
        """Whether every run was made before."""
        return bool(self.parts) and all(part.sealed is not None for part in self.parts)

    @property
    def is_under_way(self) -> bool:
        """Whether there is nothing to start because the same is being trained."""
        return bool(self.parts) and not self.to_train

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """The settings of every run that is trained on start."""
        return tuple(config for part in self.to_train for config in part.configs)


def plan(
    shelf: Shelf,
    dataset: Dataset,
    methods: Sequence[str],
    wishes: Wishes,
    *,
    budget: Budget = Budget.FULL,
) -> Plan:
    """Return what a start would do, or what is wrong with the wishes; nothing is started.

    Parameters
    ----------
    shelf, dataset
        What would be trained on.
    methods
        What the runs are for; they decide which probes are planted.
    wishes
        What was asked for; its probe does not count.
    budget
        How much training the methods may ask for.
    """
    try:
        names = scoring.parse_methods(methods)
        _check(dataset, wishes)
        by_probe = {
            probe: tuple(name for name in names if scoring.probe_for(name, budget) is probe)
            for probe in scoring.needed_probes(names, budget)
        }
        parts = tuple(_part(shelf, dataset, probe, own, wishes) for probe, own in by_probe.items())
    except AuditError as error:
        return Plan(dataset=dataset, problem=on_the_page(str(error)))
    drawn = Plan(dataset=dataset, parts=parts)
    if drawn.is_under_way:
        return drawn
    return replace(drawn, estimate=_estimate(shelf, drawn), waits_for=_waits_for(shelf, drawn))


def start(
    shelf: Shelf,
    dataset: Dataset,
    methods: Sequence[str],
    wishes: Wishes,
    *,
    form_id: str,
    budget: Budget = Budget.FULL,
) -> tuple[Run, ...]:
    """Start what `plan` describes, once: a second click finds what the first one started.

    Parameters
    ----------
    shelf, dataset, methods, wishes, budget
        As for `plan`.
    form_id
        Identity of the form that was sent.

    Returns
    -------
    tuple of Run
        Those that were started, or those with the same settings that are under way already.

    Raises
    ------
    InputError
        If something is wrong with the wishes.
    WorkspaceError
        If nothing can be written, or no worker started.
    """
    workspace = shelf.workspace
    with _starting:
        before = [
            job for job in job_rows.every(workspace) if job.arguments.get(runs.LAUNCH) == form_id
        ]
        if before:
            wanted_ids = {
                str(run_id)
                for job in before
                for run_id in (*job.arguments.get(runs.LAUNCHED, ()), job.run_id)
            }
            known = tuple(run for run in run_rows.all(workspace) if run.id in wanted_ids)
            return _with_jobs(shelf, known, methods, form_id)
        planned = plan(shelf, dataset, methods, wishes, budget=budget)
        if planned.problem is not None:
            raise InputError(planned.problem)
        if planned.is_under_way:
            known = tuple(run for part in planned.parts for run in part.same)
            return _with_jobs(shelf, known, methods, form_id)
        wanted = [method for part in planned.to_train for method in part.methods]
        # Settled once and looked at often: a probe group is one launch's own.
        configs = [c for part in planned.to_train for c in _with_own_group(part.configs)]
        started = runs.start(workspace, dataset, configs, methods=wanted, launch_id=form_id)
        if not planned.is_sealed:
            use(shelf, planned)  # what is trained already is not trained again, but may lack scores
    return tuple(run for run, _ in started)


def _with_jobs(
    shelf: Shelf, known: Sequence[Run], methods: Sequence[str], form_id: str
) -> tuple[Run, ...]:
    """Return runs that were started before, after queueing those that an interrupted start left out."""
    workspace = shelf.workspace
    missing = [
        run
        for run in known
        if run.state is RunState.QUEUED and not job_rows.every(workspace, run_id=run.id)
    ]
    if missing:
        probes = {run.config.probe for run in known}
        wanted = [
            method
            for method in scoring.parse_methods(methods)
            if probes & {catalog.entry(method).needs.probe, *catalog.entry(method).needs.also}
        ]
        runs.enqueue_together(workspace, missing, known, wanted, launch_id=form_id)
        runs.refresh(workspace)
    return tuple(known)


def cancel(shelf: Shelf, launch: Launch) -> None:
    """Stop everything of a launch that waits or runs; whole epochs are kept."""
    asked: set[str] = set()
    # A run that is sealed before it can be stopped has asked for its scores: they go second.
    while unasked := [job for job in launch.unfinished_jobs if job.id not in asked]:
        # What waits goes first, or it would begin when what runs has made room for it.
        for job in sorted(unasked, key=lambda job: job.state is JobState.RUNNING):
            asked.add(job.id)
            with contextlib.suppress(RefusedError):  # it ended meanwhile
                runs.cancel(shelf.workspace, job.id)
        now = (known for known in watching.survey(shelf).launches if known.id == launch.id)
        launch = next(now, launch)


def resume(shelf: Shelf, launch: Launch) -> None:
    """Let every interrupted run of a launch go on from its last whole epoch."""
    for run in launch.resumable:
        with contextlib.suppress(RefusedError):  # somebody else was faster
            runs.resume(shelf.workspace, run.id)


def score(shelf: Shelf, launch: Launch, methods: Sequence[str]) -> None:
    """Ask for the scores of some methods on a launch's runs; on what is there of interrupted ones.

    Raises
    ------
    RefusedError
        If no run can be scored yet, or none suits a method.
    """
    references = [run.id for run in launch.runs if unfinished.can_be_scored(shelf.workspace, run)]
    scoring.start(shelf.workspace, scoring.requests(shelf.workspace, references, methods))


def failed_scores(launch: Launch, fitting: Sequence[str]) -> tuple[tuple[Job, ...], list[str]]:
    """Return the jobs whose scores are missing because they failed or were lost, and the methods.

    Parameters
    ----------
    launch
        Whose scores.
    fitting
        Methods that could still score it, as `watching.methods_of` says.
    """
    newest: dict[str, Job] = {}
    for job in launch.scoring:
        for request in job.arguments.get("requests", ()):
            newest[str(request["method"])] = job
    failed = {
        method: newest[method]
        for method in fitting
        if method in newest and newest[method].state in (JobState.FAILED, JobState.LOST)
    }
    return tuple({job.id: job for job in failed.values()}.values()), list(failed)


def known_weights(shelf: Shelf, backbone: str) -> Path | None:
    """Return the weights file that the newest run with a backbone used, if it is still there."""
    for run in reversed(run_rows.all(shelf.workspace)):
        if run.config.backbone == backbone and run.config.weights is not None:
            path = Path(run.config.weights)
            if path.is_file():
                return path
    return None


def use(shelf: Shelf, planned: Plan) -> bool:
    """Ask for the scores that sealed runs still lack; return whether something was asked for.

    Parameters
    ----------
    shelf
        Where to.
    planned
        Parts of it that are not sealed ask for their scores themselves.
    """
    found = watching.survey(shelf)
    wanted: list[scoring.ScoreRequest] = []
    for part in planned.parts:
        own = {run.id for run in part.sealed or ()}
        if not own:
            continue
        for launch in found.launches:
            if own <= {run.id for run in launch.runs}:
                _, fitting = watching.methods_of(shelf, launch)
                missing = [method for method in part.methods if method in fitting]
                wanted += scoring.requests(shelf.workspace, sorted(own), missing)
    if wanted:
        scoring.start(shelf.workspace, wanted)
    return bool(wanted)


def weights_folder() -> Path:
    """Return where torchvision keeps the weights that it downloaded; it need not exist."""
    home = os.environ.get("TORCH_HOME")
    if home is None:
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        home = str(Path(cache) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def amount_of(shelf: Shelf, dataset: Dataset, config: RunConfig) -> Amount:
    """Return what there is to do before and beside the epochs of a run."""
    workspace = shelf.workspace
    is_decoded = pixel_store.find(workspace, dataset.id, config.image_size) is not None
    variant = None
    if config.backbone is not None and config.weights_digest is not None:
        variant = pixel_names.features_variant(
            config.backbone, config.weights_digest, config.precision
        )
    is_extracted = variant is not None and (
        pixel_store.find(workspace, dataset.id, config.image_size, variant=variant) is not None
    )
    n_usable = len(dataset.usable())
    return Amount(
        n_rows=len(dataset.usable(config.splits)),
        n_to_decode=0 if is_decoded else n_usable,
        n_to_extract=0 if is_extracted or config.backbone is None else n_usable,
        from_files=dataset.source.kind is not SourceKind.ARRAYS,
    )


def _check(dataset: Dataset, wishes: Wishes) -> None:
    """Refuse what would only fail once a worker has begun.

    Raises
    ------
    InputError
        If the data has moved, or weights are missing or may not be read.
    """
    presence.check(dataset)
    if wishes.image_size is not None and not 8 <= wishes.image_size <= 1024:
        raise InputError(f"The image size must lie between 8 and 1024, got {wishes.image_size}.")
    if wishes.weights is None:
        return
    path = wishes.weights.expanduser()
    roots = serving.data_roots()
    if roots and not any(path.resolve().is_relative_to(root) for root in roots):
        raise InputError(
            f"Weights {str(path)!r} lie outside the folders that this server may read: "
            f"{', '.join(map(str, roots))}."
        )
    if not path.is_file():
        raise InputError(f"There is no weights file {str(path)!r}; check the path.")


def _part(
    shelf: Shelf, dataset: Dataset, probe: Probe, methods: Sequence[str], wishes: Wishes
) -> Part:
    usable_key = (dataset.id, dataset.source.root, len(dataset.problems), wishes.splits)
    own = replace(wishes, probe=probe)
    usable = dataset.usable(wishes.splits)
    looks = None
    if len(usable) >= 2:
        looks = shelf.keep(("looks", *usable_key), lambda: settling.look(dataset, usable))
    weights_key = None
    if wishes.weights is not None:
        facts = wishes.weights.expanduser().stat()
        weights_key = (facts.st_mtime_ns, facts.st_size)
    configs = (
        settling.settle(dataset, own, looks=looks)
        if weights_key is None
        else shelf.keep(
            ("settled", *usable_key, own, weights_key),  # a digest of a large file
            lambda: settling.settle(dataset, own, looks=looks),
        )
    )
    _check_weights(configs[0])
    sealed = runs.find_sealed(shelf.workspace, dataset, configs)
    under_way = None if sealed else runs.find_under_way(shelf.workspace, dataset, configs)
    return Part(
        methods=tuple(methods),
        configs=configs,
        sealed=None if sealed is None else tuple(sealed),
        under_way=None if under_way is None else tuple(under_way),
    )


def _check_weights(config: RunConfig) -> None:
    """Refuse a backbone that no file and no download gives weights to.

    Raises
    ------
    InputError
        Says where weights may come from.
    """
    if config.backbone is None or config.weights is not None:
        return
    stem = "squeezenet1_0" if config.backbone == "squeezenet" else config.backbone
    if not any(weights_folder().glob(f"{stem}-*.pth")):
        raise InputError(
            f"There are no weights for the backbone {config.backbone!r}: name a weights file under "
            f"Settings, put torchvision's download into {str(weights_folder())!r}, or choose the "
            "preset “quick”, which needs none."
        )


def _with_own_group(configs: Sequence[RunConfig]) -> list[RunConfig]:
    group = ids.new()
    return [c if c.probe_group is None else replace(c, probe_group=group) for c in configs]


def _estimate(shelf: Shelf, planned: Plan) -> Estimate | None:
    config, workspace = planned.configs[0], shelf.workspace
    amount = amount_of(shelf, planned.dataset, config)
    sealed = [run for run in run_rows.all(workspace) if run.state is RunState.SEALED]
    known = estimating.paces(sealed, job_rows.every(workspace))
    return estimating.expect(planned.configs, amount, known)


def _waits_for(shelf: Shelf, planned: Plan) -> str | None:
    device = planned.configs[0].device
    before = [job for job in job_rows.under_way(shelf.workspace) if job.device == device]
    if not before:
        return None
    count = "one job" if len(before) == 1 else f"{len(before)} jobs"
    return f"{count} on {device}"
