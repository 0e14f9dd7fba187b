"""The rules about a row alone, over decoded rows. Compiled."""

from __future__ import annotations

from typing import Any

import cython

from batchfsm.auditing.columns import layout
from batchfsm.auditing.columns.lookup_tables import BIT, KIND

Int64s = cython.typedef(cython.longlong[::1])
Doubles = cython.typedef(cython.double[::1])

_WIDTH = cython.declare(cython.Py_ssize_t, layout.WIDTH)
_STATUS = cython.declare(cython.int, layout.STATUS)
_CREATED = cython.declare(cython.int, layout.CREATED)
_EXPIRES = cython.declare(cython.int, layout.EXPIRES)
_OUTPUT_FILE = cython.declare(cython.int, layout.OUTPUT_FILE)
_ERROR_FILE = cython.declare(cython.int, layout.ERROR_FILE)
_TOTAL = cython.declare(cython.int, layout.TOTAL)
_ERRORS = cython.declare(cython.int, layout.ERRORS)
_WINDOW_S = cython.declare(cython.int, layout.WINDOW_S)
_ID_TIME = cython.declare(cython.int, layout.ID_TIME)
_FLAGS = cython.declare(cython.int, layout.FLAGS)
_NULL = cython.declare(cython.longlong, layout.NULL)
_COUNTS_SET = cython.declare(cython.longlong, layout.COUNTS_SET)
_METADATA_LIMIT = cython.declare(cython.longlong, layout.METADATA_LIMIT)
_NOT_A_BATCH = cython.declare(cython.longlong, layout.NOT_A_BATCH)
_STAMP_BITS = cython.declare(cython.longlong, 2**8 - 1)
_ALWAYS_SET = cython.declare(cython.longlong, layout.FIELD_BITS["id"] | layout.FIELD_BITS["status"])
_COUNTS_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["request_counts"])
_ERRORS_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["errors"])
_OUTPUT_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["output_file_id"])
_ERROR_FILE_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["error_file_id"])
_TOTAL_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["request_counts.total"])
_COMPLETED_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["request_counts.completed"])
_FAILED_BIT = cython.declare(cython.longlong, layout.FIELD_BITS["request_counts.failed"])
_ID_SLACK_S = cython.declare(cython.longlong, KIND["T206"].tolerance_s)
_OUTPUT_KEPT_S = cython.declare(cython.double, KIND["F402"].kept_s)
_S003 = cython.declare(cython.longlong, BIT["S003"])
_S004 = cython.declare(cython.longlong, BIT["S004"])
_S006 = cython.declare(cython.longlong, BIT["S006"])
_T201 = cython.declare(cython.longlong, BIT["T201"])
_T202 = cython.declare(cython.longlong, BIT["T202"])
_T206 = cython.declare(cython.longlong, BIT["T206"])
_C301 = cython.declare(cython.longlong, BIT["C301"])
_C302 = cython.declare(cython.longlong, BIT["C302"])
_F402 = cython.declare(cython.longlong, BIT["F402"])
_F405 = cython.declare(cython.longlong, BIT["F405"])


@cython.final
@cython.cclass
class SnapshotRules:
    """The snapshot rules of one dialect under one skew; see `lookup_tables`. Used by one thread at a time."""

    _rows: Int64s  # The rows that are being checked.
    _unknown: cython.longlong
    _completed: cython.longlong
    _completed_at: cython.longlong
    _stamp_sets: cython.longlong[::1]
    _must_be_set: cython.longlong[::1]
    _must_be_null: cython.longlong[::1]
    _stamp_pairs: cython.longlong[::1]
    _limits: cython.longlong[::1]
    _slacks_s: cython.double[::1]
    _window_slack_s: cython.longlong

    def __init__(self, tables: Any) -> None:
        self._rows = None
        self._unknown, self._completed = tables.unknown, tables.completed
        self._completed_at = tables.end_columns[self._completed] if self._completed >= 0 else -1
        self._stamp_sets, self._stamp_pairs = tables.stamp_sets, tables.stamp_pairs
        self._must_be_set, self._must_be_null = tables.must_be_set, tables.must_be_null
        self._limits, self._slacks_s = tables.limits, tables.slacks_s
        self._window_slack_s = tables.window_slack_s

    def check(self, rows: Int64s, observed_at: Doubles, masks: Int64s) -> None:
        """
        Set `masks` to the bits of the rules that each row violates; rows in any order.

        `n * WIDTH` integers, see `layout`; `n` floats, NaN if the log does not say; `n` integers.
        """
        self._rows = rows  # To pass a view to each function costs more than what most of them do.
        with cython.nogil:
            for row in range(len(masks)):
                masks[row] = self._check_row(row * _WIDTH, observed_at[row])
        self._rows = None

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_row(self, base: cython.Py_ssize_t, observed_at: cython.double) -> cython.longlong:
        """Return the bits of the rules that the row at `base` violates."""
        is_set = self._set_fields(base)
        status = self._rows[base + _STATUS] if self._rows[base + _STATUS] >= 0 else self._unknown
        status_bit = cython.cast(cython.longlong, 1) << status
        mask = self._stamp_sets[status * 256 + (is_set & _STAMP_BITS)]
        for index in range(0, len(self._must_be_set), 3):
            if self._must_be_set[index + 1] & status_bit and self._must_be_set[index] & ~is_set:
                mask |= self._must_be_set[index + 2]
        for index in range(0, len(self._must_be_null), 3):
            if self._must_be_null[index + 1] & status_bit and self._must_be_null[index] & is_set:
                mask |= self._must_be_null[index + 2]
        if self._rows[base + _STATUS] < 0:
            mask |= _S004
        if self._rows[base + _FLAGS] & _NOT_A_BATCH:
            mask |= _S003
        if self._rows[base + _FLAGS] & _METADATA_LIMIT:
            mask |= _S006
        for index in range(0, len(self._stamp_pairs), 2):
            earlier = self._rows[base + self._stamp_pairs[index]]
            later = self._rows[base + self._stamp_pairs[index + 1]]
            if later != _NULL and earlier > later:
                mask |= _T201
        mask |= self._check_limits(base, observed_at, status_bit)
        mask |= self._check_times(base)
        return mask | self._check_counts(base, status) | self._check_files(base, observed_at, status)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_limits(
        self, base: cython.Py_ssize_t, observed_at: cython.double, status_bit: cython.longlong
    ) -> cython.longlong:
        """Check that no time is later than its limit."""
        mask = 0
        for index in range(len(self._slacks_s)):
            if not self._limits[4 * index + 2] & status_bit:
                continue
            time, limit = observed_at, observed_at
            if self._limits[4 * index] < _WIDTH:  # NULL is earlier than every limit.
                time = cython.cast(cython.double, self._rows[base + self._limits[4 * index]])
            if self._limits[4 * index + 1] < _WIDTH:
                if self._rows[base + self._limits[4 * index + 1]] == _NULL:
                    continue
                limit = cython.cast(cython.double, self._rows[base + self._limits[4 * index + 1]])
            if time > limit + self._slacks_s[index]:  # False if one of them is NaN.
                mask |= self._limits[4 * index + 3]
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_times(self, base: cython.Py_ssize_t) -> cython.longlong:
        """Check the deadline against the completion window, and the time inside the id against `created_at`."""
        created = self._rows[base + _CREATED]
        expires = self._rows[base + _EXPIRES]
        window_s = self._rows[base + _WINDOW_S]
        mask = 0
        if created == _NULL:
            return 0
        if expires != _NULL and window_s != _NULL:
            difference = expires - created - window_s
            if difference > self._window_slack_s or difference < -self._window_slack_s:
                mask |= _T202
        if self._rows[base + _ID_TIME] != _NULL:
            difference = self._rows[base + _ID_TIME] - created
            if difference > _ID_SLACK_S or difference < -_ID_SLACK_S:
                mask |= _T206
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_counts(self, base: cython.Py_ssize_t, status: cython.longlong) -> cython.longlong:
        """Check the counts of requests."""
        total = self._rows[base + _TOTAL]
        completed = self._rows[base + _TOTAL + 1]
        failed = self._rows[base + _TOTAL + 2]
        is_known: cython.bint = total != _NULL and completed != _NULL and failed != _NULL
        mask = 0
        if _is_negative(total) or _is_negative(completed) or _is_negative(failed):
            mask |= _C301
        elif is_known:
            if completed + failed > total:
                mask |= _C301
            elif completed + failed < total and status == self._completed:
                mask |= _C302
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _check_files(
        self, base: cython.Py_ssize_t, observed_at: cython.double, status: cython.longlong
    ) -> cython.longlong:
        """Check the files of a completed batch against its counts."""
        mask = 0
        if status != self._completed:
            return 0
        if self._rows[base + _TOTAL + 1] > 0 and self._rows[base + _OUTPUT_FILE] == _NULL:
            mask |= 0 if self._has_expired(base, observed_at) else _F402
        if self._rows[base + _TOTAL + 2] == 0 and self._rows[base + _ERROR_FILE] != _NULL:
            mask |= _F405
        return mask

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _has_expired(self, base: cython.Py_ssize_t, observed_at: cython.double) -> cython.bint:
        """Return whether the output file of a completed batch may be gone; False if the time is NaN."""
        return (
            self._completed_at >= 0
            and self._rows[base + self._completed_at] != _NULL
            and observed_at > self._rows[base + self._completed_at] + _OUTPUT_KEPT_S
        )

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _set_fields(self, base: cython.Py_ssize_t) -> cython.longlong:
        """Return the set of the fields that are not null, as `layout.FIELD_BITS`."""
        found: cython.longlong = _ALWAYS_SET  # A row without id or status is not decoded.
        column: cython.int
        for column in range(_EXPIRES - _CREATED + 1):
            if self._rows[base + _CREATED + column] != _NULL:
                found |= cython.cast(cython.longlong, 1) << column
        if self._rows[base + _FLAGS] & _COUNTS_SET:
            found |= _COUNTS_BIT
        if self._rows[base + _ERRORS] != _NULL:
            found |= _ERRORS_BIT
        if self._rows[base + _OUTPUT_FILE] != _NULL:
            found |= _OUTPUT_BIT
        if self._rows[base + _ERROR_FILE] != _NULL:
            found |= _ERROR_FILE_BIT
        if self._rows[base + _TOTAL] > 0:
            found |= _TOTAL_BIT
        if self._rows[base + _TOTAL + 1] > 0:
            found |= _COMPLETED_BIT
        if self._rows[base + _TOTAL + 2] > 0:
            found |= _FAILED_BIT
        return found


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(-9, check=False)
def _is_negative(count: cython.longlong) -> cython.bint:
    return count < 0 and count != _NULL
