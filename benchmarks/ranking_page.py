"""Time the Ranking page on 50,000 images: a deep link to its first thumbnails, and changes of filters.

    python benchmarks/ranking_page.py [--samples N] [--classes K] [--repeats R] [--json FILE]

A data set of random images is imported and given scores without training (`tests/staged.py`); the
dashboard serves it as its users start it, and Chromium looks at it. *Opened* is the time from the start
of a navigation to another list until its thumbnails are decoded and drawn, each in a browser without
cache while the server is warm. *Changed* is the time from a key press or click in a filter until the
script has ended and the new thumbnails are drawn. No list is shown twice, so no sheet is known before.
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from audit.store.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
SIDE = 32

TARGETS = {"opened": 2000.0, "class": 300.0, "state": 300.0, "cut": 300.0, "page": 300.0}
"""Milliseconds, for the 95th percentile."""

_PAINTED = """() => {
  if (window.gallery?.isConnected) return window.gallery;
  for (const host of document.querySelectorAll('div')) {
    window.gallery = host.shadowRoot?.querySelector('.gallery');
    if (window.gallery) return window.gallery;
  }
  return null;
}"""
_VIEW = f"() => ({_PAINTED})()?.dataset.painted ?? ''"
_IS_NEW = f"""(before) => {{
  const app = document.querySelector('[data-testid=stApp]');
  const painted = ({_PAINTED})()?.dataset.painted;
  if (!painted || painted === before) return false;
  if (app.getAttribute('data-test-script-state') === 'running') return false;
  return performance.now() - (window.pressed ?? 0);
}}"""
_HAS_TILES = f"""() => {{
  const gallery = ({_PAINTED})();
  return gallery?.dataset.painted ? performance.now() : false;
}}"""

_CAME_OVER = f"""() => {{
  const gallery = ({_PAINTED})();
  return gallery?.dataset.painted ? performance.now() - window.pressed : false;
}}"""


def load(path: Path) -> ModuleType:
    """Return a module of the tests, which are no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def stage(folder: Path, n_samples: int, n_classes: int) -> Path:
    """Import the data set, give it scores and return the workspace."""
    planted, staged = load(ROOT / "tests/planted.py"), load(ROOT / "tests/staged.py")
    with Workspace.open(folder / "workspace") as workspace:
        staged.stage(
            planted,
            workspace,
            folder,
            name="many",
            n_samples=n_samples,
            n_classes=n_classes,
            n_epochs=4,
            side=SIDE,
            methods=("aum",),
            class_names=[f"class {index:03}" for index in range(n_classes)],
        )
    return folder / "workspace"


def launch(playwright: Playwright) -> Browser:
    """Return Chromium, which asks nothing of the network by itself."""
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet],
    )


def open_lists(browser: Browser, url: str, classes: Iterator[str]) -> float:
    """Return the milliseconds from the start of a navigation to drawn thumbnails."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{url}/ranking?dataset=many&cls={next(classes)}", wait_until="commit")
    took = page.wait_for_function(_HAS_TILES, timeout=60_000).json_value()
    context.close()
    return float(took)


def come_over(browser: Browser, url: str) -> float:
    """Return the milliseconds from a click on Ranking, on another page, to drawn thumbnails."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{url}/methods?dataset=many")
    link = page.get_by_role("link", name="Ranking")
    link.wait_for()
    page.wait_for_timeout(1500)  # what is still fetched, so that the click does not wait for it
    page.evaluate("() => { window.gallery = null; window.pressed = performance.now(); }")
    link.click()
    took = page.wait_for_function(_CAME_OVER, timeout=60_000).json_value()
    context.close()
    return float(took)


def press(page: Page, do: Callable[[], object]) -> float:
    """Return the milliseconds from an act to a settled page with other thumbnails."""
    before = page.evaluate(_VIEW)
    page.evaluate("() => { window.pressed = performance.now(); }")
    do()
    took = page.wait_for_function(_IS_NEW, arg=before, timeout=60_000).json_value()
    page.wait_for_timeout(400)  # what is fetched ahead, so that one act does not wait for the last
    return float(took)


def choose(page: Page, label: str, option: str) -> float:
    """Return the milliseconds that a choice in a list takes, from the key that confirms it."""
    page.get_by_role("combobox", name=label).click()
    page.keyboard.press("Control+a")
    page.keyboard.type(option)
    page.get_by_role("option", name=option, exact=True).first.wait_for()
    return press(page, lambda: page.keyboard.press("Enter"))


def change(
    browser: Browser, url: str, classes: Iterator[str], repeats: int
) -> dict[str, list[float]]:
    """Return the milliseconds of every change, by its kind."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{url}/ranking?dataset=many")
    page.wait_for_function(_HAS_TILES, timeout=60_000)
    page.wait_for_timeout(1500)
    took: dict[str, list[float]] = {"class": [], "state": [], "cut": [], "page": []}
    for _ in range(repeats):
        took["class"].append(choose(page, "Given class", next(classes)))
        for state in ("flagged", "todo"):
            took["state"].append(choose(page, "State", state))
        slider = page.get_by_role("slider", name="Cut")
        slider.focus()
        for key in ("ArrowRight", "ArrowLeft"):
            took["cut"].append(press(page, lambda key=key: page.keyboard.press(key)))
        choose(page, "State", "all")
        page.get_by_role("button", name="Clear filters").click()
        page.wait_for_timeout(1000)
        for number in (2, 3):
            turn = page.get_by_test_id("stPagination").get_by_text(str(number), exact=True)
            took["page"].append(press(page, turn.click))
    return took


def summary(values: list[float]) -> dict[str, float]:
    """Return count, median and 95th percentile in milliseconds."""
    p50, p95 = np.percentile(values, [50, 95])
    return {"n": len(values), "p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def measure(url: str, n_classes: int, repeats: int) -> dict[str, list[float]]:
    """Return the milliseconds of everything that is timed, by its kind."""
    classes = iter([f"class {index:03}" for index in range(n_classes)])
    with sync_playwright() as playwright:
        browser = launch(playwright)
        open_lists(browser, url, classes)  # warms the server
        opened = [open_lists(browser, url, classes) for _ in range(repeats)]
        changed = change(browser, url, classes, repeats)
        browser.close()
    return {"opened": opened, **changed}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every value there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ranking-") as place:
        workspace = stage(Path(place), options.samples, options.classes)
        server: Any = load(ROOT / "tests/conftest.py").Server(workspace)
        load_before = os.getloadavg()[0]
        server.start()
        try:
            took = measure(server.url, options.classes, options.repeats)
        finally:
            server.kill()
    facts = {
        "samples": options.samples,
        "classes": options.classes,
        "image_side": SIDE,
        "milliseconds": {kind: summary(values) for kind, values in took.items()},
        "targets_p95": TARGETS,
        "cpus": os.cpu_count(),
        "load_average_before": round(load_before, 2),
        "load_average_after": round(os.getloadavg()[0], 2),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    if options.json is not None:
        every = {kind: [round(value, 1) for value in values] for kind, values in took.items()}
        options.json.write_text(json.dumps(facts | {"each": every}, indent=2) + "\n")
    print(json.dumps(facts))
    held = all(facts["milliseconds"][kind]["p95"] <= most for kind, most in TARGETS.items())
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
