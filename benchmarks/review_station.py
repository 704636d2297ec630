"""How fast the review station is, and whether it loses anything: a real browser, server and database.

    python benchmarks/review_station.py [--presses 200] [--flood 1000] [--images FOLDER] [--json FILE]

1. From a key press to the next image painted, at 32 and at 400 pixels: the station beside a page of
   st.image and st.button(shortcut=), which stores nothing. Both are measured by one script in the page,
   from the time stamp of the key's event until the new image is decoded, drawn and a frame was made of it.
   ``next_frame`` is stricter: until the frame after that one begins.
2. Many presses 50 ms apart, with the server killed in the middle and started again. The keys of the
   samples that the browser painted, in their order, are compared with what the database holds.

The images are smooth synthetic JPEGs unless a folder is named. Only the loopback interface is used.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from audit.datasets import sources
from audit.detectors import catalog
from audit.records.decision import Decision
from audit.records.scores import DetectorSpec, Scores
from audit.store import datasets, decisions, scores
from audit.store.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("boot", "coat", "dress", "hat", "shirt")
GAP_MS = 50
DOWN_S = 10
"""How long the server stays away: long enough for Streamlit to lay its dialog over the page."""
PAUSE_MS = 250
"""Between an image and the next press where latency is measured: a quick person's."""
TARGET_P95_MS, TARGET_RATIO = 50, 3

# Both pages are watched by this: `times` gets [key → painted, key → next frame] in milliseconds,
# `painted` the samples' keys in the order in which the station painted them.
WATCH = """
() => {
  window.times = []; window.painted = [];
  let pressed = null;
  const press = (event) => { if (event.key === "k") pressed ??= event.timeStamp; };
  window.addEventListener("keydown", press, true);
  const record = () => {
    const at = performance.now(), start = pressed;
    pressed = null;
    if (start === null) return;
    requestAnimationFrame(() => times.push([at - start, performance.now() - start]));
  };
  const channel = new MessageChannel();
  const waiting = [];
  channel.port1.onmessage = () => waiting.splice(0).forEach((call) => call());
  const afterPaint = (call) =>
    requestAnimationFrame(() => { waiting.push(call); channel.port2.postMessage(null); });
  const host = document.querySelector("[data-testid=stBidiComponentIsolated]");
  if (host) {
    const image = host.shadowRoot.querySelector("[data-testid=review-image]");
    painted.push(image.dataset.sampleKey);
    new MutationObserver(() => { painted.push(image.dataset.sampleKey); record(); })
      .observe(image, { attributes: true, attributeFilter: ["data-sample-key"] });
  } else {
    let source = document.querySelector("[data-testid=stImage] img").src;
    new MutationObserver(async () => {
      const image = document.querySelector("[data-testid=stImage] img");
      if (!image || image.src === source) return;
      source = image.src;
      await image.decode();
      afterPaint(record);
    }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] });
  }
}
"""

SETTLED = """
() => {
  const root = document.querySelector("[data-testid=stBidiComponentIsolated]").shadowRoot;
  return root.querySelector(".sample").textContent === painted[painted.length - 1];
}
"""


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--flood", type=int, default=1000)
    parser.add_argument("--images", type=Path, help="folder of photographs for the large case")
    parser.add_argument("--json", type=Path, help="write the report here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labeltrace-bench-") as folder:
        report = measure(Path(folder), args)
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    # The flood finds what the presses before it have left undecided.
    n_images = args.presses + args.flood + 100
    small, large = folder / "small", folder / "large"
    draw(small, n_images, 32)
    if args.images:
        copy(args.images, large, n_images)
    else:
        draw(large, n_images, 400)
    workspace = folder / "workspace"
    with Workspace.open(workspace) as opened:
        for source in (small, large):
            stage(opened, source)
    with sync_playwright() as playwright:
        chromium = os.environ.get("LABELTRACE_TEST_CHROMIUM") or shutil.which("chromium")
        quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet],
        )
        load = os.getloadavg()[0]
        cases: dict[str, Any] = {}
        for source, side in ((small, 32), (large, 400)):
            with Server(["app.py"], workspace) as server:
                page = open_station(browser, server, source.name)
                station = latencies(page, args.presses)
                page.context.close()
            script = ["benchmarks/review_button_page.py"]
            with Server(script, workspace, ["--", str(flat(source))]) as server:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(server.url)
                page.locator("[data-testid=stImage] img").wait_for()
                buttons = latencies(page, args.presses)
                page.context.close()
            cases[f"{side} px"] = {
                "station": station,
                "button_page": buttons,
                "times_faster_at_p95": round(
                    buttons["key_to_painted_ms"]["p95"] / station["key_to_painted_ms"]["p95"], 1
                ),
            }
        survived = flood(browser, workspace, large.name, args.flood)
        version = browser.version
        browser.close()
    return {
        "what": "key press to next image painted, and decisions recorded across a killed server",
        "command": f"python benchmarks/review_station.py --presses {args.presses} --flood {args.flood}",
        "machine": {
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "gpu": "none, drawn by the CPU",
            "browser": f"headless Chromium {version}, 1280 x 900",
            "load_before": round(load, 2),
        },
        "pause_ms": PAUSE_MS,
        "images": "photographs" if args.images else "smooth synthetic images, JPEG",
        "measured_at": datetime.now(UTC).date().isoformat(),
        "cases": cases,
        "flood": survived,
        "targets": {
            "p95_ms": TARGET_P95_MS,
            "times_faster": TARGET_RATIO,
            "met": all(
                case["station"]["key_to_painted_ms"]["p95"] <= TARGET_P95_MS
                and case["times_faster_at_p95"] >= TARGET_RATIO
                for case in cases.values()
            )
            and survived["is_exact"],
        },
    }


def latencies(page: Page, n_presses: int) -> dict[str, Any]:
    """Press a key, wait for the next image, a human moment, and again."""
    page.evaluate(WATCH)
    page.wait_for_timeout(1000)
    for done in range(n_presses):
        page.keyboard.press("k")
        page.wait_for_function(f"() => times.length > {done}", polling=20)
        page.wait_for_timeout(PAUSE_MS)
    times = np.array(page.evaluate("() => times"))
    return {"key_to_painted_ms": summary(times[:, 0]), "key_to_next_frame_ms": summary(times[:, 1])}


def flood(browser: Browser, workspace: Path, dataset: str, n_presses: int) -> dict[str, Any]:
    """Press on while the server dies and comes back; compare the browser's view with the database."""
    with Workspace.open(workspace) as opened:
        dataset_id = datasets.find(opened, dataset).id
        before = decisions.last_id(opened, dataset_id) or 0
    with Server(["app.py"], workspace) as server:
        page = open_station(browser, server, dataset)
        page.evaluate(WATCH)
        page.wait_for_timeout(2000)
        down: dict[str, float] = {}

        def restart() -> None:
            began = time.monotonic()
            server.kill()
            time.sleep(DOWN_S)
            server.start()
            down["seconds"] = round(time.monotonic() - began, 1)

        dying = threading.Thread(target=restart)
        start = time.monotonic()
        most_unsent = 0
        for number in range(n_presses):
            if number == n_presses // 2:
                dying.start()
            time.sleep(max(0.0, start + number * GAP_MS / 1000 - time.monotonic()))
            page.keyboard.press("k")
            if number % 10 == 0:
                most_unsent = max(most_unsent, unsent(page))
        seconds = time.monotonic() - start
        dying.join()
        page.wait_for_timeout(500)
        deadline = time.monotonic() + 60
        while unsent(page) and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        left = unsent(page)
        # The image of the last key may still be on its way; one that never comes is a fault.
        deadline = time.monotonic() + 10
        while not (is_settled := page.evaluate(SETTLED)) and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        painted = page.evaluate("() => painted")
        times = np.array(page.evaluate("() => times"))
        page.context.close()
    with Workspace.open(workspace) as opened:
        log = [e for e in decisions.log(opened, dataset_id) if (e.id or 0) > before]
    made = [event for event in log if isinstance(event, Decision)]
    senders = Counter((event.client, event.sequence) for event in made)
    keys = [event.sample_key for event in sorted(made, key=lambda e: e.sequence or 0)]
    never_painted = [key for key in keys if key not in set(painted)]
    # Every image but the one that stands there at the end was painted, decided on, and left.
    is_exact = (
        left == 0 and is_settled and keys == painted[: len(keys)] and len(painted) == len(keys) + 1
        and max(senders.values()) == 1 and len(set(keys)) == len(keys)
    )  # fmt: skip
    return {
        "presses": n_presses,
        "gap_ms": round(1000 * seconds / n_presses, 1),
        "server_down_s": down["seconds"],
        "most_unsent": most_unsent,
        "painted_and_left": len(painted) - 1,
        "recorded": len(keys),
        "recorded_twice": len(keys) - len(set(keys)),
        "recorded_unpainted": len(never_painted),
        "presses_that_came_before_the_image_and_decided_nothing": n_presses - len(keys),
        "unsent_at_the_end": left,
        "key_to_painted_ms": summary(times[:, 0]),
        "last_image_came": is_settled,
        "is_exact": is_exact,
    }


def unsent(page: Page) -> int:
    return int(page.get_by_test_id("review-unsent").inner_text())


def summary(values: np.ndarray) -> dict[str, float]:
    p25, p50, p75, p95 = np.percentile(values, (25, 50, 75, 95))
    return {
        "n": len(values), "p50": round(p50, 1), "p95": round(p95, 1), "p25": round(p25, 1),
        "p75": round(p75, 1), "min": round(values.min(), 1), "max": round(values.max(), 1),
    }  # fmt: skip


def open_station(browser: Browser, server: "Server", dataset: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{server.url}/review?dataset={dataset}&state=all")
    page.locator("[data-testid=review-image][data-sample-key]").wait_for()
    return page


class Server:
    """A Streamlit server as a process of its own."""

    def __init__(self, script: list[str], workspace: Path, words: list[str] | None = None) -> None:
        self.script, self.workspace, self.words = script, workspace, words or []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.kill()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        own = {"LABELTRACE_WORKSPACE": str(self.workspace), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", *self.script, "--server.port", str(self.port),
             "--server.headless", "true", *self.words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
            start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | own,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, "the server did not answer in time"
            time.sleep(0.05)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def draw(folder: Path, n_images: int, side: int) -> None:
    """Write images without noise: soft waves of colour, as many bytes as photographs have edges."""
    rng = np.random.default_rng(side)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    for number in range(n_images):
        image = np.zeros((side, side, 3))
        for _ in range(6):
            f, g, phase = rng.uniform(-9, 9), rng.uniform(-9, 9), rng.uniform(0, 6.3)
            image += np.sin(f * x * 3 + g * y * 3 + phase)[..., None] * rng.uniform(0, 1, 3)
        image += (np.hypot(x - rng.random(), y - rng.random()) < rng.uniform(0.1, 0.4))[
            ..., None
        ] * 2
        pixels = np.clip(127 + 40 * image, 0, 255).astype(np.uint8)
        file = folder / CLASSES[number % len(CLASSES)] / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, quality=90)


def copy(source: Path, folder: Path, n_images: int) -> None:
    """Take the first photographs of a folder."""
    wanted = {".jpg", ".jpeg", ".png", ".webp"}
    files = [file for file in sorted(source.rglob("*")) if file.suffix.lower() in wanted][:n_images]
    for number, file in enumerate(files):
        target = folder / CLASSES[number % len(CLASSES)] / f"{number:05d}{file.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)


def flat(folder: Path) -> Path:
    """Return a folder with all images beside each other, for the button page."""
    target = folder.with_name(folder.name + "-flat")
    target.mkdir()
    for file in sorted(folder.rglob("*.*")):
        (target / f"{file.stem}{file.suffix}").symlink_to(file)
    return target


def stage(workspace: Workspace, folder: Path) -> None:
    """Import a folder and give it scores; what they say does not matter here."""
    dataset = datasets.add(workspace, sources.plan(folder), folder.name)
    rng = np.random.default_rng(0)
    quantity = np.sort(rng.normal(size=dataset.n_samples))
    given = dataset.given_labels
    scores.save(
        workspace,
        dataset.id,
        Scores(
            run_ids=(),
            spec=DetectorSpec(
                name=catalog.names()[0], version=1, params={"benchmark": folder.name}
            ),
            suspicion=1 / (1 + np.exp(quantity)),
            quantity_name=catalog.names()[0],
            quantity=quantity,
            suggested_label=((given + 1) % dataset.n_classes).astype(np.int32),
            flagged=quantity < -1,
        ),
    )


if __name__ == "__main__":
    main()
