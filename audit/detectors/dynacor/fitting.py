"""Train the dynamics encoder on one run, measure it after every epoch, keep the best.

Which epoch and which alpha are good is decided by the copies alone (Kim et al. 2024, section 4.4.3),
never by true labels.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.compute import device, lanes, seeding
from audit.detectors.dynacor import losses
from audit.detectors.dynacor.encoder import Encoder
from audit.detectors.dynacor.signs import Population, sections
from audit.errors import StoppedError
from audit.records.progress import Report, silent

_VALUES_AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the encoder is trained.

    Parameters
    ----------
    alphas
        Weights of the alignment loss, each of which is tried; the authors use 0.05 or 0.5 and do not
        say when.
    epochs, batch
        Passes over the rows, and rows per step; of few rows an eighth.
    learning_rate, weight_decay
        Of Adam.
    seed
        Of the first weights and of the order of rows.
    """

    alphas: tuple[float, ...] = (0.05, 0.5)
    epochs: int = 15
    batch: int = 1024
    learning_rate: float = 1e-5
    weight_decay: float = 1e-4
    seed: int = 0

    def with_alpha(self, alpha: float) -> Self:
        """Return the same settings with one weight of the alignment loss."""
        return replace(self, alphas=(alpha,))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """The best epoch of one training of the encoder.

    Parameters
    ----------
    alpha
        Weight of the alignment loss.
    curve
        Validation metric before training and after each epoch, in [0, 0.25]; high = good.
    epoch
        First epoch with the largest one; 0 = untrained.
    encoder
        As it was then.
    q_noisy
        Of every distinct sequence, (U,) float64 in [0.25, 0.75], high = suspect.
    """

    alpha: float
    curve: tuple[float, ...]
    epoch: int
    encoder: Encoder
    q_noisy: NDArray[np.float64]

    def answer(self, packed: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probability of the noisy cluster of any sequences, (M,) float64."""
        with device.one_thread():
            return assignment(self.encoder, sections(packed, self.encoder.n_epochs))


def fit(population: Population, settings: Settings, report: Report) -> tuple[Fit, ...]:
    """Return a fit for every alpha.

    Parameters
    ----------
    population
        The run's sequences; with at least one copy.
    settings
        How to train.
    report
        Told a few times a second.

    Raises
    ------
    StoppedError
        If `report` was told to stop.
    """
    n_passes = settings.epochs * len(settings.alphas)
    done = [0.0] * len(settings.alphas)
    is_given_up = threading.Event()

    def one(number: int) -> Fit:
        def told(fraction: float) -> None:
            if is_given_up.is_set():
                raise StoppedError("The fit was given up.")
            done[number] = fraction

        return _fit(population, codes, settings.alphas[number], settings, told)

    def look() -> None:
        fraction = sum(done) / len(done)
        number = min(int(fraction * n_passes) + 1, n_passes)
        try:
            report(fraction, f"DynaCor's encoder, epoch {number} of {n_passes}")
        except BaseException:
            is_given_up.set()
            raise

    with device.one_thread():
        codes = sections(population.packed, population.n_epochs)
        return tuple(lanes.each(one, range(len(settings.alphas)), look=look))


@lru_cache(maxsize=2)
def remembered(population: Population, settings: Settings) -> Fit:
    """Return the best fit, again without training it anew where it was just asked for."""
    return best(fit(population, settings, silent))


def best(fits: Sequence[Fit]) -> Fit:
    """Return the fit with the largest validation metric, of equal ones the first."""
    return max(fits, key=lambda found: found.curve[found.epoch])


def validation(
    q_noisy: NDArray[np.float64], n_originals: NDArray[np.int64], n_copies: NDArray[np.int64]
) -> float:
    """Return how far apart copies that look wrong and originals that look right lie; high = good.

    Kim et al. 2024, section 4.4.3: (mean q over copies predicted noisy − mean q over originals predicted
    clean)². 0 where one of the two groups is empty.

    Parameters
    ----------
    q_noisy
        Of every distinct sequence, (U,) float64.
    n_originals, n_copies
        Rows with that sequence, (U,) int64.

    Examples
    --------
    >>> validation(np.array([0.75, 0.25]), np.array([0, 3]), np.array([2, 1]))
    0.25
    """
    is_noisy = q_noisy > 0.5
    wrong, right = n_copies * is_noisy, n_originals * ~is_noisy
    if not wrong.any() or not right.any():
        return 0.0
    gap = (wrong @ q_noisy) / wrong.sum() - (right @ q_noisy) / right.sum()
    return float(gap**2)


def assignment(encoder: Encoder, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of the noisy cluster of sequences given as (U, S) codes, (U,) float64."""
    noisy, clean = encoder.noisy.detach().double(), encoder.clean.detach().double()
    found = [
        losses.noisy_assignment(z.double(), noisy, clean).numpy()
        for z in encoder.representations(codes)
    ]
    return np.concatenate(found) if found else np.zeros(0)


def centre(encoder: Encoder, population: Population, codes: NDArray[np.int64]) -> None:
    """Set the centroids to the mean representation of the copies and of the originals."""
    totals = torch.zeros(2, len(encoder.offset), dtype=torch.float64)
    counts = np.stack([population.n_copies, population.n_originals]).astype(np.float64)
    begin = 0
    for z in encoder.representations(codes):
        totals += torch.from_numpy(counts[:, begin : begin + len(z)]) @ z.double()
        begin += len(z)
    means = totals / torch.from_numpy(counts.sum(axis=1, keepdims=True))
    encoder.noisy, encoder.clean = means.to(encoder.offset.dtype).unbind()


def adam(
    parameters: Sequence[Tensor], *, learning_rate: float, weight_decay: float
) -> Callable[[Sequence[Tensor]], None]:
    """Return a function that takes one step of Adam, given the gradients, which it uses up.

    Kingma and Ba 2015, algorithm 1, with its usual moments .9 and .999 and 1e-8; the decay is added to the
    gradient. What `torch.optim.Adam` does, without the compiler that it imports, which takes longer than
    the fit of a small run. Every value is moved by itself, in pieces that stay close to the processor.
    """
    values = [piece for parameter in parameters for piece in _pieces(parameter)]
    first = [torch.zeros_like(value) for value in values]
    second = [torch.zeros_like(value) for value in values]
    n_steps = 0

    @torch.no_grad()
    def step(gradients: Sequence[Tensor]) -> None:
        nonlocal n_steps
        n_steps += 1
        rate = learning_rate / (1 - 0.9**n_steps)
        scale = (1 - 0.999**n_steps) ** -0.5
        pieces = (piece for gradient in gradients for piece in _pieces(gradient))
        for value, gradient, m, v in zip(values, pieces, first, second, strict=True):
            gradient.add_(value, alpha=weight_decay)
            m.lerp_(gradient, 0.1)
            v.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            value.addcdiv_(m, v.sqrt().mul_(scale).add_(1e-8), value=-rate)

    return step


def _pieces(tensor: Tensor) -> tuple[Tensor, ...]:
    return tensor.detach().view(-1).split(_VALUES_AT_ONCE)


def _fit(
    population: Population,
    codes: NDArray[np.int64],
    alpha: float,
    settings: Settings,
    told: Callable[[float], None],
) -> Fit:
    encoder = Encoder.draw(population.n_epochs, settings.seed)
    centre(encoder, population, codes)
    trained = list(encoder.parameters())
    for parameter in trained:
        parameter.requires_grad = True
    step = adam(trained, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
    q_noisy = assignment(encoder, codes)
    curve = [validation(q_noisy, population.n_originals, population.n_copies)]
    kept, kept_epoch, kept_q = encoder.copy(), 0, q_noisy
    for epoch in range(1, settings.epochs + 1):
        steps = list(batches(population, epoch, settings))
        for number, (chosen, n_originals, n_copies) in enumerate(steps):
            told((epoch - 1 + number / len(steps)) / settings.epochs)
            z = encoder.encode(encoder.batch(codes[chosen]))
            q = losses.noisy_assignment(z, encoder.noisy, encoder.clean)
            loss = losses.cluster_loss(q, n_originals + n_copies)
            loss = loss + alpha * losses.alignment_loss(z, q, n_originals, n_copies)
            step(torch.autograd.grad(loss, trained))
        q_noisy = assignment(encoder, codes)
        curve.append(validation(q_noisy, population.n_originals, population.n_copies))
        if curve[-1] > curve[kept_epoch]:
            kept, kept_epoch, kept_q = encoder.copy(), epoch, q_noisy
    return Fit(alpha=alpha, curve=tuple(curve), epoch=kept_epoch, encoder=kept, q_noisy=kept_q)


def batches(
    population: Population, epoch: int, settings: Settings
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Yield which sequences each batch holds, and how many originals and copies have each.

    All rows are shuffled, in an order that their sequences alone decide; the last partial batch is left
    out, as in the authors' code.
    """
    place = np.arange(len(population))
    rows = np.concatenate([place.repeat(population.n_originals), place.repeat(population.n_copies)])
    n_originals = int(population.n_originals.sum())
    rng = np.random.default_rng(seeding.derive(settings.seed, "dynacor order", epoch))
    order = rng.permutation(len(rows))
    size = max(2, min(settings.batch, len(rows) // 8))
    for begin in range(0, len(rows) - size + 1, size):
        drawn = order[begin : begin + size]
        chosen, among = np.unique(rows[drawn], return_inverse=True)
        is_copy = drawn >= n_originals
        counts = [
            np.bincount(among[role], minlength=len(chosen)).astype(np.float32)
            for role in (~is_copy, is_copy)
        ]
        yield chosen, torch.from_numpy(counts[0]), torch.from_numpy(counts[1])
