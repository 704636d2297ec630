"""Two Gaussians on one axis: the plain way to split scores into suspects and the rest."""

# scikit-learn carries no types; what comes out of it is typed where it is returned.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportOptionalSubscript=false

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import InputError

N_RESTARTS = 5
"""One start alone sometimes ends in a degenerate fit; a published ± 33.5 F1 is such a failure."""

VARIANCE_FLOOR = 1e-4
"""Added to each component's variance, as a fraction of the variance of all values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoGaussians:
    """A fitted mixture; position 0 is the component with the lower mean.

    Parameters
    ----------
    means, variances, weights
        (2,) float64; weights sum to 1.
    posterior_low
        Probability that a value belongs to the lower component, (N,) float64 in [0, 1]. Not
        monotone when the lower component is the wider one: very high values then return to it.
    """

    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    weights: NDArray[np.float64]
    posterior_low: NDArray[np.float64]


def two_gaussians(values: NDArray[np.float64], *, seed: int) -> TwoGaussians:
    """Fit two Gaussians by expectation maximisation.

    The "Avg.Encoder" baseline of Kim et al. 2024 fits this to mean margins and flags what belongs
    to the lower component with a probability above one half. The authors give no settings; ours are
    k-means starts, 5 restarts, tolerance 1e-4 and at most 200 iterations.

    Parameters
    ----------
    values
        (N,) float64, finite, at least two different ones.
    seed
        Of the random starts, ≥ 0.

    Returns
    -------
    TwoGaussians
        The best of the restarts by likelihood.

    Raises
    ------
    InputError
        If values are not finite, or all equal.

    Examples
    --------
    >>> fit = two_gaussians(np.array([-5.0, -5.1, -4.9, 5.0, 5.1, 4.9, 5.2]), seed=0)
    >>> fit.means.round(2)
    array([-5.  ,  5.05])
    """
    if not np.isfinite(values).all():
        raise InputError("A mixture can only be fitted to finite values.")
    spread = float(values.var()) if len(values) else 0.0
    if spread == 0.0:
        raise InputError("A mixture of two needs at least two different values.")
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415 - a second to import

    model = GaussianMixture(
        n_components=2,
        init_params="kmeans",
        n_init=N_RESTARTS,
        tol=1e-4,
        max_iter=200,
        reg_covar=VARIANCE_FLOOR * spread,
        random_state=seed,
    ).fit(values[:, None])
    order = np.argsort(model.means_[:, 0])
    return TwoGaussians(
        means=model.means_[order, 0],
        variances=model.covariances_[order, 0, 0],
        weights=model.weights_[order],
        posterior_low=model.predict_proba(values[:, None])[:, order[0]],
    )


def cut(fit: TwoGaussians) -> float:
    """Return the value between both means at which a value belongs to either component equally likely.

    Parameters
    ----------
    fit
        A fitted mixture.

    Returns
    -------
    float
        In [lower mean, upper mean], unit of the values; lower = belongs to the lower component. The lower
        mean where the upper component outweighs the lower one even there, and the upper mean in the
        opposite case.

    Examples
    --------
    >>> one = np.array([0.5, 0.5])
    >>> cut(TwoGaussians(means=np.array([0.0, 4.0]), variances=one, weights=one, posterior_low=one))
    2.0
    """
    low, high = (float(mean) for mean in fit.means)
    if _log_odds_low(fit, low) <= 0:
        return low
    if _log_odds_low(fit, high) >= 0:
        return high
    # Between the means the odds fall all the way, so that halving finds their one zero.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _log_odds_low(fit, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


_HALVINGS = 60
"""An interval of any length is then as short as the spacing of floats allows."""


def _log_odds_low(fit: TwoGaussians, value: float) -> float:
    logs = np.log(fit.weights) - np.log(fit.variances) / 2
    logs -= (value - fit.means) ** 2 / (2 * fit.variances)
    return float(logs[0] - logs[1])
