"""Logs in every layout: the snapshots that are read, their places, and the unreadable entries."""

import gzip
import io
import json
import os
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openai.pagination import SyncCursorPage
from openai.types import Batch

from batchfsm import audit, parse
from batchfsm.errors import SourceError, UnknownNameError
from batchfsm.finding import LogPosition
from batchfsm.logs import (
    INPUT_FORMATS,
    Record,
    UnreadableEntry,
    compression,
    json_reader,
    parse_records,
    resolve_source,
)
from batchfsm.logs.sdk_text import parsers
from batchfsm.wire import reader
from support.dialects import DIALECTS
from support.notation import CREATED, seen, snap, words
from support.sdk_text import FAILED, FORMS, PRINTERS, WIRE, printed_list

LIFE = seen("vpzc")
ONE_LINE = [json.dumps(batch) for batch in LIFE]
PRETTY = [json.dumps(batch, indent=2) for batch in LIFE]
HEIGHT = PRETTY[0].count("\n") + 1
PAGE = {"object": "list", "data": LIFE, "first_id": "batch_1", "last_id": "batch_1", "has_more": False}
READER = reader(DIALECTS["openai"])


def found(source, input_format="auto"):
    """Return the snapshots and the unreadable entries of a source."""
    log = list(parse_records(resolve_source(source, input_format), READER))
    snapshots = [row for row in log if isinstance(row, Record)]
    return snapshots, [row for row in log if isinstance(row, UnreadableEntry)]


def statuses(source, input_format="auto"):
    """Return status and line of every snapshot, after a check that nothing was unreadable."""
    snapshots, unreadable = found(source, input_format)
    assert [] == unreadable
    return [(row.snapshot.status, row.place.line) for row in snapshots]


def on(*lines, path="vpzc"):
    """Return the statuses of a path, paired with these lines."""
    return list(zip(words(path), lines, strict=True))


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a log and returns its path."""
    number = count(1)

    def write(log, name=None):
        path = tmp_path / (name or f"log{next(number)}.jsonl")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(log if isinstance(log, bytes) else log.encode())
        return path

    return write


# ---------------------------------------------------------------- layouts

LAYOUTS = {
    "JSON lines": ("\n".join(ONE_LINE) + "\n", (1, 2, 3, 4)),
    "no line end at the end": ("\n".join(ONE_LINE), (1, 2, 3, 4)),
    "empty lines between": ("\n\n" + "\n \t\n".join(ONE_LINE), (3, 5, 7, 9)),
    "documents side by side": (" ".join(ONE_LINE[:2]) + "".join(ONE_LINE[2:]), (1, 1, 1, 1)),
    "an array on one line": (json.dumps(LIFE), (1, 1, 1, 1)),
    "an array, a line each": ("[\n" + ",\n".join(ONE_LINE) + "\n]\n", (2, 3, 4, 5)),
    "a pretty array": (json.dumps(LIFE, indent=2), tuple(range(2, 2 + 4 * HEIGHT, HEIGHT))),
    "an array line after line": ("\n".join(f"[{each}]" for each in ONE_LINE), (1, 2, 3, 4)),
    "arrays in an array": (json.dumps([LIFE[:1], LIFE[1:]]), (1, 1, 1, 1)),
    "arrays in a pretty array": ("[\n[\n" + ",".join(ONE_LINE) + "]]", (2, 2, 2, 2)),
    "an empty array first": ("[]\n" + "\n".join(ONE_LINE), (2, 3, 4, 5)),
    "a list page": (json.dumps(PAGE), (1, 1, 1, 1)),
    "a pretty list page": (json.dumps(PAGE, indent=2), (1, 1, 1, 1)),
    "a page a line": ("\n".join(json.dumps({"data": [batch]}) for batch in LIFE), (1, 2, 3, 4)),
    "pretty documents": ("\n".join(PRETTY), tuple(range(1, 4 * HEIGHT, HEIGHT))),
    "all of it": (
        "\n".join([ONE_LINE[0], json.dumps(PAGE | {"data": LIFE[1:2]}), PRETTY[2], f"[{ONE_LINE[3]}]"]),
        (1, 2, 3, 3 + HEIGHT),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, written):
    """Every layout gives the same four snapshots, with the lines on which they begin."""
    text, lines = LAYOUTS[layout]

    assert on(*lines) == statuses(written(text))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_line_ends_of_windows(layout, written):
    """CRLF counts as one line end."""
    text, lines = LAYOUTS[layout]

    assert on(*lines) == statuses(written(text.replace("\n", "\r\n")))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_byte_order_mark(layout, written):
    """A byte order mark at the beginning of the log is not part of the first line."""
    text, lines = LAYOUTS[layout]

    assert on(*lines) == statuses(written("\ufeff" + text))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_alone(layout, written):
    """The format `json` gives the same snapshots as automatic detection."""
    text, lines = LAYOUTS[layout]

    assert on(*lines) == statuses(written(text), "json")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("chunk", [1, 7, 61])
def test_any_chunk(layout, chunk, written, monkeypatch):
    """A log that is read in chunks of any size gives the same snapshots."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    monkeypatch.setattr(json_reader, "_CONSUMED_CHARS_MAX", chunk)
    text, lines = LAYOUTS[layout]

    assert on(*lines) == statuses(written(text))


def test_only_line_feeds_end_lines(written):
    """A carriage return alone, a line separator and similar characters do not end a line."""
    text = f"\r{ONE_LINE[0]}\r{ONE_LINE[1]}\n" + json.dumps(snap("vpz", metadata={"a": "\u2028\x85"}))
    text = text.replace("\\u2028", "\u2028").replace("\\x85", "\x85")

    assert on(1, 1, 2, path="vpz") == statuses(written(text))


def test_numbers_go_through_the_log(written):
    """Snapshots are numbered from 0 in the order of the log, across lines and files."""
    snapshots, _ = found([written("\n".join(ONE_LINE[:2])), written(json.dumps(LIFE[2:]))])

    assert [0, 1, 2, 3] == [row.number for row in snapshots]


def test_a_bad_element_of_an_array(written):
    """In an array on one line, the elements that are not objects are reported once, and the objects are read."""
    text = f'[{ONE_LINE[0]}, null, 12, "x", [], [7], {ONE_LINE[1]}]'
    snapshots, unreadable = found(written(text))

    assert ["validating", "in_progress"] == [row.snapshot.status for row in snapshots]
    assert ["expected an object"] == [each.problem for each in unreadable]


@pytest.mark.parametrize("chunk", range(1, 12))
def test_a_number_is_not_cut(chunk, written, monkeypatch):
    """A number in an array is one element, even if a chunk ends inside it."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    _, unreadable = found(written("[{}, 1234567, 8]"))

    assert 3 == len(unreadable)


def test_scalars_on_lines_of_their_own(written):
    """JSON that is not an object is reported as such, with its line."""
    _, unreadable = found(written('null\n12\n"text"\ntrue\n'))

    assert [(line, "expected an object") for line in (1, 2, 3, 4)] == [
        (each.place.line, each.problem) for each in unreadable
    ]


def test_array_that_is_not_closed(written):
    """The elements of an unclosed array are read, and the array is reported."""
    snapshots, unreadable = found(written("[\n" + ",\n".join(ONE_LINE)))

    assert 4 == len(snapshots)
    assert [(5, "the array is not closed: the log may be cut off")] == [
        (each.place.line, each.problem) for each in unreadable
    ]


def test_a_bracket_is_not_an_array(written):
    """A line that begins with a bracket, but is not an array, does not change how other lines are read."""
    snapshots, unreadable = found(written(f"[2026-11-22] INFO started\n{ONE_LINE[0]}\n[\n{ONE_LINE[1]}\n]\n["))

    assert on(2, 4, path="vp") == [(row.snapshot.status, row.place.line) for row in snapshots]
    assert [1, 6] == [each.place.line for each in unreadable]


# ---------------------------------------------------------------- envelopes


@pytest.mark.parametrize("wrapper", ["snapshot", "batch", "body", "data"])
@pytest.mark.parametrize("clock", ["observed_at", "timestamp"])
def test_envelopes(wrapper, clock, written):
    """A batch may be inside an envelope that has the time of observation."""
    lines = [json.dumps({clock: CREATED + at, "id": "req_7", wrapper: LIFE[at]}) for at in range(4)]
    snapshots, unreadable = found(written("\n".join(lines)))

    assert [] == unreadable
    assert [(word, CREATED + at) for at, word in enumerate(words("vpzc"))] == [
        (row.snapshot.status, row.snapshot.observed_at) for row in snapshots
    ]


@pytest.mark.parametrize(
    "observed_at, seconds",
    [
        (CREATED, CREATED),
        (CREATED + 0.25, CREATED + 0.25),
        ("2025-10-09T08:53:20Z", CREATED),
        ("2025-10-09T10:53:20.500+02:00", CREATED + 0.5),
        (None, None),
    ],
)
def test_observed_at(observed_at, seconds, written):
    """The time of an envelope is a number of seconds, RFC 3339 text, or absent."""
    snapshots, _ = found(written(json.dumps({"observed_at": observed_at, "batch": LIFE[0]})))

    assert [seconds] == [row.snapshot.observed_at for row in snapshots]


def test_a_bad_time_of_an_envelope(written):
    """An invalid time makes `observed_at` an invalid field, and the batch is read."""
    snapshots, _ = found(written(json.dumps({"observed_at": "yesterday", "batch": LIFE[0]})))

    assert [{"observed_at": "yesterday"}] == [dict(row.snapshot.bad) for row in snapshots]


def test_a_page_in_an_envelope(written):
    """All batches of a page have the page's time of observation."""
    snapshots, _ = found(written(json.dumps({"observed_at": CREATED, "body": PAGE})))

    assert [CREATED] * 4 == [row.snapshot.observed_at for row in snapshots]


def test_the_inner_time_goes_before_the_outer(written):
    """In nested envelopes, the innermost time is used."""
    inner = {"timestamp": CREATED + 1, "snapshot": LIFE[0]}
    snapshots, _ = found(written(json.dumps({"observed_at": CREATED, "data": [inner, LIFE[1]]})))

    assert [CREATED + 1, CREATED] == [row.snapshot.observed_at for row in snapshots]


def test_a_page_with_damage(written):
    """Each batch of a page is read by itself; the invalid elements are one unreadable entry."""
    snapshots, unreadable = found(written(json.dumps(PAGE | {"data": [LIFE[0], None, {"error": 1}, LIFE[1]]})))

    assert on(1, 1, path="vp") == [(row.snapshot.status, row.place.line) for row in snapshots]
    assert ["expected a batch object, got null"] == [each.problem for each in unreadable]


def test_what_is_no_batch_is_unreadable(written):
    """An error body and a record without a batch are reported as unreadable."""
    records = [{"error": {"message": "rate limit"}}, {"call": "list", "text": "<html>"}, {}, {"data": {}}]
    snapshots, unreadable = found(written("\n".join(map(json.dumps, records))))

    assert ([], [1, 2, 3, 4]) == (snapshots, [each.place.line for each in unreadable])


# ---------------------------------------------------------------- gzip

LOG = ("\n".join(ONE_LINE) + "\n").encode()


def members(*pieces):
    """Return gzip data with one member for each piece."""
    return b"".join(map(gzip.compress, pieces))


@pytest.mark.parametrize(
    "log",
    [
        gzip.compress(LOG),
        members(LOG[:10], LOG[10:999], b"", LOG[999:]),
        gzip.compress(LOG) + bytes(1000),
        gzip.compress(LOG[:999]) + bytes(200_000) + gzip.compress(LOG[999:]) + bytes(3),
        gzip.compress(b"\xef\xbb\xbf" + LOG),
    ],
    ids=["one member", "several members", "zeros at the end", "zeros between", "byte order mark"],
)
@pytest.mark.parametrize("name", ["log.jsonl.gz", "log.jsonl"])
def test_gzip(log, name, written):
    """Gzip is detected by its first bytes, with one or several members, padded or not."""
    assert on(1, 2, 3, 4) == statuses(written(log, name))


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_gzip_in_small_pieces(chunk, written, monkeypatch):
    """Gzip that is read byte by byte gives the same snapshots."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    monkeypatch.setattr(compression, "_CHUNK_BYTES", chunk)

    assert on(1, 2, 3, 4) == statuses(written(members(LOG[:999], LOG[999:]) + bytes(70)))


def test_truncated_gzip(written):
    """The complete part of a truncated gzip file is read, and the place of the break is reported."""
    log = ("\n".join(json.dumps(snap("vp", id=os.urandom(99).hex())) for _ in range(300)) + "\n").encode()
    whole = gzip.compress(log)
    snapshots, unreadable = found(written(whole[: len(whole) // 2]))

    assert 100 < len(snapshots) < 200
    assert unreadable[-1].place.line in {len(snapshots) + 1, len(snapshots) + 2}
    assert "the log breaks off: the compressed stream ends early" == unreadable[-1].problem


@pytest.mark.parametrize("length", [2, 3, 9, 10, 15])
def test_gzip_cut_in_its_head(length, written):
    """A gzip file of a few bytes is reported as truncated."""
    snapshots, unreadable = found(written(gzip.compress(LOG)[:length]))

    assert ([], [1]) == (snapshots, [each.place.line for each in unreadable])


def test_gzip_without_its_last_bytes(written):
    """A gzip file without its check sum is read completely, and reported."""
    snapshots, unreadable = found(written(gzip.compress(LOG)[:-8]))

    assert (4, 1) == (len(snapshots), len(unreadable))


def test_damaged_gzip(written):
    """A gzip file with a wrong check sum is read, and reported."""
    whole = gzip.compress(LOG)
    snapshots, unreadable = found(written(whole[:-8] + b"????" + whole[-4:]))

    assert (4, "the log breaks off: Error -3 while decompressing data: incorrect data check") == (
        len(snapshots),
        unreadable[0].problem,
    )


def test_gzip_damaged_in_the_middle(written):
    """The lines before a wrong byte in the middle of a gzip file are read."""
    log = b"".join(json.dumps(snap("vp", id=os.urandom(99).hex())).encode() + b"\n" for _ in range(300))
    whole = bytearray(gzip.compress(log))
    whole[len(whole) // 2 :] = bytes(byte ^ 0xFF for byte in whole[len(whole) // 2 :])
    snapshots, unreadable = found(written(bytes(whole)))

    assert len(snapshots) > 100
    assert unreadable[-1].problem.startswith("the log breaks off: Error -3 while decompressing data: ")


def test_gzip_with_something_else_behind(written):
    """Other data after a gzip member is reported, and the gzip member is read."""
    snapshots, unreadable = found(written(gzip.compress(LOG) + b"some more"))

    assert (4, [5]) == (len(snapshots), [each.place.line for each in unreadable])


def test_gzip_of_an_unclosed_array_is_named_once(written):
    """An unclosed array in a truncated gzip file is reported once, as truncation."""
    _, unreadable = found(written(gzip.compress(b"[" + b",".join(LOG.splitlines()))[:-8]))

    assert ["the log breaks off: the compressed stream ends early"] == [each.problem for each in unreadable]


def test_a_gzip_bomb_is_not_unpacked_at_once(written, monkeypatch):
    """A gzip file is decompressed in chunks of bounded size; a line above the limit is skipped."""
    monkeypatch.setattr(json_reader, "OBJECT_CHARS_MAX", 2**17)
    widths = []
    more = json_reader.RecordReader._fill_buffer
    monkeypatch.setattr(
        json_reader.RecordReader, "_fill_buffer", lambda self: (more(self), widths.append(len(self._text)))[0]
    )
    snapshots, unreadable = found(written(gzip.compress(b" " * 10**7 + b"x" * 10**7 + b"\n" + LOG)))

    assert (4, ["longer than 131,072 characters"]) == (len(snapshots), [each.problem for each in unreadable])
    assert max(widths) <= 2**18


# ---------------------------------------------------------------- long objects


@pytest.mark.parametrize("broken", [True, False])
def test_a_line_that_is_too_long(broken, written, monkeypatch):
    """A line above the limit is skipped and reported; the lines around it are read."""
    monkeypatch.setattr(json_reader, "OBJECT_CHARS_MAX", 2**17)
    long = json.dumps(snap("vp", metadata={"a": "x" * 2**20}))
    log = "\n".join([ONE_LINE[0], long[:-1] if broken else long, ONE_LINE[2]])
    snapshots, unreadable = found(written(log))

    assert [1, 3] == [row.place.line for row in snapshots]
    assert [(2, "longer than 131,072 characters")] == [(each.place.line, each.problem) for each in unreadable]


def test_a_last_line_that_is_too_long(written, monkeypatch):
    """A line above the limit may be the last one, without a line end."""
    monkeypatch.setattr(json_reader, "OBJECT_CHARS_MAX", 2**17)
    snapshots, unreadable = found(written(f"{ONE_LINE[0]}\n{'x' * 2**20}"))

    assert ([1], [2]) == ([row.place.line for row in snapshots], [each.place.line for each in unreadable])


def test_an_object_of_megabytes_is_read(written):
    """A batch below the limit is read, also one of megabytes."""
    long = snap("vp", metadata={"a": "x" * 5 * 2**20})

    assert on(1, 2, 3, path="vpz") == statuses(written("\n".join([ONE_LINE[0], json.dumps(long), ONE_LINE[2]])))


# ---------------------------------------------------------------- sources


def test_standard_input(monkeypatch):
    """`-` reads standard input; places have its name."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(LOG)))
    snapshots, _ = found("-")

    assert ["-:1", "-:2", "-:3", "-:4"] == [str(row.place) for row in snapshots]


def test_several_files_in_their_order(written):
    """Files are read in the order in which they were given, each with its own line numbers."""
    tuesday, monday = written("\n".join(ONE_LINE[2:])), written("\n".join(ONE_LINE[:2]))
    snapshots, _ = found([monday, str(tuesday)])

    assert [f"{monday}:1", f"{monday}:2", f"{tuesday}:1", f"{tuesday}:2"] == [str(row.place) for row in snapshots]


def test_a_file_and_standard_input(written, monkeypatch):
    """Standard input may be one of several sources."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(ONE_LINE[1].encode())))
    file = written(ONE_LINE[0])

    assert on(1, 1, path="vp") == statuses((file, "-"))


def test_globs(written, tmp_path):
    """A glob gives its files in order of their names; `**` includes all folders below."""
    for name, line in zip(["b/2.jsonl", "a/3.jsonl", "1.jsonl", "0.txt"], ONE_LINE, strict=True):
        written(line, name)

    assert [("finalizing", 1)] == statuses(f"{tmp_path}/*.jsonl")
    assert [("in_progress", 1), ("validating", 1)] == statuses(tmp_path / "[ab]" / "?.jsonl")
    assert ["finalizing", "in_progress", "validating"] == [status for status, _ in statuses([f"{tmp_path}/**/*.jsonl"])]


def test_a_name_with_brackets_is_a_name(written):
    """A path that exists is read as a file, even if it contains characters of a glob."""
    assert [("validating", 1)] == statuses(written(ONE_LINE[0], "log[1].jsonl"))


def test_nothing_matches(tmp_path):
    """A glob that matches no file is an error with the glob in its message."""
    with pytest.raises(SourceError, match=r"^.*/\*\.jsonl: nothing matches$"):
        found(f"{tmp_path}/*.jsonl")


def test_no_such_file(tmp_path):
    """A missing file is an error with its name in the message."""
    with pytest.raises(SourceError, match=r"^.*/nope: No such file or directory$"):
        found(tmp_path / "nope")


class Dumpable:
    """An SDK object that has `to_dict`."""

    def __init__(self, wire):
        self.wire = wire

    def to_dict(self):
        """Return the object as a mapping."""
        return self.wire


ITERABLES = {
    "a list": lambda: LIFE,
    "a tuple": lambda: tuple(LIFE),
    "a generator": lambda: (batch for batch in LIFE),
    "a view": lambda: dict(enumerate(LIFE)).values(),
    "read-only mappings": lambda: [MappingProxyType(batch) for batch in LIFE],
    "snapshots": lambda: [parse(batch) for batch in LIFE],
    "SDK objects": lambda: [Batch.construct(**batch) for batch in LIFE],
    "objects with to_dict": lambda: [Dumpable(batch) for batch in LIFE],
    "bytes": lambda: [line.encode() for line in ONE_LINE],
    "text, but not in a list": lambda: iter(ONE_LINE),
    "envelopes": lambda: [{"batch": batch} for batch in LIFE],
    "the page of an SDK": lambda: SyncCursorPage[Batch].construct(**PAGE),
}


@pytest.mark.parametrize("kind", ITERABLES)
def test_iterables(kind):
    """Objects in memory are read like a log; the position of an object is its line."""
    assert on(1, 2, 3, 4) == statuses(ITERABLES[kind]())


PAGES = {
    "a mapping": PAGE,
    "a read-only mapping": MappingProxyType(PAGE),
    "bytes": json.dumps(PAGE).encode(),
    "bytes of an array": json.dumps(LIFE).encode(),
}


class Pages:
    """A paginated list of an SDK: its dump has the first page, and iteration gives all pages."""

    def __iter__(self):
        """Iterate over the batches of all pages."""
        return iter(LIFE)

    def model_dump(self):
        """Return the first page only."""
        return {"object": "list", "data": LIFE[:2], "has_more": True}


def test_all_pages_of_an_sdk_list_are_read():
    """The list is iterated, because its dump has only the first page."""
    assert on(1, 2, 3, 4) == statuses(Pages())


@pytest.mark.parametrize("kind", PAGES)
def test_one_page_at_hand(kind):
    """A page alone, or pages in a list, are read as their batches."""
    assert on(1, 1, 1, 1) == statuses(PAGES[kind])
    assert on(1, 1, 1, 1, 2, 2, 2, 2, path="vpzcvpzc") == statuses([PAGES[kind], PAGES[kind]])


@pytest.mark.parametrize(
    "one",
    [LIFE[0], MappingProxyType(LIFE[0]), parse(LIFE[0]), Batch.construct(**LIFE[0]), ONE_LINE[0].encode()],
)
def test_one_object_at_hand(one):
    """A single batch is accepted without a list."""
    assert [("validating", 1)] == statuses(one)


def test_places_of_objects():
    """The place of an object in memory is `iterable`, counted from 1."""
    snapshots, unreadable = found([LIFE[0], 7, LIFE[1]])

    assert ["iterable:1", "iterable:3"] == [str(row.place) for row in snapshots]
    assert ["iterable:2"] == [str(each.place) for each in unreadable]


def test_objects_that_are_none():
    """An element that is not a batch is reported with the type that was expected."""
    _, unreadable = found([None, 7, b"{", b"\xff", {}, [], Path("x"), b"[1]"])

    assert [1, 2, 3, 4, 5, 7, 8] == [each.place.line for each in unreadable]
    assert "expected a batch object, got null" == unreadable[0].problem


@pytest.mark.parametrize("source", [7, None, object(), 1.5])
def test_what_cannot_be_audited(source):
    """A source of any other type raises TypeError."""
    with pytest.raises(TypeError, match=r"^cannot audit \w+: expected paths, or an iterable of batch objects$"):
        resolve_source(source)


def test_a_lazy_frame_is_to_be_collected():
    """The error names the step between a lazy frame and an audit."""
    with pytest.raises(TypeError, match=r"^cannot audit SimpleNamespace: .*; collect it first$"):
        resolve_source(SimpleNamespace(collect=None))


def test_unknown_input_format():
    """An unknown input format is an error that lists the known formats."""
    with pytest.raises(UnknownNameError, match=f"'yaml'; known: {', '.join(INPUT_FORMATS)}$"):
        resolve_source("log", "yaml")


def test_what_can_be_read_twice(written, tmp_path):
    """Files and lists can be read twice; generators, standard input and pipes cannot."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    file = written(LOG)

    assert resolve_source([file, file]).is_repeatable
    assert resolve_source(LIFE).is_repeatable
    assert resolve_source({}).is_repeatable
    assert not resolve_source(iter(LIFE)).is_repeatable
    assert not resolve_source([file, "-"]).is_repeatable
    assert not resolve_source([file, pipe]).is_repeatable


def test_a_pipe_with_a_name_is_read(tmp_path):
    """A named pipe, such as `<(zcat log)` creates, is read like a file, with records out of order too."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    log = b"".join(
        json.dumps({"observed_at": CREATED + 999 - at, "batch": batch}).encode() + b"\n"
        for at, batch in enumerate(reversed(LIFE))
    )
    writer = threading.Thread(target=pipe.write_bytes, args=[log])
    writer.start()
    report = audit(pipe)
    writer.join(10)

    assert (4, "consistent", {}) == (report.snapshots, report.verdict, dict(report.counts))


# ---------------------------------------------------------------- text forms inside logs

PREFIX = "2026-11-22 18:00:00,123 INFO [poller] batch now: "


@pytest.mark.parametrize("form", ["python", "kotlin", "dart"])
@pytest.mark.parametrize("prefix", ["", PREFIX, "[2026-11-22] "])
@pytest.mark.parametrize("asked", [True, False])
def test_text_forms_on_one_line(form, prefix, asked, written):
    """A text form is read after any prefix of a logger, with the form detected or given."""
    log = "".join(f"{prefix}{PRINTERS[form](WIRE | {'id': f'batch_{number}'})}\n" for number in range(3))

    assert [("completed", 1), ("completed", 2), ("completed", 3)] == statuses(written(log), form if asked else "auto")


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("asked", [True, False])
def test_text_form_on_many_lines(prefix, asked, written):
    """An object that `console.log` prints on several lines is one snapshot, with the place of its first line."""
    text = prefix + PRINTERS["node"](WIRE)
    height = text.count("\n") + 1

    assert [("completed", 1), ("completed", 1 + height)] == statuses(
        written(f"{text}\n{text}\n"), "node" if asked else "auto"
    )


@pytest.mark.parametrize("chunk", [1, 50])
def test_text_form_in_small_pieces(chunk, written, monkeypatch):
    """A text form that is read in small chunks gives the same snapshot."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    text = PRINTERS["node"](WIRE)

    assert [("completed", 1)] == statuses(written(text))


@pytest.mark.parametrize("asked", [True, False])
def test_a_hidden_field_is_no_finding(asked, written):
    """Go's `%+v` prints addresses for times and counts: these fields are unknown, and are reported."""
    path = written(PREFIX + PRINTERS["go"](WIRE) + "\n")
    snapshots, unreadable = found(path, "go" if asked else "auto")
    report = audit(path, input_format="go" if asked else "auto")

    assert [("completed", 1_760_000_000)] == [(row.snapshot.status, row.snapshot.created_at) for row in snapshots]
    assert (0, {}, "consistent") == (len(report.findings), dict(report.counts), report.verdict)
    assert [
        (
            "read but for completed_at, expires_at, finalizing_at, in_progress_at, metadata, output_file_id, "
            "request_counts, which this text form hides"
        )
    ] == [each.problem for each in unreadable]


def test_brackets_in_metadata(written):
    """If metadata contains an unbalanced bracket, its end is ambiguous: it is unknown, and reported."""
    (row,), (unread,) = found(written(PRINTERS["kotlin"](WIRE | {"metadata": {"a": ")"}})))

    assert ("completed", ["metadata"]) == (row.snapshot.status, list(row.snapshot.bad))
    assert "cannot be sure of metadata" == unread.problem


def test_a_hidden_field_is_not_null(written):
    """A field that was set and is then hidden causes no finding; a field that changes in the same row does."""
    go = PRINTERS["go"](WIRE | {"endpoint": "/v1/responses"})
    log = json.dumps(WIRE) + "\n" + go + "\n" + json.dumps(WIRE)

    assert {"H503": 1} == dict(audit(written(log)).counts)


def test_forced_form_reads_no_json(written):
    """If a text form is requested, a line of JSON is reported as unreadable."""
    snapshots, unreadable = found(written(ONE_LINE[0] + "\n" + PRINTERS["kotlin"](WIRE)), "kotlin")

    assert ([2], [1]) == ([row.place.line for row in snapshots], [each.place.line for each in unreadable])
    assert "not read as kotlin's text of a batch" == unreadable[0].problem


def test_json_asked_for_reads_no_text(written):
    """If JSON is requested, a text form is reported as unreadable."""
    snapshots, unreadable = found(written(PRINTERS["kotlin"](WIRE) + "\n" + ONE_LINE[0]), "json")

    assert ([2], [1]) == ([row.place.line for row in snapshots], [each.place.line for each in unreadable])


def test_all_forms_in_one_log(written):
    """A log may contain text forms, JSON and other lines."""
    pieces = [PREFIX + printed(WIRE) for form, printed in PRINTERS.items() if form != "go"]
    log = "\n".join(["starting", pieces[0], ONE_LINE[0], *pieces[1:], PRETTY[1], "done"])
    snapshots, unreadable = found(written(log))

    assert ["completed", "validating", *["completed"] * (len(pieces) - 1), "in_progress"] == [
        row.snapshot.status for row in snapshots
    ]
    assert (1, log.count("\n") + 1) == (unreadable[0].place.line, unreadable[-1].place.line)
    assert 2 == len(unreadable)


@pytest.mark.parametrize("times", [1, 20, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("start", ["{ id: 'x', broken\n", "Batch(id='x',\n", "{ id: 'x'\n a\n b\n", "{ a: 1,\n"])
def test_beginnings_without_an_end_cost_themselves(start, times, written):
    """Text forms without an end are reported, and the complete one after them is read."""
    snapshots, unreadable = found(written(start * times + PRINTERS["node"](WIRE)))

    assert [start.count("\n") * times + 1] == [row.place.line for row in snapshots]
    assert times * start.count("\n") == len(unreadable)


@pytest.mark.slow
def test_a_log_full_of_beginnings(written):
    """The number of lines that the reader tries is bounded for each incomplete text form."""
    tried = []
    read = parsers.is_complete

    def ends(text, form):
        tried.append(text.count("\n"))
        return read(text, form)

    lines = 4000
    log = written("Batch(a=\n" * lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsers, "is_complete", ends)
        _, unreadable = found(log)

    assert lines == len(unreadable)
    assert sum(tried) < 40 * (json_reader._RETRIES_MAX + lines * json_reader._RETRIES_PER_LINE)


# ---------------------------------------------------------------- properties

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["id", "status", "created_at", "a", "é", "\u2028", "{", "]"]), values)
layouts = st.sampled_from(["lines", "array", "pretty array", "pretty", "one line", "pieces"])


def laid_out(found, layout):
    """Return objects as JSON in a layout."""
    if layout in {"array", "pretty array"}:
        return json.dumps(found, indent=2 if layout == "pretty array" else None, ensure_ascii=False)
    indent = 1 if layout == "pretty" else None
    return ("" if layout == "one line" else "\n").join(
        json.dumps(each, indent=indent, ensure_ascii=False) for each in found
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(objects, min_size=1), layout=layouts, chunk=st.integers(1, 40))
def test_whatever_json_holds_is_sighted(batches, layout, chunk, monkeypatch):
    """Every object is found unchanged, in any layout and chunks of any size; empty ones once a line suffice."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    monkeypatch.setattr(json_reader, "_CONSUMED_CHARS_MAX", 2 * chunk)
    binary = io.BytesIO(laid_out(batches, layout).encode())

    read = [each.found for each in json_reader.RecordReader(binary, "log", None, detects=False)]

    if layout in {"array", "one line"}:  # An empty object is an unreadable place, and a line is one place.
        assert ({} in batches) == ({} in read)
        assert [each for each in batches if each] == [each for each in read if each]
    else:
        assert batches == read


@pytest.mark.parametrize("chunk", [4, 40])
@pytest.mark.parametrize("log", ["{} {} {}", "[{}, {}, {}]", "{}{}\n", "[] {}[] [ ]{}\n", '{"a": 1} [] {} {"b": []}'])
def test_values_on_one_line_that_are_no_batch_are_one_unreadable_place(log, chunk, written, monkeypatch):
    """The chunks in which the line is read do not change that."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    snapshots, unreadable = found(written(log))

    assert ([], [1]) == (snapshots, [each.place.line for each in unreadable])


@pytest.mark.parametrize("chunk", [4, 40, 4000])
def test_empty_arrays_beside_batches_are_no_place(chunk, written, monkeypatch):
    """Batches before and behind empty arrays are read, on the lines where they are."""
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", chunk)
    snapshots, unreadable = found(written(f"[] [\n]{ONE_LINE[0]}[] [ ] {ONE_LINE[1]} []\n[]\n{ONE_LINE[2]}\n"))

    assert ([2, 2, 4], []) == ([each.place.line for each in snapshots], unreadable)


@given(
    st.lists(st.sampled_from([*ONE_LINE, *PRETTY, "", "x", "[", "{", "]", '"'])),
    st.sampled_from(["\n", "\r\n"]),
)
def test_places_point_at_what_is_there(pieces, line_end):
    """The line of a place contains the object that was found there."""
    log = line_end.join(pieces).replace("\n", line_end) if line_end == "\r\n" else "\n".join(pieces)
    lines = log.split("\n")
    for each in json_reader.RecordReader(io.BytesIO(log.encode()), "log", None):
        line = lines[each.place.line - 1] if each.place.line <= len(lines) else ""
        found_there = isinstance(getattr(each, "found", None), Mapping)
        assert line.lstrip("[, \r").startswith("{") if found_there else True


def test_a_row_can_be_made_of_a_snapshot():
    """A record that is built from a snapshot parses to the same snapshot."""
    snapshot = parse(snap("vp"), observed_at=CREATED + 5)
    row = Record(1, LogPosition("log", 2), snapshot)

    assert (snapshot, CREATED + 5.0) == (row.snapshot, row.parsed.observed_at)
    assert row.parsed is Record(2, row.place, row.parsed).parsed


# ---------------------------------------------------------------- JSON after a logger's prefix

BATCH_PRETTY = json.dumps(WIRE, indent=2)
BATCH_LINE = json.dumps(WIRE)


@pytest.mark.parametrize(
    "text, ids",
    [
        (f"INFO poll {BATCH_LINE}", 1),
        (f"[2026-11-30T10:00:00.000000+00:00] app.INFO: poll {BATCH_LINE} []", 1),
        (f'[2026-11-30T10:00:00+00:00] app.INFO: poll {{"batch":{BATCH_LINE}}} {{"url":"/"}}', 1),
        (f"got {BATCH_LINE} and {BATCH_LINE}", 2),
        (f'page {{"object": "list", "data": [{BATCH_LINE}, {BATCH_LINE}]}}', 2),
        (f"batch = {BATCH_PRETTY} took 3 s", 1),
        (f"\ufeffbatch = {BATCH_PRETTY}", 1),
        (f"\ufeff{BATCH_LINE}", 1),
    ],
)
def test_json_behind_a_prefix_is_read(text, ids, written):
    """Each batch on the line is read, with any text before and after it; the lines around it are read too."""
    snapshots, unreadable = found(written(f"{BATCH_LINE}\n{text}\n{BATCH_LINE}\n"))

    assert ["batch_7"] * (ids + 2) == [row.snapshot.id for row in snapshots]
    assert {1_760_000_000} == {row.snapshot.created_at for row in snapshots}
    assert [] == unreadable


@pytest.mark.parametrize(
    "text, problem",
    [
        (f"INFO {BATCH_LINE[:99]}", "the JSON on this line breaks off"),
        (f"INFO {BATCH_LINE} and {BATCH_LINE[:99]}", "the JSON on this line breaks off"),
        (f"INFO batch = {BATCH_PRETTY[:99]}", "the JSON on this line breaks off"),
        (f'INFO {{"batch": {BATCH_LINE}', "the JSON on this line breaks off"),
        ('INFO {"level": 5}', "not JSON: Expecting value (column 1)"),
        ('INFO {\n"level": 5}', "no batch in the JSON on this line"),
        ('INFO {"a": "\udcff"}', "not JSON: Expecting value (column 1)"),
        ('INFO {"a": 1 "b"}', "not JSON: Expecting value (column 1)"),
        (f"INFO {BATCH_LINE[:-1]}, " + '"status": "failed"}', "not JSON: Expecting value (column 1)"),
    ],
)
def test_json_behind_a_prefix_that_is_no_whole_batch(text, problem, written):
    """JSON that is cut off is reported as such, and no part of it is read as a batch."""
    path = written(f"{BATCH_LINE}\n{text}\n{BATCH_LINE}\n".encode("utf-8", "surrogateescape"))
    snapshots, unreadable = found(path)

    assert 2 == len(snapshots)
    assert problem == unreadable[0].problem


def test_an_array_with_bytes_that_are_not_utf8(written):
    """The value with such bytes is unreadable; the batches of the array before and after it are read."""
    text = f'[{BATCH_LINE},\n{BATCH_LINE},\n{{"id": "\udcff"}},\n{BATCH_LINE}]\n'
    snapshots, unreadable = found(written(text.encode("utf-8", "surrogateescape")))

    assert [1, 2, 4] == [row.place.line for row in snapshots]
    assert [3] == [entry.place.line for entry in unreadable]


@pytest.mark.logic
def test_json_behind_a_prefix_is_cut_off_anywhere(written):
    """A line of JSON that is cut off at any character gives no batch."""
    line = f'INFO {{"batch": {json.dumps(WIRE | {"metadata": WIRE})}}}'
    path = written("\n".join(line[:length] for length in range(len(line))))

    assert [] == found(path)[0]


def test_a_text_form_that_quotes_json_is_itself(written):
    """JSON in a text field of a batch is not read as a batch."""
    text = PRINTERS["python"](WIRE | {"metadata": {"raw": json.dumps(WIRE | {"id": "inner"})}})

    assert ["batch_7"] == [row.snapshot.id for row in found(written(f"got {text}"))[0]]


# ---------------------------------------------------------------- printed lists, in a log


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asked", [True, False])
def test_printed_lists_of_a_log(form, asked, written):
    """Each batch of a printed list has the place of its line; a list that is cut off is reported."""
    text = printed_list(form, [WIRE, FAILED]).replace("\n", " ")
    path = written(f"{text}\n{text[:-9]}\n{PRINTERS[form](WIRE)}\n")
    snapshots, unreadable = found(path, form if asked else "auto")
    named = [each.problem for each in unreadable if "hides" not in each.problem]

    assert ["completed", "failed", "completed"] == [row.snapshot.status for row in snapshots]
    assert [1, 1] == [row.place.line for row in snapshots[:2]]
    assert [f"{form}'s text of a batch is cut off"] == named


def test_values_that_cannot_be_read_are_shown(written):
    """The report shows a value that is not valid, and lists the fields that the text form hides."""
    (row,), (unread,) = found(written("Batch(id='b', status='failed', created_at=xxxx, model=<a.B object at 0x7f>)\n"))

    assert {"created_at", "model"} == {*row.snapshot.bad}
    assert "read but for model, which this text form hides; cannot be sure of created_at ('xxxx')" == unread.problem


def test_an_item_that_a_list_hides_is_named(written):
    """`console.log` prints a hundred items and abbreviates the rest, which is reported as one entry."""
    snapshots, unreadable = found(written("[ { id: 'b', status: 'failed', created_at: 5 }, ... 2 more items ]"))

    assert ["b"] == [row.snapshot.id for row in snapshots]
    assert ["an item of the list, which this text form hides"] == [each.problem for each in unreadable]


@given(
    form=st.sampled_from(FORMS),
    share=st.floats(min_value=0, max_value=1, exclude_max=True),
    ends=st.lists(st.sampled_from(["", " ", "\t"]), min_size=1, max_size=3),
)
@example(form="go", share=0.05, ends=[""])
def test_a_text_that_does_not_close_takes_no_json_behind_it(tmp_path_factory, form, share, ends):
    """Behind the beginning of a text of any form, each line that is a JSON object by itself is read."""
    text = PRINTERS[form](WIRE)
    path = tmp_path_factory.mktemp("cut") / "log"
    lines = [text[: int(len(text) * share)], *(f"{blank}{json.dumps(WIRE)}{blank}" for blank in ends)]
    path.write_text("\n".join(lines))
    snapshots, unreadable = found(path)

    first_json = lines[0].count("\n") + 2
    assert [first_json + number for number in range(len(ends))] == [row.place.line for row in snapshots]
    assert {"batch_7"} == {row.snapshot.id for row in snapshots}
    assert all(entry.place.line < first_json for entry in unreadable)


def test_an_unclosed_go_text_is_named():
    """The line is reported as cut off, and the JSON line behind it is read; JSON that breaks off is reported."""
    snapshots, unreadable = found_in_text('{ID:x Status:y\n{"broken": \n' + ONE_LINE[0] + "\n")

    assert [3] == [row.place.line for row in snapshots]
    assert [(1, "go's text of a batch is cut off"), (2, "not JSON: Expecting ',' delimiter (column 1)")] == [
        (entry.place.line, entry.problem) for entry in unreadable
    ]


def found_in_text(text):
    """Return the snapshots and the unreadable entries of a text."""
    log = json_reader.RecordReader(io.BytesIO(text.encode()), "log", None)
    rows = list(parse_records(log, READER))
    return [row for row in rows if isinstance(row, Record)], [row for row in rows if isinstance(row, UnreadableEntry)]


@pytest.mark.parametrize("line", ["{} " * 40_000, "[" + "{}, [] ," * 30_000 + "{}]", '{"a": 1} {}\t{ }' * 4_000])
def test_many_values_that_are_no_batches_are_one_record_or_few(line):
    """Empty values that follow each other are one record in each part of the log that is read at once."""
    records = list(json_reader.RecordReader(io.BytesIO(f"{line}\n{ONE_LINE[0]}\n".encode()), "log", None))
    snapshots, unreadable = found_in_text(f"{line}\n{ONE_LINE[0]}\n")

    assert len(records) < 20_000
    assert {1, 2} == {record.place.line for record in records}
    assert ([2], [1]) == ([row.place.line for row in snapshots], [entry.place.line for entry in unreadable])
