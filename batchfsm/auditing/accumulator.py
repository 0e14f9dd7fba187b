"""The findings, counts and unreadable places of a run, and the report of them; the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from fractions import Fraction
from math import inf
from types import MappingProxyType

import attrs

from batchfsm.auditing.report import Report
from batchfsm.finding import Finding, LogPosition, Verdict
from batchfsm.logs import UnreadableEntry
from batchfsm.rules import RULES, required_fields, select_rules

_NOWHERE = LogPosition("", 0)


@attrs.define(eq=False, kw_only=True)
class FindingsAccumulator:
    """Counts findings exactly, and lists the first of them."""

    select: tuple[str, ...] | None
    """The rules to report, by name, code or how codes begin; None: all."""
    ignore: tuple[str, ...]
    """The rules not to report."""
    listed_max: int
    """How many findings and unreadable places are listed."""
    unreadable_max: int | Fraction = 0
    """With how many unreadable places the verdict may be `consistent`; a Fraction is a share of all places."""
    disabled_for_columns: tuple[str, ...] = ()
    """The codes of rules that a table has no columns for: they are not reported, but named."""
    enabled_rules: frozenset[str] = attrs.field(init=False)
    """The codes of the rules that are reported."""
    snapshots: int = attrs.field(init=False, default=0)
    batches: int = attrs.field(init=False, default=0)
    places: int = attrs.field(init=False, default=0)
    """How many places hold something."""
    judged: bool = attrs.field(init=False, default=False)
    """True once a snapshot had a readable id and a status of the lifecycle."""
    available_fields: set[str] = attrs.field(init=False, factory=set)
    """The fields that rules need and that some row has."""
    _has_error: bool = attrs.field(init=False, default=False)
    _counts: dict[str, int] = attrs.field(init=False, factory=dict)
    _findings: list[tuple[float, Finding]] = attrs.field(init=False, factory=list)
    _listing_cutoff: float = attrs.field(init=False, default=inf)
    """The number of the last row whose findings are listed, once the list is full."""
    _unreadable_count: int = attrs.field(init=False, default=0)
    _unreadable: list[UnreadableEntry] = attrs.field(init=False, factory=list)
    _unread_count: int = attrs.field(init=False, default=0)
    """How many of the unreadable places lost a batch, or what may have been one."""
    _is_cut_off: bool = attrs.field(init=False, default=False)
    _last_place: LogPosition = attrs.field(init=False, default=_NOWHERE)
    _last_unreadable: LogPosition = attrs.field(init=False, default=_NOWHERE)
    _last_unread: LogPosition = attrs.field(init=False, default=_NOWHERE)

    def __attrs_post_init__(self) -> None:
        asked = (frozenset(RULES) if self.select is None else select_rules(self.select)) - select_rules(self.ignore)
        self.disabled_for_columns = tuple(code for code in self.disabled_for_columns if code in asked)
        self.enabled_rules = asked.difference(self.disabled_for_columns)

    def add(self, number: float, findings: Iterable[Finding]) -> None:
        """Count and list the findings of a row; `number` is its place in the order of the log."""
        for finding in findings:
            self.add_count(finding.rule, 1, is_error=finding.severity == "error")
            self.list_finding(number, finding)

    def add_count(self, code: str, times: int, *, is_error: bool) -> None:
        """Count findings of one rule, if it is reported."""
        if times and code in self.enabled_rules:
            self._counts[code] = self._counts.get(code, 0) + times
            self._has_error = self._has_error or is_error

    def list_finding(self, number: float, finding: Finding) -> None:
        """List a finding, if its rule is reported and it is among the first in the order of the log."""
        if finding.rule in self.enabled_rules and number <= self._listing_cutoff:
            self._findings.append((number, finding))
            if len(self._findings) > 2 * self.listed_max:
                self._cut_list()

    def add_place(self, place: LogPosition) -> None:
        """Count the place of a row or of an unreadable entry; several of one line, one after the other, are one."""
        last = self._last_place
        if place is not last and (place.line != last.line or place.source != last.source):
            self.places += 1
            self._last_place = place

    def add_unreadable(self, entry: UnreadableEntry) -> None:
        """Count and list an unreadable place; several entries of one line, one after the other, are one."""
        self._is_cut_off = self._is_cut_off or entry.is_cut_off
        if not entry.is_partial and entry.place != self._last_unread:
            self._last_unread = entry.place
            self._unread_count += 1
        if entry.place != self._last_unreadable:
            self._last_unreadable = entry.place
            self._unreadable_count += 1
            if len(self._unreadable) < self.listed_max:
                self._unreadable.append(entry)
        elif entry.is_cut_off and self._unreadable and self._unreadable[-1].place == entry.place:
            self._unreadable[-1] = entry  # The better reason: a line that breaks off can be no JSON.

    def copy(self) -> FindingsAccumulator:
        """Return a copy that is independent of this one."""
        twin = copy(self)
        twin.available_fields, twin._counts = {*self.available_fields}, {**self._counts}  # noqa: SLF001  # Of this class.
        twin._findings, twin._unreadable = [*self._findings], [*self._unreadable]  # noqa: SLF001
        return twin

    def merge(self, others: Iterable[FindingsAccumulator], rank: Callable[[LogPosition], tuple[int, ...]]) -> None:
        """
        Add what others counted and listed of other batches of one log.

        Args:
            others: Accumulators that started as this one did.
            rank: Returns a key that sorts places in the order of the log.
        """
        findings: list[Finding] = []
        for other in others:
            report = other.report()
            self.snapshots += report.snapshots
            self.batches += report.batches
            self.places += report.places
            self.judged = self.judged or other.judged
            self.available_fields |= other.available_fields
            self._has_error = self._has_error or report.verdict == "inconsistent"
            self._is_cut_off = self._is_cut_off or report.is_cut_off
            for code, times in report.counts.items():
                self.add_count(code, times, is_error=False)
            findings += report.findings
            self._unreadable_count += report.unreadable_count
            self._unread_count += other._unread_count  # noqa: SLF001  # Of this class.
            self._unreadable += report.unreadable
        findings.sort(key=lambda finding: rank(finding.where[-1]))
        self._unreadable.sort(key=lambda entry: rank(entry.place))
        del findings[self.listed_max :], self._unreadable[self.listed_max :]
        self._findings += enumerate(findings)

    def report(self) -> Report:
        """Return the report of all that was added so far."""
        self._cut_list()
        not_looked = tuple(dict.fromkeys((*self._selected_in_vain(), *self.disabled_for_columns)))
        return Report(
            verdict=self._verdict(is_whole=self.judged and bool(self.enabled_rules) and not not_looked),
            snapshots=self.snapshots,
            batches=self.batches,
            places=self.places,
            unreadable_count=self._unreadable_count,
            unreadable=tuple(self._unreadable),
            is_cut_off=self._is_cut_off,
            counts=MappingProxyType({code: self._counts[code] for code in RULES if code in self._counts}),
            findings=tuple(finding for _, finding in self._findings),
            not_looked=not_looked,
        )

    def _verdict(self, *, is_whole: bool) -> Verdict:
        if self._has_error:
            return "inconsistent"
        limit = self.unreadable_max * self.places if isinstance(self.unreadable_max, Fraction) else self.unreadable_max
        is_read = not self._is_cut_off and self._unread_count <= limit
        return "consistent" if is_whole and is_read else "undetermined"

    def _cut_list(self) -> None:
        self._findings.sort(key=lambda entry: entry[0])
        if len(self._findings) > self.listed_max:
            del self._findings[self.listed_max :]
            self._listing_cutoff = self._findings[-1][0] if self._findings else -1

    def _selected_in_vain(self) -> tuple[str, ...]:
        """Return the entries of `select` of which no rule could check any row."""
        return tuple(
            token
            for token in self.select or ()
            if not any(required_fields(code) <= self.available_fields for code in select_rules([token]))
        )


def parse_unreadable_max(limit: int | str) -> int | Fraction:
    """
    Return a limit of unreadable places: a number, or as a Fraction the share that text such as `1%` names.

    Raises:
        ValueError: If it is neither, or negative, or above 100 %.
    """
    text = str(limit).strip()
    is_share = text.endswith("%")
    digits = text.removesuffix("%").rstrip()
    if not isinstance(limit, bool) and digits.isascii() and digits.replace(".", "", is_share).isdigit():
        number = Fraction(digits)
        if not is_share:
            return int(number)
        if number <= 100:  # noqa: PLR2004  # Per cent.
            return number / 100
    raise ValueError(f"unreadable_max is a number of places, or a share such as 1%; not {limit!r}")
