"""From a detector's name and parameters to the detector."""

from collections.abc import Callable, Mapping
from typing import Any

from audit.detectors import catalog, direct, parameters
from audit.detectors.aum import Aum
from audit.detectors.dynacor.detector import DynaCor
from audit.detectors.mixture import Mixture
from audit.detectors.planted import Planted
from audit.detectors.protocol import Detector
from audit.errors import InputError
from audit.records.scores import DetectorSpec

_BUILDERS: Mapping[str, Callable[[catalog.Entry, Mapping[str, Any]], Detector]] = {
    "aum": lambda entry, params: Aum(**params),
    "lstm": lambda entry, params: _lstm(params),
    "dynacor": lambda entry, params: DynaCor(**params),
    "planted": lambda entry, params: Planted(),
    "margin": direct.Direct,
    "late_margin": direct.Direct,
    "tanh_epoch": direct.Direct,
    "log_ratio": direct.Direct,
    "mixture": Mixture,
}


def _lstm(params: Mapping[str, Any]) -> Detector:
    from audit.detectors.lstm import detector  # noqa: PLC0415 - torch takes seconds to import

    return detector.build(params)


def names() -> tuple[str, ...]:
    """Return the names of all detectors that can be built."""
    return tuple(_BUILDERS)


def build(name: str, params: Mapping[str, object] | None = None) -> Detector:
    """Return a detector ready to score.

    Parameters
    ----------
    name
        As in the catalogue.
    params
        Settings that differ from the defaults.

    Returns
    -------
    Detector
        Its `spec` holds every parameter, so that equal settings make equal specs.

    Raises
    ------
    NotFoundError
        If there is no detector of this name.
    InputError
        If a parameter is unknown or out of range.

    Examples
    --------
    >>> build("margin").spec.params
    {'skip_first': 1}
    """
    entry = catalog.entry(name)
    return _BUILDERS[name](entry, parameters.complete(name, entry.parameters, params or {}))


def rebuild(spec: DetectorSpec) -> Detector:
    """Return the detector that a stored spec describes.

    Raises
    ------
    NotFoundError, InputError
        As `build`; also if the spec was written by another version of the formula.
    """
    current = catalog.entry(spec.name).version
    if spec.version != current:
        raise InputError(
            f"{spec.name} is version {current} here, the stored scores are of version "
            f"{spec.version}; score the runs again."
        )
    return build(spec.name, spec.params)
