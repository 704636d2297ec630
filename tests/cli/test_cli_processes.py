"""Several commands at once, Ctrl-C, full disks, places that cannot be written: real processes."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.store import decisions
from audit.store.workspace import Workspace

ROOT = str(Path(__file__).resolve().parents[2])
LONG = ("--epochs", 40, "--device", "cpu")


def imported(labeltrace, trained):
    labeltrace("import", trained.source)
    return labeltrace


def trained_epochs(labeltrace):
    def look():
        jobs = labeltrace("list", "jobs", "--json").json
        return any(job["state"] == "running" and job["fraction"] > 0.12 for job in jobs)

    return look


@pytest.mark.slow
def test_ctrl_c_cancels_the_training_which_then_resumes(labeltrace, trained, start, until):
    imported(labeltrace, trained)
    process = start(labeltrace.workspace, "train", "colours", *LONG)
    until(trained_epochs(labeltrace))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "`labeltrace resume RUN` goes on from there" in err
    assert "Traceback" not in err
    (run,) = labeltrace("list", "runs", "--json").json
    assert run["state"] == "cancelled"
    kept = labeltrace("show", run["id"], "--json").json["epochs_done"]
    assert 0 < kept < 40
    resumed = labeltrace("resume", run["name"])
    assert resumed.out == run["id"] + "\n"
    shown = labeltrace("show", run["id"], "--json").json
    assert (shown["state"], shown["epochs_done"]) == ("sealed", 40)
    labeltrace("score", run["id"], "--method", "margin")


@pytest.mark.slow
def test_a_second_training_waits_says_so_and_both_finish(labeltrace, trained, until):
    imported(labeltrace, trained)
    first = labeltrace("train", "colours", *LONG, "--detach")
    assert "`labeltrace list jobs`" in first.err
    (job,) = labeltrace("list", "jobs", "--json").json
    second = labeltrace("train", "colours", "--epochs", 2, "--device", "cpu")
    assert f"waiting for job {job['id']} (train) on cpu" in second.err
    states = {run["id"]: run["state"] for run in labeltrace("list", "runs", "--json").json}
    assert states == {first.lines[0]: "sealed", second.lines[0]: "sealed"}


@pytest.mark.slow
def test_cancel_stops_what_runs_and_what_waits(labeltrace, trained, until):
    imported(labeltrace, trained)
    pair = labeltrace("train", "colours", "--probe", "threshold", *LONG, "--detach").lines
    assert "is cancelled" in labeltrace("cancel", pair[1]).err
    labeltrace("cancel", pair[0])
    until(lambda: {r["state"] for r in labeltrace("list", "runs", "--json").json} == {"cancelled"})
    assert "is cancelled, not sealed" in labeltrace(
        "score", pair[0], "--method", "aum", code=1
    ).sentence  # fmt: skip


def test_ctrl_c_at_a_question_deletes_nothing(trained, tmp_path, start):
    copy = trained.copy(tmp_path / "workspace")
    process = start(copy.workspace, "delete", "colours", "--yes=no", stdin=subprocess.PIPE)
    assert process.wait(30) == 2  # a flag takes no value
    process = start(copy.workspace, "delete", "colours", stdin=subprocess.PIPE)
    said = ""
    while not said.endswith("[y/N] "):
        said += process.stderr.read(1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "labeltrace: interrupted"
    assert len(copy("list", "datasets", "--json").json) == 1


def test_many_who_decide_one_sample_at_once_are_all_in_the_log(trained, tmp_path, start):
    copy = trained.copy(tmp_path / "workspace")
    people = ("ann", "bob", "cem", "dee")
    verdicts = (("--keep",), ("--relabel", "blue"), ("--exclude",), ("--unsure",))
    processes = [
        start(copy.workspace, "decide", "colours", "00", *verdict, "--reviewer", person)
        for person, verdict in zip(people, verdicts, strict=True)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert [code for _, _, code in ended] == [0] * 4, ended
    with Workspace.open(copy.workspace) as workspace:
        (dataset,) = copy("list", "datasets", "--json").json
        log = decisions.log(workspace, dataset["id"])
        standing = decisions.current(workspace, dataset["id"])["00"]
    assert sorted(decision.reviewer for decision in log) == sorted(people)
    assert standing == max(log, key=lambda decision: (decision.decided_at, decision.id))
    for person in people:
        told = copy("decide", "colours", "01", "--keep", "--reviewer", person).err
        assert ("was replaced by" in told) == (person != standing.reviewer)


def test_a_full_disk_while_exporting_leaves_one_sentence_and_no_file(labeltrace, tmp_path, start):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "i.png")
    rows = "".join(f"i.png,class {n:05d}\n" for n in range(10_000))
    (tmp_path / "t.csv").write_text("path,label\n" + rows)
    labeltrace("import", tmp_path / "t.csv")
    out = tmp_path / "out" / "corrected.csv"
    out.parent.mkdir()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    command = ("export", "t", "--out", out)
    process = start(labeltrace.workspace, *command, preexec_fn=limit)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert "corrected.csv' was not written" in stderr.splitlines()[-1]
    assert list(out.parent.iterdir()) == []
    labeltrace(*command)
    assert len(out.read_text().splitlines()) == 10_001


@pytest.mark.slow
def test_a_full_disk_while_training_fails_the_run_which_then_resumes(labeltrace, trained, start):
    imported(labeltrace, trained)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    command = ("train", "colours", "--epochs", 3, "--device", "cpu")
    process = start(labeltrace.workspace, *command, preexec_fn=limit)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert "free some space" in stderr.splitlines()[-1]
    (run,) = labeltrace("list", "runs", "--json").json
    assert run["state"] == "failed"
    labeltrace("resume", run["id"])
    assert labeltrace("show", run["id"], "--json").json["state"] == "sealed"


def test_a_workspace_of_a_newer_version_is_left_alone(trained, tmp_path):
    copy = trained.copy(tmp_path / "workspace")
    with sqlite3.connect(copy.workspace / "labeltrace.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (("list", "runs"), ("decide", "colours", "00", "--keep")):
        assert "made by a newer labeltrace" in copy(*words, code=1).sentence


UNPRIVILEGED = """
import os, sys
from audit.cli import main
words = ["list", "datasets", "--workspace"]
assert main([*words, sys.argv[1] + "/open"]) == 0  # all is imported now, from where root may read
os.chmod(sys.argv[1], 0o555)
if os.geteuid() == 0:  # nothing is read-only for root
    os.seteuid(65534)
sys.exit(main([*words, sys.argv[1] + "/new"]))
"""


def test_a_workspace_that_cannot_be_written_is_said_to_be_so():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, folder],
            env=os.environ | {"PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        folder.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert len(done.stdout.splitlines()) == 1  # of the first
    assert "cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_data_that_moved_is_followed_after_a_sentence(labeltrace, tmp_path, coloured_images):
    images, classes = coloured_images(12)
    for number, image in enumerate(images):
        folder = tmp_path / "old" / "abc"[classes[number]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    labeltrace("import", tmp_path / "old", "--name", "moved")
    labeltrace("decide", "moved", "a/0.png", "--relabel", "b")
    shutil.move(tmp_path / "old", tmp_path / "new")
    said = labeltrace("train", "moved", "--device", "cpu", code=1).sentence
    assert "labeltrace relocate" in said
    said = labeltrace(
        "export", "moved", "--out", tmp_path / "tree", "--format", "folder", code=1
    ).sentence  # fmt: skip
    assert "labeltrace relocate" in said
    assert labeltrace("list", "runs", "--json").json == []
    (tmp_path / "wrong/a").mkdir(parents=True)
    (tmp_path / "wrong/b").mkdir()
    for place in ("a/0.png", "b/new.png"):
        shutil.copy(tmp_path / "new/a/0.png", tmp_path / "wrong" / place)
    said = labeltrace("relocate", "moved", tmp_path / "wrong", code=1).sentence
    assert "is not the data of 'moved': 11 samples are gone and 1 are new" in said
    assert (
        "does not exist" in labeltrace("relocate", "moved", tmp_path / "nowhere", code=1).sentence
    )
    labeltrace("relocate", "moved", tmp_path / "new")
    labeltrace("export", "moved", "--out", tmp_path / "tree", "--format", "folder")
    assert sum(1 for _ in (tmp_path / "tree/b").iterdir()) == 5


MODULES = """
import contextlib, io, sys
from audit.cli import main

workspace, source, out = sys.argv[1:]

def run(*words):
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(["--workspace", workspace, *words])
    assert code == 0, words

run("--help")
run("list", "runs")
run("show", "colours")
run("decide", "colours", "00", "--relabel", "blue")
run("undo", "colours", "00")
run("labels", "log", "colours")
run("labels", "diff", "colours")
run("labels", "revert", "colours", "--after", "given", "--plan")
run("export", "colours", "--out", out + ".csv")
heavy = {"sklearn", "scipy", "pandas", "alembic", "torch"} & set(sys.modules)
assert not heavy, heavy
run("import", source, "--name", "more")
run("list", "jobs")
run("show", "colours-quick-1")
run("score", "colours-quick-1", "--method", "margin", "--out", out + ".parquet")
run("evaluate", "colours")
run("export", "colours", "--out", out, "--format", "folder")
run("export", "colours", "--out", out + ".jsonl")
run("apply", "colours", out + ".jsonl")
run("relocate", "colours", source)
run("methods")
run("doctor")
run("train", "colours", "--epochs", "2", "--device", "cpu", "--detach")
run("cancel", "colours-quick-2")
run("delete", "more", "--yes")
assert "torch" not in sys.modules and "torchvision" not in sys.modules
"""


def test_no_command_imports_torch_and_the_quick_ones_nothing_heavy(trained, tmp_path):
    copy = trained.copy(tmp_path / "workspace")
    done = subprocess.run(
        [sys.executable, "-c", MODULES, copy.workspace, trained.source, tmp_path / "o"],
        env=os.environ | {"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
