"""A finished explanation with its course and its words, as commands print and write it."""

from pathlib import Path

from audit.exchange import explanation_files
from audit.exchange.explanation_files import Sheet
from audit.records.dataset import Dataset
from audit.records.explanation import Explanation
from audit.workbench import explaining, explanation_course, explanation_words
from audit.workbench.exporting import kept_from_writing
from audit.workbench.shelf import Shelf


def make(shelf: Shelf, dataset: Dataset, explanation: Explanation) -> Sheet:
    """Return an explanation with everything that is read beside it.

    Raises
    ------
    NotFoundError, WorkspaceError
        As `explanation_course.of`.
    """
    run = explaining.run_of(shelf.workspace, explanation)
    course = explanation_course.of(shelf, dataset, run, explanation)
    label = explanation.baseline_label
    return Sheet(
        dataset=dataset.name,
        sample_key=dataset.sample_keys[explanation.sample],
        explanation=explanation,
        course=course,
        sentence=explanation_words.story(course),
        finding=explanation_words.finding(explanation),
        faithfulness=explanation_words.faithfulness(explanation),
        basis=explanation_words.basis(
            explanation, None if label is None else dataset.class_names[label]
        ),
    )


def check_path(shelf: Shelf, dataset: Dataset, out: Path, *, force: bool) -> None:
    """Refuse a file before any work is done for it; errors are those of `explanation_files.check_path`."""
    kept = kept_from_writing(shelf.workspace)
    explanation_files.check_path(out, force=force, dataset=dataset, kept=kept)


def write(shelf: Shelf, dataset: Dataset, sheet: Sheet, out: Path, *, force: bool) -> None:
    """Write a sheet as ``.json`` or ``.png``; errors are those of `explanation_files.write`."""
    kept = kept_from_writing(shelf.workspace)
    explanation_files.write(sheet, out, force=force, dataset=dataset, kept=kept)
