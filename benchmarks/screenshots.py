"""Remake the pictures of the README: the demo's digits on the Review, Ranking and Sample pages.

    python benchmarks/screenshots.py --workspace DIR [--out docs/images]

DIR is a workspace with the demo's dataset scored by aum: `labeltrace demo --no-app`, then
`labeltrace train digits --probe threshold` and `labeltrace score … --method aum` in ``DIR-demo``. A copy
of it is served, because the review picture needs some decisions.
"""

import argparse
import io
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
}


def main() -> None:
    """Serve a copy of the workspace and take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
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
                take(browser, url, options.out)
        finally:
            server.terminate()
            server.wait()


def take(browser: Browser, url: str, out: Path) -> None:
    """Take every picture in the light theme, Review in the dark one too."""
    for theme in ("light", "dark"):
        page = browser.new_page(
            viewport={"width": 1280, "height": 840}, color_scheme=theme, device_scale_factor=1.5
        )
        review(page, url)
        keep(page, out / f"review-{theme}.png")
        for name, (address, drawn) in PAGES.items():
            page.goto(url + address)
            page.locator(drawn).first.wait_for()
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(1500)  # plots move into place
            if theme == "light":
                keep(page, out / f"{name}.png")
        page.close()


def keep(page: Page, path: Path) -> None:
    """Write what the page shows as a PNG of 256 colours, which a README loads fast."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


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
