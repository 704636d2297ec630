"""Two versions of labels side by side: which samples differ, from what to what, and who did it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from audit.records.decision import Decision, Undo
from audit.records.label_history import Effect, LabelHistory, effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A sample whose label is another one.

    Parameters
    ----------
    sample_key, given_label
        The sample; ``None`` for one that came without a label.
    before, after
        What became of its label.
    event
        What made the difference: the last event between the two points that changed the label;
        ``None`` for a change that is only planned.
    """

    sample_key: str
    given_label: str | None
    before: Effect
    after: Effect
    event: Decision | Undo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How many samples went from one label to another."""

    before: Effect
    after: Effect
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sets of labels compared.

    Parameters
    ----------
    before, after
        Their points in the log, in the order in which they were named.
    before_version, after_version
        Their versions.
    changes
        Every sample whose label differs, by sample key.
    flows
        Their counts, the greatest first.
    """

    before: int
    after: int
    before_version: str
    after_version: str
    changes: tuple[Change, ...]
    flows: tuple[Flow, ...]


def compare(history: LabelHistory, before: int, after: int) -> Comparison:
    """Compare what stood at two points of a log, in either order."""
    old, new = history.at(before), history.at(after)
    low, high = sorted((before, after))
    made = {
        step.event.sample_key: step.event
        for step in history.between(low, high)
        if step.changes_label
    }
    # What changed and changed back does not differ.
    changes = tuple(
        change
        for key in sorted(made)
        if (change := change_of(old.get(key), new.get(key), made[key])) is not None
    )
    return Comparison(
        before=before,
        after=after,
        before_version=history.version_at(before),
        after_version=history.version_at(after),
        changes=changes,
        flows=flows(changes),
    )


def change_of(
    old: Decision | None, new: Decision | None, event: Decision | Undo | None = None
) -> Change | None:
    """Return how a sample's label differs between two decisions, ``None`` if it does not."""
    known = old or new
    if known is None:
        return None
    before, after = effect(old, known.given_label), effect(new, known.given_label)
    if before == after:
        return None
    return Change(
        sample_key=known.sample_key,
        given_label=known.given_label,
        before=before,
        after=after,
        event=event,
    )


def flows(changes: Iterable[Change]) -> tuple[Flow, ...]:
    """Return how many samples went from which label to which, the most first."""
    counts = Counter((change.before, change.after) for change in changes)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], *map(in_words, item[0])))
    return tuple(Flow(before=before, after=after, n_samples=n) for (before, after), n in ordered)


def in_words(what: Effect) -> str:
    """Return a label as tables name it.

    Examples
    --------
    >>> in_words(Effect("cat")), in_words(Effect(None)), in_words(Effect(None, is_excluded=True))
    ('cat', 'no label', 'left out')
    """
    if what.is_excluded:
        return "left out"
    return "no label" if what.label is None else what.label
