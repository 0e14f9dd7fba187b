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
_H501_WARNING = cython.declare(cython.longlong, layout.WARNING_BITS["H501"])

_SAME = cython.declare(cython.longlong, lookup_tables.SAME)
_STALE = cython.declare(cython.longlong, lookup_tables.STALE)
_TOLERATED = cython.declare(cython.longlong, lookup_tables.TOLERATED)
_ILLEGAL = cython.declare(cython.longlong, lookup_tables.ILLEGAL)
_EXIT_FROM_FINAL = cython.declare(cython.longlong, lookup_tables.EXIT_FROM_FINAL)
_CYCLE = cython.declare(cython.longlong, lookup_tables.CYCLE)
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
    """The batches met so far: a slot for each id, and what is known of each batch, by slot."""

    count: cython.Py_ssize_t
    _capacity: cython.Py_ssize_t
    _arrays: tuple[Any, ...]
    _slots: Int32s  # A hash table of slots by id; -1 where it is free.
    _keys: cython.longlong[::1]
    _statuses: cython.longlong[::1]
    _first: cython.longlong[::1]  # First values, and highest counts, of the tracked fields.
    _last: cython.longlong[::1]  # Last values that were given.
    _errors: cython.longlong[::1]
    _live_at: cython.double[::1]  # When the last live row was observed; NaN if the log does not say.
    _latest_at: cython.double[::1]  # When the latest row was observed.
    _told: cython.longlong[::1]  # For each rule of `_once_bits`, the statuses in which it was told; sets as bits.

    _moves: cython.longlong[::1]
    _statuses_count: cython.longlong
    _final: cython.uchar[::1]
    _end_columns: cython.longlong[::1]
    _files_kept_s: cython.double
    _kinds: cython.uchar[::1]
    _bits: cython.longlong[::1]
    _lost_bits: cython.longlong
    _once_bits: cython.longlong[::1]
    _once_mask: cython.longlong
    _h501: cython.longlong
    _h502: cython.longlong
    _h507: cython.longlong
    _h508: cython.longlong

    def __init__(self, tables: Any) -> None:
        self._moves, self._statuses_count, self._final = tables.moves, tables.unknown, tables.final
        self._end_columns, self._files_kept_s = tables.end_columns, tables.files_kept_s
        self._kinds, self._bits, self._lost_bits = tables.field_kinds, tables.field_bits, tables.lost_bits
        self._once_bits, self._once_mask = tables.once_bits, sum(tables.once_bits)
        bits = tables.rule_bits
        self._h501, self._h502, self._h507, self._h508 = bits["H501"], bits["H502"], bits["H507"], bits["H508"]
        self.count = self._capacity = 0
        self._arrays = (*(array("q") for _ in range(5)), array("d"), array("d"), array("q"))
        self._slots = array("i", [-1])
        self._grow()

    def size(self) -> int:
        """Return the number of batches."""
        return int(self.count)

    def ids(self) -> Any:
        """Return the column `id_low` of each batch; `array('q')`."""
        return self._arrays[0][: 2 * self.count : 2]

    def statuses(self) -> Any:
        """Return the last live status of each batch, UNKNOWN if no row had a known one; `array('q')`."""
        return self._arrays[1][: self.count]

    def state(self, slot: int) -> tuple[int, Any]:
        """Return the last live status of a batch, and the first values of its tracked fields; `array('q')`."""
        return self._arrays[1][slot], self._arrays[2][slot * _TRACKED_COUNT : (slot + 1) * _TRACKED_COUNT]

    def _grow(self) -> None:
        """Make room for more batches, at first for as many again, and keep the hash table at most half full."""
        added = min(max(self._capacity, BATCHES_FIRST), BATCHES_ADDED_MAX)
        fresh = (0, _NEW, _NULL, _NULL, _NO_ERRORS_YET, _NAN, -_INF, 0)
        widths = (2, 1, _TRACKED_COUNT, _TRACKED_COUNT, 1, 1, 1, len(self._once_bits))
        # An array cannot grow while a view of it is held.
        self._keys = self._statuses = self._first = self._last = self._errors = None
        self._live_at = self._latest_at = self._told = None
        for values, value, width in zip(self._arrays, fresh, widths, strict=True):
            # In steps: all at once would take the memory of the new batches twice.
            block = array(values.typecode, [value]) * (BATCHES_FIRST * width)
            for _ in range(added // BATCHES_FIRST):
                values.extend(block)
        self._keys, self._statuses, self._first, self._last, self._errors, *others = self._arrays
        self._live_at, self._latest_at, self._told = others
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
                at = self._keys[2 * slot + 1] & mask
                while self._slots[at] >= 0:
                    at = (at + 1) & mask
                self._slots[at] = slot
        return 0

    def find_slots(self, rows: Int64s, decoded: Bytes, slots: Int32s) -> None:
        """
        Find the slot of each row's batch; a new batch gets one.

        Args:
            rows: `n * WIDTH` 64-bit integers.
            decoded: `n` bytes; a row with 0 gets the slot -1.
            slots: `n` 32-bit integers; filled.
        """
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
                while slot >= 0 and not (self._keys[2 * slot] == low and self._keys[2 * slot + 1] == high):
                    at = (at + 1) & mask
                    slot = self._slots[at]
                if slot < 0:
                    slot = cython.cast(cython.int, self.count)
                    self._slots[at] = slot
                    self._keys[2 * slot], self._keys[2 * slot + 1] = low, high
                    self.count += 1
                slots[row] = slot
            row += 1
        return row

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
        with cython.nogil:
            for row in range(len(masks)):
                slot = slots[row]
                if slot < 0:
                    continue
                if observed_at[row] < self._latest_at[slot]:
                    is_ordered = False
                    break
                self._latest_at[slot] = max(self._latest_at[slot], observed_at[row])
                masks[row] |= self._check_row(rows, row * _WIDTH, observed_at[row], slot)
                if masks[row] & self._h507:
                    # The batch has left the status of a stale row, so it is neither overdue nor stuck in it.
                    masks[row] &= ~self._once_mask
                elif masks[row] & self._once_mask:
                    masks[row] = self._without_repeats(masks[row], rows[row * _WIDTH + _STATUS], slot)
        return bool(is_ordered)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _without_repeats(
        self, mask: cython.longlong, status: cython.longlong, slot: cython.Py_ssize_t
    ) -> cython.longlong:
        """Return the bits of a row without those that a row of its batch in this status had before."""
        base = slot * len(self._once_bits)
        status_bit = cython.cast(cython.longlong, 1) << status
        for index in range(len(self._once_bits)):
            if mask & self._once_bits[index]:
                if self._told[base + index] & status_bit:
                    mask &= ~self._once_bits[index]
                else:
                    # The row is not redundant: the row engine must tell it, too, when it replays the batch.
                    self._told[base + index] |= status_bit
                    mask &= ~_REDUNDANCY_BITS
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_row(
        self, rows: Int64s, base: cython.Py_ssize_t, observed_at: cython.double, slot: cython.Py_ssize_t
    ) -> cython.longlong:
        """Return the bits of the history rules that the row at `base` violates, and update its batch."""
        first = slot * _TRACKED_COUNT
        errors = rows[base + _ERRORS]
        known_errors = self._errors[slot]
        known = self._statuses[slot]
        mask = 0
        if known != _NEW:
            move = self._move(rows, base, observed_at, slot)
            if move == _CYCLE:
                return _UNDECIDABLE
            mask = self._changed_fields(rows, base, observed_at, first, move)
            if move == _STALE:
                self._learn_identity(rows, base, first)
                return mask | self._h507
            if move == _ILLEGAL:
                mask |= self._h501
            elif move == _TOLERATED:
                mask |= self._h501 | _H501_WARNING
            elif move == _EXIT_FROM_FINAL:
                mask |= self._h502
            elif move == _SAME and self._final[known] and not mask & self._lost_bits:
                if self._has_moved_on(rows, base, first):
                    mask |= self._h508
                if errors != known_errors and known_errors != _NO_ERRORS_YET:
                    # Two texts may hold the same errors.
                    mask |= self._h508 if errors == _NULL or known_errors == _NULL else _UNDECIDABLE
            elif move == _SAME and self._final[known]:
                if errors != known_errors and errors != _NULL and known_errors != _NULL:
                    mask |= _UNDECIDABLE
            if mask & ~_REDUNDANCY_BITS or known_errors != errors:
                mask &= ~_REDUNDANCY_BITS
        if mask & _REDUNDANCY_BITS != _UNCHANGED:  # Else each value is the last one, and there is nothing to update.
            self._update(rows, base, first)
        if rows[base + _STATUS] >= 0:
            self._statuses[slot] = rows[base + _STATUS]
        elif known == _NEW:
            self._statuses[slot] = _UNKNOWN
        self._live_at[slot], self._errors[slot] = observed_at, errors
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _move(
        self, rows: Int64s, base: cython.Py_ssize_t, observed_at: cython.double, slot: cython.Py_ssize_t
    ) -> cython.longlong:
        """Return the move from the known status to the row's, out of the move table; -1 if one of them is unknown."""
        status = rows[base + _STATUS]
        known = self._statuses[slot]
        first = slot * _TRACKED_COUNT
        if status < 0 or known < 0:
            return _NO_MOVE
        if status == known:  # A comparison with NaN is False: then the row is not late.
            return _STALE if observed_at < self._live_at[slot] and self._is_below(rows, base, first) else _SAME
        cell = 2 * (known * self._statuses_count + status)
        if self._moves[cell] == self._moves[cell + 1]:
            return self._moves[cell]
        return self._moves[cell + 1] if self._is_below(rows, base, first) else self._moves[cell]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _is_below(self, rows: Int64s, base: cython.Py_ssize_t, first: cython.Py_ssize_t) -> cython.bint:
        """Return whether the row sets and counts nothing that is not known."""
        for field in range(_TRACKED_COUNT):
            value = rows[base + _TRACKED + field]
            if value == _NULL or self._kinds[field] == _IDENTITY:
                continue
            if self._kinds[field] == _DONE:
                highest = self._first[first + field]
                if value > (0 if highest == _NULL else highest):
                    return False
            elif value != self._first[first + field] and not (self._kinds[field] == _SUM and value == 0):
                return False
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _changed_fields(
        self,
        rows: Int64s,
        base: cython.Py_ssize_t,
        observed_at: cython.double,
        first: cython.Py_ssize_t,
        move: cython.longlong,
    ) -> cython.longlong:
        """Return the bits of H503 to H506 that the row violates, and the bits of redundancy."""
        mask = 0
        rose = 0
        is_unchanged: cython.bint = move == _SAME
        identity_only: cython.bint = move == _STALE or move == _ILLEGAL or move == _EXIT_FROM_FINAL
        for field in range(_TRACKED_COUNT):
            value, last = rows[base + _TRACKED + field], self._last[first + field]
            kind = self._kinds[field]
            if value == last or (identity_only and kind != _IDENTITY):
                continue
            if kind == _DONE and value > last:
                rose |= _COMPLETED_ROSE << (field - _COMPLETED)
                continue
            is_unchanged = False
            if kind == _DONE:
                if value != _NULL:
                    mask |= self._bits[field]
                continue
            if kind == _FILE and value == _NULL and self._has_expired(rows, base, observed_at):
                continue
            known = self._first[first + field]
            if known != _NULL and value != known and (value != _NULL or _STAMP <= kind < _SUM):
                mask |= self._bits[field]
        return mask | _UNCHANGED | rose if is_unchanged else mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _has_expired(self, rows: Int64s, base: cython.Py_ssize_t, observed_at: cython.double) -> cython.bint:
        """Return whether the files of a batch may be gone; False if the log does not say when the row was observed."""
        column = -1
        if rows[base + _STATUS] >= 0:
            column = self._end_columns[rows[base + _STATUS]]
        if column < 0 or rows[base + column] == _NULL:
            return False
        return observed_at > rows[base + column] + self._files_kept_s

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _has_moved_on(self, rows: Int64s, base: cython.Py_ssize_t, first: cython.Py_ssize_t) -> cython.bint:
        """Return whether a count rose or a stamp was set in a final status."""
        for field in range(_TRACKED_COUNT):
            value, last = rows[base + _TRACKED + field], self._last[first + field]
            if self._kinds[field] >= _SUM and last != _NULL and value > last:
                return True
            if self._kinds[field] == _STAMP and value != _NULL and last == _NULL:
                if self._first[first + field] == _NULL:
                    return True
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _learn_identity(self, rows: Int64s, base: cython.Py_ssize_t, first: cython.Py_ssize_t) -> cython.int:
        """Keep the identity fields of a stale row that no row gave before: a list may give what a retrieve left out."""
        for field in range(_TRACKED_COUNT):
            if self._kinds[field] == _IDENTITY and self._first[first + field] == _NULL:
                self._first[first + field] = rows[base + _TRACKED + field]
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _update(self, rows: Int64s, base: cython.Py_ssize_t, first: cython.Py_ssize_t) -> cython.int:
        """Take a live row for the last one of its batch."""
        for field in range(_TRACKED_COUNT):
            value, kind = rows[base + _TRACKED + field], self._kinds[field]
            if kind == _DONE:
                self._first[first + field] = max(self._first[first + field], value)
            elif self._first[first + field] == _NULL and not (kind == _SUM and value <= 0):
                self._first[first + field] = value
            if value != _NULL or _STAMP <= kind < _SUM:
                self._last[first + field] = value
        return 0
