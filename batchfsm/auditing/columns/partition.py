"""The batches that are checked together: their rows, what these violate, and the buckets on disk of a large log."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import attrs

from batchfsm.auditing.columns import row_arrays
from batchfsm.auditing.columns.history_rules import BatchTable
from batchfsm.auditing.columns.layout import CREATED, WIDTH, RowBatch, as_bits, new_rows
from batchfsm.auditing.columns.lookup_tables import LookupTables
from batchfsm.auditing.columns.snapshot_rules import SnapshotRules
from batchfsm.errors import SourceError

_LINE_BYTES_MIN: Final = 100  # Shorter lines are rare; so many bytes of log make one row at most.
_SHARE: Final = 8  # A bucket may take this share of the memory: to sort it takes several times its size.
_BUCKETS_MIN, _BUCKETS_MAX = 16, 256


class OutOfOrderError(Exception):
    """A row comes behind a later one of its batch."""


@attrs.frozen(kw_only=True, eq=False)
class Violations:
    """Rows that violate a recorded rule, in columns, in the order in which they were checked."""

    numbers: Any
    """The number of each row in the log; `array('q')`."""
    slots: Any
    """The slot of its batch; `array('i')`."""
    masks: Any
    """The bits of the rules; `array('q')`."""
    observed_at: Any
    """Unix seconds, NaN if the log does not say; `array('d')`."""
    created_at: Any
    """Unix seconds or NULL; `array('q')`."""


class HistoryRow(NamedTuple):
    """A row of a batch."""

    number: int
    redundancy: int
    """`REDUNDANCY_BITS` of the row, shifted down to a byte."""


@attrs.frozen(eq=False)
class _CheckedRows:
    """Rows that were checked together."""

    numbers: Any
    """A range, or an `array('q')`."""
    slots: Any
    redundancy: Any


@attrs.define(eq=False)
class Partition:
    """Batches that are checked together: all of them, or those of one bucket."""

    tables: LookupTables
    recorded: int = -1
    """The bits of the rules whose violations are kept."""
    table: BatchTable = attrs.field(init=False)
    excluded: bytearray = attrs.field(init=False, factory=bytearray)
    """By slot: 1 if the row engine checks the batch."""
    violations: Violations = attrs.field(init=False)
    _rules: SnapshotRules = attrs.field(init=False)
    _checked: list[_CheckedRows] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.table, self._rules = BatchTable(self.tables), SnapshotRules(self.tables)
        self.violations = Violations(
            numbers=array("q"), slots=array("i"), masks=array("q"), observed_at=array("d"), created_at=array("q")
        )

    @property
    def rows_count(self) -> int:
        """How many rows were checked."""
        return sum(len(rows.slots) - rows.slots.count(-1) for rows in self._checked)

    @property
    def is_in_log_order(self) -> bool:
        """True if the rows were checked in the order of the log."""
        return all(isinstance(rows.numbers, range) for rows in self._checked)

    def exclude(self, ids: Iterable[tuple[int, int]]) -> None:
        """Leave batches to the row engine, by the hashes of their ids."""
        keys = [*ids]
        rows = new_rows(len(keys))
        for index, key in enumerate(keys):
            rows[WIDTH * index : WIDTH * index + 2] = array("q", key)
        slots = array("i", bytes(4 * len(keys)))
        self.table.find_slots(rows, bytearray(b"\1" * len(keys)), slots)
        self._make_room()
        for slot in slots:
            self.excluded[slot] = 1

    def check(self, rows: Any, observed_at: Any, decoded: Any, numbers: Any) -> None:
        """
        Check rows, given as in `layout.RowBatch`; OutOfOrderError if one comes behind a later one of its batch.

        `numbers`: the number of each row; a range, or an `array('q')`.
        """
        count = len(decoded)
        slots, masks = array("i", bytes(4 * count)), array("q", bytes(8 * count))
        self.table.find_slots(rows, decoded, slots)
        self._make_room()
        self._rules.check(rows, observed_at, masks)
        if not self.table.check(rows, observed_at, slots, masks):
            raise OutOfOrderError
        redundancy, indices, places = row_arrays.split_masks(masks, slots, self.excluded, self.recorded)
        self._checked.append(_CheckedRows(numbers, slots, redundancy))
        found = self.violations
        found.numbers.extend(
            row_arrays.add_to_each(indices, numbers.start)
            if isinstance(numbers, range)
            else row_arrays.gather(numbers, indices, 1)
        )
        found.slots.extend(places)
        found.masks.extend(row_arrays.gather(masks, indices, 1))
        found.observed_at.frombytes(row_arrays.gather(as_bits(observed_at), indices, 1).tobytes())
        found.created_at.extend(row_arrays.gather(rows[CREATED::WIDTH], indices, 1))

    def check_unordered(self, rows: Any, observed_at: Any, numbers: Any) -> None:
        """Check rows, all decoded, that come in the order of the log: sort them by batch and time first."""
        slots = array("i", bytes(4 * len(numbers)))
        self.table.find_slots(rows, bytearray(b"\1" * len(numbers)), slots)
        order = row_arrays.observation_order(slots, observed_at, self.table.size())
        self.check(
            row_arrays.gather(rows, order, WIDTH),
            array("d", row_arrays.gather(as_bits(observed_at), order, 1).tobytes()),
            bytearray(b"\1" * len(numbers)),
            row_arrays.gather(numbers, order, 1),
        )

    def _make_room(self) -> None:
        self.excluded.extend(bytes(self.table.size() - len(self.excluded)))

    def rows_of(self, wanted: bytearray) -> list[int]:
        """Return the numbers of the rows of some batches, sorted; `wanted`: by slot."""
        return sorted(rows.numbers[at] for rows in self._checked for at in row_arrays.select(rows.slots, wanted))

    def histories(self, wanted: bytearray) -> list[list[HistoryRow]]:
        """Return the rows of some batches, batch by batch in the order of their slots; `wanted`: by slot."""
        found = [
            (rows.slots[at], HistoryRow(rows.numbers[at], rows.redundancy[at]))
            for rows in self._checked
            for at in row_arrays.select(rows.slots, wanted)
        ]
        found.sort(key=itemgetter(0))  # Stable: a batch's rows stay in order.
        return [[row for _, row in rows] for _, rows in groupby(found, key=itemgetter(0))]


class Bucket(NamedTuple):
    """The rows of some batches, in the order of the log."""

    excluded: list[tuple[int, int]]
    """The ids, as hashes, that the row engine checks and that belong to this bucket."""
    rows: Any
    observed_at: Any
    numbers: Any


class HashPartitioner:
    """Buckets in temporary files, which are deleted when the context ends."""

    def __init__(self, log_bytes: int, memory: int) -> None:
        wanted = log_bytes // _LINE_BYTES_MIN * row_arrays.RECORD_BYTES * _SHARE // max(memory, 1)
        self.count = min(max(wanted, _BUCKETS_MIN), _BUCKETS_MAX)
        """How many buckets there are: so many that one fits into its share of the memory."""
        self._stack = ExitStack()
        self._files: list[Any] = []

    def __enter__(self) -> Self:
        """Open the files; SourceError if there is no room for them."""
        try:
            self._files = [self._stack.enter_context(TemporaryFile()) for _ in range(self.count)]  # noqa: SIM115  # The stack closes them.
        except OSError as error:
            self._stack.close()
            raise SourceError(f"no room to sort the log: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the files."""
        self._stack.close()

    def add(self, batch: RowBatch, base: int) -> None:
        """Write the decoded rows, numbered from `base + batch.first`; SourceError if the disk is full."""
        times = as_bits(batch.observed_at)
        records, begins = row_arrays.group_by_bucket(batch.values, times, batch.decoded, base + batch.first, self.count)
        view = memoryview(records).cast("B")
        size = row_arrays.RECORD_BYTES
        try:
            for file, begin, end in zip(self._files, begins, begins[1:], strict=False):
                file.write(view[size * begin : size * end])
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error

    def buckets(self, excluded: Iterable[tuple[int, int]]) -> Iterator[Bucket]:
        """Yield bucket by bucket; `excluded`: the ids, as hashes, that the row engine checks."""
        keys: list[list[tuple[int, int]]] = [[] for _ in self._files]
        for key in excluded:
            keys[key[0] % self.count].append(key)
        for file, mine in zip(self._files, keys, strict=True):
            file.seek(0)
            records = array("q")
            records.frombytes(file.read())
            rows, time_bits, numbers = row_arrays.split_records(records)
            yield Bucket(mine, rows, memoryview(time_bits).cast("B").cast("d"), numbers)
