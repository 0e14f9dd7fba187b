"""Rows judged one by one: streamed while each batch is in order of observation, else dealt out and sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from math import inf
from typing import Any, Final

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.incremental import IncrementalState
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.auditing.spill import BUCKETS, SpillFile, bucket
from batchfsm.auditing.statistics import LogStatistics, StatisticsCollector
from batchfsm.dialects import Dialect
from batchfsm.finding import Finding
from batchfsm.history import BatchRecord, Fold
from batchfsm.logs import RawRecord, Record, UnreadableEntry, parse_records
from batchfsm.rules import HISTORY, RULES, needs
from batchfsm.wire import reader

_NEEDED: Final = frozenset().union(*map(needs, RULES)) - {HISTORY}

Told = Callable[[Record, list[Finding]], None]
"""What takes the findings of a row."""

Ended = Callable[[str, BatchRecord], None]
"""What takes a batch: its id, and what is known of it."""


def one_by_one(
    log: Iterable[RawRecord | UnreadableEntry],
    dialect: Dialect,
    blank: FindingsAccumulator,
    skew_s: float,
    *,
    is_repeatable: bool = False,
    past: IncrementalState | None = None,
    meter: ProgressMeter | None = None,
) -> tuple[FindingsAccumulator, LogStatistics]:
    """
    Judge a log row by row, and gather what its batches went through.

    Args:
        log: What stands in it, in order of place.
        dialect: Whose rules they are.
        blank: What the run's tally begins as.
        skew_s: How far a stamp may lie after its observation; seconds.
        is_repeatable: True if the log can be read a second time; else it is kept on disk.
        past: What is known from runs before; None if nothing is, and nothing is to be kept.
        meter: Who counts what is done; None if nobody waits.
    """
    fold, counter = Fold(dialect, skew_s=skew_s), meter or ProgressMeter(None)

    def read() -> Iterator[Record | UnreadableEntry]:
        counter.begin("reading", counter.size)
        found = counter.watched(parse_records(log, reader(dialect)))
        return found if past is None else past.in_time(found)

    with ExitStack() as stack:
        spool = None if is_repeatable else stack.enter_context(closing(SpillFile()))
        live = read()
        judging, gathering = _judging(fold, attrs.evolve(blank), dialect, past)
        if not stream(live if spool is None else _kept(live, spool), judging):
            # Somewhere a snapshot came after a later one. What was judged so far may be wrong: begin again.
            judging, gathering = _judging(fold, attrs.evolve(blank), dialect, past)
            sort(read() if spool is None else chain(spool, live), judging, counter)
        judging.tally.batches = judging.batches
        return judging.tally, gathering.flow()


def stream(log: Iterable[Record | UnreadableEntry], judge: RowEngine) -> bool:
    """Judge rows as they come; False, and nothing counts, once one comes behind a later one of its batch."""
    latest: dict[str, float] = {}
    for row in log:
        if isinstance(row, UnreadableEntry):
            judge.tally.miss(row)
            continue
        parsed = row.parsed
        batch_id, seen_at = parsed.id, parsed.observed_at
        if batch_id is None:
            judge.alone(row)
            continue
        if seen_at is not None:
            if seen_at < latest.get(batch_id, -inf):
                return False
            latest[batch_id] = seen_at
        judge.next(row)
    judge.forget()
    return True


def sort(log: Iterable[Record | UnreadableEntry], judge: RowEngine, meter: ProgressMeter | None = None) -> None:
    """Deal the rows out to buckets on disk, and judge bucket by bucket, each batch in order."""
    with ExitStack() as stack:
        spools = [stack.enter_context(closing(SpillFile())) for _ in range(BUCKETS)]
        for row in log:
            if isinstance(row, UnreadableEntry):
                judge.tally.miss(row)
            elif not row.snapshot.is_named:
                judge.alone(row)
            else:
                spools[bucket(row.snapshot.id)].add(row)
        meter = meter or ProgressMeter(None)
        meter.begin("judging", BUCKETS)
        for spool in spools:
            for history in _histories(spool, judge.past).values():
                for _, _, row in sorted(history, key=lambda entry: entry[:2]):
                    judge.next(row)
                judge.forget()
                meter.tick(len(history))
            meter.read(1)


def _histories(spool: Iterable[Any], past: IncrementalState | None) -> dict[str, list[tuple[float, int, Record]]]:
    histories: dict[str, list[tuple[float, int, Record]]] = {}
    for row in spool:
        history = histories.setdefault(row.snapshot.id, [])
        first = -inf if past is None else past.since(row.snapshot.id)
        before = history[-1][0] if history else first
        seen_at = row.snapshot.observed_at
        # One that does not say when it was seen, was seen when the one before it in the log was.
        history.append((before if seen_at is None else seen_at, row.number, row))
    return histories


@attrs.define(eq=False)
class RowEngine:
    """The fold of each batch, and what it told."""

    fold: Fold
    tally: FindingsAccumulator
    told: Told
    """What takes the findings of each row."""
    ended: Ended | None = None
    """What takes each batch, once no more of its rows will come."""
    past: IncrementalState | None = None
    """What is known from runs before."""
    batches: int = attrs.field(init=False, default=0)
    """How many batches came, by id."""
    _tracks: dict[str, BatchRecord] = attrs.field(init=False, factory=dict)

    def alone(self, row: Record) -> None:
        """Judge a row without a readable id."""
        self._note(row, None)
        self.told(row, self.fold.judge(row.snapshot, row.place))

    def next(self, row: Record) -> None:
        """Judge the next row of its batch."""
        parsed = row.parsed
        track = self._tracks.get(parsed.id)
        if track is None:
            known = None if self.past is None else self.past.track(parsed.id)
            track = self._tracks[parsed.id] = known or BatchRecord()
            self.batches += 1
        if self.tally.select is not None:
            self._note(row, track)
        self.told(row, self.fold.advance(track, parsed, row.place))
        if not self.tally.judged:
            self.tally.judged = self.fold.can_judge(row.parsed)

    def forget(self) -> None:
        """Drop the batches: no more of their rows will come."""
        for batch_id, track in self._tracks.items():
            if self.ended is not None:
                self.ended(batch_id, track)
            if self.past is not None:
                self.past.ended(batch_id, track)
        self._tracks.clear()

    def _note(self, row: Record, track: BatchRecord | None) -> None:
        """Note what the log has, if rules were selected that need it."""
        if self.tally.select is not None:
            self.tally.given |= {name for name in _NEEDED if getattr(row.snapshot, name) is not None}
            if track is not None and track.row is not None:
                self.tally.given.add(HISTORY)


def _judging(
    fold: Fold, tally: FindingsAccumulator, dialect: Dialect, past: IncrementalState | None
) -> tuple[RowEngine, StatisticsCollector]:
    gathering = StatisticsCollector(dialect, tally.wanted)

    def told(row: Record, findings: list[Finding]) -> None:
        tally.snapshots += 1
        if findings:
            tally.take(row.number, findings)
            gathering.told(row, findings)

    return RowEngine(fold, tally, told, gathering.ended, past), gathering


def _kept(live: Iterator[Record | UnreadableEntry], spool: SpillFile) -> Iterator[Record | UnreadableEntry]:
    """Pass rows on, and keep those of a source that cannot be read twice."""
    for row in live:
        spool.add(row)
        yield row
