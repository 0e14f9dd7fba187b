"""What a run has seen and found so far, whoever judged it, and the report that it amounts to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from math import inf
from types import MappingProxyType

import attrs

from batchfsm.auditing.report import Report
from batchfsm.finding import Finding, LogPosition, Verdict
from batchfsm.logs import UnreadableEntry
from batchfsm.rules import RULES, chosen, needs


@attrs.define(eq=False, kw_only=True)
class FindingsAccumulator:
    """Counts exactly, and lists the first of what it counts."""

    select: tuple[str, ...] | None
    """Codes to report, or how they begin; None: all."""
    ignore: tuple[str, ...]
    """Codes not to report."""
    listed_max: int
    """How many findings and unreadable places are listed."""
    missing: tuple[str, ...] = ()
    """Codes of rules that cannot look, for the log has no such column: they are not reported, but named."""
    wanted: frozenset[str] = attrs.field(init=False)
    """Codes to report."""
    snapshots: int = attrs.field(init=False, default=0)
    batches: int = attrs.field(init=False, default=0)
    judged: bool = attrs.field(init=False, default=False)
    """True once a snapshot had a readable id and a status of the lifecycle."""
    given: set[str] = attrs.field(init=False, factory=set)
    """What the log has, of that which rules need to look."""
    _failed: bool = attrs.field(init=False, default=False)
    _counts: dict[str, int] = attrs.field(init=False, factory=dict)
    _findings: list[tuple[float, Finding]] = attrs.field(init=False, factory=list)
    _horizon: float = attrs.field(init=False, default=inf)
    """The last row whose findings are listed, once there are enough."""
    _unreadable_count: int = attrs.field(init=False, default=0)
    _unreadable: list[UnreadableEntry] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Refuse codes that name no rule."""
        asked = (frozenset(RULES) if self.select is None else chosen(self.select)) - chosen(self.ignore)
        self.missing = tuple(code for code in self.missing if code in asked)
        self.wanted = asked.difference(self.missing)

    def take(self, number: float, findings: Iterable[Finding]) -> None:
        """Count and list what a row breaches; `number` is its place in the order of the log."""
        for finding in findings:
            self.count(finding.rule, 1, is_error=finding.severity == "error")
            self.show(number, finding)

    def count(self, code: str, times: int, *, is_error: bool) -> None:
        """Count findings of one rule, if they are wanted."""
        if times and code in self.wanted:
            self._counts[code] = self._counts.get(code, 0) + times
            self._failed = self._failed or is_error

    def show(self, number: float, finding: Finding) -> None:
        """List a finding, if it is wanted and among the first in the order of the log."""
        if finding.rule in self.wanted and number <= self._horizon:
            self._findings.append((number, finding))
            if len(self._findings) > 2 * self.listed_max:
                self._cut()

    def miss(self, unreadable: UnreadableEntry) -> None:
        """Count and list what could not be read."""
        self._unreadable_count += 1
        if len(self._unreadable) < self.listed_max:
            self._unreadable.append(unreadable)

    def fork(self) -> FindingsAccumulator:
        """Return a copy that goes on by itself."""
        twin = copy(self)
        twin.given, twin._counts = {*self.given}, {**self._counts}  # noqa: SLF001  # Its own kind.
        twin._findings, twin._unreadable = [*self._findings], [*self._unreadable]  # noqa: SLF001
        return twin

    def merge(self, others: Iterable[FindingsAccumulator], rank: Callable[[LogPosition], tuple[int, ...]]) -> None:
        """
        Take over what others have counted and listed of other batches of one log.

        Args:
            others: Tallies that began as this one did.
            rank: Tells places in the order of the log.
        """
        findings: list[Finding] = []
        for other in others:
            report = other.report()
            self.snapshots += report.snapshots
            self.batches += report.batches
            self.judged = self.judged or other.judged
            self.given |= other.given
            self._failed = self._failed or report.verdict == "inconsistent"
            for code, times in report.counts.items():
                self.count(code, times, is_error=False)
            findings += report.findings
            self._unreadable_count += report.unreadable_count
            self._unreadable += report.unreadable
        findings.sort(key=lambda finding: rank(finding.where[-1]))
        self._unreadable.sort(key=lambda unreadable: rank(unreadable.place))
        del findings[self.listed_max :], self._unreadable[self.listed_max :]
        self._findings += enumerate(findings)

    def report(self) -> Report:
        """Say what it all amounts to."""
        self._cut()
        missed = tuple(dict.fromkeys((*self._not_looked(), *self.missing)))
        verdict: Verdict = "consistent" if self.judged and not missed else "undetermined"
        return Report(
            verdict="inconsistent" if self._failed else verdict,
            snapshots=self.snapshots,
            batches=self.batches,
            unreadable_count=self._unreadable_count,
            unreadable=tuple(self._unreadable),
            counts=MappingProxyType({code: self._counts[code] for code in RULES if code in self._counts}),
            findings=tuple(finding for _, finding in self._findings),
            not_looked=missed,
        )

    def _cut(self) -> None:
        self._findings.sort(key=lambda entry: entry[0])
        if len(self._findings) > self.listed_max:
            del self._findings[self.listed_max :]
            self._horizon = self._findings[-1][0] if self._findings else -1

    def _not_looked(self) -> tuple[str, ...]:
        return tuple(
            token for token in self.select or () if not any(needs(code) <= self.given for code in chosen([token]))
        )
