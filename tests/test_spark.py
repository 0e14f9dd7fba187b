"""Spark, on two cores of this machine: what it answers is what DuckDB and the auditor say."""

import os
import shutil
from random import Random

import attrs
import duckdb
import pytest
from medley import filled, medley

from batchfsm.auditing.sql import Table, query

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]  # Spark's own, at start and end.


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """Return a Spark session on two cores of this machine."""
    pyspark = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install 'batchfsm[spark]'")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none")
    home = str(tmp_path_factory.mktemp("spark"))
    builder = pyspark.SparkSession.builder.master("local[2]").appName("batchfsm tests")
    settings = {
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2", "spark.sql.warehouse.dir": home, "spark.local.dir": home,
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
