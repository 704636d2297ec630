"""Explanations as files: plain values for programs, and a picture for reports."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.exchange import explanation_picture, writing
from audit.records.dataset import Dataset
from audit.records.explanation import Course, Envelope, Explanation

ENDINGS = (".json", ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """An explanation with everything that is read beside it.

    Parameters
    ----------
    dataset, sample_key
        Names.
    explanation, course
        What was found, and what it is drawn under.
    sentence
        What the network called the sample.
    finding, faithfulness, basis
        What the suspicion rests on, whether that holds, and how it was found; sentences, the second
        ``None`` where it was not checked.
    """

    dataset: str
    sample_key: str
    explanation: Explanation
    course: Course
    sentence: str
    finding: str
    faithfulness: str | None
    basis: str


def check_path(
    out: Path,
    *,
    force: bool,
    dataset: Dataset | None = None,
    kept: Mapping[Path, str] | None = None,
) -> None:
    """Refuse a file before any work is done for it.

    Raises
    ------
    InputError
        If its ending is none of `ENDINGS`.
    RefusedError
        As `writing.check`.
    """
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"{str(out)!r} must end in .json or .png.")
    writing.check(out, dataset=dataset, force=force, kept=kept)


def write(
    sheet: Sheet,
    out: Path,
    *,
    force: bool,
    dataset: Dataset | None = None,
    kept: Mapping[Path, str] | None = None,
) -> None:
    """Write an explanation in the form that the ending stands for.

    Raises
    ------
    InputError, RefusedError
        As `check_path`.
    WorkspaceError
        If the disk is full or cannot be written.
    """
    check_path(out, force=force, dataset=dataset, kept=kept)
    with writing.staged(out, dataset=dataset, force=force, kept=kept) as (stage,):
        if out.suffix.lower() == ".json":
            text = json.dumps(to_json(sheet), ensure_ascii=False, indent=2, allow_nan=False)
            stage.write_text(text + "\n", encoding="utf-8")
            return
        picture = explanation_picture.draw(
            title=f"Sample {_ending(sheet.sample_key)}, given {_quoted(sheet.course.given)}, explained "
            f"for {sheet.explanation.method}",
            sentence=sheet.sentence,
            remarks=tuple(
                text
                for text in (sheet.finding, sheet.faithfulness, sheet.basis)
                if text is not None
            ),
            course=sheet.course,
            explanation=sheet.explanation,
        )
        picture.save(stage, format="PNG", optimize=True)


def to_json(sheet: Sheet) -> dict[str, Any]:
    """Return an explanation as plain JSON values; numbers that are not finite become null."""
    found, course = sheet.explanation, sheet.course
    faithfulness: dict[str, Any] | None = None
    if found.faithfulness is not None:
        named = [list(found.blocks[place]) for place in found.faithfulness.blocks]
        faithfulness = {
            **asdict(found.faithfulness),
            "blocks": named,
            "sentence": sheet.faithfulness,
        }
    return {
        "dataset": sheet.dataset,
        "sample_key": sheet.sample_key,
        "given_label": course.given,
        "run": course.run_name,
        "run_id": found.run_id,
        "method": found.method,
        "scores_id": found.scores_id,
        "sentence": sheet.sentence,
        "suspicion": found.suspicion,
        "suspicion_occluded": found.suspicion_occluded,
        "r_squared": found.r_squared,
        "reliable": found.is_reliable,
        "finding": sheet.finding,
        "importance": [
            {"first_epoch": first, "last_epoch": last, "importance": value}
            for (first, last), value in zip(found.blocks, found.importance, strict=True)
        ],
        "intercept": found.intercept,
        "faithfulness": faithfulness,
        "settings": {
            "signals": list(found.signals),
            "masks": found.n_masks,
            "seed": found.seed,
            "baseline_rows": found.baseline_rows,
            "basis": sheet.basis,
        },
        "trajectory": {
            "margin": _finite(course.margins),
            "said": list(course.said),
            "clean_looking": _envelope(course.clean),
            "planted": _envelope(course.planted),
        },
    }


def _envelope(found: Envelope | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "rows": found.name,
        "n_rows": found.n_rows,
        "n_used": found.n_used,
        "percentiles": list(found.percentiles),
        "low": _finite(found.low),
        "middle": _finite(found.middle),
        "high": _finite(found.high),
    }


def _finite(values: tuple[float, ...]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _quoted(name: str) -> str:
    return f"‘{name if len(name) <= 30 else name[:29] + '…'}’"


def _ending(key: str) -> str:
    return key if len(key) <= 36 else f"…{key[-35:]}"
