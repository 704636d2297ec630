"""Turns what a user writes (a name, an id, the beginning of an id) into an id."""

import sqlalchemy as sa

from audit.errors import NotFoundError

_MOST_LISTED = 10


def resolve(connection: sa.Connection, table: sa.Table, reference: str, *, noun: str) -> str:
    """Return the id that a reference means.

    Parameters
    ----------
    connection
        An open transaction.
    table
        A table with the columns ``id`` and, where the noun has names, ``name``.
    reference
        A name, an id, or the beginning of exactly one id; a name wins over an id.
    noun
        Singular, for the sentence: ``dataset``, ``run``, ``job``.

    Raises
    ------
    NotFoundError
        If nothing or more than one thing fits; the sentence says what exists.
    """
    exact = [table.c.name == reference] if "name" in table.c else []
    for condition in [*exact, table.c.id == reference]:
        found = connection.execute(sa.select(table.c.id).where(condition)).scalar()
        if found is not None:
            return found
    # Not LIKE: a reference may hold its wildcards.
    begins = sa.func.substr(table.c.id, 1, len(reference)) == reference
    described = _describe(connection, table, begins if reference else sa.false())
    if len(described) == 1:
        return described[0][0]
    if described:
        raise NotFoundError(
            f"{reference!r} could be {len(described)} {noun}s: {_enumerate(described)}; "
            "write more of the id."
        )
    everything = _describe(connection, table, sa.true())
    if not everything:
        raise NotFoundError(f"There is no {noun} {reference!r}: this workspace has none yet.")
    raise NotFoundError(f"There is no {noun} {reference!r}; there are: {_enumerate(everything)}.")


def free_name(connection: sa.Connection, table: sa.Table, wanted: str) -> str:
    """Return the name that is wanted, or the first of ``name-2``, ``name-3``, … that is free."""
    taken = set(connection.execute(sa.select(table.c.name)).scalars())
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"


def in_a_line(name: str) -> str:
    r"""Return a name as it may stand in a sentence: quoted if it holds a newline or the like.

    Examples
    --------
    >>> in_a_line("two\nlines")
    "'two\\nlines'"
    """
    return name if name.isprintable() else repr(name)


def _describe(
    connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]
) -> list[tuple[str, str]]:
    name = table.c.name if "name" in table.c else table.c.id
    query = sa.select(table.c.id, name).where(condition).order_by(table.c.created_at.desc())
    return [(row[0], row[1]) for row in connection.execute(query)]


def _enumerate(described: list[tuple[str, str]]) -> str:
    shown = [
        identity if name == identity else f"{in_a_line(name)} ({identity})"
        for identity, name in described[:_MOST_LISTED]
    ]
    more = len(described) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
