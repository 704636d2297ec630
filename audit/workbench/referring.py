"""What a word at the command line means when it may name things of several kinds."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import NotFoundError
from audit.store import datasets as dataset_rows
from audit.store import jobs as job_rows
from audit.store import runs as run_rows
from audit.store.references import in_a_line
from audit.store.workspace import Workspace

DATASET, RUN, JOB = "dataset", "run", "job"

_MOST_LISTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a reference means.

    Parameters
    ----------
    kind
        ``dataset``, ``run`` or ``job``.
    id, name
        Of the record; a job's name is its id.
    """

    kind: str
    id: str
    name: str


def resolve(workspace: Workspace, reference: str, kinds: Sequence[str]) -> Meant:
    """Return the one record of some kinds that a name, an id or the beginning of an id means.

    Raises
    ------
    NotFoundError
        As from `choose`.
    """
    known = [one for kind in kinds for one in _all(workspace, kind)]
    return choose(known, reference, kinds)


def choose(known: Sequence[Meant], reference: str, kinds: Sequence[str]) -> Meant:
    """Return the one of several records that a reference means.

    A name wins over an id, a whole id over the beginning of one.

    Parameters
    ----------
    known
        What there is.
    reference
        A name, an id or the beginning of an id.
    kinds
        What was looked for, for the sentence.

    Raises
    ------
    NotFoundError
        If nothing fits, or more than one thing does, be it of one kind or of several; the sentence
        names them.
    """
    for fitting in (
        [one for one in known if one.name == reference],
        [one for one in known if one.id == reference],
        [one for one in known if reference and one.id.startswith(reference)],
    ):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise NotFoundError(
                f"{reference!r} could be {_enumerate(fitting)}; write more of the id."
            )
    nouns = " or ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
    raise NotFoundError(
        f"There is no {nouns} {reference!r}; `labeltrace list {kinds[0]}s` shows what there is."
    )


def _all(workspace: Workspace, kind: str) -> list[Meant]:
    if kind == DATASET:
        return [Meant(kind=kind, id=d.id, name=d.name) for d in dataset_rows.all(workspace)]
    if kind == RUN:
        return [Meant(kind=kind, id=r.id, name=r.name) for r in run_rows.all(workspace)]
    return [Meant(kind=kind, id=j.id, name=j.id) for j in job_rows.every(workspace)]


def _enumerate(fitting: Sequence[Meant]) -> str:
    shown = [
        f"{one.kind} {one.id}"
        if one.name == one.id
        else f"{one.kind} {in_a_line(one.name)} ({one.id})"
        for one in fitting[:_MOST_LISTED]
    ]
    more = len(fitting) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
