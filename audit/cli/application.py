"""The command ``labeltrace``: its groups of commands, and what becomes of an error."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from audit import __version__
from audit.cli import (
    adopting,
    benching,
    comparing,
    corrupting,
    datasets,
    decisions,
    explaining,
    exports,
    fitting,
    labels,
    runs,
    scores,
    system,
)
from audit.cli import app as dashboard
from audit.cli.session import WorkspaceOption, as_command, printable
from audit.errors import AuditError

app = typer.Typer(
    name="labeltrace",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Find mislabelled images by watching how a network learns each label.\n\n"
        "The short way: [bold]labeltrace audit SOURCE --out suspects.csv[/bold]. Step by step: "
        "[bold]import[/bold] a source, [bold]train[/bold] on it, [bold]score[/bold] the run, "
        "[bold]decide[/bold] about the suspects, [bold]export[/bold] the corrected labels. "
        "[bold]labeltrace app[/bold] opens the dashboard that does all of it; "
        "[bold]labeltrace demo[/bold] shows it on scanned digits within two minutes."
    ),
)


_USAGE_ERROR = typer.BadParameter.__mro__[1]
"""What wrong usage raises; typer carries its own copy of click, so click's name for it is not the one."""


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"labeltrace {__version__}\n")
        raise typer.Exit


@app.callback()
def surroundings(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Keep the workspace that was named before the command."""
    del version
    context.obj = workspace if workspace is None else Path(workspace)


COMMANDS = (
    ("Datasets", "import", datasets.import_),
    ("Datasets", "list", datasets.list_),
    ("Datasets", "show", datasets.show),
    ("Datasets", "delete", datasets.delete),
    ("Datasets", "relocate", datasets.relocate),
    ("Datasets", "corrupt", corrupting.corrupt),
    ("Training", "train", runs.train),
    ("Training", "cancel", runs.cancel),
    ("Training", "resume", runs.resume),
    ("Training", "adopt", adopting.adopt),
    ("Finding suspects", "score", scores.score),
    ("Finding suspects", "audit", scores.audit),
    ("Finding suspects", "evaluate", scores.evaluate),
    ("Finding suspects", "explain", explaining.explain),
    ("Finding suspects", "methods", scores.methods),
    ("Finding suspects", "fit-lstm", fitting.fit_lstm),
    ("Deciding", "decide", decisions.decide),
    ("Deciding", "undo", decisions.undo),
    ("Corrected labels", "export", exports.export),
    ("Corrected labels", "apply", exports.apply),
    ("Corrected labels", "compare", comparing.compare),
    ("The dashboard", "app", dashboard.app),
    ("labeltrace itself", "demo", system.demo),
    ("labeltrace itself", "doctor", system.doctor),
    ("labeltrace itself", "bench", benching.bench),
)
"""Panel of ``--help``, word, function."""

for _panel, _word, _function in COMMANDS:
    app.command(_word, rich_help_panel=_panel)(as_command(_function))
app.add_typer(labels.labels, name="labels", rich_help_panel="Corrected labels")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments
        Words after ``labeltrace``; those of the command line when ``None``.

    Returns
    -------
    int
        0 done, 1 failed or refused, 2 wrong usage, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # a stream put in place by a test
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = app(args=words, prog_name="labeltrace", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  the last door: a sentence instead of a traceback
        if "--debug" in words and not isinstance(error, _USAGE_ERROR):
            traceback.print_exc()
        return _answer(error)
    # Typer turns Ctrl-C into this code and says nothing.
    return _say("interrupted", 130) if code == 130 else int(code or 0)


def _answer(error: BaseException) -> int:
    """Tell what went wrong in one sentence and return the exit code that stands for it."""
    if isinstance(error, _USAGE_ERROR):
        usage = io.StringIO()
        error.show(file=usage)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            sys.stderr.writelines(printable(line) + "\n" for line in usage.getvalue().splitlines())
        return 2
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _say("interrupted", 130)
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has gone; python would complain once more as it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, AuditError):
        return _say(str(error), 1)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return _say(
        f"Unexpected {type(error).__name__}: {error}. Run it again with --debug to see where.", 1
    )


def _say(sentence: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"labeltrace: {printable(' '.join(sentence.split()))}\n")
    return code
