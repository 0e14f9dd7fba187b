"""
The input of an audit in Spark, as a DataFrame of lines, rows, row groups or splits, each with its place.

A split is a range of bytes of a file of JSON lines, which workers read by themselves; its lines are counted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlparse

import attrs

from batchfsm.auditing.spill import pickled, unpickled
from batchfsm.auditing.tables import FRAME, JSON_TEXT, OBSERVED_AT_FIELDS, Parquet, TableSchema, find_fields, load_arrow
from batchfsm.errors import SourceError, needs_extra
from batchfsm.finding import LogPosition
from batchfsm.logs import HEAD_BYTES, OBJECT_CHARS_MAX, is_compressed, reject_foreign_format

TEXTS, ROWS, ROW_GROUPS, SPLITS = range(4)
"""Kinds of input: lines of JSON text; rows of a table; row groups of Parquet files or splits of files of JSON lines,
which workers read by themselves."""

SPLIT_BYTES: Final = 16 * 2**20
"""The size of a split."""

SPLIT_SCHEMA: Final = "file_nr int, begin long, end long, line long"
"""A split: the lines that begin in a range of bytes of a file, and the number of the first line, from 1."""

LINE_BYTES_MAX: Final = 4 * OBJECT_CHARS_MAX  # A character has four bytes at most.
_READ_BYTES: Final = 2**20


@attrs.frozen
class FileSnapshot:
    """A file, with its size and time of modification at the start of the run."""

    name: str
    """The path as the user gave it."""
    path: str
    size: int
    """In bytes."""
    changed_ns: int

    def open(self) -> BinaryIO:
        """Open the file; SourceError if it cannot be opened or has changed."""
        try:
            state = Path(self.path).stat()
            if (state.st_size, state.st_mtime_ns) == (self.size, self.changed_ns):
                return Path(self.path).open("rb")
        except OSError as error:
            raise SourceError(f"{self.name}: {error.strerror or error}") from error
        raise SourceError(f"{self.name}: changed while it was read")

    def read_lines(self, begin: int, end: int) -> tuple[int, bytearray]:
        """
        Return the offset of the first line that begins in a range of bytes, and all such lines with their ends.

        A last line beyond `LINE_BYTES_MAX` is cut off.
        """
        with self.open() as binary:
            binary.seek(max(begin - 1, 0))  # A line begins behind the end of the line before it.
            if begin:
                _skip_line(binary, end)
            offset = binary.tell()
            text = bytearray(binary.read(max(end - offset, 0)))
            if len(text) < end - offset:
                raise SourceError(f"{self.name}: changed while it was read")
            if text and not text.endswith(b"\n"):
                text += binary.readline(LINE_BYTES_MAX).removesuffix(b"\n") + b"\n"
        return offset, text


@attrs.frozen(kw_only=True)
class SparkInput:
    """The rows of a log, in no order."""

    rows: Any
    """
    A DataFrame: `file_nr` and `line`; beside them `text`, the columns of a table, `name` and `group` of a row group,
    or `begin` and `end` of a split. In the last two, `line` is that of the first row.
    """
    kind: int
    names: tuple[str, ...]
    """The name of each file, by `file_nr`."""
    fields: TableSchema | None = None
    """Where a table holds the fields of a batch; None for JSON."""
    count: int
    """How many rows there are."""
    text_bytes: int = 0
    """The size of all texts."""
    files: tuple[FileSnapshot, ...] = ()
    """The files of the splits, by `file_nr`."""

    def rank(self, place: LogPosition) -> tuple[int, int]:
        """Return a key that sorts a place in the order of the log."""
        return self.names.index(place.source), place.line


def load_spark_sql() -> ModuleType:
    """Return Spark's SQL; MissingExtraError if it is not installed."""
    with needs_extra("the engine spark", "spark"):
        import pyarrow  # noqa: F401, PLC0415, ICN001  # Rows reach Python as Arrow record batches.
        import pyspark.sql  # noqa: PLC0415  # An extra, loaded when it is needed.
        import pyspark.sql.functions  # noqa: PLC0415
    sql: ModuleType = pyspark.sql
    return sql


def open_files(session: Any, names: Sequence[str]) -> SparkInput:
    """Return the rows of files, in the order of their names; SourceError if they hold no batches."""
    F = load_spark_sql().functions  # noqa: N806  # Its usual name in programs for Spark.
    metadata = F.col("_metadata")
    if all(name.endswith(".parquet") for name in names):
        if not any("://" in name for name in names) and (found := _find_row_groups(session, names)) is not None:
            return found
        positions = {"file": metadata.file_path, "block": F.lit(0), "line": metadata.row_index}
        return _read_table(session.read.parquet(*names), positions, names)
    if (files := find_files(names)) is not None:
        splits, lines = find_splits(session, files)
        rows = session.createDataFrame(splits, SPLIT_SCHEMA)
        return SparkInput(rows=rows, kind=SPLITS, names=tuple(names), count=lines, files=files)
    positions = {
        "file": metadata.file_path,
        "block": metadata.file_block_start,
        "line": F.monotonically_increasing_id(),
    }
    return _read_texts(session.read.text([*names], lineSep="\n"), F.col("value"), positions, names)


def open_frame(rows: Any) -> SparkInput:
    """Return the rows of a DataFrame: JSON text in its only column, or columns with the names of fields."""
    F = load_spark_sql().functions  # noqa: N806
    positions = {
        "file": F.lit(FRAME),
        "block": F.spark_partition_id().cast("long"),
        "line": F.monotonically_increasing_id(),
    }
    (first, *others) = rows.schema.fields
    if not others and first.dataType.typeName() in ("string", "binary"):
        return _read_texts(rows, F.col(f"`{first.name}`"), positions, [FRAME])
    return _read_table(rows, positions, [FRAME])


def _find_row_groups(session: Any, names: Sequence[str]) -> SparkInput | None:
    """Return the row groups of local files; None if their schemas differ or they hold JSON text."""
    with ExitStack() as stack:
        tables = [stack.enter_context(closing(Parquet(name))) for name in names]
        fields = tables[0].fields
        if any(table.arrow_schema != tables[0].arrow_schema for table in tables) or JSON_TEXT in fields.paths:
            return None
        groups = [
            (number, str(Path(table.name).resolve()), group, line)
            for number, table in enumerate(tables)
            for group, line in enumerate([*accumulate(table.group_rows, initial=1)][:-1])
        ]
        count = sum(table.rows_count for table in tables)
    rows = session.createDataFrame(groups, "file_nr int, name string, group int, line long")
    return SparkInput(rows=rows, kind=ROW_GROUPS, names=tuple(names), fields=fields, count=count)


def _read_table(rows: Any, positions: dict[str, Any], names: Sequence[str]) -> SparkInput:
    F = load_spark_sql().functions  # noqa: N806
    fields = find_fields(rows.limit(0).toArrow().schema, names[0])
    if JSON_TEXT in fields.paths:
        return _read_texts(rows, _to_envelopes(rows, fields), positions, names)
    columns = {name: F.col(f"`{name}`") for name in fields.columns}
    return _number_rows(rows.select(*_with_names(positions | columns)), names, fields)


def _to_envelopes(rows: Any, fields: TableSchema) -> Any:
    """Return an expression that joins a column of JSON text and the time of observation beside it to envelopes."""
    F = load_spark_sql().functions  # noqa: N806
    text = F.col(f"`{fields.paths[JSON_TEXT][0]}`")
    times = []
    for field in rows.schema.fields:
        if field.name in OBSERVED_AT_FIELDS:
            column = F.col(field.name)
            is_timestamp = field.dataType.typeName().startswith("timestamp")
            seconds = F.unix_micros(column.cast("timestamp")) / 10**6 if is_timestamp else column
            times.append(seconds.alias(field.name))
    if not times:
        return text
    head = F.to_json(F.struct(*times), {"ignoreNullFields": "false"})
    head = F.substring(head, F.lit(1), F.length(head) - 1)
    return F.concat(head, F.lit(',"batch":'), F.coalesce(text, F.lit("null")), F.lit("}"))


def _read_texts(rows: Any, text: Any, positions: dict[str, Any], names: Sequence[str]) -> SparkInput:
    F = load_spark_sql().functions  # noqa: N806
    lines = rows.select(*_with_names(positions | {"text": text.cast("binary")}))
    return _number_rows(lines.where(F.col("text").isNotNull()), names, None)


def _with_names(columns: Mapping[str, Any]) -> list[Any]:
    return [column.alias(name) for name, column in columns.items()]


def _number_rows(rows: Any, names: Sequence[str], fields: TableSchema | None) -> SparkInput:
    """Replace the file and block of each row by the number of its file and its line in it."""
    F = load_spark_sql().functions  # noqa: N806
    size = F.octet_length("text") if fields is None else F.lit(0)
    sums = {"rows": F.count("*"), "first": F.min("line"), "size": F.sum(size)}
    counted = rows.groupBy("file", "block").agg(*_with_names(sums)).collect()
    given = {_to_path(name): (number, name) for number, name in enumerate(names)}
    order = sorted(
        {each.file for each in counted}, key=lambda file: (given.get(_to_path(file), (len(names),))[0], file)
    )
    shifts = []
    for file, blocks in groupby(sorted(counted), key=lambda each: each.file):
        line = 1
        for block in blocks:
            shifts.append((file, block.block, order.index(file), line - block.first))
            line += block.rows
    positions = rows.sparkSession.createDataFrame(shifts, "file string, block long, file_nr int, shift long")
    numbered = rows.join(F.broadcast(positions), ["file", "block"]).withColumn("line", F.col("line") + F.col("shift"))
    return SparkInput(
        rows=numbered.drop("file", "block", "shift"),
        kind=TEXTS if fields is None else ROWS,
        # The name that the user gave, or a file that Spark found by itself.
        names=tuple(given.get(_to_path(file), (0, file))[1] for file in order),
        fields=fields,
        count=sum(each.rows for each in counted),
        text_bytes=sum(each.size for each in counted),
    )


def _to_path(name: str) -> str:
    """Return the path of a file, however it is written; Spark writes `file:/a%20b` for `a b`."""
    if name.startswith("file:"):
        return unquote(urlparse(name).path)
    return name if "://" in name or name == FRAME else str(Path(name).resolve())


def _skip_line(binary: BinaryIO, end: int) -> None:
    """Read to the end of a line, but no further than an offset."""
    while (left := end - binary.tell()) > 0:
        piece = binary.readline(min(left, _READ_BYTES))
        if not piece or piece.endswith(b"\n"):
            return


def find_files(names: Sequence[str]) -> tuple[FileSnapshot, ...] | None:
    """Return local files for splitting; None if one is compressed or no file. SourceError if one cannot be read."""
    found = []
    for path in map(Path, names):
        if not path.is_file():
            return None
        try:
            with path.open("rb") as binary:
                if is_compressed(binary):
                    return None
                reject_foreign_format(binary.read(HEAD_BYTES), str(path))
        except SourceError:
            raise
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from error
        state = path.stat()
        found.append(FileSnapshot(str(path), str(path.resolve()), state.st_size, state.st_mtime_ns))
    return tuple(found)


def find_splits(session: Any, files: Sequence[FileSnapshot]) -> tuple[list[tuple[int, int, int, int]], int]:
    """Return the splits of files, by `SPLIT_SCHEMA`, and how many lines they have together."""
    ranges = [
        (number, begin, min(begin + SPLIT_BYTES, file.size))
        for number, file in enumerate(files)
        for begin in range(0, file.size, SPLIT_BYTES)
    ]
    rows = session.createDataFrame(ranges, "file_nr long, begin long, end long")
    schema = "file_nr long, begin long, end long, lines long"
    counted = rows.mapInArrow(partial(count_lines, settings=pickled(files)), schema).collect()
    found, lines = [], 0
    for file_nr, splits in groupby(sorted(counted), key=lambda split: split.file_nr):
        line = 1
        for split in splits:
            found.append((file_nr, split.begin, split.end, line))
            line += split.lines
        lines += line - 1
    return found, lines


def count_lines(found: Iterator[Any], settings: bytes) -> Iterator[Any]:
    """Yield ranges of bytes, each with the number of lines that begin in it; runs in a worker."""
    files = unpickled(settings)
    for split in to_objects(found):
        _, text = files[split["file_nr"]].read_lines(split["begin"], split["end"])
        yield load_arrow().RecordBatch.from_pylist([{**split, "lines": text.count(b"\n")}])


def to_objects(found: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of Arrow record batches as dicts."""
    return (row for batch in found for row in batch.to_pylist())
