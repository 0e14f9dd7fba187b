"""A log as a frame of Spark's: lines of JSON text or rows of columns, each with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import accumulate, groupby
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlparse

import attrs

from batchfsm.auditing.spark.stretches import STRETCH, File, files_of, stretches
from batchfsm.auditing.tabular import CLOCKS, FRAME, JSON_TEXT, Layout, Parquet, layout
from batchfsm.errors import MissingExtraError
from batchfsm.finding import Place

TEXT, COLUMNS, GROUPS, STRETCHES = range(4)
"""What the rows of a log are: lines of JSON text, columns, or what is still to be read by workers: groups of rows in
files of Parquet, stretches of files of JSON lines."""


@attrs.frozen(kw_only=True)
class Log:
    """The rows of a log, in no order."""

    rows: Any
    """
    A frame: `file_nr`, and `line` and `text`, or `line` and columns; of what is still to be read, `line` is the first,
    and it is `name` and `group`, or `begin` and `end`.
    """
    kind: int
    sources: tuple[str, ...]
    """What each file is called, by its number."""
    layout: Layout | None
    """Where the fields of a batch stand in columns; None for text."""
    count: int
    """How many rows there are."""
    size: int = 0
    """How many bytes of text go along with them."""
    files: tuple[File, ...] = ()
    """What stretches are read from, by number."""

    def rank(self, place: Place) -> tuple[int, int]:
        """Tell places in the order of the log."""
        return self.sources.index(place.source), place.line


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


def files(session: Any, names: Sequence[str]) -> Log:
    """Return what stands in files, in the order in which they were named; SourceError for tables without batches."""
    F = pyspark().functions  # noqa: N806  # Spark's own name for it.
    metadata = F.col("_metadata")
    if all(name.endswith(".parquet") for name in names):
        if not any("://" in name for name in names) and (found := _groups(session, names)) is not None:
            return found
        places = {"file": metadata.file_path, "block": F.lit(0), "line": metadata.row_index}
        return _of_columns(session.read.parquet(*names), places, names)
    if (local := files_of(names)) is not None:
        cut, lines = stretches(session, local)
        rows = session.createDataFrame(cut, STRETCH)
        return Log(rows=rows, kind=STRETCHES, sources=tuple(names), layout=None, count=lines, files=local)
    places = {
        "file": metadata.file_path,
        "block": metadata.file_block_start,
        "line": F.monotonically_increasing_id(),
    }
    return _of_lines(session.read.text([*names], lineSep="\n"), F.col("value"), places, names)


def _groups(session: Any, names: Sequence[str]) -> Log | None:
    """Return the groups of rows of files on a file system, which Arrow reads by itself; None if they differ in kind."""
    with ExitStack() as stack:
        tables = [stack.enter_context(closing(Parquet(name))) for name in names]
        if any(table.schema != tables[0].schema for table in tables) or JSON_TEXT in tables[0].layout.paths:
            return None
        firsts = [accumulate(table.groups, initial=1) for table in tables]
        groups = [
            (number, str(Path(name).resolve()), group, line)
            for number, (name, table, lines) in enumerate(zip(names, tables, firsts, strict=True))
            for group, line in zip(range(len(table.groups)), lines, strict=False)
        ]
        return Log(
            rows=session.createDataFrame(groups, "file_nr int, name string, group int, line long"),
            kind=GROUPS,
            sources=tuple(names),
            layout=tables[0].layout,
            count=sum(table.rows_count for table in tables),
        )


def frame(rows: Any) -> Log:
    """Return what stands in a frame: text of JSON in its only column, or columns called as fields are."""
    F = pyspark().functions  # noqa: N806
    places = {
        "file": F.lit(FRAME),
        "block": F.spark_partition_id().cast("long"),
        "line": F.monotonically_increasing_id(),
    }
    (only, *more) = rows.schema.fields
    if not more and only.dataType.typeName() in ("string", "binary"):
        return _of_lines(rows, F.col(f"`{only.name}`"), places, [FRAME])
    return _of_columns(rows, places, [FRAME])


def _of_columns(rows: Any, places: dict[str, Any], names: Sequence[str]) -> Log:
    F = pyspark().functions  # noqa: N806
    found = layout(rows.limit(0).toArrow().schema, names[0])
    if JSON_TEXT in found.paths:
        return _of_lines(rows, _wrapped(rows, found), places, names)
    columns = {name: F.col(f"`{name}`") for name in found.columns}
    return _log(rows.select(*_named(places | columns)), names, found)


def _wrapped(rows: Any, found: Layout) -> Any:
    """Return what writes a column of JSON text, and when it was seen, as one envelope."""
    F = pyspark().functions  # noqa: N806
    text = F.col(f"`{found.paths[JSON_TEXT][0]}`")
    clocks = []
    for field in rows.schema.fields:
        if field.name in CLOCKS:
            column = F.col(field.name)
            is_moment = field.dataType.typeName().startswith("timestamp")
            clocks.append((F.unix_micros(column.cast("timestamp")) / 10**6 if is_moment else column).alias(field.name))
    if not clocks:
        return text
    seen = F.to_json(F.struct(*clocks), {"ignoreNullFields": "false"})
    seen = F.substring(seen, F.lit(1), F.length(seen) - 1)
    return F.concat(seen, F.lit(',"batch":'), F.coalesce(text, F.lit("null")), F.lit("}"))


def _of_lines(rows: Any, text: Any, places: dict[str, Any], names: Sequence[str]) -> Log:
    F = pyspark().functions  # noqa: N806
    lines = rows.select(*_named(places | {"text": text.cast("binary")}))
    return _log(lines.where(F.col("text").isNotNull()), names, None)


def _named(columns: Mapping[str, Any]) -> list[Any]:
    return [column.alias(name) for name, column in columns.items()]


def _log(rows: Any, names: Sequence[str], found: Layout | None) -> Log:
    """Number rows, and call files as they were called by whoever named them."""
    F = pyspark().functions  # noqa: N806
    size = F.octet_length("text") if found is None else F.lit(0)
    sums = {"rows": F.count("*"), "first": F.min("line"), "size": F.sum(size)}
    counted = rows.groupBy("file", "block").agg(*_named(sums)).collect()
    given = {_path(name): (number, name) for number, name in enumerate(names)}
    order = sorted({each.file for each in counted}, key=lambda file: (given.get(_path(file), (len(names),))[0], file))
    known = []
    for file, blocks in groupby(sorted(counted), key=lambda each: each.file):
        line = 1
        for block in blocks:
            known.append((file, block.block, order.index(file), line - block.first))
            line += block.rows
    places = rows.sparkSession.createDataFrame(known, "file string, block long, file_nr int, shift long")
    placed = rows.join(F.broadcast(places), ["file", "block"]).withColumn("line", F.col("line") + F.col("shift"))
    return Log(
        rows=placed.drop("file", "block", "shift"),
        sources=tuple(given.get(_path(file), (0, file))[1] for file in order),
        kind=TEXT if found is None else COLUMNS,
        layout=found,
        count=sum(each.rows for each in counted),
        size=sum(each.size for each in counted),
    )


def _path(name: str) -> str:
    """Return what a file is called, however it is spelled; Spark says `file:/a%20b` for `a b`."""
    if name.startswith("file:"):
        return unquote(urlparse(name).path)
    return name if "://" in name or name == FRAME else str(Path(name).resolve())
