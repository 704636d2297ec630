"""Record a training of Hugging Face's ``Trainer``: a callback; needs ``labeltrace[hugging-face]``."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from audit.errors import InputError
from audit.training.numbered import ROW
from audit.training.recording import Recorder, Recording


class RecordDynamics(TrainerCallback):
    """Hands rows and logits of every training step to a recorder; writes the file when training ends.

    Samples carry their row in a column ``row`` (`Numbered`, or ``add_column`` of ``datasets``), which is
    taken out before the model sees it. ``TrainingArguments`` need ``remove_unused_columns=False``.

    Parameters
    ----------
    recorder
        Made with the labels of the training set.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.recording: Recording | None = None
        self._inputs: Mapping[str, Any] = {}
        self._hooks: list[RemovableHandle] = []

    def on_init_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - as Trainer calls it
    ) -> None:
        """Refuse settings under which rows would be lost.

        Raises
        ------
        InputError
            If the column ``row`` would be removed, or one process uses several accelerators.
        """
        _check(args)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - as Trainer calls it
    ) -> None:
        """Begin to look at the model's inputs and outputs."""
        _check(args)
        self._stop_looking()  # what a training that failed left behind
        model: nn.Module = kwargs["model"]
        self._hooks = [
            model.register_forward_pre_hook(self._take_rows, with_kwargs=True),
            model.register_forward_hook(self._look),
        ]

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - as Trainer calls it
    ) -> None:
        """End the epoch."""
        self.recorder.end_epoch()

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - as Trainer calls it
    ) -> None:
        """Write the file; `recording` says what is in it."""
        self._stop_looking()
        self.recording = self.recorder.close()

    def _stop_looking(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _take_rows(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._inputs = kwargs
        return args, {name: value for name, value in kwargs.items() if name != ROW}

    def _look(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        inputs, self._inputs = self._inputs, {}
        if not model.training:
            return
        if ROW not in inputs:
            raise InputError(
                f"The batch has no column {ROW!r} that says which samples it holds: wrap the training set "
                "in audit.training.Numbered, or add the column to it."
            )
        logits = getattr(output, "logits", None)
        if not isinstance(logits, Tensor):
            raise InputError(
                f"The model returned {type(output).__name__} without logits, expected an output of "
                "Transformers with a tensor of logits."
            )
        self.recorder.observe(inputs[ROW], logits.detach(), inputs.get("labels"))


def _check(args: TrainingArguments) -> None:
    if args.remove_unused_columns:
        raise InputError(
            f"Trainer would remove the column {ROW!r}, which says which samples a batch holds: set "
            "remove_unused_columns=False in TrainingArguments."
        )
    if args.n_gpu > 1:
        raise InputError(
            f"One process uses {args.n_gpu} accelerators, in threads that cannot be told apart: start the "
            "training with torchrun, one process each, or let it see one of them."
        )
