"""The Overview page: what it says of every state, and where its one button leads."""

import pytest
from streamlit.testing.v1 import AppTest

from audit.records.decision import Verdict
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT
from audit.workbench import overview, reviewing
from audit.workbench.shelf import Shelf


@pytest.fixture
def page(monkeypatch):
    def begin(workspace):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(workspace))
        at = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30).run()
        assert not at.exception
        return at

    return begin


def html(at):
    return "\n".join(element.proto.body for element in at.get("html"))


def test_an_empty_workspace_greets_and_offers_the_demo_or_an_import(page, tmp_path):
    at = page(tmp_path / "workspace")
    assert [title.value for title in at.title] == ["Welcome to labeltrace"]
    assert {"Start the demo", "Import a dataset"} <= {button.label for button in at.button}
    assert "finds the images whose labels are probably wrong" in html(at)


def test_suspects_left_are_the_next_step_and_lead_to_the_review(page, staged_workspace):
    at = page(staged_workspace)
    with Workspace.open(staged_workspace) as workspace:
        (card,) = overview.cards(Shelf(workspace))
    (button,) = [b for b in at.button if b.label.startswith("Review")]
    assert button.label == f"Review {card.n_left} suspects"
    assert f"<dd>{card.n_left}</dd>" in html(at)
    assert f"suspects left of {card.n_left} flagged by aum" in html(at)


def test_decisions_are_shown_by_verdict(page, staged_copy):
    with Workspace.open(staged_copy) as workspace:
        shelf = Shelf(workspace)
        dataset = shelf.dataset("staged")
        for position, verdict in ((3, Verdict.KEEP), (4, Verdict.KEEP), (5, Verdict.EXCLUDE)):
            key = dataset.sample_keys[position]
            reviewing.decide(workspace, dataset, key, verdict, reviewer="ann")
    shown = html(page(staged_copy))
    assert "2 kept" in shown
    assert "1 excluded" in shown
    assert "<dd>3</dd>" in shown


def test_a_name_with_markup_in_it_is_text(page, stage, tmp_path):
    name = "<b>x</b> **y** :red[z] $w$"
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, methods=())
        with workspace.writing() as connection:
            connection.exec_driver_sql("UPDATE datasets SET name = ?", (name,))
        assert dataset.name == "staged"
    assert "&lt;b&gt;x&lt;/b&gt; **y** :red[z] $w$" in html(page(tmp_path / "workspace"))


@pytest.mark.browser
def test_the_button_opens_the_review_of_the_suspects_that_it_counts(staged_server, tab, visit):
    visit(tab, staged_server.url)
    button = tab.get_by_role("button", name="Review ")
    n_left = button.inner_text().split()[-2]
    button.click()
    tab.wait_for_url("**/review?dataset=staged&method=aum&state=todo")
    tab.get_by_test_id("review-progress").get_by_text(f"of {n_left} decided").wait_for()
