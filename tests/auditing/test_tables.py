"""Logs that are tables: Parquet and dataframes, against the same rows as JSON lines, row by row and in columns."""

import gzip
import json
import os
import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchfsm import MissingExtraError, SourceError, audit
from batchfsm.auditing import api
from batchfsm.auditing.tables import tables
from batchfsm.auditing.tables.inputs import unavailable_rules
from batchfsm.cli import app
from batchfsm.errors import DefinitionError
from support.columns import enable_columns
from support.dialects import DIALECTS
from support.late_rows import EXPECTED, LOG
from support.medley import COUNTS, flat, medley

pytest.importorskip("pyarrow", reason="the extra `audit` is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from support.arrow_tables import ODD, SHAPES, flat_table, healthy, line, nested_counts, parsed, recast

LARGE = 0
SMALL = sys.maxsize
"""Thresholds for columns under which every log is large, or small."""


def files(tmp_path, rows, whole=None):
    """Write rows as JSON lines and as Parquet; return both paths."""
    lines, parquet = tmp_path / "log.jsonl", tmp_path / "log.parquet"
    lines.write_text("".join(map(line, rows)))
    pq.write_table(whole or flat_table(rows), parquet, row_group_size=20)
    return str(lines), str(parquet)


def set_threshold(patch, size):
    """Read every log in columns, or none."""
    if size == LARGE:
        enable_columns(patch)
    else:
        patch.setattr(api, "COLUMNS_BYTES_MIN", size)


def judged(source, size, **options):
    """Return the report of an audit with a threshold for columns, without the log's path, and the unchecked rules."""
    with pytest.MonkeyPatch.context() as patch:
        set_threshold(patch, size)
        report = audit(source, **options)
    text = report.to_json()
    for name in ("log.jsonl", "log.parquet", "dataframe"):
        text = text.replace(os.path.join(os.path.dirname(str(source)) if isinstance(source, str) else "", name), "LOG")  # noqa: PTH118, PTH120
    return text, report.not_looked


# ---------------------------------------------------------------- the same as JSON lines


@pytest.mark.parametrize("server", DIALECTS)
def test_a_table_is_judged_as_its_rows_are(server, tmp_path):
    """A table gives the report of its rows as JSON lines, row by row and in columns."""
    rows = medley(random.Random(server), server, 10, 20)  # noqa: S311
    lines, parquet = files(tmp_path, rows)
    expected = judged(lines, SMALL, dialect=server)

    assert expected == judged(parquet, SMALL, dialect=server)
    assert expected == judged(parquet, LARGE, dialect=server)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("form", ["log.jsonl", "log.parquet"])
def test_rows_after_a_limit(form, size, tmp_path, monkeypatch):
    """A stale row is neither overdue nor stuck, and a file may be null from 30 days after the end on."""
    files(tmp_path, [flat(wire, place, seen_at) for place, (seen_at, wire) in enumerate(LOG)])
    set_threshold(monkeypatch, size)
    codes = [set() for _ in LOG]
    for found in audit(str(tmp_path / form)).findings:
        codes[found.where[-1].line - 1].add(found.rule)

    assert EXPECTED == codes


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape, tmp_path):
    """Tables of other column names, orders, types and nesting give the report of their rows as JSON lines."""
    rows = healthy()
    lines, parquet = files(tmp_path, rows, SHAPES[shape](rows))
    expected = judged(lines, SMALL)

    assert '"P101"' in expected[0]
    assert expected == judged(parquet, SMALL)
    assert expected == judged(parquet, LARGE)
    assert expected == judged(SHAPES[shape](rows), LARGE)


def is_large(path):
    """Return whether a log is read in columns, without checking it."""
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        enable_columns(patch, bytes_min=api.COLUMNS_BYTES_MIN)
        patch.setattr(api, "_run_columns", lambda *_: taken.append(True))
        patch.setattr(api, "audit_rows", lambda log, dialect, blank, *_, **__: (blank, None))
        audit(str(path))
    return bool(taken)


@pytest.mark.parametrize("suffix, size", [("jsonl", 2**18), ("jsonl.gz", 2**15), ("jsonl.zst", 2**15)])
def test_which_files_are_large(suffix, size, tmp_path):
    """A file is large from 256 KiB, and from 32 KiB if it is compressed."""
    path = tmp_path / f"log.{suffix}"
    path.touch()
    os.truncate(path, size - 1)
    assert not is_large(path)

    os.truncate(path, size)
    assert is_large(path)


@pytest.mark.parametrize("rows", [2**9 - 1, 2**9])
def test_which_tables_are_large(rows, tmp_path):
    """A table is large from 512 rows, because it has many more snapshots a byte than JSON."""
    path, few = tmp_path / "log.parquet", flat_table(healthy())
    pq.write_table(pa.concat_tables([few] * (rows // len(few) + 1))[:rows], path)

    assert (rows == 2**9) == is_large(path)


def test_a_healthy_table_in_columns(tmp_path, monkeypatch, column_runs):
    """The row engine reads no row of a healthy table."""
    read = []
    monkeypatch.setattr(tables.TableRows, "reread", lambda *_: read.append(True) or iter(()))
    rows = [row for row in healthy() if row["id"] == "b0"]
    _, parquet = files(tmp_path, rows)

    assert ("consistent", 1, []) == (audit(parquet).verdict, len(column_runs), read)


FRAMES = {
    "polars": lambda path: pytest.importorskip("polars").read_parquet(path),
    "pandas": lambda path: pytest.importorskip("pandas").read_parquet(path),
    "duckdb": lambda path: pytest.importorskip("duckdb").connect().read_parquet(path),
    "arrow": pq.read_table,
    "reader": lambda path: pq.read_table(path).to_reader(),
    "batch": lambda path: pq.read_table(path).combine_chunks().to_batches()[0],
    "small batches": lambda path: pa.Table.from_batches(pq.read_table(path).to_batches(max_chunksize=2)),
}


@pytest.mark.parametrize("library", FRAMES)
def test_dataframes(library, tmp_path):
    """Dataframes of each library give the report of their rows as JSON lines; places count rows from 1."""
    lines, parquet = files(tmp_path, healthy())
    expected = judged(lines, SMALL)

    assert expected == judged(FRAMES[library](parquet), SMALL)
    assert expected == judged(FRAMES[library](parquet), LARGE)


def test_a_state_goes_on_over_tables(tmp_path):
    """A file that the state has is skipped with a remark; a dataframe has no name and is always read."""
    rows, state = healthy(), tmp_path / "state.db"
    lines, parquet = files(tmp_path, rows)
    Path(lines).write_text("".join(map(line, rows[:3])))
    pq.write_table(flat_table(rows[3:]), parquet)
    whole = audit([lines, parquet])
    first, second = audit(lines, state=state), audit([lines, parquet], state=state)
    frame = audit(pq.read_table(parquet), state=tmp_path / "other.db")

    assert (3, len(rows) - 3, len(rows) - 3) == (first.snapshots, second.snapshots, frame.snapshots)
    assert (f"skipped {lines}: already in the state file",) == second.remarks
    assert whole.counts == {
        code: first.counts.get(code, 0) + second.counts.get(code, 0) for code in {**first.counts, **second.counts}
    }


def test_a_file_that_cannot_be_looked_into_is_no_table(tmp_path, monkeypatch):
    """A file that cannot be opened is an error with the system's message."""

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    lines, _ = files(tmp_path, healthy())
    monkeypatch.setattr(Path, "open", denied)

    with pytest.raises(SourceError, match=r"log\.jsonl: Permission denied$"):
        audit(lines)


def test_files_of_both_kinds_are_one_log(tmp_path, monkeypatch):
    """JSON lines and Parquet are one log in the given order; findings name the file of their row."""
    rows = healthy()
    lines, parquet = files(tmp_path, rows)
    Path(lines).write_text("".join(map(line, rows[:3])))
    pq.write_table(flat_table(rows[3:]), parquet)
    found = []
    for size in (SMALL, LARGE):
        set_threshold(monkeypatch, size)
        found.append(audit([lines, parquet]).to_dict())

    assert found[0] == found[1]
    assert {parquet} == {finding["where"][-1]["source"] for finding in found[0]["findings"]}
    assert len(rows) == found[0]["snapshots"]


# ---------------------------------------------------------------- values that columns cannot represent


@pytest.mark.parametrize("server", ["openai", "azure"])
@pytest.mark.parametrize("oddity", ODD)
def test_both_readings_say_the_same_of_oddities(oddity, server, tmp_path):
    """Both engines give the same report of a column of odd values."""
    column, kind, values = ODD[oddity]
    rows = [row for row in healthy() for _ in values]
    array = pa.array([values[place % len(values)] for place in range(len(rows))], kind)
    changes = {f"request_counts_{name}": None for name in COUNTS} if column == "request_counts" else {}
    whole = flat_table(rows, **changes)
    if column in whole.column_names:
        whole = whole.drop_columns(column)
    path = tmp_path / "log.parquet"
    pq.write_table(whole.append_column(column, array), path)

    assert judged(str(path), SMALL, dialect=server) == judged(str(path), LARGE, dialect=server)


@pytest.mark.parametrize(
    "text", [None, "", "null", "12", "[1]", "{", '{"a": "\n"}', '{"object": "list", "data": [%s, {}]}', "%s %s"]
)
def test_both_readings_say_the_same_of_json_text(text, tmp_path):
    """Both engines give the same report of a column of JSON text, with pages and other text in it."""
    rows = healthy()
    good = json.dumps(json.loads(line(rows[0])))
    table = pa.table({"text": [text and text.replace("%s", good), good, *map(line, rows)]})
    path = tmp_path / "log.parquet"
    pq.write_table(table, path)

    assert judged(str(path), SMALL) == judged(str(path), LARGE)


def test_metadata_that_are_null_in_a_struct_are_absent(tmp_path):
    """Null keys of a struct count as absent, because a struct has the keys of all rows."""
    rows = [row for row in healthy() if row["id"] == "b0"]
    table = parsed("metadata", pa.struct({"team": pa.string(), "other": pa.string()}))(rows)

    assert "consistent" == audit(table).verdict


def test_both_readings_say_the_same_without_most_columns():
    """Both engines give the same report of a table of three columns."""
    table = flat_table(healthy()).select(["created_at", "id", "status"])

    assert judged(table, SMALL) == judged(table, LARGE)


def test_numbers_by_dictionary():
    """A dictionary-encoded column of numbers gives the report of a plain one."""
    whole = flat_table(healthy())
    place = whole.schema.get_field_index("created_at")
    table = whole.set_column(place, "created_at", whole["created_at"].dictionary_encode())

    assert judged(whole, SMALL) == judged(table, SMALL)
    assert judged(whole, SMALL) == judged(table, LARGE)


def test_a_frame_in_many_batches(monkeypatch):
    """A dataframe in many record batches gives the report of a single one."""
    expected = judged(flat_table(healthy()), SMALL)
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)

    assert expected == judged(flat_table(healthy()), LARGE)


# ---------------------------------------------------------------- missing columns


def test_rules_without_their_column_are_named():
    """Rules without their column are named, and the verdict is `undetermined` unless they are ignored."""
    rows = [row for row in healthy() if row["id"] == "b0"]
    table = flat_table(rows, metadata=None, expires_at=None, output_file_id=None)
    report = audit(table)

    assert "undetermined" == report.verdict
    assert ("S006", "P104", "T202", "T203", "T204", "T207", "F402") == report.not_looked
    assert {} == report.counts
    assert "consistent" == audit(table, ignore="S006,P104,T202,T203,T204,T207,F402").verdict
    assert ("F402",) == audit(table, select="F402,P101").not_looked


def test_a_stamp_without_a_column_says_nothing():
    """A stamp without a column counts as unknown, not as null, and violates no rule."""
    rows = [row for row in healthy() if row["id"] == "b0"]
    for row in rows:
        row["in_progress_at"] = None if row["status"] == "in_progress" else row["in_progress_at"]

    assert {"P101": 1} == audit(flat_table(rows)).counts
    assert {} == audit(flat_table(rows, in_progress_at=None)).counts
    assert "consistent" == audit(flat_table(rows, in_progress_at=None)).verdict


def test_without_most_columns():
    """These rules cannot be checked in a table of id, status and created_at."""
    assert {
        "S003", "S006", "P101", "P102", "P103", "P104", "T201", "T202", "T203", "T204", "T207", "C301", "C302", "C303", "C304", "C305",
        "F401", "F402", "F403", "F404", "F405", "H504", "H505", "H506", "H508",
    } == {*unavailable_rules(frozenset({"id", "status", "created_at"}))}  # fmt: skip


def test_two_of_three_numbers_are_no_counts():
    """Without one of the three counts, rules about counts cannot be checked."""
    table = flat_table(healthy(), request_counts_failed=None)

    assert {"C301", "C302", "C303", "C304", "F402", "F405", "H505"} == {*audit(table).not_looked}


# ---------------------------------------------------------------- bad input


def refused(source, **options):
    """Return the message of the error that stops an audit, which must be one line."""
    with pytest.raises(SourceError) as caught:
        audit(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


TIME = "it should be whole Unix seconds or a timestamp"
WRONG = {
    "created_at": (pa.bool_(), True, f"dataframe: the column created_at is bool; {TIME}"),
    "failed_at": (pa.list_(pa.int64()), [1], f"dataframe: the column failed_at is list<item: int64>; {TIME}"),
    "expires_at": (pa.date32(), 5, f"dataframe: the column expires_at is date32[day]; {TIME}"),
    "id": (pa.int64(), 5, "dataframe: the column id is int64; it should be text"),
    "request_counts_total": (pa.string(), "5", "dataframe: the column request_counts_total is string; it should be a whole number"),
    "errors": (pa.int64(), 5, "dataframe: the column errors is int64; it should be a list, a struct or JSON text"),
    "metadata": (pa.bool_(), True, "dataframe: the column metadata is bool; it should be a struct, a map or JSON text"),
    "observed_at": (pa.time32("s"), 5, "dataframe: the column observed_at is time32[s]; it should be Unix seconds, a timestamp or RFC 3339 text"),
}  # fmt: skip


@pytest.mark.parametrize("column", WRONG)
def test_a_column_of_another_type_is_refused(column):
    """A column of an unsuitable type is refused, whatever its values are."""
    kind, value, expected = WRONG[column]
    table = flat_table(healthy(), **{column: None})

    assert expected == refused(table.append_column(column, pa.array([value] * table.num_rows, kind)))


def test_numbers_in_a_struct_are_numbers():
    """The error about a number in a struct names its path."""
    table = nested_counts(healthy()).drop_columns("request_counts")
    counts = pa.array([{"total": "5"}] * table.num_rows)

    assert "dataframe: the column request_counts.total is string; it should be a whole number" == refused(
        table.append_column("request_counts", counts)
    )


def test_a_column_that_stands_twice_is_refused():
    """Two columns for one field are refused; unused columns may have the same name."""
    table = flat_table(healthy())
    twice = table.append_column("status", table["status"])
    spelled = table.append_column("createdAt", table["created_at"])
    both = table.append_column("request_counts", pa.array([{"total": 5}] * table.num_rows))
    others = table.append_column("note", table["id"]).append_column("note", table["id"])

    assert "dataframe: two columns hold status: status, status" == refused(twice)
    assert "dataframe: two columns hold created_at: created_at, createdAt" == refused(spelled)
    assert "dataframe: two columns hold request_counts.total: request_counts, request_counts_total" == refused(both)
    assert audit(others).snapshots == table.num_rows


def test_a_clock_that_stands_twice_is_refused():
    """Two columns `observed_at` are refused."""
    table = flat_table(healthy())

    assert "dataframe: the column observed_at stands twice" == refused(
        table.append_column("observed_at", table["observed_at"])
    )


def test_a_table_without_batches_is_refused():
    """A table without the required columns is refused, and the message lists its columns."""
    assert "dataframe: no column for status, created_at; there are id, n" == refused(pa.table({"id": ["a"], "n": [1]}))
    assert "dataframe: no column for id, status, created_at; there are none" == refused(pa.table({}))


def test_a_series_is_no_table():
    """An array without columns is refused."""
    assert refused(pa.chunked_array([[1, 2]])).startswith("dataframe: ")


def test_text_that_is_not_utf_8_is_refused():
    """A column of text or bytes that are not UTF-8 is refused."""
    array = pa.array([b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    table = flat_table(healthy()[:1], id=None).append_column("id", array)
    named = flat_table(healthy()[:1], id=None).append_column("id", pa.array([b"caf\xe9"]))

    assert refused(table).startswith("dataframe: the column id cannot be read: ")
    assert refused(named).startswith("dataframe: the column id cannot be read: ")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_damaged_page_stops_the_audit(size, tmp_path, monkeypatch):
    """A damaged page is an error of one line, and there is no report of the rows before it."""
    set_threshold(monkeypatch, size)
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy() * 12), path, row_group_size=20, write_page_checksum=True, compression="NONE")
    damaged = bytearray(path.read_bytes())
    at = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    damaged[at + 60] ^= 0xFF
    path.write_bytes(damaged)

    assert refused(str(path)).startswith(f"{path}: ")


def test_what_is_no_parquet_is_refused(tmp_path):
    """A `.parquet` file of other content is refused, and so is a missing file."""
    path, absent = tmp_path / "log.parquet", tmp_path / "absent.parquet"
    path.write_text("{}\n")

    assert refused(str(path)).startswith(f"{path}: ")
    assert f"{absent}: No such file or directory" == refused(str(absent))
    assert f"{tmp_path}/none: No such file or directory" == refused(f"{tmp_path}/none", input_format="parquet")


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    """A file that is modified during an audit stops it."""
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy()), path)
    real = tables.Parquet._read_groups

    def read(self, groups):
        os.utime(path, (1, 1))
        return real(self, groups)

    monkeypatch.setattr(tables.Parquet, "_read_groups", read)

    assert f"{path}: changed while it was read" == refused(str(path))


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_that_shrinks_while_it_is_read(size, tmp_path, monkeypatch):
    """A file that is truncated during an audit stops it with one line."""
    set_threshold(monkeypatch, size)
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy() * 60), path, row_group_size=50)
    real = tables.Parquet._read_groups

    def read(self, groups):
        path.write_bytes(path.read_bytes()[:2000])
        return real(self, groups)

    monkeypatch.setattr(tables.Parquet, "_read_groups", read)

    assert refused(str(path)).startswith(f"{path}: ")


def test_no_room_to_spill(tmp_path, monkeypatch):
    """If the disk is full, sorting a table that is out of order stops with one line."""
    set_threshold(monkeypatch, LARGE)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("batchfsm.auditing.columns.partition.TemporaryFile", full)

    assert "no room to sort the log: [Errno 28] No space left on device" == refused(flat_table(healthy()[::-1]))


def test_a_table_out_of_order_is_sorted(tmp_path):
    """A table out of order is sorted by time and has no H507."""
    rows = healthy()[::-1]

    assert judged(flat_table(rows), SMALL) == judged(flat_table(rows), LARGE)
    assert judged(flat_table(rows), LARGE)[0].count('"H507"') == 0


def test_parquet_is_known_by_its_first_bytes(tmp_path):
    """Parquet is detected by its first bytes, unless the input format is `json`."""
    path = tmp_path / "log"
    pq.write_table(flat_table(healthy()), path)

    assert len(healthy()) == audit(str(path)).snapshots
    assert 0 == audit(str(path), input_format="json").snapshots


def test_parquet_from_a_pipe_is_refused_by_name(tmp_path, monkeypatch):
    """Its lines would be unreadable places, and no message would say why. The same for compressed Parquet."""
    path, compressed = tmp_path / "log.parquet", tmp_path / "log.gz"
    pq.write_table(flat_table(healthy()), path)
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    message = "Parquet from a pipe, or compressed: name an uncompressed file$"

    with path.open() as piped, pytest.raises(SourceError, match=f"^-: {message}"):
        monkeypatch.setattr("sys.stdin", piped)
        audit("-")
    with pytest.raises(SourceError, match=message):
        audit(compressed)


def test_many_small_groups(tmp_path):
    """Small row groups are joined into record batches, and the report is the same."""
    path = tmp_path / "log.parquet"
    rows = healthy() * 20
    pq.write_table(flat_table(rows), path, row_group_size=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BATCH_ROWS", 10)
        found = judged(str(path), LARGE)

    assert judged(str(path), SMALL) == found


def test_one_group_of_rows(tmp_path):
    """`group_batches` yields the rows of one row group."""
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy()), path, row_group_size=2)
    file = tables.Parquet(str(path))

    assert [2, 3] == [row for batch in file.group_batches(1) for row in rows_like(batch, healthy())]
    file.close()


def rows_like(batch, rows):
    """Return the indices of the rows that a record batch holds."""
    times = [row["observed_at"] for row in rows]
    return [times.index(at) for at in batch.column("observed_at").to_pylist()]


def test_a_column_name_that_is_not_utf_8(tmp_path):
    """A damaged column name is an error of one line."""
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy()), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"finalizing_at", b"finalizing\xff\xff\xff"))

    assert f"{path}: damaged: the name of a column is not UTF-8" == refused(str(path))


def test_no_rows_of_an_empty_table():
    """An empty table has no rows to read again."""
    assert [] == [*tables.Frame(flat_table([])).reread([])]


def test_an_empty_table():
    """An empty table is `undetermined`, row by row and in columns."""
    empty = flat_table([])

    assert judged(empty, SMALL) == judged(empty, LARGE)
    assert "undetermined" == audit(empty).verdict


def test_without_arrow(monkeypatch, tmp_path):
    """Without pyarrow, the message names the extra to install."""
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy()), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(
        MissingExtraError,
        match=r"^an audit of Parquet or of a dataframe needs more packages: pip install 'batchfsm\[audit\]' \(in a clone: pip install '\.\[audit\]'\)$",
    ):
        audit(str(path))


def test_a_table_of_which_few_rows_can_be_decoded(monkeypatch, column_runs):
    """The row engine reads a table whose times are text, because few rows can be decoded."""
    monkeypatch.setattr("batchfsm.auditing.columns.engine._UNDECODED_MAX", 3)
    table = recast(created_at=pa.string())(healthy() * 3)

    assert judged(table, SMALL) == judged(table, LARGE)
    assert [] == column_runs


# ---------------------------------------------------------------- the command


def test_the_command(tmp_path):
    """The command exits with 1 for an error and 2 for a bad table; `timeline` refuses Parquet."""
    good, bad = tmp_path / "good.parquet", tmp_path / "bad"
    pq.write_table(flat_table(healthy()), good)
    pq.write_table(pa.table({"n": [1]}), bad)
    found = CliRunner().invoke(app, ["audit", str(good)])
    broken = CliRunner().invoke(app, ["audit", str(bad), "--input-format", "parquet"])
    piped = CliRunner().invoke(app, ["audit", "-", "--input-format", "parquet"])
    drawn = CliRunner().invoke(app, ["timeline", str(good)])

    assert 1 == found.exit_code
    assert f" (seen at {good}:6)\n" in found.stdout
    assert (2, f"batchfsm: {bad}: no column for id, status, created_at; there are n\n") == (
        broken.exit_code,
        broken.stderr,
    )
    assert (2, "batchfsm: -: Parquet is read by an audit only, and from files\n") == (piped.exit_code, piped.stderr)
    assert (2, f"batchfsm: {good}: Parquet is read by an audit only, and from files\n") == (
        drawn.exit_code,
        drawn.stderr,
    )


def test_spark_knows_parquet_by_its_name(tmp_path):
    """Spark refuses the input format `parquet` for names that do not end in `.parquet`."""
    path = tmp_path / "log.pq"
    pq.write_table(flat_table(healthy()), path)

    with pytest.raises(
        DefinitionError, match=r"^invalid audit in Spark: it knows Parquet by names that end in \.parquet$"
    ):
        audit(str(path), engine="spark", input_format="parquet")
