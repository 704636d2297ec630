"""Remake the pictures of the README: the demo's digits on the pages that people look at most.

    python benchmarks/screenshots.py --workspace DIR [--out docs/images] [--only review,compare,…] [--wide]

DIR is a workspace with the demo's dataset scored by the main methods: `labeltrace demo --no-app`, then
`labeltrace audit DIR-demo/digits.npz --name digits --out scores.csv --method aum,lstm,dynacor,planted,margin`
in ``DIR-demo``. A copy of it is served, because the review picture needs some decisions and the Explain
page some explanations. ``--wide`` takes every picture at 1920 pixels and in both themes too, to look at.
"""

import argparse
import io
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
KEYS = ("Enter", "Enter", "k", "Enter", "Enter", "u", "Enter", "Enter")
"""What is pressed on Review before its picture is taken."""

PAGES = {
    "ranking": ("/ranking?dataset=digits&method=aum&state=flagged", "[data-testid=gallery-tile]"),
    "sample": ("/sample?dataset=digits&method=aum", ".js-plotly-plot .main-svg"),
    "compare": ("/compare?dataset=digits", "[data-testid=gallery-tile]"),
    "data-map": ("/compare?dataset=digits&view=map", "[data-testid=gallery-tile]"),
    "classes": ("/compare?dataset=digits&view=classes", "table"),
    "explain": ("/explain?dataset=digits&method=lstm,margin", ".js-plotly-plot .main-svg"),
    "methods": ("/methods", "table"),
}
"""Address of each page, and what is there when it is drawn."""

IN_README = {"ranking", "sample", "compare", "data-map", "explain"}
SIZES = {"": (1280, 840), "-wide": (1920, 1080)}


def main() -> None:
    """Serve a copy of the workspace and take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", type=lambda text: set(text.split(",")), default=None)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(options.workspace, Path(folder) / "workspace")
        server = subprocess.Popen(
            [sys.executable, "-m", "audit", "app", "--port", "0", "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"LABELTRACE_WORKSPACE": str(copy), "LABELTRACE_REVIEWER": "Ada"},
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().removeprefix("Ready:").strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"]
                )
                take(browser, url, options)
        finally:
            server.terminate()
            server.wait()


def take(browser: Browser, url: str, options: argparse.Namespace) -> None:
    """Take the README's pictures in the light theme, Review in the dark one too; or all of them."""
    out, is_all = options.out, options.wide
    wanted = options.only or {"review", *(PAGES if is_all else IN_README)}
    for theme, (suffix, size) in itertools.product(("light", "dark"), SIZES.items()):
        if suffix and not is_all:
            continue
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            device_scale_factor=1.0 if is_all else 1.5,
        )
        page.set_default_timeout(120_000)
        if "review" in wanted:
            review(page, url)
            keep(page, out / f"review-{theme}{suffix}.png")
        for name, (address, drawn) in PAGES.items():
            if name not in wanted or (theme == "dark" and not is_all):
                continue
            page.goto(url + address)
            if name == "explain":
                explain(page)
            page.locator(drawn).first.wait_for()
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(1500)  # plots move into place
            keep(page, out / (f"{name}-{theme}{suffix}.png" if is_all else f"{name}.png"))
        page.close()


def keep(page: Page, path: Path) -> None:
    """Write what the page shows as a PNG of 256 colours, which a README loads fast."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def explain(page: Page) -> None:
    """Ask for the explanations that are missing."""
    button = page.get_by_role("button", name="Explain", exact=True)
    chart = page.locator(".js-plotly-plot .main-svg").first
    button.or_(chart).first.wait_for()
    if button.is_visible():
        button.click()


def review(page: Page, url: str) -> None:
    """Open Review and decide a little."""
    page.goto(f"{url}/review?dataset=digits&method=aum")
    for key in KEYS:
        image = page.locator("[data-testid=review-image][data-sample-key]")
        image.wait_for()
        before = image.get_attribute("data-sample-key")
        page.keyboard.press(key)
        page.wait_for_function(
            "([image, before]) => image.dataset.sampleKey !== before",
            arg=[image.element_handle(), before],
        )
    page.wait_for_timeout(2500)  # until everything is stored and said


if __name__ == "__main__":
    main()
