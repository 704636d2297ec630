"""Colours of plots and marks, for the light and the dark theme.

The values agree with ``.streamlit/config.toml``; verdicts are always named in words beside their colour.
"""

from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as ``#rrggbb``.

    Parameters
    ----------
    ink, faint, line, paper
        Text, secondary text, grid lines and borders, background.
    given, suggested
        The given label and its rival.
    positive, negative
        Areas of positive and negative margin.
    threshold
        Threshold rows and cuts.
    keep, relabel, exclude, unsure
        Verdicts.
    """

    ink: str
    faint: str
    line: str
    paper: str
    given: str
    suggested: str
    positive: str
    negative: str
    threshold: str
    keep: str
    relabel: str
    exclude: str
    unsure: str


LIGHT = Palette(
    ink="#1d1b16",
    faint="#6b655a",
    line="#ddd7ca",
    paper="#fcfbf8",
    given="#35589a",
    suggested="#b4471f",
    positive="#0b6e69",
    negative="#b4471f",
    threshold="#8a6d1d",
    keep="#0b6e69",
    relabel="#35589a",
    exclude="#a3301c",
    unsure="#7a3e78",
)
DARK = Palette(
    ink="#ece8e1",
    faint="#a8a298",
    line="#353c42",
    paper="#14171a",
    given="#86a7e6",
    suggested="#e8875c",
    positive="#4fbfb4",
    negative="#e8875c",
    threshold="#d8b457",
    keep="#4fbfb4",
    relabel="#86a7e6",
    exclude="#f08a74",
    unsure="#c58bc3",
)


def current() -> Palette:
    """Return the palette of the theme that this tab shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT
