"""axe finds nothing to object to on any page, in both themes, with work under way and with none."""

import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe

from audit.cli import main

pytestmark = pytest.mark.browser

ADDRESSES = (
    "", "datasets", "runs", "ranking", "sample", "explain", "compare", "methods", "review", "history",
    "retrain", "export",
)  # fmt: skip

DRAWN = {
    "ranking": "[data-testid=gallery-tile]",
    "review": "[data-testid=review-image][data-sample-key]",
    "sample": "img[alt]:not([alt=''])",
    "explain": "[data-testid=stPlotlyChart] .bars",
}
"""What stands on a page once its pictures have come."""


@pytest.fixture(scope="module")
def with_decisions(serve_module, staged_workspace, tmp_path_factory):
    """Serve a dataset with one decision of each kind, one of them undone."""
    workspace = tmp_path_factory.mktemp("accessible") / "workspace"
    shutil.copytree(staged_workspace, workspace)
    verdicts = (["--keep"], ["--relabel", "class b"], ["--exclude"], ["--unsure"], ["--keep"])
    for sample, verdict in enumerate(verdicts):
        words = ["decide", "staged", f"{sample:03d}", *verdict, "--note", "looked twice"]
        assert main(["--workspace", str(workspace), *words]) == 0
    assert main(["--workspace", str(workspace), "undo", "staged", "004"]) == 0
    words = ["explain", "staged-none-1", "000", "--method", "margin"]
    assert main(["--workspace", str(workspace), *words]) == 0
    return serve_module(workspace)


@pytest.fixture(scope="module")
def with_nothing(serve_module, tmp_path_factory):
    """Serve a workspace that nothing was imported into."""
    return serve_module(tmp_path_factory.mktemp("empty") / "workspace")


def objections(tab):
    """Return what axe objects to, a line for each kind and place."""
    violations = Axe().run(tab).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:160]} "
        f"{(node['any'] or node['all'] or node['none'] or [{'message': ''}])[0]['message']}"
        for violation in violations
        for node in violation["nodes"]
    ]


def look(tab, visit, url, drawn="h1"):
    """Return the objections to a page by theme."""
    found = {}
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme, reduced_motion="reduce")
        visit(tab, url)
        tab.locator("[data-testid=stEvent] style").first.wait_for(state="attached")
        tab.locator(drawn).first.wait_for()
        tab.wait_for_load_state("networkidle")
        found[theme] = objections(tab)
    return found


@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_objects_to_nothing_where_there_is_work(with_decisions, tab, visit, address):
    query = "?dataset=staged" + "&sample=000" * (address in ("sample", "explain"))
    found = look(tab, visit, f"{with_decisions.url}/{address}{query}", DRAWN.get(address, "h1"))
    assert found == {"light": [], "dark": []}


@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_objects_to_nothing_where_there_is_nothing_yet(with_nothing, tab, visit, address):
    found = look(tab, visit, f"{with_nothing.url}/{address}")
    assert found == {"light": [], "dark": []}


def test_axe_is_at_work(tab):
    tab.set_content("<html lang=en><title>t</title><main><h1>h</h1><img src='data:,'></main>")
    assert any(line.startswith("image-alt") for line in objections(tab))
