"""What the batches of a log went through, gathered while they are judged: for the pictures of a report."""

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

TROUBLED_MAX: Final = 100
"""How many batches with findings are kept with their lives, those with errors first."""

CLEAN_MAX: Final = 20
"""How many batches without a finding are kept, as a sample."""

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""The worst first."""

SPANS_MAX: Final = 200
"""Into how many spans of time findings are counted at the most."""

_SPANS: Final = (60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000, 31_536_000, 3_153_600_000)
_TIME_END: Final = 253_402_300_800  # The year 10000, which no calendar of Python's has.
_DIGITS: Final = 1_000

_Shown = tuple[tuple[Any, ...], BatchTimeline]
"""A batch that is shown so far, behind its rank among those of its kind."""


@attrs.frozen(kw_only=True, eq=False)
class LogStatistics:
    """What the batches of a log went through."""

    dialect: Dialect
    """Whose lifecycle they were judged by."""

    taken: tuple[StepCount, ...]
    """How often each step was taken, and what was no step; in the order of the lifecycle."""

    now: Mapping[str, int]
    """How many batches are in each status at the end of the log."""

    dwell: Mapping[str, Mapping[int, int]]
    """How long batches stayed in a status that they left: seconds, three digits of them, to how many."""

    span_s: int
    """How long each span of time is in `when`; seconds."""

    when: Mapping[tuple[str, Severity], Mapping[int, int]]
    """When findings came: rule and severity to the beginning of a span, Unix seconds, to how many. By the time of
    observation; where a row has none, by `created_at`."""

    untimed: int
    """How many findings have no time."""

    weighed: Mapping[Severity, int]
    """How many findings have each severity; exact."""

    troubled_count: int
    """How many batches have findings; exact."""

    troubled: tuple[BatchTimeline, ...]
    """Some of them: those with errors first, each kind in the order of their first findings in the log."""

    clean: tuple[BatchTimeline, ...]
    """Some of those without, chosen by a digest of their ids. Rows and columns have another digest each,
    for columns do not hold the ids: of many batches the two may choose others."""


@attrs.define(eq=False)
class _Spans:
    """Counts over time, in spans that grow with the time they cover: there are never more than a chart can show."""

    untimed: int = 0
    span_s: int = _SPANS[0]
    _first: int = _TIME_END
    _last: int = 0
    _counts: dict[int, Counter[tuple[str, Severity]]] = attrs.field(factory=lambda: defaultdict(Counter))

    def add(self, what: tuple[str, Severity], at: float | None, times: int) -> None:
        """Count so many."""
        if at is None or not 0 <= at < _TIME_END:
            self.untimed += times
            return
        self._first, self._last = min(self._first, int(at)), max(self._last, int(at))
        while self._last // self.span_s - self._first // self.span_s >= SPANS_MAX:
            self._widen()
        self._counts[int(at) // self.span_s][what] += times

    def counts(self) -> dict[tuple[str, Severity], dict[int, int]]:
        """Return the counts by what was counted, and by the beginning of the span."""
        found: dict[tuple[str, Severity], dict[int, int]] = {}
        for span, counter in sorted(self._counts.items()):
            for what, times in counter.items():
                found.setdefault(what, {})[span * self.span_s] = times
        return found

    def _widen(self) -> None:
        wider = _SPANS[_SPANS.index(self.span_s) + 1]
        counts: dict[int, Counter[tuple[str, Severity]]] = defaultdict(Counter)
        for span, counter in self._counts.items():
            counts[span * self.span_s // wider].update(counter)
        self.span_s, self._counts = wider, counts


def digest_of(batch_id: str) -> int:
    """Return the digest that decides which batches are shown of those without a finding: the lowest."""
    return crc32(batch_id.encode("utf-8", "surrogatepass"))


@attrs.define(eq=False)
class StatisticsCollector:
    """Takes down what a `LogStatistics` is made of."""

    dialect: Dialect
    wanted: frozenset[str]
    """Codes of the rules that are reported."""
    _digest: Callable[[str], int] = digest_of
    troubled_count: int = attrs.field(init=False, default=0)
    """How many batches have findings."""
    _reach: Mapping[str, frozenset[str]] = attrs.field(init=False)
    _moves: Counter[tuple[str, str]] = attrs.field(init=False, factory=Counter)
    _steps: Counter[tuple[str | None, str, bool]] = attrs.field(init=False, factory=Counter)
    _now: Counter[str] = attrs.field(init=False, factory=Counter)
    _dwell: dict[str, Counter[int]] = attrs.field(init=False, factory=lambda: defaultdict(Counter))
    _when: _Spans = attrs.field(init=False, factory=_Spans)
    _weighed: Counter[Severity] = attrs.field(init=False, factory=Counter)
    _marked: dict[str, tuple[int, float]] = attrs.field(init=False, factory=dict)
    """The batches with findings whose end is not there yet: their worst, and the number of the first row with one."""
    _troubled: list[_Shown] = attrs.field(init=False, factory=list)
    _clean: list[_Shown] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Know who reaches whom."""
        self._reach = topology(self.dialect.lifecycle).reach

    def told(self, row: Record, findings: Iterable[Finding]) -> None:
        """Take down what a row breaches."""
        seen_at, born_at = row.snapshot.observed_at, row.snapshot.created_at
        for finding in findings:
            if finding.rule in self.wanted:
                self.count(finding.rule, finding.severity, born_at if seen_at is None else seen_at)
        self.mark(row, findings)

    def count(self, code: str, severity: Severity, at: float | None, times: int = 1) -> None:
        """Take down that there were findings; `at`: Unix seconds, None if nobody knows."""
        self._weighed[severity] += times
        self._when.add((code, severity), at, times)

    def mark(self, row: Record, findings: Iterable[Finding]) -> None:
        """Take down whose the findings of a row are, and where it went that no walk leads to."""
        for finding in findings:
            if finding.rule in ("H501", "H502"):
                known, status = (str(finding.fields[name]) for name in ("known_status", "status"))
                if status not in self._reach[known]:
                    self._moves[known, status] += 1
            if finding.rule in self.wanted and finding.batch_id is not None:
                rank = SEVERITIES.index(finding.severity)
                worst, first = self._marked.get(finding.batch_id, (rank, row.number))
                self._marked[finding.batch_id] = min(worst, rank), min(first, row.number)

    def ended(self, batch_id: str, track: BatchRecord) -> None:
        """Take down a batch of which no more rows come."""
        self.troubled_count += batch_id in self._marked
        self.go(tuple(track.steps_taken))
        if track.status is not None:
            self.stay_in(track.status)
        for status, entered, left in stays(tuple(track.steps_taken)):
            begun, end = track.times[entered], track.times[left]
            if begun is not None and end is not None and end >= begun:
                self.stay(status, rounded(end - begun))
        self.keep(batch_id, track)

    def go(self, legs: tuple[RouteStep, ...], times: int = 1) -> None:
        """Take down that batches went a way."""
        for leg in legs:
            self._steps[leg.source, leg.target, leg.event is None] += times

    def stay_in(self, status: str, times: int = 1) -> None:
        """Take down in which status batches are at the end."""
        self._now[status] += times

    def stay(self, status: str, seconds: int, times: int = 1) -> None:
        """Take down that batches left a status, and after how long; `rounded`."""
        self._dwell[status][seconds] += times

    def keep(self, batch_id: str, track: BatchRecord) -> None:
        """Keep the life of a batch, if there is room for one more of its kind."""
        mark = self._marked.pop(batch_id, None)
        if mark is not None:
            _show(self._troubled, TROUBLED_MAX, mark, batch_id, track)
        else:
            _show(self._clean, CLEAN_MAX, (self._digest(batch_id), batch_id), batch_id, track)

    def flow(self) -> LogStatistics:
        """Return what was gathered."""
        legal = [
            StepCount(source, target, times, "gap" if gap else "step")
            for (source, target, gap), times in self._steps.items()
        ]
        illegal = [StepCount(source, target, times, "illegal") for (source, target), times in self._moves.items()]
        order = {name: place for place, name in enumerate((None, *self.dialect.lifecycle.statuses))}
        return LogStatistics(
            dialect=self.dialect,
            taken=tuple(
                sorted((*legal, *illegal), key=lambda each: (order[each.source], order[each.target], each.kind))
            ),
            now={name: self._now[name] for name in self.dialect.lifecycle.statuses if name in self._now},
            dwell={name: dict(self._dwell[name]) for name in self.dialect.lifecycle.statuses if name in self._dwell},
            span_s=self._when.span_s,
            when=self._when.counts(),
            untimed=self._when.untimed,
            weighed={severity: self._weighed[severity] for severity in SEVERITIES},
            troubled_count=self.troubled_count,
            troubled=tuple(life for _, life in self._troubled),
            clean=tuple(life for _, life in self._clean),
        )


def _show(shown: list[_Shown], most: int, rank: tuple[Any, ...], batch_id: str, track: BatchRecord) -> None:
    """Take a batch among those that are shown, if it is one of the first so many by rank."""
    if len(shown) < most or rank < shown[-1][0]:
        insort(shown, (rank, timeline_of(batch_id, track)), key=itemgetter(0))
        del shown[most:]


def are_told_by_stamps(dialect: Dialect) -> bool:
    """Tell whether stamps prove the ways of healthy batches: each status has one, and no cycle hides an entry."""
    has_all = not dialect.optional and all(state.stamp is not None for state in dialect.lifecycle.states)
    return has_all and not router(dialect).is_cyclic


@lru_cache(maxsize=1024)  # Healthy logs show a few dozen ways.
def stays(legs: tuple[RouteStep, ...]) -> tuple[tuple[str, int, int], ...]:
    """Return the stays of a way: status, and the places of the legs that enter and leave it."""
    entered: dict[str, int] = {}
    found = []
    for place, leg in enumerate(legs):
        # Across a gap nobody knows how long it stayed.
        if leg.source in entered and leg.event is not None:
            found.append((str(leg.source), entered[str(leg.source)], place))
        entered[leg.target] = place
    return tuple(found)


def rounded(seconds: int) -> int:
    """Return a duration with three digits: so there are never many different ones."""
    unit = 1
    while seconds >= _DIGITS * unit:
        unit *= 10
    return seconds // unit * unit
