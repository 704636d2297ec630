"""The callback in real trainings of Lightning."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from audit.compute import vision
from audit.errors import InputError
from audit.training import Numbered, Recorder

vision.load()  # Lightning imports torchvision, which may not fit the torch that tests run with
import lightning.pytorch as pl  # noqa: E402

from audit.training.lightning import RecordDynamics  # noqa: E402

N_ROWS = 10
LABELS = torch.arange(N_ROWS) % 3


def data():
    inputs = torch.randn(N_ROWS, 6, generator=torch.Generator().manual_seed(5))
    return Numbered(TensorDataset(inputs, LABELS))


def loader(**settings):
    order = torch.Generator().manual_seed(7)
    return DataLoader(data(), batch_size=4, shuffle=True, generator=order, **settings)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3)
        )


class Classifier(pl.LightningModule):
    def __init__(self, n_calls=1):
        super().__init__()
        self.network = network()
        self.n_calls = n_calls

    def training_step(self, batch):
        _, inputs, labels = batch
        for _ in range(self.n_calls):
            logits = self.network(inputs)
        return functional.cross_entropy(logits, labels)

    def validation_step(self, batch):
        self.network(batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Telling(Classifier):
    def training_step(self, batch):
        rows, inputs, labels = batch
        logits = self.network(inputs)
        loss = functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits, "rows": rows, "labels": labels}


def fit(module, callback, folder, *, n_epochs=2, **settings):
    trainer = pl.Trainer(
        max_epochs=n_epochs, accelerator="cpu", devices=1, logger=False, callbacks=[callback],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, **settings,
    )  # fmt: skip
    trainer.fit(module, loader(), DataLoader(data(), batch_size=4))


def by_hand(out, n_accumulated=1):
    """The same loop without Lightning."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = loader()
    recorder = Recorder(LABELS, out=out)
    for _ in range(2):
        for number, (rows, inputs, labels) in enumerate(batches, start=1):
            logits = net(inputs)
            recorder.observe(rows, logits)
            (functional.cross_entropy(logits, labels) / n_accumulated).backward()
            if number % n_accumulated == 0 or number == len(batches):
                optimizer.step()
                optimizer.zero_grad()
    recorder.close()
    return np.load(out)["signal_margin"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("n_accumulated", [1, 2])
@pytest.mark.parametrize("tells", [True, False])
def test_what_is_recorded_is_what_a_loop_by_hand_records(tmp_path, tells, n_accumulated):
    recorder = Recorder(LABELS, out=tmp_path / "d.npz")
    where = {
        "network": "network",
        "rows_of": lambda batch: batch[0],
        "labels_of": lambda batch: batch[2],
    }
    callback = RecordDynamics(recorder, **({} if tells else where))
    module = Telling() if tells else Classifier()
    fit(module, callback, tmp_path, accumulate_grad_batches=n_accumulated)
    assert callback.recording.n_epochs == 2
    assert callback.recording.messages == ()
    found = np.load(tmp_path / "d.npz")["signal_margin"]
    assert_array_equal(found, by_hand(tmp_path / "hand.npz", n_accumulated))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("module", "where", "sentence"),
    [
        (Classifier, {}, "training_step must return"),
        (lambda: Classifier(2), {"network": "network"}, "was called 2 times in a training step"),
        (
            Classifier,
            {"network": "nets"},
            "has no part 'nets' that network= could mean; it has network",
        ),
    ],
)
def test_a_module_that_cannot_be_recorded_is_told_what_to_do(tmp_path, module, where, sentence):
    rows_of = {"rows_of": lambda batch: batch[0]} if where else {}
    callback = RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"), **where, **rows_of)
    with pytest.raises(InputError, match=sentence):
        fit(module(), callback, tmp_path)
    assert not (tmp_path / "d.npz").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_training_that_fails_keeps_its_finished_epochs(tmp_path):
    class Failing(Telling):
        def on_train_epoch_start(self):
            if self.current_epoch == 1:
                raise ValueError("out of luck")

    callback = RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"))
    with pytest.raises(ValueError, match="out of luck") as failed:
        fit(Failing(), callback, tmp_path)
    assert failed.value.__notes__[0].startswith("Finished epochs of this recording lie in")
    assert Recorder(LABELS, out=tmp_path / "d.npz", resume=True).close().n_epochs == 1


def test_where_logits_are_without_rows_is_half_of_what_is_needed(tmp_path):
    with pytest.raises(InputError, match="give both, or neither"):
        RecordDynamics(Recorder(LABELS, out=tmp_path / "d.npz"), network="network")
