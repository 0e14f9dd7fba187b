"""The state of a watch, for every output: the status of each batch, problems, findings, failed commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import attrs

from batchfsm.escapes import printable

GONE: Final = "gone"
REFUSED: Final = "refused"
"""Shown in place of a status if a batch cannot be watched."""

LIST: Final = "the list of batches"
"""Shown in place of an id if the list was requested."""

_REPEATS_SHOWN: Final = frozenset(10**power for power in range(10))


_GOOD_ENDS: Final = frozenset({"completed", "ended"})
"""Statuses that are no failure; `ended` is the only end that Anthropic has."""


@attrs.define
class Problem:
    """A problem that has not ended yet."""

    reason: str
    times: int = 1
    """How many times in a row it occurred."""

    def __str__(self) -> str:
        """Return the reason, and the number of times if there were several."""
        return self.reason if self.times == 1 else f"{self.reason} ({self.times:,} times)"


@attrs.define(eq=False)
class WatchSummary:
    """The status of each batch, and the present problems."""

    statuses: dict[str, str | None]
    """The status of each batch, in the order in which they were named or found; None before the first poll."""
    changed: dict[str, None] = attrs.field(factory=dict)
    """The batches whose status has changed, the last one at the end."""
    problems: dict[str, Problem] = attrs.field(factory=dict)
    """The problem of each batch that could not be polled, the last one at the end."""
    findings: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """How many batches breached each rule, by code and name."""
    dropped: set[str] = attrs.field(factory=set)
    """The batches that are no longer watched, though they have not ended."""
    failing: set[str] = attrs.field(factory=set)
    """The keys of the transitions whose command has failed and not succeeded since."""
    with_failed_requests: set[str] = attrs.field(factory=set)
    """The batches that ended with failed requests."""

    @property
    def is_well(self) -> bool:
        """True if all batches have completed and all commands have succeeded."""
        return not ({*self.statuses.values()} - _GOOD_ENDS or self.dropped or self.failing)

    def enter(self, batch_id: str, status: str | None) -> bool:
        """Record the status of a batch; False if it is known already."""
        if batch_id in self.statuses and self.statuses[batch_id] == status:
            return False
        self.statuses[batch_id] = status
        self.changed.pop(batch_id, None)
        self.changed[batch_id] = None
        return True

    def record_problem(self, subject: str, reason: str, times: int = 1) -> bool:
        """Record a problem; True if it is to be shown: at its 1st, 10th, 100th time in a row, and so on."""
        self.problems.pop(subject, None)
        self.problems[subject] = Problem(reason, times)
        return times in _REPEATS_SHOWN

    def words(self, *, with_findings: bool = True) -> str:
        """Return how many batches there are, by status, and the findings."""
        number = len(self.statuses)
        parts = by_status([*self.statuses.values()])
        words = f"{number:,} batch{'' if number == 1 else 'es'}" + (f": {parts}" if parts else "")
        found = self.finding_words() if with_findings else ""
        return f"{words}; {found}" if found else words

    def finding_words(self) -> str:
        """Return how many batches breached each rule; empty if none did."""
        listed = [f"{count:,} {code} {name}" for (code, name), count in self.findings.copy().most_common()]
        return f"findings: {', '.join(listed)}" if listed else ""


def by_status(statuses: Iterable[str | None]) -> str:
    """Return how many batches have each status, the most frequent first."""
    counts = Counter(status or "not polled yet" for status in statuses)
    return ", ".join(f"{count:,} {printable(status)}" for status, count in counts.most_common())
