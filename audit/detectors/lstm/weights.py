"""A card and its network, from and to files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from audit.compute import weights as tensor_files
from audit.detectors.lstm import card as cards
from audit.detectors.lstm import network as networks
from audit.detectors.lstm.card import Card
from audit.detectors.lstm.network import NoiseLstm
from audit.errors import InputError, RefusedError, WorkspaceError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """A trained detector: what it is, and the network."""

    card: Card
    network: NoiseLstm


def load(path: Path) -> Weights:
    """Return the detector in a file.

    Raises
    ------
    InputError
        If file or card are missing, damaged, or do not belong together; one sentence.
    """
    card = cards.read(path)
    tensors = tensor_files.read_arrays(path)
    try:
        network = networks.of_tensors(tensors, len(card.channels))
    except InputError as error:
        raise InputError(f"Weights {path.name!r}: {error}") from error
    return Weights(card=card, network=network)


def targets(folder: Path, name: str) -> tuple[Path, Path]:
    """Return where weights of a name and their card belong in a folder."""
    return folder / f"{name}{cards.SUFFIXES[0]}", folder / f"{name}.json"


def refuse_existing(folder: Path, name: str) -> None:
    """Refuse to write where weights lie already.

    Raises
    ------
    RefusedError
        If either file exists.
    """
    for path in targets(folder, name):
        if path.exists():
            raise RefusedError(f"{str(path)!r} exists already; --force replaces it.")


def write_tensors(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> str:
    """Write weights and return their SHA-256; the card follows by `write_card`.

    Raises
    ------
    WorkspaceError
        If the folder cannot be made or written.
    """
    path, _ = targets(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"The folder {str(folder)!r} cannot be made: {error.strerror}."
        ) from error
    tensor_files.write_tensors(path, tensors)
    return cards.digest(path)


def write_card(folder: Path, card: Card) -> Path:
    """Write a card beside its weights; return where.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    _, path = targets(folder, card.name)
    text = json.dumps(card.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(f"{str(path)!r} cannot be written: {error.strerror}.") from error
    return path
