"""
The engine for large logs: compiled rules check decoded rows, and the row engine checks everything else.

If a row of a batch cannot be decoded, the row engine checks the whole batch: each batch is checked by one of the two
from its first row to its last. The row engine also explains the findings that are listed; `DisagreementError` is
raised unless it finds the same violations as the compiled rules.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.columns import row_arrays
from batchfsm.auditing.columns.layout import COLUMNS, COUNTS_SET, UNKNOWN, WARNING_BITS, RowBatch, RowSource
from batchfsm.auditing.columns.lookup_tables import BIT, lookup_tables
from batchfsm.auditing.columns.partition import OutOfOrderError, Partition
from batchfsm.auditing.columns.partitioner import HashPartitioner
from batchfsm.auditing.columns.statistics import StatisticsReader, Weight
from batchfsm.auditing.columns.text_values import id_hashes
from batchfsm.auditing.columns.witness_selection import RowSelection, WitnessSelection
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.auditing.row_engine import RowEngine, sort, stream
from batchfsm.auditing.statistics import StatisticsCollector
from batchfsm.dialects import Dialect
from batchfsm.errors import BatchfsmError
from batchfsm.finding import Finding
from batchfsm.history import BatchRecord, Fold
from batchfsm.logs import Record, UnreadableEntry
from batchfsm.rules import HISTORY, RULES

_UNDECODED_MAX: Final = 50_000
_UNDECODED_SHARE_MAX: Final = 0.2
_BATCH_BYTES: Final = 450
"""The memory that a batch takes in a `BatchTable` and beside it."""
_ROW_BYTES: Final = 16
"""The memory that a row takes for its slot, its redundancy and its place in the log."""
_NEEDED_COLUMNS: Final = ("created_at", "expires_at", "completion_window")


class _TooManyBatchesError(Exception):
    """The batches do not fit into memory together."""


class NotColumnarError(Exception):
    """Too few rows can be decoded: the row engine alone is as fast."""


class DisagreementError(BatchfsmError):
    """The compiled rules and the row engine found different violations: a bug of this library."""


class ColumnEngine:
    """One run over sources of rows."""

    def __init__(
        self,
        dialect: Dialect,
        blank: FindingsAccumulator,
        skew_s: float,
        memory: int,
        *,
        flow: bool = False,
        meter: ProgressMeter | None = None,
    ) -> None:
        """
        Prepare the rules.

        Args:
            dialect: The dialect of the log.
            blank: The empty tally that the run starts from.
            skew_s: How far a stamp may lie after its observation; seconds.
            memory: Memory for batches and rows; bytes.
            flow: Collect the statistics of a report.
            meter: Reports the progress; None for no reports.
        """
        self._dialect, self._has_statistics = dialect, flow
        self._blank, self._memory, self._meter = blank, memory, meter or ProgressMeter(None)
        self._fold = Fold(dialect, skew_s=skew_s)
        self._tables = lookup_tables(dialect, skew_s)
        self._weights: dict[str, Weight] = {
            code: dialect.severities.get(code, rule.severity) for code, rule in RULES.items()
        }
        self._reset(is_partitioned=False)

    def _reset(self, *, is_partitioned: bool) -> None:
        self._is_partitioned = is_partitioned  # Then rows need not come in order of observation.
        self._tally = attrs.evolve(self._blank)
        self.gathering = (
            StatisticsCollector(self._dialect, self._tally.wanted, lambda batch_id: id_hashes(batch_id)[0])
            if self._has_statistics
            else None
        )
        self._statistics = None if self.gathering is None else StatisticsReader(self.gathering, self._weights)
        self._row_engine = RowEngine(self._fold, self._tally, self._add_findings)
        self._undecoded: dict[int, None] = {}  # The numbers of rows with an id that are not decoded; in order.
        self._excluded: dict[str, tuple[int, int]] = {}  # The batches that the row engine checks, with their hashes.
        self._selection = WitnessSelection(self._tally.listed_max)

    def run(self, sources: Sequence[RowSource]) -> FindingsAccumulator:
        """
        Check all rows of some sources.

        Raises:
            NotColumnarError: If the row engine has to do it alone.
        """
        try:
            partition = Partition(self._tables)
            for base, batch in self._decoded_batches(sources, partition):
                numbers = range(base + batch.first, base + batch.first + batch.count)
                partition.check(batch.values, batch.observed_at, batch.decoded, numbers)
                self._check_memory(partition.table.size(), numbers.stop)
            scalar_rows = self._close(partition)
        except (OutOfOrderError, _TooManyBatchesError):
            self._reset(is_partitioned=True)
            scalar_rows = self._run_partitioned(sources)
        self._explain(sources, scalar_rows)
        return self._tally

    def _check_memory(self, batches: int, rows: int) -> None:
        if batches * _BATCH_BYTES + rows * _ROW_BYTES > self._memory:
            raise _TooManyBatchesError

    def _run_partitioned(self, sources: Sequence[RowSource]) -> list[int]:
        """Check the rows bucket by bucket; return the numbers of the rows that the row engine must check."""
        scalar_rows = list[int]()
        with HashPartitioner(sum(source.size for source in sources), self._memory) as partitioner:
            for base, batch in self._decoded_batches(sources, None):
                partitioner.add(batch, base)
            self._meter.begin("judging", partitioner.count)
            for bucket in partitioner.buckets(self._excluded.values()):
                partition = Partition(self._tables)
                partition.exclude(bucket.excluded)
                partition.check_unordered(bucket.rows, bucket.observed_at, bucket.numbers)
                scalar_rows += self._close(partition)
                self._meter.read(1)
                self._meter.tick(len(bucket.numbers))
        return sorted(scalar_rows)

    def _decoded_batches(
        self, sources: Sequence[RowSource], partition: Partition | None
    ) -> Iterator[tuple[int, RowBatch]]:
        """Yield each batch of rows behind the number of its source's first row; read what is not decoded."""
        base, undecoded = 0, 0
        self._meter.begin("reading", sum(source.size for source in sources))
        for source in sources:
            rows, done = 0, 0
            for batch in source.batches():
                rows += batch.count
                self._meter.read(source.bytes_read - done)
                self._meter.tick(batch.count)
                done = source.bytes_read
                others = batch.undecoded
                undecoded += len(others)
                if undecoded > max(_UNDECODED_MAX, _UNDECODED_SHARE_MAX * (base + rows)):
                    raise NotColumnarError
                excluded = self._read_undecoded(source, base, others) if others else []
                if partition is not None and excluded:
                    partition.exclude(excluded)
                self._tally.snapshots += batch.count - len(others)
                self._note_fields(batch)
                yield base, batch
            base += rows

    def _read_undecoded(self, source: RowSource, base: int, numbers: list[int]) -> list[tuple[int, int]]:
        """Read rows that are not decoded; return the hashes of the ids of their batches."""
        excluded = {}
        for row in source.reread(numbers, base):
            if isinstance(row, UnreadableEntry):
                self._tally.miss(row)
            elif not row.snapshot.is_named:
                self._row_engine.alone(row)
            else:
                self._tally.snapshots += 1
                excluded[row.snapshot.id] = id_hashes(row.snapshot.id)
                self._undecoded[int(row.number)] = None
        self._excluded |= excluded
        return [*excluded.values()]

    def _note_fields(self, batch: RowBatch) -> None:
        """Note which fields the log has, if rules were selected that need them."""
        given = self._tally.given
        if self._tally.select is None or not any(batch.decoded):
            return
        given.add("id")
        given |= {
            name for name in _NEEDED_COLUMNS if row_arrays.any_set(batch.values, batch.decoded, COLUMNS.index(name))
        }
        if row_arrays.any_flag(batch.values, batch.decoded, COUNTS_SET):
            given.add("request_counts")
        if any(at == at for at, is_decoded in zip(batch.observed_at, batch.decoded, strict=True) if is_decoded):  # noqa: PLR0124
            given.add("observed_at")

    def _close(self, partition: Partition) -> list[int]:
        """Count what a partition violates and select what is listed; return the numbers of the row engine's rows."""
        tally, found, excluded = self._tally, partition.violations, partition.excluded
        tally.batches += partition.table.size()
        statuses = partition.table.statuses()
        tally.judged = tally.judged or (len(statuses) > 0 and max(statuses) >= 0)
        if self._statistics is not None:
            self._statistics.add(partition)
        counts, wanted = array("q", bytes(8 * 64)), 0
        row_arrays.count_rules(found.masks, found.slots, excluded, counts)
        for code, bit in BIT.items():
            weight = self._weights[code]
            if weight != "off" and code in tally.wanted:
                wanted |= bit
                times = counts[bit.bit_length() - 1]
                warnings = counts[WARNING_BITS[code].bit_length() - 1] if code in WARNING_BITS else 0
                tally.count(code, times, is_error=weight == "error" and times > warnings)
        # A batch that the row engine checks may have no decoded row, and then has no status, not even an unknown one.
        if tally.select is not None and partition.rows_count > sum(status >= UNKNOWN for status in statuses):
            tally.given.add(HISTORY)
        self._selection.add(partition, wanted)
        return partition.rows_of(excluded) if any(excluded) else []

    def _explain(self, sources: Sequence[RowSource], scalar_rows: list[int]) -> None:
        """Let the row engine check its own batches and explain the rows that are listed."""
        # In a partitioned log the time of a row without one depends on its neighbours.
        selected = self._selection.select(is_whole=self._is_partitioned)
        own_rows = frozenset([*scalar_rows, *self._undecoded])
        numbers = sorted({*own_rows, *selected.numbers})
        if self._statistics is not None:
            self._replay(sources, own_rows, self._statistics)
        if not numbers:
            return
        before = self._tally

        def add_findings(row: Record, findings: list[Finding]) -> None:
            if int(row.number) in own_rows:
                self._tally.take(row.number, findings)
            elif (mask := selected.masks.get(int(row.number))) is not None:
                self._compare(row, findings, mask)
                for finding in findings:
                    self._tally.show(row.number, finding)

        def rows(engine: RowEngine) -> Iterator[Record]:
            return self._check_independent(reread_rows(sources, numbers), selected, engine)

        self._tally = before.fork()
        engine = RowEngine(self._fold, self._tally, add_findings)
        if self._is_partitioned or not stream(rows(engine), engine):
            self._tally = before.fork()
            engine = RowEngine(self._fold, self._tally, add_findings)
            sort(rows(engine), engine)

    def _check_independent(self, rows: Iterator[Record], selected: RowSelection, engine: RowEngine) -> Iterator[Record]:
        """Explain the rows that need no history; yield the others."""
        for row in rows:
            if row.number in selected.independent:
                engine.told(row, self._fold.judge(row.snapshot, row.place))
            else:
                yield row

    def _replay(self, sources: Sequence[RowSource], own_rows: frozenset[int], statistics: StatisticsReader) -> None:
        """Let the row engine follow the batches whose routes columns do not give, and those that are drawn."""
        gathering = statistics.statistics
        replayed = frozenset(number for numbers in statistics.replayed for number in numbers)
        examples = frozenset(number for numbers in statistics.examples for number in numbers)
        followed: set[str] = set()

        def add_findings(row: Record, findings: list[Finding]) -> None:
            number = int(row.number)
            if number in own_rows:
                gathering.told(row, findings)
            else:
                gathering.mark(row, findings)
            if number in own_rows or number in replayed:
                followed.add(row.snapshot.id)

        def finish_batch(batch_id: str, track: BatchRecord) -> None:
            (gathering.ended if batch_id in followed else gathering.keep)(batch_id, track)

        numbers = sorted({*own_rows, *replayed, *examples})
        sort(
            reread_rows(sources, numbers),
            RowEngine(self._fold, attrs.evolve(self._blank), add_findings, finish_batch),
        )

    def _compare(self, row: Record, findings: list[Finding], mask: int) -> None:
        """Raise DisagreementError unless the findings are those of the mask."""
        found = sum(BIT[finding.rule] for finding in findings if finding.rule in self._tally.wanted)
        if found != mask:
            codes = [code for code, bit in BIT.items() if bit & (found ^ mask)]
            raise DisagreementError(f"the two readings of {', '.join(codes)} disagree at {row.place}: please report it")

    def _add_findings(self, row: Record, findings: list[Finding]) -> None:
        self._tally.snapshots += 1
        self._tally.take(row.number, findings)
        if self.gathering is not None:
            self.gathering.told(row, findings)


def reread_rows(sources: Sequence[RowSource], numbers: list[int]) -> Iterator[Record]:
    """
    Read rows again that have an id.

    Args:
        sources: In the order of the log.
        numbers: Row numbers, counted over all sources; sorted, without duplicates.
    """
    base, at = 0, 0
    for source in sources:
        end = bisect_left(numbers, base + source.rows_count)
        if end > at:
            for row in source.reread([number - base for number in numbers[at:end]], base):
                if isinstance(row, Record) and row.snapshot.is_named:
                    yield row
        base, at = base + source.rows_count, end
