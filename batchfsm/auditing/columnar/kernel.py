"""
The rules once more, for millions of rows: one pass, one mask of bits a row, compiled.

It reads the same rows as `rules` and `history` do, through the arrays of `tables`; the tests hold
the two readings against each other, row by row and code by code. What columns do not tell it
marks `ODD`, and leaves to the scalar core.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columnar.after import FRESH, NEVER, after
from batchfsm.auditing.columnar.alone import alone
from batchfsm.auditing.columnar.columns import (
    ID_HIGH,
    ID_LOW,
    KEPT_FIELDS,
    NULL,
)
from batchfsm.auditing.columnar.tables import Tables
from batchfsm.auditing.columnar.words import (
    compiled,
)

_KEPT_COUNT: Final = len(KEPT_FIELDS)
_FIRST_SIZE: Final = 1024


class State(NamedTuple):
    """What is known of each batch, by slot; a `Track` in columns."""

    keys: Any
    """The ids' digests; shape `(slots, 2)`."""
    status: Any
    first: Any
    """First values, and highest counts; shape `(slots, kept fields)`."""
    last: Any
    """Last values given."""
    errors: Any
    seen: Any
    """When the last live row was seen; NaN if that was not said."""
    latest: Any
    """When the latest row was seen, to notice a log that is out of order."""


class Batches:
    """The batches met so far, with room for more."""

    def __init__(self) -> None:
        """Know none."""
        self.count = 0
        self.places = np.full(2 * _FIRST_SIZE, -1, np.int64)
        self.state = State(
            keys=np.empty((_FIRST_SIZE, 2), np.int64),
            status=np.full(_FIRST_SIZE, FRESH, np.int8),
            first=np.full((_FIRST_SIZE, _KEPT_COUNT), NULL, np.int64),
            last=np.full((_FIRST_SIZE, _KEPT_COUNT), NULL, np.int64),
            errors=np.full(_FIRST_SIZE, NEVER, np.int64),
            seen=np.full(_FIRST_SIZE, np.nan),
            latest=np.full(_FIRST_SIZE, -np.inf),
        )

    def locate(self, cells: Any) -> Any:
        """Return the slot of each row; those of new batches are taken."""
        slots = np.empty(len(cells), np.int64)
        row = 0
        while row < len(cells):
            row, self.count = _locate(cells, row, self.state.keys, self.places, self.count, slots)
            if self.count == len(self.state.keys):
                self._grow()
        return slots

    def _grow(self) -> None:
        """Have slots for a quarter more batches, and a table of places no more than half full."""
        size = self.count + self.count // 4
        fresh = (0, FRESH, NULL, NULL, NEVER, np.nan, -np.inf)
        for array, value in zip(self.state, fresh, strict=True):
            # In place, where the system can: a copy would need the memory twice.
            array.resize((size, *array.shape[1:]), refcheck=False)
            array[self.count :] = value
        if 2 * size > len(self.places):
            self.places = np.full(1 << (2 * size).bit_length(), -1, np.int64)
            _place(self.state.keys, self.count, self.places)

    def judge(self, cells: Any, seen: Any, slots: Any, tables: Tables) -> Any:
        """
        Judge rows in the order of their observation, each batch's.

        Args:
            cells: The rows; shape `(n, len(COLUMNS))`.
            seen: When each was seen; NaN if that was not said. Shape `(n,)`.
            slots: As from `locate`.
            tables: The dialect's.

        Returns:
            The mask of each row; None if a row comes behind a later one of its batch.
        """
        masks = np.empty(len(cells), np.int64)
        return masks if _judge(cells, seen, slots, tables, self.state, masks) else None


def judge_alone(cells: Any, seen: Any, tables: Tables) -> Any:
    """Return the mask of what each row breaches by itself; arguments as for `Batches.judge`, any order of rows."""
    masks = np.empty(len(cells), np.int64)
    _judge_alone(cells, seen, tables, masks)
    return masks


@compiled
def _locate(cells, row, keys, places, count, slots):  # type: ignore[no-untyped-def]
    """Find the slots of the rows from one on; return the first row that has none, and how many slots are taken."""
    room = len(places) - 1
    while row < len(cells) and count < len(keys):
        low, high = cells[row, ID_LOW], cells[row, ID_HIGH]
        at = low & room
        while True:
            slot = places[at]
            if slot < 0:
                slot = places[at] = count
                keys[slot, 0], keys[slot, 1] = low, high
                count += 1
            if keys[slot, 0] == low and keys[slot, 1] == high:
                break
            at = (at + 1) & room
        slots[row] = slot
        row += 1
    return row, count


@compiled
def _place(keys, count, places):  # type: ignore[no-untyped-def]
    room = len(places) - 1
    for slot in range(count):
        at = keys[slot, 0] & room
        while places[at] >= 0:
            at = (at + 1) & room
        places[at] = slot


@compiled
def _judge(cells, seen, slots, tables, state, masks):  # type: ignore[no-untyped-def]
    for row in range(len(cells)):
        slot = slots[row]
        if seen[row] < state.latest[slot]:
            return False
        state.latest[slot] = max(state.latest[slot], seen[row])
        masks[row] = after(cells[row], seen[row], slot, tables, state)
    return True


@compiled
def _judge_alone(cells, seen, tables, masks):  # type: ignore[no-untyped-def]
    for row in range(len(cells)):
        masks[row] = alone(cells[row], seen[row], tables)
