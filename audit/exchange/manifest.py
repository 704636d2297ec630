"""What an export was made from: written last, beside the output or inside the folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.exchange.corrected import Counts
from audit.records.decision import from_iso, to_iso


class Format(StrEnum):
    """Forms of corrected labels."""

    CSV = "csv"
    PARQUET = "parquet"
    PATCH = "patch"
    FOLDER = "folder"
    ORIGINAL = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Names every input of an export.

    Parameters
    ----------
    format
        Form of the output.
    dataset, dataset_fingerprint
        Name and fingerprint of the dataset.
    label_version
        Version of the labels that the decisions make.
    last_decision
        Number in the log of the last decision or undo that counts, ``None`` if there is none.
    counts
        How many samples it is about.
    created_at
        When it was made, UTC.
    labeltrace_version
        Version of the program that made it.
    sha256
        Of the output's bytes; for a folder of `folders.listing`.
    folder
        For a folder: how classes became folder names and how images were put there.
    """

    format: Format
    dataset: str
    dataset_fingerprint: str
    label_version: str
    last_decision: int | None
    counts: Counts
    created_at: datetime
    labeltrace_version: str
    sha256: str
    folder: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the keys of the contract, and what a folder adds."""
        values = {
            "format": str(self.format),
            "dataset": self.dataset,
            "dataset_fingerprint": self.dataset_fingerprint,
            "label_version": self.label_version,
            "last_decision": self.last_decision,
            "counts": self.counts.to_json(),
            "created_at": to_iso(self.created_at),
            "labeltrace_version": self.labeltrace_version,
            "sha256": self.sha256,
        }
        return values | dict(self.folder or {})


_KEYS = {
    "format",
    "dataset",
    "dataset_fingerprint",
    "label_version",
    "last_decision",
    "counts",
    "created_at",
    "labeltrace_version",
    "sha256",
}


ENDING = ".manifest.json"
"""What the manifest of a file is called after the file's own name."""


def place_of(out: Path) -> Path:
    """Return where the manifest of a file lies.

    Examples
    --------
    >>> place_of(Path("labels.csv")).name
    'labels.csv.manifest.json'
    """
    return out.with_name(out.name + ENDING)


def write(path: Path, manifest: Manifest) -> None:
    """Write a new manifest file, UTF-8, indented."""
    text = json.dumps(manifest.to_json(), ensure_ascii=False, indent=2) + "\n"
    with path.open("xb") as file:
        file.write(text.encode(errors="backslashreplace"))


def read(path: Path) -> Manifest:
    """Return the manifest that `write` wrote.

    Raises
    ------
    InputError
        If the file cannot be read or is no manifest.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        extra = {name: value for name, value in values.items() if name not in _KEYS}
        return Manifest(
            format=Format(values["format"]),
            dataset=values["dataset"],
            dataset_fingerprint=values["dataset_fingerprint"],
            label_version=values["label_version"],
            last_decision=values["last_decision"],
            counts=Counts(**values["counts"]),
            created_at=from_iso(values["created_at"]),
            labeltrace_version=values["labeltrace_version"],
            sha256=values["sha256"],
            folder=extra or None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(path)!r} is not the manifest of an export.") from error
