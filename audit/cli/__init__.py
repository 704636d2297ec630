"""The terminal: one word per verb, data on stdout, progress and messages on stderr.

``application`` the command and what becomes of an error · ``session`` surroundings of a command ·
``following`` progress of jobs · ``datasets``, ``runs``, ``scores``, ``decisions``, ``exports``,
``labels``, ``system`` the commands, grouped as ``--help`` shows them.

Exit codes: 0 done, 1 failed or refused with one sentence, 2 wrong usage, 130 interrupted.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `audit.cli.application.main`."""
    try:
        from audit.cli import application  # noqa: PLC0415 - Ctrl-C while it is imported is answered too
    except KeyboardInterrupt:
        return 130
    return application.main(arguments)
