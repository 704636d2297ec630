"""One command's surroundings: the workspace it works in and how it speaks.

`as_command` gives a function the options that every command has, so that ``--workspace`` and
``--debug`` mean the same everywhere and are written down once.
"""

import functools
import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from audit.store.workspace import Workspace
from audit.workbench import places

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="DIR",
        help="Where labeltrace keeps what it knows. Wins over LABELTRACE_WORKSPACE.",
        show_default=False,
    ),
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show a traceback when something goes wrong.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@dataclass(frozen=True, slots=True)
class Session:
    """What a command needs of the world: a workspace, a place for data and one for messages.

    Parameters
    ----------
    workspace_path
        Folder of the workspace; it is made when it is first opened.
    """

    workspace_path: Path

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Open the workspace for the length of a block."""
        workspace = Workspace.open(self.workspace_path, database_url=places.database_url())
        try:
            yield workspace
        finally:
            workspace.close()

    @property
    def messages(self) -> Console:
        """Where progress and messages go: stderr."""
        return Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

    def say(self, message: str) -> None:
        """Tell the person at the terminal something that is no data."""
        self.messages.print(printable(message))

    def confirm(self, question: str) -> bool:
        """Ask on stderr, so that stdout stays data; only a yes on stdin is one."""
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not (answer.endswith("\n") and sys.stdin.isatty()):  # no Enter has ended the line
            sys.stderr.write("\n")
        return answer.strip().lower() in ("y", "yes")

    def print(self, text: str) -> None:
        """Write a line of data to stdout."""
        sys.stdout.write(text + "\n")

    def print_json(self, value: object) -> None:
        """Write a value as JSON to stdout; numbers that are not finite become null."""
        text = json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False)
        # JSON escapes some control characters only; the others may be written so as well.
        escaped = (c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
        sys.stdout.write("".join(escaped) + "\n")

    def print_table(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Write rows as a table to stdout; plain columns apart from a terminal's width."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(printable(cell) for cell in row))
        console = Console(file=sys.stdout, highlight=False, markup=False)
        if not console.is_terminal:
            console = Console(file=sys.stdout, highlight=False, markup=False, width=200)
        console.print(table)


def _finite(value: object) -> object:
    """Return a value as JSON can hold it: NaN and the infinities become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def printable(text: str) -> str:
    r"""Return a text with control characters escaped, so that a name cannot steer the terminal.

    Examples
    --------
    >>> print(printable("two" + chr(10) + "lines"))
    two\nlines
    """
    return "".join(
        c if c.isprintable() or c == " " else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function ``f(session, …)`` as typer wants it, with ``--workspace`` and ``--debug``.

    Parameters
    ----------
    function
        Takes a `Session` first; its other parameters are arguments and options.

    Returns
    -------
    callable
        Makes the session from the options and calls the function.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(
        context: typer.Context,
        workspace: Path | None = None,
        debug: bool = False,
        **options: object,
    ) -> None:
        del debug  # read from the command line by main(), which catches what commands raise
        before = context.obj if isinstance(context.obj, Path) else None
        function(Session(places.workspace_path(workspace or before)), **options)

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [p.replace(kind=keyword) for p in signature.parameters.values() if p.name != "session"]
    shared = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        inspect.Parameter("workspace", keyword, default=None, annotation=WorkspaceOption),
        inspect.Parameter("debug", keyword, default=False, annotation=DebugOption),
    ]
    wrapper.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
    return wrapper
