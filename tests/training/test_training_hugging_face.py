"""The callback in real trainings of Hugging Face's Trainer."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from audit.compute import vision
from audit.errors import InputError
from audit.training import Numbered, Recorder

vision.load()  # Transformers imports torchvision, which may not fit the torch that tests run with
import transformers  # noqa: E402
from transformers.modeling_outputs import SequenceClassifierOutput  # noqa: E402

from audit.training.hugging_face import RecordDynamics  # noqa: E402

N_ROWS = 10
LABELS = np.arange(N_ROWS) % 3
INPUTS = torch.randn(N_ROWS, 6, generator=torch.Generator().manual_seed(5))


class Samples:
    """Samples as mappings; remembers in which order they were asked for."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return N_ROWS

    def __getitem__(self, row):
        self.asked.append(row)
        return {"pixels": INPUTS[row], "label": int(LABELS[row])}


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = torch.nn.Sequential(
                torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
            )

    def forward(self, pixels, labels=None):
        logits = self.network(pixels)
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def trainer(folder, callback, samples, **settings):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "out"), num_train_epochs=2, per_device_train_batch_size=4,
        learning_rate=0.1, lr_scheduler_type="constant", optim="sgd", max_grad_norm=0.0,
        save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True,
        **{"remove_unused_columns": False, "eval_strategy": "epoch", **settings},
    )  # fmt: skip
    return transformers.Trainer(
        model=Classifier(), args=arguments, train_dataset=samples, callbacks=[callback],
        eval_dataset=Numbered(Samples()),
    )  # fmt: skip


def by_hand(out, order, n_accumulated):
    """The same loop without Trainer, in the order in which it asked for the samples."""
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = Recorder(LABELS, out=out)
    for epoch in torch.tensor(order).split(N_ROWS):
        batches = epoch.split(4)
        for begin in range(0, len(batches), n_accumulated):
            some = batches[begin : begin + n_accumulated]
            for rows in some:
                outputs = model(INPUTS[rows], torch.from_numpy(LABELS)[rows])
                recorder.observe(rows, outputs.logits)
                (outputs.loss / len(some)).backward()
            optimizer.step()
            optimizer.zero_grad()
    recorder.close()
    return np.load(out)["signal_margin"]


@pytest.mark.parametrize("n_accumulated", [1, 2])
def test_what_is_recorded_is_what_a_loop_by_hand_records(tmp_path, n_accumulated):
    samples = Samples()
    callback = RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"))
    settings = {"gradient_accumulation_steps": n_accumulated}
    trainer(tmp_path, callback, Numbered(samples), **settings).train()
    assert callback.recording.n_epochs == 2
    assert callback.recording.messages == ()
    assert sorted(samples.asked) == sorted([*range(N_ROWS)] * 2)
    found = np.load(tmp_path / "d.npz")["signal_margin"]
    expected = by_hand(tmp_path / "hand.npz", samples.asked, n_accumulated)
    assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.1, "something was learnt"


def test_columns_must_not_be_removed(tmp_path):
    callback = RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"))
    with pytest.raises(InputError, match="set remove_unused_columns=False in TrainingArguments"):
        trainer(tmp_path, callback, Numbered(Samples()), remove_unused_columns=True)


def test_samples_without_their_row_are_refused(tmp_path):
    callback = RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"))
    training = trainer(tmp_path, callback, Samples())
    with pytest.raises(InputError, match=r"no column 'row' .*audit\.training\.Numbered"):
        training.train()


def test_labels_that_were_mixed_are_refused(tmp_path):
    def mix(samples):
        batch = transformers.default_data_collator(samples)
        return batch | {"labels": functional.one_hot(batch["labels"], 3).float() * 0.9 + 0.1 / 3}

    callback = RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"))
    training = trainer(tmp_path, callback, Numbered(Samples()), eval_strategy="no")
    training.data_collator = mix
    with pytest.raises(InputError, match="mixup, CutMix, soft labels"):
        training.train()
