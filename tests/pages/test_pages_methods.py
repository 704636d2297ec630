"""Methods: a card for each method of the catalogue, with its figures, on any workspace."""

import pytest
from streamlit.testing.v1 import AppTest

from audit.detectors import catalog
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT
from audit.workbench import method_cards

PAGE = str(MAIN_SCRIPT.parents[2] / "pages" / "find" / "methods.py")


@pytest.fixture
def page(monkeypatch, tmp_path):
    with Workspace.open(tmp_path / "new"):
        pass
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(tmp_path / "new"))
    shown = AppTest.from_file(MAIN_SCRIPT, default_timeout=60).run()
    shown.switch_page(PAGE).run()
    assert not shown.exception
    return shown


def test_every_method_has_a_card_and_the_main_ones_come_first(page):
    titles = [heading.value.replace("\\", "") for heading in page.subheader]
    main = [entry.title for entry in catalog.CATALOG if entry.is_main]
    assert sorted(titles) == sorted(entry.title for entry in catalog.CATALOG)
    assert titles[: len(main)] == main


def test_a_card_says_definition_direction_needs_cost_failures_and_figures(page):
    shown = "\n".join(element.proto.body for element in page.get("html"))
    said = "\n".join(text.value for text in page.markdown).replace("\\", "")
    references = [caption.value.replace("\\", "") for caption in page.caption]
    for card in method_cards.cards():
        assert card.entry.definition in said
        assert card.entry.reference in references
        assert all(failure in said for failure in card.entry.known_failures)
        assert f"{card.direction}; suspicion is always high = suspect" in shown
        for figure in card.figures:
            assert figure.average_precision.in_words(".3f") in shown
    aum = next(card for card in method_cards.cards() if card.entry.name == "aum")
    assert aum.needs in shown
    assert "flags 1.54 × as many as are wrong" in shown
    n_unmeasured = sum(not card.figures for card in method_cards.cards())
    unmeasured = [text for text in references if text.startswith("No benchmark with known truth")]
    assert len(unmeasured) == n_unmeasured


@pytest.mark.browser
def test_a_name_in_the_overview_leads_to_its_card(staged_server, tab, visit):
    visit(tab, f"{staged_server.url}/methods")
    tab.get_by_role("link", name="log_ratio", exact=True).click()
    heading = tab.get_by_role("heading", name="Log ratio of mean probabilities")
    heading.wait_for()
    tab.wait_for_function(
        "h => { const box = h.getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight; }",
        arg=heading.element_handle(),
    )
