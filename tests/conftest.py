"""What every room's tests share: quiet threads, a clean environment, repeatable properties, a terminal."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
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
for _name in ("LABELTRACE_WORKSPACE", "LABELTRACE_DATABASE_URL", "LABELTRACE_REVIEWER"):
    os.environ.pop(_name, None)

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


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
            time.sleep(0.02)
        return value

    return wait
