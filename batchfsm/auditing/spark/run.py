"""The run: lines dealt out by batch, each bucket judged in a worker, and the tallies brought together."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import attrs

from batchfsm.auditing import extra
from batchfsm.auditing.scalar import one_by_one
from batchfsm.auditing.spark.frames import files, frame, pyspark
from batchfsm.auditing.spool import packed, unpacked
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect
from batchfsm.errors import SnapshotError, SourceError
from batchfsm.finding import Place
from batchfsm.logs import Sighting
from batchfsm.wire import batches, decode, reader

BUCKET_BYTES: Final = 64 * 2**20
"""How much text a bucket holds, about; what a worker keeps of it is less."""

_ID_KEY: Final = r'"[iI][dD]"\s*:'
_ID: Final = _ID_KEY + r'\s*"([^"\\]+)"'
_DEALT: Final = "file_nr int, source string, line long, text binary, part int, key string"


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
        lines = frame(source) if is_frame(source) else files(session, source)
        dealt = _dealt(lines, dialect)
        judge = partial(_judge, setting=packed((dialect, blank, skew_s, memory)))
        tallies = [unpacked(row.tally) for row in dealt.mapInArrow(judge, "tally binary").collect()]
    tally = attrs.evolve(blank)
    order = {} if is_frame(source) else {name: number for number, name in enumerate(source)}
    tally.merge(tallies, lambda place: (order.get(place.source, len(order)), place.source, place.line))
    return tally


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


def _dealt(lines: Any, dialect: Dialect) -> Any:
    """Bring the lines of each batch together, in the order of the log."""
    F = pyspark().functions  # noqa: N806
    text = F.col("text").cast("string")
    # One key called id, nothing escaped, and its value is text: then that is the batch's id, if it has any.
    is_plain = (
        (F.regexp_count(text, F.lit(_ID_KEY)) == 1) & ~text.contains("\\u") & (F.regexp_extract(text, _ID, 1) != "")
    )
    lines = lines.where(text.rlike(r"\S")).withColumn("part", F.lit(0))
    lines = lines.withColumn("key", F.when(is_plain, F.regexp_extract(text, _ID, 1)))
    size, odd = lines.agg(F.sum(F.octet_length("text")), F.count_if(F.col("key").isNull())).first()
    if odd:
        opened = lines.where(F.col("key").isNull()).mapInArrow(partial(_open, dialect=packed(dialect)), _DEALT)
        lines = lines.where(F.col("key").isNotNull()).select(*opened.columns).unionByName(opened)
    cores = lines.sparkSession.sparkContext.defaultParallelism
    buckets = max(2 * cores, -(-(size or 0) // BUCKET_BYTES))
    # What has no id is judged alone, wherever it is.
    dealt = lines.repartition(buckets, F.coalesce("key", F.concat(F.lit("\n"), F.col("line").cast("string"))))
    return dealt.sortWithinPartitions("file_nr", "line", "part").select("source", "line", "text")


def _open(rows: Iterator[Any], dialect: bytes) -> Iterator[Any]:
    """Open lines that hold several batches, or none that is plain: a line for each batch, and its id."""
    import pyarrow as pa  # noqa: PLC0415  # In a worker, which has what the driver has.

    read = reader(unpacked(dialect)).read_bare
    for batch in rows:
        opened = []
        for row in batch.to_pylist():
            for part, (text, key) in enumerate(_parts(row["text"], read)):
                opened.append(row | {"part": part, "text": text, "key": key})
        yield pa.RecordBatch.from_pylist(opened, schema=batch.schema)


def _parts(text: bytes, read: Any) -> list[tuple[bytes, str | None]]:
    try:
        found = [*batches(decode(text))]
    except SnapshotError:
        return [(text, None)]  # Whoever judges it says why it cannot be read.
    keys = []
    for batch, seen_at in found:
        try:
            snapshot = read(batch, seen_at)
            # Half of a surrogate pair is no text for Arrow; who shares the key shares no more than the bucket.
            keys.append(snapshot.id.encode(errors="backslashreplace").decode() if snapshot.is_named else None)
        except SnapshotError:
            keys.append(None)
    if len(found) == 1:
        return [(text, keys[0])]
    wrapped = [json.dumps({"observed_at": seen_at, "batch": batch}).encode() for batch, seen_at in found]
    return [*zip(wrapped, keys, strict=True)]


def _judge(rows: Iterator[Any], setting: bytes) -> Iterator[Any]:
    """Judge a bucket, in columns where that can be done, and yield its tally."""
    import pyarrow as pa  # noqa: PLC0415  # As above.

    dialect, blank, skew_s, memory = unpacked(setting)
    columnar = extra.columns()
    bucket = columnar.Bucket(_sightings(rows), dialect)
    try:
        tally = columnar.Columnar(dialect, blank, skew_s, memory).run([bucket])
    except columnar.NotColumnarError:
        tally, _ = one_by_one(bucket, dialect, blank, skew_s, is_repeatable=True)
    yield pa.RecordBatch.from_pydict({"tally": pa.array([packed(tally)], pa.binary())})


def _sightings(rows: Iterator[Any]) -> Iterator[Sighting]:
    for batch in rows:
        for row in batch.to_pylist():
            text = row["text"].removeprefix(b"\xef\xbb\xbf") if row["line"] == 1 else row["text"]
            yield Sighting(Place(row["source"], row["line"]), text)
