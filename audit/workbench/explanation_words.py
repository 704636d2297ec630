"""Explanations in words: what the network called a sample, and how far its explanation holds."""

import math
from collections import Counter
from itertools import takewhile

from audit.records.explanation import LEAST_R_SQUARED, Course, Explanation

EXTRA = "the extra class"
"""What a threshold probe's additional output is called."""

_LONGEST_NAME = 60


def story(course: Course) -> str:
    """Return in one sentence what the network called a sample while it learnt.

    Parameters
    ----------
    course
        At least one epoch.

    Examples
    --------
    >>> course = Course(
    ...     run_id="",
    ...     run_name="",
    ...     given="dog",
    ...     margins=(-1.0, -2.0, -1.0, 3.0),
    ...     said=("deer", "deer", "cat", "dog"),
    ...     clean=None,
    ...     planted=None,
    ... )
    >>> story(course)
    'The network called it ‘deer’ in 2 of 4 epochs and took up the given label ‘dog’ only after epoch 3.'
    """
    broken = next((e for e, m in enumerate(course.margins, 1) if not math.isfinite(m)), None)
    if broken is not None:
        return f"The training diverged: from epoch {broken} on its margins are no numbers."
    n_epochs = course.n_epochs
    agrees = [margin > 0 for margin in course.margins]
    n_given, given = sum(agrees), quoted(course.given)
    if n_given == n_epochs:
        return f"The network called it {given}, its given label, {_in_epochs(n_epochs, n_epochs)}."
    rival, n_rival = _rival(course)
    called = f"The network called it {rival} {_in_epochs(n_rival, n_epochs)}"
    if not n_given:
        return f"{called} and never took up the given label {given}."
    n_last = sum(1 for _ in takewhile(bool, reversed(agrees)))
    before = n_epochs - n_last
    last = max(epoch for epoch, agree in enumerate(agrees, 1) if agree)
    if n_given > n_rival:
        mostly = "" if n_rival == n_epochs - n_given else "mostly "
        when = (
            f"without a break since epoch {before + 1}" if n_last else f"but not after epoch {last}"
        )
        return (
            f"The network called it {given}, its given label, {_in_epochs(n_given, n_epochs)}, {when}; "
            f"otherwise {mostly}{rival}."
        )
    if not n_last:
        return (
            f"{called}; it gave the given label {given} {_in_epochs(n_given, n_epochs)}, the last time "
            f"in epoch {last}."
        )
    for_good = "" if n_given == n_last else "for good "
    only = "only " if 2 * before > n_epochs else ""
    return f"{called} and took up the given label {given} {for_good}{only}after epoch {before}."


def finding(explanation: Explanation) -> str:
    """Return in one sentence which epochs a suspicion rests on, or why that cannot be said."""
    if explanation.r_squared is None:
        return (
            f"{explanation.method} gives the same suspicion whichever epochs are occluded, so no epoch "
            "is more important than another."
        )
    if not explanation.is_reliable:
        return (
            f"Unreliable: a sum over epochs explains only {explanation.r_squared:.0%} of what "
            f"{explanation.method} answers (R² {explanation.r_squared:.2f}, at least "
            f"{LEAST_R_SQUARED:.2f} is needed), so no importance is shown."
        )
    values = explanation.importance
    place = max(range(len(values)), key=lambda at: abs(values[at]))
    first, last = explanation.blocks[place]
    way = "raise" if values[place] > 0 else "lower"
    which = span((first, last))
    matter = f"matters most: it {way}s" if first == last else f"matter most: they {way}"
    return (
        f"A sum over epochs explains {explanation.r_squared:.0%} of what {explanation.method} answers "
        f"(R² {explanation.r_squared:.2f}). {which[0].upper()}{which[1:]} {matter} the suspicion by "
        f"{abs(values[place]):.2g} in log-odds."
    )


def faithfulness(explanation: Explanation) -> str | None:
    """Return in words whether the important epochs matter more than others, ``None`` if not checked."""
    told = explanation.faithfulness
    if told is None or not explanation.is_reliable:
        return None
    named = listed([explanation.blocks[place] for place in told.blocks])
    n_less = round(told.share_less * told.n_draws)
    count = sum(last - first + 1 for first, last in (explanation.blocks[b] for b in told.blocks))
    is_faithful = told.share_less >= 0.5 and told.moved > told.moved_at_random
    return (
        f"{'Faithful' if is_faithful else 'Doubtful'}: occluding {named} moves the suspicion from "
        f"{explanation.suspicion:.3f} to {told.suspicion:.3f}, further than {n_less} of {told.n_draws} "
        f"random choices of {'1 epoch' if count == 1 else f'{count} epochs'} "
        f"({told.moved:.2g} against {told.moved_at_random:.2g} in log-odds)."
    )


def basis(explanation: Explanation, label: str | None) -> str:
    """Return what stands in for occluded epochs, a sentence.

    Parameters
    ----------
    explanation
        Whose.
    label
        Name of `Explanation.baseline_label`, if it has one.
    """
    kind = (
        "clean-looking samples" if label is None else f"clean-looking samples given {quoted(label)}"
    )
    return (
        f"Occluded epochs are replaced by the median of {explanation.baseline_rows:,} {kind} of the "
        f"same run; {explanation.n_masks:,} random choices of epochs, seed {explanation.seed}."
    )


def quoted(name: str | None) -> str:
    """Return a class name in quotes, shortened to fit a sentence; `EXTRA` for none."""
    if name is None:
        return EXTRA
    return f"‘{name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + '…'}’"


def span(block: tuple[int, int]) -> str:
    """Return a block as ``epoch 3`` or ``epochs 3 to 4``."""
    first, last = block
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def listed(blocks: list[tuple[int, int]]) -> str:
    """Return blocks as ``epochs 3, 4 and 9 to 12``; neighbours are joined.

    Examples
    --------
    >>> listed([(3, 3), (4, 4), (9, 12)])
    'epochs 3 to 4 and 9 to 12'
    >>> listed([(7, 7)])
    'epoch 7'
    """
    joined: list[tuple[int, int]] = []
    for first, last in blocks:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    if len(joined) == 1:
        return span(joined[0])
    told = [str(first) if first == last else f"{first} to {last}" for first, last in joined]
    return f"epochs {', '.join(told[:-1])} and {told[-1]}"


def _rival(course: Course) -> tuple[str, int]:
    against = [epoch for epoch, margin in enumerate(course.margins) if margin <= 0]
    if not course.said:
        return "another class", len(against)
    counts = Counter(course.said[epoch] for epoch in against)
    name, count = min(counts.items(), key=lambda pair: (-pair[1], pair[0] or ""))
    return quoted(name), count


def _in_epochs(n: int, total: int) -> str:
    if total == 1:
        return "in its only epoch"
    return f"in all {total} epochs" if n == total else f"in {n} of {total} epochs"
