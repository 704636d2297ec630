"""The course of the learning rate over a run, per step."""

import math

from audit.records.run import RunConfig, Schedule


def learning_rate(config: RunConfig, epoch: float) -> float:
    """Return the learning rate at a moment of the run.

    Parameters
    ----------
    config
        ``learning_rate`` is the peak; ``schedule``, ``warmup_epochs``, ``milestones`` its course.
    epoch
        The moment in epochs since the start, in [0, epochs]; 1.5 is the middle of the second one.

    Returns
    -------
    float
        At least 0; during the linear warm-up a part of the peak.

    Examples
    --------
    >>> from audit.records.run import RunConfig, Schedule
    >>> config = RunConfig(
    ...     preset="",
    ...     architecture="small",
    ...     image_size=32,
    ...     epochs=10,
    ...     batch_size=2,
    ...     learning_rate=1.0,
    ...     warmup_epochs=2,
    ...     schedule=Schedule.ONE_CYCLE,
    ... )
    >>> [learning_rate(config, epoch) for epoch in (1, 2, 6, 10)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if epoch < config.warmup_epochs:
        return config.learning_rate * epoch / config.warmup_epochs
    # A warm-up as long as the run leaves nothing to fall in.
    rest = max(config.epochs - config.warmup_epochs, 1e-9)
    done = min((epoch - config.warmup_epochs) / rest, 1.0)
    match config.schedule:
        case Schedule.CONSTANT:
            factor = 1.0
        case Schedule.COSINE:
            factor = (1 + math.cos(math.pi * done)) / 2
        case Schedule.ONE_CYCLE:
            factor = 1 - done
        case Schedule.STEPS:
            factor = 0.1 ** sum(epoch >= milestone for milestone in config.milestones)
    return config.learning_rate * factor
