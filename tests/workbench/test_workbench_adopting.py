import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from audit.datasets import sources
from audit.errors import InputError, RefusedError
from audit.records.dynamics import SIGNALS, Role
from audit.records.run import Probe, RunConfig, RunState
from audit.records.scores import Scores
from audit.store import datasets, dynamics, runs
from audit.store.workspace import Workspace
from audit.tasks import unfinished as told
from audit.training import Recorder
from audit.workbench import adopting, launching, scoring, settling, trajectories, watching
from audit.workbench import runs as run_verbs
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

KEYS = ("a.png", "b.png", "c.png", "d.png", "e.png", "f.png")
LABELS = (0, 1, 2, 1, -1, 2)
SPLITS = ("train", "train", "train", "train", "train", "val")
CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        yield workspace


@pytest.fixture
def dataset(workspace, tmp_path):
    """Six samples, the fifth unlabelled, the last of another split."""
    file = tmp_path / "pets.npz"
    images = np.random.default_rng(0).integers(0, 255, (6, 12, 12), dtype=np.uint8)
    np.savez(
        file, images=images, labels=LABELS, class_names=CLASSES, sample_keys=KEYS, split=SPLITS
    )
    return datasets.add(workspace, sources.plan(file), "pets")


def logits(n, seed=0, n_classes=3):
    drawn = np.random.default_rng(seed).normal(0, 3, (n, n_classes)).astype(np.float32)
    return torch.from_numpy(drawn)


@pytest.fixture
def record(tmp_path):
    """Record epochs of logits with the public recorder."""

    def made(labels, epochs, name="dynamics.npz", **settings):
        with Recorder(labels, out=tmp_path / name, **settings) as recorder:
            for epoch in epochs:
                recorder.observe(range(len(epoch)), epoch)
                recorder.end_epoch()
        return tmp_path / name

    return made


def test_samples_are_matched_by_their_keys_and_classes_by_their_names(workspace, dataset, record):
    epochs = [logits(3, 0), logits(3, 1)]
    names = ("owl", "cat", "dog")
    file = record(
        ["dog", "cat", "owl"], epochs, class_names=names, keys=["d.png", "a.png", "c.png"]
    )
    done = adopting.adopt(workspace, dataset, file)
    assert (done.run.name, done.run.state) == ("pets-recorded-1", RunState.SEALED)
    assert (done.n_samples, done.n_absent) == (3, 1)
    assert done.messages == (
        "1 of 4 samples of 'pets' that could be trained on are not in 'dynamics.npz'.",
    )
    made = dynamics.load(workspace, done.run)
    assert (made.n_samples, made.n_classes, made.n_epochs) == (6, 3, 2)
    assert_array_equal(made.sample, [0, 2, 3])
    assert_array_equal(made.assigned_label, [0, 2, 1])
    # Rows of the file in the order of the dataset; classes cat, dog, owl are its 1, 2, 0.
    own = torch.stack(epochs)[:, [1, 2, 0]][:, :, [1, 2, 0]].numpy()
    expected = [
        [row[k] - np.delete(row, k).max() for row, k in zip(e, (0, 2, 1), strict=True)] for e in own
    ]
    assert_allclose(made.signals["margin"], expected, rtol=1e-6)
    others = own.copy()
    others[:, [0, 1, 2], [0, 2, 1]] = -np.inf
    assert_array_equal(made.signals["best_other_class"], others.argmax(axis=2))
    means = torch.softmax(torch.from_numpy(own), dim=2).mean(dim=0)
    assert_allclose(made.mean_probabilities.values, means, atol=1e-6)
    assert_array_equal(made.mean_probabilities.classes, [[0, 1, 2]] * 3)
    curves = dynamics.curves(workspace, done.run)
    assert_allclose([c["loss"] for c in curves], made.signals["loss"].mean(axis=1), rtol=1e-6)
    assert [c["accuracy"] for c in curves] == [(row > 0).mean() for row in np.array(expected)]


def test_without_keys_positions_are_those_that_are_trained_on(workspace, dataset, record):
    made = adopting.adopt(workspace, dataset, record([0, 1, 2, 1], [logits(4)]))
    assert_array_equal(dynamics.load(workspace, made.run).sample, [0, 1, 2, 3])
    with pytest.raises(RefusedError, match=r"3 samples without keys.* 6, 4 of them to train on"):
        adopting.adopt(workspace, dataset, record([0, 1, 2], [logits(3)], "three.npz"))


def test_positions_may_be_those_of_all_samples(workspace, dataset, tmp_path):
    np.savez(tmp_path / "all.npz", logits=logits(6).numpy()[None], labels=np.array(LABELS))
    made = adopting.adopt(workspace, dataset, tmp_path / "all.npz", name="mine")
    assert made.run.name == "mine"
    assert_array_equal(dynamics.load(workspace, made.run).sample, [0, 1, 2, 3, 5])
    assert made.run.config.splits == ("train", "val")


@pytest.mark.parametrize(
    ("labels", "settings", "sentence"),
    [
        ([0, 1, 2, 0], {}, r"1 of 4 labels .* 'd.png' first \('cat' instead of 'dog'\)"),
        ([0, 0], {"keys": ["a.png", "e.png"]}, r"'e.png' first \('cat' instead of none\)"),
        ([0, 1], {"keys": ["a.png", "z.png"]}, "1 of 2 samples .* not in 'pets', 'z.png' first"),
        ([0], {"keys": ["a.png"], "class_names": ["cat", "dog", "cow"]}, "'cow' is in one of them"),
    ],
)
def test_what_belongs_to_other_data_is_refused(
    workspace, dataset, record, labels, settings, sentence
):
    file = record(labels, [logits(len(labels))], **settings)
    with pytest.raises(RefusedError, match=sentence):
        adopting.adopt(workspace, dataset, file)
    assert runs.all(workspace) == []
    assert list((workspace.path / "runs").iterdir()) == []


def test_another_number_of_classes_is_refused(workspace, dataset, record):
    file = record([0, 1, 2, 1], [logits(4, n_classes=4)])
    with pytest.raises(RefusedError, match="has 4 classes and 'pets' has 3"):
        adopting.adopt(workspace, dataset, file)


def test_averages_are_no_run_but_every_update_of_the_aum_package_is(workspace, dataset, tmp_path):
    (tmp_path / "aum_values.csv").write_text("sample_id,aum\na.png,0.5\n")
    with pytest.raises(RefusedError, match="one average for all epochs"):
        adopting.adopt(workspace, dataset, tmp_path / "aum_values.csv")
    head = "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin\n"
    rows = "b.png,1,1,2.0,0,0.5,1.5\na.png,1,0,1.0,1,3.0,-2.0\n"
    (tmp_path / "full_aum_records.csv").write_text(head + rows)
    made = adopting.adopt(workspace, dataset, tmp_path / "full_aum_records.csv").run
    kept = dynamics.load(workspace, made)
    assert_array_equal(kept.signals["margin"], [[-2.0, 1.5]])
    assert kept.n_classes == 3
    assert set(kept.signals) == set(SIGNALS) - {"loss", "given_probability"}
    assert [set(point) for point in dynamics.curves(workspace, made)] == [{"epoch", "accuracy"}]


def test_corrupted_copies_are_a_probe(workspace, dataset, tmp_path):
    arrays = {"labels": [0, 1, 2, 1, 2], "copy_of": [-1, -1, -1, -1, 0]}
    np.savez(tmp_path / "c.npz", logits=logits(5).numpy()[None].repeat(3, 0), **arrays)
    made = adopting.adopt(workspace, dataset, tmp_path / "c.npz").run
    assert made.config.probe is Probe.CORRUPTED
    kept = dynamics.load(workspace, made)
    assert_array_equal(kept.role, [Role.GIVEN] * 4 + [Role.CORRUPTED])
    assert_array_equal(kept.sample, [0, 1, 2, 3, 0])
    assert scoring.requests(workspace, [made.name], ["dynacor"])[0].runs == (made,)


def test_what_is_known_of_it_is_told_and_nothing_else(workspace, dataset, record):
    file = record([0, 1, 2, 1], [logits(4), logits(3)])
    run = adopting.adopt(workspace, dataset, file).run
    assert run.config.known() == {
        "preset": "recorded",
        "architecture": "elsewhere",
        "epochs": 2,
        "probe": "none",
        "splits": ["train"],
        "elsewhere": {"file": "dynamics.npz", "messages": list(run.config.elsewhere.messages)},
    }
    assert run.config.elsewhere.messages[0].startswith("1 of 8 entries")
    assert RunConfig.from_json(run.config.to_json()) == run.config
    assert "elsewhere" not in settling.settle(dataset, Wishes(device="cpu"))[0].to_json()
    # Detectors are told nothing of settings that nobody knows.
    assert dynamics.load(workspace, run).config is None
    empty = np.full(6, np.nan)
    scores = Scores(
        run_ids=(run.id,), spec=None, suspicion=empty, quantity_name="", quantity=empty,
        suggested_label=np.full(6, -1), messages=("The detector's own.",),
    )  # fmt: skip
    assert told.told(scores, [run], {}).messages == (
        *run.config.elsewhere.messages,
        "The detector's own.",
    )


def test_it_is_a_run_like_any_other_but_for_training(workspace, dataset, record):
    file = record([0, 1, 2, 1], [logits(4, seed) for seed in range(3)])
    run = adopting.adopt(workspace, dataset, file).run
    shelf = Shelf(workspace)
    (course,) = trajectories.of_sample(shelf, dataset, 2, None)
    assert course.run_name == run.name
    assert course.n_epochs == 3
    found = watching.survey(shelf)
    (launch,) = found.launches
    assert launch.resumable == ()
    sentence = watching.standing(shelf, found, run, None).sentence
    assert sentence.startswith("3 epochs")
    assert "margin" in watching.methods_of(shelf, launch)[1]
    with pytest.raises(RefusedError, match="recorded elsewhere, so there is no training to go on"):
        run_verbs.resume(workspace, run.id)
    planned = launching.plan(shelf, dataset, ("margin",), Wishes(device="cpu"))
    assert not planned.is_sealed
    with pytest.raises(RefusedError, match="follows an ordinary run with the same settings"):
        run_verbs.start(
            workspace, dataset, settling.settle(dataset, Wishes(device="cpu", probe=Probe.PLANTED))
        )


def test_a_name_that_is_taken_is_refused_before_anything_is_read(
    workspace, dataset, record, tmp_path
):
    file = record([0, 1, 2, 1], [logits(4)])
    adopting.adopt(workspace, dataset, file, name="mine")
    with pytest.raises(RefusedError, match="A run named 'mine' exists already"):
        adopting.adopt(workspace, dataset, tmp_path / "no.npz", name="mine")
    with pytest.raises(InputError, match="does not exist"):
        adopting.adopt(workspace, dataset, tmp_path / "no.npz")
    assert adopting.adopt(workspace, dataset, file).run.name == "pets-recorded-1"


def test_a_typed_path_is_limited_like_every_other(
    workspace, dataset, record, tmp_path, monkeypatch
):
    file = record([0, 1, 2, 1], [logits(4)])
    (tmp_path / "allowed").mkdir()
    monkeypatch.setenv("LABELTRACE_DATA_ROOTS", str(tmp_path / "allowed"))
    with pytest.raises(RefusedError, match="lies outside the folder that this server may read"):
        adopting.adopt_typed(Shelf(workspace), dataset, str(file))
    with pytest.raises(InputError, match="Type the path of the recording"):
        adopting.adopt_typed(Shelf(workspace), dataset, "  ")
    monkeypatch.setenv("LABELTRACE_DATA_ROOTS", str(tmp_path))
    assert adopting.adopt_typed(Shelf(workspace), dataset, f' "{file}" ').n_samples == 4
