"""How long a training will take: from runs of this workspace, else from a table; always a range.

`expect` adds up what is known of each run (starting, decoding images, extracting features, epochs);
`seconds_left` is for one that runs already; `in_words` and `span_in_words` say both without false
precision.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.records.job import Job, JobState
from audit.records.run import Precision, Run, RunConfig

_FULL, _HALF = Precision.FLOAT32, Precision.BFLOAT16

SECONDS_PER_ROW: Mapping[str, Mapping[Precision, float]] = {
    "narrow": {_FULL: 3.5e-4, _HALF: 2.3e-4},
    "small": {_FULL: 1.05e-3, _HALF: 6.3e-4},
    "resnet32": {_FULL: 2.5e-3, _HALF: 1.6e-3},
    "resnet18": {_FULL: 1.64e-2, _HALF: 8.4e-3},
    "resnet34": {_FULL: 2.95e-2, _HALF: 1.72e-2},
    "resnet50": {_FULL: 7.2e-2, _HALF: 2.75e-2},
    "features": {_FULL: 3.7e-5, _HALF: 1.8e-5},
}
"""Seconds of one thread per row and epoch on images of 32 pixels (``features``: of any size).

Measured by ``benchmarks/speeds.py`` on two cores of an AMD EPYC of 2024 (AVX-512 with bfloat16): an
order of magnitude, which `GUESS` turns into a range. The first run on a machine replaces it. ``narrow``
was not measured there: it is a third of ``small``, as ``benchmarks/frontier.py`` found on a slower one.
"""

SECONDS_PER_IMAGE: Mapping[str, Mapping[Precision, float]] = {
    "squeezenet": {_FULL: 2.8e-3, _HALF: 1.7e-3},
    "resnet18": {_FULL: 5.3e-3, _HALF: 3.2e-3},
    "resnet34": {_FULL: 9.9e-3, _HALF: 5.9e-3},
    "resnet50": {_FULL: 1.36e-2, _HALF: 7.9e-3},
}
"""Seconds of one thread to extract the features of an image of 128 pixels; measured as above."""

DECODING_SECONDS = {"files": 3e-3, "arrays": 2e-4}
"""Seconds to decode and shrink one image: 3,781 photographs of 400 pixels took twelve."""

STARTING_SECONDS = 2.0
"""From the start of a worker to its first batch, and from its last batch to the seal."""

GUESS = (0.7, 2.5)
"""Factors around what the table says: another processor, a busy machine, smaller batches."""

KNOWN = (0.9, 1.2)
"""Factors around what earlier runs took."""

_MOST_RUNS = 8
_NEAR = 1.25
"""Ends of a range that differ by less are one number."""

_SMALLEST_FRACTION = 0.02
"""Before so much of the work was watched, its speed says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What a launch has to do before and beside its epochs.

    Parameters
    ----------
    n_rows
        Rows R of each run.
    n_to_decode
        Images whose pixels are not kept yet at the wanted size.
    n_to_extract
        Images whose features are not kept yet; 0 without a backbone.
    from_files
        Whether images are files rather than entries of an array.
    """

    n_rows: int
    n_to_decode: int = 0
    n_to_extract: int = 0
    from_files: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A range of seconds and what it rests on.

    Parameters
    ----------
    low, high
        Seconds.
    n_runs
        Earlier runs that it was taken from; 0 for the table.
    """

    low: float
    high: float
    n_runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a finished run went.

    Parameters
    ----------
    config
        Its settings.
    seconds_per_row
        Per row and epoch.
    """

    config: RunConfig
    seconds_per_row: float


def paces(runs: Sequence[Run], jobs: Sequence[Job]) -> list[Pace]:
    """Return how fast the finished trainings among some jobs went, oldest first.

    Jobs that had nothing left to train, or whose run is gone, say nothing.
    """
    configs = {run.id: run.config for run in runs}
    found: list[Pace] = []
    for job in jobs:
        speed = (job.result or {}).get("images_per_second")
        if job.kind != "train" or job.state is not JobState.DONE or not speed:
            continue
        if job.run_id in configs:
            found.append(Pace(config=configs[job.run_id], seconds_per_row=1 / float(speed)))
    return found


def expect(configs: Sequence[RunConfig], amount: Amount, known: Sequence[Pace]) -> Estimate | None:
    """Return how long runs will take that are trained one after the other.

    Parameters
    ----------
    configs
        Settings of the runs, all on one device, one dataset and one image size.
    amount
        What there is to do beside the epochs.
    known
        How fast earlier runs of this workspace went.

    Returns
    -------
    Estimate or None
        ``None`` where nothing is known: no run on this accelerator yet.
    """
    low = high = 0.0
    n_runs = _MOST_RUNS
    for config in configs:
        like = [pace.seconds_per_row for pace in known if _is_like(pace.config, config)]
        like = like[-_MOST_RUNS:]
        span = _of_epochs(config, like)
        if span is None:
            return None
        n_runs = min(n_runs, len(like))
        row_epochs = amount.n_rows * config.epochs
        low += STARTING_SECONDS + row_epochs * span[0]
        high += STARTING_SECONDS + row_epochs * span[1]
    before = _preparing(configs[0], amount)
    return Estimate(low=low + before * GUESS[0], high=high + before * GUESS[1], n_runs=n_runs)


def seconds_left(elapsed: float, fraction: float, begun_at: float = 0.0) -> float | None:
    """Return how long work will go on at the speed that it had so far.

    Parameters
    ----------
    elapsed
        Seconds since it started, or since it was resumed.
    fraction
        Part of the work that is done, in [0, 1].
    begun_at
        Part that was done when it was resumed.

    Returns
    -------
    float or None
        Seconds; ``None`` while too little was done to tell.

    Examples
    --------
    >>> seconds_left(60.0, 0.75, begun_at=0.25)
    30.0
    """
    done = fraction - begun_at
    if done < _SMALLEST_FRACTION:
        return None
    return elapsed * (1 - fraction) / done


def in_words(seconds: float) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> in_words(0.4), in_words(43), in_words(600), in_words(5400), in_words(200_000)
    ('1 second', '45 seconds', '10 minutes', '1.5 hours', '2 days')
    """
    amount, unit = _rounded(seconds)
    return f"{amount:g} {unit}" if amount == 1 else f"{amount:g} {unit}s"


def span_in_words(low: float, high: float) -> str:
    """Return a range of durations as people say it; one number where both ends are near.

    Examples
    --------
    >>> span_in_words(130, 310), span_in_words(50, 130), span_in_words(100, 110)
    ('2 to 5 minutes', '50 seconds to 2 minutes', 'about 2 minutes')
    """
    if high < _NEAR * low:
        return f"about {in_words(high)}"
    (least, unit), (most, other) = _rounded(low), _rounded(high)
    if unit == other and least != most:
        return f"{least:g} to {most:g} {unit}s"
    if unit == other:
        return f"about {in_words(high)}"
    return f"{in_words(low)} to {in_words(high)}"


def _rounded(seconds: float) -> tuple[float, str]:
    if seconds < 90:
        whole = max(1, round(seconds))
        return (whole if whole < 20 else round(whole / 5) * 5), "second"
    if seconds < 90 * 60:
        return round(seconds / 60), "minute"
    if seconds < 36 * 3600:
        return round(seconds / 1800) / 2, "hour"
    return round(seconds / 86_400), "day"


def _is_like(earlier: RunConfig, config: RunConfig) -> bool:
    def kind(of: RunConfig) -> tuple[object, ...]:
        # The classifier on features sees no pixels: their number costs it nothing.
        side = None if of.architecture == "features" else of.image_size
        return (of.architecture, of.backbone, side, of.device, of.threads, of.precision)

    return kind(earlier) == kind(config)


def _of_epochs(config: RunConfig, like: Sequence[float]) -> tuple[float, float] | None:
    """Return least and most seconds per row and epoch, ``None`` where nothing is known."""
    if like:
        middle = statistics.median(like)
        return min(*like, middle * KNOWN[0]), max(*like, middle * KNOWN[1])
    if config.device != "cpu":
        return None
    measured = SECONDS_PER_ROW[config.architecture][config.precision]
    if config.architecture != "features":
        measured *= (_effective_side(config) / 32) ** 2
    measured /= _speed_up(config.threads)
    return measured * GUESS[0], measured * GUESS[1]


def _effective_side(config: RunConfig) -> float:
    """Return the side that an image counts for: large ones are shrunk by the first layers."""
    side = config.image_size
    if config.architecture == "resnet32" and side >= 64:
        return side / 2
    if config.architecture.startswith("resnet") and config.architecture != "resnet32" and side > 64:
        return side / 4
    return side


def _speed_up(threads: int) -> float:
    # Two threads train 1.5 times as many images as one.
    return threads**0.6


def _preparing(config: RunConfig, amount: Amount) -> float:
    decoding = DECODING_SECONDS["files" if amount.from_files else "arrays"] * amount.n_to_decode
    if config.architecture != "features" or not amount.n_to_extract:
        return decoding / _speed_up(config.threads)
    per_image = SECONDS_PER_IMAGE[config.backbone or "squeezenet"][config.precision]
    extracting = per_image * (config.image_size / 128) ** 2 * amount.n_to_extract
    if config.device != "cpu":
        extracting /= 20  # an accelerator hardly notices them
    return (decoding + extracting) / _speed_up(config.threads)
