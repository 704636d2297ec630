"""Ranking: filters live in the address, tiles are selected and decided in one go, once, with undo."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.datasets import sources
from audit.records.scores import DetectorSpec
from audit.store import datasets, decisions, scores
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT

PAGE = str(MAIN_SCRIPT.parents[2] / "pages" / "find" / "ranking.py")


@pytest.fixture
def look(monkeypatch):
    """Open the page on a workspace without a browser."""

    def begin(workspace, **address):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(workspace))
        page = AppTest.from_file(MAIN_SCRIPT, default_timeout=30)
        page.run()
        page.switch_page(PAGE)
        for key, value in address.items():
            page.query_params[key] = value
        page.run()
        assert not page.exception
        return page

    return begin


def sentences(page):
    return [element.value for kind in ("info", "warning", "error") for element in page.get(kind)]


def counts(page):
    return next(text.value for text in page.markdown if "undecided" in text.value)


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
    assert said.startswith("Nothing has been trained on dataset")


def test_an_address_is_taken_with_all_its_filters(look, staged_workspace):
    page = look(staged_workspace, dataset="staged", method="margin", state="flagged", cut="0.5")
    assert page.selectbox(key="filters-method").value == "margin"
    assert page.selectbox(key="filters-state").value == "flagged"
    assert page.slider(key="filters-cut").value == 0.5
    assert page.slider(key="filters-cut").label == "Cut"
    assert sentences(page) == []
    n_flagged = int(counts(page).split("samples, ")[1].split(" ")[0])
    assert n_flagged > 0
    assert any(f"This cut would flag {n_flagged} samples" in c.value for c in page.caption)


def test_what_an_address_cannot_have_is_said_until_somebody_chooses(look, staged_workspace):
    page = look(staged_workspace, dataset="staged", cls="zebra", state="done", cut="nan", page="x")
    assert len(sentences(page)) == 4
    assert "120 of 120 samples" in counts(page).replace("\\", "")
    page.selectbox(key="filters-state").set_value("flagged").run()
    assert len(sentences(page)) == 2, "of the class and the cut; another list has a first page"
    assert page.query_params["state"] == "flagged"
    next(button for button in page.button if button.label == "Clear filters").click().run()
    assert sentences(page) == []
    assert set(page.query_params) == {"dataset"}


def test_another_method_drops_the_cut_and_the_page(look, staged_workspace):
    page = look(staged_workspace, dataset="staged", cut="0.5", page="2", cls="class a")
    page.selectbox(key="filters-method").set_value("margin").run()
    left = {"dataset": "staged", "method": "margin", "cls": "class a"}
    assert dict(page.query_params) == left


def test_a_filter_that_nothing_fits_says_so(look, staged_workspace):
    page = look(staged_workspace, dataset="staged", state="exclude")
    assert any("No sample fits these filters" in said for said in sentences(page))


@pytest.fixture(scope="module")
def estimated(staged_workspace, tmp_path_factory):
    """A copy of the staged workspace with scores that estimate their precision."""
    folder = tmp_path_factory.mktemp("estimated") / "workspace"
    shutil.copytree(staged_workspace, folder)
    with Workspace.open(folder) as workspace:
        dataset = datasets.find(workspace, "staged")
        known = scores.load(workspace, scores.latest(workspace, dataset.id)["margin"].id)
        order = np.argsort(np.argsort(known.quantity, kind="stable"))
        planted = replace(
            known,
            spec=DetectorSpec(name="planted", version=1),
            quantity_name="planted_statistic",
            quantity=order / 60 - 1,
            flagged=order < 12,
            threshold=11 / 60 - 1,
            precision=np.minimum(1.0, 15 / (order + 1)),
            details={"noise_rate": 0.125},
        )
        scores.save(workspace, dataset.id, planted)
    return folder


def test_the_cut_says_how_many_of_its_flags_are_estimated_wrong_wherever_it_stands(look, estimated):
    page = look(estimated, dataset="staged", method="planted")
    said = [caption.value.replace("\\", "") for caption in page.caption]
    own = "own cut flags 12 samples (10.0 %). About 12 of them are wrong (100 %), and about 3 wrong"
    assert any(own in text for text in said)
    page.slider(key="filters-cut").set_value(-0.5).run()
    said = [caption.value.replace("\\", "") for caption in page.caption]
    moved = (
        "This cut would flag 31 samples (25.8 %). About 15 of them are wrong (48 %), and about 0"
    )
    assert any(moved in text for text in said)


UNSENT = "Object.keys(localStorage).filter(key => key.startsWith('labeltrace.outbox/')).length"


# ---- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(serve_module, staged_workspace, tmp_path_factory):
    """Serve a copy that these tests decide in; each takes samples of its own class."""
    workspace = tmp_path_factory.mktemp("ranking") / "workspace"
    shutil.copytree(staged_workspace, workspace)
    return serve_module(workspace)


@pytest.fixture
def standing(server):
    """Return what stands now, by sample key."""

    def read():
        with Workspace.open(server.workspace) as workspace:
            dataset = datasets.find(workspace, "staged")
            return decisions.current(workspace, dataset.id)

    return read


def tiles(tab):
    return tab.get_by_test_id("gallery-tile")


def keys(tab):
    return tiles(tab).evaluate_all("all => all.map(tile => tile.dataset.sampleKey)")


def open_list(tab, visit, server, query):
    visit(tab, f"{server.url}/ranking?dataset=staged&{query}")
    tiles(tab).first.wait_for()


@pytest.mark.browser
def test_tiles_are_buttons_in_words_with_their_own_place_on_one_sheet(server, tab, visit):
    sheets = []
    tab.on("request", lambda r: sheets.append(r.url) if "/sheet?" in r.url else None)
    open_list(tab, visit, server, "method=aum")
    assert tiles(tab).count() == 100
    label = tiles(tab).first.get_attribute("aria-label")
    assert label.startswith("rank 1, ")
    assert "suspicion" in label
    places = tab.locator(".image").evaluate_all(
        "all => all.map(image => getComputedStyle(image).backgroundPosition)"
    )
    assert len(set(places)) == 100
    assert len([url for url in sheets if url.count(",") == 99]) == 1


@pytest.mark.browser
def test_selected_tiles_are_decided_in_one_go_once_and_undone(server, tab, visit, standing, until):
    open_list(tab, visit, server, "cls=class a")
    shown = keys(tab)
    tiles(tab).nth(0).click()
    tiles(tab).nth(3).click(modifiers=["Shift"])
    expect(tab.get_by_text("4 selected").first).to_be_visible()
    tab.get_by_role("button", name="Exclude").click()
    until(lambda: set(standing()) >= set(shown[:4]))
    assert {standing()[key].verdict for key in shown[:4]} == {"exclude"}
    evidence = standing()[shown[1]].evidence["shown"]
    assert (evidence["given"], evidence["rank"] > 0) == ("class a", True)
    assert "excluded" in tiles(tab).nth(2).get_attribute("aria-label")
    assert keys(tab) == shown, "decided samples stay where they are until the list is opened anew"
    tab.get_by_role("button", name="Undo").click()
    until(lambda: not set(standing()) & set(shown[:4]))
    tab.wait_for_function(f"() => {UNSENT} === 0")
    assert "undecided" in tiles(tab).nth(2).get_attribute("aria-label")


@pytest.mark.browser
def test_everything_works_by_keyboard(server, tab, visit, standing, until):
    open_list(tab, visit, server, "cls=class b")
    shown = keys(tab)
    tiles(tab).first.focus()
    for key in ("Space", "Shift+ArrowRight", "s"):
        tab.keyboard.press(key)
    until(lambda: set(standing()) >= set(shown[:2]))
    assert standing()[shown[0]].verdict == "relabel"
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Space")
    tab.keyboard.press("r")
    tab.keyboard.type("CLASS E")
    tab.keyboard.press("Enter")
    until(lambda: shown[2] in standing())
    assert standing()[shown[2]].label == "class e"
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/sample?*")
    assert f"sample={shown[2]}" in tab.url


@pytest.mark.browser
def test_filters_survive_quick_hands_a_reload_and_the_way_back(server, tab, visit):
    open_list(tab, visit, server, "state=undecided")
    for label, option in (("State", "flagged"), ("Given class", "class c")):
        tab.get_by_role("combobox", name=label).click()
        tab.get_by_role("option", name=option, exact=True).click()
    tab.wait_for_url("**state=flagged*cls=class*")
    tab.get_by_text("samples,").wait_for()
    before = tab.url
    tab.reload()
    tiles(tab).first.wait_for()
    expect(tab.get_by_role("combobox", name="Given class")).to_have_value("class c")
    tiles(tab).first.dblclick()
    tab.wait_for_url("**/sample?*")
    tab.go_back()
    tiles(tab).first.wait_for()
    expect(tab.get_by_role("combobox", name="Given class")).to_have_value("class c")
    assert "state=flagged" in before
    expect(tab.get_by_role("combobox", name="State")).to_have_value("flagged")


@pytest.mark.browser
def test_a_cell_filters_its_pair_and_pressed_again_shows_all(server, tab, visit):
    open_list(tab, visit, server, "method=margin")
    cell = tab.locator("td button").first
    meant = cell.get_attribute("aria-label")
    cell.click()
    tab.wait_for_url("**cls=*suggested=*")
    n_samples, given = meant.split(" ")[0], meant.split("given ")[1].split(",")[0]
    tab.get_by_text(f"{n_samples} of 120 samples").wait_for()
    tab.wait_for_function(
        "n => document.querySelectorAll('*') && [...document.querySelectorAll('*')]"
        ".map(host => host.shadowRoot?.querySelectorAll('.tile').length ?? 0)"
        ".reduce((a, b) => a + b) === n",
        arg=int(n_samples),
    )
    assert {t.split("given ")[1].split(",")[0] for t in tiles(tab).evaluate_all(
        "all => all.map(tile => tile.getAttribute('aria-label'))"
    )} == {given}  # fmt: skip
    tab.locator("td button[aria-pressed=true]").click()
    tab.get_by_text("120 of 120 samples").wait_for()


@pytest.mark.browser
def test_moving_the_cut_says_what_it_would_flag_and_goes_with_the_list_to_review(
    server, tab, visit
):
    open_list(tab, visit, server, "method=margin&state=flagged&cut=0")
    slider = tab.get_by_role("slider", name="Cut")
    before = tab.get_by_text("This cut would flag").inner_text()
    slider.focus()
    for _ in range(8):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_url("**cut=0.*")
    tab.wait_for_function(
        "before => ![...document.querySelectorAll('p')].some(p => p.textContent === before)",
        arg=before,
    )
    tab.get_by_role("button", name="Review these").click()
    tab.wait_for_url("**/review?*")
    assert "cut=0." in tab.url
    assert "state=flagged" in tab.url


@pytest.mark.browser
def test_what_the_gallery_could_not_send_is_sent_by_the_station_of_another_tab(
    staged_copy, serve, tab, visit, until
):
    server = serve(staged_copy)
    open_list(tab, visit, server, "cls=class a")
    shown = keys(tab)[:2]
    server.kill()
    tiles(tab).nth(0).click()
    tiles(tab).nth(1).click()
    tab.keyboard.press("x")
    tab.wait_for_function(f"() => {UNSENT} === 2")
    other = tab.context.new_page()
    tab.close()
    server.start()
    visit(other, f"{server.url}/review?dataset=staged")
    with Workspace.open(server.workspace) as workspace:
        dataset = datasets.find(workspace, "staged")
        until(lambda: set(decisions.current(workspace, dataset.id)) == set(shown))
    other.wait_for_function(f"() => {UNSENT} === 0")
