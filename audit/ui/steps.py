"""What to do next about a dataset, as one button."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from audit.ui import shell
from audit.workbench.overview import Card, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    label: str
    icon: str
    address: str
    sentence: str


_WAYS: Mapping[Step, _Way] = {
    Step.EXPLAIN: _Way(
        label="See why it failed",
        icon=":material/troubleshoot:",
        address="runs",
        sentence="No training has come to its end yet.",
    ),
    Step.FIND: _Way(
        label="Find its files",
        icon=":material/folder_open:",
        address="datasets",
        sentence="Say where the files lie now; decisions and runs stay.",
    ),
    Step.REVIEW: _Way(
        label="Review suspects",
        icon=":material/keyboard:",
        address="review",
        sentence="Look at the most suspicious labels first and decide by key.",
    ),
    Step.EXPORT: _Way(
        label="Export the labels",
        icon=":material/download:",
        address="export",
        sentence="Every suspect is decided: take the corrected labels away.",
    ),
    Step.SCORE: _Way(
        label="Score the run",
        icon=":material/query_stats:",
        address="runs",
        sentence="A training is done; its scores name the suspects.",
    ),
    Step.TRAIN: _Way(
        label="Find suspects",
        icon=":material/model_training:",
        address="runs",
        sentence="Train a network on it: labels that it resists are suspects.",
    ),
    Step.WATCH: _Way(
        label="Watch the training",
        icon=":material/monitoring:",
        address="runs",
        sentence="Suspects follow when it is done.",
    ),
    Step.DONE: _Way(
        label="Go to the export",
        icon=":material/task_alt:",
        address="export",
        sentence="Every suspect is decided and every decision exported.",
    ),
    Step.LOOK: _Way(
        label="Look at the ranking",
        icon=":material/grid_view:",
        address="ranking",
        sentence="Nothing is flagged. The ranking shows which labels come next.",
    ),
}


def label(card: Card) -> str:
    """Return what the button says."""
    if card.step is not Step.REVIEW:
        return _WAYS[card.step].label
    return "Review 1 suspect" if card.n_left == 1 else f"Review {card.n_left:,} suspects"


def sentence(card: Card) -> str:
    """Return why that is next."""
    return _WAYS[card.step].sentence


def query(card: Card) -> dict[str, str]:
    """Return what the button's address asks for."""
    asked = {"dataset": card.name}
    if card.suspects is not None and card.step in (Step.REVIEW, Step.LOOK):
        asked["method"] = card.suspects.method
    if card.suspects is not None and card.step is Step.REVIEW:
        asked["state"] = "todo"
        if card.suspects.cut is not None:
            asked["cut"] = repr(card.suspects.cut)
    return asked


def draw(card: Card, *, is_first: bool, key: str) -> None:
    """Draw the button; only the first of a page calls out."""
    way = _WAYS[card.step]
    if st.button(
        label(card),
        key=key,
        type="primary" if is_first else "secondary",
        icon=way.icon,
        width="stretch",
        help=way.sentence,
    ):
        st.switch_page(shell.page_path(way.address), query_params=query(card))
