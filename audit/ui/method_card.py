"""Cards of methods: what a method's number means, what it needs, when it fails, how well it did."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from audit.detectors.catalog import Entry
from audit.detectors.parameters import Parameter
from audit.ui import figures
from audit.ui.palette import Palette
from audit.ui.texts import plain
from audit.workbench.method_cards import Card, Figure, Spread

_SHEET = """<style>
.lc-scroll { overflow-x: auto; }
table.lc { border-collapse: collapse; width: 100%; margin: 0; color: var(--lf-ink); font-size: .9rem;
  font-variant-numeric: tabular-nums; }
table.lc caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
table.lc th, table.lc td { border: 0; border-bottom: 1px solid var(--lf-line); padding: .45rem 1rem .45rem 0;
  text-align: left; vertical-align: top; line-height: 1.4; }
table.lc thead th { color: var(--lf-faint); font-weight: 400; white-space: nowrap; }
table.lc tbody th { font-weight: 600; }
table.lc tr:last-child > * { border-bottom: 0; }
@media (min-width: 1500px) { .lc-all td:nth-of-type(2), .lc-all td:nth-of-type(4) { white-space: nowrap; } }
.lc-name { font-family: "Source Code Pro", monospace; font-size: .86rem; white-space: nowrap; }
table.lc a { color: var(--lf-good); text-decoration: underline; text-underline-offset: 2px; }
table.lc a:focus-visible { outline: 2px solid var(--lf-good); outline-offset: 2px; border-radius: 2px; }
</style>"""


def style() -> None:
    """Draw the style sheet that the rest needs; once per page."""
    figures.style()
    st.html(_SHEET)


def overview(cards: Sequence[Card], colours: Palette) -> None:
    """Draw all methods at a glance, as one table."""
    body = "".join(
        f'<tr><th scope="row"><a class="lc-name" href="#method-{escape(card.entry.name)}">'
        f"{escape(card.entry.name)}</a></th>"
        f"<td>{escape(card.entry.summary)}</td><td>{escape(card.cut)}</td>"
        f"<td>{escape(card.needs)}</td><td>{escape(card.cost)}</td></tr>"
        for card in cards
    )
    heads = ("Method", "What it does", "Flags", "Needs", "Cost")
    st.html(f'<div class="lc-all">{_table("All methods", heads, body, colours)}</div>')


def draw(card: Card, colours: Palette) -> None:
    """Draw a card."""
    entry = card.entry
    with st.container(border=True, key=f"method-{entry.name}"):
        st.subheader(plain(entry.title), anchor=f"method-{entry.name}")
        st.markdown(f"{plain(entry.summary)}")
        left, right = st.columns([5, 4], gap="large")
        with left:
            st.markdown("**Definition**")
            st.markdown(plain(entry.definition))
            st.caption(plain(entry.reference))
            if entry.known_failures:
                st.markdown("**When not to believe it**")
                st.markdown("\n".join(f"- {plain(failure)}" for failure in entry.known_failures))
        with right:
            st.html(figures.block(_facts(card), colours))
            if entry.parameters:
                st.markdown("**Settings**")
                st.html(_parameters(entry.parameters, colours))
        st.markdown("**Measured by us**")
        if card.figures:
            st.html(_measured(entry, card.figures, colours))
        else:
            st.caption("No benchmark with known truth has measured this method yet.")


def _facts(card: Card) -> str:
    entry = card.entry
    unit = "" if entry.quantity_unit == "none" else f", in {entry.quantity_unit}"
    rows = (
        ("Name", entry.name),
        ("Quantity", f"{entry.quantity_name}{unit}"),
        ("Range", entry.quantity_range),
        ("Direction", f"{card.direction}; suspicion is always high = suspect"),
        ("Flags", card.cut),
        ("Needs", card.needs),
        ("Reads", ", ".join(entry.needs.signals) or "mean probabilities"),
        ("Cost", card.cost),
        ("Version", str(entry.version)),
    )
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<dl class="lf-facts">{lines}</dl>'


def _parameters(parameters: Sequence[Parameter], colours: Palette) -> str:
    body = "".join(
        f'<tr><th scope="row"><span class="lc-name">{escape(one.name)}</span></th>'
        f"<td>{escape('empty' if one.default is None else str(one.default))}</td>"
        f"<td>{escape(one.help)}</td></tr>"
        for one in parameters
    )
    return _table("Settings of the method", ("Name", "Default", "What it does"), body, colours)


def _measured(entry: Entry, found: Sequence[Figure], colours: Palette) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(one.labels_in_words)}</th><td>{escape(_preset(one))}</td>'
        f"<td>{_cell(one.average_precision)}</td><td>{_cell(one.roc_auc)}</td>"
        f"<td>{_flags(entry, one)}</td><td>{one.n}</td></tr>"
        for one in found
    )
    heads = ("Labels", "Preset", "Average precision", "ROC AUC", "F1 of its flags", "Trainings")
    return _table("What benchmarks measured: median, smallest and largest", heads, body, colours)


def _preset(one: Figure) -> str:
    return one.preset if one.budget == "full" else f"{one.preset}, budget {one.budget}"


def _flags(entry: Entry, one: Figure) -> str:
    if not entry.has_cut:
        return "no cut"
    if one.f1 is None or one.flagged_per_wrong is None:
        return _cell(one.f1)
    return f"{_cell(one.f1)}, flags {one.flagged_per_wrong.middle:.2f} × as many as are wrong"


def _cell(spread: Spread | None) -> str:
    return "–" if spread is None else escape(spread.in_words(".3f"))


def _table(caption: str, heads: Sequence[str], body: str, colours: Palette) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return figures.block(
        f'<div class="lc-scroll"><table class="lc"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
        colours,
    )
