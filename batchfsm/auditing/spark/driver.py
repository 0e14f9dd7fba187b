"""The run of an audit in Spark: rows are shuffled by batch, workers check the partitions, their results are merged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil, sqrt
from secrets import randbits
from typing import Any, Final

import attrs

from batchfsm.auditing import optional
from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.report import Report
from batchfsm.auditing.spark import is_frame
from batchfsm.auditing.spark.inputs import SparkInput, load_spark_sql, open_files, open_frame
from batchfsm.auditing.spark.partition import check_partition
from batchfsm.auditing.spark.shuffle import SHUFFLE_SCHEMA, shuffle
from batchfsm.auditing.spill import pickled, unpickled
from batchfsm.auditing.tables import restrict_to_columns
from batchfsm.dialects import Dialect
from batchfsm.errors import SourceError
from batchfsm.finding import LogPosition

PARTITION_BYTES: Final = 64 * 2**20
"""How much text a partition holds, about."""

PARTITION_ROWS: Final = 2**18
"""How many rows a partition holds, about."""


def run(source: Any, dialect: Dialect, template: FindingsAccumulator, skew_s: float, memory: int) -> Report:
    """
    Audit files of JSON lines or Parquet, named as Spark reads them, or a DataFrame.

    The run starts from the empty accumulator `template`. A stamp may lie `skew_s` seconds after its observation.
    Batches and rows take `memory` bytes in each worker.

    Raises:
        MissingExtraError: If Spark is not installed.
        SourceError: If Spark cannot run, or cannot read the log.
    """
    with _session(source) as session:
        log = open_frame(source) if is_frame(source) else open_files(session, source)
        if log.fields is not None:
            dialect, template = restrict_to_columns(dialect, template, log.fields.given)
        seed = randbits(64)  # Workers hash texts in one stage and compare the hashes in the next.
        partitions, count = _shuffle(log, dialect, seed)

        def run_partitions(listed_max: int) -> tuple[Report, list[FindingsAccumulator]]:
            quota = attrs.evolve(template, listed_max=listed_max)
            settings = pickled((pickled(dialect), quota, skew_s, memory, seed, log.names, log.files))
            checked = partitions.mapInArrow(partial(check_partition, settings=settings), "result binary").collect()
            results = [unpickled(row.result) for row in checked]
            accumulators, merged = [accumulator for accumulator, _ in results], attrs.evolve(template)
            merged.merge(accumulators, log.rank)
            is_compiled = all(is_compiled for _, is_compiled in results)
            remarks = () if is_compiled else (optional.NOT_COMPILED,)
            return attrs.evolve(merged.report(), remarks=remarks), accumulators

        # The hash spreads the batches evenly, so each partition lists about its share of the first findings.
        report, accumulators = run_partitions(_listing_quota(template.listed_max, count))
        if not _listing_is_complete(report, [each.report() for each in accumulators], template.listed_max, log.rank):
            report, _ = run_partitions(template.listed_max)
    return report


def _listing_quota(listed_max: int, count: int) -> int:
    """Return how many of the first findings a partition has at most, unless by rare chance; `count`: of partitions."""
    mean = listed_max / count
    return min(listed_max, ceil(mean + 6 * sqrt(mean)) + 6)


def _listing_is_complete(
    whole: Report, parts: Iterable[Report], listed_max: int, rank: Callable[[LogPosition], Any]
) -> bool:
    """Return whether a report lists the first findings of all parts: False if a part may have more of them."""
    listed = [each.where[-1] for each in whole.findings], [each.place for each in whole.unreadable]
    for part in parts:
        own = [each.where[-1] for each in part.findings], [each.place for each in part.unreadable]
        found = sum(part.counts.values()), part.unreadable_count
        for all_places, places, number in zip(listed, own, found, strict=True):
            is_cut = len(places) < min(number, listed_max)
            if is_cut and (len(all_places) < listed_max or rank(places[-1]) < rank(all_places[-1])):
                return False
    return True


@contextmanager
def _session(source: Any) -> Iterator[Any]:
    """Yield the session of a DataFrame, the active one, or a new one, which ends with the run."""
    sql = load_spark_sql()
    from pyspark.errors import PySparkException  # noqa: PLC0415  # As in `load_spark_sql`.

    active = source.sparkSession if is_frame(source) else sql.SparkSession.getActiveSession()
    session = active
    try:
        if session is None:
            session = sql.SparkSession.builder.appName("batchfsm").getOrCreate()
            context = session.sparkContext
            # Spark takes the first python3 that it finds; on this machine the running one has what workers need.
            context.pythonExec = sys.executable if context.master.startswith("local") else context.pythonExec
        yield session
    except PySparkException as error:
        raise SourceError(f"spark: {_error_line(str(error))}") from error
    finally:
        if active is None and session is not None:
            session.stop()


def _error_line(message: str) -> str:
    """Return the line that names the error: the last one of a worker's traceback, else the first."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line[0].isspace()]
    return lines[-1 if any(line.startswith("Traceback") for line in lines) else 0]


def _shuffle(log: SparkInput, dialect: Dialect, seed: int) -> tuple[Any, int]:
    """Bring the rows of each batch together, in no order; return them and the number of partitions."""
    cores = log.rows.sparkSession.sparkContext.defaultParallelism
    count = max(2 * cores, -(-log.text_bytes // PARTITION_BYTES), -(-log.count // PARTITION_ROWS))
    settings = pickled((log.kind, pickled(dialect), seed, log.files, count))
    shuffled = log.rows.mapInArrow(partial(shuffle, settings=settings), SHUFFLE_SCHEMA)
    return shuffled.repartitionById(count, "partition"), count
