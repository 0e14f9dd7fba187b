"""The rules about a row after those before it, over decoded rows, with the state of each batch. Compiled."""

from __future__ import annotations

from array import array
from math import inf, nan
from typing import Any

import cython

from batchfsm.auditing.columns import layout, lookup_tables

Int64s = cython.typedef(cython.longlong[::1])
Doubles = cython.typedef(cython.double[::1])
Int32s = cython.typedef(cython.int[::1])
Bytes = cython.typedef(cython.uchar[::1])

_WIDTH = cython.declare(cython.Py_ssize_t, layout.WIDTH)
_ID_LOW = cython.declare(cython.int, layout.ID_LOW)
_ID_HIGH = cython.declare(cython.int, layout.ID_HIGH)
_STATUS = cython.declare(cython.int, layout.STATUS)
_TRACKED = cython.declare(cython.int, layout.TRACKED)
_TRACKED_COUNT = cython.declare(cython.int, len(layout.TRACKED_FIELDS))
_COMPLETED = cython.declare(cython.int, layout.COMPLETED - layout.TRACKED)
_ERRORS = cython.declare(cython.int, layout.ERRORS)
_NULL = cython.declare(cython.longlong, layout.NULL)
_NO_ERRORS_YET = cython.declare(cython.longlong, layout.NULL + 1)  # No row of the batch came yet.
_UNKNOWN = cython.declare(cython.longlong, layout.UNKNOWN)
_NEW = cython.declare(cython.longlong, -2)  # The status of a batch without a live row.
_NO_MOVE = cython.declare(cython.longlong, -1)
_NAN = cython.declare(cython.double, nan)
_INF = cython.declare(cython.double, inf)
_UNCHANGED = cython.declare(cython.longlong, layout.UNCHANGED)
_COMPLETED_ROSE = cython.declare(cython.longlong, layout.COMPLETED_ROSE)
_REDUNDANCY_BITS = cython.declare(cython.longlong, layout.REDUNDANCY_BITS)
_UNDECIDABLE = cython.declare(cython.longlong, layout.UNDECIDABLE)
_H501 = cython.declare(cython.longlong, lookup_tables.BIT["H501"])
_H502 = cython.declare(cython.longlong, lookup_tables.BIT["H502"])
_H507 = cython.declare(cython.longlong, lookup_tables.BIT["H507"])
_H508 = cython.declare(cython.longlong, lookup_tables.BIT["H508"])
_LOST_BITS = cython.declare(cython.longlong, sum(lookup_tables.BIT[code] for code in ("H504", "H505", "H506")))
_ONCE_MASK = cython.declare(cython.longlong, sum(lookup_tables.ONCE_BITS))
_H501_WARNING = cython.declare(cython.longlong, layout.WARNING_BITS["H501"])

_FILES_KEPT_S = cython.declare(cython.double, lookup_tables.KIND["H506"].kept_s)
_SAME = cython.declare(cython.longlong, lookup_tables.SAME)
_STALE = cython.declare(cython.longlong, lookup_tables.STALE)
_TOLERATED = cython.declare(cython.longlong, lookup_tables.TOLERATED)
_ILLEGAL = cython.declare(cython.longlong, lookup_tables.ILLEGAL)
_EXIT_FROM_FINAL = cython.declare(cython.longlong, lookup_tables.EXIT_FROM_FINAL)
_CYCLE = cython.declare(cython.longlong, lookup_tables.CYCLE)
# Where the values of a batch stand in its record. The two times are floats.
_LOW = cython.declare(cython.Py_ssize_t, 0)  # The two hashes of its id.
_HIGH = cython.declare(cython.Py_ssize_t, 1)
_KNOWN_STATUS = cython.declare(cython.Py_ssize_t, 2)
_KNOWN_ERRORS = cython.declare(cython.Py_ssize_t, 3)
_LIVE_AT = cython.declare(cython.Py_ssize_t, 4)  # When the last live row was observed; NaN if the log does not say.
_LATEST_AT = cython.declare(cython.Py_ssize_t, 5)  # When the latest row was observed.
_FIRST = cython.declare(cython.Py_ssize_t, 6)  # First values, and highest counts, of the tracked fields.
_LAST = cython.declare(cython.Py_ssize_t, 6 + len(layout.TRACKED_FIELDS))  # Last values that were given.
# For each rule that is told once for each status, the statuses in which it was told; sets as bits.
_TOLD = cython.declare(cython.Py_ssize_t, 6 + 2 * len(layout.TRACKED_FIELDS))

_IDENTITY = cython.declare(cython.uchar, lookup_tables.IDENTITY)
_STAMP = cython.declare(cython.uchar, lookup_tables.STAMP)
_FILE = cython.declare(cython.uchar, lookup_tables.FILE)
_SUM = cython.declare(cython.uchar, lookup_tables.SUM)
_DONE = cython.declare(cython.uchar, lookup_tables.DONE)

BATCHES_FIRST = 1024
"""For how many batches there is room at first."""

BATCHES_ADDED_MAX = 128 * BATCHES_FIRST
"""For how many batches room is made at once at most."""


@cython.final
@cython.cclass
class BatchTable:
    """The batches met so far: a slot for each id, and a record of 64-bit values for each slot."""

    count: cython.Py_ssize_t
    _capacity: cython.Py_ssize_t
    _width: cython.Py_ssize_t
    _records: Any
    _values: cython.longlong[::1]  # The records, one behind the other.
    _times: cython.double[::1]  # The same memory.
    _slots: Int32s  # A hash table of slots by id; -1 where it is free.
    _rows: Int64s  # The rows that are being checked.

    _moves: cython.longlong[::1]
    _statuses_count: cython.longlong
    _final: cython.uchar[::1]
    _end_columns: cython.longlong[::1]
    _kinds: cython.uchar[::1]
    _bits: cython.longlong[::1]
    _once_bits: cython.longlong[::1]

    def __init__(self, tables: Any) -> None:
        self._moves, self._statuses_count, self._final = tables.moves, tables.unknown, tables.final
        self._end_columns, self._kinds, self._bits = tables.end_columns, tables.field_kinds, tables.field_bits
        self._once_bits = lookup_tables.ONCE_BITS
        self.count = self._capacity = 0
        self._width = _TOLD + len(self._once_bits)
        self._records = array("q")
        self._slots = array("i", [-1])
        self._rows = None
        self._grow()

    def size(self) -> int:
        """Return the number of batches."""
        return int(self.count)

    def ids(self) -> Any:
        """Return the column `id_low` of each batch; `array('q')`."""
        return self._records[_LOW : self.count * self._width : self._width]

    def statuses(self) -> Any:
        """Return the last live status of each batch, UNKNOWN if no row had a known one; `array('q')`."""
        return self._records[_KNOWN_STATUS : self.count * self._width : self._width]

    def state(self, slot: cython.Py_ssize_t) -> tuple[int, Any]:
        """Return the last live status of a batch, and the first values of its tracked fields; `array('q')`."""
        batch = slot * self._width
        return self._records[batch + _KNOWN_STATUS], self._records[batch + _FIRST : batch + _LAST]

    def _grow(self) -> None:
        """Make room for more batches, at first for as many again, and keep the hash table at most half full."""
        added = min(max(self._capacity, BATCHES_FIRST), BATCHES_ADDED_MAX)
        # An array cannot grow while a view of it is held.
        self._values = self._times = None
        times = layout.as_bits(array("d", [nan, -inf]))
        fresh = [0, 0, _NEW, _NO_ERRORS_YET, *times, *(2 * _TRACKED_COUNT * [_NULL]), *(len(self._once_bits) * [0])]
        # In steps: all at once would take the memory of the new batches twice.
        block = array("q", fresh) * BATCHES_FIRST
        for _ in range(added // BATCHES_FIRST):
            self._records.extend(block)
        self._values, self._times = self._records, memoryview(self._records).cast("B").cast("d")
        self._capacity += added
        size = len(self._slots)
        while size < 2 * self._capacity:
            size *= 2
        if size > len(self._slots):
            self._slots = array("i", [-1]) * size
            self._rebuild()

    @cython.cfunc
    @cython.exceptval(-9, check=False)
    def _rebuild(self) -> cython.int:
        """Enter all batches into an empty hash table."""
        mask = len(self._slots) - 1
        with cython.nogil:
            for slot in range(cython.cast(cython.int, self.count)):
                at = self._values[slot * self._width + _HIGH] & mask
                while self._slots[at] >= 0:
                    at = (at + 1) & mask
                self._slots[at] = slot
        return 0

    def find_slots(self, rows: Int64s, decoded: Bytes, slots: Int32s) -> None:
        """Set `slots` to the slot of each row's batch, -1 if the row is not decoded; a new batch gets a slot."""
        row: cython.Py_ssize_t = 0
        while row < len(slots):
            if self.count == self._capacity:
                self._grow()
            with cython.nogil:
                row = self._find_slots_from(row, rows, decoded, slots)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _find_slots_from(
        self, row: cython.Py_ssize_t, rows: Int64s, decoded: Bytes, slots: Int32s
    ) -> cython.Py_ssize_t:
        """Find the slots of the rows from one on; return the first row for which there was no room."""
        mask = len(self._slots) - 1
        while row < len(slots) and self.count < self._capacity:
            slots[row] = -1
            if decoded[row]:
                low, high = rows[row * _WIDTH + _ID_LOW], rows[row * _WIDTH + _ID_HIGH]
                at = high & mask  # With a secret seed: nobody can choose ids that meet in one slot.
                slot = self._slots[at]
                while slot >= 0 and not self._has_id(slot, low, high):
                    at = (at + 1) & mask
                    slot = self._slots[at]
                if slot < 0:
                    slot = cython.cast(cython.int, self.count)
                    self._slots[at] = slot
                    self._values[slot * self._width + _LOW], self._values[slot * self._width + _HIGH] = low, high
                    self.count += 1
                slots[row] = slot
            row += 1
        return row

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.exceptval(-9, check=False)
    def _has_id(self, slot: cython.Py_ssize_t, low: cython.longlong, high: cython.longlong) -> cython.bint:
        batch = slot * self._width
        return self._values[batch + _LOW] == low and self._values[batch + _HIGH] == high

    def check(self, rows: Int64s, observed_at: Doubles, slots: Int32s, masks: Int64s) -> bool:
        """
        Check rows against those before them of their batches, and update the batches.

        Args:
            rows: `n * WIDTH` 64-bit integers; the rows of each batch in order of observation.
            observed_at: `n` floats; NaN if the log does not say.
            slots: As `find_slots` fills them; a row of slot -1 is skipped.
            masks: `n` 64-bit integers, with the bits of the snapshot rules; those of the history rules are added, and
                those that are told once for each status are removed from later rows.

        Returns:
            False if a row comes behind a later one of its batch; the batches are not to be used any more.
        """
        is_ordered: cython.bint = True
        self._rows = rows  # To pass a view to each function costs more than what most of them do.
        with cython.nogil:
            for row in range(len(masks)):
                if slots[row] < 0:
                    continue
                batch = slots[row] * self._width
                if observed_at[row] < self._times[batch + _LATEST_AT]:
                    is_ordered = False
                    break
                self._times[batch + _LATEST_AT] = max(self._times[batch + _LATEST_AT], observed_at[row])
                masks[row] |= self._check_row(row * _WIDTH, observed_at[row], batch)
                if masks[row] & _H507:
                    # The batch has left the status of a stale row, so it is neither overdue nor stuck in it.
                    masks[row] &= ~_ONCE_MASK
                elif masks[row] & _ONCE_MASK:
                    masks[row] = self._without_repeats(masks[row], rows[row * _WIDTH + _STATUS], batch)
        self._rows = None
        return bool(is_ordered)

    # In what follows, `base` is where the row begins in `_rows`, `batch` where the record of its batch begins.

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _without_repeats(
        self, mask: cython.longlong, status: cython.longlong, batch: cython.Py_ssize_t
    ) -> cython.longlong:
        """Return the bits of a row without those that a row of its batch in this status had before."""
        status_bit = cython.cast(cython.longlong, 1) << status
        for index in range(len(self._once_bits)):
            if mask & self._once_bits[index]:
                if self._values[batch + _TOLD + index] & status_bit:
                    mask &= ~self._once_bits[index]
                else:
                    # The row is not redundant: the row engine must tell it, too, when it replays the batch.
                    self._values[batch + _TOLD + index] |= status_bit
                    mask &= ~_REDUNDANCY_BITS
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_row(
        self, base: cython.Py_ssize_t, observed_at: cython.double, batch: cython.Py_ssize_t
    ) -> cython.longlong:
        """Return the bits of the history rules that a row violates, and update its batch."""
        status, errors = self._rows[base + _STATUS], self._rows[base + _ERRORS]
        known, known_errors = self._values[batch + _KNOWN_STATUS], self._values[batch + _KNOWN_ERRORS]
        mask = 0
        if known != _NEW:
            move = self._move(base, observed_at, batch)
            if move == _CYCLE:
                return _UNDECIDABLE
            mask = self._changed_fields(base, observed_at, batch, move)
            if move == _STALE:
                self._learn_identity(base, batch)
                return mask | _H507
            if move == _ILLEGAL:
                mask |= _H501
            elif move == _TOLERATED:
                mask |= _H501 | _H501_WARNING
            elif move == _EXIT_FROM_FINAL:
                mask |= _H502
            elif move == _SAME and self._final[known] and not mask & _LOST_BITS:
                if self._has_moved_on(base, batch):
                    mask |= _H508
                if errors != known_errors and known_errors != _NO_ERRORS_YET:
                    # Two texts may hold the same errors.
                    mask |= _H508 if errors == _NULL or known_errors == _NULL else _UNDECIDABLE
            elif move == _SAME and self._final[known]:
                if errors != known_errors and errors != _NULL and known_errors != _NULL:
                    mask |= _UNDECIDABLE
            if mask & ~_REDUNDANCY_BITS or known_errors != errors:
                mask &= ~_REDUNDANCY_BITS
        if mask & _REDUNDANCY_BITS != _UNCHANGED:  # Else each value is the last one, and there is nothing to update.
            self._update(base, batch)
        if status >= 0:
            self._values[batch + _KNOWN_STATUS] = status
        elif known == _NEW:
            self._values[batch + _KNOWN_STATUS] = _UNKNOWN
        self._times[batch + _LIVE_AT], self._values[batch + _KNOWN_ERRORS] = observed_at, errors
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _move(self, base: cython.Py_ssize_t, observed_at: cython.double, batch: cython.Py_ssize_t) -> cython.longlong:
        """Return the move from the known status to the row's, out of the move table; -1 if one of them is unknown."""
        status, known = self._rows[base + _STATUS], self._values[batch + _KNOWN_STATUS]
        if status < 0 or known < 0:
            return _NO_MOVE
        if status == known:  # A comparison with NaN is False: then the row is not late.
            return _STALE if observed_at < self._times[batch + _LIVE_AT] and self._is_below(base, batch) else _SAME
        cell = 2 * (known * self._statuses_count + status)
        if self._moves[cell] == self._moves[cell + 1]:
            return self._moves[cell]
        return self._moves[cell + 1] if self._is_below(base, batch) else self._moves[cell]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _is_below(self, base: cython.Py_ssize_t, batch: cython.Py_ssize_t) -> cython.bint:
        """Return whether the row sets and counts nothing that is not known."""
        for field in range(_TRACKED_COUNT):
            value, first = self._rows[base + _TRACKED + field], self._values[batch + _FIRST + field]
            if value == _NULL or self._kinds[field] == _IDENTITY:
                continue
            if self._kinds[field] == _DONE:
                if value > (0 if first == _NULL else first):
                    return False
            elif value != first and not (self._kinds[field] == _SUM and value == 0):
                return False
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _changed_fields(
        self,
        base: cython.Py_ssize_t,
        observed_at: cython.double,
        batch: cython.Py_ssize_t,
        move: cython.longlong,
    ) -> cython.longlong:
        """Return the bits of H503 to H506 that the row violates, and the bits of redundancy."""
        mask = 0
        rose = 0
        is_unchanged: cython.bint = move == _SAME
        identity_only: cython.bint = move == _STALE or move == _ILLEGAL or move == _EXIT_FROM_FINAL
        for field in range(_TRACKED_COUNT):
            value, last = self._rows[base + _TRACKED + field], self._values[batch + _LAST + field]
            if value == last:
                continue
            kind = self._kinds[field]
            if identity_only and kind != _IDENTITY:
                continue
            if kind == _DONE and value > last:
                rose |= _COMPLETED_ROSE << (field - _COMPLETED)
                continue
            is_unchanged = False
            if kind == _DONE:
                if value != _NULL:
                    mask |= self._bits[field]
                continue
            if kind == _FILE and value == _NULL and self._has_expired(base, observed_at):
                continue
            first = self._values[batch + _FIRST + field]
            if first != _NULL and value != first and (value != _NULL or _STAMP <= kind < _SUM):
                mask |= self._bits[field]
        return mask | _UNCHANGED | rose if is_unchanged else mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _has_expired(self, base: cython.Py_ssize_t, observed_at: cython.double) -> cython.bint:
        """Return whether the files of a batch may be gone; False if the log does not say when the row was observed."""
        column = -1
        if self._rows[base + _STATUS] >= 0:
            column = self._end_columns[self._rows[base + _STATUS]]
        if column < 0 or self._rows[base + column] == _NULL:
            return False
        return observed_at > self._rows[base + column] + _FILES_KEPT_S

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _has_moved_on(self, base: cython.Py_ssize_t, batch: cython.Py_ssize_t) -> cython.bint:
        """Return whether a count rose or a stamp was set in a final status."""
        for field in range(_TRACKED_COUNT):
            value, last = self._rows[base + _TRACKED + field], self._values[batch + _LAST + field]
            if self._kinds[field] >= _SUM and last != _NULL and value > last:
                return True
            if self._kinds[field] == _STAMP and value != _NULL and last == _NULL:
                if self._values[batch + _FIRST + field] == _NULL:
                    return True
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _learn_identity(self, base: cython.Py_ssize_t, batch: cython.Py_ssize_t) -> cython.int:
        """Keep the identity fields of a stale row that no row gave before: a list may give what a retrieve left out."""
        for field in range(_TRACKED_COUNT):
            if self._kinds[field] == _IDENTITY and self._values[batch + _FIRST + field] == _NULL:
                self._values[batch + _FIRST + field] = self._rows[base + _TRACKED + field]
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _update(self, base: cython.Py_ssize_t, batch: cython.Py_ssize_t) -> cython.int:
        """Take a live row for the last one of its batch."""
        for field in range(_TRACKED_COUNT):
            value, kind = self._rows[base + _TRACKED + field], self._kinds[field]
            first = self._values[batch + _FIRST + field]
            if kind == _DONE:
                self._values[batch + _FIRST + field] = max(first, value)
            elif first == _NULL and not (kind == _SUM and value <= 0):
                self._values[batch + _FIRST + field] = value
            if value != _NULL or _STAMP <= kind < _SUM:
                self._values[batch + _LAST + field] = value
        return 0
