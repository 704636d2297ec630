"""`labeltrace app` and the dashboard of `labeltrace demo`, as processes that are really ended."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import typer

from audit.cli.application import app

ROOT = Path(__file__).resolve().parents[2]


def ready(process):
    """Return the address that a dashboard says it answers at."""
    line = process.stdout.readline()
    found = re.fullmatch(r"Ready: (http://\S+:\d+)\n", line)
    assert found, line or process.communicate()
    return found[1]


def health(url):
    with urllib.request.urlopen(f"{url}/_stcore/health", timeout=10) as answer:
        return answer.read().decode()


def quiet(start, workspace, *words):
    return start(workspace, "app", "--no-browser", "--port", 0, *words)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "labeltrace: interrupted\n"), (signal.SIGTERM, 0, "")],
)
def test_the_app_answers_when_it_says_so_and_ends_when_it_is_told(
    start, tmp_path, number, code, said
):
    process = quiet(start, tmp_path / "workspace")
    url = ready(process)
    assert health(url) == "ok"
    assert psutil.Process(process.pid).children() == []
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", said)
    assert process.returncode == code
    with pytest.raises(urllib.error.URLError):
        health(url)


@pytest.mark.browser
def test_the_app_ends_also_while_a_browser_shows_it(start, staged_copy, tab, visit):
    process = quiet(start, staged_copy)
    visit(tab, ready(process))
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "labeltrace: interrupted\n")


def test_a_taken_port_is_refused_with_a_sentence(labeltrace):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        for words in (("app",), ("demo",)):
            refused = labeltrace(*words, "--no-browser", "--port", port, code=1)
            assert refused.sentence.startswith(f"Port {port} is taken: ")
    assert not labeltrace.workspace.with_name("workspace-demo").exists(), "said before training"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "300.1.1.1"])
def test_an_address_that_this_machine_does_not_have_is_refused(labeltrace, host):
    refused = labeltrace("app", "--no-browser", "--port", 0, "--host", host, code=1)
    assert refused.sentence == f"This machine has no address {host!r}: choose another with --host."


def test_a_workspace_that_cannot_be_opened_is_refused_before_anything_is_served(
    labeltrace, tmp_path
):
    (tmp_path / "workspace").write_text("a file, not a folder")
    assert "workspace" in labeltrace("app", "--no-browser", "--port", 0, code=1).sentence


def test_a_port_out_of_range_is_wrong_usage(labeltrace):
    labeltrace("app", "--port", 65536, code=2)


def test_a_dashboard_for_others_warns_and_still_refuses_foreign_names(start, tmp_path):
    process = quiet(start, tmp_path / "workspace", "--host", "0.0.0.0")
    url = ready(process)
    assert url.startswith("http://0.0.0.0:")
    port = url.rpartition(":")[2]
    assert health(f"http://127.0.0.1:{port}") == "ok"
    foreign = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(foreign, timeout=10)
    assert refusal.value.code == 403
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert told.count("\n") == 1
    for word in ("Warning: anyone who reaches 0.0.0.0 ", "_DATA_ROOTS", "_ALLOWED_HOSTS"):
        assert word in told


@pytest.mark.browser
def test_the_flag_names_the_workspace_that_is_shown(start, staged_copy, tmp_path, tab, visit):
    process = quiet(start, tmp_path / "other", "--workspace", staged_copy)
    visit(tab, f"{ready(process)}/ranking")
    tab.get_by_test_id("gallery-tile").first.wait_for()
    assert not (tmp_path / "other").exists()


@pytest.mark.browser
def test_the_launcher_itself_runs_from_anywhere_and_listens_on_this_machine_only(
    staged_workspace, tmp_path, tab, visit
):
    own = {"LABELTRACE_WORKSPACE": str(staged_workspace), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(ROOT / "app.py")]
    process = psutil.Popen(
        words, cwd=tmp_path, env=os.environ | own, stdout=subprocess.PIPE, text=True
    )
    try:
        url = ready(process)
        listening = {c.laddr for c in process.net_connections() if c.status == "LISTEN"}
        assert [f"http://{host}:{port}" for host, port in listening] == [url]
        visit(tab, f"{url}/ranking")
        tab.get_by_test_id("gallery-tile").first.wait_for()
    finally:
        process.kill()
        process.communicate()


def test_a_browser_opens_where_there_is_a_screen(start, until, tmp_path, monkeypatch):
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    url = ready(start(tmp_path / "workspace", "app", "--port", 0))
    until(opened.exists)
    assert opened.read_text() == f"{url}\n"


def test_app_and_demo_share_their_defaults():
    commands = typer.main.get_command(app).commands
    for word in ("app", "demo"):
        options = {option.name: option.default for option in commands[word].params}
        assert (options["port"], options["host"]) == (8501, "127.0.0.1")
        assert options["no_browser"] is False
