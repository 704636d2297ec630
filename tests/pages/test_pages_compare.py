"""Compare: every state has a sentence, the address is the choice, samples of a part are shown and decided."""

import shutil
from urllib.parse import parse_qsl

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from audit.datasets import sources
from audit.numerics.data_maps import Region
from audit.store import datasets, decisions
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench import comparing, data_map
from audit.workbench.comparing import Part
from audit.workbench.shelf import Shelf

PAGE = str(MAIN_SCRIPT.parents[2] / "pages" / "find" / "compare.py")


@pytest.fixture
def look(monkeypatch):
    """Open the page on a workspace without a browser."""

    def begin(workspace, script=PAGE, **address):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(workspace))
        page = AppTest.from_file(MAIN_SCRIPT, default_timeout=60)
        page.run()
        page.switch_page(str(script))
        for key, value in address.items():
            page.query_params[key] = value
        page.run()
        assert not page.exception
        return page

    return begin


def sentences(page, *kinds):
    wanted = kinds or ("info", "warning", "error")
    return [element.value.replace("\\", "") for kind in wanted for element in page.get(kind)]


def gallery(page):
    """Return what the gallery was given to draw."""
    import json

    (found,) = [
        json.loads(element.proto.json)
        for element in page.get("bidi_component")
        if "tiles" in element.proto.json
    ]
    return found


def parts(page):
    return next(group for group in page.get("button_group") if group.label == "Flagged samples")


def html(page):
    return "\n".join(element.proto.body for element in page.get("html"))


def comparing_of(workspace):
    shelf = Shelf.open(workspace)
    return comparing.compare(shelf, shelf.dataset("staged"), ("aum", "margin"))


def test_an_empty_workspace_says_where_to_begin(look, tmp_path):
    with Workspace.open(tmp_path / "new"):
        pass
    page = look(tmp_path / "new")
    assert sentences(page) == ["There is no dataset yet: import one, or look at the demo."]


def test_a_dataset_without_scores_names_the_next_step(look, coloured_images, tmp_path):
    images, labels = coloured_images(9)
    np.savez(tmp_path / "new.npz", images=images, labels=labels)
    with Workspace.open(tmp_path / "workspace") as workspace:
        datasets.add(workspace, sources.plan(tmp_path / "new.npz"), "new")
    (said,) = sentences(look(tmp_path / "workspace"))
    assert said.startswith("Nothing has been trained on dataset 'new' yet")


def test_one_method_alone_says_what_is_missing_and_still_has_classes_and_a_map(
    look, stage, tmp_path
):
    with Workspace.open(tmp_path / "workspace") as workspace:
        stage(workspace, tmp_path, n_samples=60, n_epochs=4, methods=("margin",))
    page = look(tmp_path / "workspace")
    (said,) = sentences(page, "info")
    assert said.startswith("margin stands alone here. Score the run with another on Runs")
    assert "Top n" in [slider.label for slider in page.slider], "nothing else says what is flagged"
    assert "Flagged are the 6 most suspicious samples of margin." in sentences(page, "caption")
    page = look(tmp_path / "workspace", view="classes")
    assert "too small to judge" in sentences(page, "warning")[0]
    page = look(tmp_path / "workspace", view="map")
    assert [element.proto.id != "" for element in page.get("plotly_chart")] == [True]


def test_scores_without_a_finished_run_say_why_there_is_no_map(look, staged_copy):
    with Workspace.open(staged_copy) as workspace, workspace.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET state = 'cancelled', sealed_at = NULL")
    for folder in (staged_copy / "runs").iterdir():
        shutil.rmtree(folder)
    (said,) = sentences(look(staged_copy, dataset="staged", view="map"), "info")
    assert said.startswith("No finished run of this dataset is left")


def test_the_matrices_and_the_truth_show_what_was_computed(look, staged_workspace):
    page = look(staged_workspace, dataset="staged")
    shelf = Shelf.open(staged_workspace)
    made = comparing.compare(shelf, shelf.dataset("staged"), ("aum", "margin"))
    overlap = comparing.overlaps(made)[0][1]
    shown = html(page)
    assert f"<b>{overlap.jaccard:.2f}</b><small>{overlap.n_both} common</small>" in shown
    assert f"<b>{comparing.rank_correlations(shelf, made)[0, 1]:.2f}</b>" in shown
    for judged in comparing.judge(shelf, made):
        assert f"<b>{judged.average_precision:.3f}</b>" in shown


@pytest.mark.parametrize("part", list(Part))
def test_the_tiles_are_the_samples_of_the_part_that_the_address_names(look, staged_workspace, part):
    page = look(staged_workspace, dataset="staged", part=str(part), top="20")
    shelf = Shelf.open(staged_workspace)
    made = comparing.compare(shelf, shelf.dataset("staged"), ("aum", "margin"), top=20)
    wanted = comparing.positions(made, "aum", "margin", part).tolist()
    assert len(wanted) > 0
    assert [tile["position"] for tile in gallery(page)["tiles"]] == wanted
    assert gallery(page)["method"] == ("margin" if part is Part.SECOND else "aum")


def test_a_part_is_chosen_by_its_button_with_its_number_and_kept_in_the_address(
    look, staged_workspace
):
    page = look(staged_workspace, dataset="staged", top="20", page="1")
    shelf = Shelf.open(staged_workspace)
    made = comparing.compare(shelf, shelf.dataset("staged"), ("aum", "margin"), top=20)
    n_both = len(comparing.positions(made, "aum", "margin", Part.BOTH))
    assert parts(page).options[1] == f"Both · {n_both}"
    parts(page).set_value(Part.BOTH).run()
    assert page.query_params["part"] == "both"
    assert len(gallery(page)["tiles"]) == n_both


def test_what_an_address_cannot_have_is_said(look, staged_workspace):
    page = look(
        staged_workspace, dataset="staged", methods="aum,lsd,log_ratio,**x**", top="500",
        view="tree", part="none", region="HARD", page="x",
    )  # fmt: skip
    said = sentences(page, "warning")
    assert [line.split(" ")[0] for line in said] == [
        "“lsd”",
        "“500”",
        "“tree”",
        "“none”",
        "“HARD”",
        "“x”",
    ]
    assert page.multiselect(key="compare-methods").value == ["aum"]


def test_regions_list_their_samples_without_a_mouse(look, staged_workspace):
    page = look(staged_workspace, dataset="staged", view="map")
    shelf = Shelf.open(staged_workspace)
    mapped = data_map.of_run(shelf, data_map.runs(shelf, shelf.dataset("staged"))[0])
    shown = [tile["position"] for tile in gallery(page)["tiles"]]
    assert shown == data_map.in_region(mapped, Region.HARD).tolist()
    next(button for button in page.button if button.label == "Show ambiguous").click().run()
    shown = [tile["position"] for tile in gallery(page)["tiles"]]
    assert shown == data_map.in_region(mapped, Region.AMBIGUOUS).tolist()[:100]
    (chart,) = page.get("plotly_chart")
    assert "All 120 samples are drawn." in " ".join(sentences(page, "caption"))
    assert chart.proto.id


def test_a_run_that_is_gone_is_said_and_another_is_shown(look, staged_workspace):
    page = look(staged_workspace, dataset="staged", view="map", run="gone")
    (said,) = sentences(page, "warning")
    assert said.startswith("The run of this address is not there any more")
    assert len(page.get("plotly_chart")) == 1


def ways(page):
    """Return the addresses of the links below the samples, by their labels."""
    links = [element.proto for element in page.get("page_link")]
    return {
        link.label.replace("\\", ""): dict(parse_qsl(link.query_string))
        for link in links
        if link.label.startswith(("Review ", "Rank "))
    }


def test_the_ways_to_review_and_ranking_name_the_samples_of_the_part(look, staged_workspace):
    page = look(staged_workspace, dataset="staged")
    n_flagged = comparing_of(staged_workspace).n_top
    first = {"dataset": "staged", "method": "aum", "by": "aum", "not_by": f"margin:{n_flagged}"}
    assert ways(page) == {
        "Review what only aum flags": first | {"state": "undecided"},
        "Rank what only aum flags": first | {"state": "all"},
    }
    found = ways(look(staged_workspace, dataset="staged", part="second"))
    asked = found["Review what only margin flags"]
    assert (asked["by"], asked["not_by"]) == (f"margin:{n_flagged}", "aum")
    assert "cut" in asked, "margin has no cut of its own that would mark what it flags"
    both = ways(look(staged_workspace, dataset="staged", part="both"))
    assert both["Rank what both flag"]["by"] == f"aum,margin:{n_flagged}"
    assert "not_by" not in both["Rank what both flag"]


def test_the_ways_from_the_map_lead_to_all_that_a_method_flags(look, staged_workspace):
    found = ways(look(staged_workspace, dataset="staged", view="map", first="margin"))
    asked = found["Review all that margin flags"]
    assert (asked["method"], asked["state"]) == ("margin", "todo")
    assert {"cut"} < set(asked)
    assert "by" not in asked
    assert found["Rank all that margin flags"]["state"] == "flagged"


@pytest.mark.parametrize("part", list(Part))
def test_ranking_shows_exactly_the_samples_of_the_part_and_says_so(look, staged_workspace, part):
    page = look(staged_workspace, dataset="staged", part=str(part), top="20")
    wanted = [tile["key"] for tile in gallery(page)["tiles"]]
    assert wanted
    (asked,) = [query for label, query in ways(page).items() if label.startswith("Rank")]
    page = look(staged_workspace, script=shell.page_path("ranking"), **asked)
    assert [tile["key"] for tile in gallery(page)["tiles"]] == wanted
    chip = page.button(key="filters-flags")
    assert (
        chip.label.replace("\\", "")
        == {
            Part.FIRST: "Only flagged by aum (first 20), not by margin (first 20)",
            Part.BOTH: "Only flagged by aum (first 20) and margin (first 20)",
            Part.SECOND: "Only flagged by margin (first 20), not by aum (first 20)",
        }[part]
    )
    chip.click().run()
    assert len(gallery(page)["tiles"]) == 100
    assert "by" not in page.query_params
    assert "not_by" not in page.query_params


# ---- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(serve_module, staged_workspace, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("compare") / "workspace"
    shutil.copytree(staged_workspace, workspace)
    return serve_module(workspace)


@pytest.mark.browser
def test_samples_of_a_part_are_decided_where_they_are_seen(server, tab, visit, until):
    visit(tab, f"{server.url}/compare?dataset=staged&top=20&part=both")
    tile = tab.get_by_test_id("gallery-tile").first
    tile.wait_for()
    key = tile.get_attribute("data-sample-key")
    tile.click()
    tab.get_by_role("button", name="Exclude").click()

    def decided():
        with Workspace.open(server.workspace) as workspace:
            return decisions.current(workspace, datasets.find(workspace, "staged").id)

    until(lambda: key in decided())
    assert decided()[key].evidence["shown"]["method"] == "aum"


@pytest.mark.browser
def test_the_way_to_review_opens_what_one_method_flags_alone(server, tab, visit):
    visit(tab, f"{server.url}/compare?dataset=staged&top=20&part=second")
    tiles = tab.get_by_test_id("gallery-tile")
    tiles.first.wait_for()
    keys = [tile.get_attribute("data-sample-key") for tile in tiles.all()]
    tab.get_by_role("link", name="Review what only margin flags").click()
    tab.get_by_test_id("review-progress").get_by_text(f"0 of {len(keys)} decided").wait_for()
    image = tab.locator(f'[data-testid=review-image][data-sample-key="{keys[0]}"]')
    image.wait_for()
    tab.get_by_role("button", name="Only flagged by margin (first 20), not by aum").click()
    tab.wait_for_url(lambda url: "by=" not in url)
    tab.get_by_test_id("review-progress").get_by_text("of 120 decided").wait_for()


@pytest.mark.browser
def test_a_lasso_lists_the_samples_inside_and_a_region_takes_its_place(server, tab, visit):
    tab.set_default_timeout(120_000)  # points are drawn by WebGL in software here
    visit(tab, f"{server.url}/compare?dataset=staged&view=map")
    tab.locator(".js-plotly-plot .draglayer .nsewdrag").first.wait_for()
    box = tab.locator(".js-plotly-plot .draglayer .nsewdrag").first.bounding_box()
    left, top = box["x"] + 2, box["y"] + 2
    right, bottom = left + box["width"] - 4, top + box["height"] - 4
    tab.mouse.move(left, top)
    tab.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        tab.mouse.move(x, y, steps=4)
    tab.mouse.up()
    tab.get_by_role("heading", name="120 chosen samples").wait_for()
    tab.get_by_test_id("gallery-tile").nth(99).wait_for()
    tab.get_by_role("button", name="Show easy").click()
    tab.get_by_role("heading", name="Easy: ").wait_for()
    tab.wait_for_url("**region=easy**")
