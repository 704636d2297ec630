"""Decisions as a JSON lines patch: what one person sends another, and what is applied again.

The first line says which data it belongs to; then one decision per line, sorted by sample key. The
file is UTF-8, one line end at the end of each line, keys always in the same order, so that equal
decisions are equal bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from audit.errors import AuditError, InputError, RefusedError
from audit.records.dataset import UNLABELLED, Dataset
from audit.records.decision import Decision, Verdict, from_iso, to_iso

VERSION = 1
"""Version of the format that is written; later ones are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A patch that was read and fits its dataset.

    Parameters
    ----------
    base_version
        Version of the labels that it was made on.
    made_at
        When, UTC.
    decisions
        Sorted by sample key, one per sample.
    """

    base_version: str
    made_at: datetime
    decisions: tuple[Decision, ...]


def write(
    path: Path,
    *,
    dataset: Dataset,
    decisions: Iterable[Decision],
    base_version: str,
    made_at: datetime,
) -> None:
    """Write a new patch file.

    Raises
    ------
    InputError
        If a decision's evidence or text cannot be written as JSON.
    """
    header = {
        "labeltrace_patch": VERSION,
        "dataset_fingerprint": dataset.fingerprint,
        "classes": list(dataset.class_names),
        "base_version": base_version,
        "made_at": to_iso(made_at),
    }
    with path.open("xb") as file:
        file.write(_line(header))
        for decision in sorted(decisions, key=lambda one: one.sample_key):
            try:
                file.write(_line(_to_json(decision)))
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"The decision on {decision.sample_key!r} cannot be written as JSON: {error}."
                ) from error


def read(path: Path, dataset: Dataset) -> Patch:
    """Return the decisions of a patch, checked against the dataset that they are meant for.

    Raises
    ------
    InputError
        If the file cannot be read or a line is not valid; the sentence names the line.
    RefusedError
        If the patch is for other data or was written by a newer version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The patch {str(path)!r} cannot be read: {error.strerror}.") from error
    # Only "\n" ends a line: JSON strings may hold U+2028 and its like as they are.
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    header = _object(lines[0], 1)
    _check_header(header, dataset)
    keys = dataset.positions()
    seen: dict[str, int] = {}
    decisions: list[Decision] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        values = _object(line, number)
        try:
            decision = _from_json(values, dataset, keys)
        except RefusedError as error:
            raise RefusedError(f"Line {number} of the patch: {error}") from error
        except AuditError as error:
            raise InputError(f"Line {number} of the patch: {error}") from error
        first = seen.setdefault(decision.sample_key, number)
        if first != number:
            raise InputError(
                f"Line {number} of the patch: {decision.sample_key!r} stands in line {first} too."
            )
        decisions.append(decision)
    try:
        made_at = from_iso(_text(header, "made_at"))
        base_version = _text(header, "base_version")
    except InputError as error:
        raise InputError(f"Line 1 of the patch: {error}") from error
    decisions.sort(key=lambda one: one.sample_key)
    return Patch(base_version=base_version, made_at=made_at, decisions=tuple(decisions))


def _line(values: Mapping[str, object]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _to_json(decision: Decision) -> dict[str, object]:
    return {
        "sample_key": decision.sample_key,
        "given_label": decision.given_label,
        "verdict": str(decision.verdict),
        "label": decision.label,
        "reviewer": decision.reviewer,
        "decided_at": to_iso(decision.decided_at),
        "note": decision.note,
        "evidence": None if decision.evidence is None else dict(decision.evidence),
    }


def _object(line: bytes, number: int) -> dict[str, object]:
    try:
        values = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"Line {number} of the patch is not JSON.") from error
    if not isinstance(values, dict):
        raise InputError(f"Line {number} of the patch is not a JSON object.")
    return cast("dict[str, object]", values)


def _check_header(header: Mapping[str, object], dataset: Dataset) -> None:
    version = header.get("labeltrace_patch")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError('Line 1 of the patch: expected {"labeltrace_patch": 1, …}.')
    if version > VERSION:
        raise RefusedError(
            f"The patch is of version {version}, this labeltrace reads up to {VERSION}: update it."
        )
    if header.get("dataset_fingerprint") != dataset.fingerprint:
        raise RefusedError(
            "The patch is for other data: its fingerprint is "
            f"{header.get('dataset_fingerprint')!r}, that of {dataset.name!r} is "
            f"{dataset.fingerprint!r}."
        )
    if header.get("classes") != list(dataset.class_names):
        raise RefusedError(f"The patch lists other classes than {dataset.name!r} has.")


def _from_json(values: Mapping[str, object], dataset: Dataset, keys: Mapping[str, int]) -> Decision:
    key = _text(values, "sample_key")
    if key not in keys:
        raise RefusedError(f"{dataset.name!r} has no sample {key!r}.")
    index = int(dataset.given_labels[keys[key]])
    given = None if index == UNLABELLED else dataset.class_names[index]
    if "given_label" not in values or values["given_label"] != given:
        raise RefusedError(
            f"the given label of {key!r} is {given!r}, not {values.get('given_label')!r}."
        )
    verdict = _text(values, "verdict")
    if verdict not in list(Verdict):
        raise InputError(f"{verdict!r} is no verdict, expected one of {[str(v) for v in Verdict]}.")
    label = _optional_text(values, "label")
    if verdict == Verdict.KEEP:
        if label not in (None, given):
            raise InputError(f"keep leaves the label {given!r}, the patch says {label!r}.")
        label = given
    elif label is not None and label not in dataset.class_names:
        raise InputError(f"{label!r} is no class of {dataset.name!r}.")
    evidence = values.get("evidence")
    if evidence is not None and not isinstance(evidence, dict):
        raise InputError("evidence must be an object or null.")
    return Decision(
        dataset_id=dataset.id,
        sample_key=key,
        given_label=given,
        verdict=Verdict(verdict),
        label=label,
        reviewer=_text(values, "reviewer"),
        decided_at=from_iso(_text(values, "decided_at")),
        note=_optional_text(values, "note") or "",
        evidence=cast("dict[str, object] | None", evidence),
    )


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise InputError(f"{name} must be a text, got {value!r}.")
    return value


def _optional_text(values: Mapping[str, object], name: str) -> str | None:
    return None if values.get(name) is None else _text(values, name)
