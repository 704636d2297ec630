import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import InputError, NotFoundError, RefusedError, WorkspaceError
from audit.records.dataset import Source, SourceKind
from audit.records.run import RunState
from audit.store import datasets, decisions, ids, pixels, runs
from audit.store.workspace import Workspace

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
) | st.sampled_from(
    ["שלום", "قطة/١.png", "🐈‍⬛", "two\nlines", 'a "quoted", name', " ", "\r", "%_"]
)


def test_a_dataset_comes_back_as_it_was_planned(workspace, make_plan):
    plan = make_plan(paths=("a.png", "/abs/b.png", "c d.png", "a.png"))
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    added = datasets.add(workspace, plan, "pets", at=at)
    for found in (added, datasets.find(workspace, "pets")):
        assert found.name == "pets"
        assert found.source == plan.source
        assert found.class_names == plan.class_names
        assert found.sample_keys == plan.sample_keys
        assert found.paths == plan.paths
        assert found.problems == {3: "It has zero bytes."}
        assert found.fingerprint == plan.fingerprint
        assert found.created_at == at
        assert found.has_truth
        np.testing.assert_array_equal(found.given_labels, plan.given_labels)
        np.testing.assert_array_equal(found.splits, plan.splits)
        assert found.given_labels.dtype == np.int32
        assert found.splits.dtype == np.int8


def test_arrays_have_no_paths_and_no_truth_unless_given(workspace, make_plan):
    source = Source(kind=SourceKind.ARRAYS, location="/data/a.npz", root="/data/a.npz")
    plan = make_plan(source=source, paths=(None,) * 4, truth=None)
    found = datasets.find(workspace, datasets.add(workspace, plan, "arrays").id)
    assert found.paths == (None,) * 4
    assert datasets.truth(workspace, found.id) is None


def test_truth_lies_apart(workspace, dataset):
    truth = datasets.truth(workspace, dataset.id)
    assert truth is not None
    np.testing.assert_array_equal(truth.true_labels, np.zeros(4, np.int32))


def test_the_summary_counts_without_reading_samples(workspace, dataset):
    (summary,) = datasets.all(workspace)
    for file in (workspace.path / "datasets" / dataset.id).iterdir():
        file.unlink()
    assert datasets.all(workspace) == [summary]
    assert (summary.n_samples, summary.n_classes) == (4, 2)
    assert (summary.n_unlabelled, summary.n_problems) == (1, 1)
    assert summary.content_digest is None


@settings(max_examples=12, deadline=None)
@given(
    name=TEXTS.filter(str.strip),
    keys=st.lists(TEXTS, min_size=1, max_size=5, unique=True),
    classes=st.lists(TEXTS, min_size=2, max_size=5, unique=True),
    reason=TEXTS,
)
def test_any_name_key_and_class_comes_back(make_plan_of, name, keys, classes, reason):
    n = len(keys)
    plan = make_plan_of(
        sample_keys=tuple(keys),
        paths=tuple(keys),
        class_names=tuple(classes),
        given_labels=np.zeros(n, np.int32),
        splits=np.zeros(n, np.int8),
        problems={0: reason},
        truth=None,
    )
    with tempfile.TemporaryDirectory() as folder, Workspace.open(Path(folder)) as workspace:
        datasets.add(workspace, plan, name)
        found = datasets.find(workspace, name)
        assert (found.name, found.sample_keys, found.class_names) == (
            name,
            tuple(keys),
            tuple(classes),
        )
        assert found.problems == {0: reason}


@pytest.fixture(scope="module")
def make_plan_of():
    from audit.records.dataset import ImportPlan

    def make(**values):
        source = Source(kind=SourceKind.FOLDER, location="/data", root="/data")
        return ImportPlan(source=source, suggested_name="x", fingerprint="ab" * 32, **values)

    return make


@pytest.mark.parametrize("bad", ["nul\0inside", "half\ud800pair"])
def test_texts_that_no_database_can_hold_are_refused_by_name(workspace, make_plan, bad):
    with pytest.raises(InputError, match=r"name of the dataset .* cannot be stored"):
        datasets.add(workspace, make_plan(), bad)
    with pytest.raises(InputError, match=r"sample key .* cannot be stored"):
        datasets.add(workspace, make_plan(sample_keys=("a", "b", "c", bad)), "x")
    with pytest.raises(InputError, match=r"class name .* cannot be stored"):
        datasets.add(workspace, make_plan(class_names=("a", bad)), "x")
    assert datasets.all(workspace) == []
    assert list((workspace.path / "datasets").iterdir()) == []


def test_a_blank_or_taken_name_is_refused(workspace, dataset, make_plan):
    with pytest.raises(InputError, match="needs a name"):
        datasets.add(workspace, make_plan(), " \n")
    with pytest.raises(RefusedError, match=f"pets exists already \\({dataset.id}\\)"):
        datasets.add(workspace, make_plan(), "pets")
    assert len(list((workspace.path / "datasets").iterdir())) == 1
    assert datasets.free_name(workspace, "pets") == "pets-2"
    assert datasets.free_name(workspace, "cars") == "cars"


def test_a_dataset_is_found_by_name_id_and_beginning_of_the_id(workspace, dataset):
    for reference in ("pets", dataset.id, dataset.id[:9]):
        assert datasets.find_summary(workspace, reference).id == dataset.id


def test_a_reference_that_fits_nothing_says_what_exists(workspace, make_plan):
    with pytest.raises(NotFoundError, match="this workspace has none yet"):
        datasets.find(workspace, "cars")
    for number in range(12):
        datasets.add(workspace, make_plan(), f"pets {number}\n")
    with pytest.raises(NotFoundError) as caught:
        datasets.find(workspace, "%")
    message = str(caught.value)
    assert "There is no dataset '%'" in message
    assert "'pets 11\\n'" in message
    assert "and 2 more" in message
    assert "\n" not in message


def test_an_ambiguous_beginning_says_which_fit(workspace, make_plan):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for name in ("one", "two"):
        datasets.add(workspace, make_plan(), name, at=at)
    with pytest.raises(NotFoundError, match=r"could be 2 datasets: .*write more of the id"):
        datasets.find(workspace, ids.new(at)[:6])


def test_ids_sort_by_time_and_differ_within_a_second():
    early = ids.new(datetime(2026, 1, 1, tzinfo=UTC))
    late = ids.new(datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert early[:6] < late[:6]
    now = datetime.now(UTC)
    assert len({ids.new(now) for _ in range(1000)}) == 1000
    assert {len(early), len(late)} == {12}


def test_relocating_changes_the_place_and_nothing_else(workspace, dataset):
    moved = Source(
        kind=SourceKind.TABLE, location="/new/labels.csv", root="/new", options={"delimiter": ","}
    )
    after = datasets.relocate(workspace, dataset.id, moved)
    assert (after.source.location, after.source.root) == ("/new/labels.csv", "/new")
    assert after.source.options == {"delimiter": ";"}
    assert after.fingerprint == dataset.fingerprint
    assert datasets.find(workspace, "pets").source == after.source
    folder = Source(kind=SourceKind.FOLDER, location="/new", root="/new")
    with pytest.raises(InputError, match="of the kind table, and /new is of the kind folder"):
        datasets.relocate(workspace, dataset.id, folder)


def test_problems_found_later_join_those_of_the_import(workspace, dataset):
    sealed = workspace.path / "datasets" / dataset.id / "problems.json"
    before = sealed.read_bytes()
    datasets.record_problems(workspace, dataset.id, {1: "It is not an image.", 0: "Cut short."})
    datasets.record_problems(workspace, dataset.id, {1: "It is a bomb."}, readable=[0])
    found = datasets.find(workspace, "pets")
    assert found.problems == {1: "It is a bomb.", 3: "It has zero bytes."}
    assert datasets.find_summary(workspace, "pets").n_problems == 2
    assert sealed.read_bytes() == before


def test_the_first_digest_of_a_sample_stays_and_changes_are_told(workspace, dataset):
    assert datasets.content_digests(workspace, dataset.id) is None
    first = np.zeros((4, 32), np.uint8)
    first[0], first[1] = 1, 2
    np.testing.assert_array_equal(datasets.record_content_digests(workspace, dataset.id, first), [])
    digest = datasets.find_summary(workspace, "pets").content_digest
    second = np.zeros((4, 32), np.uint8)
    second[1], second[2] = 9, 3
    np.testing.assert_array_equal(
        datasets.record_content_digests(workspace, dataset.id, second), [1]
    )
    stored = datasets.content_digests(workspace, dataset.id)
    assert stored is not None
    np.testing.assert_array_equal(stored[:, 0], [1, 2, 3, 0])
    assert digest is not None
    assert datasets.find_summary(workspace, "pets").content_digest not in (None, digest)


def test_deleting_takes_everything_that_belongs_to_it_and_nothing_else(
    workspace, dataset, make_plan, make_run, make_decision
):
    other = datasets.add(workspace, make_plan(), "other")
    run = make_run()
    runs.folder(workspace, run.id).mkdir()
    (stored,) = decisions.append(workspace, [make_decision()])
    decisions.undo(workspace, dataset.id, stored.sample_key, reviewer="Ada", at=datetime.now(UTC))
    pixels.find_or_make(
        workspace, dataset.id, 8, write=lambda folder: (folder / "p").write_bytes(b"x" * 9000)
    )
    assert datasets.size_on_disk(workspace, dataset.id) > 9000
    datasets.delete(workspace, dataset.id)
    assert [summary.id for summary in datasets.all(workspace)] == [other.id]
    assert runs.all(workspace) == []
    left = [
        p.name
        for place in ("datasets", "runs", "cache")
        for p in (workspace.path / place).iterdir()
    ]
    assert left == [other.id]
    with pytest.raises(NotFoundError):
        datasets.delete(workspace, dataset.id)


def test_a_dataset_whose_run_is_running_is_not_deleted(workspace, dataset, make_run):
    run = make_run()
    runs.set_state(workspace, run.id, RunState.RUNNING)
    with pytest.raises(RefusedError, match="Run first is running: cancel its job first"):
        datasets.delete(workspace, dataset.id)
    with pytest.raises(RefusedError, match="is running"):
        runs.delete(workspace, run.id)
    assert datasets.find(workspace, "pets").id == dataset.id


def test_damaged_files_are_one_sentence_that_names_the_dataset(workspace, dataset):
    folder = workspace.path / "datasets" / dataset.id
    content = (folder / "samples.parquet").read_bytes()
    (folder / "samples.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(WorkspaceError, match=r"Dataset pets \(.*cut short.*import it again"):
        datasets.find(workspace, "pets")
    (folder / "samples.parquet").unlink()
    with pytest.raises(WorkspaceError, match=r"Dataset pets .*samples.parquet is missing"):
        datasets.find(workspace, "pets")


def test_a_full_disk_is_said_and_leaves_what_was_there(workspace, dataset, child):
    out, err = child("full", workspace.path).communicate(timeout=60)
    assert out.startswith("WorkspaceError: The disk that holds"), out + err
    assert "is full: free some space" in out
    assert out.endswith(f"['{dataset.id}']\n")
    assert [summary.name for summary in datasets.all(workspace)] == ["pets"]
