"""Datasets at a glance: how far each is, what runs, and its next step."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

import streamlit as st

from audit.errors import AuditError
from audit.ui import figures, palette, steps
from audit.ui.palette import Palette
from audit.ui.texts import plain
from audit.workbench import estimating, overview
from audit.workbench.overview import Card, Suspects, Work
from audit.workbench.shelf import Shelf

_POLL_SECONDS = 2.0
_SIDE = 48

_STYLE = """<style>
.lf-card { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.15fr); gap: 1rem 2.4rem; }
.lf-card h2 { font-size: 1.35rem; font-weight: 600; line-height: 1.25; margin: 0 0 .15rem; padding: 0;
  overflow-wrap: anywhere; }
.lf-card .lf-numbers { flex-wrap: nowrap; gap: 2.6rem; }
.lf-card .lf-numbers dd { font-size: 2.1rem; }
.lf-card .lf-numbers > div:first-child { min-width: 13.5rem; }
.lf-card .lf-verdicts { margin-top: .8rem; }
.lf-card .lf-first { margin-top: .8rem; height: 48px; overflow: hidden; }
.lf-card .lf-below { grid-column: 1 / -1; display: grid; gap: .45rem; }
[class*="st-key-card_"] { padding: 1.35rem 1.5rem; }
@media (max-width: 62rem) { .lf-card { grid-template-columns: minmax(0, 1fr); } }
</style>"""


def draw(shelf: Shelf, cards: Sequence[Card]) -> None:
    """Draw a card per dataset; looks again while something waits or runs."""
    figures.style()
    st.html(_STYLE)
    is_busy = overview.is_busy(cards)
    run_every = _POLL_SECONDS if is_busy else None
    st.fragment(_cards, run_every=run_every)(shelf, was_busy=is_busy)


def _cards(shelf: Shelf, *, was_busy: bool) -> None:
    try:
        cards = overview.cards(shelf)
    except AuditError as error:
        st.error(plain(str(error)))
        return
    if overview.is_busy(cards) != was_busy:
        st.rerun()
    colours = palette.current()
    st.markdown(plain(summary(cards)))
    for number, card in enumerate(cards):
        with (
            st.container(border=True, key=f"card_{card.id}"),
            st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="large"),
        ):
            st.html(figures.block(_body(card, colours), colours))
            with st.container(width=238):
                steps.draw(card, is_first=number == 0, key=f"step_{card.id}")


def summary(cards: Sequence[Card]) -> str:
    """Return one sentence about all datasets."""
    parts = [_counted(len(cards), "dataset")]
    n_left = sum(card.n_left for card in cards)
    n_decided = sum(card.n_decided for card in cards)
    if any(card.suspects is not None for card in cards):
        parts.append(f"{_counted(n_left, 'suspect') if n_left else 'no suspects'} left to review")
    if n_decided:
        parts.append(f"{n_decided:,} decided")
    return f"{', '.join(parts)}."


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, as people say it.

    Examples
    --------
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> ago(datetime(2026, 1, 2, 11, 57, tzinfo=UTC), noon), ago(noon, noon)
    ('3 minutes ago', 'just now')
    """
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < 45 else f"{estimating.in_words(seconds)} ago"


def _body(card: Card, colours: Palette) -> str:
    facts = [
        _counted(card.n_samples, "sample"),
        _counted(card.n_classes, "class", "classes"),
        _counted(card.n_runs, "run"),
    ]
    if card.n_unlabelled:
        facts.append(f"{card.n_unlabelled:,} unlabelled")
    if card.n_problems:
        facts.append(f"{card.n_problems:,} unusable")
    when = ago(card.last_activity, datetime.now(UTC))
    if card.n_since_export is not None:
        when += f" · {_exported(card.n_since_export)}"
    left = (
        f"<div><h2>{escape(card.name)}</h2>"
        f'<p class="lf-faint">{" · ".join(facts)}</p><p class="lf-faint">{when}</p>'
        f"{_first(card, colours)}</div>"
    )
    below = "".join(f'<p class="lf-trouble">{escape(trouble)}</p>' for trouble in card.troubles)
    if card.work:
        below += f'<div class="lf-work">{"".join(_work(w, colours) for w in card.work)}</div>'
    below = f'<div class="lf-below">{below}</div>' if below else ""
    return f'<article class="lf-card">{left}<div>{_state(card, colours)}</div>{below}</article>'


def _exported(n_since: int) -> str:
    return f"exported, {_counted(n_since, 'change')} since" if n_since else "exported as it stands"


def _state(card: Card, colours: Palette) -> str:
    if card.suspects is None:
        return f'<p class="lf-faint">{escape(steps.sentence(card))}</p>'
    shown = [(f"{card.n_left:,}", _left_in_words(card.suspects))]
    shown.append((f"{card.n_decided:,}", "decided"))
    bar = figures.verdict_bar(card.verdicts, card.n_left, colours)
    return f'{figures.numbers(shown)}<div class="lf-verdicts">{bar}</div>'


def _first(card: Card, colours: Palette) -> str:
    positions = () if card.suspects is None else card.suspects.first
    if not positions or card.is_moved:
        return ""
    sheet = figures.sheet_address(card.id, positions, _SIDE, colours)
    tiles = "".join(figures.tile(sheet, n, len(positions), _SIDE) for n in range(len(positions)))
    label = "The most suspicious images that nobody decided on"
    return f'<div class="lf-tiles lf-first" role="img" aria-label="{label}">{tiles}</div>'


def _left_in_words(suspects: Suspects) -> str:
    noun = "suspect left" if suspects.n_left == 1 else "suspects left"
    if suspects.cut is None:
        return f"{noun} of {suspects.n_found:,} flagged by {suspects.method}"
    share = f"{overview.TOP_SHARE:.0%}".replace("%", " %")
    return f"{noun} of the top {share} by {suspects.method}"


def _work(work: Work, colours: Palette) -> str:
    percent = f"{work.fraction:.0%}".replace("%", " %")
    left = percent
    if work.seconds_left is not None:
        left = f"{estimating.in_words(work.seconds_left)} left"
    bar = figures.bar(work.fraction, colours.positive, f"{work.name}: {percent}")
    told = f"{escape(work.name)} · {escape(work.sentence)}"
    return f"<span>{told}</span>{bar}<span>{escape(left)}</span>"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"
