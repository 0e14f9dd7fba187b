"""The batches that are checked together, their rows, and what the rows violate."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import attrs

from batchfsm.auditing.columns import row_arrays
from batchfsm.auditing.columns.history_rules import BatchTable
from batchfsm.auditing.columns.layout import CREATED, WIDTH, as_bits, new_rows
from batchfsm.auditing.columns.lookup_tables import LookupTables
from batchfsm.auditing.columns.snapshot_rules import SnapshotRules


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
