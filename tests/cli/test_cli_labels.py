"""Labels as versions on the terminal: log, diff, blame, revert."""

import io
import sys

import numpy as np
import pytest


@pytest.fixture
def pets(labeltrace, tmp_path):
    """Give a terminal whose dataset ``pets`` has three decisions by two people, the last taken back."""
    images = np.zeros((4, 8, 8), np.uint8)
    names = np.array(["cat", "dog"])
    keys = np.array(["a", "b", "c", "d"])
    source = tmp_path / "pets.npz"
    np.savez(
        source, images=images, labels=np.array([0, 0, 1, -1]), class_names=names, sample_keys=keys
    )
    labeltrace("import", source)
    labeltrace("decide", "pets", "a", "--relabel", "dog", "--reviewer", "ann")
    labeltrace("decide", "pets", "b", "--exclude", "--reviewer", "bob", "--note", "blurred")
    labeltrace("decide", "pets", "a", "--keep", "--reviewer", "bob")
    labeltrace("undo", "pets", "a", "--reviewer", "ann")
    return labeltrace


def test_the_log_tells_each_event_with_its_version(pets):
    told = pets("labels", "log", "pets", "--json").json
    assert (told["dataset"], told["total"]) == ("pets", 4)
    events = told["events"]
    assert [one["id"] for one in events] == [4, 3, 2, 1]
    assert [one["event"] for one in events] == ["undo", "decision", "decision", "decision"]
    assert events[0]["undoes"] == 3
    assert events[0]["undone"]["reviewer"] == "bob"
    # Taking the keep back brings the labels of event 2 again.
    assert events[0]["version"] == events[2]["version"] != events[3]["version"]
    lines = pets("labels", "log", "pets", "--most", 2).lines
    assert lines[0].split() == ["event", "at", "by", "sample_key", "what", "version"]
    assert "undo #3 (keep by bob)" in lines[1]
    by_bob = pets("labels", "log", "pets", "--person", "bob", "--sample", "b", "--json").json
    assert [one["id"] for one in by_bob["events"]] == [2]
    assert (
        pets("labels", "log", "pets", "--until", "2020-01-01T00:00:00Z", "--json").json["total"]
        == 0
    )
    assert "no sample 'zz'" in pets("labels", "log", "pets", "--sample", "zz", code=1).sentence
    assert "offset" in pets("labels", "log", "pets", "--since", "2020-01-01", code=1).sentence


def test_a_difference_counts_and_names_who_made_it(pets):
    told = pets("labels", "diff", "pets", "--json").json
    assert told["from"] == {"point": 0, "version": "given"}
    assert told["to"]["point"] == 4
    assert [(c["sample_key"], c["event"], c["reviewer"]) for c in told["changes"]] == [
        ("a", 4, "ann"), ("b", 2, "bob"),
    ]  # fmt: skip
    assert told["changes"][1]["after"] == {"label": None, "excluded": True}
    assert [count["samples"] for count in told["counts"]] == [1, 1]
    plain = pets("labels", "diff", "pets", "#1", "2")
    assert "1 sample differs between" in plain.err
    assert plain.lines[1].split() == ["cat", "left", "out", "1"]
    nothing = pets("labels", "diff", "pets", "#2", "now")
    assert nothing.out == ""
    assert "No label differs" in nothing.err
    unknown = pets("labels", "diff", "pets", "tomorrow", code=1).sentence
    assert unknown.startswith("'tomorrow' names no labels: expected given, now")


def test_blame_tells_every_event_about_a_sample(pets):
    told = pets("labels", "blame", "pets", "a", "--json").json
    assert [one["id"] for one in told["events"]] == [1, 3, 4]
    assert [one["label_after"]["label"] for one in told["events"]] == ["dog", "cat", "dog"]
    assert (told["given_label"], told["now"]["label"], told["stands"]["id"]) == ("cat", "dog", 1)
    plain = pets("labels", "blame", "pets", "a")
    assert len(plain.lines) == 4
    assert "a: given cat, now dog; #1 by ann stands." in plain.err
    untouched = pets("labels", "blame", "pets", "d")
    assert untouched.out == ""
    assert "d: given no label, now no label; nobody’s decision stands." in untouched.err
    assert "no sample 'e'" in pets("labels", "blame", "pets", "e", code=1).sentence


def test_a_revert_is_planned_asked_for_and_done(pets, monkeypatch):
    plan = pets("labels", "revert", "pets", "--after", "#1", "--plan", "--json").json
    assert (plan["done"], [one["id"] for one in plan["undone"]]) == (False, [2])
    assert [one["sample_key"] for one in plan["changes"]] == ["b"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    refused = pets("labels", "revert", "pets", "--after", "#1", code=1)
    assert refused.sentence == "Nothing was taken back; --yes takes back without asking."
    assert "This takes back 1 decision; 1 sample changes the label." in refused.err
    assert pets("labels", "log", "pets", "--json").json["total"] == 4
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    done = pets("labels", "revert", "pets", "--after", "#1", "--reviewer", "cleo")
    version = pets("labels", "log", "pets", "--json").json["events"][-1]["version"]
    assert done.lines == [version]
    assert "--after #4` brings it back" in done.err
    back = pets(
        "labels", "revert", "pets", "--after", "4", "--yes", "--json", "--reviewer", "ann"
    ).json
    assert (back["done"], [one["id"] for one in back["repeated"]], back["before"]) == (True, [2], 5)
    nothing = pets("labels", "revert", "pets", "--after", "4", "--yes")
    assert "There is nothing to take back" in nothing.err
    assert pets("labels", "diff", "pets", "#4", "now").out == ""


def test_one_decision_or_one_person_is_reverted(pets):
    pets("labels", "revert", "pets", "--decision", 2, "--yes", "--reviewer", "ann")
    assert "ann has taken decision #2 back already" in pets(
        "labels", "revert", "pets", "--decision", 2, "--yes", code=1
    ).sentence  # fmt: skip
    done = pets("labels", "revert", "pets", "--person", "ann", "--yes", "--reviewer", "bob")
    assert done.lines == ["given"]
    nobody = pets("labels", "revert", "pets", "--person", "zoe", "--yes", code=1).sentence
    assert nobody == "'zoe' has decided nothing on 'pets'; decisions are by ann, bob."
    pets("labels", "revert", "pets", code=2)
    pets("labels", "revert", "pets", "--decision", 1, "--person", "ann", code=2)


def test_patches_of_two_people_are_planned_chosen_and_applied(pets, tmp_path):
    ann, bob = tmp_path / "ann.jsonl", tmp_path / "bob.jsonl"
    pets("import", tmp_path / "pets.npz", "--name", "annas")
    pets("import", tmp_path / "pets.npz", "--name", "bobs")
    pets("decide", "annas", "a", "--relabel", "dog", "--reviewer", "ann")
    pets("decide", "bobs", "a", "--exclude", "--reviewer", "bob")
    pets("export", "annas", "--out", ann)
    pets("export", "bobs", "--out", bob)
    pets("import", tmp_path / "pets.npz", "--name", "both")
    plan = pets("apply", "both", ann, bob, "--plan", "--json").json
    assert (plan["decisions"], plan["new"]) == (2, 2)
    (contested,) = plan["contested"]
    assert [one["reviewer"] for one in contested["decisions"]] == ["ann", "bob"]
    assert [one["patch"] for one in contested["decisions"]] == ["ann.jsonl", "bob.jsonl"]
    assert contested["stands"] == "bob"
    listed = pets("apply", "both", ann, bob, "--plan", "--prefer", "ann")
    assert listed.lines[1].split()[-1] == "stands"
    assert "2 new of 2 decisions, 1 conflict; nothing is stored yet." in listed.err
    assert pets("labels", "log", "both", "--json").json["total"] == 0
    assert "takes part in no conflict" in pets(
        "apply", "both", ann, bob, "--prefer", "zoe", code=1
    ).sentence  # fmt: skip
    done = pets("apply", "both", ann, bob, "--choose", "a=ann", "--reviewer", "cleo")
    assert done.lines == ["2 new of 2 decisions"]
    assert "cleo chose that of ann, which stands." in done.err
    assert pets("labels", "blame", "both", "a", "--json").json["stands"]["reviewer"] == "cleo"
    again = pets("apply", "both", ann, bob, "--choose", "a=ann")
    assert again.lines == ["0 new of 2 decisions"]
