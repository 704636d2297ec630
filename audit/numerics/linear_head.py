"""A linear classifier on features that others computed: fitted in closed form, refitted in milliseconds.

Ridge regression on one column per class (ones for its samples), so that other labels change only the right
side of a linear system and left-out samples only take their own part from the left one.
"""

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

OUT = -1
"""In place of a label: the sample is left out."""

PENALTIES = 10.0 ** np.arange(-3, 4)
"""Tried, in parts of the mean eigenvalue."""

_CHUNK = 4096


class LinearHead:
    """Features of training and test samples, ready to be fitted to any labels.

    Parameters
    ----------
    training, test
        Features, (N, D) and (M, D) float32, possibly memory-mapped.
    n_classes
        Number of classes K.
    labels
        Labels that the penalty is chosen by, (N,) int32, `OUT` for what is left out: generalised
        cross-validation (Golub, Heath and Wahba 1979), which looks at no test sample.

    Raises
    ------
    InputError
        If shapes do not fit, or fewer than two samples are labelled.
    """

    def __init__(
        self,
        training: NDArray[np.float32],
        test: NDArray[np.float32],
        n_classes: int,
        labels: NDArray[np.int32],
    ) -> None:
        if training.ndim != 2 or test.ndim != 2 or training.shape[1] != test.shape[1]:
            raise InputError(
                f"Features must be two tables of one width, got {training.shape} and {test.shape}."
            )
        if labels.shape != (len(training),) or (labels != OUT).sum() < 2:
            raise InputError("A linear head needs one label per sample, and two of them at least.")
        self._n_classes = n_classes
        mean, deviation = _moments(training)
        self._training = _standardised(training, mean, deviation)
        self._test = _standardised(test, mean, deviation)
        self._gram = _product(self._training, self._training)
        self._penalty = self._chosen_penalty(labels)

    def predict(self, labels: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return what the head says of the test samples after it learnt some labels.

        Parameters
        ----------
        labels
            (N,) int32 in 0..K-1, `OUT` for samples that are left out.

        Returns
        -------
        ndarray
            Class indices, (M,) int64.
        """
        gram = self._gram
        out = np.flatnonzero(labels == OUT)
        if len(out):
            gone = self._training[out]
            gram = gram - _product(gone, gone)
        left = gram + self._penalty * np.eye(len(gram))
        weights = np.linalg.solve(left, self._right_side(labels))
        return (self._test @ weights.astype(np.float32)).argmax(axis=1)

    def _right_side(self, labels: NDArray[np.int32]) -> NDArray[np.float64]:
        kept = np.flatnonzero(labels != OUT)
        target = np.zeros((len(labels), self._n_classes), dtype=np.float32)
        target[kept, labels[kept]] = 1
        return _product(self._training, target)

    def _chosen_penalty(self, labels: NDArray[np.int32]) -> float:
        size, direction = np.linalg.eigh(self._gram)
        size = np.maximum(size, 0)
        right = direction.T @ self._right_side(labels)
        n_samples = int((labels != OUT).sum())
        best, least = 1.0, np.inf
        for part in PENALTIES:
            penalty = part * size.mean()
            shrink = 1 / (size + penalty)
            # Residual sum of squares: ones, less what the fit explains.
            fitted = np.square(right) * (2 * shrink - size * shrink**2)[:, None]
            residual = n_samples - float(fitted.sum())
            freedom = float((size * shrink).sum())
            score = residual / max(n_samples - freedom, 1.0) ** 2
            if score < least:
                best, least = penalty, score
        return float(best)


def _moments(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    total = np.zeros(features.shape[1])
    squares = np.zeros(features.shape[1])
    for start in range(0, len(features), _CHUNK):
        part = np.asarray(features[start : start + _CHUNK], dtype=np.float64)
        total += part.sum(axis=0)
        squares += np.square(part).sum(axis=0)
    mean = total / len(features)
    deviation = np.sqrt(np.maximum(squares / len(features) - mean**2, 0))
    deviation[deviation < 1e-6 * (1 + np.abs(mean))] = 1
    return mean.astype(np.float32), deviation.astype(np.float32)


def _standardised(
    features: NDArray[np.float32], mean: NDArray[np.float32], deviation: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return standardised features with a column of ones."""
    made = np.ones((len(features), features.shape[1] + 1), dtype=np.float32)
    made[:, :-1] = (np.asarray(features) - mean) / deviation
    return made


def _product(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return one.T @ other in float64, added up in parts."""
    total = np.zeros((one.shape[1], other.shape[1]))
    for start in range(0, len(one), _CHUNK):
        total += one[start : start + _CHUNK].T @ other[start : start + _CHUNK]
    return total
