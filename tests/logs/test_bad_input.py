"""Any JSON, and any input that is not JSON, causes a finding or is reported; the audit checks the rest of the log."""

import gzip
import io
import json
import random
import tracemalloc
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchfsm import audit
from batchfsm.cli import app
from batchfsm.logs import OBJECT_CHARS_MAX, json_reader
from support.calls import count_calls
from support.notation import CREATED, seen, snap
from support.sdk_text import PRINTERS, WIRE

LIFE = [json.dumps(batch).encode() for batch in seen("vpzc")]
BEFORE, BEHIND = LIFE[:2], LIFE[2:]
MEGABYTE = 2**20


def damaged(text):
    """Return a log with the given text between two valid lines and two more."""
    return b"\n".join([*BEFORE, text if isinstance(text, bytes) else text.encode(), *BEHIND]) + b"\n"


def audited(log, **options):
    """Audit a log as standard input, without a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(log)))
        return audit("-", **options)


def printed(log, *options):
    """Return the output of the command `audit` for a log."""
    return CliRunner().invoke(app, ["audit", "-", *options], input=log)


def line(**changes):
    """Return a batch in progress as JSON, with some values replaced by raw text."""
    wire = json.dumps(snap("vp", **dict.fromkeys(changes, "@")))
    for value in changes.values():
        wire = wire.replace('"@"', value, 1)
    return wire


# ---------------------------------------------------------------- invalid values

BAD_VALUES = {
    "NaN for a time": (line(created_at="NaN"), "S005"),
    "Infinity for a time": (line(in_progress_at="-Infinity"), "S005"),
    "a float overflow": (line(created_at="1e999"), "S005"),
    "a huge integer for a time": (line(created_at="9" * 4000), "S005"),
    "a huge integer for a count": (line(request_counts='{"total": 8, "completed": %s, "failed": 0}' % ("9" * 4000)), "C301"),
    "a huge negative count": (line(request_counts='{"total": 8, "completed": 0, "failed": -%s}' % ("9" * 4000)), "C301"),
    "a fraction for a count": (line(request_counts='{"total": 8, "completed": 0.5, "failed": 0}'), "S002"),
    "NaN for a count": (line(request_counts='{"total": NaN, "completed": 0, "failed": 0}'), "S002"),
    "a lone surrogate in an id": (line(id=r'"batch_\ud800"'), "S002"),
    "a lone surrogate in a file id": (line(input_file_id=r'"\udfff"'), "S002"),
    "a lone surrogate in metadata": (line(metadata=r'{"a": "\ud800"}'), "S002"),
    "a list for an id": (line(id="[1]"), "S002"),
    "an object for a status": (line(status='{"value": "completed"}'), "S002"),
    "a status nobody knows": (line(status=r'"\u001b[31mred"'), "S004"),
    "true for a time": (line(created_at="true"), "S005"),
    "metadata in depth": (line(metadata="[" * 500 + "]" * 500), "S002"),
    "usage in depth": (line(usage='{"a":' * 500 + "1" + "}" * 500), "S002"),
    "errors in depth": (line(errors='{"data": [{"message": %s}]}' % ("[" * 500 + "]" * 500)), "S002"),
    "a thousand errors": (line(errors=json.dumps([{}] * 1000)), "F403"),
    "a key of a megabyte": (line(metadata='{"%s": "a"}' % ("k" * MEGABYTE)), "S006"),
    "a value of 5 megabytes": (line(metadata='{"k": "%s"}' % ("v" * 5 * MEGABYTE)), "S006"),
    "a metadata of many pairs": (line(metadata=json.dumps(dict.fromkeys(map(str, range(50_000)), ""))), "S006"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_a_bad_value_is_a_finding(kind):
    """A line of JSON with an invalid value causes a finding at its line."""
    text, code = BAD_VALUES[kind]
    report = audited(damaged(text))

    assert (5, 0) == (report.snapshots, report.unreadable_count)
    assert [3] == [finding.where[-1].line for finding in report.findings if finding.rule == code]
    assert json.loads(report.to_json())["counts"] == report.counts


# ---------------------------------------------------------------- lines that cannot be read

UNREADABLE = {
    "an integer of more digits than Python reads": line(created_at="9" * 5000),
    "nested 100,000 deep in arrays": line(metadata="[" * 100_000 + "]" * 100_000),
    "nested 100,000 deep in objects": line(metadata='{"a":' * 100_000 + "1" + "}" * 100_000),
    "nothing but 100,000 braces": '{"a":' * 100_000,
    "invalid UTF-8 in a value": line(endpoint='"/v1"').encode().replace(b"/v1", b"/v1\xff\xfe"),
    "invalid UTF-8 in a key": line().encode().replace(b'"endpoint"', b'"endpoi\xe9nt"'),
    "half a character": line(endpoint='"/v1"').encode().replace(b"/v1", "é".encode()[:1]),
    "UTF-8 of a surrogate": line(endpoint='"/v1"').encode().replace(b"/v1", b"\xed\xa0\x80"),
    "invalid UTF-8 and nothing else": b"\xff\xfe\xfd",
    "UTF-16": line().encode("utf-16-be").replace(b"\n", b""),
    "a key twice": '{"id": "batch_1", "status": "failed", "status": "completed", "created_at": 1}',
    "a key twice, deep inside": line(metadata='{"a": {"b": 1, "b": 2}}'),
    "half a line": line()[:300],
    "half a line, cut in a string": line()[:14],
    "half a line, cut behind a key": '{"id": "batch_1", "status":',
    "the other half": line()[300:],
    "a closing brace too many": "}",
    "a bracket too many": "]",
    "a raw line feed in a string, first half": '{"id": "batch',
    "a raw tab in a string": '{"id": "batch\t1", "status": "validating", "created_at": 1}',
    "a raw NUL in a string": '{"id": "batch\x001", "status": "validating", "created_at": 1}',
    "NULs": "\0" * 1000,
    "single quotes": "{'no': 'batch'}",
    "a comma at the end": line()[:-1] + ",}",
    "a comment": "// nothing",
    "an escape that is none": r'{"id": "\x41"}',
    "a string": '"batch"',
    "a number": "12",
    "null": "null",
    "a scalar of a megabyte": '"' + "x" * MEGABYTE + '"',
    "a line of 5 megabytes": "x" * 5 * MEGABYTE,
    "half a line of 5 megabytes": line(metadata='{"k": "%s"}' % ("v" * 5 * MEGABYTE))[:-2],
    "an error body": '{"error": {"message": "no"}}',
    "HTML": "<html><body>502 Bad Gateway</body></html>",
    "an empty object": "{}",
    "terminal escapes": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "Python's text without an end": "Batch(id='batch_1', ",
    "Kotlin's text without an end": "Batch(id=batch_1, ",
    "Dart's text without an end": "Batch[id=batch_1, ",
    "Go's text without an end": "{ID:batch_1 ",
    "Node's text without an end": "{ id: 'batch_1', ",
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_unreadable_line_is_named(kind, line_end):
    """An unreadable line is reported with its place, and the four lines around it are checked."""
    report = audited(damaged(UNREADABLE[kind]).replace(b"\n", line_end))

    assert (4, [3]) == (report.snapshots, [each.place.line for each in report.unreadable])
    assert (1, 5, "undetermined", {}) == (report.unreadable_count, report.places, report.verdict, report.counts)
    assert 0 < len(report.unreadable[0].problem) < 200


@pytest.mark.parametrize(
    "text, problem",
    [
        (line(created_at="9" * 5000), "an integer of more digits than Python reads"),
        (line(metadata="[" * 100_000 + "]" * 100_000), "nested too deep to be read"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (
            '{"status": "failed", "status": "completed"}',
            "not JSON to rely on: the key 'status' stands twice in one object",
        ),
        ('{"id": 1 "a"}', "not JSON: Expecting ',' delimiter (column 10)"),
        ("x", "not JSON: Expecting value (column 1)"),
        ("12", "expected an object"),
        ("{}", "has none of id, status and created_at: not a batch"),
        ("Batch(id='batch_1'", "python's text of a batch is cut off"),
        ("Batch(id='batch_1', 5)", "not read as python's text of a batch: its values have no names"),
        ('{"id": "b"', "not JSON: the line breaks off (column 11)"),
        ('{"id": "b', "not JSON: the line breaks off (column 10)"),
        ('INFO poll {"id": "b"', "the JSON on this line breaks off"),
    ],
)
def test_problems_say_what_is_wrong(text, problem):
    """The problem is a short phrase that helps to find the fault."""
    assert [problem] == [each.problem for each in audited(damaged(text)).unreadable]


def test_nothing_but_brackets():
    """Each line that opens an array is reported; at the end of the log the unclosed array is reported too."""
    report = audited(damaged("[" * 100_000))

    assert (4, [3, 5]) == (report.snapshots, [each.place.line for each in report.unreadable])


def test_two_keys_of_a_megabyte():
    """A long duplicate key is abbreviated in the report."""
    key = "k" * MEGABYTE
    report = audited(damaged(f'{{"{key}": 1, "{key}": 2}}'))

    assert len(report.unreadable[0].problem) < 200


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_log_that_breaks_off(cut):
    """If the last line of a log is cut off, all other lines are checked."""
    log = b"\n".join(LIFE)
    report = audited(log[:-cut])

    assert (3, [4]) == (report.snapshots, [each.place.line for each in report.unreadable])


def test_a_gzip_that_breaks_off():
    """If a gzip file is cut off, all complete lines are checked."""
    log = b"".join(line(id=json.dumps(random.Random(seed).randbytes(99).hex())).encode() + b"\n" for seed in range(200))  # noqa: S311
    packed = gzip.compress(log)
    report = audited(packed[: len(packed) // 2])

    assert 80 < report.snapshots < 120
    assert report.unreadable[-1].problem == "the log breaks off: the compressed stream ends early"


def test_a_line_above_the_limit(monkeypatch):
    """A line above the size limit is reported, and the lines around it are checked."""
    monkeypatch.setattr(json_reader, "OBJECT_CHARS_MAX", MEGABYTE)
    for long in ("x" * 3 * MEGABYTE, line(metadata='{"k": "%s"}' % ("v" * 3 * MEGABYTE))):
        report = audited(damaged(long))

        assert (4, ["longer than 1,048,576 characters"]) == (report.snapshots, [e.problem for e in report.unreadable])


def test_the_limit_is_megabytes():
    """The batch objects that OpenAI allows are far below the limit."""
    assert OBJECT_CHARS_MAX >= 16 * MEGABYTE


# ---------------------------------------------------------------- objects in memory

OBJECTS = {
    "an integer that Python does not print": {"created_at": 10**5000},
    "such a count": {"request_counts": {"total": 10**5000, "completed": 0, "failed": 0}},
    "such a negative count": {"request_counts": {"total": 1, "completed": -(10**5000), "failed": 0}},
    "such an integer elsewhere": {"endpoint": 10**5000, "metadata": {"a": 10**5000}},
    "such an integer in errors": {"errors": [{"code": 10**5000}]},
    "a key that is no text": {7: 8, None: 9, ("a",): 10},
    "bytes": {"id": b"batch_1", "endpoint": b"\xff"},
    "a class": {"status": int, "created_at": float},
    "itself": {"metadata": (loop := {}, loop.__setitem__("loop", loop))[0]},
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_that_json_cannot_hold(kind):
    """Objects that JSON cannot represent do not stop an audit, and the report can be written."""
    log = [snap("v"), snap("vp") | OBJECTS[kind], snap("vpz")]
    for source in (log, iter(log)):
        report = audit(source)

        assert (3, 0) == (report.snapshots, report.unreadable_count)
        assert json.loads(report.to_json())["snapshots"] == 3


# ---------------------------------------------------------------- output to a terminal

EVIL = "\x1b[2J\x1b]0;pwned\x07\x9b31m\x08\x00\r\u202e\u2066\u2028\u200b\ufeff\x85\x7f"
COMMANDS = ["::error::", "::set-output name=a::b"]


def evil_log():
    """Return a log with control characters in every field that can hold text."""
    evil = json.dumps(EVIL)
    life = seen("vpzc", id=EVIL, endpoint=EVIL, output_file_id=EVIL)
    changed = life[3] | {"endpoint": EVIL + "2", "output_file_id": EVIL + "2", "status": EVIL, "expires_at": None}
    errors = {"data": [{"code": EVIL, "message": EVIL, "param": EVIL, "line": 1}]}
    bad = snap("vp", id=EVIL, created_at=EVIL, metadata={EVIL: 1}, errors=errors, object=EVIL, completion_window=EVIL)
    twice = f"{{{evil}: 1, {evil}: 2}}"
    rest = [bad | {"id": "\n".join(COMMANDS)}, {"id": EVIL, "status": None, EVIL: EVIL}, [EVIL], EVIL]
    written = [json.dumps(each) for each in [*life, life[1], changed, bad, *rest]]
    return ("\n".join([*written, twice, EVIL, PRINTERS["go"](WIRE | {"id": "b\x9b1"})]) + "\n").encode()


@pytest.mark.parametrize("options", [[], ["--format", "json"], ["--format", "jsonl"], ["--format", "github"]])
def test_no_control_reaches_the_terminal(options):
    """The output for any log contains no control character except line ends."""
    result = printed(evil_log(), *options)

    assert 1 == result.exit_code
    assert "pwned" in result.stdout
    assert set() == {char for char in result.output if not char.isprintable()} - {"\n"}


def test_no_control_reaches_the_terminal_through_a_timeline():
    """A timeline contains no control character except line ends."""
    result = CliRunner().invoke(app, ["timeline", "-"], input=evil_log())

    assert (0, set()) == (result.exit_code, {char for char in result.output if not char.isprintable()} - {"\n"})


def test_no_control_reaches_the_terminal_through_names(tmp_path):
    """File names and arguments of commands may contain control characters; the output contains none."""
    path = tmp_path / "a\x1b[2J\x9b.jsonl"
    path.write_bytes(damaged(line(created_at='"x"')) + b"x")
    asked = [["audit", str(path), "--format", form] for form in ("text", "json", "jsonl", "github")]
    asked += [
        ["audit", str(path) + "x"],
        ["audit", f"{path}*", "--dialect", EVIL],
        ["timeline", "--batch", EVIL, str(path)],
    ]
    for arguments in asked:
        result = CliRunner().invoke(app, arguments)

        assert set() == {char for char in result.output if not char.isprintable()} - {"\n"}
        assert result.exit_code in {1, 2}


def test_no_message_is_a_command():
    """No id or message can start a line that GitHub reads as a workflow command."""
    result = printed(evil_log(), "--format", "github")

    for text in result.stdout.splitlines():
        assert text.startswith(("::error file=-,", "::warning file=-,", "::notice file=-,", "batchfsm: "))


@pytest.mark.parametrize("form", ["text", "github"])
def test_an_id_of_a_megabyte_is_cut(form):
    """An id of a megabyte is checked as any other id, and abbreviated in the output."""
    long = json.dumps("b" * MEGABYTE)
    log = "\n".join([line(id=long), line(id=long, in_progress_at="null"), line(id=long)]).encode()
    report = audited(log)

    assert (3, 1, 0) == (report.snapshots, report.batches, report.unreadable_count)
    assert {"P101": 1, "H504": 1} == report.counts
    assert "b" * MEGABYTE == report.findings[0].batch_id
    assert max(map(len, printed(log, "--format", form).stdout.splitlines())) < 400


# ---------------------------------------------------------------- time and memory


UNITS = {
    "good lines": LIFE[1] + b"\n",
    "good documents side by side": LIFE[1],
    "braces": b"{\n",
    "beginnings of objects": b'{"a":[\n',
    "brackets": b"[\n",
    "brackets on one line": b"[",
    "empty arrays": b"[]",
    "values that are no batch": b'{"a":1} [] {} ',
    "arrays that go on": b"[{},\n",
    "quotes": b'"\n',
    "commas": b",\n",
    "invalid UTF-8": b"\xff\n",
    "no line ends": b"x",
    "keys": b'{"id":\n',
    "Python": b"Batch(a=\n",
    "Kotlin": b"Batch(id=x, errors=P(data=[\n",
    "Dart": b"Batch[id=x, metadata={\n",
    "Go": b"{ID:x Note:\n",
    "Node": b"{ a: 1,\n",
    "Node, on one line": b"{ a: 1, ",
    "pretty, cut": json.dumps(snap("vp"), indent=1).encode()[:-2] + b"\n",
    "console.log, cut": PRINTERS["node"](WIRE).encode()[:-2] + b"\n",
}


# Nested beginnings are retried up to a bound for each line: the work is linear, and slow to count.
NESTING = {"Node", "Python", "beginnings of objects", "arrays that go on", "brackets", "keys", "console.log, cut"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in NESTING else ()) for kind in UNITS]
)
def test_work_is_linear(kind, monkeypatch):
    """An input of twice the size takes about twice as many function calls."""
    monkeypatch.setattr(json_reader, "_RETRIES_MAX", 128)
    monkeypatch.setattr(json_reader, "TEXT_LINES_MAX", 32)
    unit = UNITS[kind]
    once = unit * (6_000 // len(unit))
    audited(once)  # Compile the patterns before the calls are counted.

    assert count_calls(audited, once + once) < 2.3 * count_calls(audited, once) + 2000


def sighted_chars(log):
    """Return how many characters of the buffer are copied for the decoder."""
    copied = 0

    class Text(str):
        __slots__ = ()

        def __getitem__(self, key):
            nonlocal copied
            piece = super().__getitem__(key)
            copied += len(piece)
            return Text(piece) if isinstance(key, slice) else piece

    with pytest.MonkeyPatch.context() as patch:
        more = json_reader.RecordReader._fill_buffer

        def more_text(self):
            is_more = more(self)
            self._text = Text(self._text)
            return is_more

        patch.setattr(json_reader.RecordReader, "_fill_buffer", more_text)
        audited(log)
    return copied


def test_a_long_line_does_not_make_the_others_dear():
    """After a line of a megabyte, which enlarges the buffer, other lines cost no more than elsewhere."""
    long = line(metadata='{"k": "%s"}' % ("v" * MEGABYTE)).encode()
    others = b"\n".join(LIFE * 200)

    assert sighted_chars(long + b"\n" + others) < 8 * (len(long) + len(others))
    assert sighted_chars(long[:-2] + b"\n" + others) < 8 * (len(long) + len(others))
    assert sighted_chars(long + b"\n" + b"{x\n" * 4_000) < 10 * (len(long) + 12_000)


def peak_bytes(log):
    """Return the peak memory of an audit of a log."""
    tracemalloc.start()
    try:
        audited(log, max_findings=10)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNITS)
def test_memory_is_bounded(kind, monkeypatch):
    """Four times as many lines take no more memory."""
    small = {"OBJECT_CHARS_MAX": 1024, "_CHUNK_CHARS": 256, "_CONSUMED_CHARS_MAX": 512, "TEXT_LINES_MAX": 16}
    for name, size in (small | {"_RETRIES_MAX": 64}).items():
        monkeypatch.setattr(json_reader, name, size)
    unit = UNITS[kind]
    audited(LIFE[1] * 2500)  # Fill Python's free list, which keeps up to 2,000 tuples of each length.
    once, often = (peak_bytes(unit * (size // len(unit))) for size in (4_000, 16_000))

    assert 1.2 * once > often


# ---------------------------------------------------------------- fuzz

noise = st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b"\n", b"\r\n", b"\\", b",", b"\x1f\x8b", b"\x00", b"\xff", "é".encode()[:1], b"Batch(id='", b"{ id: "]
    + [text.encode()[:60] for text in UNREADABLE.values() if isinstance(text, str)]
)  # fmt: skip
GOOD = [
    json.dumps(snap(path, id=f"batch_{path}", endpoint="/v1/é")).encode() for path in ("v", "vp", "vpz", "vpzc", "vgx")
]


@settings(max_examples=300)
@given(st.lists(noise, max_size=6), st.integers(0, 5))
@example([b"["], 0)
@example([b'{"a": '], 1)
@example([b"Batch(id='"], 1)
def test_good_lines_before_the_damage_are_judged(pieces, before):
    """Any bytes after valid lines leave these lines checked, and the audit raises no error."""
    # The first bytes of a file may be the signature of another format, such as UTF-16, which is refused.
    head = b"".join(text + b"\n" for text in (GOOD * 2)[:before]) or b"\n"
    report = audited(head + b"".join(pieces))

    assert before <= report.snapshots
    assert before < report.snapshots or {} == report.counts


class SpanRecorder(json_reader.RecordReader):
    """A reader that records the range of lines of each item that it yields."""

    spans: list[range]

    def _read_next(self, char, *, in_array):
        first = self._line
        found = super()._read_next(char, in_array=in_array)
        assert first == found.place.line
        self.spans.append(range(first, self._line + 1))
        return found

    def _whole_objects(self):
        for found in super()._whole_objects():
            first = found.place.line
            self.spans.append(range(first, max(first + 1, self._line)))
            yield found


piece = st.sampled_from(GOOD) | noise.map(lambda text: text.replace(b"\n", b"").removeprefix(b"\x1f\x8b"))


@settings(max_examples=300)
@given(st.lists(piece, max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_every_line_is_accounted_for(pieces, line_end):
    """Each line that is not blank belongs to a snapshot or to an unreadable entry."""
    watched = SpanRecorder(io.BytesIO(line_end.join([b"", *pieces])), "log", None)
    watched.spans = []
    for item in watched:
        watched.spans.append(range(item.place.line, item.place.line + 1))
    for number, text in enumerate(line_end.join([b"", *pieces]).split(b"\n"), 1):
        assert not text.strip(b" \t\r,[]") or any(number in span for span in watched.spans)


@st.composite
def damage(draw):
    """Return a valid log with some bytes cut out, repeated, replaced or changed, and the place of the first change."""
    log = bytearray(b"".join(text + b"\n" for text in draw(st.permutations(GOOD))))
    first = len(log)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(log)))
        end = min(len(log), start + draw(st.integers(0, 60) | st.integers(0, 2000)))
        first = min(first, start)
        piece = draw(st.sampled_from(["cut", "twice", "flip", "noise", "tail"]))
        if piece == "cut":
            del log[start:end]
        elif piece == "tail":
            del log[start:]
        elif piece == "twice":
            log[end:end] = log[start:end]
        elif piece == "noise":
            log[start:end] = draw(noise)
        else:
            log[start:end] = bytes(byte ^ draw(st.integers(1, 255)) for byte in log[start : min(end, start + 8)])
    return bytes(log), first


def damaged_log_is_audited(log, first):
    """Check that an audit checks the complete lines before the first damage, and counts its unreadable entries."""
    whole = log[:first].count(b"\n")
    report = audited(log)

    assert whole <= report.snapshots
    assert json.loads(report.to_json())["unreadable_count"] == len(report.unreadable)


@settings(max_examples=100)
@given(damage())
def test_damaged_logs(damaged_log):
    """With any damage, the complete lines before it are checked, and no error is raised."""
    damaged_log_is_audited(*damaged_log)


@pytest.mark.slow
@settings(max_examples=500)
@given(damage())
def test_many_damaged_logs(damaged_log):
    """The property of `test_damaged_logs` holds for five hundred logs."""
    damaged_log_is_audited(*damaged_log)


@settings(max_examples=100)
@given(damage())
def test_damaged_gzip(damaged_log):
    """With any damage of a gzip file, the audit raises no error."""
    log, first = damaged_log
    packed = bytearray(gzip.compress(log))
    packed[first % len(packed)] ^= 0x5A

    assert audited(bytes(packed)).snapshots <= 20


def damaged_log_is_printed(log, form):
    """Check that the command prints no control character except line ends, and exits with status 0, 1 or 2."""
    result = printed(log, "--format", form)

    assert set() == {char for char in result.output if not char.isprintable()} - {"\n"}
    assert result.exit_code in {0, 1, 2}
    assert result.exception is None or isinstance(result.exception, SystemExit)


FORMS = st.sampled_from(["text", "json", "jsonl", "github"])


@settings(max_examples=40)
@given(damage(), FORMS)
def test_damaged_logs_on_a_terminal(damaged_log, form):
    """For a damaged log, the command prints no control character except line ends, and exits with status 0, 1 or 2."""
    damaged_log_is_printed(damaged_log[0], form)


@pytest.mark.slow
@settings(max_examples=200)
@given(damage(), FORMS)
def test_many_damaged_logs_on_a_terminal(damaged_log, form):
    """The property of `test_damaged_logs_on_a_terminal` holds for two hundred logs."""
    damaged_log_is_printed(damaged_log[0], form)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["batch", CREATED]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
names = st.sampled_from(
    [
        *snap("v"),
        "observed_at",
        "timestamp",
        "batch",
        "snapshot",
        "body",
        "data",
        "createdAt",
        "InputFileID",
        "usage",
        "x",
    ]
)


LOGS = st.lists(st.dictionaries(names, anything) | anything, max_size=5)
NAMED = st.sampled_from(["openai", "compatible", "azure"])


def json_is_audited(log, dialect):
    """Check that an audit of JSON lines refers to lines of the log only, and that its report is JSON."""
    text = "\n".join(map(json.dumps, log)).encode()
    report = audited(text, dialect=dialect)
    places = [finding.where[-1] for finding in report.findings] + [each.place for each in report.unreadable]

    assert {place.line for place in places} <= set(range(1, len(log) + 1))
    assert json.loads(report.to_json())["snapshots"] == report.snapshots


@settings(max_examples=60)
@given(LOGS, NAMED)
def test_anything_that_json_can_hold(log, dialect):
    """Any JSON is checked or reported with its line, and the report is JSON."""
    json_is_audited(log, dialect)


@pytest.mark.slow
@settings(max_examples=300)
@given(LOGS, NAMED)
def test_much_that_json_can_hold(log, dialect):
    """The property of `test_anything_that_json_can_hold` holds for three hundred logs."""
    json_is_audited(log, dialect)


def objects_are_audited(log):
    """Check that the report of an audit of objects is JSON, in order of time or not."""
    for source in (dict(enumerate(log)).values(), iter(log)):
        assert json.loads(audit(source).to_json())["verdict"] in {"consistent", "inconsistent", "undetermined"}


@settings(max_examples=60)
@given(LOGS)
def test_any_object_at_hand(log):
    """Any objects, in order of time or not, are checked or reported, and the report is JSON."""
    objects_are_audited(log)


@pytest.mark.slow
@settings(max_examples=300)
@given(LOGS)
def test_many_objects_at_hand(log):
    """The property of `test_any_object_at_hand` holds for three hundred lists."""
    objects_are_audited(log)
