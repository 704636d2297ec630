"""Record a training of Lightning: a callback for its ``Trainer``; needs ``labeltrace[lightning]``."""

from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from audit.errors import InputError
from audit.training.recording import Recorder, Recording


class RecordDynamics(Callback):
    """Hands rows and logits of every training step to a recorder; writes the file when training ends.

    Either ``training_step`` returns what is to be recorded beside its loss,
    ``{"loss": loss, "logits": logits, "rows": rows}``, with ``"labels"`` if they are to be compared; or
    the callback is told where to look, and ``training_step`` stays as it is.

    Parameters
    ----------
    recorder
        Made with the labels of the training set.
    network
        Attribute of the ``LightningModule`` whose output in training mode are the logits, with dots for
        parts of parts; an empty text for the module itself.
    rows_of
        Returns the rows, (B,) integer, from a batch; needed with `network`.
    labels_of
        Returns the labels from a batch, if they are to be compared with the recorded ones.

    Raises
    ------
    InputError
        If only one of `network` and `rows_of` is given.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        network: str | None = None,
        rows_of: Callable[[Any], Tensor] | None = None,
        labels_of: Callable[[Any], Tensor] | None = None,
    ) -> None:
        if (network is None) != (rows_of is None):
            raise InputError(
                "network= says where the logits are and rows_of= which rows they belong to: give both, or "
                "neither and let training_step return them."
            )
        self.recorder = recorder
        self.recording: Recording | None = None
        self._network = network
        self._rows_of = rows_of
        self._labels_of = labels_of
        self._seen: list[Any] = []
        self._hook: RemovableHandle | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to look at the network's outputs."""
        self._stop_looking()  # what a training that failed left behind
        if self._network is None:
            return
        try:
            network = pl_module.get_submodule(self._network)
        except AttributeError as error:
            parts = ", ".join(name for name, _ in pl_module.named_children())
            raise InputError(
                f"The module has no part {self._network!r} that network= could mean; it has {parts}."
            ) from error
        self._hook = network.register_forward_hook(self._look)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - whatever a training step returns
        batch: Any,  # noqa: ANN401 - whatever a data loader gives
        batch_idx: int,
    ) -> None:
        """Record a step."""
        if self._rows_of is None:
            if not isinstance(outputs, Mapping) or not {"logits", "rows"} <= set(outputs):
                raise InputError(
                    'training_step must return {"loss": loss, "logits": logits, "rows": rows} to be '
                    "recorded; or tell RecordDynamics where to look, with network= and rows_of=."
                )
            self.recorder.observe(outputs["rows"], outputs["logits"], outputs.get("labels"))
            return
        seen, self._seen = self._seen, []
        if len(seen) != 1 or not isinstance(seen[0], Tensor):
            raise InputError(
                f"The network {self._network!r} was called {len(seen)} times in a training step, expected "
                'once with a tensor of logits: let training_step return {"loss", "logits", "rows"}.'
            )
        labels = None if self._labels_of is None else self._labels_of(batch)
        self.recorder.observe(self._rows_of(batch), seen[0], labels)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch."""
        self.recorder.end_epoch()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file; `recording` says what is in it."""
        self._stop_looking()
        self.recording = self.recorder.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the finished epochs to a recorder that goes on."""
        self._stop_looking()
        self.recorder.__exit__(type(exception), exception, exception.__traceback__)

    def _look(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        if module.training:
            self._seen.append(output.detach() if isinstance(output, Tensor) else output)

    def _stop_looking(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        self._seen = []
