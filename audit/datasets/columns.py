"""Which column of a table is the path, the label, the truth and the split."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import InputError

PATHS = (
    "filepath",
    "file_path",
    "path",
    "image_path",
    "file_name",
    "filename",
    "image",
    "img",
    "image_id",
    "id",
    "file_path_abs",
    "uri",
    "url",
    "source-ref",
)
"""Names of a path column, the likelier first; the first that is there is taken."""

FIRST_LABELS = ("label", "given_label")
"""Names of a label column that win over all others."""

LABELS = ("class", "class_name", "label_name", "target", "category", "y", "species", "class_label")
"""Names of a label column that are taken where only one of them is there."""

TRUTHS = ("true_label", "clean_label", "curated_label")
"""Names of a truth column that are taken without being asked for."""

_LOOKS_LIKE_TRUTH = re.compile(r"true|truth|clean|curated|gold|correct|verified", re.IGNORECASE)

CANDIDATES = frozenset({*PATHS, *FIRST_LABELS, *LABELS, *TRUTHS, "split"})
"""All names that are recognised, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a table that matter, named exactly as the table does.

    Parameters
    ----------
    path, label
        Always there.
    truth, split
        ``None`` where the table has none.
    """

    path: str
    label: str
    truth: str | None = None
    split: str | None = None

    def names(self) -> tuple[str, ...]:
        """Return the distinct columns to be read."""
        chosen = (self.path, self.label, self.truth, self.split)
        return tuple(dict.fromkeys(name for name in chosen if name is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The columns that the user named; ``None`` for those to be found by their names."""

    path: str | None = None
    label: str | None = None
    truth: str | None = None
    split: str | None = None

    def by_flag(self) -> dict[str, str]:
        """Return the names that were given, by the flag that gives them."""
        flags = {
            "--path-column": self.path,
            "--label-column": self.label,
            "--truth-column": self.truth,
            "--split-column": self.split,
        }
        return {flag: name for flag, name in flags.items() if name}


def choose(table: str, present: Sequence[str], asked: Asked) -> Columns:
    """Return the columns that were asked for, and find the others by their names.

    Columns that look like truth are never taken for the label unless asked for.

    Parameters
    ----------
    table
        What messages call the table.
    present
        Names of its columns.
    asked
        What the user asked for.

    Raises
    ------
    InputError
        If a column is missing or ambiguous; names the columns present and the flag to use.
    """
    chosen = Columns(
        path=_asked(table, present, asked.path, "--path-column") or _find_path(table, present),
        label=_asked(table, present, asked.label, "--label-column") or _find_label(table, present),
        truth=_asked(table, present, asked.truth, "--truth-column") or _find(present, TRUTHS),
        split=_asked(table, present, asked.split, "--split-column") or _find(present, ("split",)),
    )
    if chosen.path == chosen.label:
        raise InputError(
            f"{table}: column {chosen.path!r} cannot be both path and label; "
            f"{_present(present)}; choose with --path-column and --label-column."
        )
    for name in chosen.names():
        if present.count(name) > 1:
            raise InputError(f"{table} has {present.count(name)} columns {name!r}; rename one.")
    if chosen.truth is not None and asked.truth is None and chosen.truth == chosen.label:
        return Columns(path=chosen.path, label=chosen.label, split=chosen.split)
    return chosen


def folded(name: str) -> str:
    """Return a column's name as names are compared: no spaces around it, lower case."""
    return name.strip().casefold()


def _asked(table: str, present: Sequence[str], name: str | None, flag: str) -> str | None:
    if name is None:
        return None
    if name in present:
        return name
    alike = [column for column in present if folded(column) == folded(name)]
    if len(alike) == 1:
        return alike[0]
    raise InputError(f"{table} has no column {name!r} ({flag}); {_present(present)}.")


def _find(present: Sequence[str], candidates: Sequence[str]) -> str | None:
    for candidate in candidates:
        alike = [column for column in present if folded(column) == candidate]
        if alike:
            return candidate if candidate in alike else alike[0]
    return None


def _find_path(table: str, present: Sequence[str]) -> str:
    found = _find(present, PATHS)
    if found is None:
        raise InputError(
            f"{table} has no column that is named like a path; {_present(present)}; "
            "name it with --path-column."
        )
    return found


def _find_label(table: str, present: Sequence[str]) -> str:
    first = _find(present, FIRST_LABELS)
    if first is not None:
        return first
    alike = [c for c in present if folded(c) in LABELS and not _LOOKS_LIKE_TRUTH.search(c)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        which = " and ".join(map(repr, alike))
        problem = f"{table} has several columns that could be the label, {which}"
    else:
        problem = f"{table} has no column that is named like a label"
    raise InputError(f"{problem}; {_present(present)}; name it with --label-column.")


def _present(present: Sequence[str]) -> str:
    shown = ", ".join(map(repr, present[:20])) + (", …" if len(present) > 20 else "")
    return f"its columns are {shown}" if len(present) != 1 else f"its only column is {shown}"
