"""A bounded account of what does not become a sample."""

from collections import Counter

from audit.datasets.names import printable
from audit.records.dataset import Skipped

MAX_LISTED = 1000
"""Skipped things that are named one by one; the rest is counted by reason."""


class SkippedLog:
    """Collects skipped things; a folder with a million stray files stays a short list."""

    def __init__(self) -> None:
        self._listed: list[Skipped] = []
        self._others: Counter[str] = Counter()

    def add(self, name: str, reason: str) -> None:
        """Note one thing that was skipped; the name is shown, so it is made printable."""
        if len(self._listed) < MAX_LISTED:
            self._listed.append(Skipped(name=printable(name), reason=reason))
        else:
            self._others[reason] += 1

    def close(self) -> tuple[Skipped, ...]:
        """Return the first `MAX_LISTED` things and one entry that sums up the rest."""
        if not self._others:
            return tuple(self._listed)
        reasons = "; ".join(f"{reason} ({n:,})" for reason, n in self._others.most_common(5))
        if len(self._others) > 5:
            reasons += "; …"
        more = Skipped(name=f"{self._others.total():,} more", reason=reasons)
        return (*self._listed, more)
