"""Make labels of a source wrong on purpose, for benchmarks; the source itself is never touched."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.datasets import zipped
from audit.datasets.reader import SampleReader
from audit.errors import InputError, RefusedError, SampleError
from audit.exchange import noisy_labels, writing
from audit.numerics import noise
from audit.numerics.noise import NoisyLabels
from audit.records.dataset import SPLITS, UNLABELLED, ImportPlan, SourceKind, Split
from audit.records.progress import Report, silent
from audit.store.workspace import Workspace
from audit.workbench import class_relations, exporting


class Kind(StrEnum):
    """The kinds of noise, as in `audit.numerics.noise`.

    ``symmetric`` draws the new label from the other classes, ``symmetric-include`` from all,
    ``exact`` as well, for exactly ⌊rate · N⌋ samples; ``pair`` takes the next class; ``asymmetric``
    a class's own confusion; ``superclass`` another class of the same group; ``instance`` depends on
    the image; ``twice`` is symmetric noise on top of symmetric noise.
    """

    SYMMETRIC = "symmetric"
    SYMMETRIC_INCLUDE = "symmetric-include"
    EXACT = "exact"
    PAIR = "pair"
    ASYMMETRIC = "asymmetric"
    SUPERCLASS = "superclass"
    INSTANCE = "instance"
    TWICE = "twice"


class Onto(StrEnum):
    """Which labels noise is put on: those as given, or the true ones where the source knows them."""

    GIVEN = "given"
    TRUE = "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What noise to make.

    Parameters
    ----------
    kind, rate, seed
        Which, how much of it in [0, 1], and the seed of every draw.
    second_rate
        Rate of the second contamination, for ``twice`` only.
    confusions
        Texts like ``cat:dog,dog:cat``, for ``asymmetric`` only; none means CIFAR-10's.
    groups, group_column
        File of the classes' groups, or column of the source's table, for ``superclass`` only.
    standardise, image_size
        For ``instance`` only: whether each pixel is brought to mean 0 and variance 1, and the side in
        pixels of the squares that larger images, and all that lie in files, are shrunk to.
    splits
        Splits whose labels may become wrong.
    onto
        Which labels the noise is put on.
    """

    kind: Kind
    rate: float
    seed: int = 0
    second_rate: float | None = None
    confusions: tuple[str, ...] = ()
    groups: Path | None = None
    group_column: str | None = None
    standardise: bool = False
    image_size: int = 32
    splits: tuple[Split, ...] = (Split.TRAIN,)
    onto: Onto = Onto.GIVEN

    def __post_init__(self) -> None:
        only_for = {
            "--second-rate": (Kind.TWICE, self.second_rate is not None),
            "--map": (Kind.ASYMMETRIC, bool(self.confusions)),
            "--groups": (Kind.SUPERCLASS, self.groups is not None),
            "--group-column": (Kind.SUPERCLASS, self.group_column is not None),
            "--standardise": (Kind.INSTANCE, self.standardise),
        }
        for flag, (kind, is_given) in only_for.items():
            if is_given and self.kind is not kind:
                raise InputError(f"{flag} goes with --kind {kind}, got --kind {self.kind}.")
        if self.kind is Kind.TWICE and self.second_rate is None:
            raise InputError("--kind twice needs --second-rate beside --rate, the hidden one.")
        if self.kind is Kind.SUPERCLASS and (self.groups is None) == (self.group_column is None):
            raise InputError("--kind superclass needs either --groups FILE or --group-column C.")
        for rate in (self.rate, self.second_rate or 0.0):
            if not 0 <= rate <= 1:
                raise InputError(f"A noise rate must lie in [0, 1], got {rate}.")
        if self.image_size < 1 or self.seed < 0:
            raise InputError("The image size must be at least 1 and the seed at least 0.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corrupted:
    """A source's labels with noise, and what was done; N samples.

    Parameters
    ----------
    plan, recipe
        What was corrupted, and how.
    labels
        (N,) int32, as they are to be imported.
    true_labels
        Best known truth, (N,) int32: the source's own where it has one, else the label as given.
    chosen
        Ascending positions of the samples whose labels might have become wrong, (M,) int64.
    noisy
        What became of the chosen ones; for ``twice`` by the second contamination.
    hidden
        For ``twice`` the first contamination of the chosen ones, else ``None``.
    notes
        Whole sentences about what was left out.
    """

    plan: ImportPlan
    recipe: Recipe
    labels: NDArray[np.int32]
    true_labels: NDArray[np.int32]
    chosen: NDArray[np.int64]
    noisy: NoisyLabels
    hidden: NoisyLabels | None
    notes: tuple[str, ...]


def check_out(plan: ImportPlan, out: Path, *, workspace: Workspace, force: bool) -> None:
    """Refuse an output before any work is done for it.

    Raises
    ------
    InputError
        If its ending does not fit the source.
    RefusedError
        If it exists without `force`, has no folder to lie in, or lies inside this source, another
        that was imported, or the workspace.
    """
    is_arrays = plan.source.kind is SourceKind.ARRAYS
    ending = out.suffix.lower()
    if is_arrays and ending != noisy_labels.ARRAYS:
        raise InputError(
            f"Images of an .npz have no paths that a table could name: {out.name!r} must end in .npz."
        )
    if not is_arrays and ending not in noisy_labels.TABLES:
        raise InputError(
            f"Images stay where they are and a table names them: {out.name!r} must end in one of "
            f"{', '.join(noisy_labels.TABLES)}."
        )
    kept = exporting.kept_from_writing(workspace)
    writing.check(out, dataset=plan, force=force, kept=kept)


def corrupt(plan: ImportPlan, recipe: Recipe, report: Report = silent) -> Corrupted:
    """Return the labels of a source with noise; nothing is written.

    Only labelled, usable samples of the recipe's splits are touched, and none whose file stands in the
    source under several labels: two equal rows would be one sample.

    Parameters
    ----------
    plan
        The source.
    recipe
        What noise to make.
    report
        Told how many images were read, for ``instance``; may stop the work.

    Raises
    ------
    InputError
        If a class is unknown, or the groups do not fit.
    RefusedError
        If there is no label that could become wrong, or no truth that noise was to be put on.
    """
    truth = plan.truth.true_labels if plan.truth is not None else None
    if recipe.onto is Onto.TRUE and truth is None:
        raise RefusedError(
            "The source has no true labels to put noise on: name their column with --truth-column."
        )
    given = plan.given_labels
    true_labels = given if truth is None else np.where(truth == UNLABELLED, given, truth)
    base = given if recipe.onto is Onto.GIVEN else true_labels
    chosen, notes = _chosen(plan, recipe)
    features = None
    if recipe.kind is Kind.INSTANCE:
        readable, features = _features(plan, chosen, recipe.image_size, report)
        if not readable.all():
            n_left = int((~readable).sum())
            notes.append(f"Images that could not be read keep their labels: {n_left:,}.")
        chosen, features = chosen[readable], features[readable]
    if not len(chosen):
        splits = ", ".join(map(str, recipe.splits))
        raise RefusedError(
            f"{plan.source.location} has no labelled, usable sample in {splits} whose label could "
            "become wrong."
        )
    hidden, noisy = _noise(plan, recipe, base[chosen], features)
    labels = given.copy()
    labels[chosen] = noisy.labels
    return Corrupted(
        plan=plan,
        recipe=recipe,
        labels=labels,
        true_labels=true_labels.astype(np.int32),
        chosen=chosen,
        noisy=noisy,
        hidden=hidden,
        notes=tuple(notes),
    )


def describe(made: Corrupted) -> dict[str, Any]:
    """Return what was done as plain values.

    Returns
    -------
    dict
        ``kind, seed, splits, onto``; ``samples`` M that could become wrong and ``moved`` of them;
        ``nominal_rate``, ``realised_rate`` (moved ÷ M); ``wrong`` and ``wrong_rate`` against
        ``true_label``, the same unless the source was wrong before; ``top_target_share`` as in
        `NoisyLabels`; ``classes``: name → ``samples, moved, realised_rate`` by the label that the noise
        was put on; for ``twice`` also ``second_rate``, ``hidden_realised_rate``,
        ``second_realised_rate``; ``notes``. Rates lie in [0, 1], ``None`` where there is no sample.
    """
    plan, recipe, chosen = made.plan, made.recipe, made.chosen
    base = _base(made)
    moved = made.labels[chosen] != base
    wrong = made.labels[chosen] != made.true_labels[chosen]
    n_classes = len(plan.class_names)
    n_of_class = np.bincount(base, minlength=n_classes).tolist()
    n_moved = np.bincount(base[moved], minlength=n_classes).tolist()
    share = made.noisy.top_target_share
    told: dict[str, Any] = {
        "kind": str(recipe.kind),
        "seed": recipe.seed,
        "splits": [str(split) for split in recipe.splits],
        "onto": str(recipe.onto),
        "samples": len(chosen),
        "moved": int(moved.sum()),
        "nominal_rate": recipe.rate,
        "realised_rate": float(moved.mean()),
        "wrong": int(wrong.sum()),
        "wrong_rate": float(wrong.mean()),
        "top_target_share": None if np.isnan(share) else share,
        "classes": {
            name: {"samples": n, "moved": m, "realised_rate": m / n if n else None}
            for name, n, m in zip(plan.class_names, n_of_class, n_moved, strict=True)
        },
    }
    if made.hidden is not None:
        told |= {
            "second_rate": recipe.second_rate,
            "hidden_realised_rate": made.hidden.realised_rate,
            "second_realised_rate": made.noisy.realised_rate,
        }
    return told | {"notes": list(made.notes)}


def write(made: Corrupted, out: Path, *, workspace: Workspace, force: bool) -> None:
    """Write the labels so that an import reads them with their truth.

    A table has the columns ``path, label, true_label``, ``split`` where there are several, and for
    ``twice`` ``hidden_label``. Its paths start from its own folder where the images lie below that,
    and are absolute elsewhere. An ``.npz`` holds the images again, because they cannot be named.

    Raises
    ------
    InputError, RefusedError
        As `check_out`.
    WorkspaceError
        If the disk is full or read-only.
    """
    check_out(made.plan, out, workspace=workspace, force=force)
    kept = exporting.kept_from_writing(workspace)
    with writing.staged(out, dataset=made.plan, force=force, kept=kept) as (stage,):
        if made.plan.source.kind is SourceKind.ARRAYS:
            noisy_labels.write_arrays(stage, _arrays(made))
        else:
            noisy_labels.write_table(stage, _columns(made, out), ending=out.suffix.lower())


def _base(made: Corrupted) -> NDArray[np.int32]:
    """Return the labels that the noise was put on, over the chosen samples, (M,) int32."""
    is_given = made.recipe.onto is Onto.GIVEN
    return (made.plan.given_labels if is_given else made.true_labels)[made.chosen]


def _chosen(plan: ImportPlan, recipe: Recipe) -> tuple[NDArray[np.int64], list[str]]:
    wanted = np.isin(plan.splits, [SPLITS.index(split) for split in recipe.splits])
    wanted &= plan.given_labels != UNLABELLED
    notes: list[str] = []
    is_bad = np.zeros(len(wanted), dtype=np.bool_)
    is_bad[list(plan.problems)] = True
    if (wanted & is_bad).any():
        n_left = int((wanted & is_bad).sum())
        notes.append(f"Samples that cannot be used keep their labels: {n_left:,}.")
    is_repeated = _repeated(plan.paths)
    if (wanted & is_repeated).any():
        n_left = int((wanted & is_repeated).sum())
        notes.append(
            f"Samples whose file stands there several times keep their labels: {n_left:,}."
        )
    return np.flatnonzero(wanted & ~is_bad & ~is_repeated), notes


def _repeated(paths: Sequence[str | None]) -> NDArray[np.bool_]:
    """Return which samples share their path with another, (N,) bool."""
    counts: dict[str, int] = {}
    for path in paths:
        if path is not None:
            counts[path] = counts.get(path, 0) + 1
    many = (path is not None and counts[path] > 1 for path in paths)
    return np.fromiter(many, dtype=np.bool_, count=len(paths))


def _noise(
    plan: ImportPlan,
    recipe: Recipe,
    labels: NDArray[np.int32],
    features: NDArray[np.float32] | None,
) -> tuple[NoisyLabels | None, NoisyLabels]:
    """Return the hidden contamination, if there is one, and the labels in the end."""
    n_classes, rate = len(plan.class_names), recipe.rate
    rng = np.random.default_rng(recipe.seed)
    if recipe.kind in _OF_CLASSES:
        return None, _OF_CLASSES[recipe.kind](labels, rate, n_classes, rng)
    if recipe.kind is Kind.ASYMMETRIC:
        targets = class_relations.confusions(plan.class_names, recipe.confusions)
        return None, noise.asymmetric(labels, rate, targets, n_classes=n_classes, rng=rng)
    if recipe.kind is Kind.SUPERCLASS:
        groups = class_relations.groups(
            plan.class_names, plan.source, file=recipe.groups, column=recipe.group_column
        )
        return None, noise.superclass(labels, rate, groups, rng=rng)
    if recipe.kind is Kind.INSTANCE:
        assert features is not None
        return None, noise.instance(
            labels,
            rate,
            features,
            n_classes=n_classes,
            rng=rng,
            standardise=recipe.standardise,
        )
    assert recipe.second_rate is not None
    both = noise.twice(labels, rate, recipe.second_rate, n_classes=n_classes, rng=rng)
    return both.hidden, both.second


_OF_CLASSES = {
    Kind.SYMMETRIC: noise.sym_exclude,
    Kind.SYMMETRIC_INCLUDE: noise.sym_include,
    Kind.EXACT: noise.sym_exact_include,
    Kind.PAIR: noise.pair,
}


def _features(
    plan: ImportPlan, positions: NDArray[np.int64], size: int, report: Report
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which images could be read, (M,) bool, and their pixels in [0, 1], (M, S) float32."""
    if plan.source.kind is SourceKind.ARRAYS:
        images = zipped.read(Path(plan.source.root), "images")
        if images.shape[1] * images.shape[2] <= size * size:
            flat = images[positions].reshape(len(positions), -1).astype(np.float32)
            flat /= np.float32(255)
            return np.ones(len(positions), dtype=np.bool_), flat
    pixels = np.zeros((len(positions), size * size * 3), dtype=np.float32)
    is_read = np.zeros(len(positions), dtype=np.bool_)
    with SampleReader(plan.source, plan.paths) as reader:
        for place, position in enumerate(positions.tolist()):
            if place % 16 == 0:
                report(place / len(positions), f"read {place:,} of {len(positions):,} images")
            try:
                square, _ = reader.read_square(position, size)
            except SampleError:
                continue
            pixels[place] = square.reshape(-1)
            is_read[place] = True
    pixels /= np.float32(255)
    report(1.0, f"read {int(is_read.sum()):,} images")
    return is_read, pixels


def _columns(made: Corrupted, out: Path) -> dict[str, list[str | None]]:
    plan = made.plan
    folder = Path(out).absolute().parent
    root = Path(plan.source.root)
    start = root.relative_to(folder).as_posix() if root.is_relative_to(folder) else str(root)
    columns: dict[str, list[str | None]] = {
        "path": [_from(start, path) for path in plan.paths],
        "label": _texts(made.labels, plan.class_names),
        "true_label": _texts(made.true_labels, plan.class_names),
    }
    if len(np.unique(plan.splits)) > 1 or plan.splits[0] != SPLITS.index(Split.TRAIN):
        columns["split"] = [str(SPLITS[code]) for code in plan.splits.tolist()]
    if made.hidden is not None:
        columns["hidden_label"] = _texts(_hidden(made), plan.class_names)
    return columns


def _from(start: str, path: str | None) -> str | None:
    # The path's own text stays, so that two spellings of one file stay two samples.
    if path is None or start == "." or Path(path).is_absolute():
        return path
    return f"{start}/{path}"


def _arrays(made: Corrupted) -> dict[str, NDArray[Any]]:
    plan = made.plan
    arrays: dict[str, NDArray[Any]] = {
        "images": zipped.read(Path(plan.source.root), "images"),
        "labels": made.labels,
        "true_labels": made.true_labels,
        "class_names": np.array(plan.class_names),
        "split": np.array([str(SPLITS[code]) for code in plan.splits.tolist()]),
        "sample_keys": np.array(plan.sample_keys),
    }
    if made.hidden is not None:
        arrays["hidden_labels"] = _hidden(made)
    return arrays


def _hidden(made: Corrupted) -> NDArray[np.int32]:
    """Return the labels after the first contamination only, (N,) int32."""
    assert made.hidden is not None
    labels = made.plan.given_labels.copy()
    labels[made.chosen] = made.hidden.labels
    return labels


def _texts(labels: NDArray[np.int32], class_names: Sequence[str]) -> list[str | None]:
    names = dict(enumerate(class_names))
    return [names.get(label) for label in labels.tolist()]
