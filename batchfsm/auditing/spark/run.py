"""The run: a log dealt out by batch, each bucket judged in a worker, and the tallies brought together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil, sqrt
from typing import Any, Final

import attrs

from batchfsm.auditing import extra
from batchfsm.auditing.report import Report
from batchfsm.auditing.scalar import one_by_one
from batchfsm.auditing.spark.bucket import bucket
from batchfsm.auditing.spark.dealing import DEALT, deal, dialect_of, opened
from batchfsm.auditing.spark.frames import Log, files, frame, pyspark
from batchfsm.auditing.spool import packed, unpacked
from batchfsm.auditing.tabular import narrowed
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect
from batchfsm.errors import SourceError
from batchfsm.finding import Place

BUCKET_BYTES: Final = 64 * 2**20
"""How much text a bucket holds, about; what a worker keeps of it is less."""

BUCKET_ROWS: Final = 2**18
"""How many rows of columns a bucket holds, about."""


def is_frame(source: object) -> bool:
    """Tell whether something is a DataFrame of Spark's, without loading Spark."""
    kind = type(source)
    return kind.__name__ == "DataFrame" and kind.__module__.startswith("pyspark.sql.")


def run(source: Any, dialect: Dialect, blank: Tally, skew_s: float, memory: int) -> Tally:
    """
    Judge a log in Spark.

    Args:
        source: Names of files of JSON lines or Parquet, as Spark reads them; or a frame.
        dialect: Whose rules they are.
        blank: What the run's tally begins as.
        skew_s: How far a stamp may lie after its observation; seconds.
        memory: How much columns may take in each worker; bytes.

    Raises:
        MissingExtraError: If Spark is not installed.
        SourceError: If Spark cannot run, or not read the log.
    """
    with _session(source) as session:
        log = frame(source) if is_frame(source) else files(session, source)
        if log.layout is not None:
            dialect, blank = narrowed(dialect, blank, log.layout.given)
        dealt, count = _dealt(log, dialect)

        def asked(listed_max: int) -> list[Tally]:
            told = attrs.evolve(blank, listed_max=listed_max)
            setting = packed((packed(dialect), told, skew_s, memory, log.sources, log.files))
            judged = dealt.mapInArrow(partial(_judge, setting=setting), "tally binary")
            return [unpacked(row.tally) for row in judged.collect()]

        # Batches are dealt out by a digest, so each bucket has about its share of the first findings.
        tallies = asked(_share(blank.listed_max, count))
        tally = _merged(blank, tallies, log)
        if not _is_whole(tally.report(), [each.report() for each in tallies], blank.listed_max, log.rank):
            tally = _merged(blank, asked(blank.listed_max), log)
    return tally


def _merged(blank: Tally, tallies: Iterable[Tally], log: Log) -> Tally:
    tally = attrs.evolve(blank)
    tally.merge(tallies, log.rank)
    return tally


def _share(listed_max: int, count: int) -> int:
    """Return how many of the first findings are in one of many buckets, at most, if they fall by chance."""
    mean = listed_max / count
    return min(listed_max, ceil(mean + 6 * sqrt(mean)) + 6)


def _is_whole(whole: Report, parts: Iterable[Report], listed_max: int, rank: Callable[[Place], Any]) -> bool:
    """Tell whether what a report lists are the first of all that its parts found: none of them was cut off before."""
    listed = [each.where[-1] for each in whole.findings], [each.place for each in whole.unreadable]
    for part in parts:
        mine = [each.where[-1] for each in part.findings], [each.place for each in part.unreadable]
        found = sum(part.counts.values()), part.unreadable_count
        for all_of_them, places, number in zip(listed, mine, found, strict=True):
            is_cut = len(places) < min(number, listed_max)
            if is_cut and (len(all_of_them) < listed_max or rank(places[-1]) < rank(all_of_them[-1])):
                return False
    return True


@contextmanager
def _session(source: Any) -> Iterator[Any]:
    """Yield the session of a frame, the one there is, or a new one, which ends with the run."""
    sql = pyspark()
    from pyspark.errors import PySparkException  # noqa: PLC0415  # As above.

    running = source.sparkSession if is_frame(source) else sql.SparkSession.getActiveSession()
    session = running
    try:
        if session is None:
            session = sql.SparkSession.builder.appName("batchfsm").getOrCreate()
            context = session.sparkContext
            # Spark takes the first python3 that it finds; on this machine the one that runs has what workers need.
            context.pythonExec = sys.executable if context.master.startswith("local") else context.pythonExec
        yield session
    except PySparkException as error:
        raise SourceError(f"spark: {_sentence(str(error))}") from error
    finally:
        if running is None and session is not None:
            session.stop()


def _sentence(said: str) -> str:
    """Return the line of an error that says what is wrong: the last of a worker's traceback, else the first."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line[0].isspace()]
    return lines[-1 if any(line.startswith("Traceback") for line in lines) else 0]


def _dealt(log: Log, dialect: Dialect) -> tuple[Any, int]:
    """Bring the rows of each batch together, in no order; return them and the number of buckets."""
    cores = log.rows.sparkSession.sparkContext.defaultParallelism
    wanted = max(2 * cores, -(-log.size // BUCKET_BYTES), -(-log.count // BUCKET_ROWS))
    setting = packed((log.kind, packed(dialect), log.files, wanted))
    return log.rows.mapInArrow(partial(deal, setting=setting), DEALT).repartitionById(wanted, "bucket"), wanted


def _judge(found: Iterator[Any], setting: bytes) -> Iterator[Any]:
    """Judge a bucket, in columns where that can be done, and yield its tally."""
    import pyarrow as pa  # noqa: PLC0415  # In a worker, which has what the driver has.

    packed_dialect, blank, skew_s, memory, sources, files = unpacked(setting)
    dialect = dialect_of(packed_dialect)
    rows = [each for batch in found for each in batch.column("rows").to_pylist()]
    if rows:
        columnar = extra.columns()
        with bucket(opened(rows), sources, files, dialect) as (log, columns):
            try:
                tally = columnar.Columnar(dialect, blank, skew_s, memory).run([columns])
            except columnar.NotColumnarError:
                tally, _ = one_by_one(log, dialect, blank, skew_s, is_repeatable=True)
        yield pa.RecordBatch.from_pydict({"tally": pa.array([packed(tally)], pa.binary())})
