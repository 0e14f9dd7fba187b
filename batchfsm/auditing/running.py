"""The run of an audit: streamed while the log is in order of observation, else dealt out and sorted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from math import inf
from types import MappingProxyType
from typing import Any, Final

import attrs

from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.spool import BUCKETS, Spool, bucket
from batchfsm.dialects import Dialect, find
from batchfsm.finding import Finding, Verdict
from batchfsm.history import Fold, Track
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import Row, Unreadable, opened, rows
from batchfsm.rules import HISTORY, RULES, SKEW_S, chosen, needs
from batchfsm.wire import reader

_NEEDED: Final = frozenset().union(*map(needs, RULES)) - {HISTORY}


def audit(
    source: object,
    *,
    dialect: str | Dialect | Lifecycle = "openai",
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    max_findings: int = FINDINGS_MAX,
    skew_s: float = SKEW_S,
    input_format: str = "auto",
) -> Report:
    """
    Judge every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed: memory holds one small state a batch.
    One that is not is noticed, dealt out to temporary files and sorted, batch by batch.

    Args:
        source: Paths or globs (JSON lines, arrays, pages, gzip, text forms), `-`
            for standard input, or batch objects.
        dialect: Whose lifecycle and habits of writing are taken for granted.
        select: Rules to report, by code or how codes begin, as a list or with
            commas between; None: all.
        ignore: Rules not to report.
        max_findings: How many findings, and unreadable places, are listed. The
            counts are exact all the same.
        skew_s: How far a stamp may lie after its observation; seconds.
        input_format: How the files are written; `auto` finds out.

    Raises:
        SourceError: If a file cannot be opened, or there is no room to sort.
        UnknownNameError: If a dialect, rule or format has no such name.
        TypeError: If `source` is nothing that can be audited.
        ValueError: If a number is out of range.
    """
    if not (max_findings >= 0 and skew_s >= 0):  # So written, it refuses NaN too.
        raise ValueError("max_findings and skew_s are not negative")
    named = find(dialect)
    run = _Run(named, _tokens(select), _tokens(ignore) or (), max_findings, skew_s)
    found = opened(source, input_format)
    with ExitStack() as stack:
        spool = None if found.is_repeatable else stack.enter_context(closing(Spool()))
        live = rows(found, reader(named))
        if run.stream(_kept(live, spool)):
            return run.report()
        # Somewhere a snapshot came after a later one. What was judged so far may be wrong: begin again.
        run = attrs.evolve(run)
        run.sort(rows(found, reader(named)) if spool is None else chain(spool, live), stack)
        return run.report()


def _tokens(tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    if tokens is None:
        return None
    return tuple(map(str.strip, tokens.split(","))) if isinstance(tokens, str) else tuple(tokens)


def _kept(live: Iterator[Row | Unreadable], spool: Spool | None) -> Iterator[Row | Unreadable]:
    """Pass rows on, and keep those of a source that cannot be read twice."""
    for row in live:
        if spool is not None:
            spool.add(row)
        yield row


@attrs.define(eq=False)
class _Run:
    """What one run has seen and found."""

    dialect: Dialect
    select: tuple[str, ...] | None
    ignore: tuple[str, ...]
    listed_max: int
    skew_s: float
    _fold: Fold = attrs.field(init=False)
    _wanted: frozenset[str] = attrs.field(init=False)
    _snapshots: int = attrs.field(init=False, default=0)
    _batches: int = attrs.field(init=False, default=0)
    _judged: bool = attrs.field(init=False, default=False)
    _failed: bool = attrs.field(init=False, default=False)
    _unreadable_count: int = attrs.field(init=False, default=0)
    _unreadable: list[Unreadable] = attrs.field(init=False, factory=list)
    _counts: dict[str, int] = attrs.field(init=False, factory=dict)
    _findings: list[tuple[int, Finding]] = attrs.field(init=False, factory=list)
    _horizon: float = attrs.field(init=False, default=inf)
    """The last row whose findings are listed, once there are enough."""
    _given: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._fold = Fold(self.dialect, skew_s=self.skew_s)
        self._wanted = (frozenset(RULES) if self.select is None else chosen(self.select)) - chosen(self.ignore)

    def stream(self, log: Iterator[Row | Unreadable]) -> bool:
        """Judge rows as they come; False, and nothing counts, once one comes behind a later one."""
        tracks: dict[str, tuple[Track, list[float]]] = {}
        for row in log:
            if isinstance(row, Unreadable):
                self._miss(row)
                continue
            if not row.snapshot.is_named:
                self._take(row, None)
                continue
            known = tracks.get(row.snapshot.id)
            if known is None:
                known = tracks[row.snapshot.id] = Track(), [-inf]
                self._batches += 1
            track, latest = known
            if row.snapshot.observed_at is not None:
                if row.snapshot.observed_at < latest[0]:
                    return False
                latest[0] = row.snapshot.observed_at
            self._take(row, track)
        return True

    def sort(self, log: Iterable[Row | Unreadable], stack: ExitStack) -> None:
        """Deal the rows out to buckets on disk, and judge bucket by bucket, each batch in order."""
        spools = [stack.enter_context(closing(Spool())) for _ in range(BUCKETS)]
        for row in log:
            if isinstance(row, Unreadable):
                self._miss(row)
            elif not row.snapshot.is_named:
                self._take(row, None)
            else:
                spools[bucket(row.snapshot.id)].add(row)
        for spool in spools:
            histories: dict[str, list[tuple[float, int, Any]]] = {}
            for row in spool:
                history = histories.setdefault(row.snapshot.id, [])  # type: ignore[union-attr]
                before = history[-1][0] if history else -inf
                seen_at = row.snapshot.observed_at  # type: ignore[union-attr]
                # One that does not say when it was seen, was seen when the one before it in the log was.
                history.append((before if seen_at is None else seen_at, row.number, row))  # type: ignore[union-attr]
            self._batches += len(histories)
            for history in histories.values():
                track = Track()
                for _, _, row in sorted(history, key=lambda entry: entry[:2]):
                    self._take(row, track)

    def _take(self, row: Row, track: Track | None) -> None:
        self._snapshots += 1
        snapshot = row.snapshot
        if self.select is not None:
            self._given |= {name for name in _NEEDED if getattr(snapshot, name) is not None}
            if track is not None and track.row is not None:
                self._given.add(HISTORY)
        if track is None:
            findings = self._fold.judge(snapshot, row.place)
        else:
            findings = self._fold.fold(track, snapshot, place=row.place).findings
            self._judged = self._judged or self._fold.knows(snapshot)
        for finding in findings:
            if finding.rule in self._wanted:
                self._counts[finding.rule] = self._counts.get(finding.rule, 0) + 1
                self._failed = self._failed or finding.severity == "error"
                self._list(row.number, finding)

    def _list(self, number: int, finding: Finding) -> None:
        """Keep the first findings in the order of the log, and never many more than are asked for."""
        if number <= self._horizon:
            self._findings.append((number, finding))
            if len(self._findings) > 2 * self.listed_max:
                self._cut()

    def _cut(self) -> None:
        self._findings.sort(key=lambda entry: entry[0])
        if len(self._findings) > self.listed_max:
            del self._findings[self.listed_max :]
            self._horizon = self._findings[-1][0] if self._findings else -1

    def _miss(self, unreadable: Unreadable) -> None:
        self._unreadable_count += 1
        if len(self._unreadable) < self.listed_max:
            self._unreadable.append(unreadable)

    def _not_looked(self) -> tuple[str, ...]:
        return tuple(
            token for token in self.select or () if not any(needs(code) <= self._given for code in chosen([token]))
        )

    def report(self) -> Report:
        """Say what it all amounts to."""
        self._cut()
        missed = self._not_looked()
        verdict: Verdict = "consistent" if self._judged and not missed else "undetermined"
        return Report(
            verdict="inconsistent" if self._failed else verdict,
            snapshots=self._snapshots,
            batches=self._batches,
            unreadable_count=self._unreadable_count,
            unreadable=tuple(self._unreadable),
            counts=MappingProxyType({code: self._counts[code] for code in RULES if code in self._counts}),
            findings=tuple(finding for _, finding in self._findings),
            not_looked=missed,
        )
