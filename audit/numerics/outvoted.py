"""How many labels are wrong, roughly, from how often a network would have given another one.

A label is outvoted where the network that learnt it holds another class for likelier. Wrong labels are,
mostly; right ones only on images that the network would get wrong had it not learnt their label, and
then not always. How often it would get an image wrong is seen on those that were given another label.
"""

import math

KEPT, KEPT_DEVIATION = 2 / 3, 0.12
"""How often a right label that the network would not have given is outvoted, as a part of how often a wrong
label of the same kind is: mean and deviation over recordings of photographs with known labels."""


def estimate(
    *,
    outvoted: float,
    outvoted_blunders: float,
    outvoted_mistakes: float,
    disagreed: float,
    n_disagreed: int,
) -> tuple[float, float]:
    """Return an estimated noise rate and its standard deviation.

    With W the part of wrong labels that are outvoted and R that of right ones among those that the
    network would not have given, outvoted = rate · W + (disagreed − rate) · R, which is solved for the
    rate. The wrong ones are taken for mistakes and blunders alike.

    Parameters
    ----------
    outvoted
        Part of the natural labels that are outvoted, in [0, 1].
    outvoted_blunders, outvoted_mistakes
        The same of planted labels: drawn uniformly, and drawn from a network's doubts.
    disagreed
        Part of images with a planted label whose likeliest class beside it is not the given one.
    n_disagreed
        Images that this part was counted on, at least 1.

    Returns
    -------
    rate, deviation
        Rate in [0, 1]; the deviation is infinite where wrong labels are not outvoted more often
        than right ones.

    Examples
    --------
    Of labels that the network would not have given, half of the right ones are outvoted and 15 in 20 of
    the wrong ones: 0.1 · 0.75 + 0.1 · 0.5 = 0.125.

    >>> rate, _ = estimate(
    ...     outvoted=0.125,
    ...     outvoted_blunders=0.75,
    ...     outvoted_mistakes=0.75,
    ...     disagreed=0.2,
    ...     n_disagreed=600,
    ... )
    >>> round(rate, 3)
    0.1
    """
    right = KEPT * outvoted_mistakes
    contrast = (outvoted_blunders + outvoted_mistakes) / 2 - right
    if contrast <= 0:
        return 0.0, math.inf
    rate = min(max((outvoted - disagreed * right) / contrast, 0.0), 1.0)
    counted = math.sqrt(max(disagreed * (1 - disagreed), 0.25 / n_disagreed) / n_disagreed)
    hard = max(disagreed - rate, 0.0)
    return rate, math.hypot(right * counted, hard * KEPT_DEVIATION * outvoted_mistakes) / contrast
