from datetime import UTC, datetime

import numpy as np
import pytest

from audit.errors import InputError, NotFoundError, RefusedError, WorkspaceError
from audit.records.dynamics import MeanProbabilities
from audit.records.run import RunState
from audit.records.scores import DetectorSpec, Scores
from audit.store import database, dynamics, runs, scores, unfinished
from audit.store.dynamics import DynamicsWriter, SavedRows

ROWS = SavedRows(
    n_samples=4,
    n_classes=2,
    sample=np.array([0, 1, 2], np.int64),
    assigned_label=np.array([0, 1, 2], np.int32),
    role=np.array([0, 0, 1], np.int8),
)
MEAN = MeanProbabilities(
    classes=np.tile(np.arange(2, dtype=np.int32), (3, 1)),
    values=np.full((3, 2), 0.5, np.float32),
    is_full=True,
)


def epoch_of(number: int) -> dict[str, np.ndarray]:
    return {
        name: np.array([number, number + 0.25, -number]).astype(dtype)
        for name, dtype in dynamics.SIGNAL_DTYPES.items()
    }


def write(workspace, run, numbers=(0, 1, 2)):
    with DynamicsWriter.open(workspace, run, ROWS) as writer:
        for number in numbers:
            writer.write_epoch(number, epoch_of(number), progress={"loss": 1.0 / (number + 1)})
        return writer.seal(MEAN)


def test_a_run_comes_back_as_it_was_added(workspace, make_run):
    run = make_run("שלום 🐈", seed=7)
    assert runs.find(workspace, run.name) == run
    assert runs.find(workspace, run.id[:9]) == run
    assert runs.all(workspace) == runs.all(workspace, run.dataset_id) == [run]
    assert runs.all(workspace, "other") == []


def test_names_of_runs_are_unique_and_storable(workspace, make_run):
    make_run()
    with pytest.raises(RefusedError, match="A run named first exists already"):
        make_run()
    with pytest.raises(InputError, match="cannot be stored"):
        make_run("nul\0")
    assert runs.free_name(workspace, "first") == "first-2"


def test_runs_of_a_probe_group_come_in_the_order_of_their_parts(workspace, make_run):
    second = make_run("b", probe_group="g", probe_part=1)
    first = make_run("a", probe_group="g", probe_part=0)
    make_run("c")
    assert runs.of_group(workspace, "g") == [first, second]


def test_a_failed_run_keeps_its_sentence_until_it_goes_on(workspace, make_run):
    run = make_run()
    failed = runs.set_state(workspace, run.id, RunState.FAILED, error="The loss is not finite.")
    assert failed.state is RunState.FAILED
    assert runs.error(workspace, run.id) == "The loss is not finite."
    runs.set_state(workspace, run.id, RunState.RUNNING)
    assert runs.error(workspace, run.id) is None
    with pytest.raises(NotFoundError):
        runs.set_state(workspace, "gone", RunState.LOST)


def test_dynamics_come_back_as_they_were_written(workspace, make_run):
    run = write(workspace, make_run())
    assert run.state is RunState.SEALED
    assert run.sealed_at is not None
    loaded = dynamics.load(workspace, run)
    assert (loaded.run_id, loaded.n_samples, loaded.n_classes) == (run.id, 4, 2)
    assert loaded.config == run.config
    for name in ("sample", "assigned_label", "role"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(ROWS, name))
    for name, values in loaded.signals.items():
        expected = np.stack([epoch_of(number)[name] for number in range(3)])
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == dynamics.SIGNAL_DTYPES[name]
        assert isinstance(values, np.memmap)
        assert not values.flags.writeable
    assert loaded.mean_probabilities is not None
    assert loaded.mean_probabilities.is_full
    np.testing.assert_array_equal(loaded.mean_probabilities.values, MEAN.values)


@pytest.mark.parametrize("is_full", [True, False])
def test_a_full_table_of_probabilities_is_stored_without_its_classes(workspace, make_run, is_full):
    classes = np.array([[0, 1], [0, 1], [0, 1]] if is_full else [[1, 0]] * 3, np.int32)
    values = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]], np.float32)
    made = MeanProbabilities(classes=classes, values=values, is_full=is_full)
    run = make_run()
    with DynamicsWriter.open(workspace, run, ROWS) as writer:
        writer.write_epoch(0, epoch_of(0))
        run = writer.seal(made)
    stored = {file.name for file in runs.folder(workspace, run.id).glob("mean*")}
    assert stored == {"mean_probabilities.npy"} | (
        set() if is_full else {"mean_probability_classes.npy"}
    )
    loaded = dynamics.load(workspace, run).mean_probabilities
    assert loaded is not None
    assert (loaded.is_full, loaded.classes.dtype) == (is_full, np.int32)
    np.testing.assert_array_equal(loaded.classes, classes)
    np.testing.assert_array_equal(loaded.values, values)


def test_a_row_is_read_from_its_files_while_a_run_is_recorded_and_after(workspace, make_run):
    run = make_run()
    with DynamicsWriter.open(workspace, run, ROWS) as writer:
        for number in range(2):
            writer.write_epoch(number, epoch_of(number))
        begun = unfinished.load(workspace, run)
        row = dynamics.read_row(workspace, begun, 1)
        assert row["margin"].tolist() == [0.25, 1.25]
        assert row["best_other_class"].dtype == np.int32
        run = writer.seal(None)
    loaded = dynamics.load(workspace, run)
    for number in range(3):
        for name, values in dynamics.read_row(workspace, loaded, number).items():
            np.testing.assert_array_equal(values, loaded.of_row(number)[name], strict=True)
    # What was mapped before the folder was renamed is read all the same.
    np.testing.assert_array_equal(dynamics.read_row(workspace, begun, 1)["loss"], row["loss"])


def test_a_run_goes_on_after_its_last_whole_epoch(workspace, make_run):
    run = make_run()
    with DynamicsWriter.open(workspace, run, ROWS) as writer:
        writer.write_epoch(0, epoch_of(0))
        writer.checkpoint_path.write_bytes(b"weights")
    curves = runs.working_folder(workspace, run.id) / "curves.jsonl"
    with curves.open("a") as stream:
        stream.write('{"epoch": 1, "lo')
    assert dynamics.checkpoint_path(workspace, run).read_bytes() == b"weights"
    assert len(dynamics.curves(workspace, run)) == 1
    saved = dynamics.saved_rows(workspace, run)
    assert saved is not None
    with DynamicsWriter.open(workspace, run, saved) as writer:
        assert writer.n_written == 1
        writer.write_epoch(0, epoch_of(5), progress={"loss": 2.0})
        writer.write_epoch(1, epoch_of(1))
        writer.write_epoch(2, epoch_of(2))
        run = writer.seal(None)
    loaded = dynamics.load(workspace, run)
    np.testing.assert_array_equal(loaded.signals["margin"][:, 0], [5, 1, 2])
    assert loaded.mean_probabilities is None
    assert dynamics.curves(workspace, run)[0] == {"epoch": 0, "loss": 2.0}
    assert not dynamics.checkpoint_path(workspace, run).exists()


def test_a_run_that_stops_early_is_sealed_with_the_epochs_it_has(workspace, make_run):
    run = write(workspace, make_run(), numbers=(0, 1))
    loaded = dynamics.load(workspace, run)
    assert loaded.n_epochs == 2
    np.testing.assert_array_equal(loaded.signals["loss"][:, 1], [0.25, 1.25])
    file = runs.folder(workspace, run.id) / "loss.npy"
    assert file.stat().st_size == 128 + 2 * 3 * 4


def test_only_the_epochs_that_count_are_sealed(workspace, make_run):
    run = make_run()
    with DynamicsWriter.open(workspace, run, ROWS) as writer:
        for number in range(3):
            writer.write_epoch(number, epoch_of(number))
        run = writer.seal(None, n_epochs=1)
    assert dynamics.load(workspace, run).n_epochs == 1
    assert len(dynamics.curves(workspace, run)) == 1


def test_a_run_without_an_epoch_is_not_sealed(workspace, make_run):
    run = make_run()
    with (
        DynamicsWriter.open(workspace, run, ROWS) as writer,
        pytest.raises(RefusedError, match="without a single whole epoch"),
    ):
        writer.seal(None)
    assert dynamics.curves(workspace, run) == []
    with pytest.raises(NotFoundError, match="has no dynamics yet: it is queued"):
        dynamics.load(workspace, run)


def test_a_sealed_run_never_changes(workspace, make_run):
    run = write(workspace, make_run())
    with pytest.raises(RefusedError, match="Run first is sealed"):
        DynamicsWriter.open(workspace, run, ROWS)
    with pytest.raises(RefusedError, match="Run first is sealed"):
        runs.set_state(workspace, run.id, RunState.LOST)
    assert runs.find(workspace, run.id) == run


def test_a_run_called_lost_after_its_seal_becomes_sealed_instead(workspace, make_run):
    run = write(workspace, make_run())
    with workspace.writing() as connection:
        connection.execute(database.runs.update().values(state="running", sealed_at=None))
    with pytest.raises(RefusedError, match="is sealed"):
        runs.set_state(workspace, run.id, RunState.LOST)
    assert runs.find(workspace, run.id).state is RunState.SEALED


def test_a_disk_too_small_for_all_epochs_is_said_before_the_first(workspace, make_run, child):
    make_run()
    out, err = child("full-run", workspace.path).communicate(timeout=60)
    assert out.startswith("WorkspaceError: The disk that holds"), out + err
    assert "is full" in out
    assert out.endswith("[]\n")


def test_a_run_has_one_writer_and_one_set_of_rows(workspace, make_run):
    run = make_run()
    assert dynamics.saved_rows(workspace, run) is None
    with (
        DynamicsWriter.open(workspace, run, ROWS),
        pytest.raises(RefusedError, match="written by another process"),
    ):
        DynamicsWriter.open(workspace, run, ROWS)
    other = SavedRows(
        n_samples=4,
        n_classes=2,
        sample=np.array([0, 1, 3], np.int64),
        assigned_label=ROWS.assigned_label,
        role=ROWS.role,
    )
    with pytest.raises(RefusedError, match="begun with other rows"):
        DynamicsWriter.open(workspace, run, other)
    DynamicsWriter.open(workspace, run, ROWS).close()


def test_an_epoch_needs_every_signal_in_the_shape_of_the_rows(workspace, make_run):
    with DynamicsWriter.open(workspace, make_run(), ROWS) as writer:
        with pytest.raises(InputError, match="needs the signals"):
            writer.write_epoch(0, {"margin": np.zeros(3)})
        with pytest.raises(InputError, match=r"has shape \(2,\), expected \(3,\)"):
            writer.write_epoch(0, epoch_of(0) | {"margin": np.zeros(2)})
        assert writer.n_written == 0


@pytest.mark.parametrize("name", ["margin.npy", "sample.npy", "dynamics.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
def test_damaged_dynamics_are_one_sentence_that_names_the_run(workspace, make_run, name, damage):
    run = write(workspace, make_run())
    file = runs.folder(workspace, run.id) / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) - 5] if damage == "cut" else b"garbage")
    with pytest.raises(WorkspaceError, match=r"^Run first \(\w+\) is damaged: .*train again\.$"):
        dynamics.load(workspace, run)


def make_scores(*run_ids: str, **changes: object) -> Scores:
    values: dict = {
        "run_ids": run_ids,
        "spec": DetectorSpec(name="aum", version=1, params={"percentile": 99}),
        "suspicion": np.array([0.5, 1.0, np.nan, 0.0]),
        "quantity_name": "aum",
        "quantity": np.array([0.1, -3.5, np.nan, 7.0]),
        "suggested_label": np.array([1, 0, -1, 0], np.int32),
        "flagged": np.array([False, True, False, False]),
        "threshold": -1.5,
        "details": {"alpha": [1.5, None], "text": "ž"},
        "messages": ("Two things – read both.",),
    }
    return Scores(**(values | changes))


def test_scores_come_back_as_they_were_saved(workspace, dataset, make_run):
    given = make_scores(make_run().id)
    saved = scores.save(workspace, dataset.id, given)
    assert saved == scores.digest(given.run_ids, given.spec)
    loaded = scores.load(workspace, saved[:10])
    for name in ("suspicion", "quantity", "suggested_label", "flagged"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(given, name))
        assert getattr(loaded, name).dtype == getattr(given, name).dtype
    for name in ("run_ids", "spec", "quantity_name", "threshold", "details", "messages"):
        assert getattr(loaded, name) == getattr(given, name)


def test_scores_without_a_cut_have_no_flags(workspace, dataset):
    saved = scores.save(workspace, dataset.id, make_scores("r", flagged=None, threshold=None))
    loaded = scores.load(workspace, saved)
    assert loaded.flagged is None
    assert loaded.threshold is None


def test_asking_again_gives_what_is_stored(workspace, dataset):
    first = scores.save(workspace, dataset.id, make_scores("r"))
    again = scores.save(workspace, dataset.id, make_scores("r", quantity_name="other"))
    assert again == first
    assert scores.load(workspace, first).quantity_name == "aum"
    assert len(scores.all(workspace, dataset.id)) == 1


def test_what_decides_a_score_is_in_its_identity():
    spec = DetectorSpec(name="aum", version=1, params={"a": 1})
    others = [
        scores.digest(["x", "y"], spec),
        scores.digest(["x"], spec),
        scores.digest(["x"], DetectorSpec(name="aum", version=2, params={"a": 1})),
        scores.digest(["x"], DetectorSpec(name="aum", version=1, params={"a": 2})),
        scores.digest(["x"], DetectorSpec(name="margin", version=1, params={"a": 1})),
    ]
    assert len(set(others)) == 5


def test_the_newest_scores_of_each_method_are_the_latest(workspace, dataset):
    old, new = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    margin = DetectorSpec(name="margin", version=1)
    scores.save(workspace, dataset.id, make_scores("b"), at=new)
    scores.save(workspace, dataset.id, make_scores("a"), at=old)
    scores.save(workspace, dataset.id, make_scores("a", spec=margin), at=old)
    latest = scores.latest(workspace, dataset.id)
    assert {name: summary.run_ids for name, summary in latest.items()} == {
        "aum": ("b",),
        "margin": ("a",),
    }
    assert scores.latest(workspace, "other") == {}


def test_scores_sealed_without_a_row_are_made_again(workspace, dataset):
    given = make_scores("r")
    orphan = workspace.path / "scores" / scores.digest(given.run_ids, given.spec)
    orphan.mkdir()
    (orphan / ".lock").touch()
    saved = scores.save(workspace, dataset.id, given)
    assert scores.load(workspace, saved).threshold == -1.5


def test_damaged_scores_are_one_sentence(workspace, dataset):
    saved = scores.save(workspace, dataset.id, make_scores("r"))
    (workspace.path / "scores" / saved / "quantity.npy").unlink()
    with pytest.raises(WorkspaceError, match=r"quantity\.npy is missing"):
        scores.load(workspace, saved)
    with pytest.raises(NotFoundError, match="no score"):
        scores.load(workspace, "zzz")


def test_deleting_a_run_takes_its_dynamics_and_scores_along(workspace, dataset, make_run):
    run, other = write(workspace, make_run("gone")), make_run("stays")
    scores.save(workspace, dataset.id, make_scores(run.id, other.id))
    kept = scores.save(workspace, dataset.id, make_scores(other.id))
    assert runs.size_on_disk(workspace, run.id) > 0
    runs.delete(workspace, run.id)
    assert runs.all(workspace) == [other]
    assert [summary.id for summary in scores.all(workspace, dataset.id)] == [kept]
    assert list((workspace.path / "runs").iterdir()) == []
    assert [p.name for p in (workspace.path / "scores").iterdir()] == [kept]
    with pytest.raises(NotFoundError):
        runs.delete(workspace, run.id)
