"""Class folders: what becomes a sample, what is skipped, and what is said about it."""

import os
import sys

import numpy as np
import pytest

from audit.datasets import skipping, sources
from audit.errors import InputError, StoppedError


def skipped(plan):
    return {one.name: one.reason for one in plan.skipped}


def test_folders_are_classes_sorted_by_name_and_keys_are_relative_paths(put, tmp_path):
    put("dogs/1.jpg")
    put("cats/deep/er/1.PNG")
    put("cats/1.webp")
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("cats", "dogs")
    assert plan.sample_keys == ("cats/1.webp", "cats/deep/er/1.PNG", "dogs/1.jpg")
    assert plan.paths == plan.sample_keys
    assert plan.given_labels.tolist() == [0, 0, 1]
    assert plan.splits.tolist() == [0, 0, 0]
    assert plan.problems == {}
    assert plan.suggested_name == tmp_path.name
    assert plan.warnings == ("One class has a single image: 'dogs'.",)


def test_all_extensions_count_in_any_case(put, tmp_path):
    endings = ["jpg", "JPEG", "png", "ppm", "BMP", "pgm", "tif", "TIFF", "webp"]
    for ending in endings:
        put(f"a/x.{ending}")
    put("b/y.png")
    put("b/notes.txt", "hello")
    put("b/png", "no ending")
    plan = sources.plan(tmp_path)
    assert len(plan.sample_keys) == len(endings) + 1
    assert set(skipped(plan)) == {"b/notes.txt", "b/png"}
    assert ".txt" in skipped(plan)["b/notes.txt"]


def test_splits_are_recognised_only_if_every_top_folder_is_one(put, tmp_path):
    for key in ("train/a/1.png", "Valid/a/1.png", "test/b/1.png", "notes/readme.txt"):
        put(key)
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("a", "b")
    assert dict(zip(plan.sample_keys, plan.splits.tolist(), strict=True)) == {
        "Valid/a/1.png": 1,
        "test/b/1.png": 2,
        "train/a/1.png": 0,
    }
    put("other/a/1.png")
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("Valid", "other", "test", "train")
    assert set(plan.splits.tolist()) == {0}


def test_flat_folders_named_train_and_test_are_classes(put, tmp_path):
    put("train/1.png")
    put("test/1.png")
    assert sources.plan(tmp_path).class_names == ("test", "train")


def test_images_outside_class_folders_are_skipped_with_a_reason(put, tmp_path):
    for key in ("train/a/1.png", "train/b/1.png", "train/loose.png", "top.png"):
        put(key)
    plan = sources.plan(tmp_path)
    assert plan.sample_keys == ("train/a/1.png", "train/b/1.png")
    assert "split" in skipped(plan)["train/loose.png"]
    assert "top folder" in skipped(plan)["top.png"]


def test_hidden_files_and_folders_are_skipped(put, tmp_path):
    for key in ("a/1.png", "b/1.png", "a/.1.png", ".git/x/1.png"):
        put(key)
    plan = sources.plan(tmp_path)
    assert plan.sample_keys == ("a/1.png", "b/1.png")
    assert skipped(plan) == {"a/.1.png": "hidden", ".git": "hidden"}


def test_the_folder_for_unlabelled_images_is_no_class(put, tmp_path):
    for key in ("a/1.png", "b/1.png", "_unlabeled/1.png"):
        put(key)
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("a", "b")
    assert plan.given_labels[plan.sample_keys.index("_unlabeled/1.png")] == -1
    assert plan.problems == {}


def test_two_files_of_one_name_in_two_folders_are_two_samples(put, tmp_path):
    put("a/1.png")
    put("b/1.png")
    assert len(set(sources.plan(tmp_path).sample_keys)) == 2


def test_odd_names_are_kept_as_they_are(put, tmp_path):
    names = ['a b\'s "q"', "line\nbreak", "שלום", "🐈‍⬛", "01", "1", "cafe\u0301"]
    for name in names:
        put(f"{name}/{name}.png")
        put(f"{name}/2.png")
    plan = sources.plan(tmp_path)
    assert plan.class_names == tuple(sorted(names))
    assert set(plan.sample_keys) >= {f"{name}/{name}.png" for name in names}
    assert plan.problems == {}


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of arbitrary bytes")
def test_undecodable_names_are_skipped_in_printable_form(put, tmp_path, png):
    put("a/1.png")
    put("b/1.png")
    (tmp_path / "a" / os.fsdecode(b"caf\xe9.png")).write_bytes(png())
    (tmp_path / os.fsdecode(b"c\xff")).mkdir()
    plan = sources.plan(tmp_path)
    assert plan.sample_keys == ("a/1.png", "b/1.png")
    assert set(skipped(plan)) == {"a/caf\\xe9.png", "c\\xff"}
    assert all("UTF-8" in reason for reason in skipped(plan).values())


def test_bad_files_stay_samples_and_become_problems_that_name_them(put, tmp_path, png):
    put("a/good.png")
    put("a/zero.png", b"")
    put("a/text.jpg", "this is a text of more than thirty-two bytes, not an image")
    put("a/page.jpg", "<!DOCTYPE html><html><body>404 not found</body></html>")
    put("a/anim.png", b"GIF89a" + bytes(40))
    put("a/short.png", b"\x89P")
    put("b/truncated.png", png(size=(64, 64))[:60])  # found when it is decoded
    (tmp_path / "b/gone.png").symlink_to(tmp_path / "nowhere.png")
    plan = sources.plan(tmp_path)
    found = {plan.sample_keys[position]: text for position, text in plan.problems.items()}
    assert set(found) == {
        "a/zero.png",
        "a/text.jpg",
        "a/page.jpg",
        "a/anim.png",
        "a/short.png",
        "b/gone.png",
    }
    for key, text in found.items():
        assert text.startswith(key)
        assert text.endswith(".")
        assert "\n" not in text
    assert "0 bytes" in found["a/zero.png"]
    assert "web page" in found["a/page.jpg"]
    assert "GIF" in found["a/anim.png"]
    assert "link" in found["b/gone.png"]


def test_a_problem_of_a_name_with_a_newline_is_still_one_line(put, tmp_path):
    put("a/1.png")
    put("b/line\nbreak.png", b"")
    put("b/line\nbreak.txt")
    plan = sources.plan(tmp_path)
    assert plan.problems[1].startswith(r"b/line\nbreak.png is empty")
    assert list(skipped(plan)) == [r"b/line\nbreak.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_does_not_stop_the_plan(put, tmp_path):
    put("a/1.png")
    put("b/1.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    plan = sources.plan(tmp_path)
    assert list(plan.problems) == [plan.sample_keys.index("a/pipe.png")]
    assert "ordinary file" in plan.problems[1]


def test_linked_folders_are_followed_but_not_in_circles(put, tmp_path):
    put("a/1.png")
    put("b/1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    elsewhere = put("outside/2.png").parent
    root = tmp_path / "root"
    root.mkdir()
    (root / "c").symlink_to(tmp_path / "a", target_is_directory=True)
    (root / "d").symlink_to(elsewhere, target_is_directory=True)
    plan = sources.plan(root)
    assert {"c/1.png", "d/2.png"} <= set(plan.sample_keys)
    assert len(plan.sample_keys) < 10
    assert any("read already" in reason for reason in skipped(sources.plan(tmp_path)).values())


def test_a_folder_deeper_than_the_recursion_limit_is_walked(put, tmp_path):
    put("b/1.png")
    folder = tmp_path / "a"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 20, dir_fd=here)
        deeper = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    put("a/" + "/".join(["d" * 20] * 40) + "/1.png")
    assert len(sources.plan(tmp_path).sample_keys) == 2


def test_class_names_that_differ_by_case_or_spaces_are_pointed_out(put, tmp_path):
    for name in ("Cat", "cat ", "dog"):
        put(f"{name}/1.png")
        put(f"{name}/2.png")
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("Cat", "cat ", "dog")
    assert plan.warnings == ("Some class names differ only by case or spaces: 'Cat' and 'cat '.",)


def test_a_class_folder_without_images_is_no_class_and_is_mentioned(put, tmp_path):
    for key in ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "c/readme.txt"):
        put(key)
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("a", "b")
    assert any("'c'" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "empty"),
        (["notes.txt"], ".txt"),
        (["1.png", "2.png"], "top folder"),
        (["a/1.png", "a/2.png"], "only class 'a'"),
        (["_unlabeled/1.png"], "unlabelled"),
    ],
)
def test_a_folder_without_two_classes_says_what_is_there_and_what_is_expected(
    put, tmp_path, files, said
):
    for file in files:
        put(f"root/{file}")
    (tmp_path / "root").mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        sources.plan(tmp_path / "root")
    text = str(caught.value)
    assert said in text
    assert "one folder per class" in text
    assert "\n" not in text


def test_a_single_table_in_a_folder_without_classes_is_used_and_said(put, tmp_path):
    put("1.png")
    put("2.png")
    put("labels.csv", "file_name,label\n1.png,cat\n2.png,dog\n")
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("cat", "dog")
    assert "labels.csv" in plan.warnings[0]
    put("metadata.csv", "file_name,label\n")
    with pytest.raises(InputError, match="one folder per class"):
        sources.plan(tmp_path)


def test_a_table_beside_class_folders_is_not_read_unless_asked_for(put, tmp_path):
    for key in ("a/1.png", "b/1.png"):
        put(key)
    put("labels.csv", "path,label,other\na/1.png,x,p\nb/1.png,y,q\n")
    plan = sources.plan(tmp_path)
    assert plan.class_names == ("a", "b")
    assert any("labels.csv is not read" in warning for warning in plan.warnings)
    assert sources.plan(tmp_path, label_column="other").class_names == ("p", "q")


def test_a_long_list_of_stray_files_is_cut_and_summed_up():
    log = skipping.SkippedLog()
    for number in range(skipping.MAX_LISTED + 20):
        log.add(f"{number}.txt", "odd" if number % 2 else "even")
    listed = log.close()
    assert len(listed) == skipping.MAX_LISTED + 1
    assert listed[-1].name == "20 more"
    assert listed[-1].reason == "even (10); odd (10)"


def test_the_plan_can_be_stopped(put, tmp_path):
    put("a/1.png")
    put("b/1.png")

    def stop(fraction, message):
        raise StoppedError(message)

    with pytest.raises(StoppedError):
        sources.plan(tmp_path, report=stop)


def test_replanning_finds_the_same_fingerprint_under_a_new_root_and_notices_changes(put, tmp_path):
    put("old/a/1.png")
    put("old/b/1.png")
    before = sources.plan(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(InputError, match="does not exist"):
        sources.replan(before.source)
    after = sources.replan(before.source, tmp_path / "new")
    assert after.fingerprint == before.fingerprint
    assert after.source.root == str(tmp_path / "new")
    np.testing.assert_array_equal(after.given_labels, before.given_labels)
    put("new/b/2.png")
    assert sources.replan(after.source).fingerprint != before.fingerprint


@pytest.mark.parametrize("name", ["nothing", "picture.png", "archive.zip"])
def test_a_path_that_is_no_source_is_refused_in_one_sentence(put, tmp_path, name):
    if name != "nothing":
        put(name)
    with pytest.raises(InputError) as caught:
        sources.plan(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_may_not_be_read_is_skipped(put, tmp_path):
    for key in ("a/1.png", "b/1.png", "c/1.png"):
        put(key)
    (tmp_path / "c").chmod(0)
    try:
        assert "c" in skipped(sources.plan(tmp_path))
    finally:
        (tmp_path / "c").chmod(0o700)
