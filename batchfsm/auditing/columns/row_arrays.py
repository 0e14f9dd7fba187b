"""Operations on arrays of rows: select, count, gather, group by bucket, sort. Compiled."""

from __future__ import annotations

from array import array
from typing import Any

import cython

from batchfsm.auditing.columns import layout

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


def split_masks(masks: Any, slots: Any, excluded: Any) -> tuple[Any, Any]:
    """
    Split masks into violations and redundancy.

    Args:
        masks: `n` 64-bit integers; the bits of redundancy are cleared.
        slots: `n` 32-bit integers.
        excluded: A byte for each slot; set to 1 where a mask says `UNDECIDABLE`.

    Returns:
        The bits of redundancy of each row, a byte each; the indices of the rows that violate something, `array('q')`.
    """
    values: cython.longlong[::1] = masks
    places: cython.int[::1] = slots
    marks: cython.uchar[::1] = excluded
    redundancy = bytearray(len(masks))
    bits: cython.uchar[::1] = redundancy
    row: cython.Py_ssize_t
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for row in range(len(values)):
            if places[row] < 0:
                values[row] = 0
                continue
            bits[row] = cython.cast(cython.uchar, (values[row] & _REDUNDANCY_BITS) >> _REDUNDANCY_SHIFT)
            values[row] &= ~_REDUNDANCY_BITS
            if values[row] & _UNDECIDABLE:
                marks[places[row]] = 1
            count += values[row] != 0
    found = array("q", bytes(8 * count))
    indices: cython.longlong[::1] = found
    count = 0
    with cython.nogil:
        for row in range(len(values)):
            if values[row]:
                indices[count] = row
                count += 1
    return redundancy, found


def take(values: Any, indices: Any, stride: int, offset: int) -> Any:
    """Return `values[stride * index + offset]` of each index; both `array('q')`."""
    source: cython.longlong[::1] = values
    places: cython.longlong[::1] = indices
    found = array("q", bytes(8 * len(indices)))
    target: cython.longlong[::1] = found
    step: cython.Py_ssize_t = stride
    first: cython.Py_ssize_t = offset
    at: cython.Py_ssize_t
    with cython.nogil:
        for at in range(len(places)):
            target[at] = source[step * places[at] + first]
    return found


def take_slots(slots: Any, indices: Any) -> Any:
    """Return the slot of each index; slots are `array('i')`, indices `array('q')`."""
    source: cython.int[::1] = slots
    places: cython.longlong[::1] = indices
    found = array("i", bytes(4 * len(indices)))
    target: cython.int[::1] = found
    at: cython.Py_ssize_t
    with cython.nogil:
        for at in range(len(places)):
            target[at] = source[places[at]]
    return found


def take_floats(values: Any, indices: Any) -> Any:
    """Return the float of each index; `array('d')`."""
    source: cython.double[::1] = values
    places: cython.longlong[::1] = indices
    found = array("d", bytes(8 * len(indices)))
    target: cython.double[::1] = found
    at: cython.Py_ssize_t
    with cython.nogil:
        for at in range(len(places)):
            target[at] = source[places[at]]
    return found


def add_to_each(values: Any, number: int) -> Any:
    """Return values with a number added to each; `array('q')`."""
    source: cython.longlong[::1] = values
    found = array("q", bytes(8 * len(values)))
    target: cython.longlong[::1] = found
    added: cython.longlong = number
    at: cython.Py_ssize_t
    with cython.nogil:
        for at in range(len(source)):
            target[at] = source[at] + added
    return found


def select(slots: Any, wanted: Any) -> Any:
    """
    Return the indices of the rows of some batches.

    Args:
        slots: `n` 32-bit integers; -1 is never wanted.
        wanted: A byte for each slot; 0 if the batch is not wanted.
    """
    places: cython.int[::1] = slots
    marks: cython.uchar[::1] = wanted
    row: cython.Py_ssize_t
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for row in range(len(places)):
            count += places[row] >= 0 and marks[places[row]] != 0
    found = array("q", bytes(8 * count))
    indices: cython.longlong[::1] = found
    count = 0
    if len(found):
        with cython.nogil:
            for row in range(len(places)):
                if places[row] >= 0 and marks[places[row]] != 0:
                    indices[count] = row
                    count += 1
    return found


def count_rules(masks: Any, slots: Any, excluded: Any, counts: Any) -> None:
    """
    Count the bits of masks.

    Args:
        masks: `n` 64-bit integers.
        slots: `n` 32-bit integers.
        excluded: A byte for each slot; the rows of slots with 1 are not counted.
        counts: 64 64-bit integers, added to: how often each bit is set.
    """
    values: cython.longlong[::1] = masks
    places: cython.int[::1] = slots
    marks: cython.uchar[::1] = excluded
    totals: cython.longlong[::1] = counts
    row: cython.Py_ssize_t
    bit: cython.int
    left: cython.longlong
    with cython.nogil:
        for row in range(len(values)):
            if marks[places[row]]:
                continue
            left, bit = values[row], 0
            while left:
                if left & 1:
                    totals[bit] += 1
                left >>= 1
                bit += 1


def select_violations(masks: Any, slots: Any, excluded: Any, wanted: int) -> Any:
    """Return the indices of the rows that have one of some bits and are not excluded; arguments as `count_rules`."""
    values: cython.longlong[::1] = masks
    places: cython.int[::1] = slots
    marks: cython.uchar[::1] = excluded
    bits: cython.longlong = wanted
    found = array("q", bytes(8 * len(masks)))
    indices: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for row in range(len(values)):
            if values[row] & bits and not marks[places[row]]:
                indices[count] = row
                count += 1
    indices = None
    del found[count:]
    return found


def any_set(rows: Any, decoded: Any, column: int) -> bool:
    """Return whether a column is not NULL in any decoded row."""
    values: cython.longlong[::1] = rows
    marks: cython.uchar[::1] = decoded
    place: cython.Py_ssize_t = column
    row: cython.Py_ssize_t
    found: cython.bint = False
    with cython.nogil:
        for row in range(len(marks)):
            if marks[row] and values[row * _WIDTH + place] != _NULL:
                found = True
                break
    return bool(found)


def any_flag(rows: Any, decoded: Any, flag: int) -> bool:
    """Return whether any decoded row has a flag in its column `flags`."""
    values: cython.longlong[::1] = rows
    marks: cython.uchar[::1] = decoded
    wanted: cython.longlong = flag
    row: cython.Py_ssize_t
    found: cython.bint = False
    with cython.nogil:
        for row in range(len(marks)):
            if marks[row] and values[row * _WIDTH + _FLAGS] & wanted:
                found = True
                break
    return bool(found)


def group_by_bucket(rows: Any, time_bits: Any, decoded: Any, first: int, buckets: int) -> tuple[Any, list[int]]:
    """
    Group decoded rows by bucket: the rows of a batch come into one bucket, in order.

    Args:
        rows: `n * WIDTH` 64-bit integers.
        time_bits: The times of observation, as the bits of the floats; `n` 64-bit integers.
        decoded: `n` bytes.
        first: The number of the first row.
        buckets: How many buckets there are.

    Returns:
        The records, bucket after bucket, `array('q')`; where each bucket begins, and the last one ends, in records.
    """
    values: cython.longlong[::1] = rows
    times: cython.longlong[::1] = time_bits
    marks: cython.uchar[::1] = decoded
    count: cython.longlong = buckets
    number: cython.longlong = first
    begins = array("q", bytes(8 * (buckets + 1)))
    starts: cython.longlong[::1] = begins
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    bucket: cython.longlong
    to: cython.longlong
    with cython.nogil:
        for row in range(len(marks)):
            if marks[row]:
                starts[values[row * _WIDTH + _ID_LOW] % count + 1] += 1
        for bucket in range(count):
            starts[bucket + 1] += starts[bucket]
    records = array("q", bytes(8 * (layout.WIDTH + 2) * begins[buckets]))
    targets = begins[:]
    ends: cython.longlong[::1] = targets
    target: cython.longlong[::1] = records
    with cython.nogil:
        for row in range(len(marks)):
            if not marks[row]:
                continue
            bucket = values[row * _WIDTH + _ID_LOW] % count
            to = ends[bucket] * _RECORD
            ends[bucket] += 1
            for column in range(_WIDTH):
                target[to + column] = values[row * _WIDTH + column]
            target[to + _WIDTH], target[to + _WIDTH + 1] = times[row], number + row
    return records, begins.tolist()


def split_records(records: Any) -> tuple[Any, Any, Any]:
    """Return the values, the times as bits, and the numbers of records; each `array('q')`."""
    source: cython.longlong[::1] = records
    count: cython.Py_ssize_t = len(source) // _RECORD
    rows, times, numbers = layout.new_rows(count), array("q", bytes(8 * count)), array("q", bytes(8 * count))
    values: cython.longlong[::1] = rows
    bits: cython.longlong[::1] = times
    places: cython.longlong[::1] = numbers
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    with cython.nogil:
        for row in range(count):
            for column in range(_WIDTH):
                values[row * _WIDTH + column] = source[row * _RECORD + column]
            bits[row], places[row] = source[row * _RECORD + _WIDTH], source[row * _RECORD + _WIDTH + 1]
    return rows, times, numbers


def observation_order(slots: Any, observed_at: Any, batches: int) -> Any:
    """
    Return the order of observation of each batch's rows, batch after batch.

    A row without time counts as observed when the row before it of its batch was.

    Args:
        slots: `n` 32-bit integers, none below 0; rows in the order of the log.
        observed_at: `n` floats.
        batches: How many slots there are.

    Returns:
        Indices of rows; `array('q')`.
    """
    places: cython.int[::1] = slots
    times: cython.double[::1] = array("d", observed_at)
    ordered, spare = array("q", bytes(8 * len(slots))), array("q", bytes(8 * len(slots)))
    order: cython.longlong[::1] = ordered
    other: cython.longlong[::1] = spare
    begins: cython.longlong[::1] = array("q", bytes(8 * (batches + 1)))
    row: cython.Py_ssize_t
    slot: cython.Py_ssize_t
    start: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(places)):
            begins[places[row] + 1] += 1
        for slot in range(len(begins) - 1):
            begins[slot + 1] += begins[slot]
        for row in range(len(places)):
            order[begins[places[row]]] = row
            begins[places[row]] += 1  # Afterwards each is the end of its batch.
        start = 0
        for slot in range(len(begins) - 1):
            _sort_batch(order, other, times, start, begins[slot])
            start = begins[slot]
    return ordered


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def _sort_batch(
    order: cython.longlong[::1],
    spare: cython.longlong[::1],
    times: cython.double[::1],
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
) -> cython.int:
    """Sort `order[start:end]` by time: a stable merge sort from runs of one row upwards."""
    at: cython.Py_ssize_t
    width: cython.Py_ssize_t = 1
    middle: cython.Py_ssize_t
    stop: cython.Py_ssize_t
    run: cython.Py_ssize_t
    left: cython.Py_ssize_t
    right: cython.Py_ssize_t
    is_sorted: cython.bint = True
    for at in range(start + 1, end):
        if times[order[at]] != times[order[at]]:  # NaN
            times[order[at]] = times[order[at - 1]]
        # A batch may begin with rows without time; a comparison with NaN is False, so they stay where they are.
        if times[order[at]] < times[order[at - 1]]:
            is_sorted = False
    if is_sorted:
        return 0
    while width < end - start:
        run = start
        while run < end:
            middle, stop = min(run + width, end), min(run + 2 * width, end)
            at, left, right = run, run, middle
            while at < stop:
                if right == stop or (left < middle and not times[order[right]] < times[order[left]]):
                    spare[at] = order[left]
                    left += 1
                else:
                    spare[at] = order[right]
                    right += 1
                at += 1
            run = stop
        for at in range(start, end):
            order[at] = spare[at]
        width *= 2
    return 0


def gather_rows(rows: Any, order: Any) -> Any:
    """Return rows in another order; `array('q')`."""
    values: cython.longlong[::1] = rows
    places: cython.longlong[::1] = order
    found = layout.new_rows(len(order))
    target: cython.longlong[::1] = found
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    with cython.nogil:
        for row in range(len(places)):
            for column in range(_WIDTH):
                target[row * _WIDTH + column] = values[places[row] * _WIDTH + column]
    return found
