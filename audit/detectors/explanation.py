"""Explain one answer of any detector: occlude epochs with what clean-looking samples did, ask again.

The explanation is of one run: the one that a detector's `Responder` reads. It is given on the log-odds
of the suspicion, because a sigmoid that is close to 0 or 1 hides what moves its argument.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from audit.detectors.protocol import Responder
from audit.errors import UnreliableError
from audit.numerics import importance
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.explanation import Explanation, Faithfulness
from audit.records.progress import Report
from audit.records.scores import Scores

N_MASKS = 2000
"""Masked sequences that the line is fitted to."""

N_DRAWS = 200
"""Random draws that the named epochs are compared with."""

NAMED_FRACTION = 0.1
"""Part of the blocks that is named as important in the comparison; at least one."""

MOST_ROWS = 2000
"""Rows whose medians stand in; of more a fixed draw."""

LEAST_OF_CLASS = 20
"""Clean-looking rows of the sample's own class from which on they stand in alone."""

_STEP = 250

Answer = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def clean_looking(run: TrainingDynamics, scores: Scores) -> NDArray[np.int64]:
    """Return the rows of a run that a detector has nothing against.

    Those that it does not flag; without a cut, or where it flags more than half, the less suspicious
    half of what it scored.

    Parameters
    ----------
    run
        One of the runs that were scored.
    scores
        What the detector said.

    Returns
    -------
    ndarray
        Rows under their given label, ascending, (M,) int64.
    """
    rows = run.rows(Role.GIVEN)
    suspicion = scores.suspicion[run.sample[rows]]
    rows, suspicion = rows[~np.isnan(suspicion)], suspicion[~np.isnan(suspicion)]
    if not len(rows):
        return rows
    if scores.flagged is not None:
        unflagged = rows[~scores.flagged[run.sample[rows]]]
        if 2 * len(unflagged) >= len(rows):
            return unflagged
    return rows[suspicion <= np.median(suspicion)]


def explain(
    responder: Responder, scores: Scores, *, scores_id: str, report: Report, seed: int = 0
) -> Explanation:
    """Return what each block of epochs adds to a detector's suspicion of one sample.

    Parameters
    ----------
    responder
        Of the detector, for the sample.
    scores
        What the detector said of all samples; it decides which rows look clean.
    scores_id
        Id of the scores.
    report
        Told between batches of masked sequences; may stop the work.
    seed
        Of masks and random draws.

    Returns
    -------
    Explanation
        Deterministic for a seed.

    Raises
    ------
    UnreliableError
        If no row looks clean, or an answer is not finite.
    StoppedError
        If `report` was told to stop.
    """
    run, row = responder.run, responder.row
    own = _sequence(run, np.array([row]), responder.signals)[0]
    rows, label = _rows_that_stand_in(run, row, clean_looking(run, scores))
    stand_in = _medians(run, rows, responder.signals)
    edges = importance.block_edges(len(own))
    n_blocks = len(edges) - 1
    rng = np.random.default_rng(seed)
    masks = importance.draw_masks(n_blocks, N_MASKS, rng)
    n_named = max(1, round(NAMED_FRACTION * n_blocks))
    draws = importance.draw_sets(n_blocks, n_named, N_DRAWS, rng)
    nothing = np.zeros((1, n_blocks), dtype=np.bool_)

    def ask(kept: NDArray[np.bool_], begin: float, end: float) -> NDArray[np.float64]:
        """Return the log-odds of every mask; progress goes from `begin` to `end`."""
        told: list[NDArray[np.float64]] = []
        for at in range(0, len(kept), _STEP):
            report(begin + (end - begin) * at / len(kept), "occluding epochs")
            part = importance.occluded(own, stand_in, kept[at : at + _STEP], edges)
            told.append(_log_odds(responder, part))
        return np.concatenate(told)

    answers = ask(masks, 0.0, 0.9)
    fit = importance.weighted_ridge(masks, answers, importance.kernel_weights(masks))
    faithfulness = None
    if n_named < n_blocks and not math.isnan(fit.r_squared):
        named = importance.strongest(fit.coefficients, n_named)
        kept = np.ones((1, n_blocks), dtype=np.bool_)
        kept[0, named] = False
        left = ask(np.concatenate([kept, draws]), 0.9, 1.0)
        moved = np.abs(left - answers[0])
        faithfulness = Faithfulness(
            blocks=tuple(named.tolist()),
            moved=float(moved[0]),
            moved_at_random=float(moved[1:].mean()),
            # What moves it equally far but for rounding does not move it less.
            share_less=float((moved[1:] < moved[0] * (1 - 1e-9)).mean()),
            n_draws=N_DRAWS,
            suspicion=float(_sigmoid(left[:1])[0]),
            suspicion_at_random=float(_sigmoid(left[1:]).mean()),
        )
    bare = float(_sigmoid(ask(nothing, 1.0, 1.0))[0])
    report(1.0, "explained")
    return Explanation(
        method=scores.spec.name,
        scores_id=scores_id,
        run_id=run.run_id,
        sample=int(run.sample[row]),
        signals=responder.signals,
        n_epochs=len(own),
        blocks=tuple((first + 1, last) for first, last in itertools.pairwise(edges.tolist())),
        importance=tuple(fit.coefficients.tolist()),
        intercept=fit.intercept,
        r_squared=None if math.isnan(fit.r_squared) else fit.r_squared,
        suspicion=float(responder.answer(own[None])[0]),
        suspicion_occluded=bare,
        baseline_rows=len(rows),
        baseline_label=label,
        n_masks=N_MASKS,
        seed=seed,
        faithfulness=faithfulness,
    )


def _log_odds(responder: Responder, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
    if responder.log_odds is not None:
        result = responder.log_odds(sequences)
    else:
        result = importance.log_odds(responder.answer(sequences))
    if not np.isfinite(result).all():
        raise UnreliableError(
            f"Run {responder.run.run_id} leads to an answer that is no number when epochs of sample "
            f"{responder.run.sample[responder.row]} are occluded, so it cannot be explained."
        )
    return result


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    decay = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, decay) / (1.0 + decay)


def _rows_that_stand_in(
    run: TrainingDynamics, row: int, clean: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int | None]:
    """Return the rows whose medians replace what is occluded, and their label if they share one."""
    others = clean[clean != row]
    label = int(run.assigned_label[row])
    of_class = others[run.assigned_label[others] == label]
    is_enough = len(of_class) >= LEAST_OF_CLASS
    chosen = of_class if is_enough else others
    if not len(chosen):
        raise UnreliableError(
            f"No other sample of run {run.run_id} looks clean, so nothing can stand in for occluded "
            "epochs; audit more samples."
        )
    if len(chosen) > MOST_ROWS:
        drawn = np.random.default_rng(0).choice(len(chosen), MOST_ROWS, replace=False)
        chosen = chosen[np.sort(drawn)]
    return chosen, label if is_enough else None


def _sequence(
    run: TrainingDynamics, rows: NDArray[np.int64], names: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return recorded values of rows, (M, T, C)."""
    signals = [cast("NDArray[np.floating[Any]]", run.signals[name]) for name in names]
    return np.stack([values[:, rows].T.astype(np.float64) for values in signals], axis=2)


def _medians(
    run: TrainingDynamics, rows: NDArray[np.int64], names: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return the median over rows of each signal and epoch, (T, C); one epoch is read at a time."""
    result = np.empty((run.n_epochs, len(names)), dtype=np.float64)
    for place, name in enumerate(names):
        values = cast("NDArray[np.floating[Any]]", run.signals[name])
        for epoch in range(run.n_epochs):
            result[epoch, place] = np.median(values[epoch][rows].astype(np.float64))
    return result
