"""A log as a frame of lines: text of one JSON document each, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import unquote, urlparse

from batchfsm.auditing.tabular import FRAME
from batchfsm.errors import MissingExtraError
from batchfsm.snapshot import TIME_FIELDS

_JSON_TEXT: Final = ("errors", "metadata")
"""What tables often hold as text of JSON."""

_MARK: Final = "_batchfsm"
"""A key that every row made of columns has; nobody reads it."""

_LONG: Final = 2**31 - 1


def pyspark() -> ModuleType:
    """Return Spark's SQL; MissingExtraError if it is not installed."""
    try:
        import pyarrow  # noqa: F401, PLC0415, ICN001  # What rows reach Python in.
        import pyspark.sql  # noqa: PLC0415  # An extra, loaded by who asks for it.
        import pyspark.sql.functions  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("the engine spark", "spark") from error
    sql: ModuleType = pyspark.sql
    return sql


def files(session: Any, names: Sequence[str]) -> Any:
    """Return the lines of files, in the order in which they were named: `file_nr`, `source`, `line`, `text`."""
    F = pyspark().functions  # noqa: N806  # Spark's own name for it.
    metadata = F.col("_metadata")
    if all(name.endswith(".parquet") for name in names):
        rows = session.read.parquet(*names)
        text, file, nr = _as_json(rows), metadata.file_path, metadata.row_index + 1
        lines = rows.select(text.alias("text"), file.alias("file"), nr.alias("line"))
        found = [(each.file, 0, 0) for each in lines.select("file").distinct().collect()]
        return _named(session, lines.withColumn("block", F.lit(0)), found, names)
    rows = session.read.text([*names], lineSep="\n")
    columns = {
        "text": F.col("value").cast("binary"),
        "file": metadata.file_path,
        "block": metadata.file_block_start,
        "line": F.monotonically_increasing_id(),
    }
    lines = rows.select(*(column.alias(name) for name, column in columns.items()))
    return _named(session, lines, _begins(lines), names)


def frame(rows: Any) -> Any:
    """Return the rows of a frame as lines: text of JSON in its only column, or columns called as fields are."""
    F = pyspark().functions  # noqa: N806
    (only, *more) = rows.schema.fields
    is_text = not more and only.dataType.typeName() in ("string", "binary")
    text = F.col(f"`{only.name}`").cast("binary") if is_text else _as_json(rows)
    columns = {
        "text": text,
        "file": F.lit(FRAME),
        "block": F.spark_partition_id().cast("long"),
        "line": F.monotonically_increasing_id(),
    }
    lines = rows.select(*(column.alias(name) for name, column in columns.items()))
    return _named(rows.sparkSession, lines, _begins(lines), [FRAME])


def _as_json(rows: Any) -> Any:
    """Return what writes a row of typed columns as JSON: an envelope as it is, else a batch with its `observed_at`."""
    F = pyspark().functions  # noqa: N806
    if "status" not in rows.columns:
        return F.to_json(F.struct(*rows.columns)).cast("binary")
    plain, embedded, seen_at = [], [], F.lit(None)
    for field in rows.schema.fields:
        column, kind = F.col(f"`{field.name}`"), field.dataType.typeName()
        if field.name == "observed_at":
            seen_at = F.unix_micros(column.cast("timestamp")) / 1_000_000 if kind.startswith("timestamp") else column
        elif field.name in _JSON_TEXT and kind == "string":
            # Put in as it stands: what is no JSON makes the row unreadable, and is named.
            embedded += [F.lit(f'"{field.name}":'), F.coalesce(column, F.lit("null")), F.lit(",")]
        elif field.name in TIME_FIELDS and kind.startswith("timestamp"):
            plain.append(F.unix_seconds(column.cast("timestamp")).alias(field.name))
        else:
            plain.append(column.alias(field.name))
    batch = F.to_json(F.struct(F.lit(0).alias(_MARK), *plain))  # Never `{}`, so that commas are right.
    begin = [F.lit('{"observed_at":'), F.coalesce(seen_at.cast("string"), F.lit("null")), F.lit(',"batch":{')]
    return F.concat(*begin, *embedded, F.substring(batch, 2, _LONG), F.lit("}")).cast("binary")


def _begins(lines: Any) -> list[tuple[str, int, int]]:
    """Return, for each block of each file, what has to be added to a row's number to make it the number of its line."""
    F = pyspark().functions  # noqa: N806
    counted = lines.groupBy("file", "block").agg(F.count("*").alias("rows"), F.min("line").alias("first")).collect()
    found = []
    for file, blocks in groupby(sorted(counted), key=lambda each: each.file):
        line = 1
        for block in blocks:
            found.append((file, block.block, line - block.first))
            line += block.rows
    return found


def _named(session: Any, lines: Any, begins: Iterable[tuple[str, int, int]], names: Sequence[str]) -> Any:
    """Number lines, and call files as they were called by whoever named them."""
    F = pyspark().functions  # noqa: N806
    given = {_path(name): (number, name) for number, name in enumerate(names)}
    order = sorted({file for file, _, _ in begins}, key=lambda file: (given.get(_path(file), (len(names),))[0], file))
    known = [
        (file, block, order.index(file), given.get(_path(file), (0, file))[1], shift) for file, block, shift in begins
    ]
    schema = "file string, block long, file_nr int, source string, shift long"
    places = F.broadcast(session.createDataFrame(known, schema))
    return lines.join(places, ["file", "block"]).select(
        "file_nr", "source", (F.col("line") + F.col("shift")).alias("line"), "text"
    )


def _path(name: str) -> str:
    """Return what a file is called, however it is spelled; Spark says `file:/a%20b` for `a b`."""
    if name.startswith("file:"):
        return unquote(urlparse(name).path)
    return name if "://" in name or name == FRAME else str(Path(name).resolve())
