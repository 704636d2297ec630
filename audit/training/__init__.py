"""Training: from pixels or features to the training dynamics of every row.

``rows`` says what is trained on which label, ``networks`` what learns, ``backbones`` and
``features`` what a frozen network sees, ``batches`` turns rows into inputs on the device,
``schedules`` sets the learning rate, ``signals`` turns logits into one value per row, ``recorder``
keeps them (``probabilities`` their sums), ``loop`` trains.

The recorder is also the two-line way to record somebody else's training::

    recorder = Recorder(rows)
    recorder.observe(row_numbers, logits)  # in the training step, before the update

``Recorder`` is looked up at first use, so that importing this package does not import torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.training.recorder import Recorder

__all__ = ["Recorder"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds
    """Import `Recorder` when somebody first asks for it."""
    if name == "Recorder":
        from audit.training.recorder import Recorder  # noqa: PLC0415 - keeps torch out of the package

        return Recorder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
