"""What Export is drawn with: counts as one bar, forms as cards, options, the place, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

from audit.records.dataset import Dataset
from audit.ui import palette
from audit.workbench.export_previews import Form, Preview

_SHEET = (Path(__file__).parent / "form.css").read_text(encoding="utf-8")
_LINKS = {
    "hard": "Hard links: no extra space, on the same disk only",
    "symbolic": "Symbolic links: no extra space, break when the source moves",
    "copy": "Copies: stand on their own",
}
_COUNTS: Mapping[str, tuple[str, str]] = {
    "kept": ("Kept", "keep"),
    "relabelled": ("Relabelled", "relabel"),
    "unsure": ("Unsure", "unsure"),
    "undecided": ("Undecided", "line"),
    "excluded": ("Excluded", "exclude"),
    "unreadable": ("Unreadable", "faint"),
    "unlabelled": ("Unlabelled", "threshold"),
}
"""Count of the manifest → its name on the screen and its colour in the palette."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an export is written.

    Parameters
    ----------
    link
        ``hard``, ``symbolic`` or ``copy``.
    spreadsheet_safe
        Whether cells are guarded against being run as formulas.
    """

    link: str = "hard"
    spreadsheet_safe: bool = False


def style() -> None:
    """Load the style sheet that makes cards of the choice of forms."""
    colours = palette.current()
    names = f":root {{ --lt-line: {colours.line}; --lt-chosen: {colours.keep}; }}"
    st.html(f"<style>{names}\n{_SHEET}</style>")


def draw_counts(preview: Preview) -> None:
    """Draw what an export would hold as one bar, with every count of the manifest beneath it."""
    counts, colours = preview.counts.to_json(), asdict(palette.current())
    parts = [(name, colours[colour], counts[key]) for key, (name, colour) in _COUNTS.items()]
    said = ", ".join(f"{name.lower()} {count:,}" for name, _, count in parts)
    bar = "".join(
        f'<i style="flex-grow:{count};background:{colour}"></i>'
        for _, colour, count in parts
        if count
    )
    legend = "".join(
        f'<li class="{"some" if count else "none"}"><i style="background:{colour}"></i>'
        f"<b>{count:,}</b> {name}</li>"
        for name, colour, count in parts
    )
    carried = f"<b>{preview.n_rows:,}</b> of {counts['samples']:,} samples are exported"
    st.html(
        f'<section class="lt-counts"><p>{carried}</p>'
        f'<div class="lt-bar" role="img" aria-label="Samples: {said}">{bar}</div>'
        f"<ul>{legend}</ul></section>"
    )


def choose_form(forms: Sequence[Form]) -> Form:
    """Draw the forms that fit as cards, say why others do not, and return the chosen one."""
    fitting = {form.name: form for form in forms if form.hindrance is None}
    asked = st.query_params.get("format")
    name = st.radio(
        "Form",
        list(fitting),
        index=list(fitting).index(asked) if asked in fitting else 0,
        format_func=lambda one: fitting[one].title,
        captions=[f"{form.what} {form.when}" for form in fitting.values()],
        key="export-form",
        label_visibility="collapsed",
    )
    for form in forms:
        if form.hindrance is not None:
            st.caption(f"{form.title}: not for this dataset. {form.hindrance}")
    return fitting[name or next(iter(fitting))]


def options(form: Form) -> Options:
    """Draw the options that apply to a form and return them."""
    link, is_safe = "hard", False
    if form.has_links:
        link = st.segmented_control(
            "Images",
            list(_LINKS),
            default="hard",
            required=True,
            format_func=lambda one: _LINKS[one].split(":", maxsplit=1)[0],
            key="export-link",
        )
        st.caption(f"{_LINKS[str(link)]}.")
    if form.has_cells:
        is_safe = st.checkbox(
            "Guard cells for spreadsheets",
            key="export-safe",
            help="Puts a quote before cells that a spreadsheet would run as a formula; reading the "
            "file with other tools then needs it taken off again.",
        )
    return Options(link=str(link), spreadsheet_safe=is_safe)


def draw_changes(preview: Preview) -> None:
    """Draw the first samples whose label changes or that are left out."""
    st.markdown("**What changes**")
    if not preview.n_changes:
        st.caption("Nothing yet: nobody relabelled or excluded a sample, the labels are as given.")
        return
    st.dataframe(
        [
            {
                "Sample": change.sample_key,
                "Given": change.given,
                "Label": "left out" if change.label is None else f"→ {change.label}",
                "Decided by": change.reviewer,
            }
            for change in preview.changes
        ],
        hide_index=True,
        height="content" if len(preview.changes) <= 10 else 388,
        key="export-changes",
        alt="The first samples whose label changes or that are left out",
    )
    hidden = preview.n_changes - len(preview.changes)
    more = f"And {hidden:,} more. " if hidden else ""
    st.caption(f"{more}Label version {preview.label_version}.")


def place(default: str, *, form: Form, dataset: Dataset) -> tuple[str, bool]:
    """Draw where the export goes; return the path as typed and whether to replace what is there."""
    label = "Folder to write" if form.name == "folder" else "File to write"
    typed = st.text_input(label, value=default, key=f"export-path-{dataset.id}-{form.name}")
    with st.container(horizontal=True, vertical_alignment="center"):
        replace = st.checkbox("Replace what is there", key="export-replace")
        st.caption("A full path where labeltrace runs, outside the source.", width="content")
    return typed, replace
