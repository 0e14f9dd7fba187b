"""The rows whose findings are listed, and the rows that the row engine must read to explain them."""

from __future__ import annotations

from collections.abc import Container
from heapq import nsmallest
from typing import Final, NamedTuple

import attrs

from batchfsm.auditing.columns import row_arrays
from batchfsm.auditing.columns.layout import COMPLETED_ROSE, FAILED_ROSE, UNCHANGED
from batchfsm.auditing.columns.lookup_tables import BIT
from batchfsm.auditing.columns.partition import HistoryRow, Partition
from batchfsm.rules import ONCE_PER_STATUS, RULES

_HISTORY_BITS: Final = sum(
    bit for code, bit in BIT.items() if RULES[code].kind.needs_history or code in ONCE_PER_STATUS
)
_SHIFT: Final = UNCHANGED.bit_length() - 1
_UNCHANGED: Final = UNCHANGED >> _SHIFT
_ROSE: Final = (COMPLETED_ROSE | FAILED_ROSE) >> _SHIFT


class RowSelection(NamedTuple):
    """The rows to list, and the rows to read for that."""

    masks: dict[int, int]
    """The bits of the rules to list of each row, by its number."""
    independent: frozenset[int]
    """The numbers of the rows that the snapshot rules explain."""
    numbers: list[int]
    """The numbers of those rows, and of all rows that must be replayed to explain the others."""


@attrs.define(eq=False)
class WitnessSelection:
    """Selects the first rows with violations, partition by partition."""

    rows_max: int
    """How many rows are listed at most."""
    _rows: list[tuple[int, int, int]] = attrs.field(init=False, factory=list)
    """Rows to list: number, mask, index of the batch in `_histories`, -1 if the row explains itself."""
    _histories: list[list[HistoryRow]] = attrs.field(init=False, factory=list)

    def add(self, partition: Partition, wanted: int) -> None:
        """Add the first rows of a partition that violate a rule; `wanted`: the bits of the rules that are reported."""
        found = partition.violations
        indices = row_arrays.select_violations(found.masks, found.slots, partition.excluded, wanted)
        first = (
            indices[: self.rows_max]
            if partition.is_in_log_order
            else nsmallest(self.rows_max, indices, key=found.numbers.__getitem__)
        )
        needs_history = bytearray(partition.table.size())
        for index in first:
            if found.masks[index] & wanted & _HISTORY_BITS:
                needs_history[found.slots[index]] = 1
        place, at = dict[int, int](), needs_history.find(1)
        while at >= 0:
            place[at] = len(self._histories) + len(place)
            at = needs_history.find(1, at + 1)
        self._histories += partition.histories(needs_history) if place else []
        self._rows += [
            (found.numbers[index], found.masks[index] & wanted, place.get(found.slots[index], -1)) for index in first
        ]

    def select(self, *, is_whole: bool) -> RowSelection:
        """Select the first rows of all partitions; `is_whole`: replay every row of a history."""
        chosen = sorted(self._rows)[: self.rows_max]
        masks = {number: mask for number, mask, _ in chosen}
        independent = [number for number, _, place in chosen if place < 0]
        numbers = [*independent]
        for place in {place for _, _, place in chosen if place >= 0}:
            numbers += _rows_needed(self._histories[place], masks, is_whole=is_whole)
        return RowSelection(masks, frozenset(independent), numbers)


def _rows_needed(history: list[HistoryRow], listed: Container[int], *, is_whole: bool) -> list[int]:
    """
    Return the numbers of the rows that must be replayed to explain the listed ones, the last of which comes last.

    A row that changes no field is skipped if a later one repeats it: the last one before a change is needed, and the
    last one in which each count rose.
    """
    needed, repeated, is_needed = list[int](), 0, False
    for number, redundancy in reversed(history):
        is_listed = number in listed
        is_needed = is_needed or is_listed
        if is_listed or is_whole or not redundancy & _UNCHANGED:
            repeated = 0
        elif not redundancy & ~repeated:
            continue
        else:
            repeated |= redundancy
        if is_needed:
            needed.append(number)
    return needed
