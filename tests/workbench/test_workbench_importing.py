"""Imports asked for in the browser: planned first, limited to folders, stored as they were shown."""

import numpy as np
import pytest
from PIL import Image

from audit.errors import InputError, RefusedError
from audit.records.dataset import Split
from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace
from audit.workbench import contents, importing, serving
from audit.workbench.contents import Order
from audit.workbench.importing import Request
from audit.workbench.shelf import Shelf


@pytest.fixture
def shelf(tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        yield Shelf(workspace)


@pytest.fixture
def animals(tmp_path):
    """Give a folder of four cats, two dogs and one fox, and a dog that is no image."""
    for name, count in {"cats": 4, "dogs": 2, "fox": 1}.items():
        for number in range(count):
            draw(tmp_path / "animals" / name / f"{number}.png", 40 * number)
    (tmp_path / "animals" / "dogs" / "empty.png").write_bytes(b"")
    (tmp_path / "animals" / "dogs" / "notes.txt").write_text("woof")
    return tmp_path / "animals"


def draw(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)


@pytest.fixture
def limited_to(monkeypatch):
    return lambda *folders: monkeypatch.setenv(serving.DATA_ROOTS, ":".join(map(str, folders)))


def look(shelf, source, **options):
    return importing.look(shelf, Request(source=str(source), **options))


def test_a_plan_counts_what_lies_there_and_stores_nothing(shelf, animals):
    looked = look(shelf, f' "{animals}" ')
    assert looked.holds.counts.tolist() == [4, 3, 1]
    assert (looked.holds.n_samples, looked.holds.n_problems, looked.holds.n_unlabelled) == (8, 1, 0)
    assert looked.holds.splits == ((Split.TRAIN, 8),)
    assert [one.name for one in looked.plan.skipped] == ["dogs/notes.txt"]
    assert (looked.suggested_name, looked.known) == ("animals", None)
    assert dataset_rows.all(shelf.workspace) == []


def test_examples_of_a_class_can_be_used_and_belong_to_it(shelf, animals):
    looked = look(shelf, animals)
    rows, n_found = contents.class_rows(looked.seen, looked.holds, n_examples=3)
    assert [(row.name, row.n_samples, row.fraction) for row in rows] == [
        ("cats", 4, 1.0), ("dogs", 3, 0.75), ("fox", 1, 0.25),
    ]  # fmt: skip
    keys = [[looked.plan.sample_keys[place] for place in row.examples] for row in rows]
    assert keys[0][0] == "cats/0.png"
    assert keys[0][-1] == "cats/3.png"
    assert keys[1:] == [["dogs/0.png", "dogs/1.png"], ["fox/0.png"]]
    assert n_found == 3


def test_classes_are_found_by_a_part_of_their_name_and_listed_in_three_orders(shelf, animals):
    looked = look(shelf, animals)

    def names(**asked):
        rows, n_found = contents.class_rows(looked.seen, looked.holds, **asked)
        return [row.name for row in rows], n_found

    assert names(order=Order.FEWEST) == (["fox", "dogs", "cats"], 3)
    assert names(order=Order.NAME, start=1, most=1) == (["dogs"], 3)
    assert names(search="O") == (["dogs", "fox"], 2)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([5, 5], "Every class has 5 samples."),
        ([5, 6], "about even: 5 to 6 samples each"),
        ([20, 5], "20 samples, 4.0 times as many"),
        ([20, 1], "1 class has a single sample"),
        ([20, 0, 20], "1 class without a sample"),
    ],
)
def test_the_balance_of_classes_is_told_in_words(shelf, tmp_path, counts, words):
    labels = np.repeat(np.arange(len(counts)), counts)
    np.savez(
        tmp_path / "some.npz",
        images=np.zeros((len(labels), 4, 4), np.uint8),
        labels=labels,
        class_names=np.array([f"class {k}" for k in range(len(counts))]),
    )
    assert words in contents.balance(look(shelf, tmp_path / "some.npz").holds)


def test_previews_are_drawn_before_anything_is_stored(shelf, animals):
    drawn = importing.preview(shelf, look(shelf, animals), (0, 5), 32, (1, 2, 3))
    assert drawn.is_complete
    assert drawn.media_type == "image/png"


def test_what_was_shown_is_stored_under_the_name_that_was_typed(shelf, animals):
    stored = importing.store(shelf, look(shelf, animals), " my animals ")
    assert stored.is_new
    assert stored.dataset.name == "my animals"
    assert [one.name for one in dataset_rows.all(shelf.workspace)] == ["my animals"]


def test_a_source_that_changed_since_is_shown_again_and_not_stored(shelf, animals):
    looked = look(shelf, animals)
    draw(animals / "cats" / "new.png", 9)
    stored = importing.store(shelf, looked, "")
    assert stored.dataset is None
    assert stored.difference == "0 samples are gone and 1 are new"
    assert dataset_rows.all(shelf.workspace) == []
    assert importing.store(shelf, stored.changed, "").dataset.n_samples == 9


def test_an_image_that_broke_since_counts_as_a_change(shelf, animals):
    looked = look(shelf, animals)
    (animals / "cats" / "0.png").write_bytes(b"")
    stored = importing.store(shelf, looked, "")
    assert stored.dataset is None
    assert "2 samples cannot be used now" in stored.difference


def test_the_same_source_is_known_and_not_stored_twice_under_its_name(shelf, animals):
    first = importing.store(shelf, look(shelf, animals), "").dataset
    again = look(shelf, animals)
    assert (again.known, again.suggested_name) == ("animals", "animals")
    stored = importing.store(shelf, again, again.suggested_name)
    assert not stored.is_new
    assert stored.dataset.id == first.id
    assert importing.recent(shelf) == (str(animals),)


def test_refusals_call_fields_as_the_form_does(shelf, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("picture,kind\na.png,x\nb.png,y\n")
    with pytest.raises(InputError, match="“Path column”"):
        look(shelf, table)
    for typed, words in (("  ", "Type the path of the source"), ("a\0b", "cannot be a path")):
        with pytest.raises(InputError, match=words):
            look(shelf, typed)
    with pytest.raises(InputError, match="whom this machine does not know"):
        look(shelf, "~nobody-of-this-name/images")


def test_a_name_that_a_command_line_could_not_take_is_refused(shelf, animals):
    looked = look(shelf, animals)
    with pytest.raises(InputError, match="cannot be a name"):
        importing.store(shelf, looked, "-x")


def test_a_source_outside_the_limits_is_refused_whether_it_exists_or_not(
    shelf, animals, tmp_path, limited_to
):
    (tmp_path / "public").mkdir()
    limited_to(tmp_path / "public", tmp_path / "other")
    for source in (animals, tmp_path / "missing", tmp_path / "public" / ".." / "animals"):
        with pytest.raises(RefusedError, match="lies outside the folders"):
            look(shelf, source)
    limited_to(animals)
    assert look(shelf, animals).holds.n_samples == 8


def test_a_link_leads_to_no_folder_outside_the_limits(shelf, animals, tmp_path, limited_to):
    public = tmp_path / "public"
    draw(public / "cats" / "own.png", 1)
    draw(public / "dogs" / "own.png", 1)
    limited_to(public)
    assert look(shelf, public).holds.n_samples == 2
    (public / "cats" / "linked.png").symlink_to(animals / "cats" / "0.png")
    with pytest.raises(RefusedError, match=r"One image lies outside .*linked\.png"):
        look(shelf, public)
    (public / "cats" / "linked.png").unlink()
    (public / "more").symlink_to(animals)
    with pytest.raises(RefusedError, match="8 images lie outside"):
        look(shelf, public)
    with pytest.raises(RefusedError, match="lies outside"):
        look(shelf, public / "more")


def test_a_table_reads_no_image_and_no_labels_outside_the_limits(
    shelf, animals, tmp_path, limited_to
):
    public = tmp_path / "public"
    draw(public / "a.png", 1)
    table = public / "labels.csv"
    limited_to(public)
    for path in ("../animals/cats/0.png", str(animals / "cats" / "0.png")):
        table.write_text(f"path,label\na.png,x\n{path},y\n")
        with pytest.raises(RefusedError, match="One image lies outside"):
            look(shelf, table)
    # It is refused before the first file is looked at.
    reports = []
    table.write_text("path,label\na.png,x\n../animals/cats/0.png,y\n")
    with pytest.raises(RefusedError, match="One image lies outside"):
        importing.look(shelf, Request(source=str(table)), lambda *said: reports.append(said[1]))
    assert reports == ["read 2 rows"]
    outside = tmp_path / "labels.csv"
    outside.write_text("path,label\na.png,x\na.png,y\n")
    with pytest.raises(RefusedError, match=r"labels\.csv lies outside"):
        look(shelf, public, labels=str(outside))


def test_moved_files_are_followed_only_within_the_limits(shelf, animals, tmp_path, limited_to):
    dataset = importing.store(shelf, look(shelf, animals), "").dataset
    moved = animals.rename(tmp_path / "moved")
    (tmp_path / "public").mkdir()
    limited_to(tmp_path / "public")
    with pytest.raises(RefusedError, match="lies outside"):
        importing.relocate(shelf, dataset, str(moved))
    moved = moved.rename(tmp_path / "public" / "moved")
    assert importing.relocate(shelf, dataset, str(moved)).source.root == str(moved)
    (moved / "cats" / "0.png").unlink()
    with pytest.raises(RefusedError, match="1 samples are gone"):
        importing.relocate(shelf, dataset, str(moved))
