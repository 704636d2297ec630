"""Which class is mistaken for which, as people say it: pairs of names, and groups of classes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from audit.datasets import table
from audit.errors import InputError
from audit.numerics.noise import CIFAR10_CONFUSIONS
from audit.records.dataset import Source

_CIFAR10_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_CIFAR10_PAIRS = tuple(
    (_CIFAR10_NAMES[source], _CIFAR10_NAMES[target])
    for source, target in CIFAR10_CONFUSIONS.items()
)


def confusions(class_names: Sequence[str], texts: Sequence[str]) -> dict[int, int]:
    """Return class → class that it is mistaken for.

    Parameters
    ----------
    class_names
        K names.
    texts
        Like ``cat:dog,dog:cat``; none means CIFAR-10's usual confusions, by their classes' names.

    Raises
    ------
    InputError
        If a text names no two classes, or a class is named twice.

    Examples
    --------
    >>> confusions(["cat", "dog", "fox"], ["cat:dog", "dog:cat,fox:dog"])
    {0: 1, 1: 0, 2: 1}
    """
    places = {name: place for place, name in enumerate(class_names)}
    if not texts:
        pairs = _CIFAR10_PAIRS
        missing = sorted({name for pair in pairs for name in pair} - set(places))
        if missing:
            raise InputError(
                "--kind asymmetric without --map takes CIFAR-10's confusions, but the source has no "
                f"class {missing[0]!r}: say which class becomes which with --map a:b,c:d."
            )
        return {places[source]: places[target] for source, target in pairs}
    targets: dict[int, int] = {}
    for text in texts:
        # A class name may hold a comma, so that a text is first tried as one pair.
        whole = _pair(text, places)
        found = [(text, whole)] if whole else [(one, _pair(one, places)) for one in text.split(",")]
        for one, pair in found:
            if pair is None:
                raise InputError(
                    f"{one!r} is no pair of classes A:B: the classes are {_listed(class_names)}."
                )
            if pair[0] in targets:
                raise InputError(f"--map says twice what {class_names[pair[0]]!r} becomes.")
            targets[pair[0]] = pair[1]
    return targets


def groups(
    class_names: Sequence[str], source: Source, *, file: Path | None, column: str | None
) -> list[int]:
    """Return the group of each class, K numbers.

    Parameters
    ----------
    class_names
        K names.
    source
        Whose classes they are.
    file
        A JSON object of class: group, or a table with the columns class and group.
    column
        Column of the source's table with the group, where there is no file.

    Raises
    ------
    InputError
        If the file or the column is missing, a class is unknown, stands in two groups or in none.
    """
    if file is None:
        assert column is not None
        named, where = _groups_of_column(source, column), column
    else:
        named, where = _groups_of_file(file), file.name
    unknown = next((name for name in named if name not in class_names), None)
    if unknown is not None:
        raise InputError(
            f"{where} has a group for {unknown!r}, which is no class of the source: the classes "
            f"are {_listed(class_names)}."
        )
    lone = next((name for name in class_names if name not in named), None)
    if lone is not None:
        raise InputError(f"{where} has no group for the class {lone!r}: every class needs one.")
    numbers = {group: number for number, group in enumerate(sorted(set(named.values())))}
    return [numbers[named[name]] for name in class_names]


def _pair(text: str, places: Mapping[str, int]) -> tuple[int, int] | None:
    """Return the classes of ``A:B``; a name may hold a colon."""
    parts = text.split(":")
    for cut in range(1, len(parts)):
        source, target = ":".join(parts[:cut]).strip(), ":".join(parts[cut:]).strip()
        if source in places and target in places:
            return places[source], places[target]
    return None


def _groups_of_file(file: Path) -> dict[str, str]:
    """Return class → group from a JSON object, or a table with the columns class and group."""
    if not file.is_file():
        raise InputError(f"There is no file {str(file)!r} with groups.")
    if file.suffix.lower() == ".json":
        try:
            found = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{file.name} is no JSON.") from error
        if isinstance(found, dict):
            groups = cast("dict[str, object]", found)
            odd = next((k for k, v in groups.items() if not isinstance(v, str | int)), None)
            if odd is not None:
                raise InputError(f"{file.name}: the group of {odd!r} must be text or a number.")
            return {name: str(group) for name, group in groups.items()}
    opened = table.open_file(file, ("class", "group"))
    if not {"class", "group"} <= set(opened.columns):
        raise InputError(
            f"{file.name} must be an object of class: group, or a table with the columns class and "
            f"group; its columns are {', '.join(map(repr, opened.columns))}."
        )
    _, cells = opened.read(("class", "group"))
    return _one_group_each(cells["class"], cells["group"], file.name)


def _groups_of_column(source: Source, column: str) -> dict[str, str]:
    if source.labels is None:
        raise InputError("--group-column goes with a table; use --groups FILE for this source.")
    label = source.options["label_column"]
    opened = table.open_file(Path(source.labels), (label, column))
    if column not in opened.columns:
        present = ", ".join(map(repr, opened.columns))
        raise InputError(f"{source.labels} has no column {column!r}; its columns are {present}.")
    _, cells = opened.read(tuple(dict.fromkeys((label, column))))
    return _one_group_each(cells[label], cells[column], column)


def _one_group_each(
    names: Sequence[str | None], groups: Sequence[str | None], where: str
) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, group in zip(names, groups, strict=True):
        if name is None or group is None:
            continue
        if found.setdefault(name, group) != group:
            raise InputError(
                f"{where}: the class {name!r} stands in two groups, {found[name]!r} and {group!r}."
            )
    return found


def _listed(class_names: Sequence[str], n_shown: int = 10) -> str:
    more = len(class_names) - n_shown
    shown = ", ".join(map(repr, class_names[:n_shown]))
    return f"{shown} and {more:,} more" if more > 0 else shown
