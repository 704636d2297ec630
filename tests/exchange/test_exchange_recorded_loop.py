import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.exchange import recorded, scores_file
from audit.records.dynamics import SIGNALS
from audit.training import Recorder


@pytest.fixture
def arrays(tmp_path):
    """What is in the file of a recording of four samples, one of which was never observed."""
    recorder = Recorder(
        ["b", "a", "b", "a"],
        out=tmp_path / "made.npz",
        class_names=["a", "b"],
        keys=["w", "x", "y", "z"],
    )
    recorder.observe([0, 1, 3], torch.tensor([[0.0, 2.0], [1.0, 0.0], [0.0, 4.0]]))
    recorder.end_epoch()
    recorder.observe([0, 3], torch.tensor([[0.0, 3.0], [0.0, 1.0]]))
    recorder.end_epoch()
    recorder.close()
    return dict(np.load(tmp_path / "made.npz"))


@pytest.fixture
def saved(tmp_path):
    def save(arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        return tmp_path / "d.npz"

    return save


def test_what_the_recorder_wrote_is_read(arrays, saved):
    made = recorded.read(saved(arrays))
    assert made.sample_ids == ("w", "x", "y", "z")
    assert made.class_names == ("a", "b")
    assert (made.has_ids, made.has_class_names, made.is_average) == (True, True, False)
    assert_array_equal(made.given_labels, [1, 0, 1, 0])
    dynamics = made.dynamics
    assert (dynamics.n_samples, dynamics.n_classes, dynamics.n_epochs) == (4, 2, 2)
    assert_array_equal(dynamics.sample, [0, 1, 3])
    assert_array_equal(dynamics.assigned_label, [1, 0, 0])
    assert_array_equal(dynamics.signals["margin"], [[2, 1, -4], [3, 1, -1]])
    assert tuple(dynamics.signals) == SIGNALS
    assert_allclose(
        dynamics.mean_probabilities.values[1], torch.softmax(torch.tensor([1.0, 0.0]), 0)
    )
    assert made.messages == (
        "1 of 6 entries (a sample in an epoch) were not observed and were filled in from the same "
        "sample's epochs before and after.",
        "1 of 4 samples were never observed and are left out ('y').",
    )


def test_a_sample_that_was_never_observed_stands_in_the_scores_file_without_a_score(arrays, saved):
    samples = scores_file.of_recorded(recorded.read(saved(arrays)))
    assert samples.sample_keys == ("w", "x", "y", "z")
    assert samples.given_labels == ["b", "a", "b", "a"]


def test_a_shortened_table_of_probabilities_brings_its_classes(arrays, saved):
    arrays["mean_is_full"] = np.array(False)
    arrays["mean_values"] = arrays["mean_values"][:, :1]
    arrays["mean_classes"] = np.array([[1], [0], [1]])
    mean = recorded.read(saved(arrays)).dynamics.mean_probabilities
    assert not mean.is_full
    assert_array_equal(mean.classes, [[1], [0], [1]])
    arrays["mean_classes"] = np.array([[1], [0], [2]])
    with pytest.raises(InputError, match="mean probabilities do not fit"):
        recorded.read(saved(arrays))


def test_without_names_positions_stand_for_them(arrays, saved):
    del arrays["ids"], arrays["class_names"]
    made = recorded.read(saved(arrays))
    assert made.sample_ids == ("0", "1", "2", "3")
    assert made.class_names == ("0", "1")
    assert not made.has_ids
    assert not made.has_class_names


def test_a_form_of_a_later_version_asks_for_an_update(arrays, saved):
    arrays["labeltrace_recording"] = np.array(2)
    with pytest.raises(InputError, match=r"form 2, and this version .* up to 1: update labeltrace"):
        recorded.read(saved(arrays))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("signal_margin", None, "'signal_margin' is missing"),
        ("labels", None, "'labels' is missing"),
        ("labels", np.array([0, 1, 0, 2]), r"labels must lie in 0\.\.1"),
        ("labels", np.array([0.0, 1.0, 0.0, 1.0]), "'labels' is float64"),
        ("sample", np.array([0, 1, 4]), "distinct positions of 4 samples"),
        ("sample", np.array([1, 0, 3]), "distinct positions of 4 samples"),
        ("sample", np.array([0, 1]), "must have 2 columns"),
        ("sample", np.zeros(0, dtype=int), "no sample that was observed"),
        ("signal_loss", np.zeros((1, 3), dtype=np.float32), "epochs differ in number"),
        ("signal_loss", np.full((2, 3), np.nan), "loss is not finite"),
        ("signal_best_other_class", np.full((2, 3), 2), r"classes must lie in 0\.\.1"),
        ("mean_values", np.zeros((3, 1), dtype=np.float32), "mean probabilities do not fit"),
        ("mean_is_full", np.array(False), "'mean_classes' is missing"),
        ("ids", np.array(["w"]), "'ids' must hold 4 texts"),
        ("n_classes", np.array([2]), "'n_classes' is no whole number"),
        ("messages", np.array([1]), "'messages' is int64"),
    ],
)
def test_what_was_changed_is_refused_in_a_sentence(arrays, saved, name, value, reason):
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(InputError, match=rf"no whole recording: .*{reason}.*; record it again"):
        recorded.read(saved(arrays))
