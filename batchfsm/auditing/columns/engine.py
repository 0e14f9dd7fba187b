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
from batchfsm.auditing.columns.layout import COLUMNS, COUNTS_SET, HASH_SEED, UNKNOWN, WARNING_BITS, RowBatch, RowSource
from batchfsm.auditing.columns.lookup_tables import BIT, lookup_tables
from batchfsm.auditing.columns.partition import HashPartitioner, OutOfOrderError, Partition
from batchfsm.auditing.columns.statistics import STATISTICS_BITS, SeverityOrOff, StatisticsReader
from batchfsm.auditing.columns.text_values import id_hashes
from batchfsm.auditing.columns.witness_selection import RowSelection, WitnessSelection
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.auditing.row_engine import RowEngine, run_in_order, run_sorted
from batchfsm.auditing.statistics import StatisticsCollector
from batchfsm.dialects import Dialect
from batchfsm.errors import DisagreementError
from batchfsm.finding import Finding
from batchfsm.history import BatchRecord, Fold
from batchfsm.logs import Record, UnreadableEntry
from batchfsm.rules import HISTORY, ONCE_PER_STATUS, RULES, severity_in

_UNDECODED_MAX: Final = 50_000
_UNDECODED_SHARE_MAX: Final = 0.2
_BATCH_BYTES: Final = 470
"""The memory that a batch takes in a `BatchTable` and beside it."""
_ROW_BYTES: Final = 16
"""The memory that a row takes for its slot, its redundancy and its place in the log."""
_NEEDED_COLUMNS: Final = ("created_at", "expires_at", "completion_window")


class _TooManyBatchesError(Exception):
    """The batches do not fit into memory together."""


class NotColumnarError(Exception):
    """So many rows cannot be decoded that the row engine alone is as fast."""


class ColumnEngine:
    """One run over sources of rows."""

    def __init__(
        self,
        dialect: Dialect,
        template: FindingsAccumulator,
        skew_s: float,
        memory: int,
        *,
        has_statistics: bool = False,
        seed: int = HASH_SEED,
        meter: ProgressMeter | None = None,
    ) -> None:
        """
        Prepare the rules; the run starts from the empty accumulator `template`.

        A stamp may lie `skew_s` seconds after its observation. Batches and rows take `memory` bytes. `seed` is that of
        the hashes in the rows.
        """
        self._dialect, self._has_statistics, self._seed = dialect, has_statistics, seed
        self._template, self._memory, self._meter = template, memory, meter or ProgressMeter(None)
        self._fold = Fold(dialect, skew_s=skew_s)
        self._tables = lookup_tables(dialect, skew_s)
        self._severities: dict[str, SeverityOrOff] = {code: severity_in(dialect, rule) for code, rule in RULES.items()}
        self._reset(is_partitioned=False)

    def _reset(self, *, is_partitioned: bool) -> None:
        self._is_partitioned = is_partitioned  # Then rows need not come in order of observation.
        self._accumulator = attrs.evolve(self._template)
        enabled = self._accumulator.enabled_rules
        self.statistics, self._statistics_reader = None, None
        if self._has_statistics:
            self.statistics = StatisticsCollector(self._dialect, enabled, _unseeded_hash)
            self._statistics_reader = StatisticsReader(self.statistics, self._severities)
        self._reported = sum(bit for code, bit in BIT.items() if code in enabled and self._severities[code] != "off")
        self._recorded = self._reported | (STATISTICS_BITS if self._has_statistics else 0)
        self._row_engine = RowEngine(self._fold, self._accumulator, self._add_findings)
        self._undecoded: dict[int, None] = {}  # The numbers of rows with an id that are not decoded; in order.
        self._excluded: dict[str, tuple[int, int]] = {}  # The batches that the row engine checks, with their hashes.
        self._selection = WitnessSelection(self._accumulator.listed_max)

    def run(self, sources: Sequence[RowSource]) -> FindingsAccumulator:
        """Check all rows of some sources; NotColumnarError if the row engine has to do it alone."""
        try:
            partition = Partition(self._tables, self._recorded)
            for base, batch in self._decoded_batches(sources, partition):
                numbers = range(base + batch.first, base + batch.first + batch.count)
                partition.check(batch.values, batch.observed_at, batch.decoded, numbers)
                self._check_memory(partition.table.size(), numbers.stop)
            scalar_rows = self._finish_partition(partition)
        except (OutOfOrderError, _TooManyBatchesError):
            self._reset(is_partitioned=True)
            scalar_rows = self._run_partitioned(sources)
        self._explain(sources, scalar_rows)
        return self._accumulator

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
                partition = Partition(self._tables, self._recorded)
                partition.exclude(bucket.excluded)
                partition.check_unordered(bucket.rows, bucket.observed_at, bucket.numbers)
                scalar_rows += self._finish_partition(partition)
                self._meter.add_size(1)
                self._meter.add_rows(len(bucket.numbers))
        return sorted(scalar_rows)

    def _decoded_batches(
        self, sources: Sequence[RowSource], partition: Partition | None
    ) -> Iterator[tuple[int, RowBatch]]:
        """Yield the number of each source's first row with each of its row batches; read undecoded rows as records."""
        base, undecoded = 0, 0
        self._meter.begin("reading", sum(source.size for source in sources))
        for source in sources:
            rows, done = 0, 0
            for batch in source.batches():
                rows += batch.count
                self._meter.add_size(source.bytes_read - done)
                self._meter.add_rows(batch.count)
                done = source.bytes_read
                others = batch.undecoded
                undecoded += len(others)
                if undecoded > max(_UNDECODED_MAX, _UNDECODED_SHARE_MAX * (base + rows)):
                    raise NotColumnarError
                excluded = self._read_undecoded(source, base, others) if others else []
                if partition is not None and excluded:
                    partition.exclude(excluded)
                self._accumulator.snapshots += batch.count - len(others)
                self._accumulator.places += batch.count - len(others)
                self._record_fields(batch)
                yield base, batch
            base += rows

    def _read_undecoded(self, source: RowSource, base: int, numbers: list[int]) -> list[tuple[int, int]]:
        """Read rows that are not decoded, and exclude their batches; return the hashes of the ids of these batches."""
        excluded = {}
        for row in source.reread(numbers, base):
            self._accumulator.add_place(row.place)
            if isinstance(row, UnreadableEntry):
                self._accumulator.add_unreadable(row)
            elif not row.snapshot.is_named:
                self._row_engine.check_snapshot(row)
            else:
                self._accumulator.snapshots += 1
                excluded[row.snapshot.id] = id_hashes(row.snapshot.id, self._seed)
                self._undecoded[int(row.number)] = None
        self._excluded |= excluded
        return [*excluded.values()]

    def _record_fields(self, batch: RowBatch) -> None:
        """Record which fields some row of the log has set, if rules were selected by name."""
        available = self._accumulator.available_fields
        if self._accumulator.select is None or not any(batch.decoded):
            return
        available.add("id")
        available |= {
            name for name in _NEEDED_COLUMNS if row_arrays.any_set(batch.values, batch.decoded, COLUMNS.index(name))
        }
        if row_arrays.any_flag(batch.values, batch.decoded, COUNTS_SET):
            available.add("request_counts")
        if any(at == at for at, is_decoded in zip(batch.observed_at, batch.decoded, strict=True) if is_decoded):  # noqa: PLR0124
            available.add("observed_at")

    def _finish_partition(self, partition: Partition) -> list[int]:
        """Count the violations of a partition and select those to list; return the rows that the row engine checks."""
        accumulator, found, excluded = self._accumulator, partition.violations, partition.excluded
        accumulator.batches += partition.table.size()
        statuses = partition.table.statuses()
        accumulator.judged = accumulator.judged or any(status >= 0 for status in statuses)
        if self._statistics_reader is not None:
            self._statistics_reader.add(partition)
        counts = array("q", bytes(8 * 64))
        row_arrays.count_rules(found.masks, found.slots, excluded, counts)
        for code, bit in BIT.items():
            if bit & self._reported:
                times = counts[bit.bit_length() - 1]
                warnings = counts[WARNING_BITS[code].bit_length() - 1] if code in WARNING_BITS else 0
                is_error = self._severities[code] == "error" and times > warnings
                accumulator.add_count(code, times, is_error=is_error)
        # A batch that the row engine checks may have no decoded row, and then has no status, not even an unknown one.
        if accumulator.select is not None and partition.rows_count > sum(status >= UNKNOWN for status in statuses):
            accumulator.available_fields.add(HISTORY)
        self._selection.add(partition, self._reported)
        return partition.rows_of(excluded) if any(excluded) else []

    def _explain(self, sources: Sequence[RowSource], scalar_rows: list[int]) -> None:
        """Check the excluded batches and explain the listed findings, with the row engine."""
        # In a partitioned log the time of a row without one depends on its neighbours.
        selected = self._selection.select(is_whole=self._is_partitioned)
        own_rows = frozenset([*scalar_rows, *self._undecoded])
        numbers = sorted({*own_rows, *selected.numbers})
        if self._statistics_reader is not None:
            self._replay_for_statistics(sources, own_rows, self._statistics_reader)
        if not numbers:
            return
        before = self._accumulator

        def add_findings(row: Record, findings: list[Finding]) -> None:
            if int(row.number) in own_rows:
                self._accumulator.add(row.number, findings)
            elif (mask := selected.masks.get(int(row.number))) is not None:
                self._compare(row, findings, mask)
                for finding in findings:
                    self._accumulator.list_finding(row.number, finding)

        def rows(engine: RowEngine) -> Iterator[Record]:
            return self._check_independent(reread_rows(sources, numbers), selected, engine)

        self._accumulator = before.copy()
        engine = RowEngine(self._fold, self._accumulator, add_findings)
        if self._is_partitioned or not run_in_order(rows(engine), engine):
            self._accumulator = before.copy()
            engine = RowEngine(self._fold, self._accumulator, add_findings)
            run_sorted(rows(engine), engine)

    def _check_independent(self, rows: Iterator[Record], selected: RowSelection, engine: RowEngine) -> Iterator[Record]:
        """Explain the selected rows that need no history; yield all other rows."""
        for row in rows:
            if row.number in selected.independent:
                # Rules that are reported once for each status need the history: an earlier row has reported them.
                found = self._fold.judge(row.snapshot, row.place)
                engine.add_findings(row, [finding for finding in found if finding.rule not in ONCE_PER_STATUS])
            else:
                yield row

    def _replay_for_statistics(
        self, sources: Sequence[RowSource], own_rows: frozenset[int], reader: StatisticsReader
    ) -> None:
        """Replay batches for the statistics, with the row engine: those without a provable route, and the examples."""
        statistics = reader.statistics
        replayed = frozenset(number for numbers in reader.replayed for number in numbers)
        examples = frozenset(number for numbers in reader.examples for number in numbers)
        followed: set[str] = set()

        def add_findings(row: Record, findings: list[Finding]) -> None:
            number = int(row.number)
            if number in own_rows:
                statistics.add_findings(row, findings)
            else:
                statistics.mark_batch(row, findings)
            if number in own_rows or number in replayed:
                followed.add(row.snapshot.id)

        def finish_batch(batch_id: str, record: BatchRecord) -> None:
            (statistics.finish_batch if batch_id in followed else statistics.keep_example)(batch_id, record)

        numbers = sorted({*own_rows, *replayed, *examples})
        run_sorted(
            reread_rows(sources, numbers),
            RowEngine(self._fold, attrs.evolve(self._template), add_findings, finish_batch),
        )

    def _compare(self, row: Record, findings: list[Finding], mask: int) -> None:
        """Raise DisagreementError unless the findings are those of the mask."""
        found = sum(BIT[finding.rule] for finding in findings if finding.rule in self._accumulator.enabled_rules)
        if found != mask:
            codes = [code for code, bit in BIT.items() if bit & (found ^ mask)]
            raise DisagreementError(f"the two readings of {', '.join(codes)} disagree at {row.place}: please report it")

    def _add_findings(self, row: Record, findings: list[Finding]) -> None:
        self._accumulator.snapshots += 1
        self._accumulator.add(row.number, findings)
        if self.statistics is not None:
            self.statistics.add_findings(row, findings)


def _unseeded_hash(batch_id: str) -> int:
    return id_hashes(batch_id, 0)[0]


def reread_rows(sources: Sequence[RowSource], numbers: list[int]) -> Iterator[Record]:
    """Yield rows with an id again, by their numbers over all sources; numbers are sorted, without duplicates."""
    base, at = 0, 0
    for source in sources:
        end = bisect_left(numbers, base + source.rows_count)
        if end > at:
            for row in source.reread([number - base for number in numbers[at:end]], base):
                if isinstance(row, Record) and row.snapshot.is_named:
                    yield row
        base, at = base + source.rows_count, end
