"""What every room's tests share: quiet threads, a clean environment, repeatable properties, a terminal."""

import contextlib
import functools
import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# Before anything imports torch: one thread here, and in every process that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["LABELTRACE_THREADS"] = "1"
# And those processes compile our modules once, not each for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
for _name in [name for name in os.environ if name.startswith(("LABELTRACE_", "STREAMLIT_"))]:
    if _name != "LABELTRACE_THREADS" and not _name.startswith("LABELTRACE_TEST_"):
        os.environ.pop(_name)

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what each layer of the pages' tests took: scripts alone, routes alone, a real browser."""
    spent = {"pages without a browser": 0.0, "routes": 0.0, "browser": 0.0}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            folder = [*report.nodeid.split("/"), ""][1]
            if "browser" in report.keywords:
                spent["browser"] += report.duration
            elif folder in ("pages", "ui", "api"):
                spent["routes" if folder == "api" else "pages without a browser"] += report.duration
    if any(spent.values()):
        told = ", ".join(f"{layer} {seconds:.0f} s" for layer, seconds in spent.items())
        terminalreporter.write_line(f"Dashboard: {told}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def sentence(self) -> str:
        """What the command was refused with: the last line on stderr, after the program's name."""
        last = self.err.strip().splitlines()[-1]
        assert last.startswith("labeltrace: "), self.err
        return last.removeprefix("labeltrace: ")


class Terminal:
    """Runs commands in this process, all in one workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def __call__(self, *words: object, code: int = 0) -> Answer:
        """Run a command and return its answer, which must end with an exit code."""
        from audit.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = main(["--workspace", str(self.workspace), *map(str, words)])
        answer = Answer(ended, out.getvalue(), err.getvalue())
        assert answer.code == code, answer
        assert "Traceback" not in answer.err
        assert answer.code == 0 or answer.out == "", "what is refused prints no data"
        return answer


@pytest.fixture
def labeltrace(tmp_path: Path) -> Terminal:
    """Run commands in a workspace of the test's own."""
    return Terminal(tmp_path / "workspace")


def coloured(n: int, side: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return images that three epochs tell apart, (n, side, side, 3) uint8, and their classes."""
    rng = np.random.default_rng(7)
    classes = np.arange(n) % 3
    images = rng.integers(0, 60, (n, side, side, 3))
    images[np.arange(n), :, :, classes] += 150
    return images.astype(np.uint8), classes


@pytest.fixture(scope="session")
def coloured_images() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Give `coloured` to tests, which cannot import this file."""
    return coloured


@dataclass(frozen=True, slots=True)
class Trained:
    """A workspace in which ``audit`` has been run once; tests only read it.

    ``colours`` has 60 samples in three classes, the first six given labels are wrong.
    """

    workspace: Path
    source: Path
    scores: Path
    answer: Answer

    @property
    def terminal(self) -> Terminal:
        return Terminal(self.workspace)

    def copy(self, folder: Path) -> Terminal:
        """Return a terminal in a copy of the workspace, which may be written to."""
        shutil.copytree(self.workspace, folder)
        return Terminal(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Give a workspace with one plain run, one probe group and the scores of both."""
    folder = tmp_path_factory.mktemp("trained")
    images, classes = coloured(60)
    labels = classes.copy()
    labels[:6] = (labels[:6] + 1) % 3
    source = folder / "colours.npz"
    names = np.array(["red", "green", "blue"])
    np.savez(source, images=images, labels=labels, true_labels=classes, class_names=names)
    scores = folder / "suspects.csv"
    words = ("--method", "aum,margin", "--epochs", 3, "--device", "cpu")
    answer = Terminal(folder / "workspace")("audit", source, "--out", scores, *words)
    return Trained(folder / "workspace", source, scores, answer)


@dataclass(frozen=True, slots=True)
class Demo:
    """What ``demo --no-app`` said, and the terminal whose workspace the demo's own lies beside."""

    terminal: Terminal
    answer: Answer


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Train the demo once; whoever asks for it again finds it sealed."""
    terminal = Terminal(tmp_path_factory.mktemp("demo") / "workspace")
    return Demo(terminal, terminal("demo", "--no-app"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start commands as processes of their own, each leading a group that can be signalled."""
    started: list[subprocess.Popen[str]] = []

    def begin(workspace: Path, *words: object, **options: Any) -> subprocess.Popen[str]:
        root = str(Path(__file__).resolve().parents[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "audit", *map(str, words)],
            text=True,
            encoding="utf-8",
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=root,
            env=os.environ | {"LABELTRACE_WORKSPACE": str(workspace), "PYTHONPATH": root},
            **options,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition, the only way in which tests of processes wait."""

    def wait(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)  # what is looked at needs the processor, too
        return value

    return wait


def _load(name: str) -> Any:
    """Return a module of this folder; `tests` is no package."""
    full = f"labeltrace_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def stage() -> Callable[..., Any]:
    """Give ``stage(workspace, folder, …)`` of ``tests/staged.py``: a finished audit within a second."""
    return functools.partial(_load("staged").stage, _load("planted"))


@pytest.fixture(scope="session")
def interrupt() -> Callable[..., Any]:
    """Give ``interrupt(workspace, run, …)`` of ``tests/staged.py``: a run that ended early."""
    return _load("staged").interrupt


@pytest.fixture(scope="session")
def staged_workspace(stage: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a workspace with the dataset ``staged``: 120 samples, scored by aum and margin.

    Tests that write copy it, with `staged_copy`.
    """
    from audit.store.workspace import Workspace

    folder = tmp_path_factory.mktemp("staged")
    with Workspace.open(folder / "workspace") as workspace:
        stage(workspace, folder)
    return folder / "workspace"


@pytest.fixture
def staged_copy(staged_workspace: Path, tmp_path: Path) -> Path:
    """Give a copy of `staged_workspace` that a test may write to."""
    return Path(shutil.copytree(staged_workspace, tmp_path / "staged-workspace"))


class Server:
    """The dashboard as its users start it: a process of its own that serves one workspace."""

    def __init__(self, workspace: Path, **environment: str) -> None:
        self.workspace = workspace
        self.environment = environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = workspace.with_name(workspace.name + ".server.log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it answers."""
        root = Path(__file__).resolve().parents[1]
        words = ("-m", "streamlit", "run", str(root / "app.py"), "--server.port", str(self.port))
        own = {"LABELTRACE_WORKSPACE": str(self.workspace), "PYTHONPATH": str(root)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=root,
                start_new_session=True, env=os.environ | own | self.environment,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < deadline, "the server did not answer in time"
            time.sleep(0.05)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start the dashboard on a workspace; all of a test's servers are ended after it."""
    yield from _serving()


@pytest.fixture(scope="module")
def serve_module() -> Iterator[Callable[..., Server]]:
    """Start the dashboard as `serve` does, for all tests of a module."""
    yield from _serving()


def _serving() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(workspace: Path, **environment: str) -> Server:
        servers.append(Server(workspace, **environment))
        servers[-1].start()
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def staged_server(staged_workspace: Path) -> Iterator[Server]:
    """Serve `staged_workspace` for tests that only look."""
    server = Server(staged_workspace)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def node() -> Callable[[Path], None]:
    """Run a file of JavaScript tests with the Node that Playwright brings along."""
    from playwright._impl._driver import compute_driver_executable

    program = compute_driver_executable()[0]

    def run(file: Path) -> None:
        told = subprocess.run(
            [program, "--test", str(file)], capture_output=True, text=True, timeout=60, check=False
        )
        assert told.returncode == 0, told.stdout

    return run


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Give the real browser; its absence is a failure, because pages are what users meet."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # as everything else that waits for a page
    path = os.environ.get("LABELTRACE_TEST_CHROMIUM") or shutil.which("chromium")
    assert path, "Chromium is missing: install it (Debian: apt-get install chromium)."
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet],
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """Give a fresh tab (Playwright page, 1280 × 900) that fails the test on a request to outside."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    outside: list[str] = []
    own = ("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "about:")
    context.on("request", lambda r: None if r.url.startswith(own) else outside.append(r.url))
    yield context.new_page()
    context.close()
    assert not outside, outside


def open_page(tab: Any, url: str) -> None:
    """Open an address and wait until its script has run."""
    tab.goto(url)
    settled(tab)


def settled(tab: Any) -> None:
    """Wait until no script is running and a page stands there."""
    tab.wait_for_function(
        "() => { const app = document.querySelector('[data-testid=stApp]');"
        " return app && app.getAttribute('data-test-script-state') !== 'running'"
        " && document.querySelector('h1'); }",
        timeout=30_000,
    )


@pytest.fixture(scope="session")
def visit() -> Callable[[Any, str], None]:
    """Give `open_page`."""
    return open_page
