"""Rows decoded from Arrow's columns equal those of the row engine, for any types, nulls and slices."""

import json
import random
from array import array
from itertools import pairwise

import pytest

from batchfsm.logs import Record, parse_records
from batchfsm.wire import reader
from support.columns import RowComparison
from support.dialects import DIALECTS
from support.medley import COUNTS, GARBAGE, TEXTS, TIMES, medley, words
from support.notation import CREATED

pytest.importorskip("pyarrow", reason="the extra `audit` is not installed")
pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from batchfsm.auditing.columns import JsonLinesSource, TableSource, arrow_rows, arrow_values, table_source
from batchfsm.auditing.columns.layout import WIDTH
from batchfsm.auditing.tables import Frame, Parquet, TableRows, tables
from support.arrow_tables import ENTRY, ODD, SHAPES, flat_table, healthy, line


def compare(table, dialect):
    """Compare each decoded row of a table with the row engine; return which rows are decoded."""
    dialect, decoded = DIALECTS[dialect], bytearray()
    comparison, wire, table_rows = RowComparison(dialect), reader(dialect), TableRows(table)
    raw = iter(table_rows)
    for batch in TableSource(table_rows, dialect).batches():
        assert (len(decoded), batch.count * WIDTH) == (batch.first, len(batch.values))
        for row in range(batch.count):
            found = list(parse_records([next(raw)], wire))
            if batch.decoded[row]:
                (read,) = found
                assert isinstance(read, Record)
                comparison.compare(batch.values[row * WIDTH : (row + 1) * WIDTH], batch.observed_at[row], read.snapshot)
        decoded += batch.decoded
    assert next(raw, None) is None
    return decoded


# ---------------------------------------------------------------- tables as warehouses have them


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_of_tables_and_of_lines(dialect, tmp_path):
    """A row that is decoded in a table and in a line has equal columns."""
    logged = medley(random.Random(f"cells {dialect}"), dialect, 12, 20)  # noqa: S311
    path = tmp_path / "log.jsonl"
    path.write_text("".join(map(line, logged)))
    source = JsonLinesSource(str(path), DIALECTS[dialect])
    (lines,) = source.batches()
    source.close()
    (cells,) = TableSource(TableRows(Frame(flat_table(logged))), DIALECTS[dialect]).batches()
    both = [row for row in range(lines.count) if lines.decoded[row] and cells.decoded[row]]

    assert len(logged) == lines.count == cells.count
    assert len(logged) // 2 < len(both)
    for row in both:
        assert lines.values[row * WIDTH : (row + 1) * WIDTH] == cells.values[row * WIDTH : (row + 1) * WIDTH]
        assert repr(lines.observed_at[row]) == repr(cells.observed_at[row])


@pytest.mark.parametrize("dialect", ["openai", "azure"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape, dialect, tmp_path):
    """A healthy row is decoded, from a dataframe and from Parquet; all decoded rows equal the row engine's."""
    table = SHAPES[shape](healthy())
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=3)
    parquet = Parquet(str(tmp_path / "log.parquet"))

    found = [compare(Frame(table), dialect), compare(parquet, dialect)]
    parquet.close()

    assert found[0] == found[1]
    assert (1 in found[0]) == (shape != "counts as a map")


@pytest.mark.parametrize("dialect", ["openai", "azure", "compatible"])
@pytest.mark.parametrize("oddity", ODD)
def test_every_oddity(oddity, dialect):
    """An odd value is not decoded, or is decoded as the row engine reads it."""
    column, kind, values = ODD[oddity]
    logged = [row for row in healthy() for _ in values]
    odd = pa.array([values[place % len(values)] for place in range(len(logged))], kind)
    changes = {f"request_counts_{name}": None for name in COUNTS} if column == "request_counts" else {}
    whole = flat_table(logged, **changes)
    whole = whole.drop_columns(column) if column in whole.column_names else whole

    compare(Frame(whole.append_column(column, odd)), dialect)


# ---------------------------------------------------------------- any column


INTEGERS = [*range(-2, 5), CREATED, CREATED, CREATED, CREATED + 60, CREATED * 1000, 946684800, 946656000000, 10**11 - 1, 10**11, 10**11 + 1, 2**31 - 1, 2**53 - 1, 2**53, 2**53 + 1, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**53), -(2**62), -(2**63), 10**14 + 999]  # fmt: skip
FLOATS = [*map(float, INTEGERS), 0.5, -0.0, CREATED + 0.25, 1e300, float("nan"), float("inf"), float("-inf")]
MOMENTS = ["2024-03-26T16:45:33Z", "2024-03-26t16:45:33.5+01:00", "1970-01-01T00:00:51+00:01", "x", "", "2024-03-26T24:00:00Z", "5"]  # fmt: skip
TYPES_OF_NUMBERS = [pa.int64(), pa.int64(), pa.int32(), pa.int16(), pa.uint8(), pa.uint64(), pa.float64(), pa.float32(), pa.decimal128(38, 0), pa.null(), pa.dictionary(pa.int8(), pa.int64())]  # fmt: skip
TYPES_OF_TEXT = [pa.string(), pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.null(), *(pa.dictionary(index, pa.string()) for index in (pa.int8(), pa.int16(), pa.int32(), pa.int64())), pa.dictionary(pa.int32(), pa.large_string())]  # fmt: skip
TYPES_OF_TIMES = [*TYPES_OF_NUMBERS, *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")), pa.timestamp("us", "UTC"), pa.string()]  # fmt: skip
ERRORS = [None, [], [{"code": "a", "message": "m", "param": None, "line": 7}], [{"code": "b", "message": None, "param": "p", "line": None}] * 2, [{"code": "a", "message": "é", "param": "", "line": 0}]]  # fmt: skip
METADATA = [None, {}, {"a": "b"}, {"a": "é" * 300, "b": ""}, {"k" * 65: "v"}, {"a": "v" * 513}, {f"k{number}": "v" for number in range(17)}, {"a": None}]  # fmt: skip
COUNT_VALUES = [None, {"total": 5, "completed": 1, "failed": 0}, {"total": 5, "completed": None, "failed": 0}, {"total": -1, "completed": 2**62, "failed": 0}, {"total": None, "completed": None, "failed": None}]  # fmt: skip
JSON_ODDITIES = ["", "null", "{", "[]", "{}", "5", '"x"', '{"a":1,"a":2}', "[1", ' {"total":1,"completed":0,"failed":0} ', '{"total":1.0,"completed":0,"failed":0}', "\n[]\n"]  # fmt: skip


def array_of(rnd, values, kind, count):
    """Return an array of random values that its type can hold, sometimes sliced, or with bytes under its nulls."""
    if kind == pa.null():
        return pa.nulls(count)
    kind, index = (kind.value_type, kind.index_type) if pa.types.is_dictionary(kind) else (kind, None)
    held = [value for value in values if _can_hold(kind, value)] or [None]
    before, behind = rnd.choice([(0, 0), (0, 3), (1, 0), (9, 2), (64, 64)])
    drawn = pa.array(rnd.choices(held, k=before + count + behind), kind)
    if rnd.random() < 0.5:
        drawn = _with_nulls(rnd, drawn)
    if index is not None:
        drawn = drawn.dictionary_encode().cast(pa.dictionary(index, kind))
    return drawn.slice(before, count)


def _can_hold(kind, value):
    if pa.types.is_decimal(kind) and isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False  # A table with such a number is refused.
    try:
        pa.array([value], kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    return True


def _with_nulls(rnd, drawn):
    """Return an array with nulls, whose bytes are still in the buffers where the type allows it."""
    share = rnd.choice([0.1, 0.5, 0.5, 1.0])
    valid = [rnd.random() > share for _ in drawn]
    if pa.types.is_nested(drawn.type) or pa.types.is_string_view(drawn.type):
        return pa.array([value if is_valid else None for value, is_valid in zip(drawn.to_pylist(), valid, strict=True)], drawn.type)  # fmt: skip
    bits = bytearray(len(valid) // 8 + 1)
    for place, (is_valid, value) in enumerate(zip(valid, drawn.is_valid().to_pylist(), strict=True)):
        bits[place >> 3] |= (is_valid and value) << (place & 7)
    return pa.Array.from_buffers(drawn.type, len(drawn), [pa.py_buffer(bytes(bits)), *drawn.buffers()[1:]])


def texts(rnd, count, field, dialect):
    """Return an array of texts, as a field may have them."""
    values = words(dialect) if field == "status" else GARBAGE[field]
    if rnd.random() < 0.7:
        values = [value for value in values if value]
    else:
        values = [*values, *values, None, "", "é", "Validating", "x" * 600, f"batch_{CREATED:08x}" + "0" * 24, "24h"]
    kind = rnd.choice(TYPES_OF_TEXT)
    if "binary" in str(kind):
        values = [value and value.encode() for value in values]
    return array_of(rnd, values, kind, count)


def nested(rnd, count, field):
    """Return values of a nested field, as nested values or as JSON text."""
    values = {"errors": ERRORS, "metadata": METADATA, "usage": METADATA, "request_counts": COUNT_VALUES}[field]
    kinds = {
        "errors": [pa.list_(ENTRY), pa.large_list(ENTRY), pa.struct({"object": pa.string(), "data": pa.list_(ENTRY)}), pa.struct({"code": pa.string()}), pa.list_(pa.string()), pa.list_(pa.struct({"code": pa.int64()}))],
        "metadata": [pa.struct({"a": pa.string(), "b": pa.large_string(), "k" * 65: pa.string()}), pa.struct({"a": pa.int64(), "n": pa.null()}), pa.struct({f"k{number}": pa.string() for number in range(17)}), pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.int64()), pa.map_(pa.int64(), pa.string()), pa.map_(pa.large_string(), pa.large_string()), pa.list_(pa.string()), pa.struct({})],
        "usage": [pa.struct({"a": pa.string()}), pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.list_(pa.int64()))],
        "request_counts": [pa.struct(dict.fromkeys(COUNTS, pa.int64())), pa.struct(dict.fromkeys(COUNTS, pa.float64())), pa.struct({"total": pa.int64(), "Completed": pa.int32()}), pa.map_(pa.string(), pa.int64())],
    }[field]  # fmt: skip
    kind = rnd.choice(
        [*kinds, *kinds, pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.null()]
    )
    if "string" in str(kind) and not pa.types.is_nested(kind):
        return array_of(rnd, [value and json.dumps(value) for value in values] * 3 + JSON_ODDITIES, kind, count)
    if pa.types.is_map(kind):
        pairs = [("a", "b"), ("a", "c"), ("b", None), ("k" * 65, ""), ("é", "é" * 300), ("a", 5), (5, "a"), ("a", [1])]
        values = [None, [], *([pair] for pair in pairs), pairs[:2], [("a", 1), ("b", 2)], [(f"k{number}", "v") for number in range(rnd.choice([16, 17, 64, 65]))]]  # fmt: skip
    elif pa.types.is_struct(kind) and field == "errors":
        values = [None, {}, *({"object": "list", "data": each} for each in ERRORS), {"code": "a"}]
    elif kind == pa.list_(pa.string()):
        values = [None, [], ["a"], [None]]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = [*ERRORS, [None], [{"code": 5}], [{"code": "a"}, None]]
    return array_of(rnd, values, kind, count)


PLAIN_TIMES = [CREATED, CREATED, CREATED + 60, None]
PLAIN_COUNTS = [0, 1, 5]


def any_table(rnd, dialect):
    """Return a table whose columns have any types; most columns have values that can be decoded."""
    count, columns = rnd.choice([1, 7, 20, 40]), {}
    for field in TEXTS:
        if field != "errors" and (field in ("id", "status") or rnd.random() < 0.6):
            columns[field] = texts(rnd, count, field, dialect)
    for field in TIMES:
        if field == "created_at" or rnd.random() < 0.5:
            is_odd = rnd.random() < 0.1
            values = INTEGERS + FLOATS + MOMENTS if is_odd else PLAIN_TIMES
            columns[field] = array_of(rnd, values, rnd.choice(TYPES_OF_TIMES if is_odd else TYPES_OF_TIMES[:-1]), count)
    if rnd.random() < 0.5:
        values = rnd.choice([INTEGERS, FLOATS, *[PLAIN_COUNTS] * 4])
        columns |= {
            f"request_counts_{name}": array_of(rnd, values, rnd.choice(TYPES_OF_NUMBERS), count) for name in COUNTS
        }
    elif rnd.random() < 0.6:
        columns["request_counts"] = nested(rnd, count, "request_counts")
    for field in ("errors", "metadata", "usage"):
        if rnd.random() < 0.5:
            columns[field] = nested(rnd, count, field)
    for clock in rnd.choice([[], [], ["observed_at"], ["timestamp"], ["observed_at", "timestamp"]]):
        is_text = rnd.random() < 0.4
        values = rnd.choice([MOMENTS[:2], MOMENTS] if is_text else [[CREATED + 0.5, CREATED], INTEGERS + FLOATS])
        kinds = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
        columns[clock] = array_of(rnd, values, rnd.choice(kinds if is_text else TYPES_OF_TIMES[:-1]), count)
    return pa.table(columns)


many_seeds = pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 260), marks=pytest.mark.slow)], ids=["few", "many"]
)


@many_seeds
@pytest.mark.parametrize("dialect", ["openai", "azure", "compatible"])
def test_any_table(dialect, seeds, monkeypatch):
    """Each row is decoded as the row engine reads it, or not decoded, in one chunk or in many, some of them empty."""
    decoded = bytearray()
    for seed in seeds:
        rnd = random.Random(f"{dialect} {seed}")  # noqa: S311
        monkeypatch.setattr(tables, "BATCH_ROWS", rnd.choice([1, 3, 8, 100]))
        monkeypatch.setattr(tables, "_CHUNK_ROWS_MIN", rnd.choice([0, 2**13]))
        monkeypatch.setattr(table_source, "_BLOCK_ROWS", rnd.choice([2, 5, 2**13]))
        table = any_table(rnd, dialect)
        places = sorted(rnd.randrange(table.num_rows + 1) for _ in range(rnd.choice([0, 0, 3])))
        chunks = [
            table.slice(first, end - first) for first, end in pairwise([0, *places, *places[-1:], table.num_rows])
        ]
        decoded += compare(Frame(pa.concat_tables(chunks)), dialect)

    assert 0.05 * len(decoded) < sum(decoded) < 0.8 * len(decoded)


@many_seeds
@pytest.mark.parametrize("dialect", ["openai", "azure"])
def test_tables_of_a_struct(dialect, seeds):
    """If a struct holds the batch, a null struct has null fields."""
    decoded = bytearray()
    for seed in seeds:
        rnd = random.Random(f"struct {dialect} {seed}")  # noqa: S311
        inner = any_table(rnd, dialect)
        clocks = [name for name in ("observed_at", "timestamp") if name in inner.column_names]
        batch = inner.drop_columns(clocks).to_struct_array().combine_chunks()
        batch = pa.StructArray.from_arrays(
            batch.flatten(), fields=[*batch.type], mask=pa.array([rnd.random() < 0.1 for _ in batch])
        )
        decoded += compare(Frame(pa.table({"body": batch, **{clock: inner[clock] for clock in clocks}})), dialect)

    assert 0.05 * len(decoded) < sum(decoded) < 0.8 * len(decoded)


@many_seeds
def test_tables_of_json_text(seeds):
    """Each document is decoded as the row engine reads it; the column of times counts if it has no time."""
    decoded = bytearray()
    for seed in seeds:
        rnd = random.Random(f"text {seed}")  # noqa: S311
        logged = medley(rnd, "openai", 3, 3)
        whole = [line(row)[:-1] for row in logged]
        values = [*whole, *(json.dumps(json.loads(each)["batch"], indent=1) for each in whole), *rnd.sample(JSON_ODDITIES, 3), f"[{whole[0]}]", whole[0][:-1], f"{whole[0]}\n{whole[0]}", None]  # fmt: skip
        kind = rnd.choice([pa.string(), pa.large_string(), pa.dictionary(pa.int16(), pa.string()), pa.string_view()])
        columns = {"body": array_of(rnd, values, kind, 20)}
        if rnd.random() < 0.5:
            columns["timestamp"] = array_of(rnd, [CREATED + 0.5, None, 0.0], pa.float64(), 20)
        decoded += compare(Frame(pa.table(columns)), "openai")

    assert 0.2 * len(decoded) < sum(decoded) < 0.9 * len(decoded)


def test_a_document_longer_than_an_object_may_be(monkeypatch):
    """A document of too many bytes is not decoded."""
    monkeypatch.setattr(arrow_rows, "OBJECT_CHARS_MAX", 600)
    batch = json.loads(line(healthy()[0]))["batch"]
    table = pa.table({"text": [json.dumps(batch), json.dumps(batch | {"note": "x" * 600})]})

    assert b"\1\0" == compare(Frame(table), "openai")


# ---------------------------------------------------------------- buffers


def test_offsets_of_either_width():
    """Arrow's offsets of 32 and 64 bits become 64-bit integers."""
    for code in "iq":
        assert array("q", [0, 3, 3, 2**31 - 1]) == arrow_values.widen(memoryview(array(code, [0, 3, 3, 2**31 - 1])))


@pytest.mark.parametrize("offset", range(17))
def test_bitmaps(offset):
    """A bit is read at any offset, and no byte after the bitmap is read."""
    bits = [(place * 7) % 3 > 0 for place in range(40)]
    packed = bytearray(5)
    for place, bit in enumerate(bits):
        packed[place >> 3] |= bit << (place & 7)

    assert bytes(bits[offset:]) == arrow_values.given(bytes(packed), offset, 40 - offset)
    assert b"\1\1\1" == arrow_values.given(None, offset, 3)
    with pytest.raises(IndexError):
        arrow_values.given(bytes(packed), offset, 41 - offset)
