"""The shell stands around every page, also when a deep link is a fresh server's first request."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ADDRESSES = (
    "", "datasets", "runs", "ranking", "sample", "explain", "compare", "methods", "review", "history",
    "retrain", "export",
)  # fmt: skip
PROBES = ("/_stcore/health", "/_stcore/host-config")
"""What Streamlit asks for below a page's own address, to find where the app begins; 404 is its answer."""


def test_a_deep_link_on_a_fresh_server_shows_the_page_in_its_shell(
    serve, staged_workspace, tab, visit
):
    server = serve(staged_workspace)
    visit(tab, f"{server.url}/history?dataset=staged")
    expect(tab.locator("h1").first).to_have_text("History")
    expect(tab.get_by_test_id("stSidebarNav")).to_be_visible()
    assert tab.get_by_role("dialog").count() == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_draws_and_loads_all_it_wants_at_both_widths(staged_server, tab, visit, address):
    troubles = []
    tab.on("console", lambda said: said.type == "error" and troubles.append(said.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    failed = []
    tab.on("response", lambda r: r.status >= 400 and failed.append(r.url))
    visit(tab, f"{staged_server.url}/{address}?dataset=staged")
    tab.wait_for_load_state("networkidle")
    assert tab.get_by_test_id("stException").count() == 0
    expect(tab.get_by_test_id("stSidebarNav")).to_be_visible()
    for width in (1280, 1920):
        tab.set_viewport_size({"width": width, "height": 900})
        hidden = tab.get_by_test_id("stMain").evaluate("m => m.scrollWidth - m.clientWidth")
        assert hidden <= 0, f"at {width} pixels a part lies beside the window"
    assert [url for url in failed if not url.endswith(PROBES)] == []
    # A failed request is also an error on the console; what a policy refuses is only that.
    assert [t for t in troubles if not t.startswith("Failed to load resource: ")] == []


def test_the_sidebar_leads_to_every_page_in_the_order_of_the_work(staged_server, tab, visit):
    visit(tab, staged_server.url)
    links = tab.get_by_test_id("stSidebarNavLink")
    assert [text.strip() for text in links.all_inner_texts()] == [
        "Overview", "Datasets", "Runs", "Ranking", "Sample", "Explain", "Compare", "Methods", "Review",
        "History", "Retrain", "Export",
    ]  # fmt: skip
    assert tab.title() == "Overview · labeltrace"
    tab.get_by_role("link", name="Export").click()
    tab.locator("h1", has_text="Export").wait_for()
    assert tab.url.split("?")[0] == f"{staged_server.url}/export"


@pytest.mark.parametrize(
    "address",
    ["datasets", "ranking", "review", "history", "retrain", "export", "sample", "compare"],
)
def test_a_dataset_that_is_not_there_is_a_sentence_that_shows_its_name_as_text(
    staged_server, tab, visit, address
):
    visit(tab, f"{staged_server.url}/{address}?dataset=**x**%3Cimg%20src=y%3E")
    tab.wait_for_load_state("networkidle")
    assert tab.get_by_test_id("stException").count() == 0
    assert tab.locator("img[src='y']").count() == 0
    assert tab.locator("strong", has_text="x").count() == 0
    expect(tab.get_by_test_id("stSidebarNav")).to_be_visible()
