"""Points of a log as people choose them: now, given, before somebody began, or whatever they type."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from audit.errors import AuditError
from audit.records.dataset import Dataset
from audit.records.label_history import GIVEN, LabelHistory
from audit.ui.texts import plain
from audit.workbench import label_log, label_versions, wording
from audit.workbench.label_versions import NOW

MOST_SITTINGS = 100
"""Beginnings of somebody's work that can be chosen from a list."""


def choose(
    label: str,
    history: LabelHistory,
    dataset: Dataset,
    *,
    default: str,
    key: str,
    has_now: bool = True,
) -> int | None:
    """Draw the choice of a point and return it; a sentence stands there for what names none.

    Parameters
    ----------
    label
        What is chosen.
    history, dataset
        Whose points.
    default
        Reference that is chosen at first, such as ``given``.
    key
        Identity on the page.
    has_now
        Whether “now” is in the list.
    """
    names = options(history, zone(), has_now=has_now)
    st.session_state.setdefault(key, default)
    reference = st.selectbox(
        label,
        list(names),
        format_func=lambda one: names.get(str(one), str(one)),
        accept_new_options=True,
        key=key,
        help="Type the number of an event (#12), a version or a time (2026-11-03T10:12:00Z) "
        "for a point that is not in the list.",
    )
    if reference is None:
        return None
    try:
        return label_versions.point_of(history, dataset, reference)
    except AuditError as error:
        st.error(plain(wording.on_the_page(str(error))))
        return None


def options(history: LabelHistory, place: ZoneInfo, *, has_now: bool = True) -> dict[str, str]:
    """Return what can be chosen: reference → what people read."""
    names = {NOW: "now"} if has_now else {}
    names[GIVEN] = "given (before any decision)"
    for sitting in label_log.sittings(history, most=MOST_SITTINGS):
        if sitting.before:
            names[f"#{sitting.before}"] = (
                f"before #{sitting.first.number} ({sitting.first.event.reviewer}, "
                f"{moment(sitting.first.event.decided_at, place)})"
            )
    return names


def moment(at: datetime, place: ZoneInfo) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> from datetime import UTC
    >>> moment(datetime(2026, 11, 3, 10, 12, tzinfo=UTC), ZoneInfo("UTC"))
    '3 Nov 10:12'
    """
    here = at.astimezone(place)
    return f"{here.day} {here:%b %H:%M}"


def zone() -> ZoneInfo:
    """Return the time zone of whoever looks, as far as their browser names one that is known."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
