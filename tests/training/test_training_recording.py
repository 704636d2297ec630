import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

import audit.training
from audit.errors import InputError, RefusedError, TrainingError
from audit.numerics import signals as plain
from audit.records.dynamics import SIGNALS
from audit.training import Numbered, Recorder


def draw(n_rows, n_classes, seed=0):
    drawn = np.random.default_rng(seed).normal(0, 3, (n_rows, n_classes))
    return torch.from_numpy(drawn.astype(np.float32))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "dynamics.npz"


def hidden(out):
    return sorted(path.name for path in out.parent.iterdir() if path.name.startswith("."))


# ------------------------------------------------------------------------------------ what is written


def test_two_lines_in_a_loop_record_every_signal_of_every_epoch(out):
    labels = [0, 1, 2, 0, 1]
    recorder = Recorder(labels, out=out)
    epochs = [draw(5, 3, seed) for seed in range(3)]
    for seed, logits in enumerate(epochs):
        order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
        for rows in order.split(2):
            recorder.observe(rows, logits[rows])
    told = recorder.close()
    assert (told.n_samples, told.n_rows, told.n_epochs, told.n_missing) == (5, 5, 3, 0)
    assert (told.path, told.messages) == (out, ())
    file = np.load(out)
    for name in SIGNALS:
        expected = np.stack([plain.of_epoch(x.numpy(), np.array(labels))[name] for x in epochs])
        assert file[f"signal_{name}"].dtype == expected.dtype
        assert_allclose(file[f"signal_{name}"], expected, rtol=1e-5, atol=1e-6)
    assert_allclose(
        file["mean_values"], np.mean([torch.softmax(x, 1) for x in epochs], axis=0), atol=1e-6
    )
    assert int(file["labeltrace_recording"]) == 1
    assert_array_equal(file["labels"], labels)
    assert "ids" not in file
    assert hidden(out) == []


def test_keys_and_class_names_are_kept_and_labels_may_be_texts(out):
    names = ("cat", "dog")
    with Recorder(["dog", "cat"], out=out, class_names=names, keys=["a.png", "b.png"]) as recorder:
        recorder.observe([0, 1], torch.zeros(2, 2))
    file = np.load(out)
    assert_array_equal(file["labels"], [1, 0])
    assert_array_equal(file["ids"], ["a.png", "b.png"])
    assert_array_equal(file["class_names"], names)


def test_closing_again_gives_the_same_and_observing_afterwards_is_refused(out):
    recorder = Recorder([0, 1], out=out)
    recorder.observe([0, 1], torch.zeros(2, 2))
    assert recorder.close() is recorder.close()
    with pytest.raises(InputError, match="is closed: make another Recorder"):
        recorder.observe([0, 1], torch.zeros(2, 2))


# --------------------------------------------------------------------------------------------- epochs


def test_an_epoch_ends_when_the_next_begins_so_that_ending_it_by_hand_makes_no_empty_one(out):
    with Recorder([0, 1], out=out) as recorder:
        for epoch in range(3):
            recorder.observe([0, 1], torch.zeros(2, 2))
            assert recorder.n_epochs == epoch
            recorder.end_epoch()
            recorder.end_epoch()
            assert recorder.n_epochs == epoch + 1


def test_rows_that_a_sampler_skips_lie_on_a_line_and_are_counted(out):
    recorder = Recorder([0, 0, 1, 1], out=out)
    for rows, margin in (([0, 1], 1.0), ([0, 2], 4.0), ([0, 1], 5.0)):
        recorder.observe(rows, torch.tensor([[margin, 0.0]] * 2))
        recorder.end_epoch()
    told = recorder.close()
    assert told.messages == (
        "3 of 9 entries (a sample in an epoch) were not observed and were filled in from the same "
        "sample's epochs before and after.",
        "1 of 4 samples were never observed and are left out (3).",
    )
    assert (told.n_rows, told.n_missing) == (3, 3)
    file = np.load(out)
    assert_array_equal(file["sample"], [0, 1, 2])
    assert_array_equal(file["signal_margin"], [[1, 1, -4], [4, 3, -4], [5, 5, -4]])
    assert_array_equal(file["signal_best_other_class"], [[1, 1, 0]] * 3)
    assert_array_equal(file["n_missing"], [1, 1, 1])
    assert_array_equal(file["messages"], told.messages)


def test_a_sampler_with_replacement_is_recorded_with_end_epoch(out):
    labels = torch.tensor([0, 1, 0, 1])
    data = TensorDataset(torch.arange(4), labels)
    draws = torch.Generator().manual_seed(0)
    sampler = WeightedRandomSampler([1.0] * 4, 6, generator=draws)
    recorder = Recorder(labels, out=out, ends_itself=False)
    for _ in range(5):
        for rows, seen in DataLoader(data, batch_size=4, sampler=sampler):
            recorder.observe(rows, functional.one_hot(seen, 2).float(), seen)
        recorder.end_epoch()
    assert recorder.close().n_rows == 4
    assert_array_equal(np.load(out)["signal_margin"], np.ones((5, 4)))


def test_a_sampler_that_skips_and_never_ends_an_epoch_is_told_to(out):
    recorder = Recorder([0, 1, 0], out=out)
    recorder.observe([0, 1], torch.zeros(2, 2))
    with pytest.raises(TrainingError, match=r"4 rows were observed and there are 3.*end_epoch\(\)"):
        recorder.observe([0, 1], torch.zeros(2, 2))


def test_as_many_rows_as_there_are_are_no_epoch_if_some_are_there_twice(out):
    recorder = Recorder([0, 1, 0], out=out)
    recorder.observe([0, 1, 1], torch.zeros(3, 2))
    with pytest.raises(TrainingError, match=r"Of 3 rows 1 were observed more than once.*end_epoch"):
        recorder.observe([0, 1], torch.zeros(2, 2))


def test_what_was_seen_of_an_epoch_that_was_not_ended_is_left_out_and_told(out):
    recorder = Recorder([0, 1, 0], out=out)
    recorder.observe([0, 1, 2], torch.zeros(3, 2))
    recorder.observe([0, 1], torch.zeros(2, 2))
    told = recorder.close()
    assert told.n_epochs == 1
    assert told.messages == (
        "The last 2 rows observed are left out, because the epoch that they belong to was not ended.",
    )


def test_without_a_whole_epoch_nothing_is_written(out):
    recorder = Recorder([0, 1, 0], out=out)
    recorder.observe([0, 1], torch.zeros(2, 2))
    with pytest.raises(TrainingError, match="2 of 3 rows were observed and no epoch ended"):
        recorder.close()
    assert not out.exists()
    assert hidden(out) == []


# ----------------------------------------------------------------------------------------- in training


def batches(n_rows, size, epoch):
    order = torch.randperm(n_rows, generator=torch.Generator().manual_seed(epoch))
    return order.split(size)


def train(recorder=None, *, n_accumulated=1, record=None):
    """Train a small network with dropout and momentum; return its weights and the logits it gave."""
    torch.manual_seed(0)
    inputs = torch.randn(10, 6)
    labels = torch.arange(10) % 3
    network = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 3)
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    seen = []
    for epoch in range(3):
        table = torch.zeros(10, 3)
        for number, rows in enumerate(batches(10, 4, epoch), start=1):
            logits = network(inputs[rows])
            table[rows] = logits.detach()
            if recorder is not None:
                recorder.observe(rows, logits, labels[rows])
            (functional.cross_entropy(logits, labels[rows]) / n_accumulated).backward()
            if number % n_accumulated == 0:
                optimizer.step()
                optimizer.zero_grad()
        seen.append(table)
    return torch.cat([p.detach().flatten() for p in network.parameters()]), seen


@pytest.mark.parametrize("n_accumulated", [1, 2])
def test_a_training_is_the_same_to_the_bit_and_every_forward_of_uneven_batches_counts(
    out, n_accumulated
):
    without, _ = train(n_accumulated=n_accumulated)
    recorder = Recorder(np.arange(10) % 3, out=out)
    with_it, seen = train(recorder, n_accumulated=n_accumulated)
    assert torch.equal(with_it, without)
    recorder.close()
    expected = [plain.margin(x.numpy(), np.arange(10) % 3) for x in seen]
    assert_allclose(np.load(out)["signal_margin"], expected, rtol=1e-5, atol=1e-6)


def test_logits_that_are_not_finite_are_told_with_their_epoch(out):
    recorder = Recorder([0, 1, 0], out=out)
    for bad in (0.0, np.inf, 0.0):
        recorder.observe([0, 1, 2], torch.tensor([[0.0, 0.0], [0.0, bad], [1.0, 0.0]]))
    told = recorder.close()
    assert told.messages[0].startswith("In epoch 2 the logits of 1 of 3 samples were not finite")
    assert_array_equal(np.load(out)["signal_margin"][:, 1], [0.0, 0.0, 0.0])


# ------------------------------------------------------------------------------------ what is refused


MIXED = functional.one_hot(torch.tensor([0, 1]), 3).float() * 0.9 + 0.1 / 3


def test_mixed_labels_are_refused_with_the_reason_and_the_way_out(out):
    with pytest.raises(InputError, match=r"mixup, CutMix, soft labels.*pass the integer labels"):
        Recorder(MIXED, out=out)
    recorder = Recorder([0, 1], out=out)
    with pytest.raises(InputError, match=r"mixup, CutMix, soft labels.*pass the integer labels"):
        recorder.observe([0, 1], torch.zeros(2, 3), MIXED)
    recorder.observe([0, 1], torch.zeros(2, 3), [1, 1])
    with pytest.raises(InputError, match=r"rows 0 \(1 in all\) were observed under other labels"):
        recorder.end_epoch()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"labels": [0, -1]}, "Label -1 of sample 1 is no class"),
        ({"labels": [0, 3], "n_classes": 3}, "Label 3 of sample 1 is none of 3 classes"),
        ({"labels": ["a"]}, "need class_names="),
        ({"labels": ["c"], "class_names": ["a", "b"]}, "'c' is none of the class names"),
        ({"labels": [0.5, 1.0]}, "must be integers, or texts"),
        ({"labels": []}, r"one integer per sample, \(N,\)"),
        ({"labels": [0, 1], "keys": ["a", "a"]}, "The key 'a' is there twice"),
        ({"labels": [0, 1], "keys": ["a"]}, "2 labels need as many keys, got 1"),
        ({"labels": [0], "class_names": ["a", "a"]}, "class name 'a' is there twice"),
        ({"labels": [0], "class_names": ["a"], "n_classes": 2}, "2 classes need as many class"),
        ({"labels": [0], "resume": True, "overwrite": True}, "either gone on with"),
    ],
)
def test_labels_and_names_that_do_not_fit_are_refused_at_once(out, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        Recorder(settings.pop("labels"), out=out, **settings)


@pytest.mark.parametrize(
    ("rows", "logits", "sentence"),
    [
        ([0, 1], torch.zeros(3, 2), r"shape \(2, classes\), got \(3, 2\)"),
        ([0], torch.zeros(1, 2, 4, 4), r"got \(1, 2, 4, 4\)"),
        ([0.0, 1.0], torch.zeros(2, 2), "must be positions"),
        ([[0], [1]], torch.zeros(2, 2), "must be positions"),
        ([0, 2], torch.zeros(2, 2), r"Row 2 is none of 0\.\.1"),
        ([-1, 0], torch.zeros(2, 2), r"Row -1 is none of 0\.\.1"),
        ([0, 1], torch.zeros(2, 1), r"torch\.cat\(\[torch\.zeros_like"),
    ],
)
def test_batches_that_do_not_fit_are_refused_at_once(out, rows, logits, sentence):
    with pytest.raises(InputError, match=sentence):
        Recorder([0, 1], out=out).observe(rows, logits)


def test_outputs_must_fit_the_classes(out):
    with pytest.raises(InputError, match="has 3 outputs, expected one for each of 2"):
        Recorder([0, 1], out=out, n_classes=2).observe([0, 1], torch.zeros(2, 3))
    with pytest.raises(InputError, match="largest label is 4, but the network has 3 outputs"):
        Recorder([0, 4], out=out).observe([0, 1], torch.zeros(2, 3))


def test_an_existing_file_is_replaced_only_if_asked(out, tmp_path):
    out.write_text("mine")
    with pytest.raises(RefusedError, match=r"exists already.*overwrite=True"):
        Recorder([0, 1], out=out)
    with Recorder([0, 1], out=out, overwrite=True) as recorder:
        recorder.observe([0, 1], torch.zeros(2, 2))
    assert np.load(out)["signal_margin"].shape == (1, 2)
    with pytest.raises(RefusedError, match="There is no folder"):
        Recorder([0, 1], out=tmp_path / "no" / "d.npz")
    with pytest.raises(InputError, match=r"is an \.npz file"):
        Recorder([0, 1], out=tmp_path / "d.csv")


# --------------------------------------------------------------------------------- crashes and the end


def whole(out):
    """What a recording of four epochs holds."""
    with Recorder([0, 1, 0], out=out.with_name("whole.npz")) as recorder:
        for epoch in range(4):
            recorder.observe([0, 1, 2], draw(3, 2, epoch))
    return out.with_name("whole.npz").read_bytes()


def fail(out, labels, n_epochs, error):
    """Record some epochs and a part of the next, then fail."""
    with Recorder(labels, out=out) as recorder:
        for epoch in range(n_epochs):
            recorder.observe(range(len(labels)), draw(len(labels), 2, epoch))
        recorder.end_epoch()
        recorder.observe([1], draw(1, 2))
        raise error


def test_a_loop_that_fails_keeps_its_finished_epochs_and_one_that_goes_on_loses_nothing(out):
    with pytest.raises(ValueError, match="out of luck") as failed:
        fail(out, [0, 1, 0], 2, ValueError("out of luck"))
    assert failed.value.__notes__[0].startswith("Finished epochs of this recording lie in")
    assert not out.exists()
    with pytest.raises(RefusedError, match=r"go on with resume=True, or begin anew"):
        Recorder([0, 1, 0], out=out).observe([0, 1, 2], draw(3, 2))
    with pytest.raises(InputError, match="belong to other labels"):
        Recorder([0, 1, 1], out=out, resume=True)
    with Recorder([0, 1, 0], out=out, resume=True) as recorder:
        assert recorder.n_epochs == 2
        for epoch in (2, 3):
            recorder.observe([0, 1, 2], draw(3, 2, epoch))
    assert out.read_bytes() == whole(out)
    assert hidden(out) == []
    with pytest.raises(RefusedError, match="exists already"):
        Recorder([0, 1, 0], out=out, resume=True)


def test_what_is_there_can_be_written_without_going_on(out):
    with pytest.raises(KeyboardInterrupt):
        fail(out, [0, 1], 1, KeyboardInterrupt())
    assert Recorder([0, 1], out=out, resume=True).close().n_epochs == 1
    assert np.load(out)["signal_margin"].shape == (1, 2)


def test_two_recorders_do_not_write_the_same_file(out):
    first = Recorder([0, 1], out=out)
    first.observe([0, 1], torch.zeros(2, 2))
    with pytest.raises(RefusedError, match="Another process is recording"):
        Recorder([0, 1], out=out).observe([0, 1], torch.zeros(2, 2))
    assert first.close().n_epochs == 1


PROGRAM = """
    import sys, torch
    from audit.training import Recorder
    recorder = Recorder([0, 1], out=sys.argv[1])
    for epoch in range(2):
        recorder.observe([0, 1], torch.zeros(2, 2))
    {end}
"""


def run(out, end):
    code = textwrap.dedent(PROGRAM).format(end=end)
    return subprocess.run(
        [sys.executable, "-c", code, out], capture_output=True, text=True, check=False
    )


def test_the_file_is_written_at_the_end_of_a_program_that_ends_well(out):
    assert run(out, "").stderr == ""
    assert np.load(out)["signal_margin"].shape == (2, 2)


def test_a_program_that_fails_says_where_its_finished_epochs_are(out):
    said = run(out, "1 / 0").stderr
    assert "ZeroDivisionError" in said
    assert "labeltrace: Finished epochs of this recording lie in" in said
    assert not out.exists()
    assert Recorder([0, 1], out=out, resume=True).n_epochs == 1


# ------------------------------------------------------------------------------------------- and besides


def test_numbered_samples_tell_a_step_its_rows():
    data = Numbered(TensorDataset(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([0, 1, 0])))
    loader = DataLoader(data, batch_size=2, sampler=[2, 0])
    ((rows, inputs, labels),) = loader
    assert (rows.tolist(), inputs.tolist(), labels.tolist()) == ([2, 0], [7.0, 5.0], [0, 0])
    assert len(data) == 3
    with pytest.raises(InputError, match="has a key 'row' of its own"):
        Numbered([{"row": 3}])[0]


def test_names_are_found_in_the_package_without_torch_being_imported():
    assert audit.training.Recorder is Recorder
    code = "import sys, json, audit.training; print(json.dumps('torch' in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) is False
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = audit.training.Nothing
