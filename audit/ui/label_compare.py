"""Two versions of labels side by side: counts from class to class, and every sample that differs."""

from collections.abc import Sequence

import streamlit as st

from audit.records.dataset import Dataset
from audit.records.decision import to_iso
from audit.ui import change_list, label_points
from audit.ui.change_list import Line
from audit.workbench import label_changes, label_versions
from audit.workbench.label_changes import Change, Comparison, Flow
from audit.workbench.shelf import Shelf

_MOST_FLOWS = 200


def draw(shelf: Shelf, dataset: Dataset) -> str | None:
    """Draw the choice of two points and what differs; return the key of a sample to open, if any."""
    history = label_versions.kept(shelf, dataset)
    left, right = st.columns(2)
    with left:
        before = label_points.choose(
            "From", history, dataset, default="given", key=f"compare-from-{dataset.id}"
        )
    with right:
        after = label_points.choose(
            "To", history, dataset, default="now", key=f"compare-to-{dataset.id}"
        )
    if before is None or after is None:
        return None
    compared = shelf.keep(
        ("labels compared", dataset.id, history.last_point, before, after),
        lambda: label_changes.compare(history, before, after),
    )
    st.caption(_versions(compared))
    if not compared.changes:
        st.info("No label differs between the two.")
        return None
    draw_flows(compared.flows, key="compare-counts")
    return draw_changes(shelf, dataset, compared.changes, key="compare-changes")


def draw_flows(flows: Sequence[Flow], *, key: str) -> None:
    """Draw how many samples go from which label to which, the most first."""
    st.dataframe(
        [
            {
                "From": label_changes.in_words(flow.before),
                "To": label_changes.in_words(flow.after),
                "Samples": flow.n_samples,
            }
            for flow in flows[:_MOST_FLOWS]
        ],
        hide_index=True,
        height="content" if len(flows) <= 8 else 320,
        key=key,
        alt="Samples by their label before and after",
    )


def draw_changes(
    shelf: Shelf, dataset: Dataset, changes: Sequence[Change], *, key: str
) -> str | None:
    """Draw samples whose label differs, by page; return the key of one to open, if any."""
    n = len(changes)
    st.caption(f"{n:,} sample{'s' * (n != 1)} with another label.")
    page = f"{key}-page"
    n_pages = -(-n // change_list.PER_PAGE)
    number = min(int(st.session_state.get(page) or 1), n_pages)
    start = (number - 1) * change_list.PER_PAGE
    opened = change_list.draw(
        dataset,
        shelf.positions(dataset),
        [_line(change) for change in changes[start : start + change_list.PER_PAGE]],
        title="Samples with another label",
        key=key,
    )
    if n_pages > 1:
        st.pagination(n_pages, key=page)
    return opened


def _line(change: Change) -> Line:
    event = change.event
    return Line(
        sample_key=change.sample_key,
        given=change.given_label,
        labels=(label_changes.in_words(change.before), label_changes.in_words(change.after)),
        by=None if event is None else event.reviewer,
        at=None if event is None else to_iso(event.decided_at),
    )


def _versions(compared: Comparison) -> str:
    return f"Version {compared.before_version} → version {compared.after_version}."
