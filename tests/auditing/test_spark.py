"""Spark, on two cores of this machine: its reports are those of the auditor, and its query gives DuckDB's answer."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import quote, unquote

import attrs
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import MissingExtraError, SourceError, audit
from batchfsm.auditing import optional
from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.row_engine import audit_rows
from batchfsm.auditing.spark import driver, inputs
from batchfsm.auditing.spark.driver import _error_line, _listing_quota
from batchfsm.auditing.spark.inputs import ROW_GROUPS, ROWS, SPLITS, TEXTS
from batchfsm.auditing.spark.partition import check_partition, read_streams
from batchfsm.auditing.spark.shuffle import hash_id, shuffle
from batchfsm.auditing.spill import pickled, unpickled
from batchfsm.cli import app
from batchfsm.dialects import get_dialect
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord
from batchfsm.sql import Table, query
from bench.snapshot_log import to_parquet, write
from support.late_rows import LOG
from support.medley import filled, flat, medley, numbered
from support.notation import seen

with_spark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]  # Warnings of Spark itself, at start and end.


def marked(test):
    """Return a test with the marks of tests that need Spark."""
    for mark in with_spark:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """Return a Spark session on two cores of this machine."""
    pyspark = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install 'batchfsm[spark]'")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none")
    home = str(tmp_path_factory.mktemp("spark"))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = pyspark.SparkSession.builder.master("local[2]").appName("batchfsm tests")
    settings = {
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2", "spark.sql.files.maxPartitionBytes": "200000", "spark.sql.warehouse.dir": home, "spark.local.dir": home,
    }  # fmt: skip
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def warehouse():
    """Return a DuckDB connection for one test."""
    with duckdb.connect() as connection:
        yield connection


# ---------------------------------------------------------------- the query


@marked
@pytest.mark.parametrize("server", ["openai", "azure", "compatible"])
@pytest.mark.parametrize("is_counted", [False, True])
def test_spark_and_duckdb_answer_alike(server, is_counted, spark, warehouse, tmp_path):
    """The query gives the same snapshots and counts in Spark and DuckDB."""
    late = [flat(wire, 0, seen_at) for seen_at, wire in LOG]
    filled(warehouse, numbered([*late, *medley(Random(server), server, 200, 200)]))  # noqa: S311  # Dice.
    warehouse.execute(f"COPY log TO '{tmp_path}/log.parquet' (FORMAT parquet)")
    spark.read.parquet(f"{tmp_path}/log.parquet").createOrReplaceTempView("log")
    table = Table.of("log", "spark", is_nested=False, changes={"place": "place"})
    text = query(table, server=server, is_counted=is_counted)
    by_duckdb = query(attrs.evolve(table, sql_dialect="duckdb"), server=server, is_counted=is_counted)
    answer = [tuple(row) for row in spark.sql(text).collect()]

    assert len(answer) > (20 if is_counted else 300)
    assert warehouse.execute(by_duckdb).fetchall() == answer


# ---------------------------------------------------------------- the engine

ODD = [
    "not a batch", "", "  ", "\x0b", "12", "[1]", '{"error": {"message": "late"}}', "\ufeff{}", '{"id": "b1", "id": "b2"}',
    '{"id": 5, "status": "validating"}', '{"id": "", "status": "validating"}', '{"status": "validating", "created_at": 1}',
    json.dumps({"object": "list", "data": [row | {"id": f"page-{number}"} for number, row in enumerate(seen("vpzc"))]}),
    json.dumps({"id": "evt_1", "data": seen("v")[0] | {"id": "in-envelope"}, "timestamp": 1_760_000_100}),
    json.dumps(seen("vp")[1] | {"id": "escaped-\u00e9"}), json.dumps(seen("vpf")[2] | {"ID": "twice"}),
    json.dumps(seen("vp")[1] | {"id": "half of a pair: \ud83d"}),
    json.dumps([seen("v")[0] | {"id": "in-array"}, "nothing"]),
    *(json.dumps({"observed_at": seen_at, "batch": wire}) for seen_at, wire in LOG),
]  # fmt: skip
"""Lines that compiled code does not decode, some that are no batch at all, and batches seen after a limit."""


def same(report, other):
    """Return whether two reports are equal, except for the problems of unreadable entries."""
    told, expected = report.to_dict(), other.to_dict()
    for each in (*told["unreadable"], *expected["unreadable"]):
        del each["problem"]
    # The order of findings in one line is not defined: a page holds many batches.
    for each in (told, expected):
        each["findings"].sort(key=lambda found: (json.dumps(found["where"][-1:]), found["message"]))
        each["unreadable"].sort(key=json.dumps)
    return (told, report.places, report.is_cut_off) == (expected, other.places, other.is_cut_off)


def write_logs(folder, rows):
    """Write a shuffled log of so many rows, odd lines, and Parquet to a folder; return the folder and the log's counts."""
    truth = write(folder / "a log.jsonl", rows=rows, share=0.3, order="shuffled")
    (folder / "odd.jsonl").write_text("\n".join(ODD))
    (folder / "marked.jsonl").write_text("\ufeff" + "\n".join(map(json.dumps, seen("vpzcp"))))
    to_parquet(folder / "a log.jsonl", folder / "log.parquet")
    return folder, truth


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Return logs that Spark reads in several blocks."""
    return write_logs(tmp_path_factory.mktemp("logs"), 1_500)


@pytest.fixture(scope="module")
def short_logs(tmp_path_factory):
    """Return logs for the stand-in, whose splits are smaller: uncompiled columns are slow."""
    return write_logs(tmp_path_factory.mktemp("short logs"), 600)


@marked
def test_files_are_judged_as_without_spark(spark, logs):
    """Findings, counts, places and unreadable lines are the same for several files and blocks."""
    folder, truth = logs
    names = [str(folder / "odd.jsonl"), str(folder / "a log.jsonl")]

    assert same(audit(names, engine="spark", max_findings=10**6), audit(names, max_findings=10**6))
    assert truth == audit(names[1], engine="spark").counts


@marked
@pytest.mark.parametrize("form", ["elsewhere", "packed"])
def test_lines_that_spark_reads(form, spark, logs, tmp_path):
    """Files with a scheme and compressed files give the findings and places of local ones."""
    names = [str(logs[0] / name) for name in ("odd.jsonl", "a log.jsonl")]
    if form == "packed":
        (tmp_path / "a log.jsonl.gz").write_bytes(gzip.compress(Path(names[1]).read_bytes()))
        names[1] = str(tmp_path / "a log.jsonl.gz")
    given = [f"file://{name}" for name in names] if form == "elsewhere" else names
    report, expected = audit(given, engine="spark", max_findings=10**6), audit(names, max_findings=10**6)
    told = json.loads(json.dumps(report.to_dict()).replace("file://", ""))

    assert expected.counts == report.counts
    assert [found["where"] for found in expected.to_dict()["findings"]] == [
        found["where"] for found in told["findings"]
    ]


@marked
@pytest.mark.parametrize("listed", [7, 0])
def test_the_first_findings_are_listed(listed, spark, logs):
    """The first findings in the order of the log are listed, and the counts are exact."""
    name = str(logs[0] / "a log.jsonl")

    assert audit(name, max_findings=listed).to_dict() == audit(name, engine="spark", max_findings=listed).to_dict()


@marked
def test_rules_that_cannot_look_are_named(spark, logs):
    """Rules that could not be checked are named, as without Spark."""
    name = str(logs[0] / "odd.jsonl")

    assert audit(name, select="H505,T207").not_looked == audit(name, select="H505,T207", engine="spark").not_looked


@marked
@pytest.mark.parametrize("form", ["here", "elsewhere", "two", "two that differ"])
def test_parquet(form, spark, logs, tmp_path):
    """Parquet gives the same findings with a scheme, on this machine, in two files, and in two of different types."""
    name = str(logs[0] / "log.parquet")
    names, given = {"elsewhere": ([f"file://{quote(name)}"], [name])}.get(form, ([name], [name]))
    if form.startswith("two"):
        more = str(tmp_path / "more.parquet")
        text = "CAST(expires_at AS INTEGER)" if form.endswith("differ") else "expires_at"
        duckdb.read_parquet(name).project(f"* REPLACE ({text} AS expires_at)").limit(90).write_parquet(more)
        names = given = [more, name]
    report, expected = audit(names, engine="spark").to_dict(), audit(given).to_dict()
    for place in (place for found in report["findings"] for place in found["where"]):
        place["source"] = unquote(place["source"].removeprefix("file://"))

    assert len(expected["findings"]) > 100
    assert expected["findings"] == [
        found | {"message": told["message"]}
        for found, told in zip(report["findings"], expected["findings"], strict=True)
    ]
    assert expected["counts"] == report["counts"]


@marked
@pytest.mark.parametrize(
    "form", ["columns", "text", "nested", "timestamps", "wrapped", "wrapped and seen", "wrapped at a moment"]
)
def test_a_frame(form, spark, logs):
    """A dataframe of columns, lines, envelopes, or text beside a time gives the counts, without `engine`."""
    folder, truth = logs
    rows = spark.read.parquet(str(folder / "log.parquet"))
    if form == "text":
        rows = spark.read.text(str(folder / "a log.jsonl"))
    elif form == "nested":
        rows = rows.drop("metadata", "errors").selectExpr("observed_at", "struct(* except (observed_at)) AS snapshot")
        truth = {code: times for code, times in truth.items() if code not in ("S006", "F403", "F404")}
    elif form == "timestamps":
        rows = rows.selectExpr(
            "* except (observed_at, created_at)",
            "timestamp_seconds(observed_at) AS observed_at",
            "timestamp_seconds(created_at) AS created_at",
        )
    elif form.startswith("wrapped"):
        text = spark.read.text(str(folder / "a log.jsonl"))
        seen_at = "CAST(get_json_object(value, '$.observed_at') AS LONG)"
        inner = "get_json_object(value, '$.snapshot') AS batch"
        columns = {
            "wrapped": ["value AS batch", "1 AS more"],
            "wrapped and seen": [inner, f"{seen_at} AS observed_at"],
            "wrapped at a moment": [inner, f"timestamp_seconds({seen_at}) AS timestamp"],
        }
        rows = text.selectExpr(*columns[form])
    report = audit(rows)

    assert truth == report.counts
    assert "dataframe" == report.findings[0].where[0].source
    assert ("F404" in report.not_looked) == (form == "nested")


@marked
def test_a_batch_that_has_more_than_its_listing_quota(spark, tmp_path):
    """If a bucket has more findings than its quota, the first of the log are still listed."""
    rows = [row for number in range(60) for row in seen("vp", at=(0, number + 1), id="b0")]
    rows += [row for number in range(40) for row in seen("v", id=f"b{number}")]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = str(tmp_path / "log.jsonl")

    assert audit(name, max_findings=40).to_dict() == audit(name, engine="spark", max_findings=40).to_dict()
    assert audit(name).unreadable_count < len(audit(name).findings) > 100


def uncompiled(work):
    """Return a function that does the work of a worker without compiled code."""

    def run(found, settings):
        from batchfsm.auditing import optional  # noqa: PLC0415  # In the worker.

        real, optional.is_compiled = optional.is_compiled, lambda: False
        try:
            yield from work(found, settings)
        finally:
            optional.is_compiled = real

    run.__module__ = "__main__"  # So it is pickled by value: workers cannot import this module.
    return run


@marked
@pytest.mark.parametrize("form", ["a log.jsonl", "log.parquet"])
def test_workers_without_compiled_code(form, spark, logs, monkeypatch):
    """Workers without compiled code check rows one by one, and the report has a remark."""
    name = str(logs[0] / form)
    monkeypatch.setattr(driver, "check_partition", uncompiled(check_partition))
    monkeypatch.setattr(driver, "shuffle", uncompiled(shuffle))
    report = audit(name, engine="spark")

    assert (optional.NOT_COMPILED,) == report.remarks
    assert audit(name, engine="rows").to_dict() == attrs.evolve(report, remarks=()).to_dict()


@marked
def test_what_stops_spark_is_one_line(spark, tmp_path):
    """An error of Spark is one line, and the caller's session stays open."""
    with pytest.raises(SourceError, match=r"^spark: \[PATH_NOT_FOUND\] [^\n]*none.jsonl[^\n]*$"):
        audit(tmp_path / "none.jsonl", engine="spark")

    assert 1 == spark.range(1).count()


@marked
def test_the_command(spark, logs):
    """`--engine spark` writes the same report with the same exit status."""
    name = str(logs[0] / "a log.jsonl")
    plain, ours = (
        CliRunner().invoke(app, ["audit", name, "--format", "json", *more]) for more in ([], ["--engine", "spark"])
    )

    assert (1, plain.stdout) == (ours.exit_code, ours.stdout)


@marked
def test_a_session_of_its_own(logs):
    """Without a session the command starts one, whose workers run the same Python."""
    command = [sys.executable, "-m", "batchfsm", "audit", str(logs[0] / "odd.jsonl"), "--format", "json"]
    env = {name: value for name, value in os.environ.items() if name != "PYSPARK_PYTHON"}
    ran, here = (
        subprocess.run([*command, *more], env=env, capture_output=True, check=False)
        for more in (["--engine", "spark"], [])
    )

    assert (here.returncode, json.loads(here.stdout)["counts"]) == (ran.returncode, json.loads(ran.stdout)["counts"])


# ---------------------------------------------------------------- without Spark


@pytest.fixture(params=["columns", "rows"])
def engine(request, monkeypatch):
    """Return how workers read: in columns, compiled or not, or row by row as without compiled code."""
    if request.param == "columns":
        pytest.importorskip("cython", reason="neither compiled code nor Cython is installed")
    monkeypatch.setattr(optional, "is_compiled", lambda: request.param == "columns")
    return request.param


def shuffled(kind, found, dialect, files=()):
    """Return rows shuffled to three partitions, as workers shuffle them."""
    partitions = {}
    for each in shuffle(iter(found), pickled((kind, pickled(dialect), 7, files, 3))):
        for row in each.to_pylist():
            partitions.setdefault(row["partition"], []).append(row["rows"])
    return partitions


def accumulator_of(partitions, dialect, template, names, files=()):
    """Return the merged accumulator of partitions, checked as workers check them."""
    accumulator, results = attrs.evolve(template), []
    for rows in partitions.values():
        found = pa.RecordBatch.from_pydict({"rows": rows})
        settings = pickled((pickled(dialect), template, 60.0, 10**9, 7, names, files))
        (checked,) = check_partition(iter([found]), settings)
        results.append(unpickled(checked.to_pylist()[0]["result"]))
    assert {optional.is_compiled()}.issuperset(is_compiled for _, is_compiled in results)
    accumulator.merge([each for each, _ in results], lambda place: (names.index(place.source), place.line))
    return accumulator


def tables(path):
    """Return a table with some odd rows, and write it in groups of rows."""
    table = pq.read_table(path)
    columns = {name: table[name].to_pylist() for name in ("id", "created_at", "metadata")}
    columns["id"][3] = columns["id"][4] = None
    columns["created_at"][5], columns["metadata"][4] = -5, "{"
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    pq.write_table(table, path.with_name("odd.parquet"), row_group_size=160)
    return table


class CountingReader(NamedTuple):
    """A row as Spark would return it."""

    file_nr: int
    begin: int
    end: int
    lines: int


class Here:
    """A stand-in for a Spark session, on lists."""

    def createDataFrame(self, rows, schema):  # noqa: N802  # Spark's own name for it.
        """Store rows as record batches."""
        names = [field.split()[0] for field in schema.split(", ")]
        self.batches = [pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True))]) for row in rows]
        return self

    def mapInArrow(self, act, schema):  # noqa: N802  # As above.
        """Replace the record batches with those that a worker yields."""
        assert [field.split()[0] for field in schema.split(", ")] == [*CountingReader._fields]
        self.batches = [*act(iter(self.batches))]
        return self

    def collect(self):
        """Return the rows, in reverse, because Spark guarantees no order."""
        return [CountingReader(**row) for batch in reversed(self.batches) for row in batch.to_pylist()]


def split(names):
    """Return files, their splits as workers get them, and the number of lines."""
    files = inputs.find_files(names)
    found, count = inputs.find_splits(Here(), files)
    keys = ("file_nr", "begin", "end", "line")
    return files, [pa.RecordBatch.from_pylist([dict(zip(keys, each, strict=True))]) for each in found], count


@pytest.mark.parametrize("undecoded_max", [50_000, 0], ids=["mostly decoded", "mostly odd"])
@pytest.mark.parametrize("kind", [TEXTS, SPLITS], ids=["texts", "splits"])
def test_lines_are_shuffled_and_checked(kind, undecoded_max, engine, short_logs, monkeypatch):
    """All lines of a batch are in one partition, pages are split, and the report is as without Spark."""
    if engine == "columns":
        monkeypatch.setattr("batchfsm.auditing.columns.engine._UNDECODED_MAX", undecoded_max)
    monkeypatch.setattr(inputs, "SPLIT_BYTES", 8_000)
    folder, dialect = short_logs[0], get_dialect("openai")
    names = [str(folder / "odd.jsonl"), str(folder / "marked.jsonl")]
    names += [str(folder / "a log.jsonl")] if undecoded_max else []
    texts = [
        (number, line, text.encode())
        for number, name in enumerate(names)
        for line, text in enumerate(Path(name).read_text().split("\n"), 1)
    ]
    found = pa.table([*zip(*texts, strict=True)], ["file_nr", "line", "text"])
    found = found.cast(pa.schema({"file_nr": pa.int32(), "line": pa.int64(), "text": pa.binary()})).to_batches(200)
    files, parts, _ = split(names)
    assert len(parts) > (20 if undecoded_max else 1)
    if kind == SPLITS:
        found = parts
    partitions = shuffled(kind, found, dialect, files)
    accumulator = accumulator_of(
        partitions, dialect, FindingsAccumulator(select=None, ignore=(), listed_max=10**6), names, files
    )

    assert 3 == len(partitions)
    assert same(accumulator.report(), audit(names, max_findings=10**6))
    if engine == "columns":
        ids = [
            {row["values"][:16] for row in read_streams(rows).to_pylist() if row["decoded"]}
            for rows in partitions.values()
        ]
        assert sum(map(len, ids)) == len(set().union(*ids)) > (50 if undecoded_max else 0)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_some_workers_have_no_compiled_code(is_compiled, engine, short_logs, monkeypatch):
    """Workers with and without compiled code shuffle a batch to one partition, and any can check it."""
    names, dialect = [str(short_logs[0] / name) for name in ("odd.jsonl", "a log.jsonl")], get_dialect("openai")
    monkeypatch.setattr(inputs, "SPLIT_BYTES", 80_000)
    files, parts, _ = split(names)
    partitions = {}
    for number, part in enumerate(parts):
        monkeypatch.setattr(optional, "is_compiled", lambda number=number: engine == "columns" and number % 2)
        for partition, rows in shuffled(SPLITS, [part], dialect, files).items():
            partitions.setdefault(partition, []).extend(rows)
    monkeypatch.setattr(optional, "is_compiled", lambda: engine == "columns" and is_compiled)
    accumulator = accumulator_of(
        partitions, dialect, FindingsAccumulator(select=None, ignore=(), listed_max=10**6), names, files
    )

    assert len(parts) > 3
    assert same(accumulator.report(), audit(names, max_findings=10**6))


@given(st.text(st.characters()))
def test_the_hash_of_an_id_is_that_of_compiled_code(batch_id):
    """The hash is the first of compiled code's two, the column `id_low`."""
    columns = pytest.importorskip("batchfsm.auditing.columns", reason="neither compiled code nor Cython is installed")

    assert columns.id_hashes(batch_id, 7)[0] == hash_id(batch_id)


@pytest.mark.parametrize("lines", [["[]"], ["[]", seen("v")[0]], [" ", "[]"], [seen("v")[0]], [" "]])
def test_a_line_without_batches(lines, engine, tmp_path):
    """A line without batches has no row, and the lines beside it are checked."""
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    (files, parts, _), dialect = split([str(path)]), get_dialect("openai")
    partitions = shuffled(SPLITS, parts, dialect, files)
    accumulator = accumulator_of(
        partitions, dialect, FindingsAccumulator(select=None, ignore=(), listed_max=9), [str(path)], files
    )

    assert audit(path).to_dict() == accumulator.report().to_dict()
    assert len(partitions) == isinstance(lines[-1], dict)


bodies = st.lists(st.text("ab\n", max_size=30).map(str.encode), min_size=1, max_size=2)


@given(bodies, st.integers(1, 12), st.integers(1, 5))
def test_files_may_be_split_anywhere(bodies, split_bytes, read_bytes):
    """Each line is whole, in one split, and has its number."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(inputs, "SPLIT_BYTES", split_bytes)
        patch.setattr(inputs, "_READ_BYTES", read_bytes)
        names = [f"{folder}/{number}" for number in range(len(bodies))]
        for name, body in zip(names, bodies, strict=True):
            Path(name).write_bytes(body)
        files, parts, count = split(names)
        found = {}
        for each in (row for batch in parts for row in batch.to_pylist()):
            offset, lines = files[each["file_nr"]].read_lines(each["begin"], each["end"])
            for line, text in enumerate(lines.splitlines(keepends=True), each["line"]):
                assert (bodies[each["file_nr"]] + b"\n")[offset:].startswith(text)
                assert (each["file_nr"], line) not in found
                found[each["file_nr"], line] = text
                offset += len(text)

    lines = [body.splitlines() for body in bodies]
    assert found == {(nr, line): text + b"\n" for nr, each in enumerate(lines) for line, text in enumerate(each, 1)}
    assert count == len(found)


def test_a_line_that_is_too_long(engine, tmp_path, monkeypatch):
    """A line is cut off before it fills the memory, and reported; the next line is checked."""
    monkeypatch.setattr(inputs, "SPLIT_BYTES", 100)
    monkeypatch.setattr(inputs, "LINE_BYTES_MAX", 900)
    monkeypatch.setattr(inputs, "_READ_BYTES", 50)
    name, dialect = str(tmp_path / "log.jsonl"), get_dialect("openai")
    (tmp_path / "log.jsonl").write_text("\n".join(['{"id": "' + 3000 * "x" + '"}', json.dumps(seen("v")[0])]))
    files, parts, count = split([name])
    sizes = [len(files[0].read_lines(begin, begin + 100)[1]) for begin in range(0, 3000, 100)]
    partitions = shuffled(SPLITS, parts, dialect, files)
    accumulator = accumulator_of(
        partitions, dialect, FindingsAccumulator(select=None, ignore=(), listed_max=9), [name], files
    )

    assert 900 < sizes[0] < 1100
    assert {0} == {*sizes[1:]}
    assert 2 == count
    assert (1, 1) == (accumulator.report().snapshots, accumulator.report().unreadable_count)


def test_files_that_are_not_what_they_were(tmp_path, monkeypatch):
    """A file that changed, vanished or cannot be opened is a SourceError; folders are left to Spark."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"{}\n{}\n")
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    files = inputs.find_files([str(path)])

    assert inputs.find_files([str(path), str(tmp_path)]) is None
    assert inputs.find_files([str(tmp_path / "log.jsonl.gz")]) is None
    with path.open("ab") as more:
        more.write(b"{}\n")
    with pytest.raises(SourceError, match="changed while it was read"):
        files[0].open()
    path.unlink()
    with pytest.raises(SourceError, match="No such file"):
        files[0].open()
    monkeypatch.setattr(inputs, "is_compressed", _refuse)
    path.write_bytes(b"{}\n")
    with pytest.raises(SourceError, match="Permission denied"):
        inputs.find_files([str(path)])
    monkeypatch.setattr(inputs.FileSnapshot, "open", lambda _: path.open("rb"))
    for begin in (0, 2, 4):
        with pytest.raises(SourceError, match="changed while it was read"):
            files[0].read_lines(begin, 6)


def _refuse(_):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("undecoded_max", [50_000, 0], ids=["mostly decoded", "mostly odd"])
@pytest.mark.parametrize("kind", [ROWS, ROW_GROUPS], ids=["rows", "row groups"])
def test_tables_are_shuffled_and_checked(kind, undecoded_max, engine, short_logs, monkeypatch):
    """Rows of a batch are in one partition, decoded or not, and the report is as without Spark."""
    if engine == "columns":
        monkeypatch.setattr("batchfsm.auditing.columns.engine._UNDECODED_MAX", undecoded_max)
        monkeypatch.setattr("batchfsm.auditing.columns.engine._UNDECODED_SHARE_MAX", 1 if undecoded_max else 0)
    folder, dialect = short_logs[0], get_dialect("openai")
    table, name = tables(folder / "log.parquet"), str(folder / "odd.parquet")
    if kind == ROWS:
        lines = pa.array(range(1, len(table) + 1), pa.int64())
        found = (
            table.append_column("line", lines)
            .append_column("file_nr", pa.array([0] * len(table), pa.int32()))
            .to_batches(160)
        )
    else:
        groups = [{"file_nr": 0, "name": name, "group": group, "line": 1 + 160 * group} for group in range(4)]
        found = [pa.RecordBatch.from_pylist(groups)]
    partitions = shuffled(kind, found, dialect)
    ids = [{*read_streams(rows)["id"].to_pylist()} - {None} for rows in partitions.values()]
    accumulator = accumulator_of(
        partitions, dialect, FindingsAccumulator(select=None, ignore=(), listed_max=10**6), [name]
    )

    assert sum(map(len, ids)) == len(set().union(*ids)) > 50
    assert audit(name, max_findings=10**6).to_dict() == accumulator.report().to_dict()
    assert 1 == accumulator.report().unreadable_count


def test_a_worker_without_rows():
    """A worker without rows yields nothing."""
    assert [] == list(
        check_partition(iter([]), pickled((pickled(get_dialect("openai")), None, 60.0, 10**9, 0, (), ())))
    )


def test_a_file_of_another_format_is_refused(tmp_path):
    """Its one sentence comes before any worker begins."""
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("log.jsonl", "{}")

    with pytest.raises(SourceError, match="zip"):
        inputs.find_files([str(path)])


def test_shares():
    """A quota is more than a partition's mean share, and never more than the whole."""
    assert [1000, 351, 116, 0, 5] == [
        _listing_quota(1000, 1),
        _listing_quota(1000, 4),
        _listing_quota(1000, 16),
        _listing_quota(0, 4),
        _listing_quota(5, 4),
    ]


@pytest.mark.parametrize("listed_max", [5, 10_000])
def test_accumulators_of_parts_make_the_tally_of_the_log(listed_max, tmp_path):
    """Accumulators of two parts, pickled and merged, give the report of the whole log."""
    write(tmp_path / "log.jsonl", rows=600, share=0.5)
    lines = [*(tmp_path / "log.jsonl").read_text().splitlines(), "none", "[]", "{}"]
    template = FindingsAccumulator(select=("H", "P104"), ignore=("H507",), listed_max=listed_max)
    parts = [[], []]
    for number, line in enumerate(lines, 1):
        parts["7" in line[40:90]].append(RawRecord(LogPosition("log", number), line))
    accumulators = [unpickled(pickled(audit_rows(part, get_dialect("openai"), template, 60.0)[0])) for part in parts]
    whole, _ = audit_rows(
        (RawRecord(LogPosition("log", number), line) for number, line in enumerate(lines, 1)),
        get_dialect("openai"),
        template,
        60.0,
    )
    merged = attrs.evolve(template)
    merged.merge(accumulators, lambda place: (0, place.source, place.line))

    assert whole.report().to_dict() == merged.report().to_dict()
    assert 40 < sum(whole.report().counts.values())


class DataFrame:
    """A class in the module of Spark's dataframes."""

    __module__ = "pyspark.sql.classic.dataframe"


def test_without_spark(monkeypatch, tmp_path):
    """The message names the extra to install."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)

    with pytest.raises(
        MissingExtraError,
        match=r"^the engine spark needs more packages: pip install 'batchfsm\[spark\]' \(in a clone: pip install '\.\[spark\]'\)$",
    ):
        audit(tmp_path / "log.jsonl", engine="spark")
    with pytest.raises(MissingExtraError, match="spark"):
        audit(["s3a://logs/*.jsonl", "s3a://more/"], engine="spark")
    with pytest.raises(MissingExtraError, match="spark"):
        audit(DataFrame())


def test_text_forms_are_not_for_spark(tmp_path):
    """Text forms are refused: a record takes several lines, and Spark distributes single ones."""
    with pytest.raises(DefinitionError, match=r"^invalid audit in Spark: it reads JSON lines and Parquet, not kotlin$"):
        audit(tmp_path / "log.txt", engine="spark", input_format="kotlin")


def test_another_engine():
    """An unknown engine is an error that lists the known ones."""
    with pytest.raises(UnknownNameError, match=r"^no engine is called 'dask'; known: auto, rows, spark$"):
        audit([], engine="dask")


@pytest.mark.parametrize(
    "said, sentence",
    [
        ("[PATH_NOT_FOUND] It is not there.\n'Project\n", "[PATH_NOT_FOUND] It is not there."),
        (
            "In a worker:\nTraceback (most recent call last):\n  File x\nModuleNotFoundError: cattrs\n",
            "ModuleNotFoundError: cattrs",
        ),
    ],
)
def test_the_line_that_says_what_is_wrong(said, sentence):
    """The line is the last one of a worker's traceback, or the first one of any other message."""
    assert sentence == _error_line(said)
