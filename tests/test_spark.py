"""Spark, on two cores of this machine: what it answers is what DuckDB and the auditor say."""

import json
import os
import shutil
import subprocess
import sys
from random import Random

import attrs
import duckdb
import pytest
from bench.snapshot_log import to_parquet, write
from medley import filled, medley
from notation import seen
from typer.testing import CliRunner

from batchfsm import DefinitionError, MissingExtraError, SourceError, UnknownNameError, audit
from batchfsm.auditing.scalar import one_by_one
from batchfsm.auditing.spark.run import _judge, _open, _sentence
from batchfsm.auditing.spool import packed, unpacked
from batchfsm.auditing.sql import Table, query
from batchfsm.auditing.tally import Tally
from batchfsm.cli import app
from batchfsm.dialects import find
from batchfsm.finding import Place
from batchfsm.logs import Sighting

with_spark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]  # Spark's own, at start and end.


def marked(test):
    """Mark a test that needs Spark."""
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
    """Return a DuckDB of a test's own."""
    with duckdb.connect() as connection:
        yield connection


# ---------------------------------------------------------------- the query


@marked
@pytest.mark.parametrize("server", ["openai", "azure", "compatible"])
@pytest.mark.parametrize("is_counted", [False, True])
def test_spark_and_duckdb_answer_alike(server, is_counted, spark, warehouse, tmp_path):
    """Snapshot by snapshot and count by count; and DuckDB's answer is the auditor's."""
    filled(warehouse, medley(Random(server), server, 200, 200))  # noqa: S311  # Dice.
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
    "not a batch", "", "  ", "12", "[1]", '{"error": {"message": "late"}}', "\ufeff{}", '{"id": "b1", "id": "b2"}',
    '{"id": 5, "status": "validating"}', '{"id": "", "status": "validating"}', '{"status": "validating", "created_at": 1}',
    json.dumps({"object": "list", "data": [row | {"id": f"page-{number}"} for number, row in enumerate(seen("vpzc"))]}),
    json.dumps({"id": "evt_1", "data": seen("v")[0] | {"id": "in-envelope"}, "timestamp": 1_760_000_100}),
    json.dumps(seen("vp")[1] | {"id": "escaped-\u00e9"}), json.dumps(seen("vpf")[2] | {"ID": "twice"}),
    json.dumps(seen("vp")[1] | {"id": "half of a pair: \ud83d"}),
    json.dumps([seen("v")[0] | {"id": "in-array"}, "nothing"]),
]  # fmt: skip
"""Lines that are not plain, and some that are no batch at all."""


def same(report, other):
    """Tell whether two reports say the same, but for how they word what they could not read."""
    told, expected = report.to_dict(), other.to_dict()
    for each in (*told["unreadable"], *expected["unreadable"]):
        del each["problem"]
    # Of findings in one line the order is open: a page holds many batches.
    for each in (told, expected):
        each["findings"].sort(key=lambda found: (json.dumps(found["where"][-1:]), found["message"]))
        each["unreadable"].sort(key=json.dumps)
    return told == expected


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Return two files, one in no order and of several blocks, one of lines that are not plain."""
    folder = tmp_path_factory.mktemp("logs")
    truth = write(folder / "a log.jsonl", rows=1_500, share=0.3, order="shuffled")
    (folder / "odd.jsonl").write_text("\n".join(ODD))
    to_parquet(folder / "a log.jsonl", folder / "log.parquet")
    return folder, truth


@marked
def test_files_are_judged_as_without_spark(spark, logs):
    """Findings, counts, places and what is unreadable are the same, from several files and blocks."""
    folder, truth = logs
    names = [str(folder / "odd.jsonl"), str(folder / "a log.jsonl")]

    assert same(audit(names, engine="spark", max_findings=10**6), audit(names, max_findings=10**6))
    assert truth == audit(names[1], engine="spark").counts


@marked
def test_the_first_findings_are_listed(spark, logs):
    """In the order of the log, however it was dealt out; the counts stay exact."""
    name = str(logs[0] / "a log.jsonl")

    assert audit(name, max_findings=7).to_dict() == audit(name, engine="spark", max_findings=7).to_dict()


@marked
def test_rules_that_cannot_look_are_named(spark, logs):
    """Across workers too."""
    name = str(logs[0] / "odd.jsonl")

    assert audit(name, select="H505,T207").not_looked == audit(name, select="H505,T207", engine="spark").not_looked


@marked
def test_parquet(spark, logs):
    """Rows have their number for a line; errors and metadata may be text."""
    folder, truth = logs
    report = audit(folder / "log.parquet", engine="spark")
    expected = audit(folder / "a log.jsonl")

    assert truth == report.counts
    assert [each.where[-1].line for each in expected.findings] == [each.where[-1].line for each in report.findings]
    assert {str(folder / "log.parquet")} == {each.where[0].source for each in report.findings}


@marked
@pytest.mark.parametrize("form", ["columns", "text", "nested", "timestamps"])
def test_a_frame(form, spark, logs):
    """Of columns, of lines, of envelopes, with times as timestamps; nobody has to ask for the engine."""
    folder, truth = logs
    rows = spark.read.parquet(str(folder / "log.parquet"))
    if form == "text":
        rows = spark.read.text(str(folder / "a log.jsonl"))
    elif form == "nested":
        rows = rows.drop("metadata", "errors").selectExpr("observed_at", "struct(* except (observed_at)) AS snapshot")
        truth = {code: times for code, times in truth.items() if code not in ("S006", "F403")}
    elif form == "timestamps":
        rows = rows.selectExpr(
            "* except (observed_at, created_at)",
            "timestamp_seconds(observed_at) AS observed_at",
            "timestamp_seconds(created_at) AS created_at",
        )
    report = audit(rows)
    counts = {code: times for code, times in report.counts.items() if form != "nested" or code != "F404"}

    assert truth == counts
    assert "dataframe" == report.findings[0].where[0].source


@marked
def test_what_stops_spark_is_one_line(spark, tmp_path):
    """And the session of whoever asked goes on."""
    with pytest.raises(SourceError, match=r"^spark: \[PATH_NOT_FOUND\] [^\n]*none.jsonl[^\n]*$"):
        audit(tmp_path / "none.jsonl", engine="spark")

    assert 1 == spark.range(1).count()


@marked
def test_the_command(spark, logs):
    """`--engine spark` writes the same report, and exits alike."""
    name = str(logs[0] / "a log.jsonl")
    plain, ours = (
        CliRunner().invoke(app, ["audit", name, "--format", "json", *more]) for more in ([], ["--engine", "spark"])
    )

    assert (1, plain.stdout) == (ours.exit_code, ours.stdout)


@marked
@pytest.mark.parametrize("patience", [50_000, 0], ids=["columns", "rows"])
def test_a_worker(patience, spark, monkeypatch):
    """What runs in workers, called here, where coverage sees it; a bucket of which little is plain goes row by row."""
    monkeypatch.setattr("batchfsm.auditing.columnar.judging._PATIENCE_ROWS", patience)
    pa = pytest.importorskip("pyarrow")
    dialect = find("openai")
    rows = [
        {"source": "log", "line": line, "text": text.encode(), "part": 0, "key": None}
        for line, text in enumerate(ODD, 1)
    ]
    kinds = {"source": pa.string(), "line": pa.int64(), "text": pa.binary(), "part": pa.int32(), "key": pa.string()}
    batch = pa.RecordBatch.from_pylist(rows, schema=pa.schema(kinds))
    opened = list(_open(iter([batch]), packed(dialect)))
    blank = Tally(select=None, ignore=(), listed_max=10)
    (judged,) = _judge(iter(opened), packed((dialect, blank, 60.0, 10**9)))
    tally = unpacked(judged.to_pylist()[0]["tally"])

    assert ["page-0", "page-1", "page-2", "page-3"] == [
        row["key"] for row in opened[0].to_pylist() if "page" in str(row["key"])
    ]
    assert 12 == tally.snapshots


@marked
def test_a_session_of_its_own(logs):
    """Where none runs, one begins, with this very Python in its workers, and ends."""
    command = [sys.executable, "-m", "batchfsm", "audit", str(logs[0] / "odd.jsonl"), "--format", "json"]
    env = {name: value for name, value in os.environ.items() if name != "PYSPARK_PYTHON"}
    ran, here = (
        subprocess.run([*command, *more], env=env, capture_output=True, check=False)
        for more in (["--engine", "spark"], [])
    )

    assert (here.returncode, json.loads(here.stdout)["counts"]) == (ran.returncode, json.loads(ran.stdout)["counts"])


# ---------------------------------------------------------------- without Spark


@pytest.mark.parametrize("listed_max", [5, 10_000])
def test_tallies_of_parts_make_the_tally_of_the_log(listed_max, tmp_path):
    """Judged in two places, batch by batch, packed, unpacked and merged: the same report."""
    write(tmp_path / "log.jsonl", rows=600, share=0.5)
    lines = [*(tmp_path / "log.jsonl").read_text().splitlines(), "none", "[]", "{}"]
    blank = Tally(select=("H", "P104"), ignore=("H507",), listed_max=listed_max)
    parts = [[], []]
    for number, line in enumerate(lines, 1):
        parts["7" in line[40:90]].append(Sighting(Place("log", number), line))
    tallies = [unpacked(packed(one_by_one(part, find("openai"), blank, 60.0)[0])) for part in parts]
    whole, _ = one_by_one(
        (Sighting(Place("log", number), line) for number, line in enumerate(lines, 1)), find("openai"), blank, 60.0
    )
    merged = attrs.evolve(blank)
    merged.merge(tallies, lambda place: (0, place.source, place.line))

    assert whole.report().to_dict() == merged.report().to_dict()
    assert 40 < sum(whole.report().counts.values())


class DataFrame:
    """What looks like a frame of Spark's."""

    __module__ = "pyspark.sql.classic.dataframe"


def test_without_spark(monkeypatch, tmp_path):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)

    with pytest.raises(
        MissingExtraError, match=r"^the engine spark needs more packages: pip install 'batchfsm\[spark\]'$"
    ):
        audit(tmp_path / "log.jsonl", engine="spark")
    with pytest.raises(MissingExtraError, match="spark"):
        audit(["s3a://logs/*.jsonl", "s3a://more/"], engine="spark")
    with pytest.raises(MissingExtraError, match="spark"):
        audit(DataFrame())


def test_text_forms_are_not_for_spark(tmp_path):
    """A text form takes several lines, and Spark deals out lines."""
    with pytest.raises(
        DefinitionError, match=r"^an audit in Spark cannot be: it reads JSON lines and Parquet, not kotlin$"
    ):
        audit(tmp_path / "log.txt", engine="spark", input_format="kotlin")


def test_another_engine():
    """Nobody knows it."""
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
    """The last of a worker's traceback, else the first."""
    assert sentence == _sentence(said)
