"""A wheel installed elsewhere serves the dashboard, the demo and everything that they show."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "app.py", "audit", "pages", "pretrained", ".streamlit", "docs", "tests", "benchmarks", ".ci",
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
)  # fmt: skip


def build(source, what, out):
    """Build an sdist or a wheel with what is installed here, and return the file."""
    script = (
        "import sys, setuptools.build_meta as b; getattr(b, f'build_{sys.argv[1]}')(sys.argv[2])"
    )
    words = [sys.executable, "-c", script, what, str(out)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return made


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if "/RECORD" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the tree, so that nothing of an earlier build is in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=ignored)
        else:
            shutil.copy2(ROOT / part, source / part)
    return build(source, "wheel", folder)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel in an environment that has its dependencies and nothing else of this tree."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *offline], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    where = [str(python), "-c", "import audit; print(audit.__file__)"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        where, cwd=folder, env=clean, capture_output=True, text=True, check=True
    ).stdout
    assert found.startswith(str(packages)), "the wheel's package, not this tree's"
    return folder / "venv" / "bin" / "labeltrace"


@pytest.fixture
def labeltrace(installed, tmp_path):
    """Start the installed command in a folder of its own; it is ended after the test."""
    (tmp_path / "home").mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HOME": str(tmp_path / "home"), "LABELTRACE_WORKSPACE": str(tmp_path / "work")}
    started = []

    def begin(*words):
        process = subprocess.Popen(
            [str(installed), *words], cwd=tmp_path, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ready(process):
    line = process.stdout.readline()
    assert line.startswith("Ready: http://127.0.0.1:"), (line, process.communicate())
    return line.split()[1]


def test_the_dashboard_lies_inside_the_package_and_nothing_beside_it(wheel):
    names = set(contents(wheel))
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"audit"}
    pages = {f"audit/_app/{p.relative_to(ROOT)}" for p in (ROOT / "pages").rglob("*.py")}
    assert pages
    assert pages <= names
    assert {"audit/_app/app.py", "audit/_app/.streamlit/config.toml"} <= names
    assert "audit/_app/pretrained/README.md" in names
    files = (p for p in (ROOT / "audit").rglob("*") if p.is_file())
    parts = {str(p.relative_to(ROOT)) for p in files if "__pycache__" not in p.parts}
    assert {name for name in parts if not name.startswith("audit/_app/")} - names == set()


def test_the_source_distribution_builds_the_same_wheel(wheel, tmp_path):
    archive = build(wheel.parent / "source", "sdist", tmp_path)
    with tarfile.open(archive) as packed:
        # Python 3.11.4 and later have filters, 3.14 asks for one.
        packed.extraction_filter = getattr(tarfile, "data_filter", None)
        packed.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = contents(build(unpacked, "wheel", tmp_path))
    assert again == contents(wheel)
    assert (unpacked / "tests" / "test_wheel.py").is_file()


def test_an_installed_wheel_opens_a_deep_link_first(labeltrace, tab, visit, installed):
    process = labeltrace("app", "--port", "0", "--no-browser")
    visit(tab, f"{ready(process)}/runs")
    assert tab.locator("h1").first.inner_text() == "Runs"
    assert tab.get_by_test_id("stSidebarNav").is_visible()
    assert tab.get_by_role("dialog").count() == 0
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    wanted = settings["theme"]["light"]["backgroundColor"]
    drawn = tab.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    assert "#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", drawn))) == wanted
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_an_installed_wheel_trains_and_scores(labeltrace, coloured_images, tmp_path):
    images, labels = coloured_images(60)
    np.savez(tmp_path / "colours.npz", images=images, labels=labels)
    out = tmp_path / "suspects.csv"
    words = ("--epochs", "2", "--device", "cpu", "--method", "margin")
    process = labeltrace("audit", str(tmp_path / "colours.npz"), "--out", str(out), *words)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert len(out.read_text().splitlines()) == 61


def test_an_installed_wheel_shows_the_demo(labeltrace, demo, tab, visit):
    workspace = demo.terminal.workspace
    process = labeltrace("--workspace", str(workspace), "demo", "--port", "0", "--no-browser")
    url = ready(process)
    visit(tab, f"{url}/ranking?dataset=digits")
    tab.get_by_test_id("gallery-tile").first.wait_for()
    visit(tab, f"{url}/review?dataset=digits")
    tab.locator("[data-testid=review-image][data-sample-key]").first.wait_for()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "Using what an earlier demo has trained." in err
    assert not workspace.exists()
    assert workspace.with_name("workspace-demo").is_dir()
