"""Files of JSON lines as sources of columns: splits, compression, and files that change, shrink or cannot be read."""

import gzip
import json

import pytest

from batchfsm import SourceError
from batchfsm.logs import UnreadableEntry, json_reader
from support.both_readings import both, everything, written
from support.columns import FullFile, no_file
from support.dialects import DIALECTS
from support.notation import seen, snap

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import PAD, JsonLinesSource, json_lines, json_rows, line_splits
from batchfsm.auditing.columns.line_splits import Split, read_split

OPENAI = DIALECTS["openai"]


# ---------------------------------------------------------------- splits


@pytest.mark.parametrize("split_bytes", [1, 7, 1000])
def test_splits_may_be_cut_anywhere(split_bytes, tmp_path, column_runs, monkeypatch):
    """A line that spans several splits is one line, also at the end of the file."""
    monkeypatch.setattr(json_lines, "_SPLIT_BYTES", split_bytes)
    log = "\n\n".join(json.dumps(snap(path)) for path in ["v", "vp", "vpv", "vpz", "vpzc", "vpzcp"])

    row_by_row, in_columns = both(written(tmp_path, log))

    assert {"H507": 1, "H502": 1} == {code: in_columns.counts[code] for code in ("H507", "H502")}
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(column_runs)


def lines_of(text, split_bytes):
    """Yield the splits of a text, each with its lines and offset."""

    def fill(offset, buffer):
        assert offset + len(buffer) <= len(text)
        buffer[:] = text[offset : offset + len(buffer)]

    for begin in range(0, len(text), split_bytes):
        found = read_split(fill, begin, min(begin + split_bytes, len(text)), len(text))
        assert found.text[found.size :] == b"\n" * PAD
        yield found


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"a", b"a\nbb\n\nccc", b"a\nbb\n\nccc\n", b"\n\n\n", b"a" * 50 + b"\n" + b"b" * 50]
)
@pytest.mark.parametrize("more_bytes", [1, 3, 1000])
def test_each_line_is_in_the_split_in_which_it_begins(text, more_bytes, monkeypatch):
    """Splits of any number of bytes contain all lines once, at their offsets."""
    monkeypatch.setattr(line_splits, "_MORE_BYTES", more_bytes)
    whole = text if text.endswith(b"\n") or not text else text + b"\n"
    for split_bytes in range(1, len(text) + 2):
        found = [split for split in lines_of(text, split_bytes) if split.size]

        assert whole == b"".join(split.text[: split.size] for split in found)
        assert [split.offset for split in found] == [
            sum(split.size for split in found[:index]) for index in range(len(found))
        ]
        assert all(split.is_whole for split in found)
        for split in found:
            begins = [at for at in range(split.size) if not at or split.text[at - 1] == ord("\n")]
            assert 1 == len({(split.offset + at) // split_bytes for at in begins})


def test_a_split_without_a_line_is_empty():
    """A split in the middle of a long line is empty."""
    middle = [*lines_of(b"a" * 100, 10)][5]

    assert Split(60, bytearray(b"\n" * PAD), 0, is_whole=True) == middle


def test_a_line_too_long_for_memory(tmp_path, column_runs, monkeypatch):
    """The row engine reads a file with a line beyond the limit, so that the line takes no memory."""
    monkeypatch.setattr(line_splits, "LINE_BYTES_MAX", 1000)
    monkeypatch.setattr(line_splits, "_MORE_BYTES", 100)
    monkeypatch.setattr(json_lines, "_SPLIT_BYTES", 500)

    row_by_row, report = both(
        written(tmp_path, json.dumps(snap("v")) + "\n" + "x" * 5000 + "\n" + json.dumps(snap("vp")))
    )

    assert ([], 1, 2) == (column_runs, report.unreadable_count, report.snapshots)
    assert everything(row_by_row) == everything(report)


def test_a_line_longer_than_an_object_may_be(tmp_path, column_runs, monkeypatch):
    """The row engine reports the line as unreadable; the other lines are read in columns."""
    for module in (json_lines, json_rows, json_reader):
        monkeypatch.setattr(module, "OBJECT_CHARS_MAX", 2048)
    monkeypatch.setattr(json_reader, "_CHUNK_CHARS", 256)
    long = json.dumps(snap("vp") | {"note": "x" * 5000})

    row_by_row, in_columns = both(written(tmp_path, "\n".join([json.dumps(snap("v")), long, json.dumps(snap("vp"))])))

    assert (1, 2) == (in_columns.unreadable_count, in_columns.snapshots)
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize(
    "log",
    [
        json.dumps(snap("vp"), indent=1),
        "[\n" + json.dumps(snap("v")) + ",\n" + json.dumps(snap("vp")) + "\n]\n",
        "Batch(id='batch_1',\n object='batch', status='completed', created_at=17)\n",
        '{"a":\n1}\n',
        "[" + json.dumps(snap("v")) + "]\n" + json.dumps(snap("vp")) + "\n",
    ],
    ids=["indented", "array", "text form", "two lines", "an array on one line"],
)
def test_an_object_that_continues_on_the_next_line(log, tmp_path, column_runs):
    """The row engine reads a file in which a line is not a whole object."""
    row_by_row, report = both(written(tmp_path, log))

    assert [] == column_runs or log.startswith("[{")
    assert everything(row_by_row) == everything(report)


# ---------------------------------------------------------------- compression


def test_gzip(tmp_path, column_runs):
    """A compressed log is decompressed to disk; the row engine reads a truncated one."""
    log = "\n".join(json.dumps(snap(path)) for path in ["v", "vp", "vpzc", "vpzcp"]).encode()
    whole, broken = tmp_path / "log.jsonl.gz", tmp_path / "broken.jsonl.gz"
    whole.write_bytes(gzip.compress(log))
    broken.write_bytes(gzip.compress(log)[:-20])

    row_by_row, in_columns = both(str(whole))
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(column_runs)

    row_by_row, report = both(str(broken))
    assert everything(row_by_row) == everything(report)
    assert 1 == len(column_runs)


@pytest.mark.parametrize("file", [FullFile, no_file])
def test_no_room_to_decompress(file, tmp_path, monkeypatch):
    """If the disk is full, at the first byte or later, one error names the file."""
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n"))
    monkeypatch.setattr(json_lines, "TemporaryFile", file)

    with pytest.raises(SourceError, match=r"log\.jsonl\.gz: No space left on device$"):
        JsonLinesSource(str(path), OPENAI)


# ---------------------------------------------------------------- files that change


def source_of(tmp_path, text):
    """Return a source that reads a file of this text."""
    return JsonLinesSource(written(tmp_path, text), OPENAI)


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    """A file that has become shorter is an error."""
    source = source_of(tmp_path, json.dumps(snap("v")) + "\n")
    written(tmp_path, "")

    with pytest.raises(SourceError, match=r"log\.jsonl: shrank while it was read"):
        list(source.batches())

    source.close()


def test_a_file_that_changes_while_it_is_read(tmp_path):
    """If a line is gone when it is read again, the error names the file."""
    source = source_of(tmp_path, json.dumps(snap("v")) + "\n" + "x\n")
    list(source.batches())
    written(tmp_path, "")

    with pytest.raises(SourceError, match=r"log\.jsonl: changed while it was read"):
        list(source.reread([1]))

    source.close()


class BurnedFile:
    """A file whose disk is broken."""

    def seek(self, offset):
        """Raise OSError."""
        raise OSError(5, "it burned")


def test_a_file_that_cannot_be_read(tmp_path):
    """The error has the name of the file and the message of the system."""
    source = source_of(tmp_path, "x\n")
    source.close()
    source._binary = BurnedFile()

    with pytest.raises(SourceError, match=r"log\.jsonl: it burned"):
        list(source.batches())
    with pytest.raises(SourceError, match=r"gone\.jsonl: No such file"):
        JsonLinesSource(str(tmp_path / "gone.jsonl"), OPENAI)


# ---------------------------------------------------------------- rows and their lines


def test_rows_that_are_read_again_are_those_of_their_numbers(tmp_path, monkeypatch):
    """Blank lines are no rows; places count lines from 1; the rows of a page have the same line."""
    monkeypatch.setattr(json_lines, "_SPLIT_BYTES", 700)
    batches = [*seen("vpzc"), *seen("vf")]
    page = json.dumps({"object": "list", "data": batches[:2]})
    log = "\n".join([*map(json.dumps, batches), "", " \t\r", "x", page, "", ""])
    source = source_of(tmp_path, log)
    found = list(source.batches())

    assert len(found) > 2
    assert [6, 7] == [number for batch in found for number in batch.undecoded]
    assert [sum(batch.count for batch in found[:index]) for index in range(len(found))] == [
        batch.first for batch in found
    ]
    rows = list(source.reread([0, 2, 6, 7], base=100))
    assert [100, 102, 107, 107] == [int(row.number) for row in rows if not isinstance(row, UnreadableEntry)]
    assert rows[3].number < rows[4].number
    assert [1, 3, 9, 10, 10] == [row.place.line for row in rows]
    assert [batches[0]["status"], batches[2]["status"], "validating", "in_progress"] == [
        row.snapshot.status for row in rows if not isinstance(row, UnreadableEntry)
    ]
    source.close()


def test_an_empty_file(tmp_path, column_runs):
    """An empty file has no rows, and the verdict is `undetermined`."""
    row_by_row, in_columns = both(written(tmp_path, ""))

    assert ("undetermined", 0, 1) == (in_columns.verdict, in_columns.snapshots, len(column_runs))
    assert everything(row_by_row) == everything(in_columns)
