"""
Rows decoded from JSON text equal those of the row engine, and hostile bytes raise nothing.

A read outside the buffer raises IndexError in compiled code too: it checks bounds.
"""

import json
import random
from array import array
from math import nan

import attrs
import pytest

from batchfsm.errors import SnapshotError
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord, Record, parse_records
from batchfsm.wire import decode, reader
from support.both_readings import LINES, ODDITIES, any_log
from support.columns import COLLIDING, NULL, RowComparison, text_buffer
from support.dialects import DIALECTS
from support.notation import CREATED, seen, snap
from support.samples import sample

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import json_lines, layout
from batchfsm.auditing.columns.json_rows import FIELD_CODES, RowReader
from batchfsm.auditing.columns.tokenizer import PAD

SPACE = b" \t\r"
PLACE = LogPosition("log", 1)


def snapshots(found, dialect):
    """Return the snapshots that the row engine reads from an object of a log."""
    return list(parse_records([RawRecord(PLACE, found)], reader(dialect)))


class Lines:
    """Reads lines of one dialect in columns, and compares each decoded one with the row engine."""

    def __init__(self, name):
        self.dialect = DIALECTS[name]
        self.reader = RowReader(self.dialect)
        self.comparison = RowComparison(self.dialect)

    def read(self, text):
        """Compare all lines of a text; return for each line that is not blank whether it is decoded."""
        text += b"" if text.endswith(b"\n") else b"\n"
        lines = text.split(b"\n")[:-1]
        found, count, values, observed_at, decoded, offsets, indices = self.reader.read_lines(
            bytearray(text + b"\n" * PAD), json_lines._is_utf8(bytearray(text))
        )
        numbers = [number for number, line in enumerate(lines) if line.strip(SPACE)]

        assert (len(lines), numbers) == (found, [*indices])
        assert [sum(len(line) + 1 for line in lines[:number]) for number in numbers] == [*offsets]
        assert (count, count * layout.WIDTH, count) == (len(numbers), len(values), len(decoded))
        for row, number in enumerate(numbers):
            if decoded[row]:
                (read,) = snapshots(lines[number].decode(), self.dialect)
                assert isinstance(read, Record)
                self.comparison.compare(
                    values[row * layout.WIDTH : (row + 1) * layout.WIDTH], observed_at[row], read.snapshot
                )
        return [*decoded]


def lines_of(dialect, seed):
    """Return the lines of any log."""
    text = any_log(random.Random(seed), dialect, is_sorted=True)  # noqa: S311
    return [line.encode("utf-8", "surrogatepass") for line in text.split("\n") if line.strip()]


# ---------------------------------------------------------------- what is decoded


WIRE = [
    snap("vpzc"),
    {"observed_at": CREATED + 0.5, "snapshot": snap("vpze")},
    {"timestamp": "2025-10-09T08:53:22Z", "call": "retrieve", "body": snap("vf")},
    {"id": "evt", "object_id": 5, "status": 200, "data": snap("vgx")},
    {"observed_at": None, "timestamp": CREATED + 9, "batch": snap("vpzc", id=f"batch_{CREATED:08x}" + "0" * 24)},
    snap("v", errors={"object": "list", "data": [{"code": "a", "message": "caf\u00e9", "param": None, "line": 7}]}),
    snap("v", metadata={"a": "b" * 513}, endpoint="", completion_window="\u0662h"),
    snap("v", metadata=[], errors=[], usage=None, model="m\u00e9", object="file"),
    snap("v", status="never heard", input_file_id="", id="\u00e9", metadata={"a": {"b": [1]}}),
    snap("v") | {"created_at": None, "request_counts": None, "note": {"a": [1, [2.5, None]]}, "data": "x"},
    snap("v") | {"usage": {"a": 1}, "metadata": {f"k{number}": "v" for number in range(17)}},
    snap("v") | {"metadata": {f"k{number}": "v" for number in range(16)}},
    snap("v") | {"metadata": {"k" * 64: "v" * 512}},
    snap("v") | {"metadata": {"k" * 65: "v"}},
    snap("v") | {"metadata": {"k": "\u00e9" * 85}},
]
"""Lines as servers write them."""

HASHED_ESCAPES = [b'"id": "\\u00e9"', b'"completion_window": "\\u0662h"']


@pytest.mark.parametrize("ascii_only", [True, False])
def test_lines_as_servers_write_them_are_decoded(ascii_only):
    """Each column has the value that plain Python computes from the snapshot."""
    lines = Lines("openai")
    texts = [json.dumps(line, ensure_ascii=ascii_only).encode() for line in WIRE]
    found = lines.read(b"\n \t\n".join(texts))

    # Texts that are hashed must not have escapes.
    assert [not (ascii_only and any(escaped in text for escaped in HASHED_ESCAPES)) for text in texts] == found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_line(dialect):
    """Most lines of any log are decoded, each as the row engine reads it."""
    lines, found, seeds = Lines(dialect), [], sample(range(40))
    for seed in seeds:
        for line in lines_of(dialect, f"{dialect} {seed}"):
            found += lines.read(line)

    assert len(found) > 7 * len(seeds)
    assert sum(found) > len(found) // 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_any_oddity(dialect):
    """An odd value is not decoded, or is decoded as the row engine reads it."""
    lines, found = Lines(dialect), []
    for key, values in ODDITIES.items():
        for value in values:
            fields = {name: json.dumps(each) for name, each in snap("vpzc").items()} | {key: value}
            batch = "{" + ", ".join(f'"{name}": {each}' for name, each in fields.items()) + "}"
            found += lines.read(
                f'{batch}\n{{"batch":{batch},"observed_at":{CREATED}}}'.encode("utf-8", "surrogatepass")
            )
    for line in LINES:
        found += lines.read(line.encode())

    assert 0 < sum(found) < len(found)


def test_bytes_beyond_ascii_in_a_text_that_is_not_utf_8():
    """No line with such bytes is decoded, valid or not; the others are."""
    lines = Lines("openai")
    texts = [
        json.dumps(snap("v", endpoint=text), ensure_ascii=False).encode("latin-1") for text in ("/v1", "caf\u00e9")
    ]
    valid = json.dumps(snap("v", endpoint="caf\u00e9"), ensure_ascii=False).encode()

    assert [1, 0, 0] == lines.read(b"\n".join([*texts, valid]))
    assert [1, 1] == lines.read(b"\n".join([texts[0], valid]))


def test_texts_with_the_hash_of_another():
    """A status that collides with a known one is unknown; a line with two colliding keys is left to the row engine."""
    one, other = COLLIDING
    lines = Lines("openai")
    lines.dialect = attrs.evolve(lines.dialect, aliases={one: "failed"})
    lines.reader, lines.comparison = RowReader(lines.dialect, 0), RowComparison(lines.dialect, 0)
    records = [snap("v") | {"status": one}, snap("v") | {"status": other}, snap("v") | {one: 1}, snap("v") | {one: 1, other: 1}]  # fmt: skip

    assert [1, 1, 1, 0] == lines.read("\n".join(map(json.dumps, records)).encode())


def test_envelopes():
    """Two wrappers, a page, a batch with a wrapper, other spellings and times that are no times are not decoded."""
    batch = json.dumps(snap("v"))
    whole = batch[:-1]
    left = [
        f'{{"batch":{batch},"body":{batch}}}', f'{{"data":[{batch}]}}', '{"data":[]}', f'{whole},"body":{batch}}}', f'{{"object":"x","batch":{batch}}}',
        f'{{"createdAt":1,"batch":{batch}}}', f'{{"batch":{whole},"createdAt":1}}}}', f'{{"observed_at":true,"batch":{batch}}}', f'{{"timestamp":"x","batch":{batch}}}',
        f'{{"id":"b","status":"failed","created_at":1,"batch":{batch}}}', '{"batch":{"id":"b"}}', '{"note":{"id":"b","status":"failed","created_at":1}}', '{"id":"b","status":"failed"}',
        f'{{"batch":{{"batch":{batch}}}}}', "[]", f"[{batch}]", batch + batch, f"{batch} x", f'{{"batch":{batch},"body":[]}}',
    ]  # fmt: skip
    read = [
        f'{{"batch":{batch},"body":null}}', f'{{"batch":"x","body":{batch}}}', f'{whole},"observed_at":"x","timestamp":[]}}', f'{whole},"body":"x"}}',
        f'{{"id":"b","status":"failed","batch":{batch}}}', f'{{"batch":{whole},"body":[1],"batch":{{}}}}}}', f'\t{{ "batch" :{batch} , "x" : 1 }} \r', f'{{"x":{{"batch":1}},"batch":{batch}}}',
    ]  # fmt: skip
    lines = Lines("openai")

    assert [0] * len(left) == lines.read("\n".join(left).encode())
    assert [1] * len(read) == lines.read("\n".join(read).encode())


# ---------------------------------------------------------------- hostile bytes


HOSTILE = [
    b"", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xff", b"\xc3", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\\", b"\\u", b"\\ud800", b"\\ude00\\ud83d", b"\\u00e9", b'\\"', b'"', b"{", b"}", b"[", b"]", b":", b",", b" ", b"\t", b"\r", b"\n",
    b"{" * 40, b"[" * 2000, b"]" * 40, b'{"a":' * 20, b"9" * 17, b"9" * 19, b"9" * 400, b"-", b"-0", b"0", b"1.5", b"1e999", b".", b"null", b"true", b"false", b"nul", b"NaN", b'"id":', b'"status":"failed",', b'"created_at":1,', b'"batch":', b'"data":[', b'"request_counts":{', b'"errors":[{', b'"metadata":{', b'"a":1,' * 80, b"1," * 1100,
]  # fmt: skip
"""Bytes that are inserted, or written over others."""


def mutated(rnd, line):
    """Return a line with one to three mutations: bytes flipped, cut, inserted, written over or doubled, or the end cut off."""
    line = bytearray(line)
    for _ in range(rnd.choice([1, 1, 2, 3])):
        at = rnd.randrange(len(line) + 1)
        size = rnd.choice([1, 1, 2, 8, 40])
        kind = rnd.randrange(7)
        if kind == 0 and at < len(line):
            line[at] ^= 1 << rnd.randrange(8)
        elif kind == 1:
            del line[at : at + size]
        elif kind in (2, 3):
            line[at:at] = rnd.choice(HOSTILE)
        elif kind == 4:
            line[at : at + size] = rnd.choice(HOSTILE)
        elif kind == 5:
            line[at:at] = line[at : at + size]
        elif rnd.random() < 0.3:
            del line[at:]
    return bytes(line)


many_seeds = pytest.mark.parametrize(
    "seeds", [range(30), pytest.param(range(30, 1000), marks=pytest.mark.slow)], ids=["few", "many"]
)


@many_seeds
@pytest.mark.parametrize("dialect", ["openai", "compatible", "azure"])
def test_mutated_lines(dialect, seeds):
    """A mutated line is decoded as the row engine reads it, or not decoded; nothing is raised."""
    lines, found = Lines(dialect), []
    for seed in sample(seeds):
        rnd = random.Random(f"mutated {dialect} {seed}")  # noqa: S311
        plain = [*lines_of(dialect, f"{dialect} {seed}"), *(json.dumps(line).encode() for line in WIRE)]
        found += lines.read(b"\n".join(mutated(rnd, line) for line in plain[:20]))
        for line in rnd.choices(plain, k=8):
            found += lines.read(mutated(rnd, line))

    assert 0.1 * len(found) < sum(found) < 0.8 * len(found)


@pytest.mark.parametrize("line", [json.dumps(WIRE[2]).encode(), json.dumps(WIRE[5], ensure_ascii=False).encode()])
def test_a_line_cut_at_every_byte(line):
    """Neither the beginning nor the end of a line is decoded, and nothing is raised."""
    lines = Lines("openai")
    for at in range(1, len(line)):
        assert [0] == lines.read(line[:at])
        assert 0 == lines.read(line[at:])[0]


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b'"',
        b"\\",
        b"\\u",
        b"\\u1",
        b'"\\u00',
        b"tru",
        b"nul",
        b"fals",
        b"-",
        b"1",
        b"1.",
        b"1e",
        b"1e+",
        b"{",
        b'{"',
        b'{"a',
        b'{"a"',
        b'{"a":',
        b"[",
        b"[1,",
        b" " * 20,
    ],
)
def test_the_end_of_the_buffer(tail):
    """A value that breaks off at the end of the text does not let the tokenizer read behind the buffer."""
    lines = Lines("openai")
    whole = json.dumps(snap("v")).encode()[:-1]

    for text in (tail, b"{" + tail, b'{"id":' + tail, whole + b"," + tail, whole + b',"a":' + tail):
        assert 0 == sum(lines.read(text))


# ---------------------------------------------------------------- documents and fields of tables


def read_documents(reader, texts):
    """Read documents; return the rows, the times and which are decoded."""
    buffer, offsets = text_buffer([text.replace(b"\n", b"\r") for text in texts])
    values, times = layout.new_rows(len(texts)), array("d", [nan]) * len(texts)
    decoded = bytearray(b"\1" * len(texts))
    reader.read_documents(buffer, offsets, values, times, decoded)
    return values, times, decoded


@many_seeds
def test_mutated_documents(seeds):
    """A document is decoded as the row engine reads it alone, whatever documents are around it."""
    dialect, found = DIALECTS["openai"], []
    row_reader, comparison = RowReader(dialect), RowComparison(dialect)
    for seed in sample(seeds):
        rnd = random.Random(f"documents {seed}")  # noqa: S311
        plain = [json.dumps(line, indent=rnd.choice([None, 1])).encode() for line in WIRE]
        texts = [mutated(rnd, text) if rnd.random() < 0.7 else text for text in plain]
        # Arrow promises that text is UTF-8.
        texts = [text.decode(errors="ignore").encode() for text in texts] + [b"", b" ", b"null", b"5", b'"x"', b"{}"]
        rnd.shuffle(texts)
        values, times, decoded = read_documents(row_reader, texts)
        found += decoded
        for row, text in enumerate(texts):
            if decoded[row]:
                (read,) = snapshots({"batch": decode(text)}, dialect)
                comparison.compare(values[row * layout.WIDTH : (row + 1) * layout.WIDTH], times[row], read.snapshot)

    assert 0.1 * len(found) < sum(found) < 0.8 * len(found)


FIELDS = {
    "request_counts": ['{"total":5,"completed":2,"failed":0}', '{"total":5,"completed":null,"failed":0}', "null"],
    "errors": ['[{"code":"a","message":"m","param":null,"line":7}]', '{"object":"list","data":[{"code":"b"}]}', '{"data":null}', "[]"],
    "metadata": ['{"a":"b","c":"d"}', '{"a":%s}' % json.dumps("v" * 513), '{"a":1}', "[]", "{}"],
    "usage": ['{"input_tokens":5,"details":{"a":[1]}}', "{}"],
}  # fmt: skip


@many_seeds
@pytest.mark.parametrize("dialect", ["openai", "azure"])
@pytest.mark.parametrize("field", FIELDS)
def test_mutated_fields(field, dialect, seeds):
    """A field is decoded as the row engine reads it in a batch; an empty text is null; no other column is written."""
    dialect, found = DIALECTS[dialect], []
    row_reader, comparison, plain = RowReader(dialect), RowComparison(dialect), snap("v")
    del plain["request_counts"]
    (healthy,) = read_documents(row_reader, [json.dumps(plain).encode()])[:1]
    for seed in sample(seeds):
        rnd = random.Random(f"{field} {dialect.name} {seed}")  # noqa: S311
        texts = [b"", b" \n", b"\r null\t", *(text.encode() for text in FIELDS[field] + ["5", '"x"', "{"])]
        texts += [mutated(rnd, text).decode(errors="ignore").encode() for text in texts for _ in range(3)]
        rnd.shuffle(texts)
        values, decoded = healthy * len(texts), bytearray(b"\1" * len(texts))
        row_reader.read_fields(FIELD_CODES[field], *text_buffer(texts), values, decoded)
        found += decoded
        for row, text in enumerate(texts):
            if decoded[row]:
                (read,) = snapshots(plain | {field: decode(text) if text else None}, dialect)
                comparison.compare(values[row * layout.WIDTH : (row + 1) * layout.WIDTH], nan, read.snapshot)

    assert 0.1 * len(found) < sum(found) < 0.9 * len(found)


def test_a_field_that_is_no_json_is_not_decoded():
    """Text that is not JSON, and an object with a key twice, is left to the row engine."""
    for text in ("{", '{"a":1,"a":2}', "nul"):
        with pytest.raises(SnapshotError):
            decode(text)
        decoded = bytearray(b"\1")
        RowReader(DIALECTS["openai"]).read_fields(
            FIELD_CODES["metadata"], *text_buffer([text.encode()]), array("q", [NULL]) * layout.WIDTH, decoded
        )
        assert b"\0" == decoded


def test_a_reader_forgets_the_line_before():
    """A row has no value of the row before it, whether or not that was decoded."""
    lines = Lines("openai")
    full = json.dumps({"observed_at": CREATED, "batch": seen("vpzc", request_counts={"total": 1, "completed": 1, "failed": 0})[-1]})  # fmt: skip
    bare = '{"id":"b","status":"failed","created_at":1}'

    assert [1, 1, 0, 1, 0, 1] == lines.read("\n".join([full, bare, full[:-1], bare, f"{full}x", bare]).encode())
