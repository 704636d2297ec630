"""The training loop: rows in random order, one update per batch, one observation before each.

It knows neither signals nor disk. It is a generator: progress is iteration, cancelling is closing
it. Every random draw is derived from the run's seed and the epoch, so a run resumed at an epoch's
start computes, on a CPU, bit for bit what the uninterrupted one would have.

A batch is computed in shards (`shards`): on threads of this process, or by several processes
(`crew`), each of which takes some of them. Everything else every process does for itself, from the
same seeds.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audit.compute import device as devices
from audit.compute import seeding
from audit.errors import InputError, TrainingError
from audit.records.run import Precision, RunConfig
from audit.training import batches, networks, schedules, shards
from audit.training.crew import ALONE, Crew
from audit.training.rows import Rows
from audit.training.shards import Shards

Observe = Callable[[Tensor, Tensor], None]
"""Called once per batch with row numbers (B,) int64 and logits (B, n_outputs) on the device."""

_MOMENTUM = "momentum_buffer"

_PREDICTED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Step:
    """One batch that was trained on.

    Parameters
    ----------
    epoch, batch
        Counted from 0.
    n_epochs, n_batches
        Of the run, and of each epoch.
    loss, accuracy
        Means over the epoch's rows, at its last batch only: training loss in nats, and the fraction
        of rows, in [0, 1], whose largest logit was the assigned label's.
    message
        What happened in this batch that people should know, a whole sentence.
    """

    epoch: int
    batch: int
    n_epochs: int
    n_batches: int
    loss: float | None = None
    accuracy: float | None = None
    message: str | None = None

    @property
    def ends_epoch(self) -> bool:
        """Whether this was the last batch of its epoch."""
        return self.batch + 1 == self.n_batches

    @property
    def fraction(self) -> float:
        """Part of the run that is done, in (0, 1]."""
        return (self.epoch + (self.batch + 1) / self.n_batches) / self.n_epochs


class Training:
    """A network, its optimiser and its inputs, ready to train from any epoch.

    Parameters
    ----------
    config
        Frozen settings. The number of CPU threads is the process's business.
    inputs
        Images (M, S, S, 3) uint8, possibly memory-mapped, or features (M, D) float32.
    rows
        What is trained on which label.
    observe
        Called on every training forward, before the update; ``None`` to record nothing.
    positions
        Position in the dataset of each input, ascending, (M,) int64; ``None`` where that is 0..M-1.
    n_shards
        Parts that a batch is computed in, instead of ``config.shards``: what `n_shards` of a training
        that had to split them further said.
    crew
        The processes that train together.

    Raises
    ------
    InputError
        If inputs and rows do not fit together, the device is not there, or there are more processes
        than shards.
    TrainingError
        If the device's memory is too small.
    """

    def __init__(
        self,
        config: RunConfig,
        inputs: NDArray[np.uint8] | NDArray[np.float32],
        rows: Rows,
        observe: Observe | None,
        *,
        positions: NDArray[np.int64] | None = None,
        n_shards: int | None = None,
        crew: Crew = ALONE,
    ) -> None:
        if len(rows) < 2:
            raise InputError(f"Training needs at least two rows, got {len(rows)}.")
        if (n_shards or config.shards) < crew.size:
            raise InputError(f"{crew.size} processes need at least as many shards.")
        self.config = config
        self._crew = crew
        self.device = torch.device(devices.resolve(crew.device(config.device)))
        self._observe = observe
        self._n_rows = len(rows)
        self._n_outputs = rows.n_outputs
        self._n_inputs, self._positions = len(inputs), positions
        entry = _entries(rows.sample, len(inputs), positions)
        with _memory_in_words(config):
            self.network = networks.build(
                config,
                n_outputs=rows.n_outputs,
                n_features=inputs.shape[1] if inputs.ndim == 2 else None,
            ).to(self.device)
            if inputs.ndim == 4:
                self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.network.train()
            self._shards = self._share(n_shards or config.shards)
            self._inputs = batches.prepare(inputs, entry, config=config, device=self.device)
            label = torch.from_numpy(rows.assigned_label.astype(np.int64))
            self._assigned_label = label.to(self.device)
            self._weight = (
                None if rows.weight is None else torch.from_numpy(rows.weight).to(self.device)
            )
            self._optimizer = self._make_optimizer()

    @property
    def n_shards(self) -> int:
        """Parts that a batch is computed in by now; more than were asked for where memory ran out."""
        return len(self._shards)

    def epochs(self, start_epoch: int = 0) -> Iterator[Step]:
        """Train from the start of an epoch to the end of the run.

        Parameters
        ----------
        start_epoch
            First epoch, counted from 0; after `load_state_tensors` the number of finished ones.

        Yields
        ------
        Step
            After each batch. State may be taken at a step that ends an epoch.

        Raises
        ------
        TrainingError
            If the loss is no longer finite, or memory runs out for the smallest shards.
        """
        try:
            for epoch in range(start_epoch, self.config.epochs):
                yield from self._epoch(epoch)
        finally:
            self._shards.close()

    def predict(self, sample: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the network makes of samples as it is now, without random views; it learns nothing.

        Parameters
        ----------
        sample
            Positions in the dataset, trained on or not, (M,) int64.

        Returns
        -------
        ndarray
            Logits (M, n_outputs) float32, with the batch-norm statistics of training.

        Raises
        ------
        InputError
            If a sample has no input.
        """
        entry = _entries(sample, self._n_inputs, self._positions)
        logits = np.empty((len(sample), self._n_outputs), dtype=np.float32)
        reduced = self.config.precision is Precision.BFLOAT16
        torch.set_num_threads(self.config.threads)  # one batch after the other, on all of them
        self.network.eval()
        try:
            for start in range(0, len(entry), _PREDICTED_AT_ONCE):
                here = slice(start, start + _PREDICTED_AT_ONCE)
                with (
                    torch.inference_mode(),
                    torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=reduced),
                ):
                    found: Tensor = self.network(self._inputs.look(entry[here]))
                logits[here] = found.float().cpu().numpy()
        finally:
            self.network.train()
            torch.set_num_threads(self.threads_each)
        return logits

    def state_tensors(self) -> dict[str, Tensor]:
        """Return weights, batch-norm statistics and momentum; valid between two epochs."""
        state = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state[f"momentum.{name}"] = self._optimizer.state[parameter][_MOMENTUM]
        return state

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state_tensors` of an equal training.

        Raises
        ------
        TrainingError
            If the tensors belong to another network.
        """
        mine = self.state_tensors()
        if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in tensors.items()}:
            raise TrainingError("The checkpoint's network does not fit this run's settings.")
        with torch.no_grad():
            for name, tensor in mine.items():
                tensor.copy_(tensors[name])  # in place, which keeps the memory layout as well

    def _make_optimizer(self) -> torch.optim.SGD:
        optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=self.config.learning_rate,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
            nesterov=self.config.momentum > 0,
            fused=self.device.type in ("cpu", "cuda"),
        )
        # Zeros from the start compute the same as the optimiser's own late start, and leave one
        # shape of state for every checkpoint.
        for parameter in self.network.parameters():
            optimizer.state[parameter][_MOMENTUM] = torch.zeros_like(parameter)
        return optimizer

    def _epoch(self, epoch: int) -> Iterator[Step]:
        config = self.config
        bounds = batch_bounds(self._n_rows, config.batch_size)
        n_batches = len(bounds) - 1
        order = draw_order(self._n_rows, epoch, config)
        order_on_device = torch.from_numpy(order).to(self.device)
        self._inputs.start_epoch(epoch)
        self._reseed_dropout(epoch)
        loss_sum = torch.zeros((), device=self.device)
        n_right = torch.zeros((), device=self.device)
        message: str | None = None
        for batch in range(n_batches):
            self._set_learning_rate(epoch + (batch + 1) / n_batches)
            here = slice(bounds[batch], bounds[batch + 1])
            rows_on_device = order_on_device[here]
            logits, loss, message = self._forward_and_backward(epoch, order[here], rows_on_device)
            # A CPU has nothing to wait for; elsewhere the epoch's end tells.
            if self.device.type == "cpu" and not math.isfinite(loss):
                raise self._not_finite(epoch)
            if self._observe is not None:
                self._observe(rows_on_device, logits)
            self._optimizer.step()
            loss_sum += loss * (here.stop - here.start)
            n_right += (logits.argmax(dim=1) == self._assigned_label[rows_on_device]).sum()
            if batch + 1 < n_batches:
                yield Step(epoch, batch, config.epochs, n_batches, message=message)
        totals = torch.stack([loss_sum, n_right]).tolist()  # the epoch's one wait for the device
        mean_loss, accuracy = (total / self._n_rows for total in totals)
        if not math.isfinite(mean_loss):
            raise self._not_finite(epoch)
        yield Step(epoch, n_batches - 1, config.epochs, n_batches, mean_loss, accuracy, message)

    def _not_finite(self, epoch: int) -> TrainingError:
        config = self.config
        kept = f"the checkpoint after epoch {epoch} is kept" if epoch else "no epoch was finished"
        return TrainingError(
            f"The loss was no longer finite in epoch {epoch + 1} of {config.epochs} ({kept}); start a "
            f"run with a --learning-rate below {config.learning_rate:g}"
            + (" or --precision float32." if config.precision is Precision.BFLOAT16 else ".")
        )

    def _forward_and_backward(
        self, epoch: int, rows: NDArray[np.int64], rows_on_device: Tensor
    ) -> tuple[Tensor, Tensor, str | None]:
        """Leave the gradients of a batch; return its logits (B, n_outputs), mean loss, and what to say.

        Where memory runs out the batch is split into smaller shards, for good: its rows, its gradient
        and the rate stay those of the whole batch.
        """
        message: str | None = None
        while True:
            try:
                return *self._of_shards(rows, rows_on_device), message
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                if self._crew.size > 1 or 2 * shards.LEAST_ROWS * len(self._shards) > len(rows):
                    raise _no_memory(self.config) from error
            # Out of the handler, which would hold on to what the failed attempt had computed.
            self._shards.forget_gradients()
            self._shards.close()
            _empty_cache(self.device)
            self.network.train()
            self._shards = self._share(2 * len(self._shards))
            self._reseed_dropout(epoch)
            message = (
                f"Memory of {self.config.device} ran out: every batch of {self.config.batch_size} is "
                f"computed in {len(self._shards)} parts from here on."
            )

    def _of_shards(self, rows: NDArray[np.int64], rows_on_device: Tensor) -> tuple[Tensor, Tensor]:
        bounds = shards.bounds(len(rows), len(self._shards))
        mine = self._crew.share_of(len(bounds) - 1)

        def compute(shard: int, network: torch.nn.Module) -> tuple[Tensor, Tensor]:
            here = slice(bounds[shard], bounds[shard + 1])
            inputs = self._inputs.batch(rows[here], rows_on_device[here])
            label = self._assigned_label[rows_on_device[here]]
            reduced = self.config.precision is Precision.BFLOAT16
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=reduced):
                logits: Tensor = network(inputs)
            part = (here.stop - here.start) / len(rows)
            loss = self._loss(logits, label, rows_on_device, here) * part
            loss.backward()
            return logits.detach(), loss.detach()

        self._shards.forget_gradients()
        done = self._shards.each(compute, mine)
        self._shards.add_gradients(mine)
        if self._crew.size == 1:
            return torch.cat([logits for logits, _ in done]), sum_of([loss for _, loss in done])
        logits = torch.zeros((len(rows), self._n_outputs), device=self.device)
        if done:
            logits[bounds[mine[0]] : bounds[mine[-1] + 1]] = torch.cat([own for own, _ in done])
        loss = sum_of([loss for _, loss in done] or [torch.zeros((), device=self.device)])
        self._crew.add_up([*self._shards.gradients(), logits, loss])
        return logits, loss

    def _loss(self, logits: Tensor, label: Tensor, rows_on_device: Tensor, here: slice) -> Tensor:
        """Return the mean loss of a shard; with weights its part of the batch's weighted mean."""
        smoothing = self.config.label_smoothing
        if self._weight is None:
            return functional.cross_entropy(logits, label, label_smoothing=smoothing)
        weight = self._weight[rows_on_device]
        # A batch in which nothing weighs anything teaches nothing.
        weight = weight / weight.mean().clamp_min(torch.finfo(weight.dtype).tiny)
        losses = functional.cross_entropy(
            logits, label, label_smoothing=smoothing, reduction="none"
        )
        return (losses * weight[here]).mean()

    def _share(self, n_shards: int) -> Shards:
        """Return replicas for so many shards; on a CPU side by side, as far as there are threads."""
        threads = max(1, self.config.threads // self._crew.size)
        own = max(1, -(-n_shards // self._crew.size))
        at_once = min(threads, own) if self.device.type == "cpu" else 1
        self.threads_each = max(1, threads // at_once)
        return Shards(self.network, n_shards, n_threads=at_once, threads_each=self.threads_each)

    def _set_learning_rate(self, moment: float) -> None:
        # The rate at the end of the batch: a warm-up does not begin with a step of zero.
        rate = schedules.learning_rate(self.config, moment)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _reseed_dropout(self, epoch: int) -> None:
        config = self.config
        for shard, replica in enumerate(self._shards.replicas):
            of_shard = () if shard == 0 else (shard,)
            for position, module in enumerate(replica.modules()):
                if isinstance(module, networks.SeededDropout):
                    purpose = ("dropout", config.probe_part, position, epoch, *of_shard)
                    module.reseed(seeding.generator(self.device, config.seed, *purpose))


def sum_of(values: Sequence[Tensor]) -> Tensor:
    """Return the sum of scalars on a device, not waiting for it."""
    return torch.stack(list(values)).sum() if len(values) > 1 else values[0]


def batch_bounds(n_rows: int, batch_size: int) -> NDArray[np.int64]:
    """Return where the batches of an epoch begin and end, sizes equal to within one row.

    An even spread leaves no small last batch: batch-norm cannot learn from a single row, and learns
    badly from a few. No batch has fewer than two rows, even for a batch size of one.

    Parameters
    ----------
    n_rows
        Number of rows, at least 2.
    batch_size
        Most rows in a batch.

    Returns
    -------
    ndarray
        Ascending from 0 to `n_rows`, one more than there are batches, int64.

    Examples
    --------
    >>> batch_bounds(9, 4).tolist(), batch_bounds(5, 1).tolist()
    ([0, 3, 6, 9], [0, 2, 5])
    """
    n_batches = max(1, min(math.ceil(n_rows / batch_size), n_rows // 2))
    return np.arange(n_batches + 1, dtype=np.int64) * n_rows // n_batches


def draw_order(n_rows: int, epoch: int, config: RunConfig) -> NDArray[np.int64]:
    """Return the order of the rows in an epoch, (R,) int64; it depends on seed and epoch alone."""
    draw = seeding.generator("cpu", config.seed, "order", config.probe_part, epoch)
    return torch.randperm(n_rows, generator=draw).numpy()


def _entries(
    sample: NDArray[np.int64], n_inputs: int, positions: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the position in the inputs of each row, (R,) int64."""
    if positions is None:
        positions = np.arange(n_inputs, dtype=np.int64)
    if len(positions) != n_inputs:
        raise InputError(f"{n_inputs} inputs need as many positions, got {len(positions)}.")
    entry = np.searchsorted(positions, sample)
    there = entry < n_inputs
    there[there] = positions[entry[there]] == sample[there]
    if not there.all():
        raise InputError(
            f"{int((~there).sum())} rows name samples without inputs, "
            f"the first is sample {int(sample[~there][0])}."
        )
    return entry.astype(np.int64)


@contextmanager
def _memory_in_words(config: RunConfig) -> Iterator[None]:
    """Turn an allocation that failed into a sentence that says what to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise _no_memory(config) from error


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
    )


def _no_memory(config: RunConfig) -> TrainingError:
    return TrainingError(
        f"Memory of {config.device} ran out at batches of {config.batch_size} and images of "
        f"{config.image_size} pixels; use a smaller --image-size, another --architecture or "
        f"another --device."
    )


def _empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
