"""All datasets as a table in which a click chooses one."""

from datetime import datetime
from typing import Any

import streamlit as st

from audit.workbench import overview
from audit.workbench.overview import Card
from audit.workbench.shelf import Shelf

_KEY = "dataset_list"


def draw(shelf: Shelf) -> None:
    """Draw the table; nothing for less than two datasets, which need no choice."""
    cards = sorted(overview.cards(shelf), key=lambda card: card.name.casefold())
    if len(cards) < 2:
        return

    def choose() -> None:
        state: Any = st.session_state.get(_KEY) or {}
        rows = state.get("selection", {}).get("rows", [])
        if rows and rows[0] < len(cards):
            st.session_state["dataset"] = cards[rows[0]].name

    st.dataframe(
        [_row(card) for card in cards],
        hide_index=True,
        placeholder="–",
        key=_KEY,
        on_select=choose,
        selection_mode="single-row",
        height="content" if len(cards) <= 8 else 330,
        column_config={
            "Dataset": st.column_config.TextColumn(width="medium"),
            "Last activity": st.column_config.DatetimeColumn(
                format="calendar", timezone=st.context.timezone
            ),
        },
        alt=f"Table of {len(cards):,} datasets",
    )


def _row(card: Card) -> dict[str, str | int | datetime | None]:
    return {
        "Dataset": card.name,
        "Samples": card.n_samples,
        "Classes": card.n_classes,
        "Cannot be used": card.n_problems,
        "Runs": card.n_runs,
        "Suspects left": None if card.suspects is None else card.n_left,
        "Decided": card.n_decided,
        "Last activity": card.last_activity,
    }
