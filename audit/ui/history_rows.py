"""What History shows of each decision, and of each person."""

from collections.abc import Sequence
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from audit.records.dataset import Dataset
from audit.records.decision import Verdict, to_iso
from audit.records.label_history import LabelHistory
from audit.ui.history_table import Row
from audit.workbench import histories
from audit.workbench.histories import Person, Superseded, Told

WORDS = {
    Verdict.KEEP: "Keep",
    Verdict.RELABEL: "Relabel",
    Verdict.EXCLUDE: "Exclude",
    Verdict.UNSURE: "Unsure",
}
"""Verdicts as buttons and choices name them."""


def rows(dataset: Dataset, page: Sequence[Told], history: LabelHistory) -> list[Row]:
    """Return the rows of a page, in its order."""
    return [_row(dataset, told, history) for told in page]


def draw_people(people: Sequence[Person]) -> None:
    """Draw one line per person: how much, how fast, how often the suggestion was taken."""
    frame = pd.DataFrame(
        {
            "Person": [one.reviewer for one in people],
            "Decisions": [one.n_decisions for one in people],
            "Stand": [one.n_standing for one in people],
            "Seconds each": [one.seconds for one in people],
            "Took the suggestion": [
                100 * one.n_agreeing / one.n_suggested if one.n_suggested else None
                for one in people
            ],
            "Had a suggestion": [one.n_suggested for one in people],
        }
    ).astype({"Seconds each": "float64", "Took the suggestion": "float64"})
    column = st.column_config
    st.dataframe(
        frame,
        hide_index=True,
        height="content" if len(people) <= 8 else 320,
        key="history-people",
        alt="Decisions by person",
        column_config={
            "Seconds each": column.NumberColumn(
                format="%.1f s",
                help="Median time from painting the image to pressing the key, where it was measured.",
            ),
            "Took the suggestion": column.ProgressColumn(
                format="%.0f %%",
                min_value=0,
                max_value=100,
                help="Of the keeps and relabels made with a suggested label in view, how many took it.",
            ),
            "Stand": column.NumberColumn(help="Neither undone nor replaced."),
        },
    )


def draw_conflicts(pairs: Sequence[Superseded]) -> None:
    """Tell a person in whose place others decided otherwise; draws nothing when nobody did."""
    if not pairs:
        return
    what = (
        "One of your decisions was" if len(pairs) == 1 else f"{len(pairs):,} of your decisions were"
    )
    with st.expander(f"{what} replaced: other people decided otherwise.", icon=":material/group:"):
        st.caption("The later decision stands. “Decide again” in the list below brings yours back.")
        st.dataframe(
            [
                {
                    "Sample": pair.own.sample_key,
                    "You": histories.saying(pair.own),
                    "Stands": histories.saying(pair.standing),
                    "Decided by": pair.standing.reviewer,
                    "When": pair.standing.decided_at,
                }
                for pair in pairs[: histories.PER_PAGE]
            ],
            hide_index=True,
            key="history-conflicts",
            alt="Your decisions that other people replaced",
            column_config={
                "When": st.column_config.DatetimeColumn(
                    format="D MMM YYYY, HH:mm:ss", timezone=st.context.timezone
                )
            },
        )


def _row(dataset: Dataset, told: Told, history: LabelHistory) -> Row:
    decision, undo, other = told.decision, told.undone_by, told.replaced_by
    seen = histories.shown(decision.evidence)
    after = undo or other
    assert decision.id is not None, "recorded decisions have a number"
    return Row(
        number=decision.id,
        at=to_iso(decision.decided_at),
        reviewer=decision.reviewer,
        sample_key=decision.sample_key,
        address="sample?" + urlencode({"dataset": dataset.name, "sample": decision.sample_key}),
        given=decision.given_label,
        label=decision.label,
        verdict=str(decision.verdict),
        note=decision.note,
        method=seen.method,
        rank=seen.rank,
        version=history.version_at(decision.id),
        state=histories.state(told),
        by=after.reviewer if after else None,
        by_at=to_iso(after.decided_at) if after else None,
        by_verdict=histories.saying(other) if other else None,
    )
