"""Arrow's buffers as arrays: numbers, texts and null masks, value by value. Compiled."""

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
Int64s = cython.typedef(cython.const[cython.longlong][::1])
Doubles = cython.typedef(cython.const[cython.double][::1])

NOT_AN_INT = 2**62
"""In a column of numbers: no integer, or one beyond 53 bits. It is no time and no count: the row is not decoded."""

_WIDTH = cython.declare(cython.Py_ssize_t, layout.WIDTH)
_NULL = cython.declare(cython.longlong, layout.NULL)
_NOT_AN_INT = cython.declare(cython.longlong, NOT_AN_INT)
_EXACT_MAX = cython.declare(cython.longlong, 2**53)  # Not every larger integer is a float.
_TIME_MAX = cython.declare(cython.longlong, TIME_MAX)
_NAN = cython.declare(cython.double, float("nan"))


def given(validity: Any, offset: int, count: int) -> Any:
    """Return 1 for each value that is not null; `validity`: Arrow's bitmap, or None if there is no null."""
    if validity is None:
        return bytearray(b"\1") * count
    bits: Bytes = validity
    found = bytearray(count)
    marks: cython.uchar[::1] = found
    first: cython.Py_ssize_t = offset
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(marks)):
            marks[row] = bits[(first + row) >> 3] >> ((first + row) & 7) & 1
    return found


def null_column(count: int) -> Any:
    """Return a column of NULL; `array('q')`."""
    return array("q", [layout.NULL]) * count


def int_column(values: Any, mask: Any) -> Any:
    """Return 64-bit integers as a column: NULL where the mask is 0, NOT_AN_INT beyond 53 bits."""
    source: Int64s = values
    marks: Bytes = mask
    found = array("q", bytes(8 * len(mask)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            if not marks[row]:
                column[row] = _NULL
            elif -_EXACT_MAX < source[row] < _EXACT_MAX:
                column[row] = source[row]
            else:
                column[row] = _NOT_AN_INT
    return found


def float_column(values: Any, mask: Any) -> Any:
    """Return floats as a column of integers: NULL where the mask is 0, NOT_AN_INT for what is no integer of 53 bits."""
    source: Doubles = values
    marks: Bytes = mask
    found = array("q", bytes(8 * len(mask)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    whole: cython.longlong
    with cython.nogil:
        for row in range(len(column)):
            if not marks[row]:
                column[row] = _NULL
                continue
            column[row] = _NOT_AN_INT
            if -_EXACT_MAX < source[row] < _EXACT_MAX:  # False for NaN.
                whole = cython.cast(cython.longlong, source[row])
                if whole == source[row]:
                    column[row] = whole
    return found


def read_times(column: Any, null_times: Any, milliseconds: bool, decoded: Any) -> None:
    """
    Read a column of times in place, as a dialect writes them.

    Args:
        column: `array('q')`.
        null_times: The integers that mean null; `array('q')`.
        milliseconds: True if numbers beyond `TIME_MAX` are milliseconds.
        decoded: Set to 0 for each row whose value is no time.
    """
    values: cython.longlong[::1] = column
    nulls: cython.longlong[::1] = null_times
    marks: cython.uchar[::1] = decoded
    is_milliseconds: cython.bint = milliseconds
    row: cython.Py_ssize_t
    index: cython.Py_ssize_t
    value: cython.longlong
    with cython.nogil:
        for row in range(len(values)):
            value = values[row]
            for index in range(len(nulls)):
                if value == nulls[index]:
                    value = _NULL
            if is_milliseconds and value > _TIME_MAX and value != _NOT_AN_INT:
                value //= 1000
            if value != _NULL and not 0 < value <= _TIME_MAX:
                marks[row] = 0
            values[row] = value


def hash_column(text: Any, offsets: Any, seed: int) -> Any:
    """Return the hash of each text; `offsets`: where each begins and the last one ends, `array('q')`."""
    letters: Bytes = text
    starts: Int64s = offsets
    secret: cython.ulonglong = seed
    found = array("q", bytes(8 * (len(offsets) - 1)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = hash_text(letters, starts[row], starts[row + 1], secret)
    return found


def id_time_column(text: Any, offsets: Any) -> Any:
    """Return the time inside each id; arguments as `hash_column`."""
    letters: Bytes = text
    starts: Int64s = offsets
    found = array("q", bytes(8 * (len(offsets) - 1)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = id_seconds(letters, starts[row], starts[row + 1])
    return found


def window_column(text: Any, offsets: Any) -> Any:
    """Return each completion window in seconds, NULL for what is none; arguments as `hash_column`."""
    letters: Bytes = text
    starts: Int64s = offsets
    found = array("q", bytes(8 * (len(offsets) - 1)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = window_seconds(letters, starts[row], starts[row + 1])
    return found


def word_column(text: Any, offsets: Any, words: WordTable) -> Any:
    """Return the code of each text in a table of words, -1 for others; arguments as `hash_column`."""
    letters: Bytes = text
    starts: Int64s = offsets
    table: WordTable = words
    found = array("q", bytes(8 * (len(offsets) - 1)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = table.find(
                hash_text(letters, starts[row], starts[row + 1], table.seed), letters, starts[row], starts[row + 1]
            )
    return found


def time_column(text: Any, offsets: Any, mask: Any, decoded: Any) -> Any:
    """
    Return RFC 3339 texts as Unix seconds, NaN where the mask is 0; `array('d')`.

    Args:
        text: As `hash_column`.
        offsets: As `hash_column`.
        mask: 0 where there is no text.
        decoded: Set to 0 for each row whose text is no time.
    """
    letters: Bytes = text
    starts: Int64s = offsets
    marks: Bytes = mask
    rows: cython.uchar[::1] = decoded
    found = array("d", bytes(8 * len(mask)))
    column: cython.double[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = _NAN
            if marks[row]:
                column[row] = observation_time(letters, starts[row], starts[row + 1], True)
                if column[row] != column[row]:
                    rows[row] = 0
    return found


def spread(values: Any, indices: Any, mask: Any, null: int) -> Any:
    """
    Return the value of each row.

    Args:
        values: `array('q')`.
        indices: The index of the value of each row, `array('i')`; None if each row has its own.
        mask: 0 where a row has none.
        null: The value of such a row.
    """
    source: Int64s = values
    has_indices: cython.bint = indices is not None
    places: cython.const[cython.int][::1] = indices if indices is not None else array("i")
    marks: Bytes = mask
    absent: cython.longlong = null
    found = array("q", bytes(8 * len(mask)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            if not marks[row]:
                column[row] = absent
            elif has_indices:
                column[row] = source[places[row]]
            else:
                column[row] = source[row]
    return found


def widen(offsets: Any) -> Any:
    """Return Arrow's offsets, of 32 or 64 bits, as `array('q')`."""
    found = array("q", bytes(8 * len(offsets)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    if offsets.itemsize == 8:
        found = array("q")
        found.frombytes(offsets.cast("B"))
        return found
    narrow: cython.const[cython.int][::1] = offsets
    with cython.nogil:
        for row in range(len(column)):
            column[row] = narrow[row]
    return found


def flags(mask: Any, flag: int) -> Any:
    """Return a flag where a mask is 1, and 0 elsewhere; `array('q')`."""
    marks: Bytes = mask
    found = array("q", bytes(8 * len(mask)))
    column: cython.longlong[::1] = found
    bit: cython.longlong = flag
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = bit if marks[row] else 0
    return found


def check_times(times: Any, mask: Any, decoded: Any) -> None:
    """Set `decoded` to 0 for each row whose mask is 1 and whose float is no time in Unix seconds."""
    values: Doubles = times
    marks: Bytes = mask
    rows: cython.uchar[::1] = decoded
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(rows)):
            if marks[row] and not 0 < values[row] <= _TIME_MAX:
                rows[row] = 0


def combine(flags: Any, others: Any) -> Any:
    """Return the bits of two columns of flags together."""
    one: Int64s = flags
    other: Int64s = others
    found = array("q", bytes(8 * len(flags)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = one[row] | other[row]
    return found


def differences(offsets: Any) -> Any:
    """Return the lengths between offsets; one less than there are offsets."""
    source: Int64s = offsets
    found = array("q", bytes(8 * (len(offsets) - 1)))
    column: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(column)):
            column[row] = source[row + 1] - source[row]
    return found


def require_counts(column: Any, mask: Any, null_counts: bool, decoded: Any) -> None:
    """
    Clear the rows whose count is no integer, or null where counts are set.

    Args:
        column: The counts; `array('q')`.
        mask: 1 where `request_counts` is set.
        null_counts: True if the dialect allows null.
        decoded: Set to 0 for each such row.
    """
    values: Int64s = column
    marks: Bytes = mask
    rows: cython.uchar[::1] = decoded
    is_allowed: cython.bint = null_counts
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(rows)):
            if values[row] == _NOT_AN_INT or (values[row] == _NULL and marks[row] and not is_allowed):
                rows[row] = 0


def fill_column(rows: Any, column: int, values: Any, first: int, end: int) -> None:
    """Write the values of the rows from `first` to `end` into one column of `rows`."""
    target: cython.longlong[::1] = rows
    source: cython.longlong[::1] = values
    place: cython.Py_ssize_t = column
    start: cython.Py_ssize_t = first
    stop: cython.Py_ssize_t = end
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(start, stop):
            target[row * _WIDTH + place] = source[row]


def limit_pairs(offsets: Any, keys: Any, key_offsets: Any, sizes: Any, mask: Any, limits: Any, decoded: Any) -> None:
    """
    Clear the rows whose maps may be beyond the limits of metadata, or hold a key twice.

    Args:
        offsets: Where the entries of each row begin, and the last ones end; `array('q')`.
        keys: The bytes of the keys.
        key_offsets: Where each key begins; `array('q')`.
        sizes: The length of each value in bytes, -1 if it is null or no text; `array('q')`.
        mask: 0 where there is no map.
        limits: The most keys, bytes of a key, and bytes of a value; `array('q')`.
        decoded: Set to 0 for each such row.
    """
    begins: Int64s = offsets
    letters: Bytes = keys
    starts: Int64s = key_offsets
    lengths: Int64s = sizes
    marks: Bytes = mask
    most: Int64s = limits
    rows: cython.uchar[::1] = decoded
    row: cython.Py_ssize_t
    one: cython.Py_ssize_t
    other: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(rows)):
            if not marks[row]:
                continue
            if begins[row + 1] - begins[row] > most[0]:
                rows[row] = 0
                continue
            for one in range(begins[row], begins[row + 1]):
                if starts[one + 1] - starts[one] > most[1] or not 0 <= lengths[one] <= most[2]:
                    rows[row] = 0
                for other in range(begins[row], one):
                    if hash_text(letters, starts[one], starts[one + 1], 0) == hash_text(
                        letters, starts[other], starts[other + 1], 0
                    ):
                        rows[row] = 0
