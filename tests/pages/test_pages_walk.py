"""The whole job in a real browser: import, run, ranking, review by keys, export; then the file is read."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLASSES = ("red", "green", "blue")
N_PER_CLASS = 20
WRONG = ("red/07.jpg", "green/03.jpg", "blue/11.jpg")
"""Lie in this class's folder and show the next one's colour."""


@pytest.fixture
def photographs(tmp_path):
    """Lay 60 JPEGs in a folder per class, three of them in a wrong one."""
    rng = np.random.default_rng(3)
    for index, name in enumerate(CLASSES):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for number in range(N_PER_CLASS):
            key = f"{name}/{number:02d}.jpg"
            shown = (index + (key in WRONG)) % len(CLASSES)
            pixels = rng.integers(0, 60, (24, 24, 3))
            pixels[..., shown] += 150
            file = tmp_path / "photographs" / key
            Image.fromarray(pixels.astype(np.uint8)).save(file, quality=95)
    return tmp_path / "photographs"


def test_a_browser_imports_trains_reviews_and_exports(serve, tab, visit, photographs, tmp_path):
    server = serve(tmp_path / "workspace")
    step(tab, visit, server.url, "Datasets")
    tab.get_by_label("Source", exact=True).fill(str(photographs))
    tab.get_by_role("button", name="Show plan").click()
    tab.get_by_role("button", name="Import", exact=True).click()
    tab.get_by_text("photographs is imported.").wait_for()

    go(tab, "Runs")
    tab.get_by_text("Settings", exact=True).click()
    tab.get_by_label("Epochs", exact=True).fill("10")
    tab.get_by_label("Epochs", exact=True).press("Enter")
    tab.get_by_role("button", name="Start run").click()
    tab.get_by_test_id("run-state").first.wait_for()
    tab.reload()
    sealed = tab.get_by_test_id("run-state").filter(has_text="sealed")
    sealed.first.wait_for(timeout=180_000)

    go(tab, "Ranking")
    # Until both runs are scored it shows what the second one suspects so far, which is not to be reviewed.
    tab.get_by_role("button", name="Review these").wait_for(timeout=120_000)
    tab.reload()
    tiles = tab.get_by_test_id("gallery-tile")
    tiles.first.wait_for(timeout=60_000)
    ranked = tiles.evaluate_all("tiles => tiles.map(tile => tile.dataset.sampleKey)")
    assert set(ranked[:3]) == set(WRONG), "the wrong ones are the most suspicious"
    tab.get_by_role("button", name="Review these").click()

    decided = {}
    for press in ("Enter", "k", "x", "u"):
        key = painted(tab, decided)
        decided[key] = press
        tab.keyboard.press(press)
    painted(tab, decided)
    tab.get_by_test_id("review-unsent").and_(tab.get_by_text("0", exact=True)).wait_for()
    assert list(decided) == ranked[:4], "Review shows what Ranking showed, in its order"

    go(tab, "Export")
    out = tmp_path / "corrected.csv"
    tab.get_by_label("File to write").fill(str(out))
    tab.get_by_label("File to write").press("Enter")
    tab.get_by_role("button", name="Export", exact=True).click()
    manifest_file = out.with_name("corrected.csv.manifest.json")
    tab.get_by_text(str(out)).first.wait_for()

    relabelled, kept, excluded, unsure = decided
    with out.open(newline="", encoding="utf-8") as file:
        rows = {row["sample_key"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(CLASSES) * N_PER_CLASS - 1
    assert excluded not in rows
    verdicts = {key: row["verdict"] for key, row in rows.items() if row["verdict"]}
    assert verdicts == {relabelled: "relabel", kept: "keep", unsure: "unsure"}
    given = relabelled.partition("/")[0]
    shown = CLASSES[(CLASSES.index(given) + 1) % len(CLASSES)]
    assert (rows[relabelled]["given_label"], rows[relabelled]["label"]) == (given, shown)
    for key, row in rows.items():
        assert row["given_label"] == key.partition("/")[0]
        assert key == relabelled or row["label"] == row["given_label"]
    counts = json.loads(manifest_file.read_text(encoding="utf-8"))["counts"]
    assert counts["relabelled"] == counts["kept"] == counts["excluded"] == counts["unsure"] == 1


def step(tab, visit, url, page):
    visit(tab, url)
    go(tab, page)


def go(tab, page):
    """Follow a link of the sidebar."""
    tab.get_by_test_id("stSidebarNav").get_by_role("link", name=page).click()
    tab.locator("h1", has_text=page).wait_for()


def painted(tab, before):
    """Wait for an image that was not decided on and return its key."""
    tab.wait_for_function(
        """seen => {
          const found = [];
          const look = root => root.querySelectorAll('*').forEach(e => {
            if (e.dataset?.testid === 'review-image') found.push(e.dataset.sampleKey);
            if (e.shadowRoot) look(e.shadowRoot);
          });
          look(document);
          return found.length === 1 && found[0] && !seen.includes(found[0]);
        }""",
        arg=list(before),
    )
    return tab.get_by_test_id("review-image").get_attribute("data-sample-key")
