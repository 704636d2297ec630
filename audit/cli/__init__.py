"""The terminal: one word per verb, data on stdout, progress and messages on stderr.

``session`` surroundings of a command · ``following`` progress of jobs · ``datasets``, ``runs``,
``scores``, ``decisions``, ``exports``, ``system`` the commands, grouped as ``--help`` shows them.

Exit codes: 0 done, 1 failed or refused with one sentence, 2 wrong usage, 130 interrupted.
"""

from audit.cli.application import main

__all__ = ["main"]
