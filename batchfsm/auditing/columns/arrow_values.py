"""
Arrow's buffers, value by value: texts read into values, and values written into rows. Compiled.

The functions share these arguments:

- `text`, `offsets`: the bytes of all texts; where each text begins and the last one ends, `array('q')`.
- `rows`, `column`: see `layout.RowBatch`.
- `values`, `indices`: one value for each text, `array('q')`; the index of each row's text, empty if each row has its
  own.
- `mask`: 0 for each row without value.
- `decoded`: set to 0 for each row that the row engine must read.
"""

from __future__ import annotations

from array import array
from typing import Any

import cython

from batchfsm.auditing.columns import layout
from batchfsm.wire import TIME_MAX

if cython.compiled:
    from cython.cimports.batchfsm.auditing.columns.text_values import (
        WordTable,
        hash_text,
        id_seconds,
        observation_time,
        window_seconds,
    )
else:
    from batchfsm.auditing.columns.text_values import (
        WordTable,
        hash_text,
        id_seconds,
        observation_time,
        window_seconds,
    )

Bytes = cython.typedef(cython.const[cython.uchar][::1])
Int32s = cython.typedef(cython.const[cython.int][::1])
Int64s = cython.typedef(cython.const[cython.longlong][::1])
Doubles = cython.typedef(cython.const[cython.double][::1])
Marks = cython.typedef(cython.uchar[::1])
Rows = cython.typedef(cython.longlong[::1])

NOT_AN_INT = 2**62
"""The place of a number that is no integer. It is no time and no count: the row is not decoded."""

_WIDTH = cython.declare(cython.Py_ssize_t, layout.WIDTH)
_FLAGS = cython.declare(cython.Py_ssize_t, layout.FLAGS)
_NULL = cython.declare(cython.longlong, layout.NULL)
_NOT_AN_INT = cython.declare(cython.longlong, NOT_AN_INT)
_EXACT_MAX = cython.declare(cython.longlong, 2**53)  # Not every larger integer is a float.
_TIME_MAX = cython.declare(cython.longlong, TIME_MAX)
_NAN = cython.declare(cython.double, float("nan"))


# ---------------------------------------------------------------- out of buffers


def given(validity: Any, offset: cython.Py_ssize_t, count: cython.Py_ssize_t) -> Any:
    """Return 1 for each value that is not null; `validity`: Arrow's bitmap, or None if there is no null."""
    found = bytearray(b"\1") * count
    if validity is None:
        return found
    bits: Bytes = validity
    marks: Marks = found
    with cython.nogil:
        for row in range(len(marks)):
            marks[row] = bits[(offset + row) >> 3] >> ((offset + row) & 7) & 1
    return found


def widen(offsets: Any) -> Any:
    """Return Arrow's offsets, of 32 or 64 bits, as `array('q')`."""
    found = layout.zeros(len(offsets))
    if offsets.itemsize == 8:
        memoryview(found)[:] = offsets
        return found
    narrow: Int32s = offsets
    column: cython.longlong[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            column[row] = narrow[row]
    return found


def whole_numbers(values: Doubles) -> Any:
    """Return floats as integers, `array('q')`; NOT_AN_INT for what is no integer of 53 bits."""
    found = layout.zeros(len(values))
    column: cython.longlong[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            column[row] = _NOT_AN_INT
            if -_EXACT_MAX < values[row] < _EXACT_MAX:  # False for NaN.
                whole = cython.cast(cython.longlong, values[row])
                if whole == values[row]:
                    column[row] = whole
    return found


def to_floats(values: Int64s) -> Any:
    """Return integers as floats, `array('d')`."""
    found = array("d", bytes(8 * len(values)))
    column: cython.double[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            column[row] = values[row]
    return found


# ---------------------------------------------------------------- out of texts


def non_empty(offsets: Int64s) -> Any:
    """Return 1 for each text that is not empty."""
    found = bytearray(len(offsets) - 1)
    marks: Marks = found
    with cython.nogil:
        for row in range(len(marks)):
            marks[row] = offsets[row] < offsets[row + 1]
    return found


def hash_column(text: Bytes, offsets: Int64s, seed: cython.ulonglong) -> Any:
    """Return the hash of each text, `array('q')`."""
    found = layout.zeros(len(offsets) - 1)
    column: cython.longlong[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            column[row] = hash_text(text, offsets[row], offsets[row + 1], seed)
    return found


def seconds_column(text: Bytes, offsets: Int64s, is_id: cython.bint) -> Any:
    """Return the time inside each id, or each completion window in seconds, NULL if it is invalid; `array('q')`."""
    found = layout.zeros(len(offsets) - 1)
    column: cython.longlong[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            if is_id:
                column[row] = id_seconds(text, offsets[row], offsets[row + 1])
            else:
                column[row] = window_seconds(text, offsets[row], offsets[row + 1])
    return found


def word_column(text: Bytes, offsets: Int64s, words: WordTable) -> Any:
    """Return the code of each text in a table of words, -1 for others; `array('q')`."""
    found = layout.zeros(len(offsets) - 1)
    column: cython.longlong[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            hashed = hash_text(text, offsets[row], offsets[row + 1], words.seed)
            column[row] = words.find(hashed, text, offsets[row], offsets[row + 1])
    return found


def time_column(text: Bytes, offsets: Int64s, mask: Bytes, decoded: Marks) -> Any:
    """Return RFC 3339 texts as Unix seconds, NaN where the mask is 0; `array('d')`."""
    found = array("d", bytes(8 * len(mask)))
    column: cython.double[::1] = found
    with cython.nogil:
        for row in range(len(column)):
            column[row] = _NAN
            if mask[row]:
                column[row] = observation_time(text, offsets[row], offsets[row + 1], True)
                if column[row] != column[row]:
                    decoded[row] = 0
    return found


# ---------------------------------------------------------------- into rows


def clear_flags(rows: Rows) -> None:
    """Set the column `flags` to 0."""
    with cython.nogil:
        for row in range(len(rows) // _WIDTH):
            rows[row * _WIDTH + _FLAGS] = 0


def fill_values(rows: Rows, column: cython.Py_ssize_t, values: Int64s, indices: Int32s, mask: Bytes) -> None:
    """Write the value of each row's text into a column, NULL where there is none; flags are added to those there."""
    has_indices: cython.bint = len(indices) > 0
    with cython.nogil:
        for row in range(len(mask)):
            value = _NULL
            if mask[row]:
                value = values[indices[row]] if has_indices else values[row]
            if column != _FLAGS:
                rows[row * _WIDTH + column] = value
            elif mask[row]:
                rows[row * _WIDTH + _FLAGS] |= value


def require_sound(sound: Bytes, indices: Int32s, mask: Bytes, is_required: cython.bint, decoded: Marks) -> None:
    """Clear `decoded` where `sound` is 0 for the row's text, or where a row has no text although it is required."""
    with cython.nogil:
        for row in range(len(mask)):
            if not mask[row]:
                if is_required:
                    decoded[row] = 0
            elif not sound[indices[row] if len(indices) else row]:
                decoded[row] = 0


def fill_times(
    rows: Rows,
    column: cython.Py_ssize_t,
    values: Int64s,
    mask: Bytes,
    null_times: Int64s,
    milliseconds: cython.bint,
    decoded: Marks,
) -> None:
    """
    Write each row's time into a column, NULL where there is none; a row whose value is no time is not decoded.

    `null_times` are the integers that mean null, `array('q')`; with `milliseconds`, numbers beyond `TIME_MAX` are
    milliseconds.
    """
    is_set: cython.bint
    with cython.nogil:
        for row in range(len(mask)):
            is_set = mask[row]
            value = values[row] if is_set else _NULL
            for index in range(len(null_times)):
                if value == null_times[index]:
                    value = _NULL
                    is_set = False
            if milliseconds and value > _TIME_MAX:
                value //= 1000
            rows[row * _WIDTH + column] = value
            if is_set and not 0 < value <= _TIME_MAX:
                decoded[row] = 0


def fill_counts(
    rows: Rows,
    column: cython.Py_ssize_t,
    values: Int64s,
    mask: Bytes,
    is_set: Bytes,
    null_counts: cython.bint,
    decoded: Marks,
) -> None:
    """
    Write each row's number of requests into a column, NULL where there is none.

    A row is not decoded if its number is no integer of 53 bits; or null although `request_counts` is set (`is_set` is
    1) and the dialect does not allow it (`null_counts`).
    """
    with cython.nogil:
        for row in range(len(mask)):
            rows[row * _WIDTH + column] = values[row] if mask[row] else _NULL
            if mask[row]:
                if not -_EXACT_MAX < values[row] < _EXACT_MAX:
                    decoded[row] = 0
            elif is_set[row] and not null_counts:
                decoded[row] = 0


def check_times(times: Doubles, mask: Bytes, decoded: Marks) -> None:
    """Set `decoded` to 0 for each row whose mask is 1 and whose float is no time in Unix seconds."""
    with cython.nogil:
        for row in range(len(decoded)):
            if mask[row] and not 0 < times[row] <= _TIME_MAX:
                decoded[row] = 0


def limit_pairs(
    offsets: Int64s, keys: Bytes, key_offsets: Int64s, sizes: Int64s, mask: Bytes, limits: Int64s, decoded: Marks
) -> None:
    """
    Clear `decoded` for each row whose map may be beyond the limits of metadata, or holds a key twice.

    Here `offsets` is where the entries of each row begin; `sizes` the length of each value in bytes, -1 if it is null
    or no text; `limits` the most keys, bytes of a key, and bytes of a value; each `array('q')`.
    """
    with cython.nogil:
        for row in range(len(decoded)):
            if not mask[row]:
                continue
            if offsets[row + 1] - offsets[row] > limits[0]:
                decoded[row] = 0
                continue
            for one in range(offsets[row], offsets[row + 1]):
                if key_offsets[one + 1] - key_offsets[one] > limits[1] or not 0 <= sizes[one] <= limits[2]:
                    decoded[row] = 0
                for other in range(offsets[row], one):
                    if hash_text(keys, key_offsets[one], key_offsets[one + 1], 0) == hash_text(
                        keys, key_offsets[other], key_offsets[other + 1], 0
                    ):
                        decoded[row] = 0
