"""
Operations on arrays of rows: select, count, gather, group by bucket, sort. Compiled.

Unless a function says otherwise: `rows` are `n * WIDTH` 64-bit integers, see `layout`; `decoded` are `n` bytes, `masks`
`n` 64-bit integers and `slots` `n` 32-bit integers; `excluded` and `wanted` hold a byte for each slot.
"""

from __future__ import annotations

from array import array
from typing import Any

import cython

from batchfsm.auditing.columns import layout

Int64s = cython.typedef(cython.longlong[::1])
Int32s = cython.typedef(cython.int[::1])
Doubles = cython.typedef(cython.double[::1])
Bytes = cython.typedef(cython.uchar[::1])

_WIDTH = cython.declare(cython.Py_ssize_t, layout.WIDTH)
_RECORD = cython.declare(cython.Py_ssize_t, layout.WIDTH + 2)  # The values of a row, its time as bits, its number.
_ID_LOW = cython.declare(cython.int, layout.ID_LOW)
_FLAGS = cython.declare(cython.int, layout.FLAGS)
_NULL = cython.declare(cython.longlong, layout.NULL)
_REDUNDANCY_BITS = cython.declare(cython.longlong, layout.REDUNDANCY_BITS)
_REDUNDANCY_SHIFT = cython.declare(cython.int, layout.UNCHANGED.bit_length() - 1)
_UNDECIDABLE = cython.declare(cython.longlong, layout.UNDECIDABLE)

RECORD_BYTES = 8 * (layout.WIDTH + 2)
"""The size of a row of `group_by_bucket`."""


def split_masks(masks: Int64s, slots: Int32s, excluded: Bytes, recorded: cython.longlong) -> tuple[Any, Any, Any]:
    """
    Move the bits of redundancy out of the masks, and set `excluded` to 1 for each slot that is `UNDECIDABLE`.

    Returns:
        The bits of redundancy of each row, a byte each; the indices of the rows that violate a recorded rule,
        `array('q')`, and their slots, `array('i')`.
    """
    redundancy = bytearray(len(masks))
    bits: Bytes = redundancy
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for row in range(len(masks)):
            if slots[row] < 0:
                masks[row] = 0
                continue
            bits[row] = cython.cast(cython.uchar, (masks[row] & _REDUNDANCY_BITS) >> _REDUNDANCY_SHIFT)
            masks[row] &= ~_REDUNDANCY_BITS
            if masks[row] & _UNDECIDABLE:
                excluded[slots[row]] = 1
            count += masks[row] & recorded != 0
    found, found_slots = layout.zeros(count), array("i", bytes(4 * count))
    indices: Int64s = found
    places: Int32s = found_slots
    count = 0
    with cython.nogil:
        for row in range(len(masks)):
            if masks[row] & recorded:
                indices[count], places[count] = row, slots[row]
                count += 1
    return redundancy, found, found_slots


def gather(values: Int64s, indices: Int64s, width: cython.Py_ssize_t) -> Any:
    """Return `values[width * index : width * (index + 1)]` of each index; `array('q')`."""
    found = layout.zeros(len(indices) * width)
    target: Int64s = found
    with cython.nogil:
        for at in range(len(indices)):
            for column in range(width):
                target[at * width + column] = values[indices[at] * width + column]
    return found


def add_to_each(values: Int64s, number: cython.longlong) -> Any:
    """Return values with a number added to each; `array('q')`."""
    found = layout.zeros(len(values))
    target: Int64s = found
    with cython.nogil:
        for at in range(len(values)):
            target[at] = values[at] + number
    return found


def select(slots: Int32s, wanted: Bytes) -> Any:
    """Return the indices of the rows of the wanted batches; the slot -1 is never wanted."""
    found = layout.zeros(len(slots))
    indices: Int64s = found
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for row in range(len(slots)):
            if slots[row] >= 0 and wanted[slots[row]] != 0:
                indices[count] = row
                count += 1
    indices = None
    del found[count:]
    return found


def count_rules(masks: Int64s, slots: Int32s, excluded: Bytes, counts: Int64s) -> None:
    """Add to the 64 integers of `counts` how often each bit is set in the masks of slots that are not excluded."""
    with cython.nogil:
        for row in range(len(masks)):
            if excluded[slots[row]]:
                continue
            left, bit = masks[row], 0
            while left:
                counts[bit] += left & 1
                left >>= 1
                bit += 1


def select_violations(masks: Int64s, slots: Int32s, excluded: Bytes, wanted: cython.longlong) -> Any:
    """Return the indices of the rows that have a wanted bit and are not excluded."""
    found = layout.zeros(len(masks))
    indices: Int64s = found
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for row in range(len(masks)):
            if masks[row] & wanted and not excluded[slots[row]]:
                indices[count] = row
                count += 1
    indices = None
    del found[count:]
    return found


def any_set(rows: Int64s, decoded: Bytes, column: cython.Py_ssize_t) -> bool:
    """Return whether a column is not NULL in any decoded row."""
    for row in range(len(decoded)):
        if decoded[row] and rows[row * _WIDTH + column] != _NULL:
            return True
    return False


def any_flag(rows: Int64s, decoded: Bytes, flag: cython.longlong) -> bool:
    """Return whether any decoded row has a flag in its column `flags`."""
    for row in range(len(decoded)):
        if decoded[row] and rows[row * _WIDTH + _FLAGS] & flag:
            return True
    return False


def group_by_bucket(
    rows: Int64s, time_bits: Int64s, decoded: Bytes, first: cython.longlong, buckets: cython.longlong
) -> tuple[Any, list[int]]:
    """
    Group decoded rows by bucket: the rows of a batch come into one bucket, in order.

    `time_bits` are the times of observation, as the bits of the floats; `first` is the number of the first row.

    Returns:
        The records, bucket after bucket, `array('q')`; where each bucket begins, and the last one ends, in records.
    """
    begins = layout.zeros(buckets + 1)
    starts: Int64s = begins
    with cython.nogil:
        for row in range(len(decoded)):
            if decoded[row]:
                starts[rows[row * _WIDTH + _ID_LOW] % buckets + 1] += 1
        for bucket in range(buckets):
            starts[bucket + 1] += starts[bucket]
    records = layout.zeros((layout.WIDTH + 2) * begins[buckets])
    target: Int64s = records
    ends: Int64s = begins[:]
    with cython.nogil:
        for row in range(len(decoded)):
            if decoded[row]:
                bucket = rows[row * _WIDTH + _ID_LOW] % buckets
                to = ends[bucket] * _RECORD
                ends[bucket] += 1
                for column in range(_WIDTH):
                    target[to + column] = rows[row * _WIDTH + column]
                target[to + _WIDTH], target[to + _WIDTH + 1] = time_bits[row], first + row
    return records, begins.tolist()


def split_records(records: Int64s) -> tuple[Any, Any, Any]:
    """Return the values, the times as bits, and the numbers of records; each `array('q')`."""
    count = len(records) // _RECORD
    rows, times, numbers = layout.new_rows(count), layout.zeros(count), layout.zeros(count)
    values: Int64s = rows
    bits: Int64s = times
    places: Int64s = numbers
    with cython.nogil:
        for row in range(count):
            for column in range(_WIDTH):
                values[row * _WIDTH + column] = records[row * _RECORD + column]
            bits[row], places[row] = records[row * _RECORD + _WIDTH], records[row * _RECORD + _WIDTH + 1]
    return rows, times, numbers


def observation_order(slots: Int32s, observed_at: Any, batches: cython.Py_ssize_t) -> Any:
    """
    Return the order of observation of each batch's rows, batch after batch: indices of rows, `array('q')`.

    The rows come in the order of the log, no slot is below 0, and `batches` is how many slots there are. A row without
    time counts as observed when the row before it of its batch was.
    """
    times: Doubles = array("d", observed_at)
    ordered = layout.zeros(len(slots))
    order: Int64s = ordered
    spare: Int64s = layout.zeros(len(slots))
    begins: Int64s = layout.zeros(batches + 1)
    start: cython.longlong = 0
    with cython.nogil:
        for row in range(len(slots)):
            begins[slots[row] + 1] += 1
        for slot in range(batches):
            begins[slot + 1] += begins[slot]
        for row in range(len(slots)):
            order[begins[slots[row]]] = row
            begins[slots[row]] += 1  # Afterwards each is the end of its batch.
        for slot in range(batches):
            _sort_batch(order, spare, times, start, begins[slot])
            start = begins[slot]
    return ordered


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def _sort_batch(
    order: Int64s, spare: Int64s, times: Doubles, start: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.int:
    """Sort `order[start:end]` by time: a stable merge sort from runs of one row upwards."""
    width: cython.Py_ssize_t = 1
    is_sorted: cython.bint = True
    for at in range(start + 1, end):
        if times[order[at]] != times[order[at]]:  # NaN
            times[order[at]] = times[order[at - 1]]
        # A batch may begin with rows without time; a comparison with NaN is False, so they stay where they are.
        if times[order[at]] < times[order[at - 1]]:
            is_sorted = False
    while width < end - start and not is_sorted:
        run = start
        while run < end:
            middle, stop = min(run + width, end), min(run + 2 * width, end)
            left, right = run, middle
            for at in range(run, stop):
                if right == stop or (left < middle and not times[order[right]] < times[order[left]]):
                    spare[at] = order[left]
                    left += 1
                else:
                    spare[at] = order[right]
                    right += 1
            run = stop
        for at in range(start, end):
            order[at] = spare[at]
        width *= 2
    return 0
