"""What scripts and people from outside rely on: labels, test ids and addresses, found as a stranger would."""

import re
import shutil
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from audit.records.decision import Decision, Verdict
from audit.store import datasets, decisions
from audit.store.workspace import Workspace

pytestmark = pytest.mark.browser

STATION = (
    "review-image", "review-given", "review-suggested", "review-progress", "review-unsent",
    "review-empty", "review-keep", "review-relabel", "review-exclude", "review-unsure", "review-undo",
    "review-help", "review-class-search",
)  # fmt: skip
HOSTILE = [
    "<img src=x onerror=alert(1)>", "**bold** $x^2$ :rocket:", "[link](http://evil.example)",
    "</script><script>alert(1)</script>", "naïve :red[x] `code`",
]  # fmt: skip
SETTLED = """() => {
  const app = document.querySelector('[data-testid=stApp]');  // not there while a page comes
  return app !== null && app.getAttribute('data-test-script-state') !== 'running';
}"""
PAINTED = """seen => {
  const found = [];
  const look = root => root.querySelectorAll('*').forEach(e => {
    if (e.dataset?.testid === 'review-image') found.push(e.dataset.sampleKey);
    if (e.shadowRoot) look(e.shadowRoot);
  });
  look(document);
  return found.length === 1 && found[0] && !seen.includes(found[0]);
}"""


@pytest.fixture(scope="module")
def house(stage, staged_workspace, tmp_path_factory, serve_module):
    """Serve a workspace that the tests of this file write to, each into a dataset of its own."""
    folder = tmp_path_factory.mktemp("contract")
    path = shutil.copytree(staged_workspace, folder / "workspace")
    with Workspace.open(path) as workspace:
        few = {"n_samples": 40, "n_epochs": 4, "methods": ("margin",)}
        stage(workspace, folder, name="going", **few)
        stage(workspace, folder, name="two tabs", **few)
        stage(workspace, folder, name="typed", **few)
        stage(workspace, folder, name=HOSTILE[0], class_names=HOSTILE, **few)
        staged = datasets.find(workspace, "staged")
        given = int(staged.given_labels[0])
        made = Decision(
            dataset_id=staged.id, sample_key=staged.sample_keys[0],
            given_label=staged.class_names[given], verdict=Verdict.RELABEL,
            label=staged.class_names[given - 1], reviewer="ann",
            decided_at=datetime(2026, 3, 1, tzinfo=UTC),
        )  # fmt: skip
        decisions.append(workspace, [made])
    return serve_module(path)


def painted(tab, *seen):
    """Wait for an image that is none of these; return its key."""
    tab.wait_for_function(PAINTED, arg=list(seen))
    return tab.get_by_test_id("review-image").get_attribute("data-sample-key")


def press(tab, keys):
    """Press keys that decide, each on an image that is painted; return the samples' keys."""
    seen = [painted(tab)]
    for key in keys:
        tab.keyboard.press(key)
        seen.append(painted(tab, *seen))
    return seen[:-1]


def all_sent(tab):
    tab.get_by_test_id("review-unsent").and_(tab.get_by_text("0", exact=True)).wait_for()


def log(server, name):
    """Return who decided what, in the order in which it was stored."""
    with Workspace.open(server.workspace) as workspace:
        found = decisions.log(workspace, datasets.find(workspace, name).id)
    return [
        (each.sample_key, str(each.verdict) if isinstance(each, Decision) else "undo")
        for each in found
    ]


def test_one_widget_answers_to_each_label_as_a_part_of_a_name_too(house, tab, visit, tmp_path):
    visit(tab, f"{house.url}/datasets?dataset=staged")
    tab.get_by_label("Source").fill(str(house.workspace.parent / "two tabs.npz"))
    tab.get_by_role("button", name="Show plan").click()
    tab.get_by_role("button", name="Import").wait_for()
    visit(tab, f"{house.url}/runs?dataset=staged")
    tab.get_by_role("button", name="Start run").wait_for()
    visit(tab, f"{house.url}/ranking?dataset=staged")
    tab.get_by_role("slider", name="Cut").wait_for(state="attached")
    tab.get_by_label("Cut", exact=True).wait_for()
    visit(tab, f"{house.url}/export?dataset=staged")
    tab.get_by_text("What changes").wait_for()
    tab.get_by_role("button", name="Show/hide columns").wait_for(state="attached")
    tab.get_by_role("button", name="Export").wait_for()  # all waits refuse two that fit


def test_parts_of_the_station_are_there_once_and_only_the_right_ones_are_seen(house, tab, visit):
    visit(tab, f"{house.url}/review?dataset=staged&method=margin")
    painted(tab)
    assert {part: tab.get_by_test_id(part).count() for part in STATION} == dict.fromkeys(STATION, 1)
    expect(tab.get_by_test_id("review-unsent")).to_have_text("0")
    expect(tab.get_by_test_id("review-progress")).to_have_text(re.compile("^1 of 120 decided"))
    assert not tab.get_by_test_id("review-empty").is_visible()
    visit(tab, f"{house.url}/review?dataset=staged&method=margin&state=flagged")
    tab.get_by_test_id("review-empty").wait_for()  # margin has no cut of its own
    assert not tab.get_by_test_id("review-image").is_visible()


def test_two_tabs_of_one_browser_send_every_decision_once(house, tab, visit):
    url = f"{house.url}/review?dataset=two tabs&method=margin"
    other = tab.context.new_page()
    visit(tab, url)
    visit(other, url)
    painted(other)
    ahead = [painted(other)]
    for _ in range(4):
        other.keyboard.press("ArrowRight")
        ahead.append(painted(other, *ahead))
    first = press(tab, "kxku")
    second = press(other, "xkuk")
    all_sent(tab)
    all_sent(other)
    assert not set(first) & set(second)
    wanted = [*zip(first, ("keep", "exclude", "keep", "unsure"), strict=True)]
    wanted += zip(second, ("exclude", "keep", "unsure", "keep"), strict=True)
    assert sorted(log(house, "two tabs")) == sorted(wanted)


def test_a_name_typed_beside_the_station_and_chords_decide_nothing(house, tab, visit):
    visit(tab, f"{house.url}/review?dataset=typed&method=margin")
    first = painted(tab)
    for chord in ("Control+k", "Alt+x", "Control+z", "Meta+u"):
        tab.keyboard.press(chord)
    tab.get_by_role("textbox", name="Your name").click()
    tab.keyboard.type("kxu1z")
    tab.get_by_test_id("review-keep").click()
    assert painted(tab, first) != first
    all_sent(tab)
    assert log(house, "typed") == [(first, "keep")]


def test_hostile_names_are_text_where_suspects_are_looked_at(house, tab, visit):
    alarms = []
    tab.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
    waits = {"ranking": "gallery-tile", "review": "review-image", "sample": "stPlotlyChart"}
    for page, part in waits.items():
        visit(tab, f"{house.url}/{page}?dataset={HOSTILE[0]}&method=margin&cls={HOSTILE[0]}")
        tab.get_by_test_id(part).first.wait_for()
        # The page shows the name as it is.
        expect(tab.get_by_text(HOSTILE[0]).first).to_be_attached()
        assert tab.locator("img[src='x'], a[href*='evil'], .katex").count() == 0
        assert tab.get_by_text("🚀").count() == 0
        assert tab.get_by_text("bold", exact=True).count() == 0
    assert alarms == []


def test_a_dataset_that_goes_while_its_review_is_open_is_told_in_a_sentence(house, tab, visit):
    visit(tab, f"{house.url}/review?dataset=going&method=margin")
    press(tab, "k")
    all_sent(tab)
    with Workspace.open(house.workspace) as workspace:
        datasets.delete(workspace, datasets.find(workspace, "going").id)
    tab.keyboard.press("k")
    tab.get_by_text("There is no dataset 'going'").wait_for()
    assert tab.get_by_test_id("stException").count() == 0
    # Another one can be chosen.
    expect(tab.get_by_label("Dataset")).to_be_visible()
    # What was decided about it can be forgotten, it would wait for ever.
    visit(tab, f"{house.url}/review?dataset={HOSTILE[0]}&method=margin")
    unsent = tab.get_by_test_id("review-unsent")
    forget = tab.get_by_role("button", name="Forget what belongs to no dataset here")
    forget.wait_for()
    assert unsent.inner_text() == "1"
    forget.click()
    assert unsent.inner_text() == "0"
    assert not forget.is_visible()


@pytest.mark.parametrize("page", ["Ranking", "Sample"])
def test_back_leads_out_of_a_page_that_completes_its_own_address(house, tab, visit, page):
    visit(tab, house.url)
    tab.get_by_role("link", name=page, exact=True).click()
    tab.wait_for_url("**dataset=**sample=**" if page == "Sample" else "**dataset=**")
    for _ in range(4):  # every key that a page adds is one step
        tab.wait_for_function(SETTLED)
        tab.go_back()
        if tab.url.split("?")[0] == f"{house.url}/":
            break
    tab.locator("h1", has_text="Overview").wait_for()
    tab.wait_for_function(SETTLED)
    assert tab.title() == "Overview · labeltrace"


def test_the_focus_is_seen_on_every_link_of_the_sidebar(house, tab, visit):
    visit(tab, f"{house.url}/history?dataset=staged")
    # The house's style comes with the script's answer, after the first paint.
    tab.locator("[data-testid=stEvent] style").first.wait_for(state="attached")
    links = tab.get_by_test_id("stSidebarNavLink")
    tab.keyboard.press("Tab")
    while not links.first.evaluate("link => link === document.activeElement"):
        tab.keyboard.press("Tab")
    for link in links.all():
        assert link.evaluate(
            "link => link === document.activeElement && getComputedStyle(link).outlineStyle === 'solid'"
        )
        tab.keyboard.press("Tab")
