"""Unreadable places: their number, which is the same in every engine, and their effect on the verdict."""

import gzip
import json
import random
import tarfile
import zipfile
from fractions import Fraction
from io import BytesIO

import pytest

from batchfsm import SourceError, audit
from batchfsm.auditing import parse_unreadable_max
from batchfsm.dialects import get_dialect
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord, UnreadableEntry, parse_records
from batchfsm.wire import reader
from support.both_readings import both, everything, written
from support.columns import enable_columns
from support.notation import CREATED, seen, snap

GOOD = [json.dumps(row) for row in seen("vpzc")]
PAGE = json.dumps({"object": "list", "data": [snap("v", id="batch_2"), snap("v", id="batch_3")]})
JUNK = [
    "5", '"text"', "null", "{}", "{", "[", "}", "]", "[1,2,3]", "[[1],[2,3],[]]", "[{},{},{}]", '[{},5,"x",{}]', '{"data":[1,2,{}]}', '{"a":1} {"b":2}', "[1] [2] [3]",
    '{"data":{"data":[[1],2]}}', '{"id":"x",', "<html>", "Batch(id='x',", "[2026-11-30 12:00] INFO poll", "\x00\x01", "nan", "[" * 5_000, '{"a":' * 5_000,
    '{"id":1,"id":2}', '{"error":{"message":"no"}}', "9" * 5_000, '"\\ud800"', '{"batch":null,"observed_at":5}', '{"object":"list","data":[5,5]}',
]  # fmt: skip
"""Lines of which nothing can be read."""
HALF = f"[{GOOD[0]},5,{{}},5]"
"""A line of which one batch can be read."""


def unread(report):
    """Return the verdict, the counts of snapshots and places, and the unreadable lines of a report."""
    return (
        report.verdict, report.snapshots, report.places, report.unreadable_count, report.is_cut_off,
        [each.place.line for each in report.unreadable],
    )  # fmt: skip


# ---------------------------------------------------------------- the verdict


@pytest.mark.parametrize(
    "limit, verdict",
    [(0, "undetermined"), (1, "undetermined"), (2, "consistent"), (" 2 ", "consistent"), ("33%", "undetermined"),
     ("33.4 %", "consistent"), ("100%", "consistent")],
)  # fmt: skip
def test_limits(limit, verdict):
    """With two unreadable places of six, the verdict is undetermined if fewer are allowed."""
    report = audit([*seen("vpzc"), 5, {}], unreadable_max=limit)

    assert (verdict, 2, 6) == (report.verdict, report.unreadable_count, report.places)
    assert "2 of 6 places could not be read, or not in full" == report.unread


def test_an_error_stays_an_error():
    """Unreadable places do not hide an inconsistency."""
    assert "inconsistent" == audit([*seen("vpzcp"), 5]).verdict


def test_a_log_that_was_read_whole():
    """A log without unreadable places has an empty message about them."""
    assert ("consistent", "", 4) == ((report := audit(seen("vpzc"))).verdict, report.unread, report.places)


def test_one_place():
    """The message about one place is in the singular."""
    assert "1 of 1 place could not be read, or not in full" == audit([5]).unread


@pytest.mark.parametrize("limit", [-1, "-5", "", "%", "x", "1.5", 0.5, "101%", True, None, "1e2%", "1..2%", "\u0662"])
def test_limits_that_are_none(limit):
    """A limit that is no number of places, and no share of at most 100 %, is refused."""
    with pytest.raises(ValueError, match=r"unreadable_max is a number of places, or a share such as 1%; not "):
        audit([], unreadable_max=limit)


def test_a_share_is_exact():
    """A share is parsed to an exact fraction."""
    assert (7, Fraction(1, 1000)) == (parse_unreadable_max(" 7 "), parse_unreadable_max("0.1%"))


# ---------------------------------------------------------------- the same places in every engine


@pytest.mark.parametrize("seed", range(20))
def test_places_of_every_engine(seed, tmp_path, monkeypatch):
    """A line with junk is one place, read by rows, in columns, sorted or with a state."""
    enable_columns(monkeypatch)
    rnd = random.Random(seed)  # noqa: S311
    closed = [each for each in JUNK if each not in ("[", "[" * 5_000)]
    # A good line follows each line of junk: two of them might be the beginning and the end of one value.
    choices = [*GOOD, PAGE, HALF, *closed, "", " "]
    lines = [line for _ in range(rnd.randrange(1, 25)) for line in (rnd.choice(choices), rnd.choice(GOOD))]
    path = written(tmp_path, "\n".join(lines))
    bad = [number for number, line in enumerate(lines, 1) if line in {*JUNK, HALF}]
    row_by_row, in_columns = both(path)
    reports = [
        row_by_row,
        in_columns,
        audit(path, memory=1),
        audit(path, engine="rows"),
        audit(path, state=tmp_path / "s"),
    ]

    assert bad == [each.place.line for each in row_by_row.unreadable]
    assert (len(bad), sum(map(bool, map(str.strip, lines)))) == (row_by_row.unreadable_count, row_by_row.places)
    assert 1 == len({str(unread(report)) for report in reports})
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_a_line_is_one_place(junk, tmp_path):
    """A line of junk is one unreadable place, whatever it holds, and the line before it is checked."""
    report = audit(written(tmp_path, f"{GOOD[0]}\n{junk}\n"))

    assert (1, 2, 1) == (report.snapshots, report.places, report.unreadable_count)
    assert [2] == [each.place.line for each in report.unreadable]


@pytest.mark.parametrize("junk", [[5] * 9_999, [{}] * 9_999, [[5, {}]] * 999, {"data": [[], 5, {}, [{}]] * 999}])
def test_junk_of_one_object_is_named_once(junk):
    """An array of thousands of invalid values is one unreadable entry."""
    (entry,) = parse_records([RawRecord(LogPosition("log", 1), junk)], reader(get_dialect("openai")))

    assert isinstance(entry, UnreadableEntry)


def test_late_rows_of_one_line(tmp_path):
    """A line of several rows that are too late for a state is one unreadable place."""
    first = [{"observed_at": CREATED + 1000 + at, "batch": batch} for at, batch in enumerate(seen("vp"))]
    late = {"observed_at": CREATED + 5, "data": [snap("v"), snap("v")]}
    audit(written(tmp_path, "\n".join(map(json.dumps, first))), state=tmp_path / "state")
    report = audit(written(tmp_path, json.dumps(late)), state=tmp_path / "state")

    assert ("undetermined", 0, 1, 1) == (report.verdict, report.snapshots, report.places, report.unreadable_count)


# ---------------------------------------------------------------- logs that are cut off


def zstd(binary):
    """Return bytes compressed by zstd."""
    try:
        from compression import zstd as found  # noqa: PLC0415  # Since Python 3.14.
    except ImportError:
        found = pytest.importorskip("backports.zstd", reason="the extra `audit` is not installed")
    return found.compress(binary)


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
@pytest.mark.parametrize("bytes_min", [0, 2**60], ids=["columns", "rows"])
def test_a_compressed_log_that_breaks_off(compress, bytes_min, tmp_path, monkeypatch):
    """The verdict on a truncated compressed log is undetermined, whatever the limit."""
    enable_columns(monkeypatch, bytes_min=bytes_min)
    rows = [json.dumps(snap("v", id=f"batch_{number:x}")) for number in random.Random(1).sample(range(2**60), 500)]  # noqa: S311
    path = tmp_path / "log.gz"
    path.write_bytes(compress("\n".join(rows).encode())[:-200])
    report = audit(path, unreadable_max="100%")

    assert ("undetermined", True) == (report.verdict, report.is_cut_off)
    assert report.unread.endswith("; the log is cut off")


def test_an_array_without_end(tmp_path):
    """A log that ends inside an array is cut off, and the verdict is undetermined."""
    report = audit(written(tmp_path, f"[{GOOD[0]},{GOOD[1]}"), unreadable_max=9)

    assert ("undetermined", 2, True) == (report.verdict, report.snapshots, report.is_cut_off)


# ---------------------------------------------------------------- files of other formats


def zipped():
    """Return a zip archive of a log."""
    binary = BytesIO()
    with zipfile.ZipFile(binary, "w") as archive:
        archive.writestr("log.jsonl", GOOD[0])
    return binary.getvalue()


def tarred():
    """Return a tar archive of a log."""
    binary = BytesIO()
    with tarfile.open(fileobj=binary, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("log.jsonl"))
    return binary.getvalue()


FOREIGN = {
    "zip": (zipped(), "a zip archive: extract it, and audit the files in it"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "a zip archive: extract it, and audit the files in it"),
    "tar": (tarred(), "a tar archive: extract it, and audit the files in it"),
    "tar.gz": (gzip.compress(tarred()), "a tar archive: extract it, and audit the files in it"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(26), "a 7z archive: extract it, and audit the files in it"),
    "xz": (b"\xfd7zXZ\0" + bytes(26), "compressed by xz: decompress it first, or compress it by gzip or zstd"),
    "bz2": (b"BZh91AY&SY" + bytes(26), "compressed by bzip2: decompress it first, or compress it by gzip or zstd"),
    "utf-16": (GOOD[0].encode("utf-16"), "text in UTF-16: convert it to UTF-8 first"),
    "csv": (b"id,status,created_at\nb,failed,5\n", "a table in CSV: convert it to Parquet or JSON lines first; "),
    "quoted csv": (
        b'\xef\xbb\xbf"Status";"ID"\r\nfailed;b\r\n',
        "a table in CSV: convert it to Parquet or JSON lines first; ",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("bytes_min", [0, 2**60], ids=["columns", "rows"])
def test_files_of_other_formats(kind, bytes_min, tmp_path, monkeypatch):
    """The error names the file, its format and the remedy in one line, whichever engine opens the file."""
    enable_columns(monkeypatch, bytes_min=bytes_min)
    binary, problem = FOREIGN[kind]
    path = written(tmp_path, binary)
    with pytest.raises(SourceError) as caught:
        audit(path)

    assert str(caught.value).startswith(f"{path}: {problem}")
    assert "\n" not in str(caught.value)


def test_a_table_in_csv_by_its_name(tmp_path):
    """A table in a `.csv` file is refused, even with unknown columns; JSON lines in such a file are read."""
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    (tmp_path / "lines.csv").write_text(GOOD[0])
    with pytest.raises(SourceError, match=r"log\.csv: a table in CSV: "):
        audit(tmp_path / "log.csv")

    assert 1 == audit(tmp_path / "lines.csv").snapshots


@pytest.mark.parametrize("address", ["https://host/log.jsonl", "s3://bucket/*.jsonl", "gs:/bucket/log"])
def test_addresses(address):
    """An address is refused."""
    with pytest.raises(SourceError) as caught:
        audit(address)

    assert f"{address}: an address, and only files are read: download it first" == str(caught.value)


def test_folders(tmp_path):
    """A folder is refused with a glob for its files; `**` matches folders too, and only files are read."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "log.jsonl").write_text(GOOD[0])
    with pytest.raises(SourceError) as caught:
        audit(tmp_path)

    assert f"{tmp_path}: a folder: name the files in it, such as {tmp_path / '*.jsonl'}" == str(caught.value)
    assert 1 == audit(str(tmp_path / "**")).snapshots
    with pytest.raises(SourceError, match=r"in: a folder: "):
        audit(str(tmp_path / "*"))
