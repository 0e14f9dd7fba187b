"""The row engine: it checks a log row by row, in one pass if every batch is in order of observation, else sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from math import inf
from typing import Any, Final, Protocol, TypeVar

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
from batchfsm.rules import HISTORY, RULES, required_fields
from batchfsm.wire import reader

_NEEDED_FIELDS: Final = frozenset().union(*map(required_fields, RULES)) - {HISTORY}

FindingsSink = Callable[[Record, list[Finding]], None]
"""Receives each row and its findings."""

BatchSink = Callable[[str, BatchRecord], None]
"""Receives the id and the record of each batch after its last row."""


class BatchChecker(Protocol):
    """Checks the rows of batches: a `RowEngine`, or one for each dialect."""

    accumulator: FindingsAccumulator
    state: IncrementalState | None

    @property
    def batches(self) -> int:
        """How many batches came."""

    def check_snapshot(self, row: Any, /) -> None:
        """Check a row without a readable id."""

    def check_next(self, row: Any, /) -> None:
        """Check the next row of its batch."""

    def finish(self) -> None:
        """Drop the batches: none of their rows is left."""


EngineT = TypeVar("EngineT", bound=BatchChecker)


def audit_rows(
    log: Iterable[RawRecord | UnreadableEntry],
    dialect: Dialect,
    template: FindingsAccumulator,
    skew_s: float,
    *,
    is_repeatable: bool = False,
    state: IncrementalState | None = None,
    meter: ProgressMeter | None = None,
) -> tuple[FindingsAccumulator, LogStatistics]:
    """
    Check a log row by row, and collect the statistics of its batches.

    Args:
        log: The raw records of the log, in order of place.
        dialect: The dialect of the log.
        template: The empty accumulator that the run starts from.
        skew_s: How far a stamp may lie after its observation; seconds.
        is_repeatable: True if the log can be read a second time; else its rows are kept on disk.
        state: The batches of earlier runs; None for a run of its own.
        meter: Reports the progress; None for no reports.
    """
    fold, counter = Fold(dialect, skew_s=skew_s), meter or ProgressMeter(None)

    def read() -> Iterator[Record | UnreadableEntry]:
        counter.begin("reading", counter.size)
        found = counter.count_rows(parse_records(log, reader(dialect)))
        return found if state is None else state.drop_late_rows(found)

    def start() -> RowEngine:
        return new_engine(fold, attrs.evolve(template), dialect, state)

    engine = run(read, start, is_repeatable=is_repeatable, meter=counter)
    assert engine.collector is not None  # noqa: S101  # `new_engine` sets it.
    return engine.accumulator, engine.collector.result()


def run(
    read: Callable[[], Iterator[Record | UnreadableEntry]],
    start: Callable[[], EngineT],
    *,
    is_repeatable: bool,
    meter: ProgressMeter,
) -> EngineT:
    """
    Check the rows of a log, in one pass if they are in order of observation; return the engine that has done so.

    Args:
        read: Returns the rows from the beginning; called a second time only if the log is repeatable.
        start: Returns an engine that has checked nothing.
        is_repeatable: True if the log can be read a second time; else its rows are kept on disk.
        meter: Reports the progress.
    """
    with ExitStack() as stack:
        spill = None if is_repeatable else stack.enter_context(closing(SpillFile()))
        rows, engine = read(), start()
        kept = rows if spill is None else _spill_while_reading(rows, spill)
        if not run_in_order(_count_places(kept, engine.accumulator), engine):
            # A snapshot came after a later one of its batch, so what was found before may be wrong: start again.
            engine = start()
            again = read() if spill is None else chain(spill, rows)
            run_sorted(_count_places(again, engine.accumulator), engine, meter)
        engine.accumulator.batches = engine.batches
        return engine


def run_in_order(log: Iterable[Record | UnreadableEntry], engine: BatchChecker) -> bool:
    """Check rows as they come; return False, with the run unfinished, if one comes behind a later one of its batch."""
    latest: dict[str, float] = {}
    for row in log:
        if isinstance(row, UnreadableEntry):
            engine.accumulator.add_unreadable(row)
            continue
        parsed = row.parsed
        batch_id, observed_at = parsed.id, parsed.observed_at
        if batch_id is None:
            engine.check_snapshot(row)
            continue
        if observed_at is not None:
            if observed_at < latest.get(batch_id, -inf):
                return False
            latest[batch_id] = observed_at
        engine.check_next(row)
    engine.finish()
    return True


def run_sorted(
    log: Iterable[Record | UnreadableEntry], engine: BatchChecker, meter: ProgressMeter | None = None
) -> None:
    """Write rows to buckets on disk by batch, then check bucket by bucket, each batch in order of observation."""
    with ExitStack() as stack:
        files = [stack.enter_context(closing(SpillFile())) for _ in range(BUCKETS)]
        for row in log:
            if isinstance(row, UnreadableEntry):
                engine.accumulator.add_unreadable(row)
            elif not row.snapshot.is_named:
                engine.check_snapshot(row)
            else:
                files[bucket(row.snapshot.id)].add(row)
        meter = meter or ProgressMeter(None)
        meter.begin("judging", BUCKETS)
        for file in files:
            for history in _histories(file, engine.state).values():
                for _, _, row in sorted(history, key=lambda entry: entry[:2]):
                    engine.check_next(row)
                engine.finish()
                meter.add_rows(len(history))
            meter.add_size(1)


def _histories(rows: Iterable[Any], state: IncrementalState | None) -> dict[str, list[tuple[float, int, Record]]]:
    """Return the rows of each batch, behind their time of observation and their number."""
    histories: dict[str, list[tuple[float, int, Record]]] = {}
    for row in rows:
        history = histories.setdefault(row.snapshot.id, [])
        first = -inf if state is None else state.since(row.snapshot.id)
        before = history[-1][0] if history else first
        observed_at = row.snapshot.observed_at
        # A row without time counts as observed when the row before it in the log was.
        history.append((before if observed_at is None else observed_at, row.number, row))
    return histories


@attrs.define(eq=False)
class RowEngine:
    """Folds the rows of each batch, and passes their findings on."""

    fold: Fold
    accumulator: FindingsAccumulator
    add_findings: FindingsSink
    finish_batch: BatchSink | None = None
    state: IncrementalState | None = None
    """The batches of earlier runs; None for a run of its own."""
    collector: StatisticsCollector | None = None
    """The statistics of its batches, where they are collected."""
    batches: int = attrs.field(init=False, default=0)
    """How many batches came, by id."""
    _records: dict[str, BatchRecord] = attrs.field(init=False, factory=dict)

    def check_snapshot(self, row: Record) -> None:
        """Check a row without a readable id."""
        self._note_fields(row, None)
        self.add_findings(row, self.fold.judge(row.snapshot, row.place))

    def check_next(self, row: Record) -> None:
        """Check the next row of its batch."""
        parsed = row.parsed
        record = self._records.get(parsed.id)
        if record is None:
            known = None if self.state is None else self.state.record(parsed.id)
            record = self._records[parsed.id] = known or BatchRecord()
            self.batches += 1
        if self.accumulator.select is not None:
            self._note_fields(row, record)
        self.add_findings(row, self.fold.advance(record, parsed, row.place))
        if not self.accumulator.judged:
            self.accumulator.judged = self.fold.can_judge(row.parsed)

    def finish(self) -> None:
        """Pass the batches on and drop them: none of their rows is left."""
        for batch_id, record in self._records.items():
            if self.finish_batch is not None:
                self.finish_batch(batch_id, record)
            if self.state is not None:
                self.state.store(batch_id, record)
        self._records.clear()

    def _note_fields(self, row: Record, record: BatchRecord | None) -> None:
        """Note which fields the log has, if rules were selected that need them."""
        if self.accumulator.select is not None:
            available = self.accumulator.available_fields
            available |= {name for name in _NEEDED_FIELDS if getattr(row.snapshot, name) is not None}
            if record is not None and record.row is not None:
                available.add(HISTORY)


def new_engine(
    fold: Fold, accumulator: FindingsAccumulator, dialect: Dialect, state: IncrementalState | None = None
) -> RowEngine:
    """Return an engine that passes findings to an accumulator and to statistics of its own."""
    statistics = StatisticsCollector(dialect, accumulator.enabled_rules)

    def add_findings(row: Record, findings: list[Finding]) -> None:
        accumulator.snapshots += 1
        if findings:
            accumulator.add(row.number, findings)
            statistics.add_findings(row, findings)

    return RowEngine(fold, accumulator, add_findings, statistics.finish_batch, state, statistics)


def _count_places(
    rows: Iterable[Record | UnreadableEntry], accumulator: FindingsAccumulator
) -> Iterator[Record | UnreadableEntry]:
    """Yield rows, and count their places."""
    for row in rows:
        accumulator.add_place(row.place)
        yield row


def _spill_while_reading(
    rows: Iterator[Record | UnreadableEntry], spill: SpillFile
) -> Iterator[Record | UnreadableEntry]:
    """Yield rows, and keep a copy of each on disk."""
    for row in rows:
        spill.add(row)
        yield row
