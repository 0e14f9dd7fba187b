"""What a watch has come to so far, for whatever shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from batchfsm.escapes import printable

GONE = "gone"
REFUSED = "refused"
"""What stands in the place of a status where a batch could not be watched."""

LIST = "the list of batches"
"""What stands in the place of an id where the list was asked for."""


@attrs.define(eq=False)
class WatchSummary:
    """The status of each batch, and what went wrong last."""

    statuses: dict[str, str | None]
    """The status of each batch, in the order in which they were named or found; None before it was seen."""
    changed: dict[str, None] = attrs.field(factory=dict)
    """Those whose status has changed, the last one at the end."""
    troubles: dict[str, str] = attrs.field(factory=dict)
    """What went wrong last with a batch, until it was well again; the last one at the end."""
    findings: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """How many batches each rule found fault with, by code and name."""
    dropped: set[str] = attrs.field(factory=set)
    """What is not watched any more, though it has not ended."""
    failing: set[str] = attrs.field(factory=set)
    """The keys of the transitions on which a command has not ended well yet."""

    @property
    def is_well(self) -> bool:
        """True if all have completed, and every command has ended well."""
        return not ({*self.statuses.values()} - {"completed"} or self.dropped or self.failing)

    def enter(self, batch_id: str, status: str) -> None:
        """Note that a batch has entered a status."""
        self.statuses[batch_id] = status
        self.changed.pop(batch_id, None)
        self.changed[batch_id] = None

    def fret(self, who: str, reason: str) -> bool:
        """Note that something went wrong; False if it did so before."""
        is_news = self.troubles.pop(who, None) != reason
        self.troubles[who] = reason
        return is_news

    def words(self) -> str:
        """Return how many batches there are, by status."""
        number = len(self.statuses)
        parts = by_status([*self.statuses.values()])
        found = ", ".join(f"{count:,} {code} {name}" for (code, name), count in self.findings.copy().most_common())
        words = f"{number:,} batch{'' if number == 1 else 'es'}" + (f": {parts}" if parts else "")
        return words + (f"; findings: {found}" if found else "")


def by_status(statuses: Iterable[str | None]) -> str:
    """Return how many there are of each status, the most frequent first."""
    counts = Counter(status or "not seen yet" for status in statuses)
    return ", ".join(f"{count:,} {printable(status)}" for status, count in counts.most_common())
