"""``labeltrace explain``: sentence and table, files, and a sentence for everything that is refused."""

import json

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def explained(trained, tmp_path_factory):
    """Give a terminal in a copy of the trained workspace."""
    return trained.copy(tmp_path_factory.mktemp("explained") / "workspace")


def run_named(terminal, probe):
    found = [run for run in terminal("list", "runs", "--json").json if run["probe"] == probe]
    return found[0]["name"]


def test_without_out_it_prints_sentences_and_a_table(explained):
    run = run_named(explained, "none")
    lines = explained("explain", run, "03", "--method", "margin").lines
    assert lines[0].startswith("The network called it ‘")
    assert lines[1].startswith("A sum over epochs explains 100% of what margin answers (R² 1.00).")
    assert lines[2].startswith(("Faithful: occluding epoch ", "Doubtful: occluding epoch "))
    assert lines[3].startswith("Occluded epochs are replaced by the median of ")
    assert lines[4].split() == ["epochs", "importance", "margin", "network", "said"]
    assert [line.split()[0] for line in lines[5:]] == ["1", "2", "3"]
    # The first epoch is left out by the method; the ridge lets a hundredth of the others through.
    importance = [abs(float(line.split()[1])) for line in lines[5:]]
    assert importance[0] < 0.02 * max(importance)


def test_json_and_png_say_the_same_and_asking_again_starts_no_job(explained, tmp_path):
    run = run_named(explained, "threshold")
    words = ("explain", run, "03", "--method", "aum")
    answer = explained(*words, "--out", tmp_path / "03.json")
    assert f"Wrote {tmp_path / '03.json'}." in answer.err
    told = json.loads((tmp_path / "03.json").read_text(encoding="utf-8"))
    assert (told["sample_key"], told["method"]) == ("03", "aum")
    assert told["trajectory"]["planted"]["rows"] == "threshold rows"
    assert told["sentence"] == answer.lines[0]
    n_jobs = len(explained("list", "jobs", "--json").json)
    assert explained(*words, "--json").json == told
    explained(*words, "--out", tmp_path / "03.png")
    assert len(explained("list", "jobs", "--json").json) == n_jobs
    with Image.open(tmp_path / "03.png") as picture:
        assert picture.size[0] == 1200


def test_a_method_that_has_not_scored_the_run_does_so_first(explained):
    run = run_named(explained, "none")
    answer = explained("explain", run, "03", "--method", "tanh_epoch", "--json")
    assert "tanh_epoch has not scored run" in answer.err
    assert answer.json["method"] == "tanh_epoch"
    again = explained("explain", run, "03", "--method", "tanh_epoch", "--json")
    assert "has not scored" not in again.err


def test_a_setting_asks_for_scores_of_its_own(trained, tmp_path):
    # Newer scores are what explain takes from then on, so the other tests' workspace gets none.
    explained = trained.copy(tmp_path / "workspace")
    run = run_named(explained, "none")
    words = ("explain", run, "03", "--method", "margin", "--json")
    usual = explained(*words).json
    other = explained(*words, "--param", "margin.skip_first=0").json
    assert other["scores_id"] != usual["scores_id"]
    last = [found["importance"][-1]["importance"] for found in (other, usual)]
    # One of three epochs that count instead of one of two; the ridge shrinks both by a percent.
    assert last[0] / last[1] == pytest.approx(2 / 3, rel=0.02)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("{run}", "nowhere", "--method", "margin"), "has no sample 'nowhere'"),
        (("{run}", "03", "--method", "aom"), "no method 'aom'"),
        (("nobody", "03", "--method", "margin"), "nobody"),
        (("{run}", "03", "--method", "aum"), "needs a run with probe threshold"),
        (
            ("{run}", "03", "--method", "margin", "--out", "{tmp}/x.pdf"),
            "must end in .json or .png",
        ),
        (("{run}", "03", "--method", "margin", "--out", "{tmp}/no/x.png"), "no folder"),
        (
            ("{run}", "03", "--method", "margin", "--param", "margin.depth=2"),
            "no parameter 'depth'",
        ),
    ],
)
def test_what_cannot_be_explained_is_a_sentence(explained, tmp_path, words, sentence):
    run = run_named(explained, "none")
    filled = [word.format(run=run, tmp=tmp_path) for word in words]
    assert sentence in explained("explain", *filled, code=1).sentence


def test_an_output_is_refused_before_any_work_and_replaced_by_force(explained, tmp_path):
    run = run_named(explained, "none")
    out = tmp_path / "x.json"
    out.write_text("mine")
    n_jobs = len(explained("list", "jobs", "--json").json)
    words = ("explain", run, "07", "--method", "margin", "--out", out)
    assert "exists already" in explained(*words, code=1).sentence
    assert len(explained("list", "jobs", "--json").json) == n_jobs
    explained(*words, "--force")
    assert json.loads(out.read_text(encoding="utf-8"))["sample_key"] == "07"
    inside = explained.workspace / "x.json"
    said = explained("explain", run, "07", "--method", "margin", "--out", inside, code=1).sentence
    assert "workspace" in said


def test_two_methods_at_once_and_none_are_wrong_usage(explained):
    run = run_named(explained, "none")
    explained("explain", run, "03", "--method", "margin,aum", code=2)
    explained("explain", run, "03", code=2)


def test_a_run_that_has_not_come_to_its_end_is_refused(explained, trained, tmp_path):
    terminal = trained.copy(tmp_path / "workspace")
    told = terminal("train", "colours", "--epochs", "400", "--device", "cpu", "--detach")
    run = told.lines[0].split()[0]
    try:
        said = terminal("explain", run, "03", "--method", "margin", code=1).sentence
        assert "there is nothing to explain before it has come to its end" in said
    finally:
        job = terminal("show", run, "--json").json["job"]["id"]
        terminal("cancel", job)
