"""What an import would store, before anything is stored."""

import base64
from collections.abc import Mapping

import streamlit as st

from audit.records.dataset import ImportPlan, SourceKind
from audit.ui import class_list, figures, palette
from audit.ui.texts import plain
from audit.workbench import contents, importing
from audit.workbench.contents import Contents
from audit.workbench.importing import Looked
from audit.workbench.shelf import Shelf

_MOST_LISTED = 1000

KINDS: Mapping[SourceKind, str] = {
    SourceKind.FOLDER: "A folder with one folder per class",
    SourceKind.TABLE: "A table of paths and labels",
    SourceKind.ARRAYS: "Arrays in an .npz file",
}
"""What a kind of source is called."""


def draw(shelf: Shelf, looked: Looked) -> str | None:
    """Draw a plan and return the name to import it under once somebody asks for that."""
    plan, holds = looked.plan, looked.holds
    colours = palette.current()
    with st.container(border=True, key="import_plan"):
        st.header("What would be imported")
        st.text(f"{KINDS[plan.source.kind]}: {plan.source.location}")
        st.html(figures.block(figures.numbers(numbers(holds, len(plan.skipped))), colours))
        for warning in plan.warnings:
            st.warning(plain(warning), icon=":material/warning:")
        asked = _ask_name(looked)
        st.caption(plain(" ".join((told(plan, holds), contents.balance(holds)))))
        _lists(looked)
        ground = figures.ground(colours)

        def sheet_of(positions: tuple[int, ...]) -> str | None:
            if not positions:
                return None
            red, green, blue = bytes.fromhex(ground[1:])
            drawn = importing.preview(shelf, looked, positions, class_list.SIDE, (red, green, blue))
            return f"data:{drawn.media_type};base64,{base64.b64encode(drawn.data).decode()}"

        class_list.draw(looked.seen, holds, key=f"plan_classes_{looked.token}", sheet_of=sheet_of)
    return asked


def numbers(holds: Contents, n_skipped: int = 0) -> list[tuple[str, str]]:
    """Return the counts of a dataset or plan that are worth a large number."""
    shown = [
        (f"{holds.n_samples:,}", "sample" if holds.n_samples == 1 else "samples"),
        (f"{holds.n_classes:,}", "classes"),
    ]
    if len(holds.splits) > 1:
        shown += [(f"{count:,}", str(split)) for split, count in holds.splits]
    if holds.n_unlabelled:
        shown.append((f"{holds.n_unlabelled:,}", "unlabelled"))
    if holds.n_problems:
        shown.append((f"{holds.n_problems:,}", "cannot be used"))
    if n_skipped:
        # Beyond the thousand that are named, the plan sums up.
        shown.append((f"{n_skipped:,}" if n_skipped <= _MOST_LISTED else "1,000+", "skipped"))
    return shown


def told(plan: ImportPlan, holds: Contents) -> str:
    """Return in sentences how the source was read."""
    sentences: list[str] = []
    options = plan.source.options
    if "label_column" in options:
        sentences.append(
            f"Paths are read from the column “{options.get('path_column', '')}” and labels from "
            f"“{options['label_column']}”."
        )
    if plan.truth is not None:
        sentences.append("True labels are there; they are kept apart, for evaluation only.")
    if len(holds.splits) == 1 and str(holds.splits[0][0]) == "train":
        sentences.append("No split is given: every sample can be trained on.")
    elif len(holds.splits) > 1:
        sentences.append("Only the train samples are trained on and scored.")
    return " ".join(sentences)


def _ask_name(looked: Looked) -> str | None:
    if looked.known is not None:
        st.info(
            f"This source is imported already, as {plain(looked.known)}. Another name stores it a "
            "second time.",
            icon=":material/inventory_2:",
        )
    with (
        st.form(f"import_name_form_{looked.token}", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        name = st.text_input(
            "Name",
            value=looked.suggested_name,
            key=f"import_name_{looked.token}",
            max_chars=100,
            width=320,
        )
        sent = st.form_submit_button(
            "Import", type="primary", key=f"import_go_{looked.token}", icon=":material/check:"
        )
    return (name or "") if sent else None


def _lists(looked: Looked) -> None:
    plan = looked.plan
    if plan.problems:
        count = len(plan.problems)
        title = "1 sample cannot be used" if count == 1 else f"{count:,} samples cannot be used"
        with st.expander(title, icon=":material/broken_image:"):
            rows = contents.problem_rows(looked.seen, _MOST_LISTED)
            _table(("Sample", "Why"), [(key, why) for _, key, why in rows], "import_problems")
            if count > _MOST_LISTED:
                st.caption(f"The first {_MOST_LISTED:,} of {count:,}.")
    if plan.skipped:
        count = len(plan.skipped)
        title = "1 thing is skipped" if count == 1 else f"{count:,} things are skipped"
        title = title if count <= _MOST_LISTED else f"More than {_MOST_LISTED:,} things are skipped"
        with st.expander(title, icon=":material/filter_alt_off:"):
            _table(
                ("Name", "Why"), [(one.name, one.reason) for one in plan.skipped], "import_skipped"
            )


def _table(columns: tuple[str, str], rows: list[tuple[str, str]], key: str) -> None:
    st.dataframe(
        [dict(zip(columns, row, strict=True)) for row in rows],
        hide_index=True,
        key=key,
        height="content" if len(rows) <= 8 else 320,
        alt=f"{columns[0]} and reason, {len(rows)} rows",
    )
