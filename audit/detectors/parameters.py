"""Parameters of detectors: their defaults and ranges, and the check of what a user gave."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from audit.errors import InputError

ParameterValue = int | float | str | None
"""A plain JSON value."""


class ParameterKind(StrEnum):
    """What a value must be: a whole number, any finite number, one of a few words, or a line of text."""

    WHOLE = "whole"
    NUMBER = "number"
    CHOICE = "choice"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One setting of a detector.

    Parameters
    ----------
    name
        As in `DetectorSpec.params`.
    kind
        What values it takes.
    default
        Used where nothing is given; ``None`` also says that the value may be empty.
    minimum, maximum
        Closed range of a number, ``None`` = open.
    choices
        Words of a choice.
    is_path
        Whether a text may name a file; what a user types then means the folder it is typed in.
    help
        One or two sentences for forms and help.
    """

    name: str
    kind: ParameterKind
    default: ParameterValue
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    is_path: bool = False
    help: str

    def check(self, value: object) -> ParameterValue:
        """Return the value in its exact type.

        Raises
        ------
        InputError
            If it is of another kind or out of range; says what is expected.
        """
        if value is None and self.default is None:
            return None
        if self.kind is ParameterKind.CHOICE:
            if isinstance(value, str) and value in self.choices:
                return str(value)
            raise InputError(
                f"{self.name} must be one of {', '.join(self.choices)}; got {value!r}."
            )
        if self.kind is ParameterKind.TEXT:
            if isinstance(value, str) and value and value.isprintable():
                return str(value)
            raise InputError(f"{self.name} must be a line of text, got {value!r}.")
        # A bool is an int to Python, but nobody means an epoch count by True.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{self.name} must be a number, got {value!r}.")
        if not math.isfinite(value):
            raise InputError(f"{self.name} must be a finite number, got {value!r}.")
        if self.kind is ParameterKind.WHOLE and value != int(value):
            raise InputError(f"{self.name} must be a whole number, got {value!r}.")
        if not (-math.inf if self.minimum is None else self.minimum) <= value:
            raise InputError(f"{self.name} must be at least {self.minimum:g}, got {value}.")
        if not value <= (math.inf if self.maximum is None else self.maximum):
            raise InputError(f"{self.name} must be at most {self.maximum:g}, got {value}.")
        return int(value) if self.kind is ParameterKind.WHOLE else float(value)


def complete(
    method: str, known: tuple[Parameter, ...], given: Mapping[str, object]
) -> dict[str, ParameterValue]:
    """Return every parameter of a method, given or default, checked.

    Parameters
    ----------
    method
        Its name, for the message.
    known
        Its parameters.
    given
        What a user set.

    Returns
    -------
    dict
        In the order of `known`.

    Raises
    ------
    InputError
        If a name is unknown or a value does not fit.
    """
    unknown = sorted(set(given) - {parameter.name for parameter in known})
    if unknown:
        there_are = ", ".join(parameter.name for parameter in known) or "none"
        raise InputError(f"{method} has no parameter {unknown[0]!r}; there are: {there_are}.")
    return {p.name: p.check(given[p.name]) if p.name in given else p.default for p in known}
