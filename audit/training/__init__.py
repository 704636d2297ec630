"""Training: from pixels or features to the training dynamics of every row.

``rows`` says what is trained on which label, ``networks`` what learns, ``backbones`` and
``features`` what a frozen network sees, ``batches`` turns rows into inputs on the device,
``schedules`` sets the learning rate, ``signals`` turns logits into one value per row, ``recorder``
keeps them (``probabilities`` their sums, ``merging`` those of several processes), ``loop`` trains.

For other people's loops there is `Recorder`, two lines in any training::

    recorder = Recorder(labels, out="dynamics.npz")
    recorder.observe(rows, logits)  # in the training step

(``recording``; ``recorded_labels``, ``gap_recorder``, ``recording_contents`` and ``recording_draft`` are
its parts), `Numbered`, which tells a step its rows, and callbacks in ``lightning`` and ``hugging_face``.

Both are looked up at first use, so that importing this package does not import torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.training.numbered import Numbered
    from audit.training.recording import Recorder, Recording

__all__ = ["Numbered", "Recorder", "Recording"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds
    """Import what other people's loops need when somebody first asks for it."""
    if name in ("Recorder", "Recording"):
        from audit.training import recording  # noqa: PLC0415 - keeps torch out of the package

        return getattr(recording, name)
    if name == "Numbered":
        from audit.training.numbered import Numbered  # noqa: PLC0415

        return Numbered
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
