"""Operations on arrays of rows, against lists of Python."""

import math
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import row_arrays
from batchfsm.auditing.columns.layout import (
    COLUMNS,
    FLAGS,
    ID_LOW,
    NULL,
    REDUNDANCY_BITS,
    UNCHANGED,
    UNDECIDABLE,
    WIDTH,
    new_rows,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
BITS = [0, 1, 2, 1 << 40, UNDECIDABLE, UNCHANGED, REDUNDANCY_BITS]
masks = st.lists(st.lists(st.sampled_from(BITS), max_size=3).map(lambda bits: sum({*bits} - {UNCHANGED})), max_size=12)


def with_slots(least):
    """Return a strategy of masks, slots from `least` to 3, and a mark for each slot."""
    return masks.flatmap(
        lambda values: st.tuples(
            st.just(values),
            st.lists(st.integers(least, 3), min_size=len(values), max_size=len(values)),
            st.lists(st.integers(0, 1), min_size=4, max_size=4),
        )
    )


@given(with_slots(-1), st.sampled_from([-1, 0, 5, 2**40]))
def test_split_masks(drawn, recorded):
    """Violations lose the bits of redundancy; a row without slot violates nothing; undecidable batches are marked."""
    values, slots, excluded = drawn
    found, marks = array("q", values), bytearray(excluded)
    redundancy, indices, places = row_arrays.split_masks(found, array("i", slots), marks, recorded)

    violations = [0 if slot < 0 else mask & ~REDUNDANCY_BITS for mask, slot in zip(values, slots, strict=True)]
    shift = UNCHANGED.bit_length() - 1
    assert violations == [*found]
    assert [index for index, mask in enumerate(violations) if mask & recorded] == [*indices]
    assert [slots[index] for index in indices] == [*places]
    assert [0 if slot < 0 else (mask & REDUNDANCY_BITS) >> shift for mask, slot in zip(values, slots, strict=True)] == [
        *redundancy
    ]
    undecidable = {slot for mask, slot in zip(violations, slots, strict=True) if mask & UNDECIDABLE}
    assert [mark or slot in undecidable for slot, mark in enumerate(excluded)] == [*marks]


@given(with_slots(0), st.integers(0, 2**50))
def test_masks_are_counted_and_selected(drawn, wanted):
    """Each bit is counted, and rows are selected by bits, except those of excluded batches."""
    values, slots, excluded = drawn
    arguments = array("q", values), array("i", slots), bytearray(excluded)
    counts = array("q", [7] * 64)
    row_arrays.count_rules(*arguments, counts)
    kept = [mask for mask, slot in zip(values, slots, strict=True) if not excluded[slot]]

    assert [7 + sum(mask >> bit & 1 for mask in kept) for bit in range(64)] == [*counts]
    assert [
        index
        for index, (mask, slot) in enumerate(zip(values, slots, strict=True))
        if mask & wanted and not excluded[slot]
    ] == [*row_arrays.select_violations(*arguments, wanted)]


@given(with_slots(-1))
def test_rows_of_batches_are_selected(drawn):
    """Selected rows are those whose slot is marked."""
    _, slots, wanted = drawn

    assert [index for index, slot in enumerate(slots) if slot >= 0 and wanted[slot]] == [
        *row_arrays.select(array("i", slots), bytearray(wanted))
    ]


@given(st.lists(INT64, min_size=1, max_size=9).flatmap(lambda values: st.tuples(st.just(values), st.lists(st.integers(0, len(values) - 1)))))  # fmt: skip
def test_values_are_taken(drawn):
    """Values are taken by index, one by one or several together, or with a number added."""
    values, indices = drawn
    places = array("q", indices)
    pairs = array("q", [each for value in values for each in (value, 1)])

    assert [values[index] for index in indices] == [*row_arrays.gather(array("q", values), places, 1)]
    assert [each for index in indices for each in (values[index], 1)] == [*row_arrays.gather(pairs, places, 2)]
    assert [index + 5 for index in indices] == [*row_arrays.add_to_each(places, 5)]


def test_an_index_beyond_the_values():
    """An index out of range raises IndexError, compiled too."""
    with pytest.raises(IndexError):
        row_arrays.gather(array("q", [1]), array("q", [1]), 1)
    with pytest.raises(IndexError):
        row_arrays.gather(new_rows(1), array("q", [1]), WIDTH)


def rows_of(rnd, count, ids=5):
    """Return rows of random values, of a few batches."""
    rows = array("q", [rnd.choice([NULL, 0, 1, 2**62]) for _ in range(count * WIDTH)])
    for row in range(count):
        rows[row * WIDTH + ID_LOW] = rnd.randrange(ids)
        rows[row * WIDTH + FLAGS] = rnd.choice([0, 1, 3])
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_what_decoded_rows_have(seed):
    """A column or a flag is found in decoded rows only."""
    rnd = random.Random(seed)  # noqa: S311
    count = rnd.randrange(4)
    rows, decoded = rows_of(rnd, count), bytearray(rnd.randrange(2) for _ in range(count))
    kept = [[*rows[row * WIDTH : (row + 1) * WIDTH]] for row in range(count) if decoded[row]]

    for column in range(len(COLUMNS)):
        assert any(row[column] != NULL for row in kept) == row_arrays.any_set(rows, decoded, column)
    for flag in (1, 2, 4):
        assert any(row[FLAGS] & flag for row in kept) == row_arrays.any_flag(rows, decoded, flag)


@pytest.mark.parametrize("seed", range(20))
def test_buckets(seed):
    """The decoded rows come bucket by bucket, in order, with their times and numbers, and are split as they were."""
    rnd = random.Random(seed)  # noqa: S311
    count, buckets, first = rnd.randrange(40), rnd.choice([1, 2, 16]), rnd.choice([0, 2**40])
    rows, decoded = rows_of(rnd, count, 50), bytearray(rnd.randrange(2) for _ in range(count))
    times = array("q", [rnd.getrandbits(63) for _ in range(count)])
    records, begins = row_arrays.group_by_bucket(rows, times, decoded, first, buckets)
    found = row_arrays.split_records(records)

    order = sorted((row for row in range(count) if decoded[row]), key=lambda row: rows[row * WIDTH + ID_LOW] % buckets)
    expected = [rows[row * WIDTH + ID_LOW] % buckets for row in order]
    assert [sum(bucket < each for bucket in expected) for each in range(buckets + 1)] == begins
    assert len(records) * 8 == row_arrays.RECORD_BYTES * len(order)
    assert [value for row in order for value in rows[row * WIDTH : (row + 1) * WIDTH]] == [*found[0]]
    assert ([times[row] for row in order], [first + row for row in order]) == ([*found[1]], [*found[2]])
    assert row_arrays.gather(rows, array("q", order), WIDTH) == found[0]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan])), max_size=40))
def test_order_of_observation(rows):
    """Rows are sorted by batch and time; a row without time has that of the row before it; equal times keep order."""
    slots, times = array("i", [slot for slot, _ in rows]), array("d", [time for _, time in rows])
    known, keys = {}, []
    for index, (slot, time) in enumerate(rows):
        known[slot] = known.get(slot, -1.0) if time != time else time  # noqa: PLR0124  # NaN is not itself.
        keys.append((slot, known[slot], index))

    assert [index for *_, index in sorted(keys)] == [*row_arrays.observation_order(slots, times, 4)]
    assert times.tobytes() == array("d", [time for _, time in rows]).tobytes()
