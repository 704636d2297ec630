"""Methods: a card for each, with its definition, direction, needs, cost, failures and what we measured."""

import streamlit as st

from audit.ui import method_card, palette
from audit.workbench import method_cards

cards = method_cards.cards()
colours = palette.current()
st.title("Methods")
st.caption(
    "Every method gives each sample a suspicion from 0 to 1, high = more likely wrong. It is a rank with a "
    "pleasant scale, not a probability; behind it stands the method's own quantity."
)
method_card.style()
method_card.overview(cards, colours)
for title, is_main in (("Offered first", True), ("For comparison", False)):
    shown = [card for card in cards if card.entry.is_main is is_main]
    if not shown:
        continue
    st.header(title)
    for card in shown:
        method_card.draw(card, colours)
