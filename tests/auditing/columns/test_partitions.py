"""Batches that are checked together, their rows, and the buckets on disk."""

import random
from array import array
from itertools import chain
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import SourceError
from support.columns import FullFile, expected_row, no_file
from support.dialects import DIALECTS
from support.notation import CREATED, snap

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm import parse
from batchfsm.auditing.columns import history_rules, partition
from batchfsm.auditing.columns.history_rules import BATCHES_FIRST, BatchTable
from batchfsm.auditing.columns.layout import COLUMNS, NULL, WIDTH, RowBatch, new_rows
from batchfsm.auditing.columns.lookup_tables import BIT, lookup_tables
from batchfsm.auditing.columns.partition import HashPartitioner, OutOfOrderError, Partition
from batchfsm.auditing.columns.row_arrays import RECORD_BYTES
from batchfsm.auditing.columns.witness_selection import WitnessSelection

OPENAI = DIALECTS["openai"]
TABLES = lookup_tables(OPENAI, 60.0)


def rows_of(*batches):
    """Return batches as decoded rows."""
    return array("q", [({"errors": NULL} | expected_row(parse(batch), OPENAI))[name] for batch in batches for name in COLUMNS])  # fmt: skip


def checked(partition, batches, times=None, numbers=None):
    """Check batches as decoded rows."""
    count = len(batches)
    partition.check(rows_of(*batches), array("d", times or [nan] * count), bytearray(b"\1" * count), numbers or range(count))  # fmt: skip


# ---------------------------------------------------------------- the table of batches


def keys_as_rows(keys):
    """Return rows that have nothing but an id."""
    rows = new_rows(len(keys))
    for index, key in enumerate(keys):
        rows[WIDTH * index : WIDTH * index + 2] = array("q", key)
    return rows


@pytest.mark.parametrize("low", [3, 2**60, BATCHES_FIRST * 8])
def test_each_id_has_a_slot(low, monkeypatch):
    """Ids get slots in order of appearance, are distinguished by both hashes, and keep slots as the table grows."""
    monkeypatch.setattr(history_rules, "BATCHES_ADDED_MAX", BATCHES_FIRST)
    rnd = random.Random(low)  # noqa: S311
    # First hashes that are equal, or equal modulo the table's size, have the same place in the table.
    keys = [(low * (number % 7), number) for number in range(5 * BATCHES_FIRST)]
    table, known = BatchTable(TABLES), {}
    for count in [*[0, 1, 500] * 5, 3 * len(keys)]:
        drawn = rnd.choices(keys[: rnd.choice([10, len(keys)]) if count < len(keys) else None], k=count)
        decoded = bytearray(rnd.random() < 0.9 for _ in drawn)
        slots = array("i", [9] * len(drawn))
        table.find_slots(keys_as_rows(drawn), decoded, slots)

        assert [known.setdefault(key, len(known)) if is_decoded else -1 for key, is_decoded in zip(drawn, decoded, strict=True)] == [*slots]  # fmt: skip
        assert (len(known), [key[0] for key in known]) == (table.size(), [*table.ids()])
        assert [-2] * len(known) == [*table.statuses()]
    assert len(known) > 4 * BATCHES_FIRST


def test_what_is_known_of_a_batch():
    """The table keeps the last known status of a batch, and the first values of its fields."""
    partition = Partition(TABLES)
    checked(partition, [snap("vp"), snap("vpz"), snap("v", id="b2") | {"status": "strange"}])
    (status, values), (strange, _) = partition.table.state(0), partition.table.state(1)

    assert ("finalizing", -1) == (OPENAI.lifecycle.statuses[status], strange)
    assert [CREATED, snap("vpz")["in_progress_at"], snap("vpz")["finalizing_at"]] == [*values[:3]]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1.0, 2.0, 2.0, 3.0, nan])), max_size=8))
def test_rows_behind_a_later_row_of_their_batch(steps):
    """A row earlier than one before it is refused; a row without time is in order anywhere."""
    rows, times = [snap("v", id=name) for name, _ in steps], [time for _, time in steps]
    own = [[time for name, time in steps if name == each and time == time] for each in "ab"]  # noqa: PLR0124
    partition = Partition(TABLES)

    if any(sorted(times_of) != times_of for times_of in own):
        with pytest.raises(OutOfOrderError):
            checked(partition, rows, times)
    else:
        checked(partition, rows, times)
        assert len(steps) == partition.rows_count


# ---------------------------------------------------------------- partitions


def test_violations_and_histories():
    """Violations have the numbers of their rows; histories have all rows of a batch, in order."""
    partition = Partition(TABLES)
    checked(partition, [snap("vpzc"), snap("v", id="b2"), snap("vpzcp")], numbers=array("q", [40, 7, 50]))
    checked(partition, [snap("vpzcpz"), snap("vp", id="b2")], numbers=array("q", [60, 70]))
    found = partition.violations

    assert [50] == [number for number, mask in zip(found.numbers, found.masks, strict=True) if mask & BIT["H502"]]
    assert [[40, 50, 60], [7, 70]] == [[row.number for row in rows] for rows in partition.histories(bytearray(b"\1\1"))]
    assert [[7, 70]] == [[row.number for row in rows] for rows in partition.histories(bytearray(b"\0\1"))]
    assert ([7, 40, 50, 60, 70], []) == (partition.rows_of(bytearray(b"\1\1")), partition.rows_of(bytearray(b"\0\0")))
    assert (5, False) == (partition.rows_count, partition.is_in_log_order)


def test_rows_in_any_order():
    """Rows that are in order once sorted by time violate nothing, and keep their numbers."""
    partition = Partition(TABLES)
    paths = ["vpz", "v", "vpzc", "vp"]
    rows = rows_of(*(snap(path) for path in paths))
    partition.check_unordered(
        rows, array("d", [CREATED + 99_000 + len(path) for path in paths]), array("q", [5, 6, 7, 8])
    )

    history = BIT["H501"] | BIT["H502"] | BIT["H507"]
    assert [] == [mask for mask in partition.violations.masks if mask & history]
    assert [[6, 8, 5, 7]] == [[row.number for row in rows] for rows in partition.histories(bytearray(b"\1"))]


def test_excluded_batches():
    """Batches are excluded by id before and after their rows came, and have one slot each."""
    partition = Partition(TABLES)
    key = (rows_of(snap("v"))[0], rows_of(snap("v"))[1])
    partition.exclude([key, (5, 5)])
    checked(partition, [snap("v"), snap("v", id="b2")])
    partition.exclude([(6, 6), key])

    assert (4, b"\1\1\0\1", [0]) == (partition.table.size(), partition.excluded, partition.rows_of(partition.excluded))


@pytest.mark.parametrize("in_log_order", [True, False])
def test_the_first_violations_are_selected(in_log_order):
    """The violations of the lowest row numbers are selected; independent rows need no other row."""
    partition, selection = Partition(TABLES), WitnessSelection(3)
    batches = [snap("vpzc"), snap("v", id="b2", expires_at=None), snap("vp"), snap("vpzcp"), snap("v", id="b3", expires_at=None)]  # fmt: skip
    checked(partition, batches, numbers=range(5) if in_log_order else array("q", [4, 3, 2, 1, 0]))
    selection.add(partition, sum(BIT.values()))
    chosen = selection.select(is_whole=False)
    found = partition.violations

    assert [*sorted(found.numbers)[:3]] == sorted(chosen.masks)
    assert {1, 4} & {*chosen.masks} if in_log_order else {0, 3} & {*chosen.masks} == chosen.independent
    assert {*chosen.masks} <= {*chosen.numbers}


# ---------------------------------------------------------------- buckets on disk


def batch_of(batches, first):
    """Return batches as rows of a source, each third one not decoded."""
    count = len(batches)
    return RowBatch(count=count, values=rows_of(*batches), observed_at=array("d", range(count)), decoded=bytearray(index % 3 < 2 for index in range(count)), first=first)  # fmt: skip


def test_rows_come_back_by_bucket():
    """All rows of a batch are in one bucket, in order, with its time and number; so are the ids of excluded batches."""
    batches = [snap("v", id=f"b{number % 40}") for number in range(100)]
    with HashPartitioner(10**9, 10**9) as found:
        found.add(batch_of(batches[:50], 0), 1000)
        found.add(batch_of(batches[50:], 50), 1000)
        buckets = [*found.buckets([(number, number) for number in range(64)])]

    assert (found.count, 64) == (len(buckets), sum(len(bucket.excluded) for bucket in buckets))
    assert all(key[0] % found.count == index for index, bucket in enumerate(buckets) for key in bucket.excluded)
    numbers = {}
    for index, bucket in enumerate(buckets):
        for row, (number, time) in enumerate(zip(bucket.numbers, bucket.observed_at, strict=True)):
            batch = batches[number - 1000]
            assert rows_of(batch) == bucket.rows[row * WIDTH : (row + 1) * WIDTH]
            assert time == (number - 1000) % 50
            numbers.setdefault((index, batch["id"]), []).append(number)
    assert all(sorted(each) == each for each in numbers.values())
    assert 40 == len(numbers)
    assert [1000 + number for number in range(100) if number % 50 % 3 < 2] == sorted(
        chain.from_iterable(numbers.values())
    )


@pytest.mark.parametrize(
    "log_bytes, memory, expected",
    [(0, 1, 16), (10**9, 10**7 * RECORD_BYTES // 4, 32), (10**12, 10**9, 256), (10**12, 0, 256)],
)
def test_the_number_of_buckets(log_bytes, memory, expected):
    """The rows of a bucket take an eighth of the memory, at 100 bytes of log a row; there are 16 to 256 buckets."""
    assert expected == HashPartitioner(log_bytes, memory).count


def test_no_room_to_sort(monkeypatch):
    """If the disk is full, at the first byte or later, the run stops with one error."""
    monkeypatch.setattr(partition, "TemporaryFile", FullFile)
    with HashPartitioner(1, 1) as found, pytest.raises(SourceError, match=r"^no room to sort the log: .*No space left"):
        found.add(batch_of([snap("v")], 0), 0)

    monkeypatch.setattr(partition, "TemporaryFile", no_file)
    with pytest.raises(SourceError, match=r"^no room to sort the log: .*No space left"), HashPartitioner(1, 1):
        pass
