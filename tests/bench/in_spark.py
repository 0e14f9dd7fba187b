"""
Time of an audit in Spark, compared with window SQL in Spark: `python tests/bench/in_spark.py [rows [rounds]]`.

One session on two cores, warmed up before the measurement; medians of turns. Spark's memory is that of Java, and is
not shown. Nothing is asserted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import sqlglot
from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batchfsm import audit
from batchfsm.sql import Table, query
from bench import eleven, snapshot_log  # A script imports its neighbours this way.

KINDS = {
    "VARCHAR": "STRING",
    "JSON": "STRING",
    "STRUCT(total BIGINT, completed BIGINT, failed BIGINT)": "STRUCT<total: BIGINT, completed: BIGINT, failed: BIGINT>",
}
"""Spark's names of DuckDB's types."""


def main(rows: int, rounds: int) -> None:
    """Print the table."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "8"}
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "log.jsonl")
        truth = snapshot_log.write(lines, rows=rows)
        snapshot_log.to_parquet(lines, lines.with_suffix(".parquet"))
        placed = "SELECT *, monotonically_increasing_id() AS place FROM parquet.`%s`" % lines.with_suffix(".parquet")  # noqa: S608
        session.sql(placed).createOrReplaceTempView("log")
        fields = ", ".join(f"{name} {KINDS.get(kind, kind)}" for name, kind in snapshot_log.COLUMNS.items())
        read = session.read.schema(f"observed_at BIGINT, snapshot STRUCT<{fields}>").json(str(lines))
        read.selectExpr("observed_at", "snapshot.*", "monotonically_increasing_id() AS place").createOrReplaceTempView(
            "lines"
        )
        (window, of_lines) = (
            sqlglot.transpile(eleven.window_sql(view), read="duckdb", write="spark")[0] for view in ("log", "lines")
        )
        text = query(Table.of("log", "spark", changes={"place": "place"}), is_counted=True)
        works = {
            "window SQL, eleven rules, Parquet": lambda: session.sql(window).collect(),
            "window SQL, eleven rules, JSON lines": lambda: session.sql(of_lines).collect(),
            "text of `batchfsm sql`, 31 rules, Parquet": lambda: session.sql(text).collect(),
            "**audit**, all rules, Parquet": lambda: audit(lines.with_suffix(".parquet"), engine="spark").counts,
            "**audit**, all rules, JSON lines": lambda: audit(lines, engine="spark").counts,
        }
        taken: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(rounds + 1):
            for name, work in works.items():
                started = time.perf_counter()
                found = work()
                if name.startswith("**") and found != truth:
                    print(f"COUNTS DIFFER: {name}")
                if turn:  # The first turn is a warm-up.
                    taken[name].append(time.perf_counter() - started)
    print(f"\n| {rows:,} rows, local[2] | s | \u00d7 |\n|---|---|---|")
    anchors = {
        name.rpartition(", ")[2]: median(seconds) for name, seconds in taken.items() if name.startswith("window")
    }
    for name, seconds in taken.items():
        print(f"| {name} | {median(seconds):.2f} | {median(seconds) / anchors[name.rpartition(', ')[2]]:.2f} |")
    session.stop()


if __name__ == "__main__":
    sizes = [int(each) for each in sys.argv[1:]]
    main(*sizes, *[1_000_000, 3][len(sizes) :])
