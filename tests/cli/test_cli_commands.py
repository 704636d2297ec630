"""Every command's words, data, exit code and sentence of refusal."""

import csv
import json
import re

import numpy as np
import pytest

from audit.cli import main


def test_audit_prints_dataset_and_runs_and_the_evaluation(trained):
    lines = trained.answer.lines
    assert [line.split("\t")[0] for line in lines[:6]] == [
        "dataset", "run", "run", "run", "aum", "margin",
    ]  # fmt: skip
    runs = {run["id"]: run for run in trained.terminal("list", "runs", "--json").json}
    printed = [line.split("\t")[1] for line in lines[1:4]]
    assert [runs[run]["probe"] for run in printed] == ["threshold", "threshold", "none"]
    assert lines[6].startswith("6 of 60 given labels are wrong (10.0%)")
    assert [line.split()[0] for line in lines[7:]] == ["method", "aum", "margin"]


def test_audit_run_again_trains_nothing_and_writes_the_same(trained, tmp_path):
    again = trained.copy(tmp_path / "workspace")
    out = tmp_path / "again.csv"
    words = ("--method", "aum,margin", "--epochs", 3, "--device", "cpu", "--json")
    told = again("audit", trained.source, "--out", out, *words).json
    assert [run["id"] for run in told["runs"]] == [
        line.split("\t")[1] for line in trained.answer.lines[1:4]
    ]
    assert len(again("list", "runs", "--json").json) == 3
    assert out.read_bytes() == trained.scores.read_bytes()


def test_a_run_that_may_stop_says_at_most_and_how_it_ended(trained, tmp_path):
    terminal = trained.copy(tmp_path / "workspace")
    words = ("--epochs", 3, "--device", "cpu", "--stop-when-stable")
    told = terminal("train", "colours", *words)
    assert "at most 3 epochs" in told.err
    shown = terminal("show", told.out.strip(), "--json").json
    assert shown["config"]["stop_when_stable"] is True
    # Three epochs are fewer than any ranking needs to settle.
    assert (shown["epochs_done"], shown["outcome"]) == (3, "3 epochs")
    assert shown["settled_after"] is None
    assert [set(point) > {"overlap", "rank_correlation"} for point in shown["curves"]] == [
        False, True, True,
    ]  # fmt: skip
    assert shown["job"]["result"]["planned_epochs"] == 3


def test_audit_refuses_its_output_before_it_trains(labeltrace, trained):
    said = labeltrace("audit", trained.source, "--out", trained.scores, code=1).sentence
    assert "exists already" in said
    assert labeltrace("list", "jobs", "--json").json == []


def test_evaluate_has_the_promised_figures(trained):
    found = trained.terminal("evaluate", "colours", "--json").json
    assert (found["samples"], found["wrong"]) == (60, 6)
    assert found["f1_flag_everything"] == pytest.approx(2 * 0.1 / 1.1)
    assert set(found["methods"]) == {"aum", "margin"}
    for figures in found["methods"].values():
        assert list(figures)[:7] == [
            "average_precision", "roc_auc", "precision_at_95_recall", "f1", "precision", "recall",
            "flagged_fraction",
        ]  # fmt: skip
        assert figures["average_precision"] > 0.8
    assert found["methods"]["margin"]["f1"] is None


def test_scores_stand_in_dataset_order_and_agree_with_what_is_printed(trained):
    with trained.scores.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample_key"] for row in rows] == [f"{n:02d}" for n in range(60)]
    assert {row["path"] for row in rows} == {""}
    n_flagged = sum(row["aum_flagged"] == "True" for row in rows)
    assert trained.answer.lines[4] == f"aum\t60 scored\t{n_flagged} flagged"
    assert trained.answer.lines[5] == "margin\t60 scored\tno cut"


@pytest.mark.parametrize("reference", ["name", "id", "prefix"])
def test_a_dataset_answers_to_name_id_and_unique_beginning(trained, reference):
    (dataset,) = trained.terminal("list", "datasets", "--json").json
    others = [
        r["id"] for what in ("runs", "jobs") for r in trained.terminal("list", what, "--json").json
    ]
    size = next(n for n in range(1, 13) if not any(o.startswith(dataset["id"][:n]) for o in others))
    word = {"name": "colours", "id": dataset["id"], "prefix": dataset["id"][:size]}[reference]
    shown = trained.terminal("show", word, "--json").json
    assert (shown["kind_of_record"], shown["id"]) == ("dataset", dataset["id"])


def test_a_beginning_that_fits_several_things_is_refused_with_what_they_are(trained):
    said = trained.terminal("show", "1", code=1).sentence
    assert "'1' could be dataset colours (" in said
    assert "run colours-quick-1 (" in said
    assert said.endswith("write more of the id.")
    assert "could be" in trained.terminal("delete", "1", "--yes", code=1).sentence


@pytest.mark.parametrize("what", ["datasets", "runs", "jobs", "methods"])
def test_lists_are_tables_and_json(trained, what):
    answer = trained.terminal("list", what)
    records = trained.terminal("list", what, "--json").json
    assert len(answer.lines) == 1 + len(records) > 1
    first = "name" if what == "methods" else "id"
    assert answer.lines[0].split()[0] == first
    assert [line.split()[0] for line in answer.lines[1:]] == [r[first] for r in records]


def test_show_tells_of_runs_and_jobs(trained):
    run = trained.terminal("show", "colours-quick-1", "--json").json
    assert (run["kind_of_record"], run["state"], run["epochs_done"]) == ("run", "sealed", 3)
    assert run["config"]["weight_decay"] == 0.0005
    assert "  weight_decay: 0.0005" in trained.terminal("show", run["id"]).lines
    job = trained.terminal("show", run["job"]["id"], "--json").json
    assert (job["kind_of_record"], job["state"], job["error"]) == ("job", "done", None)


def test_json_holds_null_where_a_number_is_not_finite(capsys):
    from audit.cli.session import Session

    Session(workspace_path=None).print_json({"a": float("nan"), "b": [float("-inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "cats"),
        ("frobnicate",),
        ("decide", "d", "s"),
        ("decide", "d", "s", "--keep", "--exclude"),
        ("train", "d", "--epochs", "0"),
        ("train", "d", "--splits", "holdout"),
        ("train", "d", "--probe", "spell"),
        ("export", "d"),
        ("export", "d", "--out", "x", "--format", "xml"),
        ("score", "r"),
        ("train", "--no-such-option"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_so_on_stderr(labeltrace, words):
    answer = labeltrace(*words, code=2)
    assert "Usage: labeltrace" in answer.err
    assert not labeltrace.workspace.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "nowhere"), "There is no dataset 'nowhere'; there are: colours ("),
        (("score", "nowhere", "--method", "margin"), "There is no run 'nowhere'"),
        (("score", "colours-quick-1", "--method", "magic"), "There is no method 'magic'; there are"),
        (("score", "colours-quick-1", "--method", "aum"), "`labeltrace train DATASET --probe threshold`"),
        (("score", "colours-quick-1", "--method", "margin", "--out", "a.txt"), "must end in .csv or"),
        (("score", "colours-quick-1", "--method", "margin", "--out", "no/a.csv"), "There is no folder"),
        (("train", "colours", "--preset", "magic"), "There is no preset 'magic'; there are quick"),
        (("train", "colours", "--architecture", "vgg"), "There is no architecture 'vgg'; there are"),
        (("train", "colours", "--splits", "val"), "has 0 usable samples in val"),
        (("train", "colours", "--device", "cuda:99"), "There is no device 'cuda:99' here; there"),
        (("cancel", "nothing"), "There is no job 'nothing'"),
        (("cancel", "colours-quick-1"), "is done already"),
        (("resume", "colours-quick-1"), "cannot be resumed: it is finished"),
        (("decide", "colours", "60", "--keep"), "has no sample '60'"),
        (("decide", "colours", "59", "--relabel", "cyan"), "no class 'cyan'; it has 'red', 'green'"),
        (("decide", "colours", "59", "--relabel", "blue"), "is the given label already: use keep"),
        (("undo", "colours", "59"), "no decision about '59' to undo"),
        (("apply", "colours", "nowhere.jsonl"), "'nowhere.jsonl' cannot be read"),
        (("import", "nowhere"), "does not exist"),
        (("show", "nowhere"), "There is no dataset, run or job 'nowhere'; `labeltrace list"),
        (("delete", "nowhere", "--yes"), "There is no dataset or run 'nowhere'"),
        (("evaluate", "nowhere"), "There is no dataset 'nowhere'"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_and_exit_code_1(trained, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    sentence = trained.terminal(*words, code=1).sentence
    assert said in sentence
    assert sentence[-1] in ".?"


def test_what_has_no_truth_or_no_scores_cannot_be_evaluated(labeltrace, tmp_path, coloured_images):
    images, classes = coloured_images(9)
    np.savez(tmp_path / "plain.npz", images=images, labels=classes)
    np.savez(tmp_path / "true.npz", images=images, labels=classes, true_labels=classes)
    for name in ("plain", "true"):
        labeltrace("import", tmp_path / f"{name}.npz")
    assert "has no true labels" in labeltrace("evaluate", "plain", code=1).sentence
    assert "`labeltrace score RUN --method M`" in labeltrace("evaluate", "true", code=1).sentence


def test_the_workspace_may_be_named_before_or_after_the_command(tmp_path, trained, capsys):
    for words in (
        ["--workspace", str(trained.workspace), "list", "datasets"],
        ["list", "datasets", "--workspace", str(trained.workspace)],
        ["--workspace", str(tmp_path), "list", "datasets", "--workspace", str(trained.workspace)],
    ):
        assert main(words) == 0
        assert "colours" in capsys.readouterr().out


def test_the_flag_wins_over_the_environment(tmp_path, trained, monkeypatch, capsys):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(trained.workspace))
    assert main(["list", "datasets", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert main(["--workspace", str(tmp_path / "empty"), "list", "datasets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_plan_stores_nothing(labeltrace, trained):
    planned = labeltrace("import", trained.source, "--plan", "--json").json
    assert (planned["samples"], planned["has_truth"]) == (60, True)
    assert planned["classes"] == {"red": 20, "green": 20, "blue": 20}
    assert planned["splits"] == {"train": 60}
    assert "60 samples in 3 classes" in labeltrace("import", trained.source, "--plan").out
    assert not labeltrace.workspace.exists()


def test_importing_again_gives_the_same_dataset_and_names_are_unique(labeltrace, trained, tmp_path):
    first = labeltrace("import", trained.source)
    assert re.fullmatch(r"\w+\tcolours\n", first.out)
    assert labeltrace("import", trained.source).out == first.out
    other = labeltrace("import", trained.source, "--name", "other").out
    assert other.split("\t")[0] != first.out.split("\t")[0]
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 8, 8), np.uint8), labels=[0, 1])
    said = labeltrace("import", tmp_path / "b.npz", "--name", "other", code=1).sentence
    assert "There is a dataset 'other' already" in said
    for bad in ("", "-x", "a\nb", "n" * 101):
        said = labeltrace("import", trained.source, f"--name={bad}", code=1).sentence
        assert "cannot be a name" in said


def test_deleting_asks_and_says_what_comes_back(trained, tmp_path, monkeypatch):
    import io

    copy = trained.copy(tmp_path / "workspace")
    for answer in ("", "n\n", "whatever\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert copy("delete", "colours-quick-1", code=1).sentence.startswith("Nothing was deleted")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = copy("delete", "colours-quick-1")
    assert done.out == ""
    assert re.search(r"deletes run colours-quick-1; \d+\.\d MB come back", done.err)
    done = copy("delete", "colours", "--yes")
    assert "deletes dataset colours with 2 runs and 0 decided samples" in done.err
    assert copy("list", "datasets", "--json").json == []
    assert copy("list", "runs", "--json").json == []


def test_decisions_are_replaced_told_and_undone_one_by_one(trained, tmp_path):
    copy = trained.copy(tmp_path / "workspace")
    assert copy("decide", "colours", "00", "--keep", "--reviewer", "ann").out == "00\tkeep\n"
    second = copy("decide", "colours", "00", "--relabel", "blue", "--reviewer", "bob", "--json")
    assert "ann had decided keep" in second.err
    record = second.json
    assert (record["verdict"], record["label"], record["given_label"]) == (
        "relabel",
        "blue",
        "green",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", record["decided_at"])
    third = copy("decide", "colours", "01", "--unsure", "--reviewer", "ann")
    assert "your decision keep on 00 was replaced by bob: relabel blue" in third.err
    assert copy("undo", "colours", "00").out == "00\tkeep\n"
    assert copy("undo", "colours", "00").out == "00\tundecided\n"
    copy("undo", "colours", "00", code=1)


def test_the_reviewer_comes_from_flag_environment_or_log_in(trained, tmp_path, monkeypatch):
    copy = trained.copy(tmp_path / "workspace")
    monkeypatch.setenv("LABELTRACE_REVIEWER", "eve")
    decide = ("decide", "colours", "00", "--keep", "--json")
    assert copy(*decide).json["reviewer"] == "eve"
    assert copy(*decide, "--reviewer", "ann").json["reviewer"] == "ann"
    monkeypatch.delenv("LABELTRACE_REVIEWER")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert copy(*decide).json["reviewer"] == "somebody"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl", "out"])
def test_outputs_that_exist_are_refused_until_forced(trained, tmp_path, name):
    form = ("--format", "folder") if name == "out" else ()
    out = tmp_path / name
    command = ("export", "colours", "--out", out, *form)
    assert trained.terminal(*command).out == f"{out}\n"
    assert "use --force" in trained.terminal(*command, code=1).sentence
    trained.terminal(*command, "--force")
    manifest = json.loads(
        (out / "manifest.json" if form else tmp_path / f"{name}.manifest.json").read_text()
    )
    assert manifest["dataset"] == "colours"
    assert manifest["counts"]["undecided"] == 60


def test_no_output_may_lie_inside_the_source(labeltrace, tmp_path, coloured_images):
    from PIL import Image

    images, classes = coloured_images(6)
    for number, image in enumerate(images):
        folder = tmp_path / "source" / str(classes[number])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    labeltrace("import", tmp_path / "source")
    (tmp_path / "link").symlink_to(tmp_path / "source" / "0")
    for out in (
        tmp_path / "source/o.csv",
        tmp_path / "source/0/../1/o.csv",
        tmp_path / "link/o.csv",
    ):
        for force in ((), ("--force",)):
            said = labeltrace("export", "source", "--out", out, *force, code=1).sentence
            assert "inside the source" in said
    said = labeltrace("audit", tmp_path / "source", "--out", tmp_path / "source/s.csv", code=1)
    assert "inside the source" in said.sentence
    assert labeltrace("list", "jobs", "--json").json == []


def test_a_patch_for_other_data_is_refused(labeltrace, trained, tmp_path):
    patch = tmp_path / "p.jsonl"
    trained.terminal("export", "colours", "--out", patch)
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 8, 8), np.uint8), labels=[0, 1])
    labeltrace("import", tmp_path / "b.npz")
    assert "other data" in labeltrace("apply", "b", patch, code=1).sentence


def test_methods_say_what_they_need(labeltrace):
    records = {m["name"]: m for m in labeltrace("methods", "--json").json}
    assert (records["aum"]["probe"], records["aum"]["runs"], records["aum"]["has_cut"]) == (
        "threshold", 2, True,
    )  # fmt: skip
    assert (records["margin"]["probe"], records["margin"]["has_cut"]) == ("none", False)
    assert all(m["reference"] and m["definition"] for m in records.values())


def test_doctor_finds_everything_here(labeltrace):
    found = labeltrace("doctor", "--json").json
    checks = {check["name"]: check for check in found["checks"]}
    assert found["fine"]
    assert {"python", "torch", "torchvision", "cpu", "threads", "workspace", "disk"} <= set(checks)
    assert checks["threads"]["found"] == "1"
    assert checks["workspace"]["found"] == str(labeltrace.workspace)


def test_version_and_help_are_data(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"labeltrace \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    from audit.cli.application import COMMANDS

    words = [word for _, word, _ in COMMANDS]
    assert len(words) == 25
    for word in words:
        assert re.search(rf"^│ {word} ", shown, re.MULTILINE), word
        assert main([word, "--help"]) == 0
        assert f"labeltrace {word}" in capsys.readouterr().out
