"""The statistics of the batches of a log, collected while it is checked: the data of a report's charts."""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final
from zlib import crc32

import attrs

from batchfsm.diagram import StepCount
from batchfsm.dialects import Dialect
from batchfsm.finding import Finding
from batchfsm.history import BatchRecord, BatchTimeline, timeline_of
from batchfsm.lifecycle import Severity
from batchfsm.logs import Record
from batchfsm.route import RouteStep, router
from batchfsm.topology import topology

FAILING_MAX: Final = 100
"""How many batches with findings have their timelines kept, those with errors first."""

CLEAN_MAX: Final = 20
"""How many batches without findings have their timelines kept, as a sample."""

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""The worst first."""

SPANS_MAX: Final = 200
"""The largest number of spans of time in which findings are counted."""

_SPANS_S: Final = (60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000, 31_536_000, 3_153_600_000)
_TIME_END: Final = 253_402_300_800  # The year 10000, which Python's `datetime` cannot represent.
_DIGITS: Final = 1_000

_Example = tuple[tuple[Any, ...], BatchTimeline]
"""The timeline of an example, behind its rank among those of its kind."""


@attrs.frozen(kw_only=True, eq=False)
class LogStatistics:
    """The statistics of the batches of a log."""

    dialect: Dialect
    """The dialect of the log."""

    step_counts: tuple[StepCount, ...]
    """Number of times that batches took each step, and each move that is no step; in the order of the lifecycle."""

    final_statuses: Mapping[str, int]
    """Number of batches in each status at the end of the log."""

    dwell_times: Mapping[str, Mapping[int, int]]
    """For each status: its durations in seconds, rounded to three digits, and the number of batches with each."""

    span_s: int
    """The length of the spans of time in `findings_over_time`; seconds."""

    findings_over_time: Mapping[tuple[str, Severity], Mapping[int, int]]
    """Number of findings of each rule and severity in each span. Its key is its beginning in Unix seconds. The
    time of a finding is that of observation; where a row has none, `created_at`."""

    untimed_count: int
    """Number of findings without a time."""

    findings_by_severity: Mapping[Severity, int]
    """Number of findings of each severity; exact."""

    failing_count: int
    """Number of batches with findings; exact."""

    failing_examples: tuple[BatchTimeline, ...]
    """At most `FAILING_MAX` of the batches with findings: those with errors first, then in the order of their first
    findings in the log."""

    clean_examples: tuple[BatchTimeline, ...]
    """At most `CLEAN_MAX` of the batches without findings, chosen by a hash of their ids. The two engines may choose
    different ones: columns hold no ids, so their hash is another one."""


@attrs.define(eq=False)
class _TimeSpans:
    """Counts in spans of time. The spans get longer as the time grows, so that there are `SPANS_MAX` at most."""

    untimed_count: int = 0
    span_s: int = _SPANS_S[0]
    _first: int = _TIME_END
    _last: int = 0
    _counts: dict[int, Counter[tuple[str, Severity]]] = attrs.field(factory=lambda: defaultdict(Counter))

    def add(self, key: tuple[str, Severity], at: float | None, times: int) -> None:
        """Add a count; `at`: Unix seconds, None if unknown."""
        if at is None or not 0 <= at < _TIME_END:
            self.untimed_count += times
            return
        self._first, self._last = min(self._first, int(at)), max(self._last, int(at))
        while self._last // self.span_s - self._first // self.span_s >= SPANS_MAX:
            self._widen()
        self._counts[int(at) // self.span_s][key] += times

    def counts(self) -> dict[tuple[str, Severity], dict[int, int]]:
        """Return the counts by key and by the beginning of the span."""
        found: dict[tuple[str, Severity], dict[int, int]] = {}
        for span, counter in sorted(self._counts.items()):
            for key, times in counter.items():
                found.setdefault(key, {})[span * self.span_s] = times
        return found

    def _widen(self) -> None:
        wider = _SPANS_S[_SPANS_S.index(self.span_s) + 1]
        counts: dict[int, Counter[tuple[str, Severity]]] = defaultdict(Counter)
        for span, counter in self._counts.items():
            counts[span * self.span_s // wider].update(counter)
        self.span_s, self._counts = wider, counts


def sample_key(batch_id: str) -> int:
    """Return a hash of an id: the batches without findings that have the lowest hashes are shown as examples."""
    return crc32(batch_id.encode("utf-8", "surrogatepass"))


@attrs.define(eq=False)
class StatisticsCollector:
    """Collects a `LogStatistics`."""

    dialect: Dialect
    enabled_rules: frozenset[str]
    """The codes of the rules that are reported."""
    _sample_key: Callable[[str], int] = sample_key
    failing_count: int = attrs.field(init=False, default=0)
    """How many batches have findings."""
    _reach: Mapping[str, frozenset[str]] = attrs.field(init=False)
    _moves: Counter[tuple[str, str]] = attrs.field(init=False, factory=Counter)
    _steps: Counter[tuple[str | None, str, bool]] = attrs.field(init=False, factory=Counter)
    _final_statuses: Counter[str] = attrs.field(init=False, factory=Counter)
    _dwell_times: dict[str, Counter[int]] = attrs.field(init=False, factory=lambda: defaultdict(Counter))
    _time_spans: _TimeSpans = attrs.field(init=False, factory=_TimeSpans)
    _severities: Counter[Severity] = attrs.field(init=False, factory=Counter)
    _marked: dict[str, tuple[int, float]] = attrs.field(init=False, factory=dict)
    """The unfinished batches with findings, by id: the rank of the worst severity, and the first row with a finding."""
    _failing: list[_Example] = attrs.field(init=False, factory=list)
    _clean: list[_Example] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._reach = topology(self.dialect.lifecycle).reach

    def add_findings(self, row: Record, findings: Iterable[Finding]) -> None:
        """Count the findings of a row, and mark its batch."""
        observed_at, created_at = row.snapshot.observed_at, row.snapshot.created_at
        for finding in findings:
            if finding.rule in self.enabled_rules:
                self.add_count(finding.rule, finding.severity, created_at if observed_at is None else observed_at)
        self.mark_batch(row, findings)

    def add_count(self, code: str, severity: Severity, at: float | None, times: int = 1) -> None:
        """Count findings of one rule; `at`: Unix seconds, None if unknown."""
        self._severities[severity] += times
        self._time_spans.add((code, severity), at, times)

    def mark_batch(self, row: Record, findings: Iterable[Finding]) -> None:
        """Record the batch of a row as failing, and count its illegal move, if it made one."""
        for finding in findings:
            if finding.rule in ("H501", "H502"):
                known, status = (str(finding.fields[name]) for name in ("known_status", "status"))
                if status not in self._reach[known]:
                    self._moves[known, status] += 1
            if finding.rule in self.enabled_rules and finding.batch_id is not None:
                rank = SEVERITIES.index(finding.severity)
                worst, first = self._marked.get(finding.batch_id, (rank, row.number))
                self._marked[finding.batch_id] = min(worst, rank), min(first, row.number)

    def finish_batch(self, batch_id: str, record: BatchRecord) -> None:
        """Add a batch after its last row."""
        self.failing_count += batch_id in self._marked
        route = tuple(record.steps_taken)
        self.add_route(route)
        if record.status is not None:
            self.add_final_status(record.status)
        for status, entered, left in stays(route):
            begin, end = record.times[entered], record.times[left]
            if begin is not None and end is not None and end >= begin:
                self.add_dwell(status, rounded(end - begin))
        self.keep_example(batch_id, record)

    def add_route(self, route: tuple[RouteStep, ...], times: int = 1) -> None:
        """Count the steps of a route that batches took."""
        for step in route:
            self._steps[step.source, step.target, step.event is None] += times

    def add_final_status(self, status: str, times: int = 1) -> None:
        """Count batches that are in a status at the end of the log."""
        self._final_statuses[status] += times

    def add_dwell(self, status: str, seconds: int, times: int = 1) -> None:
        """Count batches that left a status after so many seconds; `seconds`: as `rounded` returns them."""
        self._dwell_times[status][seconds] += times

    def keep_example(self, batch_id: str, record: BatchRecord) -> None:
        """Keep the timeline of a batch if it ranks among the first with findings, or among the first without."""
        mark = self._marked.pop(batch_id, None)
        if mark is not None:
            _insert(self._failing, FAILING_MAX, mark, batch_id, record)
        else:
            _insert(self._clean, CLEAN_MAX, (self._sample_key(batch_id), batch_id), batch_id, record)

    def result(self) -> LogStatistics:
        """Return the statistics of the batches so far."""
        legal = [
            StepCount(source, target, times, "gap" if gap else "step")
            for (source, target, gap), times in self._steps.items()
        ]
        illegal = [StepCount(source, target, times, "illegal") for (source, target), times in self._moves.items()]
        statuses = self.dialect.lifecycle.statuses
        order = {name: place for place, name in enumerate((None, *statuses))}
        return LogStatistics(
            dialect=self.dialect,
            step_counts=tuple(
                sorted((*legal, *illegal), key=lambda each: (order[each.source], order[each.target], each.kind))
            ),
            final_statuses={name: self._final_statuses[name] for name in statuses if name in self._final_statuses},
            dwell_times={name: dict(self._dwell_times[name]) for name in statuses if name in self._dwell_times},
            span_s=self._time_spans.span_s,
            findings_over_time=self._time_spans.counts(),
            untimed_count=self._time_spans.untimed_count,
            findings_by_severity={severity: self._severities[severity] for severity in SEVERITIES},
            failing_count=self.failing_count,
            failing_examples=tuple(timeline for _, timeline in self._failing),
            clean_examples=tuple(timeline for _, timeline in self._clean),
        )


def _insert(examples: list[_Example], most: int, rank: tuple[Any, ...], batch_id: str, record: BatchRecord) -> None:
    """Insert the timeline of a batch into examples that are sorted by rank; keep the first `most` of them."""
    if len(examples) < most or rank < examples[-1][0]:
        insort(examples, (rank, timeline_of(batch_id, record)), key=itemgetter(0))
        del examples[most:]


def has_provable_routes(dialect: Dialect) -> bool:
    """Return whether stamps prove the routes of healthy batches: each status has one, and no cycle hides an entry."""
    has_all = not dialect.optional_stamps and all(state.stamp is not None for state in dialect.lifecycle.states)
    return has_all and not router(dialect).is_cyclic


@lru_cache(maxsize=1024)  # Healthy logs show a few dozen routes.
def stays(route: tuple[RouteStep, ...]) -> tuple[tuple[str, int, int], ...]:
    """Return the stays of a route: each status, and the indices of the steps that enter and leave it."""
    entered: dict[str, int] = {}
    found = []
    for index, step in enumerate(route):
        # Behind a gap the length of the stay is unknown.
        if step.source in entered and step.event is not None:
            found.append((str(step.source), entered[str(step.source)], index))
        entered[step.target] = index
    return tuple(found)


def rounded(seconds: int) -> int:
    """Return a duration rounded down to three digits, so that a log has few different ones."""
    unit = 1
    while seconds >= _DIGITS * unit:
        unit *= 10
    return seconds // unit * unit
