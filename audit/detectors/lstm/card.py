"""What a file of detector weights says about itself: a JSON beside it, checked before it is believed.

``NAME.json`` describes ``NAME.safetensors`` (or ``NAME.npz``). It comes from users as well, so that
every field is checked for kind and range; the file of weights is tied to it by its SHA-256.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from audit.detectors.lstm.profile import STATISTICS, Profile
from audit.detectors.lstm.sequences import FORMS
from audit.errors import InputError
from audit.numerics.calibration import Logistic

METHOD = "lstm"

SUFFIXES = (".safetensors", ".npz")
"""Of files of weights; nothing is unpickled."""

_MOST_BYTES = 1 << 20
"""A card is a page of text; more is a mistake or worse."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Where weights come from, what they reach, and what they are for.

    Parameters
    ----------
    name, version
        What they are called; the version is raised when weights of that name are made again.
    architecture, backbone, preset, schedule, epochs
        Of the trainings whose dynamics they learnt from: names as in `RunConfig`, number of epochs.
    data
        What was trained on, in words.
    noise_kind, noise_rate
        What was planted: ``symmetric``, and the fraction of rows, in (0, 1).
    n_classes, n_sequences, train_length
        Real classes, sequences learnt from (held-out ones included) and epochs of a sequence. Of
        several runs: the largest number of classes and the longest.
    channels
        Inputs per epoch, names in `sequences.CHANNELS`.
    seed, commit, command
        How to make them again.
    average_precision, roc_auc, f1
        On held-out sequences that chose nothing, each in [0, 1].
    threshold
        Calibrated probability with the best held-out F1, in (0, 1).
    calibration
        Logit → log odds of a wrong label, at `noise_rate`.
    profile
        How the sequences were distributed.
    sha256
        Of the file of weights, hexadecimal.
    """

    name: str
    version: int
    architecture: str
    backbone: str | None
    preset: str
    schedule: str
    epochs: int
    data: str
    noise_kind: str
    noise_rate: float
    n_classes: int
    n_sequences: int
    train_length: int
    channels: tuple[str, ...]
    seed: int
    commit: str
    command: str
    average_precision: float
    roc_auc: float
    f1: float
    threshold: float
    calibration: Logistic
    profile: Profile
    sha256: str

    def __post_init__(self) -> None:
        _require(_NAME.fullmatch(self.name), "name", "letters, digits, dots and dashes")
        for name in ("version", "epochs", "n_sequences", "train_length"):
            _require(getattr(self, name) >= 1, name, "at least 1")
        _require(self.n_classes >= 2, "n_classes", "at least 2")
        _require(self.seed >= 0, "seed", "not negative")
        for name in ("noise_rate", "threshold"):
            _require(0 < getattr(self, name) < 1, name, "between 0 and 1")
        for name in ("average_precision", "roc_auc", "f1"):
            _require(0 <= getattr(self, name) <= 1, name, "in [0, 1]")
        _require(self.channels in FORMS, "channels", " or ".join(",".join(f) for f in FORMS))
        _require(self.calibration.slope > 0, "calibration", "of a positive slope")
        _require(_DIGEST.fullmatch(self.sha256), "sha256", "64 hexadecimal digits")

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values; `from_json` gives the same record back."""
        values = asdict(self)
        values["channels"] = list(self.channels)
        values["profile"] = self.profile.to_json()
        return {"name": self.name, "version": self.version, "method": METHOD} | values

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return the card that a JSON object holds.

        Raises
        ------
        InputError
            If a field is missing, unknown, of another kind or out of range.
        """
        if not isinstance(values, dict):
            raise InputError("A card is a JSON object.")
        data: dict[str, Any] = dict(values)
        if data.pop("method", None) != METHOD:
            raise InputError(f"The card is not of the method {METHOD!r}.")
        known = {f.name for f in fields(cls)}
        for name in sorted(known ^ set(data)):
            what = "lacks" if name in known else "knows no"
            raise InputError(f"The card {what} field {name[:40]!r}.")
        return cls(**{name: _READERS.get(name, _text)(name, data[name]) for name in data})


def read(weights: Path) -> Card:
    """Return the card of a file of weights, and make sure that they belong together.

    Parameters
    ----------
    weights
        ``.safetensors`` or ``.npz``; the card lies beside it under the same name.

    Raises
    ------
    InputError
        If either is missing, of another kind, or damaged, or the weights are not those of the card.
    """
    if weights.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"Weights {weights.name!r} must be a {' or '.join(SUFFIXES)} file with its card beside it."
        )
    card = read_card(weights.with_suffix(".json"))
    if digest(weights) != card.sha256:
        raise InputError(
            f"Weights {weights.name!r} are not those that their card describes: the file was altered, "
            "cut short, or lies beside another one's card."
        )
    return card


def read_card(path: Path) -> Card:
    """Return the card in a file, without a look at the weights.

    Raises
    ------
    InputError
        If it is missing or no card.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"The card {path.name!r}, which says what weights were trained on, cannot be read "
            f"({error.strerror}); it belongs beside them."
        ) from error
    try:
        if len(data) > _MOST_BYTES:
            raise InputError("It is longer than any card.")
        # Depth beyond what the parser bears is a RecursionError, numbers beyond floats become infinite.
        return Card.from_json(json.loads(data))
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, InputError) else "It is no JSON."
        raise InputError(f"{path.name!r} is no card of detector weights: {reason}") from error


def identity(*described: Card) -> str:
    """Return one SHA-256 for cards and the weights they are tied to, in any order, hexadecimal."""
    texts = sorted(json.dumps(card.to_json(), sort_keys=True) for card in described)
    return hashlib.sha256("\n".join(texts).encode("ascii")).hexdigest()


def is_name(text: str) -> bool:
    """Return whether a text can name weights: it becomes the name of their file."""
    return _NAME.fullmatch(text) is not None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"Weights {str(path)!r} cannot be read: {error.strerror}.") from error


def _require(holds: object, name: str, expected: str) -> None:
    if not holds:
        raise InputError(f"The field {name!r} must be {expected}.")


def _text(name: str, value: object) -> str:
    is_line = isinstance(value, str) and len(value) <= 2000 and value.isprintable()
    _require(is_line, name, "a line of text")
    return str(value)


def _whole(name: str, value: object) -> int:
    _require(isinstance(value, int) and not isinstance(value, bool), name, "a whole number")
    assert isinstance(value, int)
    _require(abs(value) < 1 << 53, name, "a whole number of ordinary size")
    return value


def _number(name: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _require(is_number, name, "a number")
    assert isinstance(value, int | float)
    _require(abs(value) <= 1e300 and math.isfinite(value), name, "a finite number")
    return float(value)


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else _text(name, value)


def _channels(name: str, value: object) -> tuple[str, ...]:
    _require(isinstance(value, list) and len(value) <= 8, name, "a list of channels")
    assert isinstance(value, list)
    return tuple(_text(name, one) for one in value)


def _calibration(name: str, value: object) -> Logistic:
    is_pair = isinstance(value, dict) and set(value) == {"slope", "offset"}
    _require(is_pair, name, "slope and offset")
    assert isinstance(value, dict)
    return Logistic(slope=_number(name, value["slope"]), offset=_number(name, value["offset"]))


def _profile(name: str, value: object) -> Profile:
    is_table = isinstance(value, dict) and set(value) == {"levels", *STATISTICS}
    _require(is_table, name, f"levels, {', '.join(STATISTICS)}")
    assert isinstance(value, dict)
    for column in value.values():
        _require(isinstance(column, list) and 2 <= len(column) <= 1000, name, "lists of numbers")
    table = {key: tuple(_number(name, one) for one in column) for key, column in value.items()}
    return Profile(levels=table.pop("levels"), quantiles=table)


_READERS: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(
        ("version", "epochs", "n_classes", "n_sequences", "train_length", "seed"), _whole
    ),
    **dict.fromkeys(("noise_rate", "threshold", "average_precision", "roc_auc", "f1"), _number),
    "backbone": _optional_text,
    "channels": _channels,
    "calibration": _calibration,
    "profile": _profile,
}
"""Field → reader of its JSON value; all others are lines of text."""
