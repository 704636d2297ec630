import numpy as np
import pytest

from audit.errors import RefusedError
from audit.records.run import RunState
from audit.store import artifacts, filing, locks, pixels, runs
from audit.store.workspace import Workspace


def test_a_sealed_folder_appears_whole_and_without_its_lock(tmp_path):
    with artifacts.making(tmp_path, "01a") as making:
        (making.folder / "data").write_text("x")
        assert [p.name for p in tmp_path.iterdir()] == [".01a.partial"]
        making.seal()
    assert [p.name for p in tmp_path.iterdir()] == ["01a"]
    assert [p.name for p in (tmp_path / "01a").iterdir()] == ["data"]


def test_a_second_seal_is_refused_and_changes_nothing(tmp_path):
    with artifacts.making(tmp_path, "01a") as making:
        (making.folder / "data").write_text("first")
        making.seal()
    with (
        pytest.raises(RefusedError, match="01a is sealed already"),
        artifacts.making(tmp_path, "01a"),
    ):
        pytest.fail("the block must not be entered")
    assert (tmp_path / "01a" / "data").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_before_the_seal_leaves_nothing(tmp_path):
    def write():
        with artifacts.making(tmp_path, "01a") as making:
            (making.folder / "data").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    with (
        artifacts.making(tmp_path, "01a"),
        pytest.raises(RefusedError, match="being written by another process"),
    ):
        artifacts.begin(tmp_path, "01a")


def test_private_writers_of_one_thing_do_not_meet(tmp_path):
    with (
        artifacts.making(tmp_path, "01a", private=True) as one,
        artifacts.making(tmp_path, "01a", private=True) as other,
    ):
        assert one.folder != other.folder
        one.seal()
        with pytest.raises(RefusedError, match="sealed already"):
            other.seal()
    assert [p.name for p in tmp_path.iterdir()] == ["01a"]


def test_a_lock_is_free_once_released_and_held_until_then(tmp_path):
    file = tmp_path / "lock"
    assert not locks.is_held(file)
    lock = locks.take(file)
    assert lock is not None
    assert locks.is_held(file)
    assert locks.take(file, wait=False) is None
    lock.release()
    assert not locks.is_held(file)


def test_cutting_the_first_axis_keeps_the_length_of_the_head():
    dtype = np.dtype(np.float32)
    heads = {len(filing.npy_header((n, 12_345), dtype)) for n in (1, 99, 100_000)}
    assert len(heads) == 1


@pytest.mark.parametrize("shape", [(3, 2), (0, 4), (5,)])
def test_arrays_come_back_as_they_were(tmp_path, shape):
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    filing.write_array(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(filing.read_array(tmp_path / "a.npy"), array)
    turned = array.T
    filing.write_array(tmp_path / "t.npy", turned)
    np.testing.assert_array_equal(filing.read_array(tmp_path / "t.npy"), turned)


@pytest.mark.parametrize("moment", ["before-seal", "after-seal"])
def test_a_process_killed_while_it_seals_is_swept(tmp_path, child, age, moment):
    process = child("seal", tmp_path, moment)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    (folder,) = (tmp_path / "datasets").iterdir()
    age(folder)
    # While the writer lives its folder stays, however old it looks.
    Workspace.open(tmp_path).close()
    assert folder.exists()
    process.kill()
    process.wait()
    Workspace.open(tmp_path).close()
    assert list((tmp_path / "datasets").iterdir()) == []


def test_what_is_younger_than_the_sweeping_process_stays(tmp_path):
    Workspace.open(tmp_path).close()
    young = tmp_path / "datasets" / ".01young.partial"
    young.mkdir()
    Workspace.open(tmp_path).close()
    assert young.exists()


def test_foreign_folders_are_never_swept(workspace, age):
    for place in ("datasets", "runs", "scores", "cache"):
        for name in ("my photos", ".git", "thumbnails"):
            folder = workspace.path / place / name
            folder.mkdir()
            age(folder)
    Workspace.open(workspace.path).close()
    assert len(list(workspace.path.glob("*/*"))) == 12


def test_a_half_recorded_run_waits_to_be_resumed_and_goes_with_its_row(workspace, make_run, age):
    run = make_run()
    artifacts.begin(workspace.path / "runs", run.id).abandon()
    folder = runs.working_folder(workspace, run.id)
    age(folder)
    Workspace.open(workspace.path).close()
    assert folder.exists()
    folder.rename(folder.with_name(".01norow.partial"))
    age(folder.with_name(".01norow.partial"))
    Workspace.open(workspace.path).close()
    assert list((workspace.path / "runs").iterdir()) == []


def test_a_run_whose_process_died_between_seal_and_row_is_sealed_at_the_next_open(
    workspace, make_run
):
    run = make_run()
    making = artifacts.begin(workspace.path / "runs", run.id)
    making.seal()
    making.abandon()
    Workspace.open(workspace.path).close()
    found = runs.find(workspace, run.id)
    assert found.state is RunState.SEALED
    assert found.sealed_at is not None


def test_pixels_of_a_deleted_dataset_are_swept(workspace, dataset, age):
    for dataset_id in (dataset.id, "0gone"):
        folder = pixels.find_or_make(
            workspace, dataset_id, 8, write=lambda place: (place / "images").write_text("x")
        )
        age(folder)
    Workspace.open(workspace.path).close()
    assert pixels.find(workspace, dataset.id, 8) is not None
    assert pixels.find(workspace, "0gone", 8) is None


def test_pixels_are_written_once_and_the_first_publisher_wins(workspace, dataset):
    def write_late(folder):
        (folder / "images").write_text("late")
        early = pixels.find_or_make(
            workspace, dataset.id, 8, write=lambda place: (place / "images").write_text("early")
        )
        assert (early / "images").read_text() == "early"

    place = pixels.find_or_make(workspace, dataset.id, 8, write=write_late)
    assert (place / "images").read_text() == "early"
    again = pixels.find_or_make(
        workspace, dataset.id, 8, write=lambda _: pytest.fail("is there already")
    )
    assert again == place
    assert len(list((workspace.path / "cache").iterdir())) == 1
    assert pixels.size_on_disk(workspace, dataset.id) > 0
    assert pixels.find(workspace, dataset.id, 16) is None
    pixels.discard(workspace, dataset.id)
    assert list((workspace.path / "cache").iterdir()) == []
