"""The shell stands around every page, also when a deep link is a fresh server's first request."""

import pytest

pytestmark = pytest.mark.browser

ADDRESSES = ("", "datasets", "runs", "ranking", "sample", "review", "history", "export")


def test_a_deep_link_on_a_fresh_server_shows_the_page_in_its_shell(
    serve, staged_workspace, tab, visit
):
    server = serve(staged_workspace)
    visit(tab, f"{server.url}/history?dataset=staged")
    assert tab.locator("h1").first.inner_text() == "History"
    assert tab.get_by_test_id("stSidebarNav").is_visible()
    assert tab.get_by_role("dialog").count() == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_draws_without_an_exception(staged_server, tab, visit, address):
    visit(tab, f"{staged_server.url}/{address}")
    assert tab.get_by_test_id("stException").count() == 0
    assert tab.get_by_test_id("stSidebarNav").is_visible()
