"""Every error that labeltrace raises on purpose, under one root.

A message is one sentence in one line: what was expected, what came, what to do or what exists.
Low code states the fact; the border adds names (run, sample, file).
"""


class AuditError(Exception):
    """Anything that labeltrace refuses or cannot do, with a sentence for the user."""


class InputError(AuditError, ValueError):
    """A source, file, table, option or name that cannot be used as it is."""


class SampleError(InputError):
    """One sample's image cannot be used; the rest goes on."""


class NotFoundError(AuditError, LookupError):
    """A dataset, run, job, sample or class that does not exist; says what exists."""


class RefusedError(AuditError):
    """An act that would lose or mix something: existing output, other data's patch, a running run."""


class WorkspaceError(AuditError, OSError):
    """The workspace cannot be read or written: read-only, full, or made by a newer version."""


class TrainingError(AuditError, RuntimeError):
    """A training cannot go on: loss not finite, out of memory, weights that do not fit."""


class UnreliableError(AuditError, ValueError):
    """A detector cannot give an answer that may be trusted on these dynamics."""


class StoppedError(AuditError):
    """A long verb was asked to stop and did; what was finished before is kept."""
